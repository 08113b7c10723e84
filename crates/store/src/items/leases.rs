//! Leases: items handed out, acknowledged, handed back, and kept by heartbeats.

use std::collections::HashMap;

use lanza_model::{
    clock::Time,
    id::{AgentId, ItemId, KeyId, QueueId},
    item::StateName,
    resources::Capacity,
};

use super::{
    Item,
    read::{item, item_in_tx},
    schedule::{self, Claimer, Given, OpenQueue},
    transitions::{revoke_token_in_tx, trail},
};
use crate::{
    Engine, Error, Result, Store, Tx, WriteFuture, accounts,
    events::event_insert_in_tx,
    lookups::Area,
    row::{Columns, batches, rows_as, rows_of},
};

/// A job's token, made for one lease.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Id of the key.
    pub id: KeyId,
    /// The secret, which is not stored.
    pub secret: String,
    /// Hash of the secret.
    pub hash: String,
    /// First letters of the secret.
    pub prefix: String,
    /// Its rights, JSON.
    pub scope: String,
}

/// What an agent asks for.
#[derive(Debug)]
pub struct Wanted {
    /// Who claims.
    pub claimer: Claimer,
    /// From where, in this order.
    pub queues: Vec<OpenQueue>,
    /// How many items at most.
    pub most: usize,
    /// When.
    pub now: Time,
    /// When the leases end.
    pub expires_at: Time,
    /// Makes the token of an item's next attempt.
    pub issue: fn(&Item) -> NewToken,
}

/// What an agent is handed: each item with the token of its next attempt.
pub type Handed = Vec<(Item, NewToken)>;

/// What the server says to a heartbeat.
#[derive(Debug, Clone, Default)]
pub struct HeartbeatResult {
    /// Attempts to stop: item, attempt, grace in seconds.
    pub stop: Vec<(String, u32, Option<u32>)>,
    /// Attempts that the agent does not hold any more.
    pub lost: Vec<(String, u32)>,
}

impl Store {
    /// Leases up to `most` items to an agent, one queue after the other in turn, each with a token that is made
    /// for it (again when the transaction runs again). Queues that are paused, and items whose author is gone, give nothing;
    /// neither do queues whose cap is reached, nor items that the agent's machine has no room for.
    pub async fn item_claim(&self, wanted: Wanted) -> Result<Handed> {
        self.item_counters.claim.write(self, wanted).await
    }

    /// Hands out again what is on lease to an agent and not among `at_hand`: the answer to its claim was lost. Each item
    /// gets a new token, and its lease begins anew.
    pub async fn item_claim_again(
        &self,
        agent: &AgentId,
        at_hand: Vec<(String, u32)>,
        now: Time,
        expires_at: Time,
        issue: fn(&Item) -> NewToken,
    ) -> Result<Handed> {
        let agent = agent.clone();
        self.write_in(Area::Beside, move |tx| {
            let (agent, at_hand) = (agent.clone(), at_hand.clone());
            Box::pin(async move {
                let rows = sqlx::query("SELECT * FROM items WHERE agent_id = $1 AND state = 'leased' ORDER BY id")
                    .bind(agent.as_str())
                    .fetch_all(tx.connection())
                    .await?;
                let mut lost = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
                lost.retain(|i| !at_hand.iter().any(|(id, attempt)| *id == i.id.as_str() && *attempt == i.attempt));
                for found in &lost {
                    revoke_token_in_tx(tx, &found.id, found.attempt).await?;
                    sqlx::query("DELETE FROM attempts WHERE item_id = $1 AND number = $2")
                        .bind(found.id.as_str())
                        .bind(i64::from(found.attempt))
                        .execute(tx.connection())
                        .await?;
                    sqlx::query("UPDATE items SET lease_expires_at = $2 WHERE id = $1")
                        .bind(found.id.as_str())
                        .bind(expires_at.0)
                        .execute(tx.connection())
                        .await?;
                }
                let mut again = attempts_in_tx(tx, vec![Leased { agent: &agent, now, issue, items: lost }]).await?;
                Ok(again.pop().unwrap_or_default())
            })
        })
        .await
    }

    /// The agent begins. Saying it twice is fine.
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent does not hold this attempt.
    pub async fn item_acknowledge(&self, id: &ItemId, attempt: u32, agent: &AgentId, now: Time) -> Result<()> {
        let part = Acknowledged { id: id.clone(), attempt, agent: agent.clone(), now };
        self.item_counters.acknowledge.write(self, part).await
    }

    /// A lease that was not acknowledged ended, or was handed back: nothing happened.
    ///
    /// # Errors
    /// [`Error::Moved`] when the item is not on lease for this attempt (to this agent).
    pub async fn item_return(&self, id: &ItemId, attempt: u32, agent: Option<&AgentId>, now: Time) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.cloned());
        self.write_in(Area::Beside, move |tx| {
            let (id, agent) = (id.clone(), agent.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'queued', attempt = attempt - 1, agent_id = NULL, stock = 0, leased_at = NULL, \
                     lease_expires_at = NULL WHERE id = $1 AND attempt = $2 AND state = 'leased' \
                     AND agent_id = COALESCE($3, agent_id) RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(agent.as_ref().map(|a| a.as_str().to_owned()))
                .fetch_optional(tx.connection())
                .await?;
                let found = item(&row.ok_or(Error::Moved)?)?;
                revoke_token_in_tx(tx, &id, attempt).await?;
                sqlx::query("DELETE FROM attempts WHERE item_id = $1 AND number = $2")
                    .bind(id.as_str())
                    .bind(i64::from(attempt))
                    .execute(tx.connection())
                    .await?;
                let actor = agent.map_or_else(|| "server".to_owned(), |a| format!("agent:{a}"));
                trail(tx, &found, &actor, "returned", now);
                Ok(found)
            })
        })
        .await
    }

    /// The agent's heartbeats are heard: its items are reachable again. Items of the agent that it does not name, though
    /// it acknowledged them before `named_since`, count as silent from now on. A lease that it has yet to acknowledge
    /// is not lost.
    pub async fn items_heard(
        &self,
        agent: &AgentId,
        held: Vec<(String, u32)>,
        named_since: Time,
        now: Time,
    ) -> Result<HeartbeatResult> {
        let agent = agent.clone();
        let mine = sqlx::query(
            "SELECT id, attempt, unreachable_since, stop_requested_at, stop_grace_seconds, acknowledged_at FROM items \
             WHERE agent_id = $1 AND state IN ('leased', 'running')",
        )
        .bind(agent.as_str())
        .fetch_all(self.read_pool())
        .await?;
        let mut result = HeartbeatResult::default();
        let (mut back, mut silent, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for row in &mine {
            let (id, attempt) = (row.text("id")?, row.int("attempt")? as u32);
            let named = held.iter().any(|(i, a)| *i == id && *a == attempt);
            let flagged = row.maybe_int("unreachable_since")?.is_some();
            if named {
                if flagged {
                    back.push((id.clone(), attempt));
                }
                if row.maybe_int("stop_requested_at")?.is_some() {
                    let grace = row.maybe_int("stop_grace_seconds")?.map(|n| n as u32);
                    result.stop.push((id.clone(), attempt, grace));
                }
            } else if !flagged && row.maybe_time("acknowledged_at")?.is_some_and(|t| t < named_since) {
                silent.push((id.clone(), attempt));
            }
            known.push((id, attempt));
        }
        result.lost = held.into_iter().filter(|h| !known.contains(h)).collect();
        if !back.is_empty() || !silent.is_empty() {
            self.write_in(Area::Beside, move |tx| {
                let (agent, back, silent) = (agent.clone(), back.clone(), silent.clone());
                Box::pin(async move {
                    for (list, since) in [(back, None), (silent, Some(now.0))] {
                        for (id, attempt) in list {
                            let row = sqlx::query(
                                "UPDATE items SET unreachable_since = $4 \
                                 WHERE id = $1 AND attempt = $2 AND agent_id = $3 AND state = 'running' \
                                 RETURNING entity_id",
                            )
                            .bind(&id)
                            .bind(i64::from(attempt))
                            .bind(agent.as_str())
                            .bind(since)
                            .fetch_optional(tx.connection())
                            .await?;
                            if let Some(row) = row {
                                let verb = if since.is_some() { "unreachable" } else { "reachable" };
                                event_insert_in_tx(tx, now, &row.text("entity_id")?, "server", verb, ("item", &id));
                            }
                        }
                    }
                    Ok(())
                })
            })
            .await?;
        }
        Ok(result)
    }

    /// Flags a running item whose agent fell silent at `since`. Returns whether it was flagged now.
    pub async fn item_silent(&self, id: &ItemId, attempt: u32, since: Time, now: Time) -> Result<bool> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET unreachable_since = $3 \
                     WHERE id = $1 AND attempt = $2 AND state = 'running' AND unreachable_since IS NULL RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(since.0)
                .fetch_optional(tx.connection())
                .await?;
                let Some(row) = row else { return Ok(false) };
                trail(tx, &item(&row)?, "server", "unreachable", now);
                Ok(true)
            })
        })
        .await
    }
}

/// Leases to several agents, one after the other; their attempts begin together.
pub(super) fn claims_in_tx<'c>(tx: &'c mut Tx, parts: &'c [Wanted]) -> WriteFuture<'c, Vec<Result<Handed>>> {
    Box::pin(async move {
        let mut leased = Vec::with_capacity(parts.len());
        for Wanted { claimer, queues, most, now, expires_at, issue } in parts {
            let items = claim_counted_in_tx(tx, claimer, queues, *most, *now, *expires_at).await?;
            leased.push(Leased { agent: &claimer.id, now: *now, issue: *issue, items });
        }
        Ok(attempts_in_tx(tx, leased).await?.into_iter().map(Ok).collect())
    })
}

/// An agent's word that it begins.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    id: ItemId,
    attempt: u32,
    agent: AgentId,
    now: Time,
}

/// Moves leased items to `running`.
pub(super) fn acknowledge_in_tx<'c>(tx: &'c mut Tx, parts: &'c [Acknowledged]) -> WriteFuture<'c, Vec<Result<()>>> {
    Box::pin(async move {
        let mut begun = HashMap::new();
        for batch in batches(parts) {
            acknowledge_batch(tx, batch, &mut begun).await?;
        }
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            // Taken out: of two who say the same, the second finds the item running.
            if let Some(entity) = begun.remove(&(part.id.as_str(), part.attempt)) {
                let actor = format!("agent:{}", part.agent);
                event_insert_in_tx(tx, part.now, &entity, &actor, "acknowledged", ("item", part.id.as_str()));
                results.push(Ok(()));
                continue;
            }
            let found = item_in_tx(tx, &part.id).await?;
            let same = found.is_some_and(|found| {
                found.state == StateName::Running
                    && found.attempt == part.attempt
                    && found.agent_id.as_ref() == Some(&part.agent)
            });
            results.push(if same { Ok(()) } else { Err(Error::Moved) });
        }
        Ok(results)
    })
}

/// Moves those that their agents hold, and adds them with their entities to `begun`.
async fn acknowledge_batch<'p>(
    tx: &mut Tx,
    batch: &'p [Acknowledged],
    begun: &mut HashMap<(&'p str, u32), String>,
) -> Result<()> {
    let statement = format!(
        "WITH held (held_id, number, held_by, at) AS (VALUES {}) \
         UPDATE items SET state = 'running', acknowledged_at = held.at, lease_expires_at = NULL FROM held \
         WHERE id = held.held_id AND attempt = held.number AND agent_id = held.held_by AND COALESCE(state, '') = 'leased' \
         RETURNING id, attempt, entity_id",
        rows_as(batch.len(), &["TEXT", "BIGINT", "TEXT", "BIGINT"])
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
    for part in batch {
        query = query.bind(part.id.as_str()).bind(i64::from(part.attempt)).bind(part.agent.as_str()).bind(part.now.0);
    }
    let rows = query.fetch_all(tx.connection()).await?;
    let mut moved = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, number) = (row.text("id")?, row.int("attempt")?);
        if let Some(part) = batch.iter().find(|part| part.id.as_str() == id) {
            begun.insert((part.id.as_str(), number as u32), row.text("entity_id")?);
        }
        moved.push((id, number));
    }
    for moved in batches(&moved) {
        let statement = format!(
            "WITH begun (begun_id, begun_number) AS (VALUES {}) UPDATE attempts SET state = 'running' FROM begun \
             WHERE item_id = begun.begun_id AND number = begun.begun_number",
            rows_as(moved.len(), &["TEXT", "BIGINT"])
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
        for (id, number) in moved {
            query = query.bind(id.as_str()).bind(number);
        }
        query.execute(tx.connection()).await?;
    }
    Ok(())
}

/// Claims from all queues in turn; first for an item that the agent already holds room for.
async fn claim_counted_in_tx(
    tx: &mut Tx,
    claimer: &Claimer,
    queues: &[OpenQueue],
    most: usize,
    now: Time,
    expires_at: Time,
) -> Result<Vec<Item>> {
    let mut left = claimer.left;
    let held = if claimer.total.is_some() { schedule::held_in_tx(tx, &claimer.id, now).await? } else { None };
    let mut leased = Vec::new();
    if let Some((item, queue)) = &held {
        let of_held = queues.iter().filter(|q| q.id == *queue).collect();
        let given = claim_in_turn_in_tx(tx, claimer, of_held, &mut left, most, now, expires_at).await?;
        leased = given.items;
        if given.holds.as_ref() != Some(item) {
            schedule::hold_in_tx(tx, &claimer.id, given.holds.as_ref()).await?;
        }
        if given.holds.is_some() {
            return Ok(leased);
        }
    }
    let given =
        claim_in_turn_in_tx(tx, claimer, queues.iter().collect(), &mut left, most - leased.len(), now, expires_at)
            .await?;
    if given.holds.is_some() {
        schedule::hold_in_tx(tx, &claimer.id, given.holds.as_ref()).await?;
    }
    leased.extend(given.items);
    Ok(leased)
}

/// One queue alone may give everything at once; several give one each in turn.
async fn claim_in_turn_in_tx(
    tx: &mut Tx,
    claimer: &Claimer,
    queues: Vec<&OpenQueue>,
    left: &mut Capacity,
    most: usize,
    now: Time,
    expires_at: Time,
) -> Result<Given> {
    let mut all = Given::default();
    let mut open = queues;
    while all.items.len() < most && !open.is_empty() {
        let mut still_open = Vec::new();
        let share = if open.len() == 1 { most - all.items.len() } else { 1 };
        for queue in open {
            let want = share.min(most - all.items.len());
            if want == 0 {
                break;
            }
            let given = if claimer.takes_any(queue) {
                let items = claim_in_tx(tx, claimer, &queue.id, want, now, expires_at).await?;
                Given { items, holds: None }
            } else {
                schedule::claim_in_tx(tx, claimer, queue, left, want, now, expires_at).await?
            };
            if given.items.len() == want && share == 1 {
                still_open.push(queue);
            }
            all.items.extend(given.items);
            if given.holds.is_some() {
                // Whatever else went to this agent would take the room that it holds.
                all.holds = given.holds;
                return Ok(all);
            }
        }
        open = still_open;
    }
    Ok(all)
}

/// Items that an agent was given just now.
struct Leased<'a> {
    agent: &'a AgentId,
    now: Time,
    issue: fn(&Item) -> NewToken,
    items: Vec<Item>,
}

/// Begins the attempts of leased items, each with its token; returns them as they were given.
async fn attempts_in_tx(tx: &mut Tx, leased: Vec<Leased<'_>>) -> Result<Vec<Handed>> {
    let with_token = |issue: fn(&Item) -> NewToken| {
        move |item: Item| {
            let token = issue(&item);
            (item, token)
        }
    };
    let given: Vec<_> = leased
        .into_iter()
        .map(|l| (l.agent, l.now, l.items.into_iter().map(with_token(l.issue)).collect::<Handed>()))
        .collect();
    let all: Vec<_> = given
        .iter()
        .flat_map(|(agent, now, handed)| handed.iter().map(move |(item, token)| (*agent, *now, item, token)))
        .collect();
    let key = |(_, now, item, token): &(&AgentId, Time, &Item, &NewToken)| accounts::NewKey {
        id: token.id.clone(),
        user_id: item.author_id.clone(),
        hash: token.hash.clone(),
        prefix: token.prefix.clone(),
        description: format!("item {}", item.id),
        scope: Some(token.scope.clone()),
        read_only: false,
        created_at: *now,
        expires_at: None,
    };
    accounts::keys_insert_in_tx(tx, &all.iter().map(key).collect::<Vec<_>>()).await?;
    for batch in batches(&all) {
        let statement = format!(
            "INSERT INTO attempts (item_id, number, agent_id, state, token_id, leased_at) VALUES {}",
            rows_of(batch.len(), 6)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
        for (agent, now, item, token) in batch {
            query = query
                .bind(item.id.as_str())
                .bind(i64::from(item.attempt))
                .bind(agent.as_str())
                .bind("leased")
                .bind(token.id.as_str())
                .bind(now.0);
        }
        query.execute(tx.connection()).await?;
    }
    for (agent, now, item, _) in &all {
        trail(tx, item, &format!("agent:{agent}"), "leased", *now);
    }
    Ok(given.into_iter().map(|(_, _, handed)| handed).collect())
}

async fn claim_in_tx(
    tx: &mut Tx,
    claimer: &Claimer,
    queue: &QueueId,
    want: usize,
    now: Time,
    expires_at: Time,
) -> Result<Vec<Item>> {
    let lock = match tx.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE OF i SKIP LOCKED",
    };
    let targets = claimer.targets_clause();
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        // Materialized: Postgres would run a plain subselect again for each row that it locks. The state is wrapped so
        // that SQLite takes the picked rows by their ids instead of walking everything that is queued.
        "WITH picked AS MATERIALIZED (SELECT i.id FROM items i WHERE i.queue_id = $1 AND i.state = 'queued' \
         AND COALESCE(i.not_before, 0) <= $4 AND COALESCE(i.next_retry_at, 0) <= $4 {targets} \
         AND EXISTS (SELECT 1 FROM queues q WHERE q.id = $1 AND q.paused = 0) \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = i.author_id) \
         ORDER BY i.priority, i.id LIMIT {want} {lock}) \
         UPDATE items SET state = 'leased', attempt = attempt + 1, agent_id = $2, stock = $3, leased_at = $4, \
         lease_expires_at = $5, next_retry_at = NULL, unreachable_since = NULL \
         WHERE id IN (SELECT id FROM picked) AND COALESCE(state, '') = 'queued' RETURNING *"
    )))
    .bind(queue.as_str())
    .bind(claimer.id.as_str())
    .bind(i16::from(claimer.stock))
    .bind(now.0)
    .bind(expires_at.0)
    .fetch_all(tx.connection())
    .await?;
    let mut items = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
    Ok(items)
}
