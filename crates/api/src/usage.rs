//! What was used, and how a queue did.

use std::collections::BTreeMap;

use lanza_model::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What one user, queue, project or job used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The user, queue, project or job.
    pub key: String,
    /// How many items had an attempt in that time.
    pub items: i64,
    /// Hours from lease to end (or now) of all their attempts, as far as they lie in that time.
    pub wall_hours: f64,
    /// Wall hours times the CPUs set aside or asked for; items that ask for none count one.
    pub cpu_hours: f64,
    /// Wall hours times the GPUs set aside or asked for.
    pub gpu_hours: f64,
}

/// How a queue did in a window of time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueStats {
    /// From when on.
    #[schema(value_type = String)]
    pub since: Time,
    /// Until when; what happens at this instant is not counted.
    #[schema(value_type = String)]
    pub until: Time,
    /// Items by their state now, whatever the window.
    pub counts: BTreeMap<String, i64>,
    /// Items pushed in the window.
    pub pushed: i64,
    /// Items that ended in the window, by how.
    pub ended: BTreeMap<String, i64>,
    /// From push to lease, of items leased in the window.
    pub waiting: Spread,
    /// The same as a distribution: how many waited up to each bound.
    pub waiting_histogram: Vec<Bin>,
    /// From lease to end, of items that ended in the window.
    pub duration: Spread,
    /// States over time, in slices of equal width.
    pub over_time: OverTime,
    /// Why items failed in the window, the most frequent cause first.
    pub errors: Vec<CauseCount>,
    /// Whether `errors` counts only the newest failures, for there were too many.
    pub errors_cut: bool,
    /// What each user's attempts used in the window, the most first.
    pub users: Vec<Usage>,
}

/// Items by state over time. All lists have one entry a slice. An item with several attempts counts as waiting until its
/// last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverTime {
    /// Width of a slice in milliseconds; the first begins at `since`.
    pub width_ms: i64,
    /// Waiting at the end of the slice.
    pub waiting: Vec<i64>,
    /// With an agent at the end of the slice.
    pub running: Vec<i64>,
    /// The most that waited at one moment of the slice.
    pub most_waiting: Vec<i64>,
    /// The most that were with an agent at one moment of the slice.
    pub most_running: Vec<i64>,
    /// Pushed in the slice.
    pub pushed: Vec<i64>,
    /// Finished in the slice.
    pub finished: Vec<i64>,
    /// Failed in the slice.
    pub failed: Vec<i64>,
    /// Stopped in the slice.
    pub stopped: Vec<i64>,
}

/// A part of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bin {
    /// Greatest value in milliseconds that belongs here; null in the last one.
    pub up_to_ms: Option<i64>,
    /// How many.
    pub count: i64,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CauseCount {
    /// The reason's code; `exit:1` or `signal:9` where there is none.
    pub cause: String,
    /// Number of the help page; empty when there is none.
    pub help: String,
    /// What the newest of them says.
    pub message: String,
    /// How many items.
    pub count: i64,
    /// When the newest of them ended.
    #[schema(value_type = String)]
    pub last_at: Time,
    /// The newest of them, at most five.
    pub items: Vec<String>,
}

/// One attempt, for a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptSpan {
    /// Item.
    pub item: String,
    /// Attempt, from 1.
    pub number: u32,
    /// Who asked for the item.
    pub author: String,
    /// Job of the item.
    pub job: Option<String>,
    /// Project of the run.
    pub project: String,
    /// Run of the item.
    pub run: Option<String>,
    /// Id of the agent.
    pub agent: Option<String>,
    /// Its name, while it is known.
    pub agent_name: Option<String>,
    /// GPUs that were set aside, by their names; of an item's newest attempt only.
    pub gpus: Vec<String>,
    /// `leased running finished failed stopped lost`.
    pub state: String,
    /// When the agent took it.
    #[schema(value_type = String)]
    pub begin: Time,
    /// When it ended; null while it lasts.
    #[schema(value_type = Option<String>)]
    pub end: Option<Time>,
    /// Whether it lasts and its agent is silent.
    pub unreachable: bool,
    /// The code of why it ended so.
    pub cause: Option<String>,
    /// The number of the code's help page; empty when it has none.
    pub help: Option<String>,
    /// What happened, in words.
    pub message: Option<String>,
}

/// How one job's items did on a queue, and what their runs used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobLoad {
    /// `entity/project/name`; null for images.
    pub job: Option<String>,
    /// Items that ended in the window.
    pub items: i64,
    /// Those of them that finished.
    pub finished: i64,
    /// Those of them that failed.
    pub failed: i64,
    /// From lease to end.
    pub duration: Spread,
    /// How many runs the following figures are of: the newest ones that logged system metrics.
    pub runs_measured: i64,
    /// Use of CPU in percent of a core or of the machine, as the client logs it.
    pub cpu_percent: Option<Load>,
    /// Use of GPUs in percent, over all of them.
    pub gpu_percent: Option<Load>,
    /// GPU memory in percent.
    pub gpu_memory_percent: Option<Load>,
    /// Memory in percent of the machine's.
    pub memory_percent: Option<Load>,
    /// Memory of the process in bytes.
    pub memory_bytes: Option<Load>,
}

/// A figure over time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Mean of the samples.
    pub mean: f64,
    /// Greatest of them.
    pub max: f64,
}

/// How values are spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// How many.
    pub count: i64,
    /// The median in milliseconds.
    pub p50_ms: Option<i64>,
    /// The 95th of a hundred in milliseconds.
    pub p95_ms: Option<i64>,
    /// The greatest in milliseconds.
    pub max_ms: Option<i64>,
}

/// Answer of a queue's `/stats`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueStatsAnswer {
    /// The figures.
    pub stats: QueueStats,
}
