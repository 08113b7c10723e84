//! Queues: made and changed by admins of the entity, seen by its members.

mod apply;

use std::collections::BTreeSet;

use lanza_api::queue::{NewQueue, Queue as QueueView, QueueAgent};
use lanza_model::{
    Reason, Role, Target, code, config,
    id::QueueId,
    name,
    policy::{self, Policy},
    template,
};
use lanza_store::{
    accounts::Entity,
    queues::{Queue, ResourceConfig},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Actor, Error, Result, Service, agents::status_of};

impl Service {
    /// Makes a queue.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for others than admins of the entity, [`Error::AlreadyExists`], [`Error::Invalid`].
    pub async fn queue_create(&self, actor: &Actor, entity: &str, new: NewQueue) -> Result<Queue> {
        let entity = self.queue_admin(actor, entity).await?;
        let name = new.name.clone().ok_or_else(|| Error::invalid("name", "is missing"))?;
        let queue = self.queue_of(&entity, &name, new, None, actor)?;
        self.store.queue_put(queue.clone(), false, self.now(), &actor.username).await.map_err(|e| match e {
            lanza_store::Error::Exists => Error::AlreadyExists { what: "the queue", id: queue.name.clone() },
            other => other.into(),
        })?;
        self.wakers.changed();
        Ok(queue)
    }

    /// Makes a queue or changes the one of this name; what is not given stays (`replace` false) or gets its default.
    /// Returns whether it is new.
    ///
    /// # Errors
    /// As for [`Service::queue_create`].
    pub async fn queue_put(
        &self,
        actor: &Actor,
        entity: &str,
        name: &str,
        new: NewQueue,
        replace: bool,
    ) -> Result<(Queue, bool)> {
        self.queue_put_at(actor, entity, name, new, replace, None).await
    }

    /// The same, for a caller who saw the settings at `revision` and would not undo what somebody else has set since.
    ///
    /// # Errors
    /// As for [`Service::queue_create`]; [`Error::Conflict`] with [`code::CHANGED_SINCE`].
    pub async fn queue_put_at(
        &self,
        actor: &Actor,
        entity: &str,
        name: &str,
        new: NewQueue,
        replace: bool,
        revision: Option<&str>,
    ) -> Result<(Queue, bool)> {
        let entity = self.queue_admin(actor, entity).await?;
        let old = self.store.queue_by_name(&entity.id, name).await?;
        if old.is_none() && !replace {
            return Err(queue_missing(name));
        }
        if revision.is_some_and(|seen| old.as_ref().is_none_or(|old| revision_of(old) != seen)) {
            return Err(queue_changed(name));
        }
        let mut queue = self.queue_of(&entity, name, new, old.as_ref().filter(|_| !replace), actor)?;
        if let Some(old) = &old {
            queue.id = old.id.clone();
        }
        let is_new = old.is_none();
        match old.filter(|_| revision.is_some()) {
            None => self.store.queue_put(queue.clone(), true, self.now(), &actor.username).await?,
            Some(old) => self.store.queue_put_over(queue.clone(), old, self.now(), &actor.username).await.map_err(
                |e| match e {
                    lanza_store::Error::Moved => queue_changed(name),
                    other => other.into(),
                },
            )?,
        };
        self.wakers.queue_changed(&queue.id);
        Ok((queue, is_new))
    }

    async fn queue_admin(&self, actor: &Actor, entity: &str) -> Result<Entity> {
        actor.require_person()?;
        self.entity_for(actor, entity, Role::Admin).await
    }

    fn queue_of(
        &self,
        entity: &Entity,
        name: &str,
        new: NewQueue,
        old: Option<&Queue>,
        actor: &Actor,
    ) -> Result<Queue> {
        name::check_queue(name)?;
        let target = match new.target.as_deref().filter(|t| !t.is_empty()) {
            None => old.and_then(|o| o.target),
            Some(word) => Some(Target::parse(word).ok_or_else(|| Error::Invalid {
                field: "target".into(),
                why: format!("`{word}` is not a target; the targets are {}", Target::names()),
                code: code::TARGET_UNKNOWN,
            })?),
        };
        let config = new.config.or_else(|| old.map(|o| o.config.clone())).unwrap_or_default();
        let templates = match new.templates {
            Some(t) => template::check_definitions(&t).map_err(|errors| {
                let field = errors.first().map_or_else(String::new, |e| format!("templates.{}", e.name));
                let why = errors.iter().map(|e| e.why.as_str()).collect::<Vec<_>>().join("; ");
                Error::Invalid { field, why, code: code::TEMPLATE_INVALID }
            })?,
            None => old.map(|o| o.templates.clone()).unwrap_or_default(),
        };
        let mut policy = new.policy.or_else(|| old.map(|o| o.policy.clone())).unwrap_or_default();
        // A change of the limits does not end a drain that it says nothing of, as it does not end a pause.
        if let (false, Some(draining)) = (policy.contains_key("draining"), old.and_then(|o| o.policy.get("draining"))) {
            policy.insert("draining".into(), draining.clone());
        }
        policy.retain(|_, v| !v.is_null());
        let read = Policy::parse(&policy).map_err(|e| Error::invalid(format!("policy.{}", e.field), e.why))?;
        policy.remove("paused");
        let paused = read.paused.unwrap_or_else(|| old.is_some_and(|o| o.paused));
        Ok(Queue {
            id: QueueId::new(),
            entity_id: entity.id.clone(),
            name: name.to_owned(),
            target,
            config,
            templates,
            prioritised: new.priority.unwrap_or_else(|| old.is_none_or(|o| o.prioritised)),
            external_links: new
                .external_links
                .or_else(|| old.map(|o| o.external_links.clone()))
                .unwrap_or_else(|| json!({ "links": [] })),
            policy,
            paused,
            access: "PROJECT".into(),
            resource_config_id: None,
            created_by: actor.username.clone(),
            created_at: self.now(),
        })
    }

    /// Finds a queue of an entity that the caller belongs to.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn queue_find(&self, actor: &Actor, entity: &str, name: &str) -> Result<(Entity, Queue)> {
        self.queue_find_as(actor, entity, name, Role::Viewer).await
    }

    /// The same for a caller with at least `role` in the entity.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn queue_find_as(
        &self,
        actor: &Actor,
        entity: &str,
        name: &str,
        role: Role,
    ) -> Result<(Entity, Queue)> {
        let entity = self.entity_for(actor, entity, role).await?;
        let queue = self.store.queue_by_name(&entity.id, name).await?.ok_or_else(|| queue_missing(name))?;
        if !in_reach(actor, &queue) {
            return Err(queue_missing(name));
        }
        Ok((entity, queue))
    }

    /// Finds a queue by id, for a caller who belongs to its entity with at least `role`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn queue_find_by_id(&self, actor: &Actor, id: &str, role: Role) -> Result<(Entity, Queue)> {
        let id: QueueId = id.parse().map_err(|_| queue_missing(id))?;
        let queue = self.store.queue_by_id(&id).await?.ok_or_else(|| queue_missing(id.as_str()))?;
        let entity = self.store.entity_by_id(&queue.entity_id).await?.ok_or_else(|| queue_missing(id.as_str()))?;
        let entity = self.entity_for(actor, &entity.name, role).await?;
        if !in_reach(actor, &queue) {
            return Err(queue_missing(id.as_str()));
        }
        Ok((entity, queue))
    }

    /// Lists an entity's queues by name; a job sees its own.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the entity is invisible.
    pub async fn queue_list(
        &self,
        actor: &Actor,
        entity: &str,
        after: &str,
        limit: i64,
    ) -> Result<(Entity, Vec<Queue>)> {
        let entity = self.entity_for(actor, entity, Role::Viewer).await?;
        let queues = match &actor.job {
            Some(job) if job.queue.as_str() > after => {
                self.store.queue_by_name(&entity.id, &job.queue).await?.into_iter().collect()
            }
            Some(_) => Vec::new(),
            None => self.store.queue_list(&entity.id, after, limit).await?,
        };
        Ok((entity, queues.into_iter().filter(|q| in_reach(actor, q)).collect()))
    }

    /// Lists the names of the secrets that the queues refer to which the caller sees, in order. Their values are with the
    /// agents.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secret_names(&self, actor: &Actor) -> Result<BTreeSet<String>> {
        const PAGE: i64 = 500;
        let mut names = BTreeSet::new();
        for (entity, _) in self.entities_seen(actor).await? {
            let mut after = Some(String::new());
            while let Some(name) = after.take() {
                let queues = self.store.queue_list(&entity.id, &name, PAGE).await?;
                if i64::try_from(queues.len()).is_ok_and(|n| n == PAGE) {
                    after = queues.last().map(|q| q.name.clone());
                }
                for document in queues.iter().filter(|q| in_reach(actor, q)).flat_map(|q| [&q.config, &q.templates]) {
                    document.values().for_each(|value| config::secret_names(value, &mut names));
                }
            }
        }
        Ok(names)
    }

    /// Deletes a queue: its waiting items end as stopped; while an agent holds one of its items it stays.
    ///
    /// # Errors
    /// [`Error::Conflict`] while items run, [`Error::Forbidden`], [`Error::NotFound`].
    pub async fn queue_delete(&self, actor: &Actor, entity: &str, name: &str) -> Result<()> {
        let entity = self.queue_admin(actor, entity).await?;
        let (_, queue) = self.queue_find(actor, &entity.name, name).await?;
        self.queue_remove(actor, &queue).await
    }

    /// Deletes a queue, with everything that follows.
    async fn queue_remove(&self, actor: &Actor, queue: &Queue) -> Result<()> {
        let name = &queue.name;
        let reason = Reason::new(code::STOPPED, format!("the queue `{name}` was deleted by {}", actor.username));
        let reason = serde_json::to_string(&reason).expect("a reason serializes");
        let stopped =
            self.store.queue_delete(queue, self.now(), &actor.username, reason).await.map_err(|e| match e {
                lanza_store::Error::Moved => queue_busy(name),
                other => other.into(),
            })?;
        for item in &stopped {
            self.item_ended(item).await?;
        }
        self.wakers.changed();
        Ok(())
    }

    /// Pauses (nothing is handed out), resumes, or drains a queue (nothing new is taken, what waits still runs).
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::NotFound`].
    pub async fn queue_mode(&self, actor: &Actor, entity: &str, name: &str, mode: QueueMode) -> Result<Queue> {
        self.queue_admin(actor, entity).await?;
        let (_, mut queue) = self.queue_find(actor, entity, name).await?;
        let verb = match mode {
            QueueMode::Open => "resumed",
            QueueMode::Paused => "paused",
            QueueMode::Draining => "draining",
        };
        queue.policy.remove("draining");
        if mode == QueueMode::Draining {
            queue.policy.insert("draining".into(), Value::Bool(true));
        }
        queue.paused = mode == QueueMode::Paused;
        self.store.queue_set_mode(&queue, verb, self.now(), &actor.username).await?;
        self.wakers.queue_changed(&queue.id);
        Ok(queue)
    }

    /// Renders a queue for the native door.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue_view(&self, entity: &Entity, queue: &Queue) -> Result<QueueView> {
        let now = self.now();
        let agents = self.store.agents_of_queue(&queue.id).await?;
        let mut policy = queue.policy.clone();
        if queue.paused {
            policy.insert("paused".into(), Value::Bool(true));
        }
        Ok(QueueView {
            id: queue.id.to_string(),
            revision: revision_of(queue),
            name: queue.name.clone(),
            entity: entity.name.clone(),
            target: queue.target,
            config: queue.config.clone(),
            templates: queue.templates.clone(),
            priority: queue.prioritised,
            external_links: queue.external_links.clone(),
            policy,
            counts: self.store.queue_counts(&queue.id).await?,
            agents: agents
                .iter()
                .map(|a| QueueAgent {
                    id: a.id.to_string(),
                    name: a.name.clone(),
                    status: status_of(a, now).to_owned(),
                })
                .collect(),
            created_at: queue.created_at,
            created_by: queue.created_by.clone(),
        })
    }

    /// Finds what [`Service::resource_config_create`] stored.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the entity is invisible.
    pub async fn resource_config_find(&self, actor: &Actor, entity: &str, id: &str) -> Result<Option<ResourceConfig>> {
        let entity = self.entity_for(actor, entity, Role::Viewer).await?;
        if actor.job.is_some() {
            return Ok(None);
        }
        Ok(self.store.resource_config_by_id(&entity.id, id).await?)
    }

    /// Fills in what a stored config says about a queue that is to be made.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such config, [`Error::Forbidden`] for others than admins.
    pub async fn queue_configured(&self, actor: &Actor, entity: &str, new: NewQueue, config: &str) -> Result<NewQueue> {
        let entity = self.entity_for(actor, entity, Role::Admin).await?;
        let stored = self.store.resource_config_by_id(&entity.id, config).await?;
        let stored = stored.ok_or_else(|| Error::not_found("resource config", config))?;
        let target = Target::parse(&stored.resource).unwrap_or(Target::Docker);
        Ok(NewQueue {
            target: Some(target.as_str().to_owned()),
            config: Some(config_below_resource_args(&stored.config, target)),
            templates: Some(stored.templates),
            ..new
        })
    }

    /// Stores what the wandb client makes before it makes a queue; returns its id.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown resource or broken templates; [`Error::Forbidden`] for others than admins.
    pub async fn resource_config_create(
        &self,
        actor: &Actor,
        entity: &str,
        resource: &str,
        config: Value,
        templates: &Map<String, Value>,
    ) -> Result<String> {
        let entity = self.queue_admin(actor, entity).await?;
        if Target::parse(resource).is_none() {
            return Err(Error::Invalid {
                field: "resource".into(),
                why: format!("`{resource}` is not a target; the targets are {}", Target::names()),
                code: code::TARGET_UNKNOWN,
            });
        }
        let templates = template::check_definitions(templates).map_err(templates_invalid)?;
        let id = QueueId::new().to_string();
        let stored =
            ResourceConfig { id: id.clone(), entity_id: entity.id, resource: resource.to_owned(), config, templates };
        self.store.resource_config_insert(stored, self.now()).await?;
        Ok(id)
    }
}

/// How a queue hands out its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueMode {
    /// As usual.
    Open,
    /// Nothing is handed out; pushes are taken.
    Paused,
    /// Pushes are refused; what waits still runs.
    Draining,
}

/// Whether a queue takes nothing new.
pub fn is_draining(queue: &Queue) -> bool {
    queue.policy.get("draining").and_then(Value::as_bool).unwrap_or(false)
}

/// Returns the grace of a queue for items whose agent is silent, in milliseconds.
pub fn lost_after_ms(queue: Option<&Queue>) -> i64 {
    let seconds = queue.and_then(|q| q.policy.get("lost_after_seconds")).and_then(Value::as_i64);
    seconds.unwrap_or(policy::LOST_AFTER_SECONDS) * 1000
}

/// A job reaches the queue that it came from, and no other.
fn in_reach(actor: &Actor, queue: &Queue) -> bool {
    actor.job.as_ref().is_none_or(|job| job.queue == queue.name && job.queue_entity_id == queue.entity_id.as_str())
}

/// Names the settings of a queue as they are now: the same settings have the same name.
fn revision_of(queue: &Queue) -> String {
    let settings = serde_json::to_vec(&queue.settings()).expect("JSON values serialize");
    let digest = Sha256::digest(settings);
    let (first, _) = digest.split_first_chunk().expect("a digest has more than eight bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

fn queue_changed(name: &str) -> Error {
    Error::Conflict {
        message: format!("somebody else has changed the queue `{name}` in the meantime"),
        code: code::CHANGED_SINCE,
    }
}

fn queue_busy(name: &str) -> Error {
    Error::conflict(format!("the queue `{name}` has running items; stop them or let them end first"))
}

pub(crate) fn queue_missing(name: &str) -> Error {
    Error::NotFound { what: "queue", id: name.to_owned(), code: code::QUEUE_NOT_FOUND }
}

pub(crate) fn templates_invalid(errors: Vec<template::Invalid>) -> Error {
    let field = errors.first().map_or_else(String::new, |e| format!("template_variables.{}", e.name));
    let why = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Error::Invalid { field, why, code: code::TEMPLATE_INVALID }
}

/// Takes the target's object out of `{"resource_args": {"<resource>": {…}}}`, or returns the object itself.
pub fn config_below_resource_args(config: &Value, target: Target) -> Map<String, Value> {
    let object = |v: &Value| v.as_object().cloned().unwrap_or_default();
    match config.get("resource_args").and_then(Value::as_object) {
        Some(all) => {
            all.iter().find(|(k, _)| Target::parse(k) == Some(target)).map(|(_, v)| object(v)).unwrap_or_default()
        }
        None => object(config),
    }
}

/// Merges the submitter's layer over the admin's.
pub fn effective(queue: &Map<String, Value>, item: &Map<String, Value>) -> Map<String, Value> {
    match config::merge(&Value::Object(queue.clone()), &Value::Object(item.clone())) {
        Value::Object(merged) => merged,
        _ => Map::new(),
    }
}
