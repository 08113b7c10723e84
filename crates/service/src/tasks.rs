//! Background work: reconcilers that look at what is stored and move it on.
//!
//! Each is idempotent, woken by a timer, and may run on several servers at once: what it does are conditional updates.

use std::{future::Future, sync::Arc, time::Duration};

use crate::{Result, Service, Supervisor, supervisor::OnEnd};

/// How often leases and silent agents are looked after.
const ITEMS_EVERY: Duration = Duration::from_secs(1);
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
    every(service, supervisor, "items", ITEMS_EVERY, |s| async move { s.items_reconcile().await });
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

impl Service {
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
