//! From a lease to something that a target can start: phases `fetch` and `build`.

mod builder;
mod docker;

use std::path::{Path, PathBuf};

use lanza_api::item::{ItemEnvironment, ItemSource};
use lanza_model::{
    Phase, Reason, Target, code,
    job::{JobFile, Source, normalise_entrypoint},
    resources,
    spec::SCHEDULER_URI,
};
use serde_json::Value;

use crate::{
    attempt::Progress,
    build::{
        READY, broken,
        image::touch,
        requirements::{Requirements, client_missing},
        turn::Turns,
    },
    command::{Commands, say},
    context::Context,
    source::{self, Fetched, artifact::Artifacts},
    state_dir::{make_dir, remove_dir},
    target::{Handle, Launch},
    target_config, workload_env,
};

/// Why there is nothing to start: the reason, in the phase that is open.
pub(crate) type Failed = Reason;

/// Whether the lease is for a sweep's scheduler.
pub(crate) fn is_scheduler(spec: &serde_json::Map<String, Value>) -> bool {
    spec.get("uri").and_then(Value::as_str) == Some(SCHEDULER_URI)
}

/// Prepares the launch of an attempt. May be done again from the start after a crash.
pub(crate) async fn prepare(ctx: &Context, progress: &mut Progress, handle: &Handle) -> Result<Launch, Failed> {
    progress.begin(Phase::Fetch).await;
    let work = handle.dir.join("work");
    for folder in [&work, &handle.dir.join("job")] {
        remove_dir(folder).map_err(|e| broken("clear the attempt's folder", &e))?;
    }
    make_dir(&work).map_err(|e| broken("make the attempt's folder", &e))?;
    let scratch = ctx.state.scratch(&handle.item);
    make_dir(&scratch).map_err(|e| broken("make the scratch folder", &e))?;

    let lease = progress.lease().clone();
    let scheduler = is_scheduler(&lease.spec);
    let target = if scheduler { Target::Process } else { lease.target };
    let secure = ctx.options.config.secure_mode && !words(&lease.overrides, &["entry_point", "entrypoint"]).is_empty();
    if secure && !scheduler {
        return Err(Reason::new(
            code::CONFIG_REFUSED,
            "this agent is in secure mode and takes no entry point override",
        ));
    }
    let fetched = if scheduler || lease.image.is_some() {
        None
    } else {
        Some(
            tokio::time::timeout(ctx.options.config.lanza.fetch_timeout, fetch(ctx, progress, handle, &work))
                .await
                .map_err(|_| {
                let limit = ctx.options.config.lanza.fetch_timeout.as_secs();
                Reason::new(code::FETCH_FAILED, format!("the job was not fetched within {limit} s"))
            })??,
        )
    };
    let job = fetched.as_ref().map(|f| &f.job);
    let image = match (&lease.image, job.map(|j| &j.source)) {
        (Some(image), _) | (None, Some(Source::Image { image })) => Some(image.clone()),
        _ => None,
    };
    let source = match (&fetched, &image) {
        (Some(f), _) => Some(f.source.clone()),
        (None, Some(image)) => Some(ItemSource { kind: "image".into(), commit: None, image: Some(image.clone()) }),
        _ => None,
    };
    if let Some(source) = source {
        progress.source(source).await;
    }
    let command = command(&lease.overrides, job);
    resources::Request::parse(&lease.resources)
        .map_err(|(key, why)| Reason::new(code::CONFIG_REFUSED, format!("resources.{key}: {why}")))?;
    let secrets = &ctx.options.config.lanza.secrets;
    let config = target_config::effective(&lease, &ctx.options.environment, secrets, image.as_deref())?;
    // Before anything runs that could say them.
    progress.keep_secret(config.secrets.iter().cloned());
    match target {
        Target::Process => {
            if let Some(image) = image {
                return Err(Reason::new(
                    code::JOB_UNSUPPORTED,
                    format!("the job runs the image `{image}`, and the queue's target is `process`"),
                ));
            }
            if command.is_empty() {
                return Err(no_entry_point(lease.job.as_deref()));
            }
            let job = Job { fetched, image, command, config, work: &work, scratch: &scratch };
            process(ctx, progress, handle, job).await
        }
        Target::Docker => {
            let job = Job { fetched, image, command, config, work: &work, scratch: &scratch };
            docker::prepare(ctx, progress, handle, job).await
        }
        other => Err(Reason::new(code::JOB_UNSUPPORTED, format!("this agent cannot serve the target `{other}`"))),
    }
}

fn no_entry_point(job: Option<&str>) -> Reason {
    let job = job.unwrap_or("the launch");
    Reason::new(code::ENTRY_POINT_MISSING, format!("`{job}` has no entry point, and the launch gives none"))
}

async fn fetch(ctx: &Context, progress: &Progress, handle: &Handle, work: &Path) -> Result<Fetched, Reason> {
    let lease = progress.lease();
    let name = lease.job.clone().unwrap_or_default();
    let log = handle.dir.join("logs").join("fetch.log");
    let Some(id) = &lease.job_artifact else {
        return Err(Reason::new(code::JOB_NOT_FOUND, format!("the job `{name}` does not exist")));
    };
    let client = ctx.client.with_key(&lease.token);
    let artifacts = Artifacts { client: &client, blobs: &ctx.state.blobs(), clock: &*ctx.clock };
    let commands = commands(ctx, log.clone(), Phase::Fetch);
    let access = source::git::Access::of(&ctx.options.config.lanza, &ctx.options.environment);
    let version = lease.spec.get("git").and_then(|g| g.get("version")).and_then(Value::as_str);
    let version = version.filter(|v| !v.is_empty());
    let wanted = source::Wanted { id, name: &name, version };
    let fetched = source::fetch(&artifacts, &commands, &access, wanted, work).await?;
    say(&log, &format!("fetched the job {name} ({})", fetched.source.kind));
    Ok(fetched)
}

/// Returns the runner of the agent's own programs for a phase.
pub(crate) fn commands(ctx: &Context, log: PathBuf, phase: Phase) -> Commands<'_> {
    // Those that name one repository would aim git at another folder than the job's.
    const ONE_REPOSITORY: &[&str] =
        &["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"];
    let extra: fn(&str) -> bool = match phase {
        Phase::Fetch => |n| {
            (n.starts_with("GIT_") || n.starts_with("SSH_") || n.starts_with("XDG_")) && !ONE_REPOSITORY.contains(&n)
        },
        _ => |n| n.starts_with("PIP_") || n.starts_with("UV_") || n.starts_with("DOCKER_") || n.starts_with("XDG_"),
    };
    let mut environment = workload_env::safe(&ctx.options.environment);
    let agent = &ctx.options.environment;
    environment.extend(
        agent
            .iter()
            .filter(|(n, _)| extra(n) || n.to_ascii_lowercase().ends_with("_proxy"))
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    let timeouts = &ctx.options.config.lanza;
    let timeout = if phase == Phase::Fetch { timeouts.fetch_timeout } else { timeouts.build_timeout };
    Commands { environment, state: &ctx.mark, log, timeout }
}

/// Returns the command of the workload: the override's entry point or the job's, then the override's arguments or the
/// job's.
fn command(overrides: &serde_json::Map<String, Value>, job: Option<&JobFile>) -> Vec<String> {
    let entry = words(overrides, &["entry_point", "entrypoint"]);
    let mut command = if entry.is_empty() {
        job.map(|j| j.entrypoint.clone()).unwrap_or_default()
    } else {
        normalise_entrypoint(entry)
    };
    let args = words(overrides, &["args"]);
    command.extend(if args.is_empty() { job.map(|j| j.args.clone()).unwrap_or_default() } else { args });
    command
}

/// Returns the first non-empty list among the keys.
fn words(overrides: &serde_json::Map<String, Value>, keys: &[&str]) -> Vec<String> {
    keys.iter()
        .filter_map(|k| overrides.get(*k)?.as_array())
        .find(|l| !l.is_empty())
        .map(|list| {
            list.iter()
                .map(|v| match v {
                    Value::String(s) => s.clone(),
                    other => other.to_string(),
                })
                .collect()
        })
        .unwrap_or_default()
}

/// Returns the folder that the job is narrowed to, and the workload's working directory.
fn folders(
    job: Option<&JobFile>,
    overrides: &serde_json::Map<String, Value>,
    work: &Path,
) -> Result<(PathBuf, PathBuf), Reason> {
    let inside = |root: &Path, path: &str, what: &str| {
        let found = source::inside(root, path).filter(|p| p.is_dir());
        found.ok_or_else(|| Reason::new(code::SOURCE_MISSING, format!("the {what} `{path}` is not in the job's code")))
    };
    let root = match job.and_then(|j| j.build_context.as_deref()) {
        Some(context) => inside(work, context, "build context")?,
        None => work.to_owned(),
    };
    let folder = match overrides.get("working_dir").and_then(Value::as_str).filter(|d| !d.is_empty()) {
        Some(folder) => inside(&root, folder, "working directory")?,
        None => root.clone(),
    };
    Ok((root, folder))
}

/// What is known of the job once it is fetched.
struct Job<'a> {
    fetched: Option<Fetched>,
    image: Option<String>,
    command: Vec<String>,
    config: target_config::Effective,
    work: &'a Path,
    scratch: &'a Path,
}

async fn process(ctx: &Context, progress: &mut Progress, handle: &Handle, job: Job<'_>) -> Result<Launch, Failed> {
    let Job { fetched, command, config, work, scratch, .. } = job;
    let lease = progress.lease().clone();
    for option in config.options.keys().filter(|k| !["cpus", "memory", "gpus"].contains(&k.as_str())) {
        progress
            .warn(format!("the option `{option}` of the queue's config means nothing to the target `process`"))
            .await;
    }
    let (root, folder) = folders(fetched.as_ref().map(|f| &f.job), &lease.overrides, work)?;
    let mut environment = workload_env::safe(&ctx.options.environment);
    if let Some(fetched) = fetched {
        environment.extend(git_variables(&fetched));
        if fetched.job.notebook || command.iter().any(|w| source::notebook::is_notebook(w)) {
            source::notebook::convert_all(&root, &command)?;
        }
        let found = python(ctx, progress, handle, &fetched, &root).await?;
        let bin = found.join("bin");
        let path = environment.get("PATH").cloned().unwrap_or_default();
        environment.insert("PATH".into(), format!("{}:{path}", bin.display()));
        environment.insert("VIRTUAL_ENV".into(), found.display().to_string());
    }
    let command = command
        .into_iter()
        .map(|w| if source::notebook::is_notebook(&w) { source::notebook::script_name(&w) } else { w })
        .collect();
    environment.insert("PYTHONUNBUFFERED".into(), "1".into());
    environment.extend(config.environment);
    environment.extend(ctx.machine.visible(progress.reserved()));
    environment.extend(workload_env::launch(&lease, &ctx.options.base_url, None, &scratch.display().to_string()));
    Ok(Launch {
        handle: handle.clone(),
        command,
        environment: environment.into_iter().collect(),
        folder: Some(folder),
        container: None,
        fresh: true,
    })
}

/// Returns the variables by which the client records the commit in the run, whether or not `git` is where it runs.
fn git_variables(fetched: &Fetched) -> Vec<(String, String)> {
    let commit = fetched.source.commit.as_ref().map(|c| ("WANDB_GIT_COMMIT".to_owned(), c.clone()));
    let remote = fetched.remote.as_ref().map(|r| ("WANDB_GIT_REMOTE_URL".to_owned(), r.clone()));
    commit.into_iter().chain(remote).collect()
}

/// Finds or builds the environment of the job; returns its folder.
async fn python(
    ctx: &Context,
    progress: &mut Progress,
    handle: &Handle,
    fetched: &Fetched,
    root: &Path,
) -> Result<PathBuf, Failed> {
    let requirements = Requirements::of_job(root, fetched.frozen.as_deref());
    let commands = commands(ctx, handle.dir.join("logs").join("build.log"), Phase::Build);
    let pythons = &ctx.pythons;
    let minor = wanted_python(&fetched.job, root);
    let interpreter = match pythons.interpreter(&commands, minor.as_deref()).await {
        Ok(found) => found,
        Err(reason) => {
            progress.begin(Phase::Build).await;
            return Err(reason);
        }
    };
    let since = progress.renew_since();
    let found = if let Some(found) = pythons.find(&interpreter, requirements.as_ref(), &fetched.digest, since) {
        found
    } else {
        progress.begin(Phase::Build).await;
        let turns = Turns::of(ctx, progress);
        let code = (fetched.digest.as_str(), root);
        pythons.build(&commands, &turns, &interpreter, requirements.as_ref(), code, since).await?
    };
    if let Some(folder) = found.folder.parent() {
        touch(&folder.join(READY), ctx);
    }
    let venv = found.folder.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    // What an environment with requirements holds is not known where it cannot be asked.
    let known = requirements.is_none() || !found.packages.is_empty();
    let lacking = client_missing(&found.packages).filter(|_| known);
    for warning in found.warnings.into_iter().chain(lacking) {
        progress.warn(warning).await;
    }
    progress
        .environment(ItemEnvironment { digest: found.digest, cached: found.cached, packages: found.packages }, venv)
        .await;
    Ok(found.folder)
}

/// Returns the Python version of a job: a flag's, else the source's, else the one that it was made with.
fn wanted_python(job: &JobFile, root: &Path) -> Option<String> {
    if job.python_chosen && job.python.is_some() {
        return job.python.clone();
    }
    source_python(root).or_else(|| job.python.clone())
}

/// Returns the Python version that the source asks for.
fn source_python(root: &Path) -> Option<String> {
    source::PYTHON_FILES.iter().find_map(|name| {
        let text = std::fs::read_to_string(source::inside(root, name)?).ok()?;
        lanza_model::job::python_minor(text.lines().next()?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> JobFile {
        JobFile::parse(
            json!({"source_type": "artifact", "runtime": "3.11",
                   "source": {"artifact": "wandb-artifact://_id/a", "entrypoint": ["python", "t.py"], "args": ["-v"]}})
            .to_string()
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn overrides_win_over_the_job() {
        let of = |v: Value| command(v.as_object().unwrap(), Some(&job()));
        assert_eq!(of(json!({})), ["python", "t.py", "-v"]);
        assert_eq!(of(json!({"args": ["--lr", 0.1]})), ["python", "t.py", "--lr", "0.1"]);
        assert_eq!(of(json!({"entry_point": ["u.py"], "args": []})), ["python3", "u.py", "-v"]);
        assert_eq!(of(json!({"entrypoint": ["sh", "x"], "args": ["y"]})), ["sh", "x", "y"]);
        assert!(command(&serde_json::Map::new(), None).is_empty());
    }

    #[test]
    fn a_working_directory_stays_below_the_code() {
        let work = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(work.path().join("a/b")).unwrap();
        let of = |v: Value| folders(None, v.as_object().unwrap(), work.path());
        assert_eq!(of(json!({"working_dir": "a/b"})).unwrap().1, work.path().join("a/b"));
        for bad in ["../x", "/etc", "missing"] {
            assert!(of(json!({"working_dir": bad})).is_err(), "{bad}");
        }
    }
}
