//! Queues, and the resource configs that the wandb client makes before it makes a queue.

use std::collections::BTreeMap;

use lanza_model::{
    Target,
    clock::Time,
    config::{self, Difference},
    id::{EntityId, QueueId},
};
use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;

use crate::{
    Error, Result, Store,
    events::{change_insert_in_tx, event_insert_in_tx},
    items::Item,
    lookups::Area,
    row::{Columns, rows_of},
};

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Id.
    pub id: QueueId,
    /// Owner.
    pub entity_id: EntityId,
    /// Name, unique in its entity.
    pub name: String,
    /// Where its items run; none when each item says so.
    pub target: Option<Target>,
    /// The admin's layer of target configuration.
    pub config: Map<String, Value>,
    /// Template variables, a JSON Schema each.
    pub templates: Map<String, Value>,
    /// Whether items have a priority.
    pub prioritised: bool,
    /// Links to show beside the queue.
    pub external_links: Value,
    /// Limits and retries.
    pub policy: Map<String, Value>,
    /// Nothing is handed out.
    pub paused: bool,
    /// `PROJECT` or `USER`, as the wandb client said.
    pub access: String,
    /// Resource config that it was made from.
    pub resource_config_id: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Time,
}

impl Queue {
    /// The queue with the keys and values of a file that describes it.
    pub fn as_written(&self) -> Map<String, Value> {
        let mut policy = self.policy.clone();
        if self.paused {
            policy.insert("paused".into(), Value::Bool(true));
        }
        // Said or not said, it means the same.
        if policy.get("draining") == Some(&Value::Bool(false)) {
            policy.remove("draining");
        }
        let written = json!({
            "target": self.target,
            "config": self.config,
            "templates": self.templates,
            "priority": self.prioritised,
            "external_links": self.external_links,
            "policy": policy,
        });
        match written {
            Value::Object(written) => written,
            _ => Map::new(),
        }
    }

    /// What its admins set about it, without what it does just now: whether it is paused or draining.
    pub fn settings(&self) -> Map<String, Value> {
        let mut settings = self.as_written();
        if let Some(policy) = settings.get_mut("policy").and_then(Value::as_object_mut) {
            policy.retain(|key, _| key != "paused" && key != "draining");
        }
        settings
    }
}

/// What a change changes, for the trail. The trail outlives what was taken out of a queue, so it keeps no value whose
/// name says that it is a secret; a reference to one is none.
fn changes_for_trail(from: &Queue, to: &Queue) -> Vec<Difference> {
    let mut changes = config::differences(&from.as_written(), &to.as_written());
    for change in &mut changes {
        let name = change.path.clone();
        config::hide_secrets(&name, &mut change.from);
        config::hide_secrets(&name, &mut change.to);
    }
    changes
}

/// What the client's `createDefaultResourceConfig` stores.
#[derive(Debug, Clone)]
pub struct ResourceConfig {
    /// Id.
    pub id: String,
    /// Owner.
    pub entity_id: EntityId,
    /// Resource as it was written.
    pub resource: String,
    /// `{"resource_args": {…}}`.
    pub config: Value,
    /// Template variables.
    pub templates: Map<String, Value>,
}

fn queue_of(row: &AnyRow) -> Result<Queue> {
    let target = row.maybe_text("target")?;
    Ok(Queue {
        id: row.parsed("id")?,
        entity_id: row.parsed("entity_id")?,
        name: row.text("name")?,
        target: target.as_deref().and_then(Target::parse),
        config: row.json("config")?,
        templates: row.json("templates")?,
        prioritised: row.flag("prioritised")?,
        external_links: row.json("external_links")?,
        policy: row.json("policy")?,
        paused: row.flag("paused")?,
        access: row.text("access")?,
        resource_config_id: row.maybe_text("resource_config_id")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
    })
}

fn text_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON values serialize")
}

impl Store {
    /// Adds a queue, or with `replace` changes the one of the same name. Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken and `replace` is not set.
    pub async fn queue_put(&self, queue: Queue, replace: bool, now: Time, actor: &str) -> Result<bool> {
        self.queue_write(queue, replace, None, now, actor).await
    }

    /// Changes a queue whose settings are still those of `old`.
    ///
    /// # Errors
    /// [`Error::Moved`] when they are others by now.
    pub async fn queue_put_over(&self, queue: Queue, old: Queue, now: Time, actor: &str) -> Result<bool> {
        self.queue_write(queue, true, Some(old), now, actor).await
    }

    async fn queue_write(
        &self,
        queue: Queue,
        replace: bool,
        over: Option<Queue>,
        now: Time,
        actor: &str,
    ) -> Result<bool> {
        let actor = actor.to_owned();
        let over = over.map(|over| over.settings());
        self.write(move |tx| {
            let (queue, actor, over) = (queue.clone(), actor.clone(), over.clone());
            Box::pin(async move {
                let taken = if replace {
                    "ON CONFLICT (entity_id, name) DO UPDATE SET target = excluded.target, config = excluded.config, \
                     templates = excluded.templates, prioritised = excluded.prioritised, \
                     external_links = excluded.external_links, policy = excluded.policy, paused = excluded.paused, \
                     resource_config_id = excluded.resource_config_id, updated_at = excluded.updated_at"
                } else {
                    ""
                };
                let old = sqlx::query("SELECT * FROM queues WHERE entity_id = $1 AND name = $2")
                    .bind(queue.entity_id.as_str())
                    .bind(&queue.name)
                    .fetch_optional(tx.connection())
                    .await?;
                let old = old.as_ref().map(queue_of).transpose()?;
                if over.is_some() && old.as_ref().map(Queue::settings) != over {
                    return Err(Error::Moved);
                }
                let statement = sqlx::AssertSqlSafe(format!(
                    "INSERT INTO queues (id, entity_id, name, target, config, templates, prioritised, external_links, policy, \
                     paused, access, resource_config_id, created_by, created_at, updated_at) VALUES {} {taken}",
                    rows_of(1, 15)
                ));
                sqlx::query(statement)
                    .bind(queue.id.as_str())
                    .bind(queue.entity_id.as_str())
                    .bind(&queue.name)
                    .bind(queue.target.map(Target::as_str))
                    .bind(text_of(&queue.config))
                    .bind(text_of(&queue.templates))
                    .bind(i16::from(queue.prioritised))
                    .bind(text_of(&queue.external_links))
                    .bind(text_of(&queue.policy))
                    .bind(i16::from(queue.paused))
                    .bind(&queue.access)
                    .bind(queue.resource_config_id.as_deref())
                    .bind(&queue.created_by)
                    .bind(queue.created_at.0)
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                let new = old.is_none();
                let verb = if new { "created" } else { "changed" };
                let changes = old.map(|old| changes_for_trail(&old, &queue)).unwrap_or_default();
                let object = ("queue", queue.name.as_str());
                change_insert_in_tx(tx, now, queue.entity_id.as_str(), &actor, verb, object, &changes);
                Ok(new)
            })
        })
        .await
    }

    /// Changes how a queue hands out: whether it is paused, and its policy with the flag `draining`. `verb` is the line in
    /// the trail: `paused`, `resumed` or `draining`.
    pub async fn queue_set_mode(&self, queue: &Queue, verb: &'static str, now: Time, actor: &str) -> Result<()> {
        let (queue, actor) = (queue.clone(), actor.to_owned());
        self.write(move |tx| {
            let (queue, actor) = (queue.clone(), actor.clone());
            Box::pin(async move {
                sqlx::query("UPDATE queues SET paused = $2, policy = $3, updated_at = $4 WHERE id = $1")
                    .bind(queue.id.as_str())
                    .bind(i16::from(queue.paused))
                    .bind(text_of(&queue.policy))
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                event_insert_in_tx(tx, now, queue.entity_id.as_str(), &actor, verb, ("queue", &queue.name));
                Ok(())
            })
        })
        .await
    }

    /// Finds a queue by name.
    pub async fn queue_by_name(&self, entity: &EntityId, name: &str) -> Result<Option<Queue>> {
        self.look_up((Area::Any, |l| &l.queue_by_name), (entity.clone(), name.to_owned()), async {
            let row = sqlx::query("SELECT * FROM queues WHERE entity_id = $1 AND name = $2")
                .bind(entity.as_str())
                .bind(name)
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(queue_of).transpose()
        })
        .await
    }

    /// Finds a queue by id.
    pub async fn queue_by_id(&self, id: &QueueId) -> Result<Option<Queue>> {
        self.look_up((Area::Any, |l| &l.queue_by_id), id.clone(), async {
            let row = sqlx::query("SELECT * FROM queues WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(queue_of).transpose()
        })
        .await
    }

    /// Lists an entity's queues by name, after `after`.
    pub async fn queue_list(&self, entity: &EntityId, after: &str, limit: i64) -> Result<Vec<Queue>> {
        let rows = sqlx::query("SELECT * FROM queues WHERE entity_id = $1 AND name > $2 ORDER BY name LIMIT $3")
            .bind(entity.as_str())
            .bind(after)
            .bind(limit)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(queue_of).collect()
    }

    /// Counts a queue's items by state.
    pub async fn queue_counts(&self, id: &QueueId) -> Result<BTreeMap<String, i64>> {
        // From the index of the queue's order alone, but for what was stopped: only that may be deleted on the wire.
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS n FROM items WHERE queue_id = $1 AND state <> 'stopped' GROUP BY state UNION ALL \
             SELECT state, COUNT(*) AS n FROM items WHERE queue_id = $1 AND state = 'stopped' AND deleted = 0 GROUP BY state",
        )
        .bind(id.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((r.text("state")?, r.int("n")?))).collect()
    }

    /// Lists the queues that limit the time of their items.
    pub async fn queues_with_time_limits(&self) -> Result<Vec<Queue>> {
        let rows = sqlx::query(
            "SELECT * FROM queues WHERE policy LIKE '%start_timeout_seconds%' OR policy LIKE '%max_duration_seconds%'",
        )
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(queue_of).collect()
    }

    /// Deletes a queue that has no item with an agent; its waiting items end as stopped. Returns those.
    ///
    /// # Errors
    /// [`Error::Moved`] when an agent still holds one of its items.
    pub async fn queue_delete(&self, queue: &Queue, now: Time, actor: &str, reason: String) -> Result<Vec<Item>> {
        let (queue, actor) = (queue.clone(), actor.to_owned());
        self.write(move |tx| {
            let (queue, actor, reason) = (queue.clone(), actor.clone(), reason.clone());
            Box::pin(async move {
                let held = sqlx::query(
                    "SELECT COUNT(*) AS n FROM items WHERE queue_id = $1 AND state IN ('leased', 'running')",
                )
                .bind(queue.id.as_str())
                .fetch_one(tx.connection())
                .await?;
                if held.int("n")? > 0 {
                    return Err(Error::Moved);
                }
                let rows = sqlx::query(
                    "UPDATE items SET state = 'stopped', ended_at = $2, reason = $3, next_retry_at = NULL \
                     WHERE queue_id = $1 AND state = 'queued' RETURNING *",
                )
                .bind(queue.id.as_str())
                .bind(now.0)
                .bind(reason)
                .fetch_all(tx.connection())
                .await?;
                let mut stopped = Vec::with_capacity(rows.len());
                for row in &rows {
                    let item = crate::items::item(row)?;
                    event_insert_in_tx(tx, now, item.entity_id.as_str(), &actor, "stopped", ("item", item.id.as_str()));
                    stopped.push(crate::items::end_in_tx(tx, item, now, now).await?);
                }
                sqlx::query("DELETE FROM queues WHERE id = $1")
                    .bind(queue.id.as_str())
                    .execute(tx.connection())
                    .await?;
                event_insert_in_tx(tx, now, queue.entity_id.as_str(), &actor, "deleted", ("queue", &queue.name));
                Ok(stopped)
            })
        })
        .await
    }

    /// Adds a resource config.
    pub async fn resource_config_insert(&self, config: ResourceConfig, now: Time) -> Result<()> {
        self.write(move |tx| {
            let config = config.clone();
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO resource_configs (id, entity_id, resource, config, templates, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&config.id)
                .bind(config.entity_id.as_str())
                .bind(&config.resource)
                .bind(text_of(&config.config))
                .bind(text_of(&config.templates))
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Finds a resource config.
    pub async fn resource_config_by_id(&self, entity: &EntityId, id: &str) -> Result<Option<ResourceConfig>> {
        let row = sqlx::query("SELECT * FROM resource_configs WHERE entity_id = $1 AND id = $2")
            .bind(entity.as_str())
            .bind(id)
            .fetch_optional(self.read_pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ResourceConfig {
            id: row.text("id")?,
            entity_id: row.parsed("entity_id")?,
            resource: row.text("resource")?,
            config: row.json("config")?,
            templates: row.json("templates")?,
        }))
    }
}
