//! Items of stock agents, which end with their runs.

use lanza_model::{
    clock::Time,
    id::{ItemId, QueueId},
    item::StateName,
    run::State,
};

use super::{
    Ended, Item,
    read::item,
    runs::preempted_in_tx,
    transitions::{attempt_ended_in_tx, revoke_token_in_tx, trail},
};
use crate::{Error, Result, Store, lookups::Area, row::Columns};

impl Store {
    /// Lists running items of stock agents whose run has ended or is gone, with its state and exit code. What changed
    /// after `settled` may still be on its way to its item and is left out, and so is a run that no more than an earlier
    /// attempt has begun: its end was that attempt's.
    pub async fn items_with_stock_agents(&self, settled: Time) -> Result<Vec<(Item, Option<(State, Option<i32>)>)>> {
        let rows = sqlx::query(
            // By way of the agents, so that what others run is not looked at: this is asked every second.
            "SELECT i.*, r.state AS run_state, r.exit_code AS run_exit_code FROM agents a \
             JOIN items i ON i.state = 'running' AND i.agent_id = a.id \
             LEFT JOIN runs r ON r.trace_id = i.id AND r.name = i.run \
             WHERE a.stock = 1 AND i.stock = 1 AND i.run IS NOT NULL AND (r.id IS NULL \
             OR (r.state NOT IN ('pending', 'running', 'preempting') AND r.changed_at <= $1 \
             AND COALESCE(r.attempt, i.attempt) >= i.attempt))",
        )
        .bind(settled.0)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| {
                let state = row.maybe_text("run_state")?.and_then(|word| word.parse().ok());
                let exit_code = row.maybe_int("run_exit_code")?.and_then(|code| code.try_into().ok());
                Ok((item(row)?, state.map(|s| (s, exit_code))))
            })
            .collect()
    }

    /// Finds the latest item of a queue with this run's id that has not ended.
    pub async fn item_of_planned_run(&self, queue: &QueueId, run: &str) -> Result<Option<Item>> {
        let row = sqlx::query(
            "SELECT * FROM items WHERE queue_id = $1 AND state IN ('queued', 'leased', 'running') \
             AND planned_run = $2 ORDER BY id DESC LIMIT 1",
        )
        .bind(queue.as_str())
        .bind(run)
        .fetch_optional(self.read_pool())
        .await?;
        row.as_ref().map(item).transpose()
    }

    /// Puts an item back that a stock agent holds and pushes again: same item, next attempt. It is no retry of the
    /// queue's policy, and does not count as one.
    ///
    /// # Errors
    /// [`Error::Moved`] when a stock agent does not run this attempt any more, or was asked to stop it.
    pub async fn item_preempted(&self, id: &ItemId, attempt: u32, ended: Ended) -> Result<Item> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, ended) = (id.clone(), ended.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE items SET state = 'queued', phase = NULL, agent_id = NULL, stock = 0, unreachable_since = NULL, \
                     leased_at = NULL, started_at = NULL, reserved = NULL, losses = losses + 1 \
                     WHERE id = $1 AND attempt = $2 AND state = 'running' AND stock = 1 AND stop_requested_at IS NULL \
                     RETURNING *",
                )
                .bind(id.as_str())
                .bind(i64::from(attempt))
                .fetch_optional(tx.connection())
                .await?;
                let found = item(&row.ok_or(Error::Moved)?)?;
                debug_assert_eq!(found.state, StateName::Queued);
                attempt_ended_in_tx(tx, &found, "lost", &ended).await?;
                preempted_in_tx(tx, &found, ended.at).await?;
                revoke_token_in_tx(tx, &id, found.attempt).await?;
                trail(tx, &found, "server", "requeued", ended.at);
                Ok(found)
            })
        })
        .await
    }
}
