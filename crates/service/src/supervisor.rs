//! Holds all background tasks of a server by name, and ends them.

use std::{future::Future, time::Duration};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What to do when a task ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// Log it.
    Log,
    /// Stop the server: it cannot work without the task.
    Stop,
}

/// Starts, names and stops tasks.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: Mutex<Vec<(String, JoinHandle<()>)>>,
}

impl Supervisor {
    /// Starts `task` under `name`. It should end soon after the token that it is given is cancelled.
    pub fn spawn<F>(&self, name: impl Into<String>, on_end: OnEnd, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let future = task(self.stop.child_token());
        let (stop, label) = (self.stop.clone(), name.clone());
        // A child task, so that a panic is seen and handled here.
        #[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
        let handle = tokio::spawn(async move {
            #[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
            let ended = tokio::spawn(future).await;
            if stop.is_cancelled() {
                return;
            }
            match ended {
                Ok(()) => tracing::warn!(task = %label, "the task `{label}` ended by itself"),
                Err(e) => tracing::error!(task = %label, error = %e, "the task `{label}` failed"),
            }
            if on_end == OnEnd::Stop {
                stop.cancel();
            }
        });
        let mut tasks = self.tasks.lock();
        tasks.retain(|(_, t)| !t.is_finished());
        tasks.push((name, handle));
    }

    /// The token that is cancelled when the server stops.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task to end and waits up to `limit`; returns the names of those that hang (they are aborted).
    pub async fn stop(&self, limit: Duration) -> Vec<String> {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let deadline = tokio::time::Instant::now() + limit;
        let mut hung = Vec::new();
        for (name, mut task) in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                hung.push(name);
            }
        }
        hung
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_are_told_and_those_that_hang_are_named() {
        let supervisor = Supervisor::default();
        supervisor.spawn("good", OnEnd::Log, |stop| async move { stop.cancelled().await });
        supervisor.spawn("bad", OnEnd::Log, |_| std::future::pending());
        assert_eq!(supervisor.stop(Duration::from_millis(50)).await, ["bad"]);
    }

    #[tokio::test]
    async fn the_end_of_a_vital_task_stops_the_others() {
        let supervisor = Supervisor::default();
        supervisor.spawn("vital", OnEnd::Stop, |_| async {});
        tokio::time::timeout(Duration::from_secs(5), supervisor.stopping().cancelled()).await.expect("told to stop");
    }
}
