//! Logs of attempts: bytes per phase, appended in order.

use lanza_model::{
    Phase,
    clock::Time,
    id::{AgentId, ItemId},
};

use crate::{Error, Result, Store, lookups::Area, row::Columns};

/// A piece of a log.
#[derive(Debug, Clone)]
pub struct LogPiece {
    /// Attempt.
    pub attempt: u32,
    /// Phase.
    pub phase: Phase,
    /// Offset of its first byte in the phase's log.
    pub start: u64,
    /// When it was received.
    pub time: Time,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A piece without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogExtent {
    /// Offset of its first byte in the phase's log.
    pub start: u64,
    /// How many bytes.
    pub size: u64,
    /// How many line feeds are in it.
    pub line_ends: u64,
}

#[expect(clippy::naive_bytecount, reason = "once a piece of a log, which is written to a disk after that")]
fn line_ends(body: &[u8]) -> u64 {
    body.iter().filter(|b| **b == b'\n').count() as u64
}

impl Store {
    /// Appends bytes that begin at `offset`. What the server has already is cut off; bytes that would leave a gap are
    /// not stored. Returns how far the stored log reaches, so that the sender knows where to go on.
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent does not hold (or last held) this attempt.
    pub async fn log_append(
        &self,
        id: &ItemId,
        attempt: u32,
        agent: &AgentId,
        phase: Phase,
        offset: u64,
        body: Vec<u8>,
        now: Time,
    ) -> Result<u64> {
        let (id, agent) = (id.clone(), agent.clone());
        let body = std::sync::Arc::new(body);
        self.write_in(Area::Beside, move |tx| {
            let (id, agent, body) = (id.clone(), agent.clone(), body.clone());
            Box::pin(async move {
                let held =
                    sqlx::query("SELECT 1 AS one FROM attempts WHERE item_id = $1 AND number = $2 AND agent_id = $3")
                        .bind(id.as_str())
                        .bind(i64::from(attempt))
                        .bind(agent.as_str())
                        .fetch_optional(tx.connection())
                        .await?;
                if held.is_none() {
                    return Err(Error::Moved);
                }
                let last = sqlx::query(
                    "SELECT start + size AS n FROM item_logs WHERE item_id = $1 AND attempt = $2 AND phase = $3 \
                     ORDER BY start DESC LIMIT 1",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(phase.as_str())
                .fetch_optional(tx.connection())
                .await?;
                let end = last.map(|row| row.int("n")).transpose()?.unwrap_or(0) as u64;
                let Some(known) = end.checked_sub(offset) else { return Ok(end) };
                let Some(new) = usize::try_from(known).ok().and_then(|k| body.get(k..)).filter(|b| !b.is_empty())
                else {
                    return Ok(end);
                };
                sqlx::query(
                    "INSERT INTO item_logs (item_id, attempt, phase, start, size, line_ends, time, body) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .bind(phase.as_str())
                .bind(end as i64)
                .bind(new.len() as i64)
                .bind(line_ends(new) as i64)
                .bind(now.0)
                .bind(new.to_vec())
                .execute(tx.connection())
                .await?;
                Ok(end + new.len() as u64)
            })
        })
        .await
    }

    /// Reads pieces of an item's log in the order of attempts, phases and bytes, after the piece named by `after`.
    pub async fn log_pieces(
        &self,
        id: &ItemId,
        attempt: u32,
        phase: Phase,
        after: Option<u64>,
        limit: i64,
    ) -> Result<Vec<LogPiece>> {
        let rows = sqlx::query(
            "SELECT start, time, body FROM item_logs WHERE item_id = $1 AND attempt = $2 AND phase = $3 AND start >= $4 \
             ORDER BY start LIMIT $5",
        )
        .bind(id.as_str())
        .bind(i64::from(attempt))
        .bind(phase.as_str())
        .bind(after.unwrap_or(0) as i64)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|r| {
                let (start, time) = (r.int("start")? as u64, r.time("time")?);
                Ok(LogPiece { attempt, phase, start, time, body: r.bytes("body")? })
            })
            .collect()
    }

    /// Lists the pieces of a phase's log in order, without their bytes.
    pub async fn log_extents(&self, id: &ItemId, attempt: u32, phase: Phase) -> Result<Vec<LogExtent>> {
        let rows = sqlx::query(
            "SELECT start, size, line_ends FROM item_logs WHERE item_id = $1 AND attempt = $2 AND phase = $3 ORDER BY start",
        )
        .bind(id.as_str())
        .bind(i64::from(attempt))
        .bind(phase.as_str())
        .fetch_all(self.read_pool())
        .await?;
        let mut extents = Vec::with_capacity(rows.len());
        for row in &rows {
            let start = row.int("start")? as u64;
            let line_ends = match row.maybe_int("line_ends")? {
                Some(known) => known as u64,
                None => {
                    let piece = self.log_pieces(id, attempt, phase, Some(start), 1).await?;
                    piece.first().map_or(0, |p| line_ends(&p.body))
                }
            };
            extents.push(LogExtent { start, size: row.int("size")? as u64, line_ends });
        }
        Ok(extents)
    }

    /// Returns which logs an item has: attempt and phase, in order.
    pub async fn log_parts(&self, id: &ItemId) -> Result<Vec<(u32, Phase)>> {
        let rows = sqlx::query("SELECT DISTINCT attempt, phase FROM item_logs WHERE item_id = $1")
            .bind(id.as_str())
            .fetch_all(self.read_pool())
            .await?;
        let mut parts = Vec::new();
        for row in &rows {
            if let Some(phase) = Phase::parse(&row.text("phase")?) {
                parts.push((row.int("attempt")? as u32, phase));
            }
        }
        parts.sort_unstable();
        Ok(parts)
    }
}
