//! Asks a target about all of its workloads at once, and tells each attempt about its own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::{Handle, Status, Target, Unanswered};

/// How often workloads are asked about while nothing says that one has changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The newest answer about one workload; none before the first.
pub(crate) type Observation = Option<Result<Status, Unanswered>>;

/// See the module.
pub(crate) struct Watcher {
    target: Arc<dyn Target>,
    watched: Mutex<HashMap<Handle, watch::Sender<Observation>>>,
    added: Notify,
    /// The target knows that something has changed.
    changed: Arc<Notify>,
}

impl Watcher {
    /// Watches workloads of `target`, which says by `changed` that asking at once is worth while; [`Self::run`] does the
    /// asking.
    pub(crate) fn new(target: Arc<dyn Target>, changed: Arc<Notify>) -> Self {
        Self { target, watched: Mutex::default(), added: Notify::new(), changed }
    }

    /// Asks about `handle` from now on, until the receiver is dropped.
    pub(crate) fn watch(&self, handle: &Handle) -> watch::Receiver<Observation> {
        let (sender, receiver) = watch::channel(None);
        self.watched.lock().insert(handle.clone(), sender);
        self.added.notify_one();
        receiver
    }

    /// Asks for ever; sleeps while nobody wants to know.
    pub(crate) async fn run(&self) {
        loop {
            let handles: Vec<Handle> = {
                let mut watched = self.watched.lock();
                watched.retain(|_, sender| !sender.is_closed());
                watched.keys().cloned().collect()
            };
            if handles.is_empty() {
                self.added.notified().await;
                continue;
            }
            let answers = self.target.observe(&handles).await;
            {
                let watched = self.watched.lock();
                for (handle, answer) in handles.iter().zip(answers) {
                    if let Some(sender) = watched.get(handle) {
                        sender.send_if_modified(|old| {
                            // Every failure to ask counts, also one like the last.
                            let news = answer.is_err() || old.as_ref() != Some(&answer);
                            *old = Some(answer);
                            news
                        });
                    }
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep(LOOK_EVERY) => {}
                () = self.added.notified() => {}
            }
        }
    }
}
