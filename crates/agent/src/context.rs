//! What every attempt of one agent shares.

use std::{collections::HashMap, sync::Arc};

use lanza_api::Client;
use lanza_model::{Target as Kind, clock::Clock};
use tokio::sync::Notify;

use crate::{
    Options,
    build::python::Pythons,
    machine::Machine,
    redact::Redactor,
    state_dir::StateDir,
    target::{Target, docker::Engine, watcher::Watcher},
};

/// One target with the watcher that asks it.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) watcher: Arc<Watcher>,
}

/// See the module.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) client: Client,
    pub(crate) state: StateDir,
    /// Mark of the programs that this agent runs for itself.
    pub(crate) mark: String,
    pub(crate) targets: HashMap<Kind, Served>,
    /// The Docker engine, if there is one here.
    pub(crate) engine: Option<Engine>,
    pub(crate) pythons: Pythons,
    pub(crate) machine: Machine,
    /// Knows the agent's own secrets.
    pub(crate) redactor: Redactor,
    pub(crate) clock: Arc<dyn Clock>,
    /// An attempt was acknowledged, so that the next heartbeat has one more to name.
    pub(crate) acknowledged: Arc<Notify>,
}
