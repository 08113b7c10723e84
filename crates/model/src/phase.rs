//! The phases of an attempt, in the order in which they can occur.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One stretch of an attempt; each has its own times and its own log. Those that do not apply are absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The job's description and code are brought.
    Fetch,
    /// An environment or an image is made.
    Build,
    /// A built image goes to a registry.
    Push,
    /// An image comes from a registry.
    Pull,
    /// The target's own scheduler holds the attempt.
    Schedule,
    /// The workload is being started.
    Start,
    /// The workload runs.
    Run,
    /// Logs and files that the agent still sends.
    Upload,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 8] =
        [Self::Fetch, Self::Build, Self::Push, Self::Pull, Self::Schedule, Self::Start, Self::Run, Self::Upload];

    /// Returns the word for the phase.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Schedule => "schedule",
            Self::Start => "start",
            Self::Run => "run",
            Self::Upload => "upload",
        }
    }

    /// Parses the word for a phase.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }

    /// Whether the workload's own code may have run by this phase: what is lost here is not repeated by itself.
    pub fn workload_may_have_run(self) -> bool {
        self >= Self::Run
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
