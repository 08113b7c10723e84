//! Reading items and attempts.

use lanza_model::{
    Phase, Priority, Target,
    clock::Time,
    id::{EntityId, ItemId, QueueId},
    item::StateName,
};
use serde_json::{Map, Value};
use sqlx::any::AnyRow;

use super::{Item, monitor::NOT_ENDED};
use crate::{Error, Result, Store, Tx, row::Columns};

/// One try at an item, with its phases.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// From 1.
    pub number: u32,
    /// Who tried.
    pub agent_id: Option<String>,
    /// `leased running finished failed stopped lost`.
    pub state: String,
    /// When the agent took it.
    pub leased_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Why it ended so.
    pub reason: Option<lanza_model::Reason>,
    /// Phases in order: begin and end.
    pub phases: Vec<(Phase, Time, Option<Time>)>,
}

/// What the attempts of some items took.
#[derive(Debug, Clone)]
pub struct Used {
    /// The user, queue, project or job; none for items without a job.
    pub key: Option<String>,
    /// What the items asked of the machine.
    pub resources: Map<String, Value>,
    /// What was set aside for them, if their agents said so.
    pub reserved: Option<Value>,
    /// How many items.
    pub items: i64,
    /// Sum of their attempts' times, in milliseconds.
    pub ms: i64,
}

/// Whose attempts are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedIn<'a> {
    /// All of an entity's queues.
    Entity(&'a EntityId),
    /// One queue.
    Queue(&'a QueueId),
}

/// What attempts are summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedBy {
    /// Authors.
    User,
    /// Queues.
    Queue,
    /// Projects of the runs.
    Project,
    /// Jobs, each version by itself.
    Job,
}

/// What a list of items is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct ItemFilter {
    /// One entity.
    pub entity: Option<EntityId>,
    /// One queue.
    pub queue: Option<QueueId>,
    /// Any of these states; empty means all.
    pub states: Vec<StateName>,
    /// `e/p/name`, with or without a version.
    pub job: Option<String>,
    /// Author's name.
    pub author: Option<String>,
    /// Items older than this one.
    pub after: Option<ItemId>,
}

/// The conditions of a list, with what they compare with.
struct Chosen {
    sql: String,
    values: Vec<String>,
}

impl Chosen {
    /// What a filter says of an item's queue, author and job.
    fn of(filter: &ItemFilter) -> Self {
        let mut chosen = Self { sql: "deleted = 0".to_owned(), values: Vec::new() };
        if let Some(queue) = &filter.queue {
            chosen.and("queue_id = {}", queue.to_string());
        }
        if let Some(author) = &filter.author {
            chosen.and("author = {}", author.clone());
        }
        match &filter.job {
            Some(job) if job.contains(':') => chosen.and("job = {}", job.clone()),
            Some(job) => {
                // A name may contain `_` and `%`, which LIKE would take for wildcards.
                let escaped = job.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                chosen.and("job LIKE {} ESCAPE '\\'", format!("{escaped}:%"));
            }
            None => {}
        }
        chosen
    }

    fn and(&mut self, clause: &str, value: String) {
        self.values.push(value);
        self.sql.push_str(" AND ");
        self.sql.push_str(&clause.replace("{}", &format!("${}", self.values.len())));
    }
}

pub(super) fn legal<T>(column: &'static str, found: Option<T>, text: &str) -> Result<T> {
    found.ok_or_else(|| Error::Config(format!("the stored {column} `{text}` is not legal")))
}

pub(crate) fn item(row: &AnyRow) -> Result<Item> {
    let (target, state) = (row.text("target")?, row.text("state")?);
    let small = |column: &str| -> Result<Option<i32>> { Ok(row.maybe_int(column)?.map(|n| n as i32)) };
    Ok(Item {
        id: row.parsed("id")?,
        entity_id: row.parsed("entity_id")?,
        queue_id: row.parsed("queue_id")?,
        queue_name: row.text("queue_name")?,
        target: legal("target", Target::parse(&target), &target)?,
        state: legal("state", StateName::parse(&state), &state)?,
        phase: row.maybe_text("phase")?.as_deref().and_then(Phase::parse),
        attempt: row.int("attempt")? as u32,
        max_attempts: row.int("max_attempts")? as u32,
        losses: row.int("losses")? as u32,
        next_retry_at: row.maybe_time("next_retry_at")?,
        agent_id: row.maybe_parsed("agent_id")?,
        stock: row.flag("stock")?,
        priority: Priority::from_number(row.int("priority")?).unwrap_or_default(),
        author_id: row.parsed("author_id")?,
        author: row.text("author")?,
        created_at: row.time("created_at")?,
        leased_at: row.maybe_time("leased_at")?,
        lease_expires_at: row.maybe_time("lease_expires_at")?,
        acknowledged_at: row.maybe_time("acknowledged_at")?,
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
        unreachable_since: row.maybe_time("unreachable_since")?,
        stop_requested_at: row.maybe_time("stop_requested_at")?,
        stop_requested_by: row.maybe_text("stop_requested_by")?,
        stop_grace_seconds: row.maybe_int("stop_grace_seconds")?.map(|n| n as u32),
        deleted: row.flag("deleted")?,
        exit_code: small("exit_code")?,
        signal: small("signal")?,
        reason: row.maybe_json("reason")?,
        warnings: row.json("warnings")?,
        spec: row.json("spec")?,
        job: row.maybe_text("job")?,
        job_artifact: row.maybe_text("job_artifact")?,
        code_artifact: row.maybe_text("code_artifact")?,
        run_entity: row.text("run_entity")?,
        run_project: row.text("run_project")?,
        planned_run: row.text("planned_run")?,
        run: row.maybe_text("run")?,
        runs: row.json("runs")?,
        name: row.maybe_text("name")?,
        queue_config: row.json("queue_config")?,
        item_config: row.json("item_config")?,
        template_variables: row.json("template_variables")?,
        resources: row.json("resources")?,
        reserved: row.maybe_json("reserved")?,
        stop_cause: row.maybe_json("stop_cause")?,
        not_before: row.maybe_time("not_before")?,
        idempotency_key: row.maybe_text("idempotency_key")?,
        environment: row.maybe_json("environment")?,
        source: row.maybe_json("source")?,
    })
}

pub(super) async fn item_in_tx(tx: &mut Tx, id: &ItemId) -> Result<Option<Item>> {
    let row =
        sqlx::query("SELECT * FROM items WHERE id = $1").bind(id.as_str()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(item).transpose()
}

impl Store {
    /// Finds an item.
    pub async fn item_by_id(&self, id: &ItemId) -> Result<Option<Item>> {
        let row =
            sqlx::query("SELECT * FROM items WHERE id = $1").bind(id.as_str()).fetch_optional(self.read_pool()).await?;
        row.as_ref().map(item).transpose()
    }

    /// Lists items, newest first.
    pub async fn item_list(&self, filter: &ItemFilter, limit: i64) -> Result<Vec<Item>> {
        let mut chosen = Chosen::of(filter);
        // What has not ended of a queue is found by the index of its states; by that of the entity all that ended since
        // would be walked for it.
        let held = filter.queue.is_some() && !filter.states.is_empty() && !filter.states.iter().any(|s| s.is_ended());
        if let Some(entity) = filter.entity.as_ref().filter(|_| !held) {
            chosen.and("entity_id = {}", entity.to_string());
        }
        if let Some(after) = &filter.after {
            chosen.and("id < {}", after.to_string());
        }
        if !filter.states.is_empty() {
            let words = filter.states.iter().map(|s| format!("'{}'", s.as_str())).collect::<Vec<_>>().join(", ");
            chosen.sql.push_str(&format!(" AND state IN ({words})"));
        }
        self.items_chosen(chosen, "id DESC", limit).await
    }

    /// Lists the waiting items of the filter's queue in the order in which they are handed out, behind `after`. Of the
    /// filter counts what is not about states and ids.
    pub async fn items_by_place(
        &self,
        queue: &QueueId,
        filter: &ItemFilter,
        after: Option<&(Priority, ItemId)>,
        limit: i64,
    ) -> Result<Vec<Item>> {
        // Without the entity, which the queue implies: both engines then walk the index of the queue's order.
        let mut chosen = Chosen::of(&ItemFilter { queue: Some(queue.clone()), ..filter.clone() });
        chosen.sql.push_str(" AND state = 'queued'");
        if let Some((priority, id)) = after {
            chosen.and(&format!("(priority, id) > ({}, {{}})", priority.number()), id.to_string());
        }
        self.items_chosen(chosen, "priority, id", limit).await
    }

    async fn items_chosen(&self, chosen: Chosen, order: &str, limit: i64) -> Result<Vec<Item>> {
        let sql = format!("SELECT * FROM items WHERE {} ORDER BY {order} LIMIT {limit}", chosen.sql);
        let query = chosen.values.into_iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), sqlx::query::Query::bind);
        query.fetch_all(self.read_pool()).await?.iter().map(item).collect()
    }

    /// Returns the attempts of an item with their phases, first to last.
    pub async fn attempt_list(&self, id: &ItemId) -> Result<Vec<AttemptRow>> {
        let rows = sqlx::query(
            "SELECT number, agent_id, state, leased_at, ended_at, exit_code, reason FROM attempts WHERE item_id = $1 ORDER BY number",
        )
        .bind(id.as_str())
        .fetch_all(self.read_pool())
        .await?;
        let mut attempts = rows
            .iter()
            .map(|row| {
                Ok(AttemptRow {
                    number: row.int("number")? as u32,
                    agent_id: row.maybe_text("agent_id")?,
                    state: row.text("state")?,
                    leased_at: row.time("leased_at")?,
                    ended_at: row.maybe_time("ended_at")?,
                    exit_code: row.maybe_int("exit_code")?.map(|n| n as i32),
                    reason: row.maybe_json("reason")?,
                    phases: Vec::new(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = sqlx::query("SELECT attempt, name, started_at, ended_at FROM phases WHERE item_id = $1")
            .bind(id.as_str())
            .fetch_all(self.read_pool())
            .await?;
        for row in &rows {
            let number = row.int("attempt")? as u32;
            if let (Some(phase), Some(attempt)) =
                (Phase::parse(&row.text("name")?), attempts.iter_mut().find(|a| a.number == number))
            {
                attempt.phases.push((phase, row.time("started_at")?, row.maybe_time("ended_at")?));
            }
        }
        for attempt in &mut attempts {
            attempt.phases.sort_by_key(|(phase, ..)| *phase);
        }
        Ok(attempts)
    }

    /// Counts the waiting items of a queue that come before `item` and may go at `now`, up to `most`.
    pub async fn items_ahead(&self, item: &Item, now: Time, most: i64) -> Result<i64> {
        sqlx::query(
            "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM items WHERE queue_id = $1 AND state = 'queued' \
             AND (priority, id) < ($2, $3) AND COALESCE(not_before, 0) <= $5 \
             AND COALESCE(next_retry_at, 0) <= $5 ORDER BY priority, id LIMIT $4) AS ahead",
        )
        .bind(item.queue_id.as_str())
        .bind(item.priority.number())
        .bind(item.id.as_str())
        .bind(most)
        .bind(now.0)
        .fetch_one(self.read_pool())
        .await?
        .int("n")
    }

    /// Returns how long, in milliseconds, the last `sample` finished attempts of a queue took, newest first.
    pub async fn queue_durations(&self, queue: &QueueId, sample: i64) -> Result<Vec<i64>> {
        let rows = sqlx::query(
            "SELECT e.ms FROM (SELECT state, ended_at, ended_at - leased_at AS ms FROM items \
             WHERE queue_id = $1 AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT $2) AS e \
             WHERE e.state = 'finished' AND e.ms IS NOT NULL ORDER BY e.ended_at DESC LIMIT $3",
        )
        .bind(queue.as_str())
        // Where nothing ever finishes the search ends, too.
        .bind(sample * 20)
        .bind(sample)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| r.int("ms")).collect()
    }

    /// Sums up the attempts of an entity's or a queue's items between `since` and `until`: what began before counts from
    /// `since` on, what has not ended up to `until`.
    pub async fn attempts_used(&self, scope: UsedIn<'_>, by: UsedBy, since: Time, until: Time) -> Result<Vec<Used>> {
        let column = match by {
            UsedBy::User => "author",
            UsedBy::Queue => "queue_name",
            UsedBy::Project => "run_project",
            UsedBy::Job => "job",
        };
        let columns =
            format!("SELECT id, {column} AS grp, resources, reserved, attempt, state, leased_at, ended_at FROM items");
        let (id, items) = match scope {
            UsedIn::Entity(entity) => (entity.as_str(), format!("{columns} WHERE entity_id = $1")),
            // By the index of ends, so that what ended long ago is not looked at.
            UsedIn::Queue(queue) => (
                queue.as_str(),
                format!(
                    "{columns} WHERE queue_id = $1 AND ended_at > $2 UNION ALL \
                     {columns} WHERE queue_id = $1 AND {NOT_ENDED} AND attempt > 0"
                ),
            ),
        };
        // Most items have one attempt, whose times they have themselves.
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT u.grp, u.resources, u.reserved, CAST(SUM(u.n) AS BIGINT) AS n, CAST(SUM(u.ms) AS BIGINT) AS ms FROM ( \
             SELECT o.grp, o.resources, o.reserved, 1 AS n, \
             CASE WHEN o.ended_at IS NULL OR o.ended_at > $3 THEN $3 ELSE o.ended_at END \
             - CASE WHEN o.leased_at < $2 THEN $2 ELSE o.leased_at END AS ms FROM ({items}) AS o \
             WHERE o.attempt = 1 AND o.state <> 'queued' AND COALESCE(o.ended_at, $3) > $2 AND o.leased_at <= $3 \
             UNION ALL \
             SELECT m.grp, m.resources, m.reserved, 1 AS n, CAST(SUM(m.ms) AS BIGINT) AS ms FROM ( \
             SELECT i.id, i.grp, i.resources, i.reserved, \
             CASE WHEN a.ended_at IS NULL OR a.ended_at > $3 THEN $3 ELSE a.ended_at END \
             - CASE WHEN a.leased_at < $2 THEN $2 ELSE a.leased_at END AS ms \
             FROM ({items}) AS i JOIN attempts a ON a.item_id = i.id WHERE (i.attempt > 1 OR i.state = 'queued') \
             AND COALESCE(a.ended_at, $3) > $2 AND a.leased_at <= $3) AS m GROUP BY m.id, m.grp, m.resources, m.reserved \
             ) AS u GROUP BY u.grp, u.resources, u.reserved"
        )))
        .bind(id)
        .bind(since.0)
        .bind(until.0)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Used {
                    key: row.maybe_text("grp")?,
                    resources: row.json("resources")?,
                    reserved: row.maybe_json("reserved")?,
                    items: row.int("n")?,
                    ms: row.int("ms")?,
                })
            })
            .collect()
    }

    /// Lists running items of a queue that nobody asked to stop and that took too long: acknowledged by `started_by`
    /// and not begun yet, or begun by `ended_by`. A stock agent's item has begun once it has a run.
    pub async fn items_overtime(
        &self,
        queue: &QueueId,
        started_by: Option<Time>,
        ended_by: Option<Time>,
    ) -> Result<Vec<Item>> {
        let rows = sqlx::query(
            "SELECT * FROM items WHERE queue_id = $1 AND state = 'running' AND stop_requested_at IS NULL \
             AND ((started_at IS NULL AND (stock = 0 OR run IS NULL) AND acknowledged_at <= $2) \
             OR started_at <= $3 OR (stock = 1 AND run IS NOT NULL AND acknowledged_at <= $3))",
        )
        .bind(queue.as_str())
        .bind(started_by.map_or(i64::MIN, |t| t.0))
        .bind(ended_by.map_or(i64::MIN, |t| t.0))
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(item).collect()
    }

    /// Whether a queue of these may have something to hand out now. Cheap: a claim asks before it writes.
    pub async fn items_waiting(&self, queues: &[QueueId], now: Time) -> Result<bool> {
        for queue in queues {
            let row = sqlx::query(
                // Ordered, so that Postgres walks the index of the queue instead of looking through the whole table.
                "SELECT 1 AS one FROM items WHERE queue_id = $1 AND state = 'queued' AND COALESCE(not_before, 0) <= $2 \
                 AND COALESCE(next_retry_at, 0) <= $2 ORDER BY priority, id LIMIT 1",
            )
            .bind(queue.as_str())
            .bind(now.0)
            .fetch_optional(self.read_pool())
            .await?;
            if row.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists items that time has something to say about: leases that ended before `now`, and what runs at agents that are
    /// gone, that were last seen before `silent_since`, or that were silent before. With each comes when its agent was
    /// last seen.
    pub async fn items_overdue(&self, now: Time, silent_since: Time) -> Result<Vec<(Item, Option<Time>)>> {
        let rows = sqlx::query(
            "SELECT i.*, a.last_seen AS agent_seen FROM items i LEFT JOIN agents a ON a.id = i.agent_id \
             WHERE (i.state = 'leased' AND i.lease_expires_at <= $1) OR (i.state = 'running' \
             AND (i.unreachable_since IS NOT NULL OR a.last_seen IS NULL OR a.last_seen <= $2))",
        )
        .bind(now.0)
        .bind(silent_since.0)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((item(r)?, r.maybe_time("agent_seen")?))).collect()
    }
}
