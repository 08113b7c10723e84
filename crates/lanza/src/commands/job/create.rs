//! `lanza job create`.

use std::{collections::HashMap, path::Path};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use lanza_api::{
    Client, ClientError,
    artifact::JobFromRun,
    client::segment,
    job::{CodeCommitted, CodeUpload, JobMade, NewCode, NewJob, NewSource, Upload},
};
use lanza_model::{
    git,
    job::{safe_name, script_of},
};
use serde_json::{Map, Value, json};

use super::{
    super::{document, launch::words, project},
    needs,
    pack::{self, Pack},
    repository::Repository,
};
use crate::{
    args::{JobCreate, JobKind},
    config::Config,
    exit::{self, Failure, Outcome},
    output::{self, table::size},
};

/// Uploads at a time.
const PARALLEL: usize = 8;
/// How often an upload is tried that may succeed later.
const TRIES: u32 = 4;
/// The script that is run where nobody names one.
const MAIN: &str = "main.py";

pub(super) async fn run(args: JobCreate, config: Config) -> Outcome {
    check(&args)?;
    let client = config.client()?;
    let made = match args.kind {
        JobKind::Run => from_run(&args, &config, &client).await?,
        JobKind::Code => code(&args, &config, &client).await?,
        JobKind::Git => commit(&args, &config, &client).await?,
        JobKind::Image => image(&args, &config, &client).await?,
    };
    if args.scope.scope.print.json {
        output::json(&made)?;
    } else {
        say(&made, client.base());
        output::line(&made.version.reference)?;
    }
    Ok(exit::DONE)
}

fn say(made: &JobMade, base: &str) {
    let version = &made.version;
    let words = match made.outcome.as_str() {
        "created" => "created job",
        "updated" => "updated job",
        _ => "no changes: there is",
    };
    output::say(&format!("{words} {}, aliases {}", version.reference, version.aliases.join(", ")));
    let path = version.reference.rsplit_once(':').map_or("", |(path, _)| path);
    if let Some((project, name)) = path.rsplit_once('/') {
        output::say(&format!("{base}/{project}/jobs/{}", segment(name)));
    }
}

/// Refuses flags that mean nothing for this kind of source.
fn check(args: &JobCreate) -> Result<(), Failure> {
    let kind = match args.kind {
        JobKind::Code => "code",
        JobKind::Git => "git",
        JobKind::Image => "image",
        JobKind::Run => "run",
    };
    let of_build = args.build_context.is_some() || args.dockerfile.is_some() || args.base_image.is_some();
    let wrong: &[(&str, bool)] = match args.kind {
        JobKind::Code => &[("--git-hash", args.git_hash.is_some()), ("--source", args.source.is_some())],
        JobKind::Git => &[("--source", args.source.is_some())],
        JobKind::Image => &[
            ("--git-hash", args.git_hash.is_some()),
            ("--source", args.source.is_some()),
            ("--build-context, --dockerfile and --base-image", of_build),
        ],
        JobKind::Run => &[
            ("--git-hash", args.git_hash.is_some()),
            ("--entry-point", args.entry_point.is_some()),
            ("--runtime", args.runtime.is_some()),
            ("--build-context, --dockerfile and --base-image", of_build),
            ("--schema", args.schema.is_some()),
            ("--alias", !args.aliases.is_empty()),
            ("--description", args.description.is_some()),
            ("--service", !args.services.is_empty()),
        ],
    };
    if let Some((flag, _)) = wrong.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!("{flag} means nothing for `lanza job create {kind}`")));
    }
    if let Some(name) = args.name.as_deref().filter(|n| **n != safe_name(n) || n.is_empty()) {
        return Err(Failure::refused(format!("`{name}` cannot be the name of a job"))
            .hint(format!("Letters, digits, `-`, `_` and `.` are fine: `{}` would do.", safe_name(name))));
    }
    Ok(())
}

async fn from_run(args: &JobCreate, config: &Config, client: &Client) -> Result<JobMade, Failure> {
    let parts: Vec<&str> = args.path.split('/').collect();
    let (named, run) = match parts.as_slice() {
        [run] => (None, *run),
        [project, run] => (Some((None, *project)), *run),
        [entity, project, run] => (Some((Some(*entity), *project)), *run),
        _ => return Err(Failure::usage(format!("`{}` is not RUN or ENTITY/PROJECT/RUN", args.path))),
    };
    let path = project::path(config, client, &args.scope, named).await?;
    let body = JobFromRun { name: args.name.clone(), source: args.source.clone() };
    Ok(client.post(&format!("{path}/runs/{}/job", segment(run)), &body).await?)
}

async fn code(args: &JobCreate, config: &Config, client: &Client) -> Result<JobMade, Failure> {
    let given = Path::new(&args.path);
    let (root, script) = folder_and_script(given)?;
    let pack = pack::pack(&root)?;
    for warning in &pack.warnings {
        output::warn(warning);
    }
    if pack.files.is_empty() {
        return Err(Failure::refused(format!("the folder `{}` has no file that .gitignore leaves", root.display())));
    }
    let inside = |path: &str| joined(args.build_context.as_deref(), path);
    let entry = entry_point(args, script, &|path| pack.has(&inside(path)) || pack.has(path), &top_scripts(&pack))?;
    let read = |path: &str| {
        [inside(path), path.to_owned()]
            .iter()
            .find(|p| pack.has(p))
            .and_then(|p| std::fs::read_to_string(root.join(p)).ok())
    };
    let (python, chosen) = python(args, &read)?;
    let requirements = requirements(args, &read);
    // The name is made of the path as it was typed, as the wandb client does.
    let typed = if given.is_file() { given.to_owned() } else { given.join(entry.last().map_or("", String::as_str)) };
    let name = match &args.name {
        Some(name) => format!("code-{name}"),
        None => safe_name(&format!("code-{}", typed.to_string_lossy().replace("./", "").trim_matches('/'))),
    };
    let body = NewCode { name, files: pack.files.clone() };
    let path = project::path(config, client, &args.scope, None).await?;
    let upload: CodeUpload = client.post(&format!("{path}/code"), &body).await?;
    if upload.version.is_none() {
        upload_all(client, &root, &pack, &upload.uploads).await?;
        let commit = format!("{path}/code/{}/commit", segment(&upload.id));
        let _: CodeCommitted = client.post(&commit, &json!({})).await?;
    }
    output::say(&format!(
        "{} files, {}; {} uploaded",
        pack.files.len(),
        size(i64::try_from(pack.size_bytes()).unwrap_or(i64::MAX)),
        upload.uploads.len()
    ));
    let new = NewJob {
        python: Some(python),
        python_chosen: chosen,
        requirements,
        ..new_job(args, NewSource::Code(upload.id), entry)?
    };
    Ok(client.post(&format!("{path}/jobs"), &new).await?)
}

async fn commit(args: &JobCreate, config: &Config, client: &Client) -> Result<JobMade, Failure> {
    if args.entry_point.as_deref().is_some_and(|e| e.split(['/', ' ']).any(|p| p == "..")) {
        return Err(Failure::refused("the entry point leads out of the repository"));
    }
    let repository = Repository::fetch(&config.environment, &args.path, args.git_hash.as_deref())?;
    if repository.remote != args.path && git::shown(&args.path) != args.path {
        output::warn("the password of the address is not kept; give the agent credentials for that host");
    }
    let inside = |path: &str| joined(args.build_context.as_deref(), path);
    let has = |path: &str| repository.has(&inside(path)) || repository.has(path);
    for (what, path) in [("build context", &args.build_context), ("Dockerfile", &args.dockerfile)] {
        let there = path.as_ref().is_none_or(|p| if what == "Dockerfile" { has(p) } else { repository.has(p) });
        if let (false, Some(path)) = (there, path) {
            return Err(Failure::refused(format!("the commit {} has no {what} `{path}`", repository.commit)));
        }
    }
    let entry = entry_point(args, None, &has, &[])?;
    let read = |path: &str| repository.read(&inside(path)).or_else(|| repository.read(path));
    let (python, chosen) = python(args, &read)?;
    let requirements = requirements(args, &read);
    let source = NewSource::Git { remote: repository.remote.clone(), commit: repository.commit.clone() };
    let new = NewJob { python: Some(python), python_chosen: chosen, requirements, ..new_job(args, source, entry)? };
    let path = project::path(config, client, &args.scope, None).await?;
    Ok(client.post(&format!("{path}/jobs"), &new).await?)
}

async fn image(args: &JobCreate, config: &Config, client: &Client) -> Result<JobMade, Failure> {
    if args.runtime.is_some() {
        output::warn("an image has its own Python, so --runtime is ignored");
    }
    let entry = args.entry_point.as_deref().map(words).transpose()?.unwrap_or_default();
    let new = new_job(args, NewSource::Image(args.path.clone()), entry)?;
    let path = project::path(config, client, &args.scope, None).await?;
    Ok(client.post(&format!("{path}/jobs"), &new).await?)
}

/// Makes the body of everything but the source's own parts.
fn new_job(args: &JobCreate, source: NewSource, entrypoint: Vec<String>) -> Result<NewJob, Failure> {
    let mut services = Map::new();
    for pair in &args.services {
        let (name, policy) = pair
            .split_once('=')
            .filter(|(_, p)| ["always", "never"].contains(p))
            .ok_or_else(|| Failure::usage(format!("--service takes NAME=always or NAME=never, not `{pair}`")))?;
        services.insert(name.to_owned(), policy.into());
    }
    let schema = args.schema.as_deref().map(|f| document::file_or_json(f, "--schema")).transpose()?;
    Ok(NewJob {
        name: args.name.clone(),
        source,
        entrypoint,
        python: None,
        python_chosen: false,
        requirements: String::new(),
        description: args.description.clone(),
        aliases: args.aliases.clone(),
        build_context: args.build_context.as_deref().map(plain_path),
        dockerfile: args.dockerfile.as_deref().map(plain_path),
        base_image: args.base_image.clone(),
        services,
        schema: schema.map(Value::Object),
    })
}

/// `./sub/` and `sub` are the same folder.
fn plain_path(path: &str) -> String {
    path.trim_start_matches("./").trim_end_matches('/').to_owned()
}

fn joined(folder: Option<&str>, path: &str) -> String {
    match folder.map(plain_path).filter(|f| !f.is_empty() && f != ".") {
        Some(folder) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}

/// Returns the folder that is packed, and the script if one was named.
fn folder_and_script(given: &Path) -> Result<(std::path::PathBuf, Option<String>), Failure> {
    let shown = given.display();
    let kind = given.metadata().map_err(|e| Failure::refused(format!("cannot read `{shown}`: {e}")))?;
    if kind.is_dir() {
        return Ok((given.to_owned(), None));
    }
    let name = given.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
    if script_of(std::slice::from_ref(&name)).is_none() {
        return Err(Failure::refused(format!("`{shown}` is neither a folder nor a script (.py, .ipynb)")));
    }
    let folder = given.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder.to_owned(), Some(name)))
}

/// Scripts that lie directly in the folder.
fn top_scripts(pack: &Pack) -> Vec<String> {
    let top = |p: &&str| !p.contains('/') && script_of(&[(*p).to_owned()]).is_some();
    pack.files.iter().map(|f| f.path.as_str()).filter(top).map(str::to_owned).collect()
}

/// Returns the command: as it was typed, else the script that was named, else `main.py`.
fn entry_point(
    args: &JobCreate,
    script: Option<String>,
    has: &dyn Fn(&str) -> bool,
    scripts: &[String],
) -> Result<Vec<String>, Failure> {
    let entry = match (&args.entry_point, script) {
        (Some(command), None) => words(command)?,
        (Some(command), Some(script)) => {
            let command = words(command)?;
            if !command.contains(&script) {
                output::warn(&format!("the entry point does not run `{script}`"));
            }
            command
        }
        (None, Some(script)) => vec!["python".to_owned(), script],
        // A Dockerfile says itself what it runs.
        (None, None) if args.dockerfile.is_some() => return Ok(Vec::new()),
        (None, None) if has(MAIN) => {
            output::warn(&format!("no --entry-point is given, so it is `python {MAIN}`"));
            vec!["python".to_owned(), MAIN.to_owned()]
        }
        (None, None) => {
            let choice = match scripts {
                [] => String::new(),
                some => format!(" There are: {}.", some.join(", ")),
            };
            return Err(Failure::refused(format!("no entry point is given, and there is no {MAIN}"))
                .hint(format!("Say with --entry-point what starts the job.{choice}")));
        }
    };
    if entry.is_empty() {
        return Err(Failure::usage("--entry-point is empty"));
    }
    if let Some(script) = script_of(&entry)
        && args.dockerfile.is_none()
        && !has(script.trim_start_matches("./"))
    {
        let near = lanza_model::name::nearest(script, scripts.iter().map(String::as_str));
        let failure = Failure::refused(format!("the entry point runs `{script}`, which is not in the source"));
        return Err(match near {
            Some(near) => failure.hint(format!("Did you mean `{near}`?")),
            None => failure.hint("Files that .gitignore names are left out."),
        });
    }
    Ok(entry)
}

/// Returns the Python version, and whether it was chosen by the flag.
fn python(args: &JobCreate, read: needs::Read) -> Result<(String, bool), Failure> {
    if let Some(runtime) = &args.runtime {
        return Ok((runtime.clone(), true));
    }
    if let Some((version, file)) = needs::python(read) {
        output::say(&format!("Python {version}, as {file} says"));
        return Ok((version, false));
    }
    let asked = std::process::Command::new("python3").arg("--version").output().ok();
    let text = asked.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    match lanza_model::job::python_minor(&text) {
        Some(version) => {
            output::say(&format!("Python {version}, as `python3` here"));
            Ok((version, false))
        }
        None => Err(Failure::refused("the source names no Python version, and there is no `python3` here to ask")
            .hint("Name one with --runtime, in the form 3.12.")),
    }
}

fn requirements(args: &JobCreate, read: needs::Read) -> String {
    let found = needs::packages(read);
    for warning in &found.warnings {
        output::warn(warning);
    }
    let own = args.dockerfile.is_some();
    match found.file {
        Some(file) => {
            output::say(&format!("packages from {file}"));
            if !own && !needs::names_wandb(&found.text) {
                output::warn(&format!("wandb is not among the packages of {file}"));
            }
        }
        None if own => {}
        None => output::warn("there is no list of packages (requirements.txt, pyproject.toml, uv.lock)"),
    }
    found.text
}

async fn upload_all(client: &Client, root: &Path, pack: &Pack, uploads: &[Upload]) -> Result<(), Failure> {
    let sizes: HashMap<&str, u64> = pack.files.iter().map(|f| (f.path.as_str(), f.size_bytes)).collect();
    stream::iter(uploads.iter().map(|u| upload(client, root, u, sizes.get(u.path.as_str()).copied().unwrap_or(0))))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

async fn upload(client: &Client, root: &Path, wanted: &Upload, size_bytes: u64) -> Result<(), Failure> {
    let path = pack::place(root, &wanted.path);
    for tries in 1.. {
        let file = tokio::fs::File::open(&path).await;
        let file = file.map_err(|e| Failure::failed(format!("cannot read `{}`: {e}", wanted.path)))?;
        match client.upload(&wanted.url, size_bytes, file).await {
            Ok(()) => return Ok(()),
            Err(e @ ClientError::Refused { status: 400..=499, .. }) => return Err(e.into()),
            Err(e) if tries >= TRIES => return Err(e.into()),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(250 << tries)).await,
        }
    }
    Ok(())
}
