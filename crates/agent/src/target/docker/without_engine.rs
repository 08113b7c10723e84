//! Stopping a container's workload while the engine hangs or is down.
//!
//! A container of this machine is processes of this machine, which carry the attempt's marks in their environment. Where
//! they have been seen, the agent ends them by itself; where they cannot be seen (an engine in a virtual machine, an agent
//! that may not look into foreign processes) their absence proves nothing, and the engine is waited for.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tracing::warn;

use super::{
    super::{Stopped, Unanswered, proc, process},
    DockerTarget, Handle,
};

/// What is known of workloads without asking the engine.
#[derive(Default)]
pub(super) struct Known {
    /// Whether the engine was ever asked to make the container.
    asked: HashMap<Handle, bool>,
    /// Those that the engine may have been asked to start, in this life of the agent or before it.
    started: HashSet<Handle>,
    /// Those whose processes can be seen from here.
    visible: HashSet<Handle>,
}

impl Known {
    /// A start begins; `fresh` when none was tried before this agent began.
    pub(super) fn begin(&mut self, handle: &Handle, fresh: bool) {
        self.asked.entry(handle.clone()).or_insert(!fresh);
        if !fresh {
            self.started.insert(handle.clone());
        }
    }

    /// The engine is about to be asked to start the container.
    pub(super) fn ask_to_start(&mut self, handle: &Handle) {
        self.started.insert(handle.clone());
    }

    /// Whether the engine may have been asked to start the container before.
    pub(super) fn may_be_started(&self, handle: &Handle) -> bool {
        self.started.contains(handle)
    }

    /// The engine is about to be asked to make the container.
    pub(super) fn ask(&mut self, handle: &Handle) {
        self.asked.insert(handle.clone(), true);
    }

    /// The container runs: looks whether its processes can be seen.
    pub(super) fn see(&mut self, handle: &Handle) {
        if !self.visible.contains(handle) && !proc::marked(&handle.marks()).is_empty() {
            self.visible.insert(handle.clone());
        }
    }

    /// Nothing of it is left.
    pub(super) fn forget(&mut self, handle: &Handle) {
        self.asked.remove(handle);
        self.started.remove(handle);
        self.visible.remove(handle);
    }
}

impl DockerTarget {
    /// Ends the workload by its processes: TERM, after `grace` KILL. `why` is what the engine lets us wait for.
    pub(super) async fn stop_without_engine(
        &self,
        handle: &Handle,
        grace: Duration,
        why: Unanswered,
    ) -> Result<Stopped, Unanswered> {
        let (never_asked, visible) = {
            let known = self.known.lock();
            (known.asked.get(handle) == Some(&false), known.visible.contains(handle))
        };
        if never_asked {
            return Ok(Stopped::Clean);
        }
        let marks = handle.marks();
        if !visible && proc::marked(&marks).is_empty() {
            return Err(why);
        }
        warn!(item.id = %handle.item, "ending the container's processes without the engine: {}", why.0);
        if process::end(|| proc::marked(&marks), grace).await {
            Ok(Stopped::Records)
        } else {
            Err(Unanswered("the processes of the container do not end after KILL".into()))
        }
    }
}
