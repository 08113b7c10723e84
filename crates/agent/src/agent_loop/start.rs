//! What an agent does before its first event: it takes its folder, ends what a killed one left, finds its targets and its
//! entity. Nothing here is undone when it fails, since nothing has been begun.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use lanza_api::{Client, ClientError, entity::Me};
use lanza_model::Target as Kind;
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tracing::{info, warn};

use super::{AgentLoop, Ending};
use crate::{
    Error, Options,
    build::python::Pythons,
    command,
    context::{Context, Served},
    garbage,
    journal::Journal,
    machine::Machine,
    own_log::Teller,
    redact::Redactor,
    state_dir::{Identity, StateDir},
    target::{
        Target,
        docker::{DockerTarget, Engine},
        process::ProcessTarget,
        watcher::Watcher,
    },
};

/// How long the engine may take to say that it is there.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the loop of an agent, and returns it with the journals of the attempts that it has to take up.
pub(super) async fn prepare(options: Options) -> Result<(AgentLoop, Vec<Journal>), Error> {
    let state = StateDir::open(&options.state_dir)?;
    let identity = state.identity()?;
    command::kill_leftovers(&identity.state);
    let client = Client::new(&options.base_url, Some(options.key.clone())).map_err(Error::Server)?;
    let journals = garbage::read_all(&state)?;
    let engine = Engine::of_environment(&options.environment);
    let targets = targets(&options, engine.as_ref(), &journals, identity.agent.as_deref()).await;
    let known = identity.agent.clone();
    let entity = entity(&options, &client, &identity, known.is_some()).await?;
    if identity.entity.as_ref().is_some_and(|e| *e != entity) && !journals.is_empty() {
        let owner = format!("an agent of the entity `{}`", identity.entity.unwrap_or_default());
        return Err(Error::StateForeign { dir: options.state_dir.clone(), owner });
    }
    let queues = if options.queues.is_empty() { vec!["default".to_owned()] } else { options.queues.clone() };
    let machine = Machine::look(&options.resources, &options.environment).await;
    let redactor = Redactor::of_agent(&options.key, &options.config, &options.environment);
    let teller = Teller::new(options.own_log.clone(), client.clone(), redactor.clone());
    let ctx = Arc::new(Context {
        machine,
        redactor,
        pythons: Pythons::new(&state, options.environment.clone(), options.clock.clone()),
        mark: identity.state.clone(),
        clock: options.clock.clone(),
        acknowledged: Arc::default(),
        client,
        state,
        engine,
        targets,
        options,
    });
    let mut kinds: Vec<Kind> = ctx.targets.keys().copied().collect();
    kinds.sort_unstable();
    let agent = AgentLoop {
        identity,
        entity,
        queues,
        targets: kinds,
        agent: known,
        attempts: HashMap::new(),
        tasks: JoinSet::new(),
        owners: HashMap::new(),
        claim: None,
        busy: HashSet::new(),
        failures: 0,
        ending: Ending::Not,
        introduced: false,
        refused: None,
        teller,
        telling: None,
        // An earlier life may have been killed between the server's answer and its first line.
        answer_lost: Some(tokio::time::Instant::now()),
        left_alone: HashMap::new(),
        ctx,
    };
    Ok((agent, journals))
}

/// Returns the targets that this machine can serve. One that does not answer is served nevertheless when an attempt on
/// it is in the journal.
async fn targets(
    options: &Options,
    engine: Option<&Engine>,
    journals: &[Journal],
    agent: Option<&str>,
) -> HashMap<Kind, Served> {
    let changed = Arc::<Notify>::default();
    let process = ProcessTarget::new(options.supervisor.clone(), changed.clone());
    let mut targets = HashMap::from([(Kind::Process, served(process, changed))]);
    if let Some(engine) = engine {
        let changed = Arc::<Notify>::default();
        let target = DockerTarget::new(engine.clone(), changed.clone());
        match timeout(ENGINE_PATIENCE, engine.connect()).await {
            Ok(Ok(_)) => {
                let held = journals.iter().map(|j| (j.state.lease.item.clone(), j.state.lease.attempt)).collect();
                if let Some(agent) = agent
                    && let Err(e) = target.sweep(agent, &held).await
                {
                    warn!("cannot look for forgotten containers: {e}");
                }
                targets.insert(Kind::Docker, served(target, changed));
            }
            _ if journals.iter().any(|j| j.state.lease.target == Kind::Docker) => {
                targets.insert(Kind::Docker, served(target, changed));
            }
            Ok(Err(e)) => info!("no target `docker` here: {e}"),
            Err(_) => info!("no target `docker` here: Docker does not answer"),
        }
    }
    targets
}

fn served(target: impl Target + 'static, changed: Arc<Notify>) -> Served {
    let target: Arc<dyn Target> = Arc::new(target);
    Served { watcher: Arc::new(Watcher::new(target.clone(), changed)), target }
}

/// Returns the entity to serve; a known agent need not ask the server.
async fn entity(options: &Options, client: &Client, identity: &Identity, known: bool) -> Result<String, Error> {
    if let Some(entity) = &options.entity {
        return Ok(entity.clone());
    }
    if let (true, Some(entity)) = (known, &identity.entity) {
        return Ok(entity.clone());
    }
    let me: Me = client.get("/me").await.map_err(refusal)?;
    Ok(me.entity)
}

/// Sorts an error of the first request.
pub(super) fn refusal(error: ClientError) -> Error {
    match error {
        ClientError::Refused { status, problem } if status < 500 && status != 429 && problem.code != "unknown" => {
            Error::Refused { code: problem.code, message: problem.message, hint: problem.hint }
        }
        other => Error::Server(other),
    }
}
