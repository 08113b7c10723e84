//! Items: requests to run a job, and what became of them.

use lanza_model::{
    Phase, Priority, Reason, Target,
    clock::Time,
    config::Setting,
    item::{Ending, StateName},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::agent::Lease;

/// One request to run one job version with given inputs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// Id: also the trace id of its runs.
    pub id: String,
    /// Owner of the queue.
    pub entity: String,
    /// Queue.
    pub queue: String,
    /// Where it runs.
    #[schema(value_type = String)]
    pub target: Target,
    /// `entity/project/name:vN` as resolved at the push (as written, if it could not be); null for an image.
    pub job: Option<String>,
    /// Project of the run.
    pub project: String,
    /// The run that carries the item's trace id.
    pub run: Option<String>,
    /// All of its runs, first to last.
    pub runs: Vec<String>,
    /// Display name asked for.
    pub name: Option<String>,
    /// Where it stands.
    #[schema(value_type = String)]
    pub state: StateName,
    /// Null before `fetch`; at the end the phase in which it ended.
    #[schema(value_type = Option<String>)]
    pub phase: Option<Phase>,
    /// Its agent is silent.
    pub unreachable: bool,
    /// The current or last attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts its queue's policy allows.
    pub max_attempts: u32,
    /// When it is tried again.
    #[schema(value_type = Option<String>)]
    pub next_retry_at: Option<Time>,
    /// Id of the agent that holds or held it.
    pub agent: Option<String>,
    /// How urgent it is.
    #[schema(value_type = String)]
    pub priority: Priority,
    /// Who asked for it.
    pub author: String,
    /// When it was pushed.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// When an agent took it.
    #[schema(value_type = Option<String>)]
    pub leased_at: Option<Time>,
    /// When the current or last attempt's workload started (its phase `run` began).
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Time>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
    /// 0 when finished; null if it was stopped, lost or ended by a signal.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended so.
    #[schema(value_type = Option<Object>)]
    pub reason: Option<Reason>,
    /// What did not go well and did not matter.
    pub warnings: Vec<String>,
    /// Values given for the job's inputs.
    pub inputs: Map<String, Value>,
    /// What differs from the job.
    pub overrides: Map<String, Value>,
    /// Values of the queue's template variables.
    pub template_variables: Map<String, Value>,
    /// Both layers of the target's configuration, and the two merged.
    pub config: ItemConfig,
    /// What it asks of the machine.
    pub resources: Map<String, Value>,
    /// What was reserved for it.
    pub reserved: Option<Value>,
    /// Not to start before.
    #[schema(value_type = Option<String>)]
    pub not_before: Option<Time>,
    /// A second push with the same key is the same item.
    pub idempotency_key: Option<String>,
    /// The environment that it runs in.
    pub environment: Option<ItemEnvironment>,
    /// The source that it runs.
    pub source: Option<ItemSource>,
    /// Why it waits.
    pub why: Option<Why>,
    /// Every try.
    pub attempts: Vec<Attempt>,
}

/// The two layers and their sum.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ItemConfig {
    /// The queue's, templates filled.
    pub queue: Map<String, Value>,
    /// The submitter's.
    pub item: Map<String, Value>,
    /// The second merged over the first.
    pub effective: Map<String, Value>,
}

/// The dependency environment of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemEnvironment {
    /// Its key: a SHA-256 in hexadecimal.
    pub digest: String,
    /// Whether it was there before.
    pub cached: bool,
    /// Installed packages, `name==version`.
    pub packages: Vec<String>,
}

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemSource {
    /// `code`, `git` or `image`.
    pub kind: String,
    /// Commit, for git.
    #[serde(default)]
    pub commit: Option<String>,
    /// Image with digest, for images.
    #[serde(default)]
    pub image: Option<String>,
}

/// Why an item waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// Place in the queue, from 1; null once it is with an agent.
    pub position: Option<i64>,
    /// How many items are ahead of it.
    pub ahead: i64,
    /// The rule that blocks it: `no_agent stale_agent agents_full resources queue_cap user_cap paused not_before
    /// retry_backoff ahead build_in_progress`.
    pub rule: String,
    /// The same in a sentence.
    pub message: String,
    /// When it will probably start.
    #[schema(value_type = Option<String>)]
    pub estimated_start: Option<Time>,
}

/// One try at an item by one agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1; the number is the fence.
    pub number: u32,
    /// Id of the agent.
    pub agent: Option<String>,
    /// `leased running finished failed stopped lost`.
    pub state: String,
    /// When the agent took it.
    #[schema(value_type = String)]
    pub leased_at: Time,
    /// When it ended.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
    /// Exit code of the workload.
    pub exit_code: Option<i32>,
    /// Why it ended so.
    #[schema(value_type = Option<Object>)]
    pub reason: Option<Reason>,
    /// Its phases, in order.
    pub phases: Vec<PhaseTimes>,
}

/// Begin and end of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhaseTimes {
    /// Which.
    #[schema(value_type = String)]
    pub name: Phase,
    /// Begin.
    #[schema(value_type = String)]
    pub started_at: Time,
    /// End; null while it lasts.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
}

/// Answer with one item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ItemAnswer {
    /// The item.
    pub item: Item,
    /// What the caller should know, `no agent serves this queue` for instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Everything that is needed to run an item again by hand: what its agent was handed, without the token, and what it
/// reported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// The lease of the last attempt; `token` is empty.
    pub lease: Lease,
    /// The environment that it ran in, once one was there.
    pub environment: Option<ItemEnvironment>,
    /// What ran.
    pub source: Option<ItemSource>,
}

/// Answer of `/items/{id}/replay`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplayAnswer {
    /// What is needed.
    pub replay: Replay,
}

/// Answer to `?plan=true`: what would be launched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlanAnswer {
    /// The plan.
    pub plan: Plan,
}

/// What a launch would do, without doing it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Queue.
    pub queue: String,
    /// Where it would run.
    #[schema(value_type = String)]
    pub target: Target,
    /// `entity/project/name:vN`, resolved.
    pub job: Option<String>,
    /// Project of the run.
    pub project: String,
    /// Both layers of the target's configuration, and the two merged.
    pub config: ItemConfig,
    /// Every value of the effective configuration, and who set it.
    #[schema(value_type = Vec<Object>)]
    pub settings: Vec<Setting>,
    /// What it would ask of the machine.
    pub resources: Map<String, Value>,
    /// Values of the template variables, defaults included.
    pub template_variables: Map<String, Value>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Body of `POST /items/{id}/stop`; empty is fine.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Seconds between TERM and KILL; none means the agent's `stopped_run_timeout`.
    #[serde(default)]
    pub grace_seconds: Option<u32>,
}

/// Body of `POST /items/{id}/retry`; empty is fine.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The environment is built anew, whatever is there.
    #[serde(default)]
    pub rebuild: bool,
}

/// One line of a followed log, as server-sent event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Attempt.
    pub attempt: u32,
    /// Phase.
    #[schema(value_type = String)]
    pub phase: Phase,
    /// Line number in that phase's log, from 1.
    pub line: u64,
    /// When the server received it.
    #[schema(value_type = String)]
    pub time: Time,
    /// The line, without its line feed.
    pub text: String,
}

/// One thing that happened, in the audit trail and the stream of events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Position in the trail; later is greater.
    pub id: i64,
    /// When.
    #[schema(value_type = String)]
    pub time: Time,
    /// Who: a user name, `agent:ID` or `server`.
    pub actor: String,
    /// What: `created`, `leased`, `finished` …
    pub verb: String,
    /// `item`, `queue`, `agent`, `run` …
    pub kind: String,
    /// Id or name of the object.
    pub object: String,
}

/// How an attempt ended, as an agent says it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Finished, failed or stopped.
    #[schema(value_type = String)]
    pub ending: Ending,
    /// Exit code of the workload, if it exited by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Why.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub reason: Option<Reason>,
    /// The phase in which it ended; none means the last one reported.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub phase: Option<Phase>,
    /// When it ended.
    #[schema(value_type = String)]
    pub ended_at: Time,
}
