//! Agents, and the protocol between an agent and the server.
//!
//! An agent registers once per state folder (the same folder is the same agent), then claims items by long poll,
//! acknowledges each before it acts on it, and from then on renews all of its leases by one heartbeat. Every report
//! names the attempt: its number together with the agent's id is the fence, and a report for a pair that no longer holds
//! the item is refused with `lease_lost` (HTTP 409).
//!
//! | step | route below `/api/v1` |
//! |---|---|
//! | register | `POST /entities/{e}/agents` |
//! | claim (long poll) | `POST /agents/{id}/claim` |
//! | acknowledge, or hand back | `POST /agents/{id}/items/{item}/{attempt}/acknowledge`, `…/return` |
//! | heartbeat for all items | `POST /agents/{id}/heartbeat` |
//! | what the agent itself says | `POST /agents/{id}/log` |
//! | phases, warnings, environment | `POST /agents/{id}/items/{item}/{attempt}/report` |
//! | log bytes of a phase | `POST /agents/{id}/items/{item}/{attempt}/logs/{phase}?offset=N` |
//! | outcome | `POST /agents/{id}/items/{item}/{attempt}/outcome` |

use lanza_model::{Phase, Target, clock::Time, resources::Capacity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::item::{ItemEnvironment, ItemSource, Outcome};

/// A daemon that claims items.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Id.
    pub id: String,
    /// Short name; a stock agent's own run carries it.
    pub name: String,
    /// Entity whose queues it serves.
    pub entity: String,
    /// Machine.
    pub host: String,
    /// `lanza@0.1.0`, or `wandb@0.31.0` for a stock agent.
    pub version: String,
    /// Names of the queues that it serves.
    pub queues: Vec<String>,
    /// `polling running draining killed not_polling`.
    pub status: String,
    /// How many items it takes at once; null for no limit or not known.
    pub slots: Option<u32>,
    /// What its machine has to hand out; null when nobody counts it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub resources: Option<Capacity>,
    /// Ids of the items that it holds.
    pub items: Vec<String>,
    /// Last sign of life.
    #[schema(value_type = String)]
    pub last_seen: Time,
    /// When it registered first.
    #[schema(value_type = String)]
    pub created_at: Time,
}

/// Answer with one agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentAnswer {
    /// The agent.
    pub agent: Agent,
}

/// Body of the registration. The same `state` again is the same agent, with its items.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Random text kept in the agent's state folder.
    pub state: String,
    /// Machine.
    pub host: String,
    /// `lanza@VERSION`.
    pub version: String,
    /// Names of the queues to serve.
    pub queues: Vec<String>,
    /// Targets that this agent can serve here.
    #[schema(value_type = Vec<String>)]
    pub targets: Vec<Target>,
    /// How many items at once; null for no limit.
    #[serde(default)]
    pub slots: Option<u32>,
    /// What the machine has to hand out; null means that nobody counts it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub resources: Option<Capacity>,
    /// The agent's settings without secrets, for admins to look at.
    #[serde(default)]
    pub settings: Value,
}

/// Body of a claim.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Queue names in the order to try; the one that gave an item goes to the back for the next claim.
    pub queues: Vec<String>,
    /// How many items to take at most, 1 to 100.
    pub free: u32,
    /// How long to wait for one, 0 to 60 000 ms.
    pub wait_ms: u32,
    /// What the machine has left for the items; null means that nobody counts it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub left: Option<Capacity>,
    /// Everything at hand, after a claim whose answer may have been lost: what else is on lease to this agent, and was
    /// not acknowledged, is handed out again first, under a new token. Null when no answer was lost.
    #[serde(default)]
    pub at_hand: Option<Vec<Held>>,
}

/// Answer to a claim; empty when the wait is over.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// What was leased, for 60 s until it is acknowledged.
    pub leases: Vec<Lease>,
    /// The server wants the agent to stop claiming (drain) or to end.
    #[serde(default)]
    pub command: AgentCommand,
}

/// What the server wants of the agent as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentCommand {
    /// Go on.
    #[default]
    None,
    /// Take nothing new; end when the last item has ended.
    Drain,
    /// Stop the items and end.
    Stop,
}

/// An item on offer, with everything that is needed to carry it out.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// Item.
    pub item: String,
    /// Attempt: the fence.
    pub attempt: u32,
    /// Entity of the queue.
    pub entity: String,
    /// Name of the queue.
    pub queue: String,
    /// Where to run it.
    #[schema(value_type = String)]
    pub target: Target,
    /// Author, for macros.
    pub author: String,
    /// Entity of the run.
    pub run_entity: String,
    /// Project of the run.
    pub run_project: String,
    /// Planned id of the run.
    pub run_id: String,
    /// Display name, if one was asked for.
    pub run_name: Option<String>,
    /// The run may exist already (retry, preemption): `WANDB_RESUME=allow`.
    pub resume: bool,
    /// Sweep of the run.
    pub sweep_id: Option<String>,
    /// The job as the run should see it: `entity/project/name:vN`.
    pub job: Option<String>,
    /// Id of the job's artifact, if it could be resolved.
    pub job_artifact: Option<String>,
    /// Image to run, for launches without a job.
    pub image: Option<String>,
    /// The job's own token (40 characters); the only key that the workload sees.
    pub token: String,
    /// Launch overrides: `args run_config entry_point artifacts files dockerfile working_dir`.
    pub overrides: Map<String, Value>,
    /// The admin's layer of target configuration, templates filled; macros of the agent's environment resolve here only.
    pub queue_config: Map<String, Value>,
    /// The submitter's layer.
    pub item_config: Map<String, Value>,
    /// The client's launch spec as it was sent, without secrets.
    pub spec: Map<String, Value>,
    /// What the item asks of the machine: `cpus memory gpus`.
    #[serde(default)]
    pub resources: Map<String, Value>,
    /// The fields that the queue's admin leaves to submitters, instead of the target's own list.
    #[serde(default)]
    pub submitter_fields: Option<Vec<String>>,
    /// The attempt was asked to stop before it began.
    #[serde(default)]
    pub stop: bool,
    /// The environment is to be built anew: one counts whose build began since this was asked for, so many milliseconds
    /// before the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild_asked_ms: Option<u64>,
}

/// Body of a heartbeat.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Everything that the agent holds, acknowledged.
    pub items: Vec<Held>,
    /// The agent takes nothing new.
    #[serde(default)]
    pub draining: bool,
    /// The agent ends now; its items wait for it to come back.
    #[serde(default)]
    pub leaving: bool,
    /// How long to hold the answer until something is wanted of the agent, 0 to 30 000 ms.
    #[serde(default)]
    pub wait_ms: u32,
}

/// An attempt that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// Item.
    pub item: String,
    /// Attempt.
    pub attempt: u32,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// What the server wants of the agent.
    pub command: AgentCommand,
    /// Attempts to stop.
    pub stop: Vec<StopRequest>,
    /// Attempts that the agent no longer holds: stop and forget them.
    pub lost: Vec<Held>,
}

/// An attempt that somebody wants stopped.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StopRequest {
    /// Item.
    pub item: String,
    /// Attempt.
    pub attempt: u32,
    /// Seconds between TERM and KILL; none means the agent's own setting.
    pub grace_seconds: Option<u32>,
}

/// Lines of an agent's own log, as it sends them. Those that the server has already are not kept twice.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentLog {
    /// Random text that the agent's process chose when it began; with a line's number it names the line.
    pub process: String,
    /// In the order in which they were written, at most 200.
    pub lines: Vec<AgentLogLine>,
}

/// A line of an agent's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentLogLine {
    /// Its number: sent, the one that the agent's process gave it; read, the place in the agent's whole log.
    pub number: u64,
    /// When, by the agent's clock.
    #[schema(value_type = String)]
    pub time: Time,
    /// `error warn info debug trace`.
    pub level: String,
    /// What was said, at most 4,096 bytes.
    pub text: String,
}

/// What has become known about an attempt. All parts are optional and idempotent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Phases begun or ended; sent again, the newest times count.
    #[serde(default)]
    pub phases: Vec<PhaseReport>,
    /// What did not go well and did not matter.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The environment that was found or built.
    #[serde(default)]
    pub environment: Option<ItemEnvironment>,
    /// The source that was found.
    #[serde(default)]
    pub source: Option<ItemSource>,
    /// What was set aside for it: `{cpus, memory_bytes, gpus: [device]}`.
    #[serde(default)]
    pub reserved: Option<Reserved>,
}

/// What an agent set aside for one attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reserved {
    /// CPUs, in cores.
    pub cpus: f64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// GPUs, by the names that the machine has for them.
    pub gpus: Vec<String>,
}

/// Begin or end of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseReport {
    /// Which.
    #[schema(value_type = String)]
    pub name: Phase,
    /// Begin.
    #[schema(value_type = String)]
    pub started_at: Time,
    /// End.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
}

/// Answer to log bytes: how far the server's copy reaches. When the bytes sent did not join on to it, they were not
/// stored and the agent goes on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEnd {
    /// Bytes stored of this phase's log.
    pub end: u64,
}

/// Body of the outcome: also the end offsets of the logs, so that the server knows when they are complete.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeReport {
    /// How it ended.
    pub outcome: Outcome,
}
