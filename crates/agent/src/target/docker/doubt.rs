//! Whether a container that the engine calls made and not started has run all the same.
//!
//! An engine that is killed while it starts a container forgets that it did: once it is back, the container counts as
//! never started, though its process ran, perhaps to its end. Where an earlier request to start got no answer, the
//! engine's word therefore holds only if it is still the one that made the container. The events of late, which it keeps
//! in memory only, tell: an engine that remembers making the container has not been restarted since.

use std::{collections::HashMap, pin::pin};

use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use lanza_model::{
    Reason,
    clock::{Clock, SystemClock},
    code,
};
use tokio::time::timeout;

use super::{
    super::{EARLIER_GRACE, StartError, Unanswered, proc, process},
    DockerTarget, Handle, QUICK, unanswered,
};

impl DockerTarget {
    /// Makes sure that a made container has not been started by an earlier request. Where nobody can say, whatever is
    /// left of it is ended, and the start has failed: a second one might do the job's work twice.
    pub(super) async fn not_begun(&self, handle: &Handle, id: &str) -> Result<(), StartError> {
        if !self.known.lock().may_be_started(handle) || self.remembers(id).await.map_err(StartError::Unanswered)? {
            return Ok(());
        }
        let marks = handle.marks();
        if !process::end(|| proc::marked(&marks), EARLIER_GRACE).await {
            return Err(StartError::Unanswered(Unanswered("the container's processes do not end after KILL".into())));
        }
        let text = "the Docker engine was restarted while it was starting the container; whether the job began nobody \
                    knows, so it is not started a second time";
        Err(StartError::Failed(Box::new(Reason::new(code::TARGET_UNAVAILABLE, text))))
    }

    /// Whether the engine knows that it made the container.
    async fn remembers(&self, id: &str) -> Result<bool, Unanswered> {
        const WHAT: &str = "Docker does not list its events";
        let docker = self.engine.connect().await?;
        let filters = HashMap::from([("type", vec!["container"]), ("container", vec![id]), ("event", vec!["create"])]);
        let now = SystemClock.now().0;
        // With an end the engine answers with what was, and does not wait for what comes.
        let until = format!("{}.{:03}", now / 1000, now % 1000);
        let options = EventsOptionsBuilder::default().since("1").until(&until).filters(&filters).build();
        let mut events = pin!(docker.events(Some(options)));
        match timeout(QUICK, events.next()).await {
            Ok(Some(Ok(_))) => Ok(true),
            Ok(Some(Err(e))) => Err(unanswered(WHAT, &e)),
            Ok(None) => Ok(false),
            Err(_) => Err(Unanswered(WHAT.into())),
        }
    }
}
