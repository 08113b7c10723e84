//! `lanza doctor`: looks for what is wrong, and says what to do.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use lanza_agent::LaunchConfig;
use lanza_api::{ClientError, agent::Agent, client::segment, entity::Me};
use lanza_model::clock::{Clock as _, SystemClock, Time};
use tokio::{process::Command, time::timeout};

use crate::{
    config::Config,
    docker::Engine,
    environment::{DOCKER_HOST, PATH},
    exit::{self, Failure, Outcome},
    output, paths,
};

/// How far the clocks may be apart before links and leases suffer.
const SKEW_MS: i64 = 5_000;
/// How long a program may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
/// Free space below which environments and images soon do not fit.
const DISK_FREE_BYTES: u64 = 2 << 30;

/// What was found out about one thing.
enum Finding {
    /// It is as it should be.
    Good(String),
    /// It is missing or odd, and much works without it.
    Odd(String, String),
    /// Nothing works like this.
    Bad(String, String),
}

pub(crate) async fn run(config: Config) -> Outcome {
    let mut findings = server(&config).await;
    findings.extend(launch_config(&config));
    findings.push(python(&config));
    findings.push(
        program(&config, "uv", "Install uv to get Python versions that this machine lacks, and faster builds.").await,
    );
    findings.push(program(&config, "git", "Install git to run jobs whose source is a repository.").await);
    findings.push(docker(&config).await);
    findings.push(disk(&config));
    let mut bad = 0;
    for finding in &findings {
        let (mark, what, todo) = match finding {
            Finding::Good(what) => ("good", what, None),
            Finding::Odd(what, todo) => ("odd ", what, Some(todo)),
            Finding::Bad(what, todo) => ("BAD ", what, Some(todo)),
        };
        bad += usize::from(matches!(finding, Finding::Bad(..)));
        output::line(&format!("{mark}  {what}"))?;
        if let Some(todo) = todo {
            output::line(&format!("      {todo}"))?;
        }
    }
    Ok(if bad == 0 { exit::DONE } else { exit::FAILED })
}

/// Server, clocks and key.
async fn server(config: &Config) -> Vec<Finding> {
    let url = config.base_url();
    let mut findings = Vec::new();
    let asked = match lanza_api::client::http_client() {
        Ok(http) => http.get(format!("{url}/healthz")).timeout(Duration::from_secs(10)).send().await,
        Err(e) => Err(e),
    };
    match asked {
        Ok(answer) if answer.status().is_success() => {
            findings.push(Finding::Good(format!("the server at {url} answers")));
            let date = answer.headers().get("date").and_then(|d| d.to_str().ok()).and_then(http_date);
            // The header has whole seconds, cut off: half a second is added for the middle.
            findings.extend(date.map(|d| clock(SystemClock.now().since_ms(d.plus_ms(500)))));
        }
        Ok(answer) => {
            findings.push(Finding::Bad(
                format!("{url} answers {} to /healthz", answer.status()),
                "Is WANDB_BASE_URL the address of a Lanza server?".into(),
            ));
            return findings;
        }
        Err(e) => {
            let failure = Failure::caused("", &e);
            findings.push(Finding::Bad(
                format!("the server at {url} cannot be reached{}", failure.message),
                "Start `lanza server` (or `lanza dev`), or correct WANDB_BASE_URL.".into(),
            ));
            return findings;
        }
    }
    let Ok(client) = config.client() else {
        findings.push(Finding::Bad(
            format!("there is no API key for {url}"),
            "Log in with `lanza login`, or set WANDB_API_KEY.".into(),
        ));
        return findings;
    };
    match client.get::<Me>("/me").await {
        Ok(me) => {
            findings.push(Finding::Good(format!("the key belongs to `{}`, entity `{}`", me.username, me.entity)));
            let entity = config.entity(&client, None).await.unwrap_or(me.entity);
            match client.get::<Agents>(&format!("/entities/{}/agents", segment(&entity))).await {
                Ok(agents) => findings.push(alive(&entity, &agents.items)),
                Err(e) => findings.push(Finding::Odd(
                    format!("the agents of `{entity}` cannot be listed: {e}"),
                    "Correct WANDB_ENTITY, or ask for a role in it.".into(),
                )),
            }
        }
        Err(e @ ClientError::Refused { status: 401, .. }) => {
            findings.push(Finding::Bad(e.to_string(), "Log in with `lanza login`, or correct WANDB_API_KEY.".into()));
        }
        Err(e) => {
            findings.push(Finding::Bad(format!("the key cannot be checked: {e}"), "Look at the server's log.".into()));
        }
    }
    findings
}

/// The agents of an entity.
#[derive(serde::Deserialize)]
struct Agents {
    items: Vec<Agent>,
}

fn alive(entity: &str, agents: &[Agent]) -> Finding {
    let alive: Vec<String> = agents
        .iter()
        .filter(|a| ["polling", "running", "draining"].contains(&a.status.as_str()))
        .map(|a| format!("`{}` on {} for {}", a.name, a.host, a.queues.join(", ")))
        .collect();
    if alive.is_empty() {
        return Finding::Odd(
            format!("no agent of `{entity}` is alive, so its items wait"),
            "Start one where jobs are to run: `lanza agent -q QUEUE`.".into(),
        );
    }
    Finding::Good(format!("agents of `{entity}`: {}", alive.join("; ")))
}

/// The config of an agent that would start here.
fn launch_config(config: &Config) -> Option<Finding> {
    let path = paths::launch_config(&config.environment).ok().filter(|p| p.is_file())?;
    Some(match LaunchConfig::load(&path) {
        Ok(file) if file.warnings.is_empty() => Finding::Good(format!("{} is a valid agent config", path.display())),
        Ok(file) => Finding::Odd(
            format!("{}: {}", path.display(), file.warnings.join("; ")),
            "Correct the keys that it names, or remove them.".into(),
        ),
        Err(e) => Finding::Bad(e.to_string(), "Correct the file; no agent starts with it.".into()),
    })
}

fn clock(skew_ms: i64) -> Finding {
    let words = format!("this clock and the server's are {:.1} s apart", skew_ms.abs() as f64 / 1000.0);
    if skew_ms.abs() <= SKEW_MS {
        Finding::Good(words)
    } else {
        Finding::Bad(words, "Let both machines set their clocks by NTP; links expire too early or too late.".into())
    }
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Time> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Time(time.timestamp().as_millisecond()))
}

fn python(config: &Config) -> Finding {
    let mut found = Vec::new();
    for minor in (8..=16).rev() {
        let name = format!("python3.{minor}");
        if find(config, &name).is_some() {
            found.push(name);
        }
    }
    if found.is_empty() && find(config, "python3").is_some() {
        found.push("python3".to_owned());
    }
    match (found.is_empty(), find(config, "uv")) {
        (false, _) => Finding::Good(format!("Python: {}", found.join(", "))),
        (true, Some(_)) => Finding::Good("no Python on PATH; uv brings the versions that jobs want".into()),
        (true, None) => Finding::Odd(
            "there is no Python on PATH, and no uv to bring one".into(),
            "An agent with target `process` needs one of them; Docker jobs bring their own.".into(),
        ),
    }
}

async fn program(config: &Config, name: &str, todo: &str) -> Finding {
    let Some(path) = find(config, name) else {
        return Finding::Odd(format!("{name} is not on PATH"), todo.to_owned());
    };
    let asked = Command::new(&path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(VERSION_LIMIT, asked).await {
        Ok(Ok(done)) if done.status.success() => {
            let text = String::from_utf8_lossy(&done.stdout);
            Finding::Good(text.lines().next().unwrap_or(name).trim().to_owned())
        }
        _ => Finding::Odd(format!("{} does not tell its version", path.display()), todo.to_owned()),
    }
}

async fn docker(config: &Config) -> Finding {
    let engine = Engine::of(&config.environment);
    if engine.answers_within(Duration::from_secs(5)).await {
        return Finding::Good(format!("Docker answers at {engine}"));
    }
    let todo = match &engine {
        Engine::Unix(path) if Path::new(path).exists() => {
            "Start Docker, and let this user use it (group `docker`), for jobs in containers."
        }
        _ if config.environment.get(DOCKER_HOST).is_some() => "Correct DOCKER_HOST, or start the engine there.",
        _ => "Install and start Docker for jobs in containers; processes need none.",
    };
    Finding::Odd(format!("Docker does not answer at {engine}"), todo.to_owned())
}

/// Space where agents keep environments.
fn disk(config: &Config) -> Finding {
    let folder = paths::state(&config.environment).or_else(|_| paths::home(&config.environment));
    let folder = folder.unwrap_or_else(|_| PathBuf::from("/"));
    // The folder itself may not be there yet.
    let there = folder.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let words =
                format!("{} free at {}", output::table::size(i64::try_from(free).unwrap_or(i64::MAX)), there.display());
            if free >= DISK_FREE_BYTES {
                Finding::Good(words)
            } else {
                Finding::Odd(words, "Make room: an environment with PyTorch takes some 5 GiB.".into())
            }
        }
        Err(e) => {
            Finding::Odd(format!("the free space at {} is not known ({e})", there.display()), "Look with `df`.".into())
        }
    }
}

/// Finds a program on PATH.
fn find(config: &Config, name: &str) -> Option<PathBuf> {
    let path = config.environment.get(PATH)?;
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Time::parse("1994-11-06T08:49:37Z"));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_clock_that_is_off_is_bad() {
        assert!(matches!(clock(-400), Finding::Good(_)));
        assert!(matches!(clock(60_000), Finding::Bad(..)));
    }
}
