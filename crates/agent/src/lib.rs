//! The launch agent: claims items, brings their code, makes their environment, runs them on a target and reports.
//!
//! What it hides: that everything can be killed at any instant. Every lease, handle and outcome is in the journal (a
//! folder per attempt below the state directory) before it is acted on, workloads live in objects of their own (a
//! supervisor process, a container) that outlive the agent, and a restart goes on from what it finds there. One event
//! loop owns the agent's state; each attempt is a task that it drives by messages.
//!
//! The agent speaks to the server by `lanza_api` only, and never links the server's inside.

pub mod launch_config;
pub mod options;
pub mod own_log;

mod agent_loop;
mod attempt;
mod build;
mod cache;
mod command;
mod context;
mod courier;
mod error;
#[cfg(test)]
mod fake_server;
mod garbage;
mod journal;
mod machine;
mod prepare;
mod redact;
mod replay;
mod source;
mod state_dir;
mod target;
mod target_config;
mod workload_env;

pub use build::prune::{Piece, PruneOptions, Pruned, prune};
pub use error::Error;
pub use launch_config::{ConfigError, LaunchConfig};
pub use options::{Declared, Options, Slots};
pub use own_log::OwnLog;
pub use replay::{ReplayError, Replayed, replay};
pub use target::supervisor::supervise;

use tokio::sync::mpsc;

/// What the owner of the agent wants of it. See [`run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Stop claiming and end within 10 s; the workloads live on and are adopted by the next agent on the same state
    /// directory. (SIGTERM.)
    Leave,
    /// Stop claiming and end when the last item has ended. (First Ctrl-C.)
    Drain,
    /// Stop claiming, stop every workload, and end when the last one is gone and reported. (Second Ctrl-C, and the end
    /// of `lanza dev`.)
    Stop,
}

/// Runs an agent until it is told to end. A closed `control` channel tells it nothing.
///
/// # Errors
/// When the agent cannot begin (see [`Error::exit_code`]), or its state directory fails.
pub async fn run(options: Options, control: mpsc::UnboundedReceiver<Control>) -> Result<(), Error> {
    agent_loop::run(options, control).await
}
