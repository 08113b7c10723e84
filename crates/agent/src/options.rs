//! What an agent is told when it starts.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use lanza_model::clock::{Clock, SystemClock};

use crate::{launch_config::LaunchConfig, own_log::OwnLog};

/// How long a workload may be starting unless somebody says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(1800);

/// How many items an agent holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// At most so many; 0 takes none.
    AtMost(u32),
    /// As many as there are.
    Unlimited,
}

impl Slots {
    /// Reads the number of files and flags: -1 means no limit; none for other negative numbers.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            -1 => Some(Self::Unlimited),
            n => u32::try_from(n).ok().map(Self::AtMost),
        }
    }

    /// Returns the number, none for no limit.
    pub fn limit(self) -> Option<u32> {
        match self {
            Self::AtMost(n) => Some(n),
            Self::Unlimited => None,
        }
    }
}

/// What the agent may hand out of its machine; what is not declared is counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// CPUs, in cores.
    pub cpus: Option<f64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// GPUs, by the names that `CUDA_VISIBLE_DEVICES` takes.
    pub gpus: Option<Vec<String>>,
}

impl Declared {
    /// Reads a number of GPUs, or their names with commas (a single name needs a comma behind it if it is a number).
    pub fn read_gpus(text: &str) -> Option<Vec<String>> {
        if let Ok(count) = text.trim().parse::<u32>() {
            return (count <= 1024).then(|| (0..count).map(|n| n.to_string()).collect());
        }
        let names = text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned);
        let names: Vec<String> = names.collect();
        let legal = |n: &String| n.starts_with("GPU-") || n.starts_with("MIG-") || n.parse::<u32>().is_ok();
        (!names.is_empty() && names.iter().all(legal)).then_some(names)
    }

    /// Takes over what `other` declares.
    pub fn extend(&mut self, other: Self) {
        self.cpus = other.cpus.or(self.cpus);
        self.memory_bytes = other.memory_bytes.or(self.memory_bytes);
        self.gpus = other.gpus.or_else(|| self.gpus.take());
    }
}

/// The settings of one agent.
#[derive(Clone)]
pub struct Options {
    /// Base URL of the server (`WANDB_BASE_URL`).
    pub base_url: String,
    /// The agent's own key. Workloads never see it.
    pub key: String,
    /// Entity whose queues it serves; none means the default entity of the key's owner.
    pub entity: Option<String>,
    /// Names of the queues; none means `default`.
    pub queues: Vec<String>,
    /// How many items at once; 1 unless said otherwise.
    pub max_jobs: Slots,
    /// How many sweep schedulers at once, counted apart from the items; 1 unless said otherwise.
    pub max_schedulers: Slots,
    /// The agent's memory: journal, caches, environments. One agent at a time.
    pub state_dir: PathBuf,
    /// Folder with the state directories of this user's agents. They share the engine, so what one of them uses there
    /// is removed by none.
    pub neighbours: Option<PathBuf>,
    /// Time between TERM and KILL when an item is stopped and nobody said otherwise.
    pub stopped_run_timeout: Duration,
    /// How long a target may take from being asked for a workload until that runs; none for no limit.
    pub start_timeout: Option<Duration>,
    /// What it may hand out.
    pub resources: Declared,
    /// How often it says how it goes.
    pub status_every: Duration,
    /// The rest of `launch-config.yaml`.
    pub config: LaunchConfig,
    /// The agent's own environment. Workloads get a short safe list of it; macros and `env: [NAME]` of the queue's
    /// admin may name any of it.
    pub environment: BTreeMap<String, String>,
    /// Name of this machine.
    pub host: String,
    /// Command that runs the supervisor; the folder of the attempt is appended to it.
    pub supervisor: Vec<String>,
    /// What this process logs, to be read at the server.
    pub own_log: OwnLog,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Options {
    /// Leaves out what may be secret: the key and the environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("base_url", &self.base_url)
            .field("entity", &self.entity)
            .field("queues", &self.queues)
            .field("max_jobs", &self.max_jobs)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Makes the default settings. The caller hands in its environment and, through `supervisor`, the command that
    /// calls [`crate::supervise`] (`["/path/of/lanza", "supervise"]`).
    pub fn new(
        base_url: impl Into<String>,
        key: impl Into<String>,
        state_dir: impl Into<PathBuf>,
        environment: BTreeMap<String, String>,
        supervisor: Vec<String>,
    ) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|h| h.trim().to_owned())
            .ok()
            .filter(|h| !h.is_empty())
            .unwrap_or_else(|| "localhost".into());
        Self {
            base_url: base_url.into(),
            key: key.into(),
            entity: None,
            queues: Vec::new(),
            max_jobs: Slots::AtMost(1),
            max_schedulers: Slots::AtMost(1),
            state_dir: state_dir.into(),
            neighbours: None,
            stopped_run_timeout: Duration::from_secs(60),
            start_timeout: Some(START_TIMEOUT),
            resources: Declared::default(),
            status_every: Duration::from_secs(300),
            config: LaunchConfig::default(),
            environment,
            host,
            supervisor,
            own_log: OwnLog::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Takes over what a config file says. Flags and environment variables win over the file: set them afterwards.
    #[must_use]
    pub fn with_config(mut self, config: LaunchConfig) -> Self {
        if config.entity.is_some() {
            self.entity.clone_from(&config.entity);
        }
        if !config.queues.is_empty() {
            self.queues.clone_from(&config.queues);
        }
        self.max_jobs = config.max_jobs.unwrap_or(self.max_jobs);
        self.max_schedulers = config.max_schedulers.unwrap_or(self.max_schedulers);
        self.stopped_run_timeout = config.stopped_run_timeout.unwrap_or(self.stopped_run_timeout);
        self.resources = config.lanza.resources.clone();
        self.config = config;
        self
    }
}
