//! What is written down about an attempt and told to the server, in one step.

use std::sync::Arc;

use lanza_api::{
    agent::{Lease, PhaseReport, Reserved},
    item::{ItemEnvironment, ItemSource},
};
use lanza_model::{
    Phase,
    clock::{Clock, Time},
};
use tracing::{debug, warn};

use crate::{
    courier::Courier,
    journal::{Entry, Journal},
};

/// The journal and the courier of one attempt: what is written down and told.
pub(crate) struct Progress {
    pub(super) journal: Journal,
    pub(super) courier: Arc<Courier>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Progress {
    /// Goes on from a journal.
    pub(crate) fn new(journal: Journal, courier: Courier, clock: Arc<dyn Clock>) -> Self {
        Self { journal, courier: Arc::new(courier), clock }
    }

    /// The environment that was found or built, once it is known.
    pub(crate) fn built(&self) -> Option<&ItemEnvironment> {
        self.journal.state.environment.as_ref()
    }

    /// What did not go well and did not matter.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.journal.state.warnings
    }

    /// The lease of the attempt.
    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.journal.state.lease
    }

    /// When somebody asked for an environment that is built anew, by this machine's clock.
    pub(crate) fn renew_since(&self) -> Option<Time> {
        let state = &self.journal.state;
        let ago = i64::try_from(state.lease.rebuild_asked_ms?).unwrap_or(i64::MAX);
        Some(Time(state.leased_at.0.saturating_sub(ago)))
    }

    /// What of the machine is set aside for it.
    pub(crate) fn reserved(&self) -> &Reserved {
        &self.journal.state.reserved
    }

    /// Keeps these out of everything that is sent.
    pub(crate) fn keep_secret(&self, secrets: impl IntoIterator<Item = String>) {
        self.courier.keep_secret(secrets);
    }

    /// The id under which the agent took it.
    pub(crate) fn agent(&self) -> &str {
        &self.journal.state.agent
    }

    async fn note(&mut self, entry: Entry) {
        // These entries inform only; a restart does without one that could not be written.
        if let Err(e) = self.journal.append(entry).await {
            warn!(item.id = %self.lease().item, "cannot write the journal: {e}");
        }
        let state = &self.journal.state;
        let (phases, warnings) = (state.phases.clone(), state.warnings.clone());
        let (environment, source) = (state.environment.clone(), state.source.clone());
        let reserved = Some(state.reserved.clone());
        self.courier.report(move |report| {
            report.phases = phases;
            report.warnings = warnings;
            report.environment = environment;
            report.source = source;
            report.reserved = reserved;
        });
    }

    /// Ends the open phase and begins the next one, now.
    pub(crate) async fn begin(&mut self, phase: Phase) {
        self.begin_at(phase, self.clock.now()).await;
    }

    pub(super) async fn begin_at(&mut self, phase: Phase, at: Time) {
        self.end(at).await;
        debug!(item.id = %self.lease().item, "phase {phase}");
        self.note(Entry::Phase { phase: PhaseReport { name: phase, started_at: at, ended_at: None } }).await;
    }

    /// Ends the open phase.
    pub(super) async fn end(&mut self, at: Time) {
        if let Some(open) = self.journal.state.phases.iter().rfind(|p| p.ended_at.is_none()).cloned() {
            let phase = PhaseReport { ended_at: Some(at.max(open.started_at)), ..open };
            self.note(Entry::Phase { phase }).await;
        }
    }

    /// Adds a warning to the item.
    pub(crate) async fn warn(&mut self, text: String) {
        self.note(Entry::Warning { text }).await;
    }

    /// Says in which environment it runs; `venv` is the name of its virtual environment, if that is what it is.
    pub(crate) async fn environment(&mut self, environment: ItemEnvironment, venv: Option<String>) {
        self.note(Entry::Environment { environment, venv }).await;
    }

    /// Says what it runs.
    pub(crate) async fn source(&mut self, source: ItemSource) {
        self.note(Entry::Source { source }).await;
    }
}
