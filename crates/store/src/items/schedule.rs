//! Claims from queues with caps, and for agents whose machine is counted: which items go is decided by
//! `lanza_model::schedule`, item by item in the queue's order.

use std::collections::HashMap;

use lanza_model::{
    Target,
    clock::Time,
    id::{AgentId, ItemId, QueueId},
    resources::{Capacity, Request},
    schedule::{Round, Verdict},
};

use super::{Item, read::item};
use crate::{
    Engine, Result, Store, Tx,
    row::{Columns, batches},
};

/// How many waiting items are looked at together once the first ones did not fit.
const PAGE: usize = 100;
/// How many different authors and requests are left out of the next page in SQL; more are passed over one by one.
const EXCLUDED: usize = 50;

/// Who claims.
#[derive(Debug, Clone)]
pub struct Claimer {
    /// Agent.
    pub id: AgentId,
    /// Whether it is a stock agent.
    pub stock: bool,
    /// What it can serve; none means everything.
    pub targets: Option<Vec<Target>>,
    /// What its machine has; none when nobody counts it.
    pub total: Option<Capacity>,
    /// What its machine has left.
    pub left: Capacity,
    /// Agents that were last seen before this time hold nothing for anybody.
    pub alive_since: Time,
}

/// A queue to claim from, with its caps.
#[derive(Debug, Clone)]
pub struct OpenQueue {
    /// Queue.
    pub id: QueueId,
    /// Items with agents at the same time.
    pub max_running: Option<i64>,
    /// Items of one author with agents at the same time.
    pub max_running_per_user: Option<i64>,
}

impl OpenQueue {
    fn has_caps(&self) -> bool {
        self.max_running.is_some() || self.max_running_per_user.is_some()
    }
}

impl Claimer {
    /// Whether the next free item of the queue is simply the agent's.
    pub(super) fn takes_any(&self, queue: &OpenQueue) -> bool {
        self.total.is_none() && !queue.has_caps()
    }

    pub(super) fn targets_clause(&self) -> String {
        self.targets.as_ref().map_or_else(String::new, |list| {
            let words = list.iter().map(|t| format!("'{}'", t.as_str())).collect::<Vec<_>>().join(", ");
            format!("AND i.target IN ({words})")
        })
    }
}

/// What a look at a queue gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) items: Vec<Item>,
    /// The agent holds what it has left for this item.
    pub(super) holds: Option<ItemId>,
}

struct Candidate {
    id: ItemId,
    priority: i64,
    author: String,
    resources: String,
    /// None where the agent's machine is not what it runs on.
    request: Option<Request>,
}

/// Takes up to `want` items of a queue in its order, as far as caps and `left` allow.
pub(super) async fn claim_in_tx(
    tx: &mut Tx,
    claimer: &Claimer,
    queue: &OpenQueue,
    left: &mut Capacity,
    want: usize,
    now: Time,
    expires_at: Time,
) -> Result<Given> {
    let running = if queue.has_caps() { running_by_author(tx, &queue.id).await? } else { HashMap::new() };
    let total = claimer.total.unwrap_or_default();
    let mut round = Round::new(total, *left, queue.max_running, queue.max_running_per_user, running);
    let mut given = Given::default();
    let mut taken: Vec<ItemId> = Vec::new();
    let (mut full_authors, mut unfit): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut behind = None;
    'pages: while taken.len() < want && !round.is_full() {
        let most = if behind.is_none() { want - taken.len() } else { PAGE };
        let page = candidates(tx, claimer, queue, behind.as_ref(), (&full_authors, &unfit), most, now).await?;
        let last = page.len() < most;
        for candidate in page {
            match round.offer(&candidate.author, candidate.request.as_ref(), false) {
                Verdict::Take => taken.push(candidate.id.clone()),
                Verdict::Hold if held_elsewhere(tx, claimer, &queue.id, &candidate.id).await? => {}
                Verdict::Hold => {
                    given.holds = Some(candidate.id);
                    break 'pages;
                }
                Verdict::Stop => break 'pages,
                Verdict::Pass if round.is_user_full(&candidate.author) => full_authors.push(candidate.author.clone()),
                Verdict::Pass => unfit.push(candidate.resources),
            }
            behind = Some((candidate.priority, candidate.id));
            if taken.len() == want {
                break 'pages;
            }
        }
        full_authors.sort();
        full_authors.dedup();
        unfit.sort();
        unfit.dedup();
        if last {
            break;
        }
    }
    given.items = lease_in_tx(tx, claimer, &taken, now, expires_at).await?;
    *left = round.free();
    Ok(given)
}

async fn running_by_author(tx: &mut Tx, queue: &QueueId) -> Result<HashMap<String, i64>> {
    let rows = sqlx::query(
        "SELECT author_id, COUNT(*) AS n FROM items WHERE queue_id = $1 AND state IN ('leased', 'running') \
         GROUP BY author_id",
    )
    .bind(queue.as_str())
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(|r| Ok((r.text("author_id")?, r.int("n")?))).collect()
}

async fn candidates(
    tx: &mut Tx,
    claimer: &Claimer,
    queue: &OpenQueue,
    behind: Option<&(i64, ItemId)>,
    (full_authors, unfit): (&[String], &[String]),
    most: usize,
    now: Time,
) -> Result<Vec<Candidate>> {
    let lock = match tx.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE OF i SKIP LOCKED",
    };
    let mut next = 4;
    let mut without = |column: &str, values: &[String]| {
        if values.is_empty() {
            return String::new();
        }
        let names: Vec<String> = values
            .iter()
            .map(|_| {
                next += 1;
                format!("${next}")
            })
            .collect();
        format!("AND i.{column} NOT IN ({})", names.join(", "))
    };
    let (full_authors, unfit) =
        (&full_authors[..full_authors.len().min(EXCLUDED)], &unfit[..unfit.len().min(EXCLUDED)]);
    let (authors, requests) = (without("author_id", full_authors), without("resources", unfit));
    let targets = claimer.targets_clause();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT i.id, i.priority, i.author_id, i.target, i.resources FROM items i \
         WHERE i.queue_id = $1 AND i.state = 'queued' AND COALESCE(i.not_before, 0) <= $2 \
         AND COALESCE(i.next_retry_at, 0) <= $2 AND (i.priority, i.id) > ($3, $4) \
         {authors} {requests} {targets} AND EXISTS (SELECT 1 FROM queues q WHERE q.id = $1 AND q.paused = 0) \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = i.author_id) ORDER BY i.priority, i.id LIMIT {most} {lock}"
    )))
    .bind(queue.id.as_str())
    .bind(now.0)
    .bind(behind.map_or(-1, |(priority, _)| *priority))
    .bind(behind.map_or("", |(_, id)| id.as_str()));
    for value in full_authors.iter().chain(unfit) {
        query = query.bind(value);
    }
    let rows = query.fetch_all(tx.connection()).await?;
    rows.iter()
        .map(|row| {
            let local = matches!(Target::parse(&row.text("target")?), Some(Target::Process | Target::Docker));
            let resources = row.text("resources")?;
            let request = if claimer.total.is_some() && local && resources != "{}" {
                // What cannot be read asks for nothing: it was warned of when it was pushed.
                Request::parse(&row.json("resources")?).ok()
            } else {
                None
            };
            Ok(Candidate {
                id: row.parsed("id")?,
                priority: row.int("priority")?,
                author: row.text("author_id")?,
                resources,
                request,
            })
        })
        .collect()
}

/// Whether another agent, that is alive, holds room for the item.
async fn held_elsewhere(tx: &mut Tx, claimer: &Claimer, queue: &QueueId, item: &ItemId) -> Result<bool> {
    let row = sqlx::query(
        "SELECT 1 AS one FROM agents a JOIN agent_queues q ON q.agent_id = a.id WHERE q.queue_id = $1 \
         AND a.holds_item = $2 AND a.id <> $3 AND a.status IN ('polling', 'running') AND a.command = 'none' \
         AND a.last_seen > $4 LIMIT 1",
    )
    .bind(queue.as_str())
    .bind(item.as_str())
    .bind(claimer.id.as_str())
    .bind(claimer.alive_since.0)
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.is_some())
}

async fn lease_in_tx(
    tx: &mut Tx,
    claimer: &Claimer,
    taken: &[ItemId],
    now: Time,
    expires_at: Time,
) -> Result<Vec<Item>> {
    let mut items = Vec::with_capacity(taken.len());
    for batch in batches(taken) {
        let names = (0..batch.len()).map(|i| format!("${}", i + 5)).collect::<Vec<_>>().join(", ");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE items SET state = 'leased', attempt = attempt + 1, agent_id = $1, stock = $2, leased_at = $3, \
             lease_expires_at = $4, next_retry_at = NULL, unreachable_since = NULL \
             WHERE id IN ({names}) AND COALESCE(state, '') = 'queued' RETURNING *"
        )))
        .bind(claimer.id.as_str())
        .bind(i16::from(claimer.stock))
        .bind(now.0)
        .bind(expires_at.0);
        for id in batch {
            query = query.bind(id.as_str());
        }
        for row in &query.fetch_all(tx.connection()).await? {
            items.push(item(row)?);
        }
    }
    items.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
    Ok(items)
}

/// Returns the waiting item that the agent holds room for, with its queue.
pub(super) async fn held_in_tx(tx: &mut Tx, agent: &AgentId, now: Time) -> Result<Option<(ItemId, QueueId)>> {
    let row = sqlx::query(
        "SELECT i.id, i.queue_id FROM agents a JOIN items i ON i.id = a.holds_item WHERE a.id = $1 \
         AND i.state = 'queued' AND COALESCE(i.not_before, 0) <= $2 AND COALESCE(i.next_retry_at, 0) <= $2",
    )
    .bind(agent.as_str())
    .bind(now.0)
    .fetch_optional(tx.connection())
    .await?;
    row.map(|r| Ok((r.parsed("id")?, r.parsed("queue_id")?))).transpose()
}

/// Writes down what the agent holds room for. Not among the columns that are kept in memory.
pub(super) async fn hold_in_tx(tx: &mut Tx, agent: &AgentId, item: Option<&ItemId>) -> Result<()> {
    sqlx::query("UPDATE agents SET holds_item = $2 WHERE id = $1")
        .bind(agent.as_str())
        .bind(item.map(|i| i.as_str().to_owned()))
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// An item that an agent of a queue has, whatever queue it came from, or that came from the queue.
#[derive(Debug, Clone)]
pub struct HeldItem {
    /// Who has it.
    pub agent_id: Option<AgentId>,
    /// Where it came from.
    pub queue_id: QueueId,
    /// Its author.
    pub author_id: String,
    /// What it asks of the machine.
    pub resources: serde_json::Map<String, serde_json::Value>,
    /// Since when.
    pub leased_at: Option<Time>,
}

impl Store {
    /// Lists what keeps the agents of a queue busy, and what runs of the queue.
    pub async fn items_held_beside(&self, queue: &QueueId) -> Result<Vec<HeldItem>> {
        let rows = sqlx::query(
            "SELECT agent_id, queue_id, author_id, resources, leased_at FROM items \
             WHERE state IN ('leased', 'running') AND (queue_id = $1 \
             OR agent_id IN (SELECT agent_id FROM agent_queues WHERE queue_id = $1)) LIMIT 10000",
        )
        .bind(queue.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HeldItem {
                    agent_id: row.maybe_parsed("agent_id")?,
                    queue_id: row.parsed("queue_id")?,
                    author_id: row.text("author_id")?,
                    resources: row.json("resources")?,
                    leased_at: row.maybe_time("leased_at")?,
                })
            })
            .collect()
    }
}
