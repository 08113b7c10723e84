//! The audit trail and what streams of it.

use lanza_api::item::Event;
use lanza_model::{Role, id::EntityId};

use crate::{Actor, Result, Service};

pub(crate) fn view(event: lanza_store::events::Event) -> Event {
    Event {
        id: event.seq,
        time: event.time,
        actor: event.actor,
        verb: event.verb,
        kind: event.kind,
        object: event.object,
    }
}

/// A page of the trail.
#[derive(Debug)]
pub struct EventPage {
    /// What the caller may see of it.
    pub events: Vec<Event>,
    /// Where to go on: behind the last line that was looked at, seen or not.
    pub position: i64,
    /// Whether there was a full page, so that there may be more.
    pub more: bool,
}

impl Service {
    /// Reads the trail after `after`: the lines of the caller's entities, or of `entity` alone, oldest first.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] for an entity that the caller does not see.
    pub async fn event_page(&self, actor: &Actor, entity: Option<&str>, after: i64, limit: i64) -> Result<EventPage> {
        actor.require_person()?;
        let only = match entity {
            Some(name) => Some(self.entity_for(actor, name, Role::Viewer).await?.id),
            None => None,
        };
        let mine: Vec<EntityId> =
            self.store.entities_of_user(&actor.user_id).await?.into_iter().map(|(e, _)| e.id).collect();
        let found = self.store.event_list(after, limit).await?;
        let position = found.last().map_or(after, |e| e.seq);
        let more = found.len() as i64 == limit;
        let seen = |e: &EntityId| only.as_ref().map_or(actor.admin || mine.contains(e), |only| only == e);
        let events = found.into_iter().filter(|e| seen(&e.entity_id)).map(view).collect();
        Ok(EventPage { events, position, more })
    }

    /// Returns the position of the newest line.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event_position(&self) -> Result<i64> {
        Ok(self.store.event_last().await?)
    }
}
