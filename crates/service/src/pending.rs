//! Signatures that the owners of runs and jobs replace: delete the function here when yours is in.
use lanza_store::items::Item;

use crate::{Result, Service};

impl Service {
    pub(crate) async fn runs_crash_silent(&self) -> Result<()> {
        Ok(())
    }
    /// Running runs of `item.runs` (in item.run_entity/item.run_project) get `state` (failed, killed).
    pub(crate) async fn runs_end_with_item(&self, _item: &Item, _state: &str) -> Result<()> {
        Ok(())
    }
    /// Makes (if there is none) run `item.planned_run` in its project (made if missing) with author, display name, the
    /// config `_wandb.value.launch_trace_id` = item id, state `state`, notes = message; an existing one gets the state.
    pub(crate) async fn run_record_for_item(&self, _item: &Item, _state: &str, _message: &str) -> Result<()> {
        Ok(())
    }
    /// Sets the stop flag of the item's run.
    pub(crate) async fn run_stop_for_item(&self, _item: &Item) -> Result<()> {
        Ok(())
    }
}
