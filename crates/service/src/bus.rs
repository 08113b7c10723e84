//! Servers of one Postgres wake each other's waiters.
//!
//! What a server wakes for, it also says to the others, once a kind for all that happened while the last words were on
//! their way. A server that hears nothing (a pooler in between, a lost connection) falls back to looking often.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanza_model::id::{EventId, ProjectId, QueueId, RunId};
use lanza_store::{Engine, Store};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Service, Supervisor, supervisor::OnEnd};

/// Longest message, below what Postgres takes.
const WORDS_BYTES: usize = 7_000;
/// Rest between two messages: bounds what a busy server says.
const PAUSE: Duration = Duration::from_millis(3);
/// Rest before listening again after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// What waiters can be woken for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// A queue has one item more to give.
    Item(QueueId),
    /// Everyone who waits for the queue has to look.
    Queue(QueueId),
    /// Everyone who waits for any queue has to look.
    Claims,
    /// Something is wanted of an agent.
    Agents,
    /// Something changed that streams show.
    Events,
    /// A log has grown.
    Logs,
    /// A build ended.
    Builds,
    /// A run of a project has changed.
    Run(ProjectId, RunId),
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(queue) => write!(f, "item:{queue}"),
            Self::Queue(queue) => write!(f, "queue:{queue}"),
            Self::Claims => f.write_str("claims"),
            Self::Agents => f.write_str("agents"),
            Self::Events => f.write_str("events"),
            Self::Logs => f.write_str("logs"),
            Self::Builds => f.write_str("builds"),
            Self::Run(project, run) => write!(f, "run:{project}:{run}"),
        }
    }
}

impl FromStr for Wake {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word.split_once(':') {
            Some(("item", queue)) => queue.parse().map(Self::Item).map_err(|_| ()),
            Some(("queue", queue)) => queue.parse().map(Self::Queue).map_err(|_| ()),
            Some(("run", path)) => {
                let (project, run) = path.split_once(':').ok_or(())?;
                Ok(Self::Run(project.parse().map_err(|_| ())?, run.parse().map_err(|_| ())?))
            }
            Some(_) => Err(()),
            None => match word {
                "claims" => Ok(Self::Claims),
                "agents" => Ok(Self::Agents),
                "events" => Ok(Self::Events),
                "logs" => Ok(Self::Logs),
                "builds" => Ok(Self::Builds),
                _ => Err(()),
            },
        }
    }
}

/// What is yet to be said to the other servers.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Whether there may be others.
    shared: bool,
    /// Whether what they say is heard.
    hears: AtomicBool,
    waiting: Mutex<BTreeSet<Wake>>,
    filled: Notify,
}

impl Outbox {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            shared: engine == Engine::Postgres,
            hears: AtomicBool::new(false),
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    pub(crate) fn put(&self, wake: Wake) {
        if self.shared && self.waiting.lock().insert(wake) {
            self.filled.notify_one();
        }
    }

    /// Whether a change made through another server would go unnoticed.
    pub(crate) fn is_deaf(&self) -> bool {
        self.shared && !self.hears.load(Ordering::Relaxed)
    }

    /// Takes what fits into a message that begins with `from`.
    fn take(&self, from: &str) -> Option<String> {
        let mut waiting = self.waiting.lock();
        let mut words = from.to_owned();
        while words.len() < WORDS_BYTES
            && let Some(wake) = waiting.pop_first()
        {
            words.push(' ');
            words.push_str(&wake.to_string());
        }
        (words.len() > from.len()).then_some(words)
    }
}

/// Starts to talk and to listen, when the store is one that servers share.
pub(crate) fn start(service: &Arc<Service>, supervisor: &Supervisor) {
    if service.store.engine() != Engine::Postgres {
        return;
    }
    let name = EventId::new().to_string();
    let (speaker, from) = (service.clone(), name.clone());
    supervisor.spawn(
        "words to other servers",
        OnEnd::Log,
        move |stop| async move { speak(&speaker, &from, stop).await },
    );
    let listener = service.clone();
    supervisor.spawn("words of other servers", OnEnd::Log, move |stop| async move {
        let outbox = &listener.wakers.outbox;
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = listen(&listener.store, &listener, &name) => ended,
            };
            outbox.hears.store(false, Ordering::Relaxed);
            if let Err(e) = ended {
                tracing::warn!(error = ?e, "other servers cannot be heard; waiters look each second meanwhile");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    });
}

async fn speak(service: &Service, from: &str, stop: CancellationToken) {
    let outbox = &service.wakers.outbox;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = outbox.filled.notified() => {}
        }
        while let Some(words) = outbox.take(from) {
            if let Err(e) = service.store.say(&words).await {
                // The others' timers find what was to be said.
                tracing::debug!(error = ?e, "the other servers were not told");
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn listen(store: &Store, service: &Service, own: &str) -> lanza_store::Result<()> {
    let Some(mut ears) = store.listen().await? else { return Ok(()) };
    // What was said before the listening began is found by looking once.
    service.wakers.hear_all();
    service.wakers.outbox.hears.store(true, Ordering::Relaxed);
    loop {
        let Some(said) = ears.hear().await? else {
            service.wakers.hear_all();
            continue;
        };
        let mut words = said.split(' ');
        if words.next() == Some(own) {
            continue;
        }
        // A newer server's words for what is not known here.
        for wake in words.filter_map(|word| word.parse().ok()) {
            service.wakers.hear(&wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_said_and_repeated_ones_once() {
        let outbox = Outbox::new(Engine::Postgres);
        let queue = QueueId::new();
        let all = [
            Wake::Item(queue.clone()),
            Wake::Queue(queue),
            Wake::Claims,
            Wake::Agents,
            Wake::Events,
            Wake::Logs,
            Wake::Builds,
            Wake::Run(ProjectId::new(), RunId::new()),
        ];
        for wake in all.iter().chain(&all) {
            outbox.put(wake.clone());
        }
        let words = outbox.take("me").unwrap();
        let read: Vec<Wake> = words.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
        assert_eq!(read, all);
        assert_eq!(outbox.take("me"), None);
        assert!("item:nonsense".parse::<Wake>().is_err() && "weather".parse::<Wake>().is_err());
    }

    #[test]
    fn a_message_stays_below_what_the_database_takes() {
        let outbox = Outbox::new(Engine::Postgres);
        for _ in 0..1000 {
            outbox.put(Wake::Item(QueueId::new()));
        }
        let mut messages = 0;
        while let Some(words) = outbox.take("me") {
            assert!(words.len() < 7_999);
            messages += 1;
        }
        assert!(messages > 1);
    }
}
