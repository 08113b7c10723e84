//! An item again, by hand: its code and environment are brought and built here, and the command is told.
//!
//! It is a run of its own: the names of the item, its attempt and its run are left out, so nothing of the original is
//! written to. The key is the caller's own and does not stand in the command.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use lanza_api::{Client, item::Replay};
use lanza_model::{
    Reason,
    config::{EnvEntry, env_entries},
};
use serde_json::{Map, Value};

use crate::{
    Error, Options,
    attempt::Progress,
    build::python::Pythons,
    context::Context,
    courier::Courier,
    journal::Journal,
    launch_config::{NamedSecret, Secret},
    machine::Machine,
    prepare,
    redact::Redactor,
    state_dir::StateDir,
    target::{Container, Handle, docker::Engine},
};

/// Variables of an attempt that another run must not have.
const OF_THE_ITEM: &[&str] = &[
    "WANDB_RUN_ID",
    "WANDB_RESUME",
    "WANDB_LAUNCH",
    "WANDB_LAUNCH_TRACE_ID",
    "WANDB_LAUNCH_QUEUE_NAME",
    "WANDB_LAUNCH_QUEUE_ENTITY",
    "WANDB_SWEEP_ID",
    "LANZA_ITEM",
    "LANZA_ATTEMPT",
];

/// The variable of the key.
const KEY: &str = "WANDB_API_KEY";

/// What runs the item again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// Where to run the command; none where that does not matter.
    pub folder: Option<PathBuf>,
    /// The whole environment of the command, without the key.
    pub environment: Vec<(String, String)>,
    /// Program and arguments. A container's key is taken from the environment of the command.
    pub command: Vec<String>,
    /// What differs from the original, or may.
    pub warnings: Vec<String>,
}

/// Why an item cannot be run again here.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder cannot be used, or the server not be asked.
    #[error(transparent)]
    Agent(#[from] Error),
    /// Its code cannot be brought, or its environment not be built.
    #[error("{}", .0.message)]
    Refused(Box<Reason>),
}

/// Brings and builds what `item` ran, in the state directory of `options`, with the caller's own key and environment.
///
/// # Errors
/// As an agent would fail: [`ReplayError`].
pub async fn replay(mut options: Options, item: Replay) -> Result<Replayed, ReplayError> {
    let Replay { mut lease, environment: original, .. } = item;
    lease.token.clone_from(&options.key);
    let mut warnings = secrets_of(&mut options, [&lease.queue_config, &lease.item_config]);
    let state = StateDir::open(&options.state_dir)?;
    let identity = state.identity()?;
    let client = Client::new(&options.base_url, Some(options.key.clone())).map_err(Error::Server)?;
    let handle =
        Handle { item: lease.item.clone(), attempt: lease.attempt, dir: state.attempt(&lease.item, lease.attempt) };
    let clock = options.clock.clone();
    let journal = Journal::create_reserving(
        &handle.dir,
        "replay",
        lease.clone(),
        lanza_api::agent::Reserved::default(),
        clock.now(),
    )
    .map_err(|source| Error::State { what: "write in", path: handle.dir.clone(), source })?;
    let ctx = Context {
        machine: Machine::default(),
        redactor: Redactor::default(),
        pythons: Pythons::new(&state, options.environment.clone(), clock.clone()),
        mark: identity.state,
        clock: clock.clone(),
        acknowledged: Arc::default(),
        client: client.clone(),
        state,
        engine: Engine::of_environment(&options.environment),
        targets: HashMap::new(),
        options,
    };
    // Nobody sends what it gathers.
    let courier = Courier::new(client, "replay".into(), Arc::new(lease), &handle.dir, Redactor::default(), true);
    let mut progress = Progress::new(journal, courier, clock);
    let launch = Box::pin(prepare::prepare(&ctx, &mut progress, &handle))
        .await
        .map_err(|reason| ReplayError::Refused(Box::new(reason)))?;
    warnings.extend(progress.warnings().iter().cloned());
    if let (Some(then), Some(now)) = (original, progress.built()) {
        warnings.extend(difference(&then.packages, &now.packages));
    }
    let mut environment: BTreeMap<String, String> = launch.environment.iter().cloned().collect();
    environment.retain(|name, _| name != KEY && !OF_THE_ITEM.contains(&name.as_str()));
    Ok(match &launch.container {
        None => Replayed {
            folder: launch.folder,
            environment: environment.into_iter().collect(),
            command: launch.command,
            warnings,
        },
        Some(container) => {
            Replayed { folder: None, environment: Vec::new(), command: docker_run(container, &environment), warnings }
        }
    })
}

/// Lets each secret that the agent had be a variable of the caller's environment; says which are not there.
fn secrets_of(options: &mut Options, layers: [&Map<String, Value>; 2]) -> Vec<String> {
    let mut missing = Vec::new();
    for layer in layers {
        for entry in env_entries(layer.get("env").unwrap_or(&Value::Null)).unwrap_or_default() {
            let EnvEntry::Value(_, value) = entry else { continue };
            let Some(name) = value.strip_prefix("secret:") else { continue };
            if options.config.lanza.secrets.contains_key(name) {
                continue;
            }
            let value = if options.environment.contains_key(name) {
                Secret::Variable(name.to_owned())
            } else {
                missing.push(format!("the agent has a secret `{name}`; set the variable {name} to give it here"));
                Secret::Text(String::new())
            };
            let secret = NamedSecret { value, queues: None, submitters: true };
            options.config.lanza.secrets.insert(name.to_owned(), secret);
        }
    }
    missing
}

/// Says how the packages differ.
fn difference(then: &[String], now: &[String]) -> Option<String> {
    let only = |a: &[String], b: &[String]| a.iter().filter(|p| !b.contains(p)).cloned().collect::<Vec<_>>().join(", ");
    let (gone, new) = (only(then, now), only(now, then));
    (!gone.is_empty() || !new.is_empty()).then(|| format!("the packages differ: the item had {gone}; here are {new}"))
}

/// Returns the `docker run` that makes the same container, with the code mounted.
fn docker_run(container: &Container, environment: &BTreeMap<String, String>) -> Vec<String> {
    let body = &container.body;
    let host = body.host_config.clone().unwrap_or_default();
    let mut command: Vec<String> = ["docker", "run", "--rm"].map(str::to_owned).to_vec();
    let mut flag = |name: &str, value: String| command.extend([name.to_owned(), value]);
    for (name, value) in environment {
        flag("-e", format!("{name}={value}"));
    }
    flag("-e", KEY.to_owned());
    if let Some(code) = &container.code {
        flag("-v", format!("{}:{}", code.from.display(), code.to.display()));
    }
    for bind in host.binds.iter().flatten() {
        flag("-v", bind.clone());
    }
    for extra in host.extra_hosts.iter().flatten() {
        flag("--add-host", extra.clone());
    }
    let texts = [
        ("--network", host.network_mode.clone()),
        ("--user", body.user.clone().filter(|u| !u.is_empty())),
        ("--workdir", body.working_dir.clone()),
        ("--platform", container.platform.clone()),
        ("--memory", host.memory.filter(|n| *n > 0).map(|n| n.to_string())),
        ("--shm-size", host.shm_size.filter(|n| *n > 0).map(|n| n.to_string())),
        ("--cpus", host.nano_cpus.filter(|n| *n > 0).map(|n| (n as f64 / 1e9).to_string())),
        ("--runtime", host.runtime.clone()),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            flag(name, value);
        }
    }
    for request in host.device_requests.iter().flatten() {
        let value = match (&request.device_ids, request.count) {
            (Some(ids), _) => format!("\"device={}\"", ids.join(",")),
            (None, Some(n)) if n >= 0 => n.to_string(),
            _ => "all".to_owned(),
        };
        flag("--gpus", value);
    }
    let mut entry = body.entrypoint.clone().unwrap_or_default().into_iter();
    if let Some(program) = entry.next() {
        flag("--entrypoint", program);
    }
    command.push(body.image.clone().unwrap_or_default());
    command.extend(entry);
    command.extend(body.cmd.clone().unwrap_or_default());
    command
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_made_again_by_docker_run() {
        let host = HostConfig {
            network_mode: Some("host".into()),
            memory: Some(1 << 30),
            nano_cpus: Some(500_000_000),
            binds: Some(vec!["/data:/data:ro".into()]),
            device_requests: Some(vec![DeviceRequest { count: Some(-1), ..Default::default() }]),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some("lanza-env:1".into()),
            entrypoint: Some(vec!["python".into()]),
            cmd: Some(vec!["a b.py".into()]),
            user: Some("1000".into()),
            host_config: Some(host),
            ..Default::default()
        };
        let code = crate::target::docker_tar::Code { from: "/w".into(), to: "/home/u/src".into(), owner: None };
        let container = Container { body: Box::new(body), name: None, platform: None, code: Some(code) };
        let environment = BTreeMap::from([("A".to_owned(), "1 2".to_owned())]);
        assert_eq!(
            docker_run(&container, &environment).join(" "),
            "docker run --rm -e A=1 2 -e WANDB_API_KEY -v /w:/home/u/src -v /data:/data:ro --network host --user 1000 \
             --memory 1073741824 --cpus 0.5 --gpus all --entrypoint python lanza-env:1 a b.py"
        );
    }

    #[test]
    fn secrets_are_variables_here_and_missing_ones_are_named() {
        let environment = BTreeMap::from([("HERE".to_owned(), "v".to_owned())]);
        let mut options = Options::new("http://h", "k", "/s", environment, vec![]);
        let layer = json!({"env": ["A=secret:HERE", "B=secret:GONE", "C=plain"]}).as_object().unwrap().clone();
        let warnings = secrets_of(&mut options, [&layer, &Map::new()]);
        assert!(warnings.len() == 1 && warnings[0].contains("GONE"), "{warnings:?}");
        assert_eq!(options.config.lanza.secrets["HERE"].value, Secret::Variable("HERE".into()));
        assert_eq!(difference(&["a==1".into()], &["a==1".into()]), None);
        assert!(difference(&["a==1".into()], &["a==2".into()]).unwrap().contains("a==2"));
    }
}
