//! `lanza dev`: server and agents together, ready to use.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lanza_agent::{Control, OwnLog, Slots};
use lanza_api::queue::NewQueue;
use lanza_model::name;
use lanza_server::{Options, Server};
use lanza_service::{
    Actor, Service,
    accounts::{KeyRequest, UserRequest},
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{agent, seed, server, signals::Signals};
use crate::{
    args::{self, DevTarget},
    config::Config,
    docker,
    environment::LANZA_ADMIN_TOKEN,
    exit::{self, Failure, Outcome},
    log, output, paths,
};

/// The user and entity.
pub(super) const DEV: &str = "dev";
/// How long readiness waits for Docker's word; a local engine needs a few milliseconds.
const DOCKER_QUICK: Duration = Duration::from_millis(60);
/// How long the agents' start waits for it.
const DOCKER_PATIENT: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: args::Dev, config: Config) -> Outcome {
    let own_log = log::start(&config.environment, log::DEFAULT)?;
    let mut signals = Signals::new()?;
    let data = match args.data {
        Some(data) => data,
        None => paths::data(&config.environment)?.join("lanza-dev"),
    };
    // A process of its own folder would be told another one by a relative path.
    let data =
        std::path::absolute(&data).map_err(|e| Failure::failed(format!("cannot use {}: {e}", data.display())))?;
    let _lock = server::lock(&data)?;
    let listener = server::listen(&args.listen).await?;
    Box::pin(seed::fill(&data, &args.seed)).await?;
    let probe = docker::Engine::of(&config.environment);
    let asked = args.target != DevTarget::Process;
    let docker = probe.answers_within(DOCKER_PATIENT);
    tokio::pin!(docker);
    let options = Options {
        store: lanza_store::Options::folder(data.clone()),
        admin_token: config.environment.get(LANZA_ADMIN_TOKEN).map(str::to_owned),
    };
    let server = server::start(options, listener).await?;
    let key = user_ready(&server.service, &data).await?;
    let actor = server.service.authenticate(&key).await.map_err(|e| Failure::caused("cannot use the key", &e))?;
    let first = if args.target == DevTarget::Docker { "docker" } else { "process" };
    queue_ready(&server, &actor, "default", first).await?;
    let quick = if asked { timeout(DOCKER_QUICK, &mut docker).await.ok() } else { Some(false) };
    if quick == Some(true) && args.target == DevTarget::Both {
        queue_ready(&server, &actor, "docker", "docker").await?;
    }
    let url = format!("http://{}:{}", public_host(&args.listen), server.address.port());
    output::data(&format!(
        "export WANDB_BASE_URL={url}\nexport WANDB_API_KEY={key}\nexport WANDB_DISABLE_JOB_CREATION=false\n"
    ))?;

    let answers = match quick {
        Some(answers) => answers,
        None => docker.await,
    };
    let mut queues = vec!["default".to_owned()];
    if args.target == DevTarget::Both && answers {
        if quick.is_none() {
            queue_ready(&server, &actor, "docker", "docker").await?;
        }
        queues.push("docker".to_owned());
    }
    if args.target == DevTarget::Docker && !answers {
        report_stop(server).await;
        return Err(Failure::refused(format!("Docker does not answer at {probe}, and --target docker needs it"))
            .hint("Start Docker, or set DOCKER_HOST, or use --target process."));
    }
    let (mut agents, controls) = agents_start(args.agents, &config, &url, &key, &data, &queues, &own_log)?;
    let outcome = tokio::select! {
        _ = signals.next() => Ok(exit::DONE),
        () = server.failed() => Err(Failure::failed("the server failed; its log says why")),
        failure = first_failure(&mut agents) => Err(failure),
    };
    tracing::info!("stopping the jobs; a second signal does not wait for them");
    for control in &controls {
        // An agent that has ended has nothing to stop.
        let _ = control.send(Control::Stop);
    }
    tokio::select! {
        () = all_ended(&mut agents) => {}
        _ = signals.next() => output::warn("ended before all jobs had stopped; their supervisors go on stopping them"),
    }
    report_stop(server).await;
    outcome
}

async fn report_stop(running: Server) {
    server::report(&running.stop().await);
}

type Agents = JoinSet<Result<(), lanza_agent::Error>>;

fn agents_start(
    count: u16,
    config: &Config,
    url: &str,
    key: &str,
    data: &Path,
    queues: &[String],
    own_log: &OwnLog,
) -> Result<(Agents, Vec<mpsc::UnboundedSender<Control>>), Failure> {
    let mut agents = JoinSet::new();
    let mut controls = Vec::new();
    for number in 1..=count {
        let state = data.join("agents").join(number.to_string());
        let mut options = agent::options(config, url.to_owned(), key.to_owned(), state)?;
        options.entity = Some(DEV.to_owned());
        options.queues = queues.to_vec();
        options.max_jobs = Slots::AtMost(1);
        options.own_log = own_log.clone();
        let (control, heard) = mpsc::unbounded_channel();
        controls.push(control);
        agents.spawn(lanza_agent::run(options, heard));
    }
    Ok((agents, controls))
}

/// Waits until an agent has failed. One that ends as it should (somebody drained it) is no failure.
async fn first_failure(agents: &mut Agents) -> Failure {
    while let Some(ended) = agents.join_next().await {
        match ended {
            Ok(Ok(())) => tracing::info!("an agent has ended"),
            Ok(Err(e)) => return e.into(),
            Err(e) => return Failure::caused("an agent failed", &e),
        }
    }
    std::future::pending().await
}

async fn all_ended(agents: &mut Agents) {
    while let Some(ended) = agents.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!(error = %e, "an agent failed while it stopped"),
            Err(e) => tracing::error!(error = %e, "an agent failed while it stopped"),
        }
    }
}

/// Returns the host that clients use: `localhost` reaches a server on loopback or a wildcard, also from containers.
fn public_host(listen: &str) -> &str {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = bare.parse::<std::net::IpAddr>().map_or(bare.is_empty(), |ip| ip.is_loopback() || ip.is_unspecified());
    if local { "localhost" } else { host }
}

/// Makes the user if it is missing; returns the key, which is kept in the data folder.
pub(super) async fn user_ready(service: &Service, data: &Path) -> Result<String, Failure> {
    let path = data.join("dev-key");
    let kept = match fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().to_owned()).filter(|k| name::check_api_key(k).is_ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Failure::failed(format!("cannot read {}: {e}", path.display()))),
    };
    let cannot = |e: lanza_service::Error| Failure::caused(format!("cannot make the user `{DEV}`"), &e);
    if let Some(key) = &kept
        && service.authenticate(key).await.is_ok_and(|a| a.username == DEV && !a.read_only)
    {
        return Ok(key.clone());
    }
    let request = |api_key| UserRequest { username: DEV.to_owned(), api_key, password: None, admin: true };
    let key = match service.user_create(request(kept)).await {
        Ok((_, key)) => key,
        // The user is there and the file is gone or wrong: a further key.
        Err(lanza_service::Error::AlreadyExists { .. }) => {
            let user = service.user_find(DEV).await.map_err(cannot)?;
            let actor = Actor {
                user_id: user.id,
                username: user.username,
                admin: user.admin,
                service: false,
                read_only: false,
                job: None,
            };
            service.key_create(&actor, KeyRequest::full("lanza dev")).await.map_err(cannot)?.0
        }
        Err(e) => return Err(cannot(e)),
    };
    write_private(&path, &key).map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
    Ok(key)
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary: PathBuf = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// Makes a queue if it is missing. One that somebody changed stays as it is.
async fn queue_ready(server: &Server, actor: &Arc<Actor>, name: &str, target: &str) -> Result<(), Failure> {
    let new = NewQueue { name: Some(name.to_owned()), target: Some(target.to_owned()), ..NewQueue::default() };
    match server.service.queue_create(actor, DEV, new).await {
        Ok(_) | Err(lanza_service::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(Failure::caused(format!("cannot make the queue `{name}`"), &e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_use_localhost_for_loopback_and_wildcards() {
        for local in ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:1", "[::]:1", "localhost:3", ":8080"] {
            assert_eq!(public_host(local), "localhost", "{local}");
        }
        assert_eq!(public_host("192.0.2.7:80"), "192.0.2.7");
        assert_eq!(public_host("[2001:db8::1]:80"), "[2001:db8::1]");
        assert_eq!(public_host("box.example:80"), "box.example");
    }
}
