//! Wakes long polls and streams: those of this server at once, those of others through `bus`. A missed
//! wake-up costs latency, never correctness: who waits also has a timer.

use std::{collections::HashMap, sync::Arc};

use futures::future::select_all;
use lanza_model::id::{ProjectId, QueueId, RunId};
use lanza_store::Engine;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, futures::OwnedNotified};

use crate::bus::{Outbox, Wake};

/// How many changes of runs a slow watcher may be behind before it is told that all may have changed.
const RUNS_BEHIND: usize = 4096;

/// What those who look at runs are woken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunWake {
    /// A run of a project has changed.
    Run(ProjectId, RunId),
    /// It is unknown what was missed.
    All,
}

/// The things that callers wait for.
#[derive(Debug)]
pub struct Wakers {
    /// An item of a queue may be claimable. An entry is as old as the first claim that waited for its queue.
    queues: Mutex<HashMap<QueueId, Arc<Notify>>>,
    /// Something is wanted of an agent.
    pub agents: Arc<Notify>,
    /// A line was added to the audit trail, or an item changed.
    pub events: Arc<Notify>,
    /// A build is over, or nobody makes it any more.
    pub builds: Arc<Notify>,
    /// Bytes were added to a log.
    pub logs: Arc<Notify>,
    /// Runs that have changed.
    pub(crate) runs: broadcast::Sender<RunWake>,
    /// What other servers are told.
    pub(crate) outbox: Outbox,
}

impl Wakers {
    /// Nobody waits yet.
    pub fn new(engine: Engine) -> Self {
        Self {
            queues: Mutex::default(),
            agents: Arc::default(),
            events: Arc::default(),
            builds: Arc::default(),
            logs: Arc::default(),
            runs: broadcast::channel(RUNS_BEHIND).0,
            outbox: Outbox::new(engine),
        }
    }

    /// Wakes here and elsewhere.
    fn wake(&self, wake: Wake) {
        self.hear(&wake);
        self.outbox.put(wake);
    }

    /// Wakes those who wait at this server.
    pub(crate) fn hear(&self, wake: &Wake) {
        match wake {
            Wake::Item(queue) => {
                if let Some(notify) = self.queues.lock().get(queue) {
                    notify.notify_one();
                }
                self.events.notify_waiters();
            }
            Wake::Queue(queue) => {
                if let Some(notify) = self.queues.lock().get(queue) {
                    notify.notify_waiters();
                }
                self.events.notify_waiters();
            }
            Wake::Claims => {
                for notify in self.queues.lock().values() {
                    notify.notify_waiters();
                }
            }
            Wake::Agents => self.agents.notify_waiters(),
            Wake::Events => self.events.notify_waiters(),
            Wake::Logs => self.logs.notify_waiters(),
            Wake::Builds => self.builds.notify_waiters(),
            // Nobody may be looking.
            Wake::Run(project, run) => drop(self.runs.send(RunWake::Run(project.clone(), run.clone()))),
        }
    }

    /// Wakes everybody at this server, as when it is unknown what was missed.
    pub(crate) fn hear_all(&self) {
        for wake in [Wake::Claims, Wake::Agents, Wake::Events, Wake::Logs, Wake::Builds] {
            self.hear(&wake);
        }
        drop(self.runs.send(RunWake::All));
    }

    /// A queue has an item more to give. Wakes one who waits for it: waking all of a thousand agents for one item would
    /// make a push cost a thousand looks. Whoever is woken passes it on when it leaves something or goes away. When not
    /// every agent can serve the item, `everyone` looks.
    pub fn item_queued(&self, queue: &QueueId, everyone: bool) {
        self.wake(if everyone { Wake::Queue(queue.clone()) } else { Wake::Item(queue.clone()) });
    }

    /// A rule that held back items of a queue is gone, or its agents have something else to learn.
    pub fn queue_changed(&self, queue: &QueueId) {
        self.item_queued(queue, true);
    }

    /// The time of an item of a queue has come. Each server looks at the time for itself, so only those here are woken.
    pub(crate) fn item_due(&self, queue: &QueueId) {
        self.hear(&Wake::Queue(queue.clone()));
    }

    /// Some queue or agent has changed so that everybody who waits has to look.
    pub fn claims_changed(&self) {
        self.wake(Wake::Claims);
    }

    /// Begins to wait for items of `queues`: what is queued from now on is not missed.
    pub(crate) fn turn(&self, queues: &[QueueId]) -> Turn {
        let notifies: Vec<Arc<Notify>> = {
            let mut known = self.queues.lock();
            queues.iter().map(|q| known.entry(q.clone()).or_default().clone()).collect()
        };
        let waits = notifies
            .iter()
            .map(|notify| {
                let mut woken = Box::pin(notify.clone().notified_owned());
                woken.as_mut().enable();
                woken
            })
            .collect();
        Turn { notifies, waits, done: false }
    }

    /// Something about an item, queue or agent has changed.
    pub fn changed(&self) {
        self.wake(Wake::Events);
    }

    /// Somebody wants something of an agent: its next heartbeat will tell it.
    pub fn agent_wanted(&self) {
        self.wake(Wake::Agents);
    }

    /// A build is over, or its attempt is.
    pub(crate) fn build_ended(&self) {
        self.wake(Wake::Builds);
    }

    /// A run has changed, or is gone.
    pub(crate) fn run_changed(&self, project: &ProjectId, run: &RunId) {
        self.wake(Wake::Run(project.clone(), run.clone()));
    }

    /// A log has grown.
    pub fn log_grew(&self) {
        self.wake(Wake::Logs);
    }
}

/// One caller's place among those who wait for items of some queues. Dropped before it is [`Turn::done`], because its
/// caller went away, it wakes the next one.
#[derive(Debug)]
pub(crate) struct Turn {
    notifies: Vec<Arc<Notify>>,
    waits: Vec<std::pin::Pin<Box<OwnedNotified>>>,
    done: bool,
}

impl Turn {
    /// Waits until one of the queues has something.
    pub(crate) async fn woken(&mut self) {
        // Those that are left over are dropped with their places, and hand on what reached them meanwhile.
        select_all(std::mem::take(&mut self.waits)).await;
    }

    /// The look has been taken; with `left` there may be more for somebody else.
    pub(crate) fn done(mut self, left: bool) {
        self.done = !left;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.done {
            for notify in &self.notifies {
                notify.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ready(turn: &mut Turn) -> bool {
        turn.woken().now_or_never().is_some()
    }

    #[tokio::test]
    async fn one_item_wakes_one_of_those_who_wait_for_its_queue() {
        let (wakers, a, b) = (Wakers::new(Engine::Sqlite), QueueId::new(), QueueId::new());
        let (mut first, mut second) = (wakers.turn(&[a.clone(), b.clone()]), wakers.turn(std::slice::from_ref(&a)));
        let mut other = wakers.turn(std::slice::from_ref(&b));
        wakers.item_queued(&a, false);
        assert!(ready(&mut first));
        assert!(!ready(&mut second) && !ready(&mut other));
    }

    #[tokio::test]
    async fn who_goes_away_or_leaves_something_wakes_the_next() {
        let (wakers, queue) = (Wakers::new(Engine::Sqlite), [QueueId::new()]);
        for leaves in [false, true] {
            let (mut first, mut second) = (wakers.turn(&queue), wakers.turn(&queue));
            wakers.item_queued(&queue[0], false);
            assert!(ready(&mut first));
            if leaves {
                first.done(true);
            } else {
                drop(first);
            }
            assert!(ready(&mut second), "leaves {leaves}");
            second.done(false);
        }
        let (mut first, mut second) = (wakers.turn(&queue), wakers.turn(&queue));
        wakers.item_queued(&queue[0], false);
        assert!(ready(&mut first));
        first.done(false);
        assert!(!ready(&mut second), "the queue was found empty");
    }

    #[tokio::test]
    async fn a_wake_up_that_nobody_used_is_kept_for_the_next() {
        let (wakers, queue) = (Wakers::new(Engine::Sqlite), [QueueId::new()]);
        let idle = wakers.turn(&queue);
        wakers.item_queued(&queue[0], false);
        // Its caller had looked before the item came, and returns for another reason.
        idle.done(false);
        assert!(ready(&mut wakers.turn(&queue)));
    }

    #[tokio::test]
    async fn what_concerns_everyone_wakes_everyone() {
        let (wakers, queue) = (Wakers::new(Engine::Sqlite), [QueueId::new()]);
        for change in [Wakers::queue_changed as fn(&Wakers, &QueueId), |w, _| w.claims_changed()] {
            let (mut first, mut second) = (wakers.turn(&queue), wakers.turn(&queue));
            change(&wakers, &queue[0]);
            assert!(ready(&mut first) && ready(&mut second));
            first.done(false);
            second.done(false);
        }
    }
}
