//! The arrows of the item's state machine, each a conditional update with its line in the audit trail.

use lanza_model::{
    Phase, Priority, Reason, Target,
    clock::Time,
    id::{AgentId, ItemId, KeyId, QueueId},
    item::{Ending, StateName},
};
use serde_json::Value;

use super::{
    Item,
    read::{item, item_in_tx},
};
use crate::{Engine, Error, Result, Store, Tx, accounts, events::event_insert_in_tx, row::Columns};

/// The secret of a job's token, made before the transaction so that the transaction can run again.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Id of the key.
    pub id: KeyId,
    /// Hash of the secret.
    pub hash: String,
    /// First letters of the secret.
    pub prefix: String,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Finished, failed or stopped.
    pub ending: Ending,
    /// Exit code of the workload.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Why.
    pub reason: Option<Reason>,
    /// Phase in which it ended; none keeps the last one reported.
    pub phase: Option<Phase>,
    /// When.
    pub at: Time,
}

/// What became of a request to stop.
#[derive(Debug, Clone)]
pub enum Stopping {
    /// It had not begun: it is stopped.
    Stopped(Box<Item>),
    /// Its agent has to do it.
    Asked(Box<Item>),
    /// It had ended before.
    Ended(Box<Item>),
}

/// What the server says to a heartbeat.
#[derive(Debug, Clone, Default)]
pub struct HeartbeatResult {
    /// Attempts to stop: item, attempt, grace in seconds.
    pub stop: Vec<(String, u32, Option<u32>)>,
    /// Attempts that the agent does not hold any more.
    pub lost: Vec<(String, u32)>,
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON values serialize")
}

async fn trail(tx: &mut Tx, item: &Item, actor: &str, verb: &str, now: Time) -> Result<()> {
    event_insert_in_tx(tx, now, item.entity_id.as_str(), actor, verb, ("item", item.id.as_str())).await
}

impl Store {
    /// Adds an item. With an idempotency key that the queue has seen, returns the item of that key instead, and false.
    ///
    /// # Errors
    /// [`Error::Moved`] when the queue is gone.
    pub async fn item_insert(&self, new: Item) -> Result<(Item, bool)> {
        self.write(move |tx| {
            let new = new.clone();
            Box::pin(async move {
                let done = sqlx::query(
                    "INSERT INTO items (id, entity_id, queue_id, queue_name, target, state, attempt, max_attempts, losses, stock, \
                     priority, author_id, author, created_at, deleted, warnings, spec, job, job_artifact, code_artifact, run_entity, \
                     run_project, planned_run, runs, name, queue_config, item_config, template_variables, resources, not_before, \
                     idempotency_key) \
                     SELECT $1, $2, $3, $4, $5, 'queued', 0, $6, 0, 0, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15, $16, $17, $18, \
                     '[]', $19, $20, $21, $22, $23, $24, $25 \
                     FROM queues WHERE id = $3 ON CONFLICT (queue_id, idempotency_key) DO NOTHING",
                )
                .bind(new.id.as_str())
                .bind(new.entity_id.as_str())
                .bind(new.queue_id.as_str())
                .bind(&new.queue_name)
                .bind(new.target.as_str())
                .bind(i64::from(new.max_attempts))
                .bind(new.priority.number())
                .bind(new.author_id.as_str())
                .bind(&new.author)
                .bind(new.created_at.0)
                .bind(json(&new.warnings))
                .bind(json(&new.spec))
                .bind(new.job.as_deref())
                .bind(new.job_artifact.as_deref())
                .bind(new.code_artifact.as_deref())
                .bind(&new.run_entity)
                .bind(&new.run_project)
                .bind(&new.planned_run)
                .bind(new.name.as_deref())
                .bind(json(&new.queue_config))
                .bind(json(&new.item_config))
                .bind(json(&new.template_variables))
                .bind(json(&new.resources))
                .bind(new.not_before.map(|t| t.0))
                .bind(new.idempotency_key.as_deref())
                .execute(tx.connection())
                .await?;
                if done.rows_affected() == 1 {
                    trail(tx, &new, &new.author, "queued", new.created_at).await?;
                    return Ok((new, true));
                }
                let row = sqlx::query("SELECT * FROM items WHERE queue_id = $1 AND idempotency_key = $2")
                    .bind(new.queue_id.as_str())
                    .bind(new.idempotency_key.as_deref())
                    .fetch_optional(tx.connection())
                    .await?;
                row.as_ref().map(item).transpose()?.map(|i| (i, false)).ok_or(Error::Moved)
            })
        })
        .await
    }

    /// Leases up to `tokens.len()` items to an agent, one queue after the other in turn, each with a token of which
    /// `scope` says the rights. Queues that are paused, and items whose author is gone, give nothing.
    pub async fn item_claim(
        &self,
        agent: (AgentId, bool),
        queues: Vec<QueueId>,
        targets: Option<Vec<Target>>,
        tokens: Vec<NewToken>,
        now: Time,
        expires_at: Time,
        scope: fn(&Item) -> String,
    ) -> Result<Vec<Item>> {
        self.write(move |tx| {
            let (agent, queues, tokens, targets) = (agent.clone(), queues.clone(), tokens.clone(), targets.clone());
            Box::pin(async move {
                let mut leased = Vec::new();
                let mut open = queues;
                while leased.len() < tokens.len() && !open.is_empty() {
                    let mut still_open = Vec::new();
                    // One queue alone may give everything at once; several give one each in turn.
                    let share = if open.len() == 1 { tokens.len() - leased.len() } else { 1 };
                    for queue in open {
                        let want = share.min(tokens.len() - leased.len());
                        if want == 0 {
                            break;
                        }
                        let got = claim_in_tx(tx, &agent, &queue, targets.as_deref(), want, now, expires_at).await?;
                        if got.len() == want && share == 1 {
                            still_open.push(queue);
                        }
                        leased.extend(got);
                    }
                    open = still_open;
                }
                for (item, token) in leased.iter().zip(&tokens) {
                    sqlx::query(
                        "INSERT INTO attempts (item_id, number, agent_id, state, token_id, leased_at) \
                         VALUES ($1, $2, $3, 'leased', $4, $5)",
                    )
                    .bind(item.id.as_str())
                    .bind(i64::from(item.attempt))
                    .bind(agent.0.as_str())
                    .bind(token.id.as_str())
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                    let key = accounts::NewKey {
                        id: token.id.clone(),
                        user_id: item.author_id.clone(),
                        hash: token.hash.clone(),
                        prefix: token.prefix.clone(),
                        description: format!("item {}", item.id),
                        scope: Some(scope(item)),
                        created_at: now,
                        expires_at: None,
                    };
                    accounts::key_insert_in_tx(tx, &key).await?;
                    trail(tx, item, &format!("agent:{}", agent.0), "leased", now).await?;
                }
                Ok(leased)
            })
        })
        .await
    }

    /// The agent begins. Saying it twice is fine.
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent does not hold this attempt.
    pub async fn item_acknowledge(&self, id: &ItemId, attempt: u32, agent: &AgentId, now: Time) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.clone());
        self.write(move |tx| {
            let (id, agent) = (id.clone(), agent.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'running', acknowledged_at = $4, lease_expires_at = NULL \
                     WHERE id = $1 AND attempt = $2 AND agent_id = $3 AND state = 'leased' RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(agent.as_str())
                .bind(now.0)
                .fetch_optional(tx.connection())
                .await?;
                let Some(row) = row else {
                    let found = item_in_tx(tx, &id).await?.ok_or(Error::Moved)?;
                    let same = found.state == StateName::Running
                        && found.attempt == attempt
                        && found.agent_id.as_ref() == Some(&agent);
                    return if same { Ok(found) } else { Err(Error::Moved) };
                };
                let found = item(&row)?;
                attempt_state_in_tx(tx, &found, "running", None).await?;
                trail(tx, &found, &format!("agent:{agent}"), "acknowledged", now).await?;
                Ok(found)
            })
        })
        .await
    }

    /// A lease that was not acknowledged ended, or was handed back: nothing happened.
    ///
    /// # Errors
    /// [`Error::Moved`] when the item is not on lease for this attempt (to this agent).
    pub async fn item_return(&self, id: &ItemId, attempt: u32, agent: Option<&AgentId>, now: Time) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.cloned());
        self.write(move |tx| {
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
                trail(tx, &found, &actor, "returned", now).await?;
                Ok(found)
            })
        })
        .await
    }

    /// The attempt is over, and so is the item.
    ///
    /// `agent` is the fence of an agent's report; the server itself and stock agents give none. Saying the same again
    /// after the item has ended in this attempt returns the item as it is, and false.
    ///
    /// # Errors
    /// [`Error::Moved`] when somebody else holds the item, or it is another attempt by now.
    pub async fn item_end(
        &self,
        id: &ItemId,
        attempt: u32,
        agent: Option<&AgentId>,
        ended: Ended,
        token_expires_at: Time,
    ) -> Result<(Item, bool)> {
        let (id, agent) = (id.clone(), agent.cloned());
        self.write(move |tx| {
            let (id, agent, ended) = (id.clone(), agent.clone(), ended.clone());
            Box::pin(async move {
                let state = match ended.ending {
                    Ending::Finished => "finished",
                    Ending::Failed => "failed",
                    Ending::Stopped => "stopped",
                };
                // From `leased` a failure only: a stock agent gives up what it popped and never acknowledged.
                let from =
                    if ended.ending == Ending::Failed { "state IN ('leased', 'running')" } else { "state = 'running'" };
                let row = sqlx::query(sqlx::AssertSqlSafe(format!(
                    "UPDATE items SET state = $4, ended_at = $5, exit_code = $6, signal = $7, reason = $8, \
                     phase = COALESCE($9, phase), unreachable_since = NULL, lease_expires_at = NULL, next_retry_at = NULL \
                     WHERE id = $1 AND attempt = $2 AND agent_id = COALESCE($3, agent_id) AND {from} RETURNING *"
                )))
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(agent.as_ref().map(|a| a.as_str().to_owned()))
                .bind(state)
                .bind(ended.at.0)
                .bind(ended.exit_code)
                .bind(ended.signal)
                .bind(ended.reason.as_ref().map(json))
                .bind(ended.phase.map(Phase::as_str))
                .fetch_optional(tx.connection())
                .await?;
                let Some(row) = row else {
                    let found = item_in_tx(tx, &id).await?.ok_or(Error::Moved)?;
                    let own = found.state.is_ended()
                        && found.attempt == attempt
                        && agent.as_ref().is_none_or(|a| found.agent_id.as_ref() == Some(a));
                    return if own { Ok((found, false)) } else { Err(Error::Moved) };
                };
                let found = item(&row)?;
                attempt_state_in_tx(tx, &found, state, Some(&ended)).await?;
                expire_token_in_tx(tx, &id, attempt, token_expires_at).await?;
                let actor = agent.map_or_else(|| "server".to_owned(), |a| format!("agent:{a}"));
                trail(tx, &found, &actor, state, ended.at).await?;
                Ok((found, true))
            })
        })
        .await
    }

    /// The attempt is over and the item is tried again, not before `retry_at`. `lost` says that nobody knows how it
    /// ended and that its workload cannot have run.
    ///
    /// # Errors
    /// [`Error::Moved`] when the item is not running this attempt.
    pub async fn item_requeue(
        &self,
        id: &ItemId,
        attempt: u32,
        agent: Option<&AgentId>,
        retry_at: Option<Time>,
        lost: bool,
        ended: Ended,
    ) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.cloned());
        self.write(move |tx| {
            let (id, agent, ended) = (id.clone(), agent.clone(), ended.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'queued', phase = NULL, agent_id = NULL, stock = 0, unreachable_since = NULL, \
                     leased_at = NULL, started_at = NULL, next_retry_at = $4, losses = losses + $5 \
                     WHERE id = $1 AND attempt = $2 AND state = 'running' AND stop_requested_at IS NULL \
                     AND agent_id = COALESCE($3, agent_id) RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(agent.as_ref().map(|a| a.as_str().to_owned()))
                .bind(retry_at.map(|t| t.0))
                .bind(i64::from(lost))
                .fetch_optional(tx.connection())
                .await?;
                let found = item(&row.ok_or(Error::Moved)?)?;
                attempt_state_in_tx(tx, &found, if lost { "lost" } else { "failed" }, Some(&ended)).await?;
                revoke_token_in_tx(tx, &id, attempt).await?;
                let actor = agent.map_or_else(|| "server".to_owned(), |a| format!("agent:{a}"));
                trail(tx, &found, &actor, "requeued", ended.at).await?;
                Ok(found)
            })
        })
        .await
    }

    /// Somebody asks to stop an item: one that waits or is on offer ends at once, one that runs is flagged for its agent.
    pub async fn item_stop(
        &self,
        id: &ItemId,
        grace_seconds: Option<u32>,
        reason: Reason,
        deleted: bool,
        now: Time,
        actor: &str,
    ) -> Result<Option<Stopping>> {
        let (id, actor) = (id.clone(), actor.to_owned());
        self.write(move |tx| {
            let (id, actor, reason) = (id.clone(), actor.clone(), reason.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'stopped', ended_at = $2, reason = $3, stop_requested_at = $2, deleted = $4, \
                     lease_expires_at = NULL, next_retry_at = NULL \
                     WHERE id = $1 AND state IN ('queued', 'leased') RETURNING *",
                )
                .bind(id.as_str())
                .bind(now.0)
                .bind(json(&reason))
                .bind(i16::from(deleted))
                .fetch_optional(tx.connection())
                .await?;
                if let Some(row) = row {
                    let found = item(&row)?;
                    sqlx::query("UPDATE attempts SET state = 'stopped', ended_at = $2 WHERE item_id = $1 AND state = 'leased'")
                        .bind(id.as_str())
                        .bind(now.0)
                        .execute(tx.connection())
                        .await?;
                    revoke_token_in_tx(tx, &id, found.attempt).await?;
                    trail(tx, &found, &actor, "stopped", now).await?;
                    return Ok(Some(Stopping::Stopped(Box::new(found))));
                }
                // The first request counts; a later one may shorten the grace.
                let row = sqlx::query(
                    "UPDATE items SET stop_requested_at = COALESCE(stop_requested_at, $2), \
                     stop_grace_seconds = COALESCE($3, stop_grace_seconds) \
                     WHERE id = $1 AND state = 'running' RETURNING *",
                )
                .bind(id.as_str())
                .bind(now.0)
                .bind(grace_seconds.map(i64::from))
                .fetch_optional(tx.connection())
                .await?;
                if let Some(row) = row {
                    let found = item(&row)?;
                    trail(tx, &found, &actor, "stop_requested", now).await?;
                    return Ok(Some(Stopping::Asked(Box::new(found))));
                }
                Ok(item_in_tx(tx, &id).await?.map(|i| Stopping::Ended(Box::new(i))))
            })
        })
        .await
    }

    /// The agent's heartbeats are heard: its items are reachable again. Items of the agent that it does not name, though
    /// it acknowledged them before `named_since`, count as silent from now on.
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
             WHERE agent_id = $1 AND state = 'running'",
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
            self.write(move |tx| {
                let (agent, back, silent) = (agent.clone(), back.clone(), silent.clone());
                Box::pin(async move {
                    for (list, since) in [(back, None), (silent, Some(now.0))] {
                        for (id, attempt) in list {
                            sqlx::query(
                                "UPDATE items SET unreachable_since = $4 \
                                 WHERE id = $1 AND attempt = $2 AND agent_id = $3 AND state = 'running'",
                            )
                            .bind(id)
                            .bind(i64::from(attempt))
                            .bind(agent.as_str())
                            .bind(since)
                            .execute(tx.connection())
                            .await?;
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
        self.write(move |tx| {
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
                trail(tx, &item(&row)?, "server", "unreachable", now).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Stores what an agent reports about its attempt. Phases come in any order and more than once.
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent does not hold (or last held) this attempt.
    pub async fn item_report(
        &self,
        id: &ItemId,
        attempt: u32,
        agent: &AgentId,
        phases: Vec<(Phase, Time, Option<Time>)>,
        warnings: Vec<String>,
        environment: Option<Value>,
        source: Option<Value>,
    ) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.clone());
        self.write(move |tx| {
            let (id, agent, phases, warnings) = (id.clone(), agent.clone(), phases.clone(), warnings.clone());
            let (environment, source) = (environment.clone(), source.clone());
            Box::pin(async move {
                let found = item_in_tx(tx, &id).await?.ok_or(Error::Moved)?;
                let begun = found.state == StateName::Running || found.state.is_ended();
                if found.attempt != attempt || found.agent_id.as_ref() != Some(&agent) || !begun {
                    return Err(Error::Moved);
                }
                for (phase, started_at, ended_at) in &phases {
                    sqlx::query(
                        "INSERT INTO phases (item_id, attempt, name, started_at, ended_at) VALUES ($1, $2, $3, $4, $5) \
                         ON CONFLICT (item_id, attempt, name) DO UPDATE SET started_at = excluded.started_at, \
                         ended_at = COALESCE(excluded.ended_at, phases.ended_at)",
                    )
                    .bind(id.as_str())
                    .bind(i64::from(attempt))
                    .bind(phase.as_str())
                    .bind(started_at.0)
                    .bind(ended_at.map(|t| t.0))
                    .execute(tx.connection())
                    .await?;
                }
                let mut all = found.warnings.clone();
                all.extend(warnings.into_iter().filter(|w| !found.warnings.contains(w)));
                all.truncate(200);
                let latest = phases.iter().map(|(p, ..)| *p).max().filter(|p| found.phase.is_none_or(|f| f < *p));
                let run_began = phases.iter().find(|(p, ..)| *p == Phase::Run).map(|(_, t, _)| t.0);
                let row = sqlx::query(
                    "UPDATE items SET phase = CASE WHEN state = 'running' THEN COALESCE($2, phase) ELSE phase END, \
                     started_at = COALESCE($3, started_at), warnings = $4, environment = COALESCE($5, environment), \
                     source = COALESCE($6, source) WHERE id = $1 RETURNING *",
                )
                .bind(id.as_str())
                .bind(latest.map(Phase::as_str))
                .bind(run_began)
                .bind(json(&all))
                .bind(environment.as_ref().map(json))
                .bind(source.as_ref().map(json))
                .fetch_one(tx.connection())
                .await?;
                item(&row)
            })
        })
        .await
    }

    /// Adds a warning to an item.
    pub async fn item_warn(&self, id: &ItemId, warning: String) -> Result<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let (id, warning) = (id.clone(), warning.clone());
            Box::pin(async move {
                let Some(found) = item_in_tx(tx, &id).await? else { return Ok(false) };
                let mut all = found.warnings;
                if all.len() < 200 && !all.contains(&warning) {
                    all.push(warning);
                    sqlx::query("UPDATE items SET warnings = $2 WHERE id = $1")
                        .bind(id.as_str())
                        .bind(json(&all))
                        .execute(tx.connection())
                        .await?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// A run carries the item's trace id: the first one becomes the item's run, all are listed.
    pub async fn item_add_run(&self, id: &ItemId, run: &str, now: Time) -> Result<Option<Item>> {
        let (id, run) = (id.clone(), run.to_owned());
        self.write(move |tx| {
            let (id, run) = (id.clone(), run.clone());
            Box::pin(async move {
                let Some(found) = item_in_tx(tx, &id).await? else { return Ok(None) };
                if found.runs.contains(&run) {
                    return Ok(Some(found));
                }
                let mut runs = found.runs.clone();
                runs.push(run.clone());
                let row = sqlx::query("UPDATE items SET run = COALESCE(run, $2), runs = $3 WHERE id = $1 RETURNING *")
                    .bind(id.as_str())
                    .bind(&run)
                    .bind(json(&runs))
                    .fetch_one(tx.connection())
                    .await?;
                trail(tx, &found, "server", "run_seen", now).await?;
                item(&row).map(Some)
            })
        })
        .await
    }

    /// Puts an item that a stock agent holds back with a new spec (preemption): same id, next attempt, stored layers.
    ///
    /// # Errors
    /// [`Error::Moved`] when the item is not running.
    pub async fn item_preempted(
        &self,
        id: &ItemId,
        spec: serde_json::Map<String, Value>,
        priority: Option<Priority>,
        now: Time,
    ) -> Result<Item> {
        let id = id.clone();
        self.write(move |tx| {
            let (id, spec) = (id.clone(), spec.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'queued', phase = NULL, agent_id = NULL, stock = 0, unreachable_since = NULL, \
                     leased_at = NULL, spec = $2, priority = COALESCE($3, priority) WHERE id = $1 AND state = 'running' RETURNING *",
                )
                .bind(id.as_str())
                .bind(json(&spec))
                .bind(priority.map(Priority::number))
                .fetch_optional(tx.connection())
                .await?;
                let found = item(&row.ok_or(Error::Moved)?)?;
                let ended = Ended { ending: Ending::Failed, exit_code: None, signal: None, reason: None, phase: None, at: now };
                attempt_state_in_tx(tx, &found, "lost", Some(&ended)).await?;
                revoke_token_in_tx(tx, &id, found.attempt).await?;
                trail(tx, &found, "server", "requeued", now).await?;
                Ok(found)
            })
        })
        .await
    }
}

async fn claim_in_tx(
    tx: &mut Tx,
    agent: &(AgentId, bool),
    queue: &QueueId,
    targets: Option<&[Target]>,
    want: usize,
    now: Time,
    expires_at: Time,
) -> Result<Vec<Item>> {
    let lock = match tx.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE OF i SKIP LOCKED",
    };
    let targets = targets.map_or_else(String::new, |list| {
        let words = list.iter().map(|t| format!("'{}'", t.as_str())).collect::<Vec<_>>().join(", ");
        format!("AND i.target IN ({words})")
    });
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        // Materialized: Postgres would run a plain subselect again for each row that it locks.
        "WITH picked AS MATERIALIZED (SELECT i.id FROM items i WHERE i.queue_id = $1 AND i.state = 'queued' \
         AND COALESCE(i.not_before, 0) <= $4 AND COALESCE(i.next_retry_at, 0) <= $4 {targets} \
         AND EXISTS (SELECT 1 FROM queues q WHERE q.id = $1 AND q.paused = 0) \
         AND EXISTS (SELECT 1 FROM users u WHERE u.id = i.author_id) \
         ORDER BY i.priority, i.id LIMIT {want} {lock}) \
         UPDATE items SET state = 'leased', attempt = attempt + 1, agent_id = $2, stock = $3, leased_at = $4, \
         lease_expires_at = $5, next_retry_at = NULL, unreachable_since = NULL \
         WHERE state = 'queued' AND id IN (SELECT id FROM picked) RETURNING *"
    )))
    .bind(queue.as_str())
    .bind(agent.0.as_str())
    .bind(i16::from(agent.1))
    .bind(now.0)
    .bind(expires_at.0)
    .fetch_all(tx.connection())
    .await?;
    let mut items = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
    Ok(items)
}

async fn attempt_state_in_tx(tx: &mut Tx, found: &Item, state: &str, ended: Option<&Ended>) -> Result<()> {
    sqlx::query(
        "UPDATE attempts SET state = $3, ended_at = $4, exit_code = $5, signal = $6, reason = $7 \
         WHERE item_id = $1 AND number = $2",
    )
    .bind(found.id.as_str())
    .bind(i64::from(found.attempt))
    .bind(state)
    .bind(ended.map(|e| e.at.0))
    .bind(ended.and_then(|e| e.exit_code))
    .bind(ended.and_then(|e| e.signal))
    .bind(ended.and_then(|e| e.reason.as_ref()).map(json))
    .execute(tx.connection())
    .await?;
    if let Some(ended) = ended {
        sqlx::query("UPDATE phases SET ended_at = $3 WHERE item_id = $1 AND attempt = $2 AND ended_at IS NULL")
            .bind(found.id.as_str())
            .bind(i64::from(found.attempt))
            .bind(ended.at.0)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

async fn revoke_token_in_tx(tx: &mut Tx, id: &ItemId, attempt: u32) -> Result<()> {
    sqlx::query("DELETE FROM api_keys WHERE id = (SELECT token_id FROM attempts WHERE item_id = $1 AND number = $2)")
        .bind(id.as_str())
        .bind(i64::from(attempt))
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn expire_token_in_tx(tx: &mut Tx, id: &ItemId, attempt: u32, at: Time) -> Result<()> {
    sqlx::query(
        "UPDATE api_keys SET expires_at = $3 WHERE id = (SELECT token_id FROM attempts WHERE item_id = $1 AND number = $2)",
    )
    .bind(id.as_str())
    .bind(i64::from(attempt))
    .bind(at.0)
    .execute(tx.connection())
    .await?;
    Ok(())
}
