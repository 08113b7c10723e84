//! How a queue did in a window of time, summed up by the database.
//!
//! All of it walks the index of a queue's items by their ends, which holds what is counted: what had ended before the window is
//! never looked at, and the items themselves are read where they are shown.

use std::fmt::Write as _;

use lanza_model::{
    Reason,
    clock::Time,
    id::{ItemId, QueueId},
    item::StateName,
};
use sqlx::any::AnyRow;

use super::read::legal;
use crate::{Result, Store, row::Columns};

/// Items of one fate: when they came, were taken and ended, in slices of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Slice in which they were pushed; -1 before the window.
    pub pushed: i64,
    /// Slice in which they were last leased, -1 before the window; none when they were not before its end.
    pub leased: Option<i64>,
    /// Slice in which they ended; none when they had not at its end.
    pub ended: Option<i64>,
    /// Their state now.
    pub state: StateName,
    /// How many.
    pub items: i64,
}

/// The most items at one moment of a slice, as far as something changed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// The slice.
    pub slice: i64,
    /// The most that waited at a moment.
    pub waiting: i64,
    /// The most that were with an agent at a moment.
    pub running: i64,
}

/// How often something took about so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Milliseconds, to one in a hundred.
    pub ms: i64,
    /// How many.
    pub items: i64,
}

/// What is measured of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// From push to last lease, of items that were leased in the window.
    Waiting,
    /// From last lease to end, of items that ended in the window.
    Duration,
}

/// An item that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Which.
    pub item: ItemId,
    /// When.
    pub ended_at: Time,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
    /// Why.
    pub reason: Option<Reason>,
}

/// One attempt, for a timeline.
#[derive(Debug, Clone)]
pub struct AttemptSpan {
    /// Item.
    pub item: ItemId,
    /// From 1.
    pub number: u32,
    /// Whether it is its item's newest.
    pub newest: bool,
    /// Whether it lasts and its agent is silent.
    pub unreachable: bool,
    /// End of the item, which the list is ordered by.
    pub item_ended_at: Option<Time>,
    /// Author of the item.
    pub author: String,
    /// Job of the item.
    pub job: Option<String>,
    /// Project of the run.
    pub project: String,
    /// Run.
    pub run: Option<String>,
    /// Agent.
    pub agent_id: Option<String>,
    /// The agent's name, while it is known.
    pub agent: Option<String>,
    /// State of the attempt.
    pub state: String,
    /// When the agent took it.
    pub leased_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// What was set aside for the item's newest attempt.
    pub reserved: Option<serde_json::Value>,
    /// Why it ended so.
    pub reason: Option<Reason>,
}

/// Where a page of attempts goes on: behind this item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptsAfter {
    /// End of the item; none while it has not ended.
    pub ended_at: Option<Time>,
    /// The item.
    pub item: ItemId,
}

/// Items of a job, and the newest runs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    /// `e/p/name:vN`; none for images.
    pub job: Option<String>,
    /// Entity of the run.
    pub run_entity: String,
    /// Project of the run.
    pub project: String,
    /// Run.
    pub run: Option<String>,
    /// How the item ended.
    pub state: StateName,
    /// From last lease to end, in milliseconds.
    pub ms: Option<i64>,
}

/// More than the slices of any window, and than the states.
const SLICES: i64 = 1 << 18;
const STATES: i64 = 8;

/// Finds what has not ended by another index than that of the ends.
pub(super) const NOT_ENDED: &str = "state IN ('queued', 'leased', 'running')";

fn state(row: &AnyRow) -> Result<StateName> {
    let word = row.text("state")?;
    legal("state", StateName::parse(&word), &word)
}

/// Rounds a column of milliseconds to two digits and a half.
const ROUNDED: &str = "CASE WHEN v.ms < 0 THEN 0 WHEN v.ms < 200 THEN v.ms WHEN v.ms < 2000 THEN v.ms / 10 * 10 \
    WHEN v.ms < 20000 THEN v.ms / 100 * 100 WHEN v.ms < 200000 THEN v.ms / 1000 * 1000 \
    WHEN v.ms < 2000000 THEN v.ms / 10000 * 10000 WHEN v.ms < 20000000 THEN v.ms / 100000 * 100000 \
    ELSE v.ms / 1000000 * 1000000 END";

impl Store {
    /// Groups a queue's items that were there between `since` and `until` by when they came, were taken and ended, in
    /// slices of `width_ms`.
    pub async fn queue_fates(&self, queue: &QueueId, since: Time, until: Time, width_ms: i64) -> Result<Vec<Fate>> {
        let slice = |column: &str| format!("CASE WHEN {column} < $2 THEN 0 ELSE ({column} - $2) / $4 + 1 END");
        let mut states = String::new();
        for (n, state) in StateName::ALL.iter().enumerate() {
            let _ = write!(states, " WHEN '{}' THEN {n}", state.as_str());
        }
        // One number for all four is grouped several times faster than the four.
        let part = |ended: &str, which: &str| {
            format!(
                "SELECT (({} * {SLICES} + CASE WHEN leased_at IS NULL OR leased_at >= $3 THEN 0 ELSE {} + 1 END) \
                 * {SLICES} + {ended}) * {STATES} + CASE state{states} END AS fate FROM items \
                 WHERE queue_id = $1 AND {which} AND created_at < $3 AND deleted = 0",
                slice("created_at"),
                slice("leased_at"),
            )
        };
        let sql = format!(
            "SELECT fate, COUNT(*) AS n FROM ({} UNION ALL {} UNION ALL {}) AS f GROUP BY fate",
            part("(ended_at - $2) / $4 + 1", "ended_at >= $2 AND ended_at < $3"),
            part("0", "ended_at >= $3"),
            part("0", NOT_ENDED),
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(queue.as_str())
            .bind(since.0)
            .bind(until.0)
            .bind(width_ms.max(1))
            .fetch_all(self.read_pool())
            .await?;
        rows.iter()
            .map(|row| {
                let fate = row.int("fate")?;
                let place = |n: i64| fate / STATES / SLICES.pow(n as u32) % SLICES;
                Ok(Fate {
                    pushed: place(2) - 1,
                    leased: Some(place(1) - 2).filter(|n| *n > -2),
                    ended: Some(place(0) - 1).filter(|n| *n > -1),
                    state: StateName::ALL[(fate % STATES) as usize],
                    items: row.int("n")?,
                })
            })
            .collect()
    }

    /// Says how many of a queue's items waited and ran at most in each slice of `width_ms` between `since` and `until` in
    /// which one came, was taken or ended. Like the fates it counts an item with several attempts as waiting until its last.
    pub async fn queue_peaks(&self, queue: &QueueId, since: Time, until: Time, width_ms: i64) -> Result<Vec<Peak>> {
        let there = |which: &str| {
            format!(
                "SELECT CASE WHEN created_at < $2 THEN $2 ELSE created_at END AS created_at, \
                 CASE WHEN leased_at < $2 THEN $2 ELSE leased_at END AS leased_at, ended_at FROM items \
                 WHERE queue_id = $1 AND {which} AND created_at < $3 AND deleted = 0"
            )
        };
        // What changes at one moment is one step: who goes as another comes leaves no peak behind.
        let sql = format!(
            "WITH there AS ({} UNION ALL {}), \
             steps AS (SELECT created_at AS t, 1 AS w, 0 AS r FROM there \
             UNION ALL SELECT leased_at AS t, -1 AS w, 1 AS r FROM there WHERE leased_at < $3 \
             UNION ALL SELECT ended_at AS t, CASE WHEN leased_at IS NULL THEN -1 ELSE 0 END AS w, \
             CASE WHEN leased_at IS NULL THEN 0 ELSE -1 END AS r FROM there WHERE ended_at < $3), \
             moments AS (SELECT t, SUM(w) AS w, SUM(r) AS r FROM steps GROUP BY t), \
             levels AS (SELECT (t - $2) / $4 AS slice, SUM(w) OVER (ORDER BY t) AS w, SUM(r) OVER (ORDER BY t) AS r \
             FROM moments) \
             SELECT slice, CAST(MAX(w) AS BIGINT) AS w, CAST(MAX(r) AS BIGINT) AS r FROM levels GROUP BY slice ORDER BY slice",
            there("ended_at >= $2"),
            there(NOT_ENDED),
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(queue.as_str())
            .bind(since.0)
            .bind(until.0)
            .bind(width_ms.max(1))
            .fetch_all(self.read_pool())
            .await?;
        rows.iter()
            .map(|row| Ok(Peak { slice: row.int("slice")?, waiting: row.int("w")?, running: row.int("r")? }))
            .collect()
    }

    /// Says how long a queue's items took, the shortest first, each time rounded so that there are few different ones.
    pub async fn queue_took(&self, queue: &QueueId, measure: Measure, since: Time, until: Time) -> Result<Vec<Took>> {
        let waiting = "SELECT leased_at - created_at AS ms FROM items WHERE queue_id = $1 AND leased_at >= $2 \
                       AND leased_at < $3 AND deleted = 0";
        let values = match measure {
            Measure::Waiting => format!("{waiting} AND ended_at >= $2 UNION ALL {waiting} AND {NOT_ENDED}"),
            Measure::Duration => {
                "SELECT ended_at - leased_at AS ms FROM items WHERE queue_id = $1 AND ended_at >= $2 AND ended_at < $3 \
                 AND leased_at IS NOT NULL AND deleted = 0"
                    .to_owned()
            }
        };
        let sql = format!(
            "SELECT t.ms, COUNT(*) AS n FROM (SELECT {ROUNDED} AS ms FROM ({values}) AS v) AS t GROUP BY t.ms ORDER BY t.ms"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(queue.as_str())
            .bind(since.0)
            .bind(until.0)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(|row| Ok(Took { ms: row.int("ms")?, items: row.int("n")? })).collect()
    }

    /// Lists a queue's items that failed in a window, newest first.
    pub async fn queue_failed(&self, queue: &QueueId, since: Time, until: Time, limit: i64) -> Result<Vec<Failed>> {
        let rows = sqlx::query(
            "SELECT id, ended_at, exit_code, signal, reason FROM items WHERE queue_id = $1 AND ended_at >= $2 \
             AND ended_at < $3 AND state = 'failed' AND deleted = 0 ORDER BY ended_at DESC LIMIT $4",
        )
        .bind(queue.as_str())
        .bind(since.0)
        .bind(until.0)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Failed {
                    item: row.parsed("id")?,
                    ended_at: row.time("ended_at")?,
                    exit_code: row.maybe_int("exit_code")?.map(|n| n as i32),
                    signal: row.maybe_int("signal")?.map(|n| n as i32),
                    reason: row.maybe_json("reason")?,
                })
            })
            .collect()
    }

    /// Lists attempts of a queue's items that were there in a window: first of items that have not ended, newest first,
    /// then of those that have, the last to end first. `limit` counts items.
    pub async fn queue_attempts(
        &self,
        queue: &QueueId,
        since: Time,
        until: Time,
        after: Option<&AttemptsAfter>,
        limit: i64,
    ) -> Result<Vec<AttemptSpan>> {
        let mut spans = Vec::new();
        if after.is_none_or(|a| a.ended_at.is_none()) {
            let before = after.map_or("g", |a| a.item.as_str());
            // What waits for its first attempt has nothing to show; a long queue is not walked for it.
            let held = "SELECT * FROM items WHERE queue_id = $1 AND state IN ('leased', 'running') AND id < $2 \
                        AND leased_at < $4 AND $3 <= $4 ORDER BY id DESC LIMIT $5";
            spans = self.attempt_spans(held, queue, (since, until), before, None, limit).await?;
        }
        let seen = items_of(&spans);
        if seen < limit {
            let (before, ended) = match after {
                Some(AttemptsAfter { ended_at: Some(ended), item }) => (item.as_str(), Some(*ended)),
                _ => ("g", None),
            };
            let ended_items = "SELECT * FROM items WHERE queue_id = $1 AND ended_at >= $3 AND ended_at <= $6 \
                               AND (ended_at < $6 OR id < $2) AND leased_at < $4 AND deleted = 0 \
                               ORDER BY ended_at DESC, id DESC LIMIT $5";
            let ended = ended.unwrap_or(Time(i64::MAX));
            spans.extend(
                self.attempt_spans(ended_items, queue, (since, until), before, Some(ended), limit - seen).await?,
            );
        }
        Ok(spans)
    }

    async fn attempt_spans(
        &self,
        items: &str,
        queue: &QueueId,
        (since, until): (Time, Time),
        before: &str,
        ended: Option<Time>,
        limit: i64,
    ) -> Result<Vec<AttemptSpan>> {
        let sql = format!(
            "SELECT i.id, i.attempt, i.ended_at AS item_ended_at, \
             i.unreachable_since, i.author, i.job, i.run_project, i.run, i.reserved, \
             a.number, a.agent_id, g.name AS agent, a.state, a.leased_at, a.ended_at, a.reason \
             FROM ({items}) AS i JOIN attempts a ON a.item_id = i.id LEFT JOIN agents g ON g.id = a.agent_id \
             ORDER BY i.ended_at DESC, i.id DESC, a.number DESC"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(queue.as_str())
            .bind(before.to_owned())
            .bind(since.0)
            .bind(until.0)
            .bind(limit);
        if let Some(ended) = ended {
            query = query.bind(ended.0);
        }
        let rows = query.fetch_all(self.read_pool()).await?;
        rows.iter().map(attempt_span).collect()
    }

    /// Lists a queue's items that ended in a window with their jobs and runs, newest first.
    pub async fn queue_job_runs(&self, queue: &QueueId, since: Time, until: Time, limit: i64) -> Result<Vec<JobRun>> {
        let rows = sqlx::query(
            "SELECT job, run_entity, run_project, run, state, ended_at - leased_at AS ms FROM items \
             WHERE queue_id = $1 AND ended_at >= $2 AND ended_at < $3 AND deleted = 0 ORDER BY ended_at DESC LIMIT $4",
        )
        .bind(queue.as_str())
        .bind(since.0)
        .bind(until.0)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(JobRun {
                    job: row.maybe_text("job")?,
                    run_entity: row.text("run_entity")?,
                    project: row.text("run_project")?,
                    run: row.maybe_text("run")?,
                    state: state(row)?,
                    ms: row.maybe_int("ms")?,
                })
            })
            .collect()
    }
}

fn attempt_span(row: &AnyRow) -> Result<AttemptSpan> {
    let number = row.int("number")?;
    Ok(AttemptSpan {
        item: row.parsed("id")?,
        number: number as u32,
        newest: number == row.int("attempt")?,
        unreachable: row.maybe_time("unreachable_since")?.is_some() && row.maybe_time("ended_at")?.is_none(),
        item_ended_at: row.maybe_time("item_ended_at")?,
        author: row.text("author")?,
        job: row.maybe_text("job")?,
        project: row.text("run_project")?,
        run: row.maybe_text("run")?,
        agent_id: row.maybe_text("agent_id")?,
        agent: row.maybe_text("agent")?,
        state: row.text("state")?,
        leased_at: row.time("leased_at")?,
        ended_at: row.maybe_time("ended_at")?,
        reserved: row.maybe_json("reserved")?,
        reason: row.maybe_json("reason")?,
    })
}

/// Counts the items of attempts that are listed by item.
pub fn items_of(spans: &[AttemptSpan]) -> i64 {
    spans.chunk_by(|a, b| a.item == b.item).count() as i64
}
