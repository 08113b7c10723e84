//! Waiting items that have a time of their own: not before, and the next retry.

use lanza_model::{clock::Time, id::QueueId};

use crate::{Result, Store, row::Columns};

/// What time has to say about waiting items.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Queues with an item whose time has come.
    pub queues: Vec<QueueId>,
    /// When the next item's time comes.
    pub next: Option<Time>,
}

impl Store {
    /// Lists the queues with waiting items whose time came after `since` and by `now`, and says when the next one comes.
    pub async fn items_due(&self, since: Time, now: Time) -> Result<Due> {
        let rows = sqlx::query(
            "SELECT queue_id FROM items WHERE state = 'queued' AND not_before > $1 AND not_before <= $2 \
             UNION SELECT queue_id FROM items WHERE state = 'queued' AND next_retry_at > $1 AND next_retry_at <= $2",
        )
        .bind(since.0)
        .bind(now.0)
        .fetch_all(self.read_pool())
        .await?;
        let next = sqlx::query(
            "SELECT MIN(at) AS at FROM (SELECT MIN(not_before) AS at FROM items WHERE state = 'queued' AND not_before > $1 \
             UNION ALL SELECT MIN(next_retry_at) AS at FROM items WHERE state = 'queued' AND next_retry_at > $1) AS times",
        )
        .bind(now.0)
        .fetch_one(self.read_pool())
        .await?;
        Ok(Due {
            queues: rows.iter().map(|row| row.parsed("queue_id")).collect::<Result<_>>()?,
            next: next.maybe_time("at")?,
        })
    }
}
