//! The arrows of the item's state machine behind the lease, each a conditional update with its line in the audit trail.

use lanza_model::{
    Phase, Reason,
    clock::Time,
    code,
    id::{AgentId, ItemId},
    item::{Ending, StateName},
};
use serde_json::Value;

use super::{
    Item,
    read::{item, item_in_tx},
    runs::{end_in_tx, preempted_in_tx},
};
use crate::{Error, Result, Store, Tx, events::event_insert_in_tx, lookups::Area};

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

/// What has become known about an attempt, JSON of the API's types; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// The environment that was found or built.
    pub environment: Option<Value>,
    /// The source that was found.
    pub source: Option<Value>,
    /// What was set aside.
    pub reserved: Option<Value>,
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

pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON values serialize")
}

pub(super) fn trail(tx: &mut Tx, item: &Item, actor: &str, verb: &str, now: Time) {
    event_insert_in_tx(tx, now, item.entity_id.as_str(), actor, verb, ("item", item.id.as_str()));
}

impl Store {
    /// The attempt is over, and so are the item and, unless it finished, its runs.
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
        now: Time,
        token_afterlife_ms: i64,
    ) -> Result<(Item, bool)> {
        let (id, agent) = (id.clone(), agent.cloned());
        self.write_in(Area::Beside, move |tx| {
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
                attempt_ended_in_tx(tx, &found, state, &ended).await?;
                expire_token_in_tx(tx, &id, attempt, now.plus_ms(token_afterlife_ms)).await?;
                let actor = agent.map_or_else(|| "server".to_owned(), |a| format!("agent:{a}"));
                trail(tx, &found, &actor, state, ended.at);
                Ok((end_in_tx(tx, found, ended.at, now).await?, true))
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
        self.write_in(Area::Beside, move |tx| {
            let (id, agent, ended) = (id.clone(), agent.clone(), ended.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'queued', phase = NULL, agent_id = NULL, stock = 0, unreachable_since = NULL, \
                     leased_at = NULL, started_at = NULL, reserved = NULL, next_retry_at = $4, losses = losses + $5 \
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
                let named = |word: &str| ended.reason.as_ref().is_some_and(|r| r.code == word);
                let silent = ended.exit_code.is_none() && ended.signal.is_none();
                let gone = lost || named(code::AGENT_LOST.word) || (named(code::PREEMPTED.word) && silent);
                attempt_ended_in_tx(tx, &found, if gone { "lost" } else { "failed" }, &ended).await?;
                preempted_in_tx(tx, &found, ended.at).await?;
                revoke_token_in_tx(tx, &id, attempt).await?;
                let actor = agent.map_or_else(|| "server".to_owned(), |a| format!("agent:{a}"));
                trail(tx, &found, &actor, "requeued", ended.at);
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
        self.write_in(Area::Beside, move |tx| {
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
                    trail(tx, &found, &actor, "stopped", now);
                    let found = end_in_tx(tx, found, now, now).await?;
                    return Ok(Some(Stopping::Stopped(Box::new(found))));
                }
                // The first request counts; a later one may shorten the grace.
                let row = sqlx::query(
                    "UPDATE items SET stop_requested_by = CASE WHEN stop_requested_at IS NULL THEN $4 \
                     ELSE stop_requested_by END, stop_requested_at = COALESCE(stop_requested_at, $2), \
                     stop_grace_seconds = COALESCE($3, stop_grace_seconds) \
                     WHERE id = $1 AND state = 'running' RETURNING *",
                )
                .bind(id.as_str())
                .bind(now.0)
                .bind(grace_seconds.map(i64::from))
                .bind(actor.as_str())
                .fetch_optional(tx.connection())
                .await?;
                if let Some(row) = row {
                    let found = item(&row)?;
                    trail(tx, &found, &actor, "stop_requested", now);
                    return Ok(Some(Stopping::Asked(Box::new(found))));
                }
                Ok(item_in_tx(tx, &id).await?.map(|i| Stopping::Ended(Box::new(i))))
            })
        })
        .await
    }

    /// The server itself wants an attempt to stop, for `cause`: it will have failed with that once it has stopped.
    ///
    /// # Errors
    /// [`Error::Moved`] when it does not run this attempt any more, or is asked to stop already.
    pub async fn item_stop_for(&self, id: &ItemId, attempt: u32, cause: Reason, now: Time) -> Result<Item> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, cause) = (id.clone(), cause.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET stop_requested_at = $3, stop_cause = $4 \
                     WHERE id = $1 AND attempt = $2 AND state = 'running' AND stop_requested_at IS NULL RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(now.0)
                .bind(json(&cause))
                .fetch_optional(tx.connection())
                .await?;
                let found = item(&row.ok_or(Error::Moved)?)?;
                trail(tx, &found, "server", "stop_requested", now);
                Ok(found)
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
        learned: Learned,
    ) -> Result<Item> {
        let (id, agent) = (id.clone(), agent.clone());
        self.write_in(Area::Beside, move |tx| {
            let (id, agent, phases, warnings) = (id.clone(), agent.clone(), phases.clone(), warnings.clone());
            let Learned { environment, source, reserved } = learned.clone();
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
                     source = COALESCE($6, source), reserved = COALESCE($7, reserved) WHERE id = $1 RETURNING *",
                )
                .bind(id.as_str())
                .bind(latest.map(Phase::as_str))
                .bind(run_began)
                .bind(json(&all))
                .bind(environment.as_ref().map(json))
                .bind(source.as_ref().map(json))
                .bind(reserved.as_ref().map(json))
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
        self.write_in(Area::Beside, move |tx| {
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
        self.write_in(Area::Beside, move |tx| {
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
                trail(tx, &found, "server", "run_seen", now);
                item(&row).map(Some)
            })
        })
        .await
    }
}

pub(super) async fn attempt_ended_in_tx(tx: &mut Tx, found: &Item, state: &str, ended: &Ended) -> Result<()> {
    sqlx::query(
        "UPDATE attempts SET state = $3, ended_at = $4, exit_code = $5, signal = $6, reason = $7 \
         WHERE item_id = $1 AND number = $2",
    )
    .bind(found.id.as_str())
    .bind(i64::from(found.attempt))
    .bind(state)
    .bind(ended.at.0)
    .bind(ended.exit_code)
    .bind(ended.signal)
    .bind(ended.reason.as_ref().map(json))
    .execute(tx.connection())
    .await?;
    sqlx::query("UPDATE phases SET ended_at = $3 WHERE item_id = $1 AND attempt = $2 AND ended_at IS NULL")
        .bind(found.id.as_str())
        .bind(i64::from(found.attempt))
        .bind(ended.at.0)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn revoke_token_in_tx(tx: &mut Tx, id: &ItemId, attempt: u32) -> Result<()> {
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
