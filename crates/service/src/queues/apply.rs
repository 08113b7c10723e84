//! Queues as a file of a repository says they should be.

use lanza_api::queue::{ApplyQueues, NewQueue, QueueAction, QueueChange};
use lanza_model::{config, policy::unknown_key};
use lanza_store::{accounts::Entity, queues::Queue};
use serde_json::{Map, Value};

use super::queue_busy;
use crate::{Actor, Error, Result, Service};

/// Keys of a queue in a file.
const KEYS: &[&str] = &["name", "target", "config", "templates", "priority", "external_links", "policy"];
/// How many queues a file may have.
const QUEUES: usize = 1000;

impl Service {
    /// Makes, changes and (with `prune`) deletes queues until they are as `wanted` says; with `plan` only says what
    /// would be done. Everything is checked before anything is changed. Whether a queue is paused or draining stays as
    /// it is unless its policy says so.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field by its path; [`Error::Conflict`] when a queue to be deleted has running
    /// items; [`Error::Forbidden`] for others than admins of the entity.
    pub async fn queues_apply(
        &self,
        actor: &Actor,
        entity: &str,
        wanted: ApplyQueues,
        plan: bool,
    ) -> Result<Vec<QueueChange>> {
        let entity = self.queue_admin(actor, entity).await?;
        if wanted.queues.len() > QUEUES {
            return Err(Error::TooLarge { what: "the list of queues".into(), limit: format!("{QUEUES} queues") });
        }
        let mut changes: Vec<(QueueChange, Queue)> = Vec::new();
        for (index, value) in wanted.queues.into_iter().enumerate() {
            let change = self.queue_change(actor, &entity, index, value).await?;
            if changes.iter().any(|(c, _)| c.name == change.0.name) {
                let why = format!("`{}` is there twice", change.0.name);
                return Err(Error::invalid(format!("queues[{index}].name"), why));
            }
            changes.push(change);
        }
        if wanted.prune {
            changes.extend(self.queues_unnamed(&entity, &changes).await?);
        }
        if !plan {
            for (change, queue) in &changes {
                match change.action {
                    QueueAction::Create => {
                        self.store.queue_put(queue.clone(), false, self.now(), &actor.username).await?;
                        self.wakers.changed();
                    }
                    QueueAction::Change => {
                        self.store.queue_put(queue.clone(), true, self.now(), &actor.username).await?;
                        self.wakers.queue_changed(&queue.id);
                    }
                    QueueAction::Delete => self.queue_remove(actor, queue).await?,
                    QueueAction::Keep => {}
                }
            }
        }
        for (change, queue) in &mut changes {
            if change.action != QueueAction::Delete {
                change.warnings = self.queue_warnings(queue).await?;
            }
        }
        Ok(changes.into_iter().map(|(change, _)| change).collect())
    }

    /// What is to be done about one queue of the file.
    async fn queue_change(
        &self,
        actor: &Actor,
        entity: &Entity,
        index: usize,
        value: Value,
    ) -> Result<(QueueChange, Queue)> {
        let below = |e: Error| match e {
            Error::Invalid { field, why, code } => {
                Error::Invalid { field: format!("queues[{index}].{field}"), why, code }
            }
            other => other,
        };
        let (new, has_target) = read(value).map_err(below)?;
        let name = new.name.clone().unwrap_or_default();
        let old = self.store.queue_by_name(&entity.id, &name).await?;
        let given = new.policy.clone().unwrap_or_default();
        let mut queue = self.queue_of(entity, &name, new, None, actor).map_err(below)?;
        let Some(old) = old else {
            let differences = config::differences(&Map::new(), &queue.as_written());
            return Ok((QueueChange { name, action: QueueAction::Create, differences, warnings: Vec::new() }, queue));
        };
        queue.id = old.id.clone();
        queue.access.clone_from(&old.access);
        queue.resource_config_id.clone_from(&old.resource_config_id);
        if !has_target {
            queue.target = old.target;
        }
        if !given.contains_key("paused") {
            queue.paused = old.paused;
        }
        if let (false, Some(draining)) = (given.contains_key("draining"), old.policy.get("draining")) {
            queue.policy.insert("draining".into(), draining.clone());
        }
        let differences = config::differences(&old.as_written(), &queue.as_written());
        let action = if differences.is_empty() { QueueAction::Keep } else { QueueAction::Change };
        Ok((QueueChange { name, action, differences, warnings: Vec::new() }, queue))
    }

    /// The queues that the file does not name, to be deleted.
    async fn queues_unnamed(
        &self,
        entity: &Entity,
        named: &[(QueueChange, Queue)],
    ) -> Result<Vec<(QueueChange, Queue)>> {
        let mut unnamed = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.store.queue_list(&entity.id, &after, 100).await?;
            let Some(last) = page.last() else { return Ok(unnamed) };
            after.clone_from(&last.name);
            for queue in page.into_iter().filter(|q| named.iter().all(|(c, _)| c.name != q.name)) {
                let counts = self.store.queue_counts(&queue.id).await?;
                if ["leased", "running"].iter().any(|state| counts.get(*state).is_some_and(|n| *n > 0)) {
                    return Err(queue_busy(&queue.name));
                }
                let differences = config::differences(&queue.as_written(), &Map::new());
                let (name, action) = (queue.name.clone(), QueueAction::Delete);
                let change = QueueChange { name, action, differences, warnings: Vec::new() };
                unnamed.push((change, queue));
            }
        }
    }
}

/// Reads one queue of a file; says also whether it names a target (or says that there is none).
fn read(value: Value) -> Result<(NewQueue, bool)> {
    let Value::Object(object) = value else {
        return Err(Error::invalid("name", "is missing: a queue is an object with `name`, `target` and so on"));
    };
    if let Some(key) = object.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(Error::invalid(key.clone(), unknown_key("a key of a queue", key, KEYS)));
    }
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(other) => Err(Error::invalid(key, format!("is a text, not `{other}`"))),
    };
    let map = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(o)) => Ok(Some(o.clone())),
        Some(other) => Err(Error::invalid(key, format!("is an object, not `{other}`"))),
    };
    let new = NewQueue {
        name: Some(text("name")?.ok_or_else(|| Error::invalid("name", "is missing"))?),
        target: text("target")?,
        config: map("config")?,
        templates: map("templates")?,
        priority: match object.get("priority") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(b)) => Some(*b),
            // YAML of old reads these words as true and false.
            Some(Value::String(s)) if s == "on" || s == "off" => Some(s == "on"),
            Some(other) => return Err(Error::invalid("priority", format!("is true or false, not `{other}`"))),
        },
        external_links: object.get("external_links").filter(|v| !v.is_null()).cloned(),
        policy: map("policy")?,
    };
    Ok((new, object.contains_key("target")))
}
