//! Items, attempts, phases and logs.
//!
//! Each arrow of `lanza_model::item::next` is one conditional update: the row moves only from the state that the arrow
//! begins in, and no row back means that somebody else was first ([`crate::Error::Moved`]). The fence of a report is the
//! attempt number together with the agent's id.

mod due;
mod insert;
mod leases;
mod logs;
mod monitor;
#[cfg(test)]
mod monitor_tests;
mod read;
mod runs;
mod schedule;
mod stock;
mod transitions;

#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use lanza_model::{
    Phase, Priority, Reason, Target,
    clock::Time,
    id::{AgentId, EntityId, ItemId, QueueId, UserId},
    item::StateName,
};
use serde_json::{Map, Value};

pub use due::Due;
pub use leases::{Handed, HeartbeatResult, NewToken, Wanted};
pub use logs::{LogExtent, LogPiece};
pub use monitor::{AttemptSpan, AttemptsAfter, Failed, Fate, JobRun, Measure, Peak, Took, items_of};
pub(crate) use read::item;
pub use read::{AttemptRow, ItemFilter, Used, UsedBy, UsedIn};
pub(crate) use runs::end_in_tx;
pub use schedule::{Claimer, HeldItem, OpenQueue};
pub use transitions::{Ended, Learned, Stopping};

use crate::gather::Counter;

/// Writes that many callers do at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    insert: Counter<Arc<Item>, Option<Item>>,
    claim: Counter<Wanted, Handed>,
    acknowledge: Counter<leases::Acknowledged, ()>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            insert: Counter::new(insert::in_tx),
            claim: Counter::new(leases::claims_in_tx),
            acknowledge: Counter::new(leases::acknowledge_in_tx),
        }
    }
}

/// An item, as it is stored.
#[derive(Debug, Clone)]
pub struct Item {
    /// Id.
    pub id: ItemId,
    /// Entity of the queue.
    pub entity_id: EntityId,
    /// Queue.
    pub queue_id: QueueId,
    /// Name of the queue, kept after the queue is gone.
    pub queue_name: String,
    /// Where it runs.
    pub target: Target,
    /// Where it stands.
    pub state: StateName,
    /// Current or last phase.
    pub phase: Option<Phase>,
    /// Current or last attempt, 0 before the first.
    pub attempt: u32,
    /// How many attempts there may be.
    pub max_attempts: u32,
    /// Attempts lost before their workload could have run.
    pub losses: u32,
    /// When it is tried again.
    pub next_retry_at: Option<Time>,
    /// Who holds or held it.
    pub agent_id: Option<AgentId>,
    /// Whether a stock agent does.
    pub stock: bool,
    /// How urgent it is.
    pub priority: Priority,
    /// Who asked for it.
    pub author_id: UserId,
    /// The author's name.
    pub author: String,
    /// When it was pushed.
    pub created_at: Time,
    /// When it was last leased.
    pub leased_at: Option<Time>,
    /// When the lease ends unless it is acknowledged.
    pub lease_expires_at: Option<Time>,
    /// When it was last acknowledged.
    pub acknowledged_at: Option<Time>,
    /// When its workload started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Since when its agent is silent.
    pub unreachable_since: Option<Time>,
    /// When somebody asked to stop it.
    pub stop_requested_at: Option<Time>,
    /// Who asked for it first.
    pub stop_requested_by: Option<String>,
    /// Seconds between TERM and KILL that were asked for.
    pub stop_grace_seconds: Option<u32>,
    /// Deleted on the wire: null there, stopped in REST.
    pub deleted: bool,
    /// Exit code of the last workload.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended so.
    pub reason: Option<Reason>,
    /// What did not matter.
    pub warnings: Vec<String>,
    /// The launch spec as sent, without secrets.
    pub spec: Map<String, Value>,
    /// `e/p/name:vN` as resolved at the push, or as written.
    pub job: Option<String>,
    /// Artifact of the job.
    pub job_artifact: Option<String>,
    /// Artifact of the job's code.
    pub code_artifact: Option<String>,
    /// Entity of the run.
    pub run_entity: String,
    /// Project of the run.
    pub run_project: String,
    /// Id planned for the run.
    pub planned_run: String,
    /// The run that carried the trace id first.
    pub run: Option<String>,
    /// All of its runs.
    pub runs: Vec<String>,
    /// Display name asked for.
    pub name: Option<String>,
    /// The admin's layer, templates filled.
    pub queue_config: Map<String, Value>,
    /// The submitter's layer.
    pub item_config: Map<String, Value>,
    /// Values of the template variables.
    pub template_variables: Map<String, Value>,
    /// What it asks of the machine.
    pub resources: Map<String, Value>,
    /// What its agent set aside for it, JSON of the API's type.
    pub reserved: Option<Value>,
    /// Why the server itself asked to stop it.
    pub stop_cause: Option<Reason>,
    /// Not to start before.
    pub not_before: Option<Time>,
    /// A second push with the same key is the same item.
    pub idempotency_key: Option<String>,
    /// The environment that it runs in, JSON of the API's type.
    pub environment: Option<Value>,
    /// What ran, JSON of the API's type.
    pub source: Option<Value>,
}
