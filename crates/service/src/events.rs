//! The audit trail and what streams of it.

use lanza_api::item::Event;
use lanza_model::id::EntityId;

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
    /// Reads the trail after `after`: the lines of the caller's entities, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event_page(&self, actor: &Actor, after: i64, limit: i64) -> Result<EventPage> {
        actor.require_person()?;
        let mine: Vec<EntityId> =
            self.store.entities_of_user(&actor.user_id).await?.into_iter().map(|(e, _)| e.id).collect();
        let found = self.store.event_list(after, limit).await?;
        let position = found.last().map_or(after, |e| e.seq);
        let more = found.len() as i64 == limit;
        let events = found.into_iter().filter(|e| actor.admin || mine.contains(&e.entity_id)).map(view).collect();
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
