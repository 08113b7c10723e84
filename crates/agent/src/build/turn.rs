//! Whose turn it is to build, where several agents could.
//!
//! The server gives each build to one attempt at a time (`lanza_api::build`). It saves work and is never needed: an agent
//! that gets no answer builds without having been asked, and two builds of one key make the same.

use std::{sync::Arc, time::Duration};

use lanza_api::{
    Client,
    agent::Lease,
    build::{BuildAnswer, BuildEnd, BuildRequest},
};
use lanza_model::Reason;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::{
    attempt::Progress,
    command::Commands,
    context::Context,
    courier::{Failure, chain, failure},
    target::docker::Engine,
};

/// How long a server that does not answer keeps a build from its start.
const UNANSWERED: Duration = Duration::from_secs(30);
/// Wait between two tries to reach the server.
const RETRY: Duration = Duration::from_secs(2);
/// How long the server may hold one request.
const WAIT_MS: u32 = 25_000;
/// How many characters of a key are shown.
const SHOWN: usize = 12;

/// One build as the server knows it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Where the result will be: who shares this place shares the result.
    pub(crate) place: String,
    /// Its key.
    pub(crate) key: String,
    /// What was begun before the item was pushed does not count.
    pub(crate) renew: bool,
}

/// What to do about a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody else has built it.
    Use,
    /// It is this attempt's.
    Build {
        /// The server knows of it.
        leased: bool,
        /// Others were waited for.
        waited: bool,
    },
}

/// Asks for builds in the name of one attempt.
pub(crate) struct Turns<'a> {
    client: &'a Client,
    agent: String,
    lease: Arc<Lease>,
    /// How long a server that does not answer keeps a build from its start.
    patience: Duration,
}

impl<'a> Turns<'a> {
    /// Asks in the name of the attempt of `progress`.
    pub(crate) fn of(ctx: &'a Context, progress: &Progress) -> Self {
        let (agent, lease) = (progress.agent().to_owned(), progress.lease().clone());
        Self { client: &ctx.client, agent, lease, patience: UNANSWERED }
    }

    /// Waits until the attempt may build, or somebody else has. `missing`: the server said so before, and it is not there.
    ///
    /// Nobody waits longer than the limit of a build: what takes longer has failed, whoever makes it.
    pub(crate) async fn take(&self, commands: &Commands<'_>, wanted: &Wanted, missing: bool) -> Turn {
        let begun = Instant::now();
        let mut silent_since = None;
        let mut awaited = None;
        loop {
            let waited = awaited.is_some();
            // The first question only asks, so that the log says at once what is waited for.
            let wait_ms = if waited { WAIT_MS } else { 0 };
            match self.ask(wanted, wait_ms, missing).await {
                Ok(BuildAnswer::Granted { lease_ms }) => {
                    debug!(item.id = %self.lease.item, lease_ms, "builds {}", wanted.key);
                    if waited {
                        commands.say("that build did not come to a good end; building it here");
                    }
                    return Turn::Build { leased: true, waited };
                }
                Ok(BuildAnswer::Built) => {
                    if waited {
                        commands.say("that build is done");
                    }
                    return Turn::Use;
                }
                Ok(BuildAnswer::Held { holder }) => {
                    silent_since = None;
                    if awaited.as_ref() != Some(&holder.item) {
                        let key = wanted.key.get(..SHOWN).unwrap_or(&wanted.key);
                        commands.say(&format!(
                            "waits for the build of {key} by the agent {} on {}, item {}",
                            holder.name, holder.host, holder.item
                        ));
                        awaited = Some(holder.item);
                    }
                }
                Err(e) if failure(&e) == Failure::Later => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.patience {
                        commands.say("the server does not answer; building without its word");
                        return Turn::Build { leased: false, waited };
                    }
                    sleep(RETRY).await;
                }
                Err(e) => {
                    // An older server, or an attempt that is lost, which others notice.
                    debug!(item.id = %self.lease.item, "the server gives no word on a build: {}", chain(&e));
                    return Turn::Build { leased: false, waited };
                }
            }
            if begun.elapsed() >= commands.timeout {
                let limit = commands.timeout.as_secs();
                commands.say(&format!("that build is not done after {limit} s; building it here"));
                return Turn::Build { leased: false, waited: true };
            }
        }
    }

    /// The place of what stays in this agent's own folder.
    pub(crate) fn own_place(&self) -> String {
        format!("agent {}", self.agent)
    }

    async fn ask(&self, wanted: &Wanted, wait_ms: u32, missing: bool) -> Result<BuildAnswer, lanza_api::ClientError> {
        let Wanted { place, key, renew } = wanted.clone();
        let request = BuildRequest { place, digest: key, wait_ms, missing, renew };
        self.client.build_claim(&self.agent, &self.lease.item, self.lease.attempt, &request).await
    }

    /// Carries a build out, and keeps it for this attempt meanwhile. Dropped in between it stays with the attempt until
    /// that ends.
    pub(crate) async fn hold<T>(
        &self,
        wanted: &Wanted,
        leased: bool,
        build: impl Future<Output = Result<T, Reason>>,
    ) -> Result<T, Reason> {
        if !leased {
            return build.await;
        }
        let result = tokio::select! {
            result = build => result,
            never = self.renew(wanted) => match never {},
        };
        let end = BuildEnd { built: result.is_ok() };
        if let Err(e) = self.client.build_end(&self.agent, &self.lease.item, self.lease.attempt, &end).await {
            debug!(item.id = %self.lease.item, "cannot give a build back: {}", chain(&e));
        }
        result
    }

    async fn renew(&self, wanted: &Wanted) -> std::convert::Infallible {
        loop {
            // A third of what the server gives, so that one lost request costs nothing.
            sleep(Duration::from_secs(10)).await;
            match self.ask(wanted, 0, false).await {
                Ok(BuildAnswer::Granted { .. }) => {}
                // Somebody else has it by now. What is begun is ended; the result is the same.
                Ok(_) => std::future::pending().await,
                Err(e) => debug!(item.id = %self.lease.item, "cannot renew a build: {}", chain(&e)),
            }
        }
    }
}

/// Returns the place of images that stay on a Docker engine: agents that share it share them.
pub(crate) async fn engine_place(engine: &Engine, agent: &str, image: &str) -> String {
    let repository = image.rsplit_once(':').map_or(image, |(r, _)| r);
    let id = match engine.connect().await {
        Ok(docker) => docker.info().await.ok().and_then(|i| i.id).filter(|id| !id.is_empty()),
        Err(_) => None,
    };
    // One that does not say who it is: only this agent's own items are known to share it.
    let engine = id.unwrap_or_else(|| format!("of {agent}"));
    format!("docker {engine} {repository}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::{fake_server::FakeServer, journal::tests::lease};

    fn held(item: &str) -> Value {
        let holder =
            json!({"agent": "a", "name": "tall-tree-1", "host": "h", "item": item, "since": "2026-01-01T00:00:00Z"});
        json!({"state": "held", "holder": holder})
    }

    /// Takes a turn at a server with these answers (one that is away for none); returns it with the log.
    async fn take(answers: Option<&[Value]>, limit: Duration) -> (Turn, String) {
        let server = FakeServer::start().await;
        server.state.lock().away = answers.is_none();
        server.state.lock().builds.extend(answers.unwrap_or_default().iter().cloned());
        let client = Client::new(&server.base, Some("key".into())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("build.log");
        let commands = Commands { environment: [].into(), state: "s", log: log.clone(), timeout: limit };
        let lease = Arc::new(lease("i1"));
        let turns = Turns { client: &client, agent: "agent".into(), lease, patience: Duration::ZERO };
        let wanted = Wanted { place: turns.own_place(), key: "0123456789abcdef".into(), renew: false };
        let turn = turns.take(&commands, &wanted, false).await;
        (turn, read(&log))
    }

    fn read(log: &Path) -> String {
        std::fs::read_to_string(log).unwrap_or_default()
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn who_waits_says_for_whom_and_uses_what_was_built() {
        let answers = [held("one"), held("one"), held("two"), json!({"state": "built"})];
        let (turn, log) = take(Some(&answers), LONG).await;
        assert_eq!(turn, Turn::Use);
        let said: Vec<&str> = log.lines().collect();
        assert_eq!(
            said,
            [
                "waits for the build of 0123456789ab by the agent tall-tree-1 on h, item one",
                "waits for the build of 0123456789ab by the agent tall-tree-1 on h, item two",
                "that build is done",
            ]
        );
    }

    #[tokio::test]
    async fn a_build_of_somebody_else_that_fails_or_never_ends_is_made_here() {
        let granted = json!({"state": "granted", "lease_ms": 30_000});
        let (turn, log) = take(Some(&[held("one"), granted.clone()]), LONG).await;
        assert_eq!(turn, Turn::Build { leased: true, waited: true });
        assert!(log.contains("did not come to a good end"), "{log}");
        assert_eq!(take(Some(&[granted]), LONG).await, (Turn::Build { leased: true, waited: false }, String::new()));
        let (turn, log) = take(Some(&[held("one")]), Duration::ZERO).await;
        assert_eq!(turn, Turn::Build { leased: false, waited: true });
        assert!(log.contains("is not done after 0 s"), "{log}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_keeps_nobody_from_building() {
        let (turn, log) = take(None, LONG).await;
        assert_eq!(turn, Turn::Build { leased: false, waited: false });
        assert_eq!(log, "the server does not answer; building without its word\n");
    }
}
