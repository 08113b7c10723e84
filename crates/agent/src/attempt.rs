//! The life of one attempt, from the lease to the reported outcome.
//!
//! It may be dropped at any await and taken up again from the journal, by this agent or the next: what was not written
//! down did not happen, and what was is looked for on the target.

mod ending;
mod progress;

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanza_api::item::Outcome;
use lanza_model::{Phase, Reason, Target, clock::Time, code, item::Ending};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use self::ending::{ended_with_target, explain, outcome};
pub(crate) use self::progress::Progress;
use crate::{
    context::{Context, Served},
    courier::{Courier, Failure, chain, failure},
    garbage::PASSING,
    journal::{Entry, Journal},
    prepare,
    state_dir::remove_dir,
    target::{
        Handle, Launch, StartError, Status, Stopped, Unanswered, proc,
        supervisor::{read_file, write_file},
    },
};

/// What the agent wants of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Go on.
    Go,
    /// Stop the workload and report that.
    Stop {
        /// Time between TERM and KILL.
        grace: Duration,
    },
    /// The item belongs to somebody else: stop the workload and report nothing.
    Forget,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The server has the outcome, or the attempt never began.
    Closed,
    /// The lease was gone before it was acknowledged, or the item belongs to somebody else now.
    Lost,
}

/// How often an unanswered target is asked to start before the attempt fails.
const START_TRIES: u32 = 12;
/// How often a workload is prepared again because its target does not answer, and the wait before.
const PREPARE_WAITS: u32 = 60;
const PREPARE_RETRY: Duration = Duration::from_secs(5);
/// How often in a row a target may not answer how the workload is before it counts as lost.
const OBSERVE_FAILURES: u32 = 1200;
/// Grace when an attempt that belongs to somebody else is stopped.
const FORGET_GRACE: Duration = Duration::from_secs(5);
/// How long a target may take to say whether a workload that is to be stopped has ended by itself.
const STOP_ASK: Duration = Duration::from_secs(2);
/// Wait between tries to reach a target.
const TARGET_RETRY: Duration = Duration::from_secs(2);

/// What is about to be started, kept in the attempt's folder until the target has said that it did. It may hold
/// secrets, so it does not stay.
const LAUNCH: &str = "launch.json";

/// The work on an attempt ended early.
enum Cut {
    /// Somebody else holds the item.
    Lost,
    /// The journal cannot be written.
    Journal(io::Error),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Journal(error)
    }
}

/// See the module.
pub(crate) struct Attempt {
    ctx: Arc<Context>,
    served: Served,
    handle: Handle,
    intent: watch::Receiver<Intent>,
    progress: Progress,
    /// Earlier attempts of the same item that must be gone first.
    predecessors: Vec<watch::Receiver<()>>,
    /// A crash may have left work half done.
    resumed: bool,
    /// Set once the server knows that this agent works on the item.
    acknowledged: Arc<AtomicBool>,
    /// Since when this agent waits for the workload to run.
    starting_since: Instant,
}

impl Attempt {
    /// Takes up the attempt of a journal; `resumed` when an earlier agent began it.
    pub(crate) fn new(
        ctx: Arc<Context>,
        served: Served,
        journal: Journal,
        intent: watch::Receiver<Intent>,
        predecessors: Vec<watch::Receiver<()>>,
        resumed: bool,
        acknowledged: Arc<AtomicBool>,
    ) -> Self {
        let state = &journal.state;
        let handle =
            Handle { item: state.lease.item.clone(), attempt: state.lease.attempt, dir: journal.dir().to_owned() };
        let mut redactor = ctx.redactor.clone();
        redactor.extend([state.lease.token.clone()]);
        let (client, agent) = (ctx.client.clone(), state.agent.clone());
        let courier = Courier::new(client, agent, state.lease.clone(), &handle.dir, redactor, !resumed);
        let progress = Progress::new(journal, courier, ctx.clock.clone());
        let starting_since = Instant::now();
        Self { ctx, served, handle, intent, progress, predecessors, resumed, acknowledged, starting_since }
    }

    /// Carries the attempt to its end.
    ///
    /// # Errors
    /// When its journal cannot be written; it can be taken up again.
    pub(crate) async fn run(mut self) -> io::Result<Done> {
        if self.progress.journal.state.closed {
            return Ok(Done::Closed);
        }
        if !self.progress.journal.state.acknowledged && !self.acknowledge().await? {
            // Nothing was done for it, so nothing remains.
            remove_dir(&self.handle.dir)?;
            return Ok(Done::Lost);
        }
        let courier = self.progress.courier.clone();
        let mut intent = self.intent.clone();
        let result = tokio::select! {
            biased;
            result = self.live() => result,
            _ = courier.run() => Err(Cut::Lost),
            () = forgotten(&mut intent) => Err(Cut::Lost),
        };
        match result {
            Ok(()) => Ok(Done::Closed),
            Err(Cut::Journal(e)) => Err(e),
            Err(Cut::Lost) => {
                self.forget().await?;
                Ok(Done::Lost)
            }
        }
    }

    /// Tells the server that work begins; false when the lease is gone.
    async fn acknowledge(&mut self) -> io::Result<bool> {
        let lease = self.progress.lease().clone();
        let agent = self.progress.journal.state.agent.clone();
        let mut wait = Duration::from_millis(100);
        loop {
            match self.ctx.client.attempt_acknowledge(&agent, &lease.item, lease.attempt).await {
                Ok(()) => {
                    self.acknowledged.store(true, Ordering::SeqCst);
                    self.ctx.acknowledged.notify_one();
                    self.progress.journal.append(Entry::Acknowledged).await?;
                    info!(item.id = %lease.item, attempt = lease.attempt, queue = %lease.queue, "took the item");
                    return Ok(true);
                }
                Err(e) if failure(&e) == Failure::Later => {
                    debug!(item.id = %lease.item, "cannot acknowledge yet: {}", chain(&e));
                    sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                Err(e) => {
                    info!(item.id = %lease.item, "the lease is gone: {}", chain(&e));
                    return Ok(false);
                }
            }
        }
    }

    async fn live(&mut self) -> Result<(), Cut> {
        if self.progress.journal.state.outcome.is_none() {
            let outcome = self.work().await?;
            self.progress.end(outcome.ended_at).await;
            self.progress.journal.append(Entry::Ended { outcome: Box::new(outcome) }).await?;
        }
        self.finish().await
    }

    /// Everything up to the outcome.
    async fn work(&mut self) -> Result<Outcome, Cut> {
        if let Some(grace) = self.progress.journal.state.stop {
            return self.stop(grace).await;
        }
        if self.progress.lease().stop {
            return Ok(self.stopped());
        }
        let boot = proc::boot_id();
        if self.progress.journal.state.starting.is_some() {
            // What was about to be started is started as it was prepared: a supervisor or an engine that a killed agent
            // asked may do so at any moment, so nothing that it needs is touched.
            let kept = self.kept_launch();
            return match (self.ask().await, kept) {
                (Status::Absent, Some(launch)) if self.may_start_again(&boot) => self.start_and_follow(&launch).await,
                (Status::Absent, _) => Ok(self.vanished()),
                // A container that was made and not started, for instance.
                (Status::Starting, Some(launch)) => self.start_and_follow(&launch).await,
                _ => self.follow().await,
            };
        }
        for predecessor in &mut self.predecessors {
            // Ends when the other attempt's task has dropped its side.
            while predecessor.changed().await.is_ok() {}
        }
        let mut intent = self.intent.clone();
        let prepared = {
            let prepare = Box::pin(prepare_patiently(&self.ctx, &mut self.progress, &self.handle));
            tokio::select! {
                biased;
                prepared = prepare => Some(prepared),
                _ = stop_wanted(&mut intent, Duration::MAX) => None,
            }
        };
        let launch = match prepared {
            None => return Ok(self.stopped()),
            Some(Err(reason)) => return Ok(self.failed(reason)),
            Some(Ok(launch)) => launch,
        };
        if let Err(e) = write_file(&self.handle.dir.join(LAUNCH), &launch, true) {
            let code = if e.kind() == io::ErrorKind::StorageFull { code::NO_SPACE } else { code::AGENT_FAILED };
            return Ok(self.failed(Reason::new(code, format!("the agent cannot write down what it starts: {e}"))));
        }
        self.progress.journal.append(Entry::Starting { boot }).await?;
        self.start_and_follow(&launch).await
    }

    /// Starts what was prepared, which may have been tried before, and follows it to its end.
    async fn start_and_follow(&mut self, launch: &Launch) -> Result<Outcome, Cut> {
        self.progress.begin(Phase::Start).await;
        self.starting_since = Instant::now();
        let mut intent = self.intent.clone();
        let started = tokio::select! {
            biased;
            started = self.start(launch) => started,
            () = until(self.start_deadline()) => Err(self.too_slow()),
            // A target that is away is tried for a while, which nobody who wants a stop waits for.
            grace = stop_wanted(&mut intent, Duration::MAX) => return self.stop(grace).await,
        };
        if let Err(reason) = started {
            // A target that failed half-way may have made something.
            self.stop_for_sure(Duration::ZERO).await;
            return Ok(self.failed(reason));
        }
        self.drop_launch();
        self.follow().await
    }

    /// Returns what was about to be started when an agent was killed; none once the target had answered.
    fn kept_launch(&self) -> Option<Launch> {
        let kept = read_file::<Launch>(&self.handle.dir.join(LAUNCH));
        let launch = kept.inspect_err(|e| warn!(item.id = %self.handle.item, "cannot read {LAUNCH}: {e}")).ok()??;
        // The state directory may have been moved.
        Some(Launch { handle: self.handle.clone(), ..launch })
    }

    fn drop_launch(&self) {
        if let Err(e) = fs::remove_file(self.handle.dir.join(LAUNCH))
            && e.kind() != io::ErrorKind::NotFound
        {
            warn!(item.id = %self.handle.item, "cannot remove {LAUNCH}: {e}");
        }
    }

    /// Whether a workload that is not there can be started, without a doubt that it ran before.
    fn may_start_again(&self, boot: &str) -> bool {
        let state = &self.progress.journal.state;
        state.starting.as_deref() == Some(boot) && state.last_phase().is_none_or(|p| p < Phase::Run)
    }

    async fn start(&self, launch: &Launch) -> Result<(), Reason> {
        let mut tries = 0;
        loop {
            match self.served.target.start(launch).await {
                Ok(()) => return Ok(()),
                Err(StartError::Failed(reason)) => return Err(*reason),
                Err(StartError::Unanswered(Unanswered(why))) => {
                    tries += 1;
                    if tries >= START_TRIES {
                        return Err(Reason::new(code::TARGET_UNAVAILABLE, why));
                    }
                    warn!(item.id = %self.handle.item, "cannot start the workload yet: {why}");
                    sleep(TARGET_RETRY).await;
                }
            }
        }
    }

    /// Asks the target until it answers.
    async fn ask(&self) -> Status {
        loop {
            match self.served.target.observe(std::slice::from_ref(&self.handle)).await.pop() {
                Some(Ok(status)) => return status,
                Some(Err(Unanswered(why))) => warn!(item.id = %self.handle.item, "cannot ask the target: {why}"),
                None => {}
            }
            sleep(TARGET_RETRY).await;
        }
    }

    /// Follows a workload that was started, to its end.
    async fn follow(&mut self) -> Result<Outcome, Cut> {
        let mut watched = self.served.watcher.watch(&self.handle);
        let mut intent = self.intent.clone();
        let mut failures = 0;
        let mut away_since = None;
        loop {
            let grace = tokio::select! {
                biased;
                _ = watched.changed() => None,
                grace = stop_wanted(&mut intent, Duration::MAX) => Some(grace),
                () = until(self.start_deadline()) => {
                    let reason = self.too_slow();
                    self.stop_for_sure(Duration::ZERO).await;
                    return Ok(self.failed(reason));
                }
            };
            if let Some(grace) = grace {
                return self.stop(grace).await;
            }
            let answer = watched.borrow_and_update().clone();
            match answer {
                None => {}
                Some(Ok(status)) => {
                    failures = 0;
                    if let Some(mut outcome) = self.learn(status).await {
                        if let Some(reason) = away_since.and_then(|since| ended_with_target(&outcome, since)) {
                            outcome.reason = Some(reason);
                        }
                        return Ok(outcome);
                    }
                }
                Some(Err(Unanswered(why))) => {
                    away_since.get_or_insert(self.ctx.clock.now());
                    failures += 1;
                    if failures == 1 {
                        warn!(item.id = %self.handle.item, "cannot ask the target: {why}");
                    }
                    if failures >= OBSERVE_FAILURES {
                        return Ok(self.failed(Reason::new(code::TARGET_UNAVAILABLE, why)));
                    }
                }
            }
        }
    }

    /// Takes in what the target says; returns the outcome when that is the end.
    async fn learn(&mut self, status: Status) -> Option<Outcome> {
        match status {
            Status::Starting => None,
            Status::Running { since } => {
                self.running_since(since).await;
                None
            }
            Status::Absent => Some(self.vanished()),
            Status::Ended(exit) => {
                if let Some(since) = exit.since {
                    self.running_since(since).await;
                }
                Some(explain(outcome(exit, self.progress.journal.state.last_phase()), &self.handle.run_log()))
            }
        }
    }

    /// When a workload that does not run yet has been starting for too long; none once it runs, and without a limit. Times
    /// of the journal would follow a clock that is set, so an agent that takes a start up gives it the whole time again.
    fn start_deadline(&self) -> Option<Instant> {
        let limit = self.ctx.options.start_timeout?;
        (!self.has_run()).then(|| self.starting_since + limit)
    }

    fn too_slow(&self) -> Reason {
        let limit = self.ctx.options.start_timeout.unwrap_or_default().as_secs();
        let text = format!(
            "the job was still starting after {limit} s, and its agent waits no longer (`WANDB_LAUNCH_START_TIMEOUT`)"
        );
        Reason::new(code::START_TIMEOUT, text)
    }

    /// Whether the workload has begun to run.
    fn has_run(&self) -> bool {
        self.progress.journal.state.phases.iter().any(|p| p.name == Phase::Run)
    }

    async fn running_since(&mut self, since: Time) {
        if !self.has_run() {
            self.progress.begin_at(Phase::Run, since).await;
        }
    }

    /// Stops the workload on request.
    async fn stop(&mut self, grace: Duration) -> Result<Outcome, Cut> {
        // What ended before anybody stopped it has ended by itself.
        if self.progress.journal.state.starting.is_some()
            && self.progress.journal.state.stop.is_none()
            && let Ok(Status::Ended(exit)) = timeout(STOP_ASK, self.ask()).await
            && let Some(outcome) = self.learn(Status::Ended(exit)).await
        {
            return Ok(outcome);
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.progress.journal.append(Entry::Stop { grace_ms }).await?;
        info!(item.id = %self.handle.item, attempt = self.handle.attempt, "stopping the workload");
        let mut intent = self.intent.clone();
        let mut grace = grace;
        if self.progress.journal.state.starting.is_some() {
            let left = loop {
                tokio::select! {
                    left = self.stop_for_sure(grace) => break left,
                    // Somebody has less patience by now.
                    shorter = stop_wanted(&mut intent, grace) => grace = shorter,
                }
            };
            if left == Stopped::Records {
                let text = "the target does not answer, so the agent ended the job's processes by itself; the end of the log may be missing";
                self.progress.warn(text.to_owned()).await;
            }
        }
        Ok(self.stopped())
    }

    /// Stops the workload, however long that takes; returns what is left of it.
    async fn stop_for_sure(&self, grace: Duration) -> Stopped {
        loop {
            match self.served.target.stop(&self.handle, grace).await {
                Ok(left) => return left,
                Err(Unanswered(why)) => warn!(item.id = %self.handle.item, "cannot stop the workload yet: {why}"),
            }
            sleep(TARGET_RETRY).await;
        }
    }

    /// Waits until nothing of an ended workload is left on its target.
    async fn clean_for_sure(&self) {
        while self.stop_for_sure(Duration::ZERO).await == Stopped::Records {
            sleep(TARGET_RETRY).await;
        }
    }

    /// Cleans the target, sends what is left to send, and closes the attempt.
    async fn finish(&mut self) -> Result<(), Cut> {
        let Some(outcome) = self.progress.journal.state.outcome.clone() else { return Ok(()) };
        // It has ended; this removes what it left, once its log is whole.
        let started = self.progress.journal.state.starting.is_some();
        let left = if started { self.stop_for_sure(Duration::ZERO).await } else { Stopped::Clean };
        self.progress.begin(Phase::Upload).await;
        self.progress.courier.flush().await;
        self.progress.end(self.ctx.clock.now()).await;
        self.progress.courier.flush().await;
        if self.progress.courier.outcome(&outcome).await.is_err() {
            return Err(Cut::Lost);
        }
        if left == Stopped::Records {
            self.clean_for_sure().await;
        }
        self.progress.journal.append(Entry::Reported).await?;
        let how = outcome.reason.as_ref().map_or_else(String::new, |r| format!(": {}", r.message));
        info!(item.id = %self.handle.item, attempt = self.handle.attempt, "{:?}{how}", outcome.ending);
        self.tidy(outcome.ending == Ending::Finished);
        Ok(())
    }

    /// Ends what belongs to somebody else.
    async fn forget(&mut self) -> io::Result<()> {
        info!(item.id = %self.handle.item, attempt = self.handle.attempt, "the item is not this agent's any more");
        if self.progress.journal.state.starting.is_some() {
            self.stop_for_sure(FORGET_GRACE).await;
            self.clean_for_sure().await;
        }
        self.progress.journal.append(Entry::Forgotten).await?;
        self.tidy(false);
        Ok(())
    }

    /// Removes what nobody needs after the end; journal and logs stay for a while.
    fn tidy(&self, scratch: bool) {
        self.drop_launch();
        for folder in PASSING {
            if let Err(e) = remove_dir(&self.handle.dir.join(folder)) {
                warn!("cannot remove {}: {e}", self.handle.dir.join(folder).display());
            }
        }
        if scratch && let Err(e) = remove_dir(&self.ctx.state.scratch(&self.handle.item)) {
            warn!("cannot remove the scratch folder of item {}: {e}", self.handle.item);
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.progress.journal.state.last_phase()
    }

    fn failed(&self, reason: Reason) -> Outcome {
        Outcome {
            ending: Ending::Failed,
            exit_code: None,
            signal: None,
            reason: Some(reason),
            phase: self.phase(),
            ended_at: self.ctx.clock.now(),
        }
    }

    fn stopped(&self) -> Outcome {
        Outcome {
            ending: Ending::Stopped,
            exit_code: None,
            signal: None,
            reason: None,
            phase: self.phase(),
            ended_at: self.ctx.clock.now(),
        }
    }

    /// The target has no trace of a workload that was started.
    fn vanished(&self) -> Outcome {
        let when = if self.resumed { "while the agent was away" } else { "while it ran" };
        let how = match self.progress.lease().target {
            Target::Docker => format!("the job's container was removed {when}, and not by this agent"),
            _ => format!("the job's processes disappeared {when}, or the machine was restarted before they began"),
        };
        self.failed(Reason::new(code::SUPERVISOR_LOST, how))
    }
}

/// Prepares the launch; a target that is away may be back soon.
async fn prepare_patiently(ctx: &Context, progress: &mut Progress, handle: &Handle) -> Result<Launch, Reason> {
    let mut waits = 0;
    loop {
        match prepare::prepare(ctx, progress, handle).await {
            Err(reason) if reason.code == code::TARGET_UNAVAILABLE.word && waits < PREPARE_WAITS => {
                if waits == 0 {
                    warn!(item.id = %handle.item, "cannot prepare the workload yet: {}", reason.message);
                    progress.warn(format!("waiting for the target: {}", reason.message)).await;
                }
                waits += 1;
                sleep(PREPARE_RETRY).await;
            }
            other => return other,
        }
    }
}

/// Waits for an instant; for ever without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for the word that the item belongs to somebody else.
async fn forgotten(intent: &mut watch::Receiver<Intent>) {
    if intent.wait_for(|i| *i == Intent::Forget).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the wish to stop with less than `patience`; for ever when the loop that has wishes is gone.
async fn stop_wanted(intent: &mut watch::Receiver<Intent>, patience: Duration) -> Duration {
    loop {
        if let Intent::Stop { grace } = *intent.borrow_and_update()
            && grace < patience
        {
            return grace;
        }
        if intent.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
