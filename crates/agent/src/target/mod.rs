//! Where workloads run.
//!
//! A target starts, observes, stops and cleans up; everything else is the attempt's business. A workload is found
//! again by its [`Handle`], which is known before it starts, so that a crash between "started" and "written down"
//! loses nothing.

pub(crate) mod docker;
pub(crate) mod docker_options;
pub(crate) mod docker_tar;
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod supervisor;
pub(crate) mod watcher;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use lanza_model::{Reason, clock::Time};
use serde::{Deserialize, Serialize};

/// Names the item in a workload's environment.
pub(crate) const ITEM: &str = "LANZA_ITEM";
/// Names the attempt in a workload's environment.
pub(crate) const ATTEMPT: &str = "LANZA_ATTEMPT";
/// Time between TERM and KILL for what an earlier attempt of the same item left behind.
pub(crate) const EARLIER_GRACE: Duration = Duration::from_secs(5);

/// Names one attempt's workload on its target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Handle {
    /// Item.
    pub(crate) item: String,
    /// Attempt.
    pub(crate) attempt: u32,
    /// The attempt's folder in the state directory.
    pub(crate) dir: PathBuf,
}

impl Handle {
    /// Where the workload's output goes, both streams in the order of their bytes.
    pub(crate) fn run_log(&self) -> PathBuf {
        self.dir.join("logs").join("run.log")
    }

    /// The marks in the workload's environment by which its processes are known.
    pub(crate) fn marks(&self) -> [String; 2] {
        [format!("{ITEM}={}", self.item), format!("{ATTEMPT}={}", self.attempt)]
    }
}

/// Everything that a target needs in order to start a workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) handle: Handle,
    /// Command; empty for an image's own.
    pub(crate) command: Vec<String>,
    /// The whole environment of the workload.
    pub(crate) environment: Vec<(String, String)>,
    /// Working directory, for `process`.
    pub(crate) folder: Option<PathBuf>,
    /// How the container is made, for `docker`.
    pub(crate) container: Option<Container>,
    /// No earlier life of the agent can have tried to start it.
    #[serde(skip)]
    pub(crate) fresh: bool,
}

/// What `docker` needs to know besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Container {
    /// Everything but the environment.
    pub(crate) body: Box<bollard::models::ContainerCreateBody>,
    /// Name, where the queue's config gives one.
    pub(crate) name: Option<String>,
    /// Platform, where the queue's config gives one.
    pub(crate) platform: Option<String>,
    /// Code to lay into it.
    pub(crate) code: Option<docker_tar::Code>,
}

/// How a workload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// It ended for lack of memory.
    #[serde(default)]
    pub(crate) out_of_memory: bool,
    /// It never ran, or nobody knows how it ended.
    pub(crate) failure: Option<Reason>,
    /// When it began to run, if it did and the target remembers.
    pub(crate) since: Option<Time>,
    pub(crate) at: Time,
}

/// What a target knows of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is no such workload (any more).
    Absent,
    /// It was asked for and does not run yet.
    Starting,
    /// It runs.
    Running {
        /// Since when.
        since: Time,
    },
    /// It ended; nothing of it is left but records.
    Ended(Exit),
}

/// What is left of a workload that does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Nothing, and its log is whole.
    Clean,
    /// Records on the target, which does not answer, and perhaps the end of its log.
    Records,
}

/// The target could not be asked; says nothing about the workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unanswered(pub(crate) String);

/// A workload could not be started.
#[derive(Debug, Clone)]
pub(crate) enum StartError {
    /// Trying again does not help.
    Failed(Box<Reason>),
    /// The target did not answer; trying again may help.
    Unanswered(Unanswered),
}

/// A kind of place where workloads run.
#[async_trait]
pub(crate) trait Target: Send + Sync {
    /// Ends what is left of earlier attempts of the item, whoever made them, and starts the workload, unless it has been
    /// started before; goes on where an earlier start broke off. However many
    /// starts of one handle there are, and whoever is killed between them, the workload runs once.
    async fn start(&self, launch: &Launch) -> Result<(), StartError>;

    /// Asks how the workloads are, all at once, each with its own answer.
    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Status, Unanswered>>;

    /// Ends the workload: TERM, after `grace` KILL. Returns when it is verified that nothing of it runs, and makes sure
    /// that it cannot start later; [`Stopped::Clean`] when nothing of it is left on the target either and its log is
    /// complete in the attempt's folder. One that has ended or was never started is fine.
    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<Stopped, Unanswered>;
}
