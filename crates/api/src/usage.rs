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

/// How a queue did since a time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueStats {
    /// From when on.
    #[schema(value_type = String)]
    pub since: Time,
    /// Items by their state now.
    pub counts: BTreeMap<String, i64>,
    /// Items pushed since then.
    pub pushed: i64,
    /// Items pushed since then that have ended, by how.
    pub ended: BTreeMap<String, i64>,
    /// From push to lease, in milliseconds.
    pub waiting: Spread,
    /// From lease to end, in milliseconds.
    pub duration: Spread,
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
