//! Target `docker`: a workload as a container of this machine's Docker engine.
//!
//! A container is found by its labels (item and attempt), so it does not matter whether the agent lived to write its id
//! down. It is never removed by the engine itself: its exit code and log stay until the agent has them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error as DockerError,
    models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary},
    query_parameters::{
        CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
    },
};
use lanza_model::{
    Reason,
    clock::{Clock, SystemClock, Time},
    code,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use crate::courier::chain;

mod doubt;
mod logs;
mod without_engine;

use super::{
    Container, EARLIER_GRACE, Exit, Handle, Launch, StartError, Status, Stopped, Target, Unanswered, docker_tar,
};

/// Label of the item.
pub(crate) const ITEM: &str = "lanza.item";
/// Label of the attempt's number.
pub(crate) const ATTEMPT: &str = "lanza.attempt";
/// Label of the agent.
pub(crate) const AGENT: &str = "lanza.agent";
/// Label of what phase `build` makes for itself; its value is the environment's key.
pub(crate) const BUILD: &str = "lanza.build";
/// Label of every image that a build makes: once its name went to a newer one, it may go.
pub(crate) const REPLACEABLE: &str = "lanza.built";

/// Limit of a request that should be quick.
const QUICK: Duration = Duration::from_secs(30);

/// How long a name that is taken may take to be free.
const NAME_PATIENCE: Duration = Duration::from_secs(10);

/// How long an engine may take when somebody waits for a stop.
const PROMPT: Duration = Duration::from_secs(3);

/// What an engine calls the exit code of a process whose end it did not see.
const UNKNOWN_EXIT: i32 = 255;
/// The engine's socket when nothing else is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// See the module.
pub(crate) struct DockerTarget {
    engine: Engine,
    /// The engine can run a small init in front of the workload, which passes signals on and collects orphans.
    init: bool,
    logs: parking_lot::Mutex<Logs>,
    /// When each container began, which does not change any more.
    began: parking_lot::Mutex<HashMap<Handle, Time>>,
    /// What helps to stop workloads though the engine does not answer.
    known: parking_lot::Mutex<without_engine::Known>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Logs {
    followers: HashMap<Handle, watch::Receiver<bool>>,
    tasks: JoinSet<()>,
}

/// The engine, connected to when it is first needed and answers.
#[derive(Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
    connected: Arc<parking_lot::Mutex<Option<Docker>>>,
    /// When it was last found away, in milliseconds; 0 for never.
    away_at: Arc<AtomicI64>,
}

impl Engine {
    /// Returns the engine that the environment names; none when that is no local socket.
    pub(crate) fn of_environment(environment: &BTreeMap<String, String>) -> Option<Self> {
        let socket = match environment.get("DOCKER_HOST").filter(|h| !h.is_empty()) {
            None => DEFAULT_SOCKET,
            Some(host) => host.strip_prefix("unix://")?,
        };
        Some(Self { socket: socket.into(), connected: Arc::default(), away_at: Arc::default() })
    }

    /// A request broke off without an answer.
    fn found_away(&self) {
        self.away_at.store(SystemClock.now().0, Ordering::Relaxed);
    }

    /// Returns the connection.
    pub(crate) async fn connect(&self) -> Result<Docker, Unanswered> {
        if let Some(docker) = self.connected.lock().as_ref() {
            return Ok(docker.clone());
        }
        let unanswered =
            |e: DockerError| Unanswered(format!("Docker does not answer at {}: {e}", self.socket.display()));
        let socket = self.socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&socket, 3600, API_DEFAULT_VERSION).map_err(unanswered)?;
        let negotiated = timeout(QUICK, docker.negotiate_version())
            .await
            .map_err(|_| Unanswered(format!("Docker does not answer at {}", self.socket.display())))?
            .map_err(unanswered)?;
        *self.connected.lock() = Some(negotiated.clone());
        Ok(negotiated)
    }
}

fn unanswered(what: &str, error: &DockerError) -> Unanswered {
    Unanswered(format!("{what}: {}", chain(error)))
}

fn status_code(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// A request that the engine refused as it stands, against one that it could not answer.
fn start_error(what: &str, code: lanza_model::Code, error: &DockerError) -> StartError {
    match error {
        DockerError::DockerResponseServerError { message, .. } => {
            let code = cause(message).unwrap_or(code);
            StartError::Failed(Box::new(Reason::new(code, format!("{what}: {}", message.trim()))))
        }
        other => StartError::Unanswered(unanswered(what, other)),
    }
}

/// Returns what the engine's words mean, where they have one meaning.
fn cause(message: &str) -> Option<lanza_model::Code> {
    let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
    Some(match message {
        _ if has(&["could not select device driver", "unknown or invalid runtime name", "nvidia-container-cli"]) => {
            code::GPU_MISSING
        }
        _ if has(&["is already in use by container"]) => code::CONTAINER_NAME_TAKEN,
        _ if has(&["port is already allocated", "address already in use"]) => code::PORT_TAKEN,
        _ if has(&["exec format error", "does not match the specified platform"]) => code::WRONG_PLATFORM,
        _ if has(&["no space left on device"]) => code::NO_SPACE,
        // An engine that was killed while it started the container knows nothing of what it left. Whether the workload
        // began nobody can say, so it is not started again.
        _ if message.trim_end().ends_with(": already exists") => code::TARGET_UNAVAILABLE,
        _ => return None,
    })
}

impl DockerTarget {
    /// Serves the engine; `changed` hears when a container has ended.
    pub(crate) fn new(engine: Engine, changed: Arc<Notify>) -> Self {
        let init = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/libexec/docker"]
            .iter()
            .any(|d| Path::new(d).join("docker-init").exists());
        Self {
            engine,
            init,
            logs: parking_lot::Mutex::default(),
            began: parking_lot::Mutex::default(),
            known: parking_lot::Mutex::default(),
            changed,
        }
    }

    async fn list(&self, label: &str) -> Result<Vec<ContainerSummary>, Unanswered> {
        let docker = self.engine.connect().await?;
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        timeout(QUICK, docker.list_containers(Some(options)))
            .await
            .map_err(|_| Unanswered("Docker does not list its containers".into()))?
            .map_err(|e| unanswered("Docker does not list its containers", &e))
    }

    /// Returns the id of the attempt's container, if there is one.
    async fn find(&self, handle: &Handle) -> Result<Option<String>, Unanswered> {
        let found = self.list(&format!("{ITEM}={}", handle.item)).await?;
        Ok(found.into_iter().find(|c| label(c, ATTEMPT) == Some(handle.attempt)).and_then(|c| c.id))
    }

    async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>, Unanswered> {
        let docker = self.engine.connect().await?;
        match timeout(QUICK, docker.inspect_container(id, None)).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(e)) if status_code(&e) == Some(404) => Ok(None),
            Ok(Err(e)) => Err(unanswered("Docker does not describe the container", &e)),
            Err(_) => Err(Unanswered("Docker does not describe the container".into())),
        }
    }

    async fn remove(&self, id: &str) -> Result<(), Unanswered> {
        let docker = self.engine.connect().await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match docker.remove_container(id, Some(options)).await {
            Ok(()) => {}
            // Gone, or being removed already.
            Err(e) if matches!(status_code(&e), Some(404 | 409)) => {}
            Err(e) => return Err(unanswered("Docker does not remove the container", &e)),
        }
        let patience = Instant::now() + QUICK;
        while self.inspect(id).await?.is_some() {
            if Instant::now() > patience {
                return Err(Unanswered("Docker does not finish removing the container".into()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends and removes the containers of the item's earlier attempts, whoever made them.
    async fn end_earlier(&self, handle: &Handle) -> Result<(), Unanswered> {
        for other in self.list(&format!("{ITEM}={}", handle.item)).await? {
            if label(&other, ATTEMPT).is_some_and(|a| a < handle.attempt)
                && let Some(id) = other.id
            {
                self.end(&id, EARLIER_GRACE).await?;
                self.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// Ends a container: its stop signal, after `grace` KILL. Returns when it does not run any more.
    async fn end(&self, id: &str, grace: Duration) -> Result<(), Unanswered> {
        let docker = self.engine.connect().await?;
        let running = |c: &ContainerInspectResponse| {
            c.state.as_ref().is_some_and(|s| s.running.unwrap_or(false) || s.restarting.unwrap_or(false))
        };
        let Some(found) = self.inspect(id).await?.filter(running) else { return Ok(()) };
        let term =
            found.config.and_then(|c| c.stop_signal).filter(|s| !s.is_empty()).unwrap_or_else(|| "SIGTERM".into());
        let mut kill_at = Some(Instant::now() + grace);
        let signal = async |name: &str| {
            let options = KillContainerOptionsBuilder::default().signal(name).build();
            match timeout(QUICK, docker.kill_container(id, Some(options))).await {
                Err(_) => Err(Unanswered("Docker does not stop the container".into())),
                // It ended in between.
                Ok(Err(e)) if !matches!(status_code(&e), Some(404 | 409)) => {
                    Err(unanswered("Docker does not stop the container", &e))
                }
                Ok(_) => Ok(()),
            }
        };
        if !grace.is_zero() {
            signal(&term).await?;
        }
        let patience = Instant::now() + grace + Duration::from_secs(60);
        while self.inspect(id).await?.as_ref().is_some_and(running) {
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                kill_at = None;
                signal("SIGKILL").await?;
            }
            if Instant::now() > patience {
                return Err(Unanswered("the container did not end after KILL".into()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Removes the containers that the agent `agent` made and holds no more. Called before it begins anything, so a
    /// container of a build is one that an earlier life left.
    pub(crate) async fn sweep(&self, agent: &str, held: &HashSet<(String, u32)>) -> Result<(), Unanswered> {
        for container in self.list(&format!("{AGENT}={agent}")).await? {
            let item = container.labels.as_ref().and_then(|l| l.get(ITEM)).cloned();
            if let (Some(item), Some(attempt), Some(id)) = (item, label(&container, ATTEMPT), &container.id)
                && !held.contains(&(item.clone(), attempt))
            {
                warn!(item.id = %item, attempt, "removing a forgotten container");
                self.remove(id).await?;
            } else if let Some(id) = &container.id
                && container.labels.as_ref().is_some_and(|l| l.contains_key(BUILD) && !l.contains_key(ITEM))
            {
                warn!("removing a container that a build left");
                self.remove(id).await?;
            }
        }
        Ok(())
    }

    async fn create(&self, launch: &Launch, container: &Container) -> Result<String, StartError> {
        let docker = self.engine.connect().await.map_err(StartError::Unanswered)?;
        let mut body = (*container.body).clone();
        body.env = Some(launch.environment.iter().map(|(k, v)| format!("{k}={v}")).collect());
        if let Some(host) = &mut body.host_config
            && host.init.is_none()
            && self.init
        {
            host.init = Some(true);
        }
        let name =
            container.name.clone().unwrap_or_else(|| format!("lanza-{}-{}", launch.handle.item, launch.handle.attempt));
        let mut options = CreateContainerOptionsBuilder::default().name(&name);
        if let Some(platform) = &container.platform {
            options = options.platform(platform);
        }
        let options = options.build();
        let patience = Instant::now() + NAME_PATIENCE;
        self.known.lock().ask(&launch.handle);
        loop {
            match docker.create_container(Some(options.clone()), body.clone()).await {
                Ok(made) => return Ok(made.id),
                Err(e) if status_code(&e) == Some(409) => {
                    // The request of a killed agent may have got there first. Its container has the name before it can
                    // be found; and one that is being removed has it a little longer.
                    if let Some(id) = self.find(&launch.handle).await.map_err(StartError::Unanswered)? {
                        return Ok(id);
                    }
                    if Instant::now() > patience {
                        return Err(start_error("the container cannot be made", code::CONTAINER_NAME_TAKEN, &e));
                    }
                    sleep(Duration::from_millis(500)).await;
                }
                Err(e) => return Err(start_error("the container cannot be made", code::CONFIG_REFUSED, &e)),
            }
        }
    }

    async fn upload(&self, id: &str, container: &Container) -> Result<(), StartError> {
        let Some(code) = container.code.clone() else { return Ok(()) };
        let docker = self.engine.connect().await.map_err(StartError::Unanswered)?;
        let archive = docker_tar::stream(code);
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        docker
            .upload_to_container(id, Some(options), bollard::body_try_stream(archive))
            .await
            .map_err(|e| start_error("the code cannot be laid into the container", code::AGENT_FAILED, &e))
    }

    /// Begins to copy the container's log into the attempt's folder, unless that is under way.
    fn follow(&self, handle: &Handle, id: &str) {
        let mut logs = self.logs.lock();
        if logs.followers.contains_key(handle) {
            return;
        }
        let (done, receiver) = watch::channel(false);
        logs.followers.insert(handle.clone(), receiver);
        while logs.tasks.try_join_next().is_some() {}
        let (engine, id, log, changed) = (self.engine.clone(), id.to_owned(), handle.run_log(), self.changed.clone());
        logs.tasks.spawn(async move {
            logs::copy(&engine, &id, &log, &changed).await;
            done.send_replace(true);
        });
    }

    async fn status(&self, handle: &Handle, summary: &ContainerSummary) -> Result<Status, Unanswered> {
        let Some(id) = summary.id.as_deref() else { return Ok(Status::Absent) };
        let state = summary.state.map(|s| s.to_string()).unwrap_or_default();
        if state == "created" {
            return Ok(Status::Starting);
        }
        self.follow(handle, id);
        let known = self.began.lock().get(handle).copied();
        if let (Some(since), "running" | "paused") = (known, state.as_str()) {
            return Ok(Status::Running { since });
        }
        let Some(found) = self.inspect(id).await? else { return Ok(Status::Absent) };
        let state = found.state.unwrap_or_default();
        if let Some(since) = state.started_at.as_deref().and_then(Time::parse).filter(|t| t.0 > 0) {
            self.began.lock().insert(handle.clone(), since);
            self.known.lock().see(handle);
        }
        Ok(match status_of(&state) {
            Status::Ended(exit) => Status::Ended(exit_of(exit, Time(self.engine.away_at.load(Ordering::Relaxed)))),
            other => other,
        })
    }
}

/// An engine that comes back and finds a container's process gone says 255, which stands for "unknown" there: that is no
/// exit code where the engine was away after the container began.
fn exit_of(exit: Exit, away_at: Time) -> Exit {
    if exit.code != Some(UNKNOWN_EXIT) || exit.since.is_none_or(|since| since > away_at) {
        return exit;
    }
    let text = "the Docker engine went away while the container ran, and does not know how it ended";
    Exit { code: None, failure: Some(Reason::new(code::TARGET_UNAVAILABLE, text)), ..exit }
}

/// What a container's state means.
fn status_of(state: &ContainerState) -> Status {
    let time = |text: &Option<String>| text.as_deref().and_then(Time::parse).filter(|t| t.0 > 0);
    let now = || SystemClock.now();
    match state.status {
        Some(
            ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::RESTARTING,
        ) => Status::Running { since: time(&state.started_at).unwrap_or_else(now) },
        Some(
            ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING,
        ) => {
            let number = state.exit_code.and_then(|c| i32::try_from(c).ok());
            // A signal is told only by this convention; these are the signals that end programs from without.
            let signal = number.map(|n| n - 128).filter(|n| [4, 6, 7, 8, 9, 11, 15].contains(n));
            let failure = state.error.as_deref().filter(|e| !e.is_empty()).map(|e| {
                let code = cause(e).unwrap_or(code::SPAWN_FAILED);
                Reason::new(code, format!("the container could not be started: {e}"))
            });
            Status::Ended(Exit {
                code: if signal.is_some() || failure.is_some() { None } else { number },
                signal,
                out_of_memory: state.oom_killed.unwrap_or(false) && number != Some(0),
                failure,
                since: time(&state.started_at),
                at: time(&state.finished_at).unwrap_or_else(now),
            })
        }
        _ => Status::Starting,
    }
}

fn label(container: &ContainerSummary, name: &str) -> Option<u32> {
    container.labels.as_ref()?.get(name)?.parse().ok()
}

#[async_trait]
impl Target for DockerTarget {
    async fn start(&self, launch: &Launch) -> Result<(), StartError> {
        let container = launch.container.as_ref().ok_or_else(|| {
            StartError::Failed(Box::new(Reason::new(
                code::AGENT_FAILED,
                "nothing says how the container is to be made",
            )))
        })?;
        let handle = &launch.handle;
        self.known.lock().begin(handle, launch.fresh);
        let id = if let Some(id) = self.find(handle).await.map_err(StartError::Unanswered)? {
            let state = self.inspect(&id).await.map_err(StartError::Unanswered)?.and_then(|c| c.state?.status);
            if state != Some(ContainerStateStatusEnum::CREATED) {
                return Ok(());
            }
            self.not_begun(handle, &id).await?;
            id
        } else {
            if handle.attempt > 1 {
                self.end_earlier(handle).await.map_err(StartError::Unanswered)?;
            }
            self.create(launch, container).await?
        };
        self.upload(&id, container).await?;
        let docker = self.engine.connect().await.map_err(StartError::Unanswered)?;
        self.known.lock().ask_to_start(handle);
        docker
            .start_container(&id, None)
            .await
            .map_err(|e| start_error("the container cannot be started", code::SPAWN_FAILED, &e))?;
        self.follow(handle, &id);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Status, Unanswered>> {
        let found = match self.list(ITEM).await {
            Ok(found) => found,
            Err(e) => return handles.iter().map(|_| Err(e.clone())).collect(),
        };
        let mut by_attempt: HashMap<(&str, u32), &ContainerSummary> = HashMap::new();
        for container in &found {
            let item = container.labels.as_ref().and_then(|l| l.get(ITEM));
            if let (Some(item), Some(attempt)) = (item, label(container, ATTEMPT)) {
                by_attempt.insert((item, attempt), container);
            }
        }
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            answers.push(match by_attempt.get(&(handle.item.as_str(), handle.attempt)) {
                Some(container) => self.status(handle, container).await,
                None => Ok(Status::Absent),
            });
        }
        answers
    }

    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<Stopped, Unanswered> {
        let begun = Instant::now();
        let found = match within(PROMPT, self.find(handle)).await {
            Ok(Some(id)) => within(grace + PROMPT, self.end(&id, grace)).await.map(|()| Some(id)),
            other => other,
        };
        let found = match found {
            Ok(found) => found,
            Err(e) => return self.stop_without_engine(handle, grace.saturating_sub(begun.elapsed()), e).await,
        };
        if let Some(id) = found {
            self.follow(handle, &id);
            let follower = self.logs.lock().followers.get(handle).cloned();
            if let Some(mut follower) = follower {
                // The sender goes when the task is gone, which is an end as well.
                let _ = follower.wait_for(|done| *done).await;
            }
            self.remove(&id).await?;
        }
        self.logs.lock().followers.remove(handle);
        self.began.lock().remove(handle);
        self.known.lock().forget(handle);
        Ok(Stopped::Clean)
    }
}

/// Gives an engine that hangs a time by which it must have answered.
async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
    timeout(limit, asked).await.unwrap_or_else(|_| Err(Unanswered("Docker does not answer".into())))
}

#[cfg(test)]
mod tests;
