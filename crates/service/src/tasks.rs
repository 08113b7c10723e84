//! Background work: reconcilers that look at what is stored and move it on.
//!
//! Each is idempotent, woken by a timer, and may run on several servers at once: what it does are conditional updates.

use std::{future::Future, sync::Arc, time::Duration};

use lanza_model::clock::Time;

use crate::{Result, Service, Supervisor, supervisor::OnEnd};

/// How often leases and silent agents are looked after.
const ITEMS_EVERY: Duration = Duration::from_secs(1);
/// How long at most between two looks at items whose time comes: one that was pushed meanwhile may come before all others.
const DUE_EVERY: Duration = Duration::from_secs(1);
/// How long at least between two of them.
const DUE_PAUSE: Duration = Duration::from_millis(20);
/// How often silent runs are looked after.
const RUNS_EVERY: Duration = Duration::from_secs(15);
/// How often the numbers of long histories are drawn off for charts.
const SERIES_EVERY: Duration = Duration::from_secs(5);
/// How often what has expired is deleted.
const EXPIRED_EVERY: Duration = Duration::from_secs(60);
/// How often uploads that were given up long ago are forgotten.
const PENDING_EVERY: Duration = Duration::from_secs(3600);

/// Starts the background tasks of a server.
pub fn start(service: &Arc<Service>, supervisor: &Supervisor) {
    crate::bus::start(service, supervisor);
    every(service, supervisor, "items", ITEMS_EVERY, |s| async move { s.items_look_after().await });
    due(service, supervisor);
    every(service, supervisor, "runs", RUNS_EVERY, |s| async move { s.runs_crash_silent().await });
    every(service, supervisor, "series", SERIES_EVERY, |s| async move { s.series_reconcile().await });
    every(service, supervisor, "expired", EXPIRED_EVERY, |s| async move { s.expired_remove().await });
    every(service, supervisor, "pending artifacts", PENDING_EVERY, |s| async move {
        s.artifact_pending_forget().await.map(|_| ())
    });
}

fn every<F>(
    service: &Arc<Service>,
    supervisor: &Supervisor,
    name: &'static str,
    period: Duration,
    work: impl Fn(Arc<Service>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let service = service.clone();
    supervisor.spawn(name, OnEnd::Log, move |stop| async move {
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(period * (1 + failures.min(30))) => {}
            }
            match work(service.clone()).await {
                Ok(()) => failures = 0,
                Err(e) => {
                    failures += 1;
                    tracing::error!(task = name, failures, error = ?e, "the task `{name}` failed, it will try again");
                }
            }
        }
    });
}

/// Looks at the time for those who wait, and sleeps until the next item's.
fn due(service: &Arc<Service>, supervisor: &Supervisor) {
    let service = service.clone();
    supervisor.spawn("due", OnEnd::Log, |stop| async move {
        let (mut since, mut failed) = (service.now(), false);
        loop {
            let now = service.now();
            let next = service.due_wake(since, now).await;
            let pause = match &next {
                Ok(Some(next)) => Duration::from_millis(next.since_ms(service.now()).try_into().unwrap_or(0)),
                _ => DUE_EVERY,
            };
            match next {
                Ok(_) => (since, failed) = (now, false),
                Err(e) if !failed => {
                    failed = true;
                    tracing::error!(error = ?e, "whether an item's time has come is not known, it will be asked again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.clamp(DUE_PAUSE, DUE_EVERY)) => {}
            }
        }
    });
}

impl Service {
    /// Wakes those who wait for queues in which an item's time came after `since` and by `now`; returns when the next
    /// one comes. Without it their own timers would find the item some seconds later. A clock that goes back finds what
    /// is due for a second time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_wake(&self, since: Time, now: Time) -> Result<Option<Time>> {
        let due = self.store.items_due(since, now).await?;
        for queue in &due.queues {
            self.wakers.item_due(queue);
        }
        Ok(due.next)
    }

    /// Deletes keys and sessions that have ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn expired_remove(&self) -> Result<()> {
        let now = self.now();
        // A run that still posts after its attempt keeps its token.
        let posted_since = now.plus_ms(-2 * EXPIRED_EVERY.as_millis() as i64);
        self.builds_forget().await?;
        Ok(self.store.expired_delete(now, posted_since, now.plus_ms(crate::agents::TOKEN_AFTERLIFE_MS)).await?)
    }
}
