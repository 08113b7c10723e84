//! Builds that several agents could make, of which one does.
//!
//! Before it builds, an agent asks for the build's lease. Whoever has it builds; the others wait, then use what was built.
//! The lease saves work and decides nothing: two agents that build the same anyway (because the server did not answer)
//! end up with the same result.
//!
//! | step | route below `/api/v1` |
//! |---|---|
//! | ask for a build, wait for it, or renew it | `POST /agents/{id}/items/{item}/{attempt}/build` |
//! | it is over | `POST /agents/{id}/items/{item}/{attempt}/build/end` |

use lanza_model::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest wait for a build in one request, in milliseconds.
pub const BUILD_WAIT_MS: u32 = 30_000;

/// Body of the question for a build. Asked again by the agent that has it, it renews the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// Where the result will be: agents with the same place share it. A registry's repository, a Docker engine, or the
    /// agent itself.
    pub place: String,
    /// Key of what is built.
    pub digest: String,
    /// How long to wait for it at most, 0 to [`BUILD_WAIT_MS`].
    #[serde(default)]
    pub wait_ms: u32,
    /// The agent was told that it is built, looked, and does not find it.
    #[serde(default)]
    pub missing: bool,
    /// A build that began before the item was pushed does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// Answer to the question for a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum BuildAnswer {
    /// The agent builds, and asks again well before `lease_ms` are over for as long as it does.
    Granted {
        /// How long the lease lasts, in milliseconds.
        lease_ms: u32,
    },
    /// Somebody built it a moment ago: it is in its place.
    Built,
    /// Somebody else builds it.
    Held {
        /// Who.
        holder: BuildHolder,
    },
}

/// Who builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildHolder {
    /// Id of the agent.
    pub agent: String,
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// The item that it builds for.
    pub item: String,
    /// When it began.
    #[schema(value_type = String)]
    pub since: Time,
}

/// Body of the end of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildEnd {
    /// The result is in its place. Otherwise whoever waits tries it too.
    pub built: bool,
}
