//! Carries what becomes known about one attempt to the server: phases, warnings, log bytes and, last, the outcome.
//!
//! It runs beside the attempt, so that no report delays the work. Logs are files of the attempt's folder; the server
//! knows how far its copy reaches, and the courier sends what is missing, so neither a restart nor an absence of the
//! server costs or repeats a byte.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use lanza_api::{
    Client, ClientError,
    agent::{Lease, OutcomeReport, Report},
    item::Outcome,
};
use lanza_model::Phase;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::redact::Redactor;

/// Most bytes of log in one request.
const CHUNK_BYTES: u64 = 1 << 20;
/// How much of a log may lie here that the server takes no more of, bytes. It takes some gigabytes of each; a job that
/// writes on fills no disk with what nobody will read.
const REFUSED_BYTES: u64 = 32 << 20;
/// How often the logs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Waits between tries while the server is away; the last one repeats.
const RETRY_MS: [u64; 6] = [100, 250, 500, 1_000, 2_000, 4_000];

/// The server says that somebody else holds the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// What a failed request means for the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The item belongs to somebody else, or is gone.
    Lost,
    /// The same may succeed later.
    Later,
    /// It never will.
    Never,
}

/// Sorts an error of the server by what to do.
pub(crate) fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused { status: 409 | 404 | 410, problem } if problem.code != "unknown" => Failure::Lost,
        // A key that was withdrawn may be given back; the work is not thrown away for it.
        ClientError::Refused { status: 401 | 403 | 404 | 408, .. } => Failure::Later,
        e if e.is_temporary() => Failure::Later,
        _ => Failure::Never,
    }
}

#[derive(Default)]
struct Shared {
    report: Report,
    /// Counts the changes of the report.
    version: u64,
    /// The version that the server has.
    delivered: u64,
    /// How far the server's copies reach; unknown ones are asked for.
    ends: BTreeMap<Phase, u64>,
    /// Up to where the rest of a log that the server takes no more of was thrown away.
    discarded: BTreeMap<Phase, u64>,
}

/// See the module.
pub(crate) struct Courier {
    client: Client,
    agent: String,
    lease: Arc<Lease>,
    logs: PathBuf,
    /// Cuts secrets out of everything that is sent.
    redactor: Mutex<Arc<Redactor>>,
    /// The logs grow no more.
    whole: AtomicBool,
    /// The server has no log of this attempt yet.
    fresh: bool,
    shared: Mutex<Shared>,
    /// There is something to send.
    wake: Notify,
    /// Something was sent.
    sent: Notify,
}

impl Courier {
    /// Makes the courier of an attempt; `fresh` when nothing can have been sent yet.
    pub(crate) fn new(
        client: Client,
        agent: String,
        lease: Arc<Lease>,
        dir: &Path,
        redactor: Redactor,
        fresh: bool,
    ) -> Self {
        Self {
            client,
            agent,
            lease,
            logs: dir.join("logs"),
            redactor: Mutex::new(Arc::new(redactor)),
            whole: AtomicBool::new(false),
            fresh,
            shared: Mutex::default(),
            wake: Notify::new(),
            sent: Notify::new(),
        }
    }

    /// Knows further secrets, before anything that may say them is written.
    pub(crate) fn keep_secret(&self, secrets: impl IntoIterator<Item = String>) {
        let mut redactor = self.redactor.lock();
        Arc::make_mut(&mut redactor).extend(secrets);
    }

    fn redactor(&self) -> Arc<Redactor> {
        self.redactor.lock().clone()
    }

    /// Returns `text` without secrets.
    pub(crate) fn redacted(&self, text: &str) -> String {
        self.redactor().text(text)
    }

    /// Changes what is known; the server hears of it soon.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Report)) {
        let mut shared = self.shared.lock();
        change(&mut shared.report);
        shared.version += 1;
        drop(shared);
        self.wake.notify_one();
    }

    /// Sends until the item is lost; dropped when the attempt is over.
    pub(crate) async fn run(&self) -> Lost {
        let mut failures = 0;
        loop {
            match self.round().await {
                Ok(true) => {
                    failures = 0;
                    self.sent.notify_waiters();
                }
                Ok(false) => {
                    failures = 0;
                    self.sent.notify_waiters();
                    let _ = timeout(LOOK_EVERY, self.wake.notified()).await;
                }
                Err(Failure::Lost) => return Lost,
                Err(_) => {
                    sleep(Duration::from_millis(RETRY_MS[failures.min(RETRY_MS.len() - 1)])).await;
                    failures += 1;
                }
            }
        }
    }

    /// Sends what there is, once; returns whether that was anything.
    async fn round(&self) -> Result<bool, Failure> {
        let mut busy = false;
        let report = {
            let shared = self.shared.lock();
            (shared.version > shared.delivered).then(|| (shared.version, shared.report.clone()))
        };
        if let Some((version, mut report)) = report {
            for warning in &mut report.warnings {
                *warning = self.redacted(warning);
            }
            let lease = &self.lease;
            if let Err(e) = self.client.attempt_report(&self.agent, &lease.item, lease.attempt, &report).await {
                match failure(&e) {
                    Failure::Never => warn!(item.id = %lease.item, "the server does not take a report: {}", chain(&e)),
                    other => return Err(other),
                }
            }
            self.shared.lock().delivered = version;
            busy = true;
        }
        for phase in Phase::ALL {
            while self.send_log(phase).await? {
                busy = true;
            }
        }
        Ok(busy)
    }

    /// Sends the next bytes of a phase's log; returns whether there were any.
    async fn send_log(&self, phase: Phase) -> Result<bool, Failure> {
        let Some(length) = self.length(phase) else { return Ok(false) };
        let known = self.shared.lock().ends.get(&phase).copied();
        if known.is_some_and(|end| end >= length) {
            if known == Some(u64::MAX) {
                self.discard(phase, length);
            }
            return Ok(false);
        }
        // After a restart an empty request asks how far the server's copy reaches.
        let asking = known.is_none() && !self.fresh;
        let from = known.unwrap_or(0);
        let bytes = if asking { Bytes::new() } else { self.piece(phase, from) };
        if bytes.is_empty() && !asking {
            return Ok(false);
        }
        let lease = &self.lease;
        let sent = self.client.attempt_log(&self.agent, &lease.item, lease.attempt, phase, from, bytes).await;
        let end = match sent {
            Ok(answer) if answer.end == from && !asking => return Err(Failure::Later),
            Ok(answer) => answer.end,
            Err(e) => match failure(&e) {
                Failure::Never => {
                    warn!(item.id = %lease.item, "the server does not take the log of phase {phase}: {}", chain(&e));
                    self.shared.lock().discarded.insert(phase, from);
                    u64::MAX
                }
                other => {
                    debug!(item.id = %lease.item, "cannot send a log: {}", chain(&e));
                    return Err(other);
                }
            },
        };
        self.shared.lock().ends.insert(phase, end);
        Ok(true)
    }

    /// Gives the room back that a log takes beyond what the server took, as often as it is much. The end stays: it says
    /// why a job failed.
    fn discard(&self, phase: Phase, length: u64) {
        let mut shared = self.shared.lock();
        let Some(from) = shared.discarded.get(&phase).copied() else { return };
        let to = length.saturating_sub(REFUSED_BYTES / 2);
        if length.saturating_sub(from) < REFUSED_BYTES || to <= from {
            return;
        }
        // The file keeps its length: whoever writes on in it does not notice.
        let punched = OpenOptions::new().write(true).open(self.log(phase)).and_then(|file| {
            fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from)
                .map_err(Into::into)
        });
        if let Err(e) = punched {
            debug!(item.id = %self.lease.item, "cannot shorten the log of phase {phase}: {e}");
        }
        shared.discarded.insert(phase, to);
    }

    fn piece(&self, phase: Phase, from: u64) -> Bytes {
        self.redactor().read(&self.log(phase), from, CHUNK_BYTES, self.whole.load(Ordering::SeqCst))
    }

    fn log(&self, phase: Phase) -> PathBuf {
        self.logs.join(format!("{phase}.log"))
    }

    fn length(&self, phase: Phase) -> Option<u64> {
        self.log(phase).metadata().ok().map(|m| m.len())
    }

    fn is_done(&self) -> bool {
        let shared = self.shared.lock();
        shared.version == shared.delivered
            && Phase::ALL.into_iter().all(|p| {
                self.length(p).is_none_or(|length| length == 0 || shared.ends.get(&p).is_some_and(|end| *end >= length))
            })
    }

    /// Waits until the server has every byte and every report. [`Self::run`] must run beside it, and no log may grow
    /// from here.
    pub(crate) async fn flush(&self) {
        self.whole.store(true, Ordering::SeqCst);
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            self.wake.notify_one();
            if self.is_done() {
                return;
            }
            let _ = timeout(Duration::from_secs(5), sent).await;
        }
    }

    /// Reports how the attempt ended, until the server has it.
    pub(crate) async fn outcome(&self, outcome: &Outcome) -> Result<(), Lost> {
        let lease = &self.lease;
        let mut body = OutcomeReport { outcome: outcome.clone() };
        if let Some(reason) = &mut body.outcome.reason {
            reason.message = self.redacted(&reason.message);
        }
        let mut failures = 0;
        loop {
            match self.client.attempt_outcome(&self.agent, &lease.item, lease.attempt, &body).await {
                Ok(()) => return Ok(()),
                Err(e) => match failure(&e) {
                    Failure::Lost => return Err(Lost),
                    Failure::Never => {
                        warn!(item.id = %lease.item, "the server does not take the outcome: {}", chain(&e));
                        return Err(Lost);
                    }
                    Failure::Later => {
                        if failures == 0 {
                            info!(item.id = %lease.item, "cannot report the outcome yet: {}", chain(&e));
                        }
                        sleep(Duration::from_millis(RETRY_MS[failures.min(RETRY_MS.len() - 1)])).await;
                        failures += 1;
                    }
                },
            }
        }
    }
}

/// Returns an error with its causes, for a line of log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
