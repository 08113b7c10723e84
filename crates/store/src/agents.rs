//! Agents: who serves which queues, and when each was last heard of.

use std::sync::Arc;

use lanza_model::{
    Target,
    clock::Time,
    id::{AgentId, EntityId, QueueId},
    resources::Capacity,
};
use serde_json::Value;
use sqlx::any::AnyRow;

use crate::{Result, Store, events::event_insert_in_tx, lookups::Area, row::Columns};

/// A launch agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Id.
    pub id: AgentId,
    /// Entity whose queues it serves.
    pub entity_id: EntityId,
    /// Short name.
    pub name: String,
    /// Random text of its state folder.
    pub state_key: String,
    /// Whether it is the wandb client's agent.
    pub stock: bool,
    /// Machine.
    pub host: String,
    /// Version.
    pub version: String,
    /// What it can serve.
    pub targets: Vec<Target>,
    /// How many items at once.
    pub slots: Option<i64>,
    /// What its machine has to hand out; none when nobody counts it.
    pub resources: Option<Capacity>,
    /// Its settings, for admins.
    pub settings: Value,
    /// `polling running draining killed`.
    pub status: String,
    /// `none drain stop`.
    pub command: String,
    /// User that runs it.
    pub created_by: String,
    /// When it registered first.
    pub created_at: Time,
    /// Last sign of life.
    pub last_seen: Time,
}

fn agent(row: &AnyRow) -> Result<Agent> {
    let targets: Vec<String> = row.json("targets")?;
    Ok(Agent {
        id: row.parsed("id")?,
        entity_id: row.parsed("entity_id")?,
        name: row.text("name")?,
        state_key: row.text("state_key")?,
        stock: row.flag("stock")?,
        host: row.text("host")?,
        version: row.text("version")?,
        targets: targets.iter().filter_map(|t| Target::parse(t)).collect(),
        slots: row.maybe_int("slots")?,
        resources: row.maybe_json("resources")?,
        settings: row.json("settings")?,
        status: row.text("status")?,
        command: row.text("command")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        last_seen: row.time("last_seen")?,
    })
}

impl Store {
    /// Registers an agent: the same state key in the same entity is the same agent. Returns its id.
    pub async fn agent_register(&self, new: Agent, queues: Vec<QueueId>) -> Result<AgentId> {
        self.write_in(Area::Agents, move |tx| {
            let (new, queues) = (new.clone(), queues.clone());
            Box::pin(async move {
                let targets: Vec<&str> = new.targets.iter().map(|t| t.as_str()).collect();
                let row = sqlx::query(
                    "INSERT INTO agents (id, entity_id, name, state_key, stock, host, version, targets, slots, settings, status, \
                     command, created_by, created_at, last_seen, resources) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                     ON CONFLICT (entity_id, state_key) DO UPDATE SET host = excluded.host, version = excluded.version, \
                     targets = excluded.targets, slots = excluded.slots, settings = excluded.settings, \
                     status = excluded.status, command = excluded.command, created_by = excluded.created_by, \
                     last_seen = excluded.last_seen, resources = excluded.resources RETURNING id",
                )
                .bind(new.id.as_str())
                .bind(new.entity_id.as_str())
                .bind(&new.name)
                .bind(&new.state_key)
                .bind(i16::from(new.stock))
                .bind(&new.host)
                .bind(&new.version)
                .bind(serde_json::to_string(&targets).expect("words serialize"))
                .bind(new.slots)
                .bind(new.settings.to_string())
                .bind(&new.status)
                .bind(&new.command)
                .bind(&new.created_by)
                .bind(new.created_at.0)
                .bind(new.last_seen.0)
                .bind(new.resources.map(|r| serde_json::to_string(&r).expect("numbers serialize")))
                .fetch_one(tx.connection())
                .await?;
                let id: AgentId = row.parsed("id")?;
                sqlx::query("DELETE FROM agent_queues WHERE agent_id = $1").bind(id.as_str()).execute(tx.connection()).await?;
                for queue in &queues {
                    sqlx::query("INSERT INTO agent_queues (agent_id, queue_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(id.as_str())
                        .bind(queue.as_str())
                        .execute(tx.connection())
                        .await?;
                }
                let actor = format!("agent:{id}");
                event_insert_in_tx(tx, new.last_seen, new.entity_id.as_str(), &actor, "registered", ("agent", id.as_str()));
                Ok(id)
            })
        })
        .await
    }

    /// Finds an agent.
    pub async fn agent_by_id(&self, id: &AgentId) -> Result<Option<Agent>> {
        self.look_up((Area::Agents, |l| &l.agent_by_id), id.clone(), async {
            let row = sqlx::query("SELECT * FROM agents WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(agent).transpose()
        })
        .await
    }

    /// Lists an entity's agents, newest registration first, after `after` (an id): all, or `live` those that did not end.
    pub async fn agent_list(
        &self,
        entity: &EntityId,
        after: Option<&AgentId>,
        live: bool,
        limit: i64,
    ) -> Result<Vec<Agent>> {
        let text = if live {
            "SELECT * FROM agents WHERE entity_id = $1 AND id < $2 AND status <> 'killed' ORDER BY id DESC LIMIT $3"
        } else {
            "SELECT * FROM agents WHERE entity_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        };
        let rows = sqlx::query(text)
            .bind(entity.as_str())
            .bind(after.map_or("g", AgentId::as_str))
            .bind(limit)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(agent).collect()
    }

    /// Lists the agents that serve a queue, last heard of first.
    pub async fn agents_of_queue(&self, queue: &QueueId) -> Result<Arc<[Agent]>> {
        self.look_up((Area::Agents, |l| &l.agents_of_queue), queue.clone(), async {
            let rows = sqlx::query(
                "SELECT a.* FROM agents a JOIN agent_queues q ON q.agent_id = a.id WHERE q.queue_id = $1 \
                 ORDER BY a.last_seen DESC LIMIT 200",
            )
            .bind(queue.as_str())
            .fetch_all(self.read_pool())
            .await?;
            rows.iter().map(agent).collect()
        })
        .await
    }

    /// Returns the ids and names of the queues that an agent serves.
    pub async fn agent_queues(&self, agent: &AgentId) -> Result<Vec<(QueueId, String)>> {
        let rows = sqlx::query(
            "SELECT q.id, q.name FROM queues q JOIN agent_queues a ON a.queue_id = q.id WHERE a.agent_id = $1 ORDER BY q.name",
        )
        .bind(agent.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((r.parsed("id")?, r.text("name")?))).collect()
    }

    /// Returns the ids of the items that an agent holds.
    pub async fn agent_items(&self, agent: &AgentId) -> Result<Vec<String>> {
        let rows =
            sqlx::query("SELECT id FROM items WHERE agent_id = $1 AND state IN ('leased', 'running') ORDER BY id")
                .bind(agent.as_str())
                .fetch_all(self.read_pool())
                .await?;
        rows.iter().map(|r| r.text("id")).collect()
    }

    /// Notes a sign of life and, if given, the status. KILLED is final for a stock agent: what comes after it is too
    /// late. Returns whether the agent exists.
    pub async fn agent_seen(&self, id: &AgentId, status: Option<&'static str>, now: Time) -> Result<bool> {
        let id = id.clone();
        self.write_in(Area::Agents, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE agents SET last_seen = $2, \
                     status = CASE WHEN stock = 1 AND status = 'killed' THEN status ELSE COALESCE($3, status) END \
                     WHERE id = $1",
                )
                .bind(id.as_str())
                .bind(now.0)
                .bind(status)
                .execute(tx.connection())
                .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Leaves word for an agent: `drain` or `stop`.
    pub async fn agent_command(&self, found: &Agent, command: &'static str, now: Time, actor: &str) -> Result<()> {
        let (found, actor) = (found.clone(), actor.to_owned());
        self.write_in(Area::Agents, move |tx| {
            let (found, actor) = (found.clone(), actor.clone());
            Box::pin(async move {
                sqlx::query("UPDATE agents SET command = $2 WHERE id = $1")
                    .bind(found.id.as_str())
                    .bind(command)
                    .execute(tx.connection())
                    .await?;
                event_insert_in_tx(tx, now, found.entity_id.as_str(), &actor, command, ("agent", found.id.as_str()));
                Ok(())
            })
        })
        .await
    }
}
