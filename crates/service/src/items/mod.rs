//! Items: pushed by members, seen by members, stopped by their authors and by admins.

mod follow;
mod from_job;
mod layers;
mod push;
mod stock;
mod view;
mod why;

use lanza_api::item::{Retry, Stop};
use lanza_model::{Priority, Reason, Role, code, id::ItemId, item::StateName, spec::Door};
use lanza_store::{
    accounts::Entity,
    items::{Item, ItemFilter, Stopping},
};
use serde_json::{Map, Value};

use crate::{Actor, Error, Result, Service, actor::require_role};

pub(crate) use follow::run_of_attempt;
pub use push::{Pushed, WirePush};
pub(crate) use stock::resumed;
pub(crate) use why::Looks;

/// What a list of items is asked for by.
#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    /// Entity; none means all of the caller's... first entity.
    pub entity: Option<String>,
    /// Queue of that entity.
    pub queue: Option<String>,
    /// States, comma separated.
    pub states: Option<String>,
    /// Job, with or without a version.
    pub job: Option<String>,
    /// Author.
    pub author: Option<String>,
    /// Items older than this id; by place, those behind this place.
    pub after: Option<String>,
    /// `newest`, unless it says `place`: what waits on one queue, in the order in which it is handed out.
    pub order: Option<String>,
}

/// Where a list by place goes on behind an item: `<number of its priority>:<id>`.
pub fn place_cursor(priority: Priority, id: &str) -> String {
    format!("{}:{id}", priority.number())
}

fn place_of(cursor: &str) -> Option<(Priority, ItemId)> {
    let (priority, id) = cursor.split_once(':')?;
    Some((Priority::from_number(priority.parse().ok()?)?, id.parse().ok()?))
}

/// The author of an item ends it, and the admins of its queue's entity do.
fn may_end(actor: &Actor, entity: &Entity, role: Role, item: &Item, verb: &str) -> Result<()> {
    if item.author_id == actor.user_id || role >= Role::Admin {
        return Ok(());
    }
    let (author, entity) = (&item.author, &entity.name);
    Err(Error::Forbidden(format!("only `{author}` and admins of `{entity}` may {verb} this item")))
}

/// What an item was launched with, to launch it again: as its author said it, in another run.
fn spec_again(item: &Item) -> Map<String, Value> {
    let mut spec = item.spec.clone();
    for key in ["run_id", "idempotency_key", "_resume_count", "not_before", "rebuild"] {
        spec.remove(key);
    }
    // The version that ran, not what an alias means by now.
    if let Some(job) = &item.job {
        spec.insert("job".into(), Value::String(job.clone()));
    }
    if !item.template_variables.is_empty() {
        spec.insert("template_variables".into(), Value::Object(item.template_variables.clone()));
    }
    spec.insert("priority".into(), Value::from(item.priority.number()));
    spec
}

/// The reason of an item that was stopped: who asked for it, where somebody did, else what ended it.
pub(crate) fn stopped_by(who: &str) -> Reason {
    Reason::new(code::STOPPED, format!("stopped by {who}"))
}

/// The reason of an item whose own agent stopped it. It does so for whoever asked for the item's stop, and also when
/// somebody told the agent itself.
pub(crate) fn stopped_by_its_agent(item: &Item) -> Reason {
    stopped_by(item.stop_requested_by.as_deref().unwrap_or("its agent, which was told to stop"))
}

pub(crate) fn item_missing(id: &str) -> Error {
    Error::not_found("item", id)
}

impl Service {
    /// Finds an item of an entity that the caller belongs to, with the entity and the caller's role.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn item_find(&self, actor: &Actor, id: &str) -> Result<(Entity, Role, Item)> {
        let missing = || item_missing(id);
        let parsed: ItemId = id.parse().map_err(|_| missing())?;
        let item = self.store.item_by_id(&parsed).await?.ok_or_else(missing)?;
        let entity = self.store.entity_by_id(&item.entity_id).await?.ok_or_else(missing)?;
        let (entity, role) = self.entity_seen(actor, &entity.name).await.map_err(|_| missing())?;
        if let Some(job) = &actor.job
            && job.queue != item.queue_name
        {
            return Err(missing());
        }
        Ok((entity, role, item))
    }

    /// Lists items, newest first or by place.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an invisible entity or queue, [`Error::Invalid`] for an unknown state or order.
    pub async fn item_list(&self, actor: &Actor, query: &ItemQuery, limit: i64) -> Result<Vec<(Entity, Item)>> {
        let name = match &query.entity {
            Some(name) => name.clone(),
            None => self.default_entity(actor).await?,
        };
        let entity = self.entity_for(actor, &name, Role::Viewer).await?;
        let queue = match query.queue.as_deref().or(actor.job.as_ref().map(|j| j.queue.as_str())) {
            None => None,
            Some(queue) => Some(self.queue_find(actor, &entity.name, queue).await?.1.id),
        };
        let mut states = Vec::new();
        for word in query.states.as_deref().unwrap_or_default().split(',').filter(|w| !w.is_empty()) {
            states.push(StateName::parse(word).ok_or_else(|| {
                let known = StateName::ALL.map(StateName::as_str).join(", ");
                Error::invalid("state", format!("`{word}` is not a state; the states are {known}"))
            })?);
        }
        let wrong = || Error::invalid("after", "is not a cursor of this list");
        let mut filter = ItemFilter {
            entity: Some(entity.id.clone()),
            queue,
            states,
            job: query.job.clone(),
            author: query.author.clone(),
            after: None,
        };
        let found = match query.order.as_deref().unwrap_or("newest") {
            "newest" => {
                filter.after = query.after.as_deref().map(|text| text.parse().map_err(|_| wrong())).transpose()?;
                self.store.item_list(&filter, limit).await?
            }
            "place" => {
                let Some(queue) = &filter.queue else {
                    return Err(Error::invalid("order", "`place` is an order of one queue; name it with `queue`"));
                };
                if filter.states.iter().any(|state| *state != StateName::Queued) {
                    return Err(Error::invalid("state", "only what is `queued` has a place"));
                }
                let after = query.after.as_deref().map(|text| place_of(text).ok_or_else(wrong)).transpose()?;
                self.store.items_by_place(queue, &filter, after.as_ref(), limit).await?
            }
            other => {
                return Err(Error::invalid(
                    "order",
                    format!("`{other}` is not an order; the orders are newest, place"),
                ));
            }
        };
        Ok(found.into_iter().map(|i| (entity.clone(), i)).collect())
    }

    /// Asks to stop an item: at once where nobody has begun, else through its agent.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for others than the author and admins, [`Error::Conflict`] when it has ended.
    pub async fn item_stop(&self, actor: &Actor, id: &str, stop: &Stop) -> Result<(Entity, Item)> {
        actor.require_person()?;
        let (entity, role, item) = self.item_find(actor, id).await?;
        may_end(actor, &entity, role, &item, "stop")?;
        require_role(&entity, role, Role::Member)?;
        match self.item_stop_now(&item, stop.grace_seconds, &actor.username, false).await? {
            Some(Stopping::Stopped(i) | Stopping::Asked(i)) => Ok((entity, *i)),
            Some(Stopping::Ended(i)) => Err(Error::conflict(format!("the item is {} already", i.state.as_str()))),
            None => Err(item_missing(id)),
        }
    }

    /// Stops an item on behalf of `by`, with everything that follows.
    pub(crate) async fn item_stop_now(
        &self,
        item: &Item,
        grace_seconds: Option<u32>,
        by: &str,
        deleted: bool,
    ) -> Result<Option<Stopping>> {
        let done = self.store.item_stop(&item.id, grace_seconds, stopped_by(by), deleted, self.now(), by).await?;
        if let Some(Stopping::Stopped(stopped)) = &done {
            self.item_ended(stopped).await?;
        }
        if let Some(Stopping::Asked(asked)) = &done {
            self.wakers.agent_wanted();
            if asked.stock {
                self.run_stop_for_item(asked).await?;
            }
        }
        self.wakers.changed();
        Ok(done)
    }

    /// Deletes a waiting item as the wire's `deleteFromRunQueue` does: null there, stopped in REST.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::NotFound`], [`Error::Conflict`] when an agent has it.
    pub async fn item_delete(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.require_person()?;
        let (entity, role, item) = self.item_find(actor, id).await?;
        may_end(actor, &entity, role, &item, "delete")?;
        if item.state != StateName::Queued {
            return Err(Error::conflict(format!(
                "the item is {}; only a waiting item can be deleted",
                item.state.as_str()
            )));
        }
        self.item_stop_now(&item, None, &actor.username, true).await?;
        Ok(())
    }

    /// Launches an item's request again, as the caller. That the first one was built anew does not carry over.
    ///
    /// # Errors
    /// [`Error::Conflict`] while it has not ended, and everything that a push can say.
    pub async fn item_retry(&self, actor: &Actor, id: &str, retry: &Retry) -> Result<Pushed> {
        let (entity, _, item) = self.item_find(actor, id).await?;
        if !item.state.is_ended() {
            return Err(Error::conflict(format!(
                "the item is {}; only an ended item can be launched again",
                item.state.as_str()
            )));
        }
        let mut spec = spec_again(&item);
        if retry.rebuild {
            spec.insert("rebuild".into(), Value::Bool(true));
        }
        self.item_push(actor, &entity.name, &item.queue_name, Value::Object(spec), Door::Wire, WirePush::default())
            .await
    }
}
