//! `lanza agent`: one agent in the foreground.

use std::{path::PathBuf, time::Duration};

use lanza_agent::{Control, Declared, LaunchConfig, Options, Slots};
use lanza_model::resources::Request;
use serde_json::{Map, json};
use tokio::sync::mpsc;

use super::signals::{Signals, Wish};
use crate::{
    args,
    config::Config,
    environment::{WANDB_ENTITY, WANDB_LAUNCH_MAX_JOBS, WANDB_LAUNCH_START_TIMEOUT},
    exit::{self, Failure, Outcome},
    log, output, paths,
};

/// How often an agent says how it goes with `-v`.
const STATUS_VERBOSE: Duration = Duration::from_secs(20);

pub(crate) async fn run(args: args::Agent, config: Config) -> Outcome {
    let file = launch_config(args.config.as_ref(), &config)?;
    let verbose = args.verbose || file.verbosity > 0;
    let own_log = log::start(&config.environment, if verbose { log::VERBOSE } else { log::DEFAULT })?;
    for warning in &file.warnings {
        output::warn(warning);
    }
    if args.project.is_some() {
        output::warn("queues belong to an entity, so --project changes nothing");
    }
    let mut options = options(&config, config.base_url(), config.key_needed()?, PathBuf::new())?.with_config(file);
    options.own_log = own_log;
    if let Some(entity) = args.entity.or_else(|| config.environment.get(WANDB_ENTITY).map(str::to_owned)) {
        options.entity = Some(entity);
    }
    if !args.queues.is_empty() {
        options.queues = args.queues;
    }
    options.resources.extend(declared(args.cpus, args.memory.as_deref(), args.gpus.as_deref())?);
    if let Some(slots) = slots(args.max_jobs, &config)? {
        options.max_jobs = slots;
    }
    options.state_dir = if let Some(folder) = args.state {
        folder
    } else {
        let entity = options.entity.as_deref().unwrap_or("default");
        paths::agents_folder(&config.environment)?.join(folder_name(&options.base_url, entity))
    };
    if verbose {
        options.status_every = STATUS_VERBOSE;
    }
    let mut signals = Signals::new()?;
    let (control, heard) = mpsc::unbounded_channel();
    let agent = lanza_agent::run(options, heard);
    tokio::pin!(agent);
    let mut interrupts = 0;
    loop {
        tokio::select! {
            ended = &mut agent => {
                ended?;
                return Ok(exit::DONE);
            }
            wish = signals.next() => {
                let wanted = match wish {
                    Wish::Terminate => Control::Leave,
                    Wish::Interrupt => {
                        interrupts += 1;
                        if interrupts == 1 {
                            output::say("Waiting for the running jobs; Ctrl-C again stops them.");
                            Control::Drain
                        } else {
                            output::say("Stopping the running jobs.");
                            Control::Stop
                        }
                    }
                };
                // The agent may be at its very end; then nobody listens, and nothing is lost.
                let _ = control.send(wanted);
            }
        }
    }
}

/// Settings of an agent of this process.
pub(crate) fn options(config: &Config, url: String, key: String, state: PathBuf) -> Result<Options, Failure> {
    let program = std::env::current_exe()
        .ok()
        .and_then(|p| p.to_str().map(str::to_owned))
        .ok_or_else(|| Failure::failed("cannot find the path of this program, which supervises jobs"))?;
    let supervisor = vec![program, "supervise".to_owned()];
    let mut options = Options::new(url, key, state, config.environment.all().clone(), supervisor);
    options.neighbours = paths::agents_folder(&config.environment).ok();
    options.start_timeout = start_timeout(config, options.start_timeout)?;
    Ok(options)
}

/// Reads the file that is named, or the default one if it is there.
pub(crate) fn launch_config(named: Option<&PathBuf>, config: &Config) -> Result<LaunchConfig, Failure> {
    let path = match named {
        Some(path) => path.clone(),
        None => match paths::launch_config(&config.environment) {
            Ok(path) if path.is_file() => path,
            _ => return Ok(LaunchConfig::default()),
        },
    };
    LaunchConfig::load(&path).map_err(|e| Failure::usage(e.to_string()))
}

/// What the flags say of the machine.
fn declared(cpus: Option<f64>, memory: Option<&str>, gpus: Option<&str>) -> Result<Declared, Failure> {
    let given = [("cpus", cpus.map(|n| json!(n))), ("memory", memory.map(|t| json!(t)))];
    let given: Map<_, _> = given.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect();
    let read = Request::parse(&given).map_err(|(key, why)| Failure::usage(format!("--{key} {why}")))?;
    let gpus = match gpus {
        None => None,
        Some(text) => Some(Declared::read_gpus(text).ok_or_else(|| {
            Failure::usage(format!("--gpus takes a number of GPUs, or their names with commas, not `{text}`"))
        })?),
    };
    Ok(Declared { cpus: cpus.map(|_| read.cpus), memory_bytes: memory.map(|_| read.memory_bytes), gpus })
}

/// The limit that the variable sets, else the `usual` one.
fn start_timeout(config: &Config, usual: Option<Duration>) -> Result<Option<Duration>, Failure> {
    let Some(text) = config.environment.get(WANDB_LAUNCH_START_TIMEOUT) else { return Ok(usual) };
    let seconds: i64 = text.trim().parse().map_err(|_| {
        let name = WANDB_LAUNCH_START_TIMEOUT;
        Failure::usage(format!("{name} takes a whole number of seconds, or 0 for no limit, not `{text}`"))
    })?;
    Ok(u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs))
}

/// The number of jobs at once: the flag, else the variable.
fn slots(flag: Option<i64>, config: &Config) -> Result<Option<Slots>, Failure> {
    let (name, number) = match (flag, config.environment.get(WANDB_LAUNCH_MAX_JOBS)) {
        (Some(n), _) => ("--max-jobs", Some(n)),
        (None, Some(text)) => (WANDB_LAUNCH_MAX_JOBS, Some(text.trim().parse().unwrap_or(i64::MIN))),
        (None, None) => return Ok(None),
    };
    // The file may say 0, which only keeps an agent from taking anything; at a command line it is a slip.
    match number.filter(|n| *n != 0).and_then(Slots::from_number) {
        Some(slots) => Ok(Some(slots)),
        None => Err(Failure::usage(format!("{name} takes a whole number from 1, or -1 for no limit"))),
    }
}

/// A folder name for an agent of `entity` at the server `url`.
fn folder_name(url: &str, entity: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    format!("{host}-{entity}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn the_flag_wins_over_the_variable() {
        let config = Config::new(Environment::from([("WANDB_LAUNCH_MAX_JOBS", "3")]));
        assert_eq!(slots(Some(-1), &config), Ok(Some(Slots::Unlimited)));
        assert_eq!(slots(None, &config), Ok(Some(Slots::AtMost(3))));
        let wrong = Config::new(Environment::from([("WANDB_LAUNCH_MAX_JOBS", "many")]));
        assert_eq!(slots(None, &wrong).expect_err("refused").exit, exit::USAGE);
        assert_eq!(slots(Some(-2), &config).expect_err("refused").exit, exit::USAGE);
    }

    #[test]
    fn the_start_may_have_another_limit_or_none() {
        let usual = Some(Duration::from_secs(1800));
        let of = |text: &str| {
            let environment = Environment::from([("WANDB_LAUNCH_START_TIMEOUT", text)]);
            start_timeout(&Config::new(environment), usual)
        };
        assert_eq!(of("90"), Ok(Some(Duration::from_secs(90))));
        assert_eq!((of("0"), of("-5"), of("")), (Ok(None), Ok(None), Ok(usual)));
        assert_eq!(of("soon").expect_err("refused").exit, exit::USAGE);
    }

    #[test]
    fn what_the_machine_has_may_be_said_by_flags() {
        let read = declared(Some(3.5), Some("2g"), Some("1,3")).expect("legal");
        assert_eq!((read.cpus, read.memory_bytes), (Some(3.5), Some(2 << 30)));
        assert_eq!(read.gpus, Some(vec!["1".to_owned(), "3".to_owned()]));
        assert_eq!(declared(None, None, None), Ok(Declared::default()));
        for wrong in
            [declared(Some(-1.0), None, None), declared(None, Some("2x"), None), declared(None, None, Some("a"))]
        {
            assert_eq!(wrong.expect_err("refused").exit, exit::USAGE);
        }
    }

    #[test]
    fn the_state_folder_tells_servers_and_entities_apart() {
        assert_eq!(folder_name("http://h:80/x", "acme"), "h-80-x-acme");
    }
}
