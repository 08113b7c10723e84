//! The event loop that owns the agent's state: what it holds, how much more it may take, and when it ends.
//!
//! Everything that takes time is a task in one set: the attempts, the claim and the heartbeat that are under way, the
//! watchers. Their ends are the loop's events.

mod claims;
mod start;
mod status;

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanza_api::{
    ClientError,
    agent::{Agent, AgentCommand, Claimed, Heartbeat, HeartbeatAnswer, Held, Register, Reserved},
};
use lanza_model::{Target as Kind, code};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, sleep, timeout},
};
use tracing::{error, info, warn};

use self::start::refusal;
use crate::{
    Control, Error, Options,
    attempt::{Attempt, Done, Intent},
    cache,
    context::Context,
    courier::chain,
    garbage,
    journal::Journal,
    own_log::Teller,
    prepare::is_scheduler,
    state_dir::Identity,
};

/// How long a heartbeat waits for something to be wanted; also the longest silence of an agent.
const HEARTBEAT_WAIT_MS: u32 = 10_000;
/// Wait before the next heartbeat when the last answer held nothing that was not known.
const HEARTBEAT_REPEAT: Duration = Duration::from_secs(1);
/// How long acknowledgements are gathered before a heartbeat is begun anew for them.
const ACKNOWLEDGED_GATHER: Duration = Duration::from_millis(100);
/// Waits between tries while the server is away; the last one repeats.
const RETRY_MS: [u64; 5] = [200, 500, 1_000, 2_000, 4_000];
/// Wait before an attempt whose journal could not be written is taken up again.
const JOURNAL_RETRY: Duration = Duration::from_secs(10);
/// How long the last words may take when the agent leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// An attempt: its item and its number.
type Key = (String, u32);

/// What a finished task means.
enum Event {
    Registered(Result<Agent, ClientError>),
    Claimed(Result<Claimed, ClientError>),
    Heard(Result<HeartbeatAnswer, ClientError>),
    Attempt(Key, io::Result<Done>),
    /// Time to take an attempt up again.
    Retry(Key),
    /// Time to register, claim or send a heartbeat again.
    Again(Chore),
    /// Time to say how it goes.
    Status,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Chore {
    Register,
    Claim,
    Heartbeat,
}

/// An attempt that this agent holds.
struct Live {
    intent: watch::Sender<Intent>,
    /// Closed when the attempt's task has ended.
    gone: watch::Receiver<()>,
    scheduler: bool,
    /// What of the machine is its own.
    reserved: Reserved,
    /// The server knows that this agent works on it. Until then it is no part of a heartbeat, whose answer would be
    /// that the agent does not hold it.
    acknowledged: Arc<AtomicBool>,
    /// The task, for as long as nothing has been acknowledged.
    task: AbortHandle,
}

/// How the agent is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Not,
    /// When its last item has ended.
    Drained,
    /// When every item has been stopped.
    Stopped,
}

struct AgentLoop {
    ctx: Arc<Context>,
    identity: Identity,
    entity: String,
    queues: Vec<String>,
    targets: Vec<Kind>,
    agent: Option<String>,
    attempts: HashMap<Key, Live>,
    tasks: JoinSet<Event>,
    /// Which attempt a task belongs to, should it panic.
    owners: HashMap<Id, Key>,
    claim: Option<AbortHandle>,
    busy: HashSet<Chore>,
    failures: usize,
    /// Since when a claim was not answered: the server may have handed out items that nobody heard of.
    answer_lost: Option<Instant>,
    /// Offers that were left alone.
    left_alone: HashMap<Key, Instant>,
    ending: Ending,
    /// Something was said about the entity's kind.
    introduced: bool,
    /// Registering was refused while attempts were alive: they are finished first.
    refused: Option<Error>,
    /// Sends its log on, under the id that it has now.
    teller: Teller,
    telling: Option<AbortHandle>,
}

/// See [`crate::run`].
pub(crate) async fn run(options: Options, mut control: mpsc::UnboundedReceiver<Control>) -> Result<(), Error> {
    let (mut agent, journals) = start::prepare(options).await?;
    for served in agent.ctx.targets.values().cloned().collect::<Vec<_>>() {
        agent.tasks.spawn(async move {
            served.watcher.run().await;
            Event::Never
        });
    }
    for journal in journals {
        let lease = &journal.state.lease;
        info!(item.id = %lease.item, attempt = lease.attempt, "taking up an attempt from the journal");
        agent.adopt(journal, true);
    }
    let kept = agent.ctx.clone();
    agent.tasks.spawn(async move {
        cache::keep_small(&kept).await;
        Event::Never
    });
    agent.register();
    agent.status_later();
    agent.run(&mut control).await
}

impl AgentLoop {
    async fn run(mut self, control: &mut mpsc::UnboundedReceiver<Control>) -> Result<(), Error> {
        let mut controlled = true;
        loop {
            if self.ending != Ending::Not && self.attempts.is_empty() {
                self.say_goodbye().await;
                return self.refused.map_or(Ok(()), Err);
            }
            tokio::select! {
                biased;
                wanted = control.recv(), if controlled => match wanted {
                    None => controlled = false,
                    Some(Control::Leave) => {
                        self.leave().await;
                        return Ok(());
                    }
                    Some(Control::Drain) => self.end(Ending::Drained),
                    Some(Control::Stop) => self.end(Ending::Stopped),
                },
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((id, event)) => {
                        self.owners.remove(&id);
                        self.handle(event)?;
                    }
                    Err(e) => self.crashed(&e),
                },
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Registered(answer) => return self.registered(answer),
            Event::Claimed(answer) => self.claimed(answer),
            Event::Heard(answer) => self.heard(answer),
            Event::Attempt(key, ended) => self.ended(key, ended),
            Event::Retry(key) => self.retry(&key),
            Event::Again(chore) => {
                self.busy.remove(&chore);
                match chore {
                    Chore::Register => self.register(),
                    Chore::Claim => self.claim(),
                    Chore::Heartbeat => self.heartbeat(),
                }
            }
            Event::Status => {
                info!("{}", self.status_line());
                self.status_later();
            }
            Event::Never => {}
        }
        Ok(())
    }

    /// Does a chore again after a while.
    fn again(&mut self, chore: Chore, after: Duration) {
        self.busy.insert(chore);
        self.tasks.spawn(async move {
            sleep(after).await;
            Event::Again(chore)
        });
    }

    fn backoff(&mut self) -> Duration {
        let wait = RETRY_MS[self.failures.min(RETRY_MS.len() - 1)];
        self.failures += 1;
        Duration::from_millis(wait)
    }

    fn register(&mut self) {
        let (client, entity) = (self.ctx.client.clone(), self.entity.clone());
        let options = &self.ctx.options;
        let body = Register {
            state: self.identity.state.clone(),
            host: options.host.clone(),
            version: concat!("lanza@", env!("CARGO_PKG_VERSION")).to_owned(),
            queues: self.queues.clone(),
            targets: self.targets.clone(),
            slots: options.max_jobs.limit(),
            resources: Some(self.ctx.machine.total),
            settings: serde_json::json!({
                "queues": self.queues,
                "max_jobs": options.max_jobs.limit().map_or(-1, i64::from),
                "max_schedulers": options.max_schedulers.limit().map_or(-1, i64::from),
                "stopped_run_timeout": options.stopped_run_timeout.as_secs(),
            }),
        };
        self.tasks.spawn(async move { Event::Registered(client.agent_register(&entity, &body).await) });
    }

    fn registered(&mut self, answer: Result<Agent, ClientError>) -> Result<(), Error> {
        match answer {
            Ok(agent) => {
                info!(agent.id = %agent.id, "registered as {} for {}", agent.name, self.queues.join(", "));
                self.failures = 0;
                let identity = Identity {
                    agent: Some(agent.id.clone()),
                    entity: Some(self.entity.clone()),
                    ..self.identity.clone()
                };
                if identity != self.identity {
                    self.ctx.state.set_identity(&identity)?;
                    self.identity = identity;
                }
                self.agent = Some(agent.id);
                self.introduce();
                self.tell();
                self.heartbeat();
                self.claim();
                Ok(())
            }
            Err(e) => match refusal(e) {
                // An agent that the server knows waits for it; a new one says at once that there is none.
                Error::Server(e) if self.identity.agent.is_some() => {
                    warn!("cannot register yet: {}", chain(&e));
                    let wait = self.backoff();
                    self.again(Chore::Register, wait);
                    Ok(())
                }
                refused @ Error::Refused { .. }
                    if !self.attempts.is_empty() && refused_code(&refused) != code::UNAUTHENTICATED.word =>
                {
                    error!("{refused}; finishing the items at hand");
                    self.refused = Some(refused);
                    self.end(Ending::Drained);
                    self.heartbeat();
                    Ok(())
                }
                other => Err(other),
            },
        }
    }

    /// Begins or takes up the attempt of a journal.
    fn adopt(&mut self, journal: Journal, resumed: bool) {
        let lease = journal.state.lease.clone();
        let key = (lease.item.clone(), lease.attempt);
        let scheduler = is_scheduler(&lease.spec);
        let kind = if scheduler { Kind::Process } else { lease.target };
        let Some(served) = self.ctx.targets.get(&kind).cloned() else {
            error!(item.id = %key.0, "the target `{kind}` cannot be served here any more; the item waits");
            return;
        };
        let (intent, orders) = watch::channel(Intent::Go);
        let (alive, gone) = watch::channel(());
        let predecessors = self.attempts.iter().filter(|(k, _)| k.0 == key.0).map(|(_, l)| l.gone.clone()).collect();
        let reserved = journal.state.reserved.clone();
        let acknowledged = Arc::new(AtomicBool::new(journal.state.acknowledged));
        let begun = acknowledged.clone();
        let attempt = Attempt::new(self.ctx.clone(), served, journal, orders, predecessors, resumed, begun);
        let of = key.clone();
        let task = self.tasks.spawn(async move {
            let ended = Box::pin(attempt.run()).await;
            drop(alive);
            Event::Attempt(of, ended)
        });
        if self.ending == Ending::Stopped {
            intent.send_replace(Intent::Stop { grace: self.ctx.options.stopped_run_timeout });
        }
        self.owners.insert(task.id(), key.clone());
        self.attempts.insert(key, Live { intent, gone, scheduler, reserved, acknowledged, task });
    }

    fn ended(&mut self, key: Key, ended: io::Result<Done>) {
        match ended {
            Ok(_) => {
                if let Some(ended) = self.attempts.remove(&key) {
                    self.more_is_left(&ended.reserved);
                }
                let kept: HashSet<String> = self.attempts.keys().map(|k| k.0.clone()).collect();
                garbage::collect(&self.ctx.state, &kept);
                self.claim();
            }
            Err(e) => {
                // The slot stays taken: the workload may live.
                error!(item.id = %key.0, "the journal of attempt {} cannot be written: {e}", key.1);
                self.tasks.spawn(async move {
                    sleep(JOURNAL_RETRY).await;
                    Event::Retry(key)
                });
            }
        }
    }

    fn retry(&mut self, key: &Key) {
        self.attempts.remove(key);
        match Journal::read(&self.ctx.state.attempt(&key.0, key.1)) {
            Ok(Some(journal)) => self.adopt(journal, true),
            Ok(None) => self.claim(),
            Err(e) => error!(item.id = %key.0, "cannot read the journal: {e}"),
        }
    }

    /// A task panicked, or was aborted.
    fn crashed(&mut self, error: &tokio::task::JoinError) {
        let Some(key) = self.owners.remove(&error.id()) else { return };
        if error.is_panic() {
            error!(item.id = %key.0, "the task of attempt {} crashed: {error}", key.1);
            self.tasks.spawn(async move {
                sleep(JOURNAL_RETRY).await;
                Event::Retry(key)
            });
        }
    }

    fn heartbeat(&mut self) {
        let Some(agent) = self.agent.clone() else { return };
        if !self.busy.insert(Chore::Heartbeat) {
            return;
        }
        let client = self.ctx.client.clone();
        let body = self.body(HEARTBEAT_WAIT_MS);
        let acknowledged = self.ctx.acknowledged.clone();
        self.tasks.spawn(async move {
            // The server speaks only of items that the heartbeat names, so one that does not name what was taken since
            // would delay a stop until its end.
            let outdated = async {
                acknowledged.notified().await;
                sleep(ACKNOWLEDGED_GATHER).await;
            };
            tokio::select! {
                biased;
                answer = client.agent_heartbeat(&agent, &body) => Event::Heard(answer),
                () = outdated => Event::Again(Chore::Heartbeat),
            }
        });
    }

    fn body(&self, wait_ms: u32) -> Heartbeat {
        Heartbeat {
            items: self
                .attempts
                .iter()
                .filter(|(_, live)| live.acknowledged.load(Ordering::SeqCst))
                .map(|((item, attempt), _)| Held { item: item.clone(), attempt: *attempt })
                .collect(),
            draining: self.ending != Ending::Not,
            leaving: false,
            wait_ms,
        }
    }

    fn heard(&mut self, answer: Result<HeartbeatAnswer, ClientError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => {
                if self.failures == 0 {
                    warn!("cannot send a heartbeat: {}", chain(&e));
                }
                let wait = self.backoff();
                self.again(Chore::Heartbeat, wait);
                return;
            }
        };
        self.failures = 0;
        let mut news = false;
        for stop in answer.stop {
            let grace =
                stop.grace_seconds.map_or(self.ctx.options.stopped_run_timeout, |s| Duration::from_secs(s.into()));
            news |= self.want((stop.item, stop.attempt), Intent::Stop { grace });
        }
        for lost in answer.lost {
            news |= self.want((lost.item, lost.attempt), Intent::Forget);
        }
        news |= self.obey(answer.command);
        if news || answer.command == AgentCommand::None {
            // An answer that came early had news; one that waited in full had none. Either way the next may begin, but
            // not in a circle over something that is known.
            self.again(Chore::Heartbeat, Duration::from_millis(if news { 50 } else { 200 }));
        } else {
            self.again(Chore::Heartbeat, HEARTBEAT_REPEAT);
        }
    }

    /// Tells an attempt what is wanted; returns whether that is news.
    fn want(&self, key: Key, wanted: Intent) -> bool {
        self.attempts.get(&key).is_some_and(|live| {
            live.intent.send_if_modified(|intent| {
                let news = *intent != wanted && *intent != Intent::Forget;
                if news {
                    *intent = wanted;
                }
                news
            })
        })
    }

    /// Returns whether the server's command is news.
    fn obey(&mut self, command: AgentCommand) -> bool {
        let ending = match command {
            AgentCommand::None => return false,
            AgentCommand::Drain => Ending::Drained,
            AgentCommand::Stop => Ending::Stopped,
        };
        let news = ending > self.ending;
        self.end(ending);
        news
    }

    /// Takes nothing new from here; with [`Ending::Stopped`] every workload is stopped.
    fn end(&mut self, ending: Ending) {
        if ending <= self.ending {
            return;
        }
        self.ending = ending;
        info!("{}", if ending == Ending::Drained { "taking nothing new" } else { "stopping every workload" });
        if ending == Ending::Stopped {
            let grace = self.ctx.options.stopped_run_timeout;
            for live in self.attempts.values() {
                live.intent.send_if_modified(|i| {
                    let go = *i == Intent::Go;
                    if go {
                        *i = Intent::Stop { grace };
                    }
                    go
                });
            }
        }
    }

    /// Ends now; workloads live on.
    async fn leave(&mut self) {
        info!("leaving; {} workload(s) live on", self.attempts.len());
        self.ending = Ending::Drained;
        let deadline = Instant::now() + LEAVE_PATIENCE;
        self.last_words(Heartbeat { leaving: true, ..self.body(0) }).await;
        if let Some(claim) = self.claim.take() {
            claim.abort();
        }
        self.tasks.abort_all();
        // Tasks end at their next await; what they hold of the disk is closed by then.
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await {}
    }

    async fn say_goodbye(&mut self) {
        self.last_words(Heartbeat { leaving: true, draining: true, ..self.body(0) }).await;
    }

    /// Sends the rest of its log and a last heartbeat, if the server hears them soon.
    async fn last_words(&self, goodbye: Heartbeat) {
        let Some(agent) = &self.agent else { return };
        let heartbeat = timeout(LEAVE_PATIENCE, self.ctx.client.agent_heartbeat(agent, &goodbye));
        let _ = tokio::join!(heartbeat, timeout(LEAVE_PATIENCE, self.teller.tell(agent)));
    }
}

fn refused_code(error: &Error) -> &str {
    match error {
        Error::Refused { code, .. } => code,
        _ => "",
    }
}

/// Whether the server says that there is no such agent.
fn refused_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 404, problem } if problem.code != "unknown")
}

#[cfg(test)]
mod takeover_tests;
#[cfg(test)]
mod tests;
