//! Runs that several attempts have in turn, of one item or of items that were launched with the run's id.

use lanza_model::{clock::Time, id::RunId};
use sqlx::any::AnyRow;

use super::{RunFields, RunUpsert};
use crate::{Result, Tx, row::Columns};

/// Whether another attempt goes on with a run that is there: the next one of its item, or that of an item which was
/// launched with the run's id, when the run's own item has ended. Nobody else takes a run from its item.
pub(super) async fn goes_on_in_tx(tx: &mut Tx, run: &AnyRow, upsert: &RunUpsert) -> Result<bool> {
    let (Some(item), Some(own)) = (&upsert.fields.trace_id, run.maybe_text("trace_id")?) else { return Ok(false) };
    if *item == own {
        let (now, before) = (upsert.fields.attempt, run.maybe_int("attempt")?);
        return Ok(now.zip(before).is_some_and(|(now, before)| now > before));
    }
    let planned = sqlx::query(
        "SELECT 1 AS one FROM items WHERE id = $1 AND planned_run = $2 AND state IN ('leased', 'running') \
         AND NOT EXISTS (SELECT 1 FROM items WHERE id = $3 AND state IN ('queued', 'leased', 'running'))",
    )
    .bind(item)
    .bind(&upsert.name)
    .bind(&own)
    .fetch_optional(tx.connection())
    .await?;
    Ok(planned.is_some())
}

/// Begins a run anew, whatever it came to before: its item's end, its exit code and the wish to stop it are history.
pub(super) async fn run_anew_in_tx(tx: &mut Tx, id: &RunId, fields: &RunFields, now: Time) -> Result<()> {
    sqlx::query(
        "UPDATE runs SET state = 'running', trace_id = $2, exit_code = NULL, ended_at = NULL, stop_requested = 0, \
         heartbeat_at = $3 WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(fields.trace_id.as_deref())
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    Ok(())
}
