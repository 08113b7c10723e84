//! Why an agent cannot go on.

use std::{io, path::PathBuf};

use lanza_api::ClientError;

/// The agent as a whole cannot begin or go on. (What befalls a single item is reported to the server instead.)
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another agent uses the state directory.
    #[error(
        "another agent{} uses the state directory {}; give this one its own with --state",
        .pid.map_or(String::new(), |p| format!(" (process {p})")),
        .dir.display()
    )]
    StateInUse {
        /// The directory.
        dir: PathBuf,
        /// The other agent's process id, if it could be read.
        pid: Option<u32>,
    },
    /// The state directory belongs to an agent of another server or entity.
    #[error("the state directory {} belongs to {owner}; give this agent its own with --state", .dir.display())]
    StateForeign {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// A file of the state directory cannot be read or written.
    #[error("cannot {what} {}", .path.display())]
    State {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The server refused the agent: its key, entity or queues. The message lists the queues that exist.
    #[error("{message}")]
    Refused {
        /// Stable word.
        code: String,
        /// What the server said.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The server does not answer.
    #[error("cannot register at the server")]
    Server(#[source] ClientError),
}

impl Error {
    /// Returns the exit code that the command line gives for this: 3 refused, 4 server unreachable, 1 all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::Server(_) => 4,
            Self::StateInUse { .. } | Self::StateForeign { .. } | Self::State { .. } => 1,
        }
    }

    /// Returns what to do next, if there is more to say than the message.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}
