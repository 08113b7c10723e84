//! What no job used for a while: environments and images are removed, never one that is in use.
//!
//! It works beside a live agent on the same state directory. The record of an environment or image is touched by every
//! use, which says how old it is; what the journals of open attempts name is in use however long ago that was; and
//! Docker itself refuses to remove the image of a container. An environment is one agent's, an image is everybody's who
//! uses the engine: its last use is the newest of all agents, and what an open attempt of any of them has is in use.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use bollard::{
    errors::Error as DockerError,
    query_parameters::{PruneImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use lanza_model::clock::{Clock, Time};
use serde::Serialize;

use super::{
    READY,
    generations::{self, Used},
    image::Record,
    lock,
};
use crate::{
    Error,
    state_dir::remove_dir,
    target::{
        docker::{BUILD, Engine, REPLACEABLE},
        supervisor::read_file,
    },
};

/// What was used a moment ago is kept whatever is asked for: an attempt may be about to start with it.
pub(crate) const ALWAYS_KEPT: Duration = Duration::from_secs(600);

/// What to remove.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// The agent's state directory.
    pub state_dir: PathBuf,
    /// State directories of the other agents of this user: they share the engine, so their images are the same ones.
    pub others: Vec<PathBuf>,
    /// Environment of this process, which names the Docker engine.
    pub environment: BTreeMap<String, String>,
    /// What was used within this time is kept.
    pub keep: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// An environment or an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// `environment` or `image`.
    pub kind: &'static str,
    /// Its key.
    pub digest: String,
    /// Folder, or name of the image.
    pub name: String,
    /// When it was used last.
    #[serde(serialize_with = "as_text")]
    pub last_used: Time,
    /// Why it could not be removed; none otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn as_text<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Removed, or to be removed.
    pub removed: Vec<Piece>,
    /// Old, and in use.
    pub in_use: Vec<Piece>,
    /// Old, and could not be removed.
    pub failed: Vec<Piece>,
    /// How many are too young.
    pub kept: usize,
    /// Why images were not looked at, if they were not.
    pub no_images: Option<String>,
}

/// Removes the environments and images of a state directory that were not used lately.
///
/// # Errors
/// When the state directory cannot be read.
pub async fn prune(options: &PruneOptions, clock: &dyn Clock) -> Result<Pruned, Error> {
    let folder = options.state_dir.join("envs");
    let mut pruned = Pruned::default();
    let failed = |source: io::Error| Error::State { what: "read", path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(failed)?,
        // No agent has ever been here.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(pruned),
        Err(e) => return Err(failed(e)),
    };
    let keep = options.keep.max(ALWAYS_KEPT);
    let before = clock.now().0.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let attempts = options.state_dir.join("attempts");
    let used = generations::used_by_attempts(&attempts).map_err(failed)?;
    let others = others(options)?;
    if !options.dry_run {
        generations::remove_all_replaced(&folder, &attempts, clock.now());
    }
    let mut images = Vec::new();
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            environment(options.dry_run, &mut pruned, before, &used, &path, name);
        } else if let Some(key) = name.strip_prefix("image-").and_then(|n| n.strip_suffix(".json")) {
            images.push((key.to_owned(), path));
        }
    }
    images.sort();
    let shared = Shared { used: &used, others: &others };
    if let Err(why) = self::images(options, &mut pruned, before, shared, images).await {
        pruned.no_images = Some(why);
    }
    pruned.removed.sort_by(|a, b| (a.kind, a.last_used, &a.digest).cmp(&(b.kind, b.last_used, &b.digest)));
    Ok(pruned)
}

/// What other agents of this user have, by the folder of their records.
fn others(options: &PruneOptions) -> Result<Vec<(PathBuf, Used)>, Error> {
    let mut found = Vec::new();
    let own = fs::canonicalize(&options.state_dir).ok();
    for other in options.others.iter().filter(|o| fs::canonicalize(o).ok() != own) {
        let attempts = other.join("attempts");
        let used = generations::used_by_attempts(&attempts).map_err(|source| Error::State {
            what: "read",
            path: attempts,
            source,
        })?;
        found.push((other.join("envs"), used));
    }
    Ok(found)
}

/// Who may have an image.
#[derive(Clone, Copy)]
struct Shared<'a> {
    used: &'a Used,
    others: &'a [(PathBuf, Used)],
}

impl Shared<'_> {
    fn is_used(self, key: &str) -> bool {
        self.used.contains_key(key) || self.others.iter().any(|(_, used)| used.contains_key(key))
    }

    /// When an image was used last, whoever did so.
    fn last_use(self, record: &Path) -> Option<Time> {
        let name = record.file_name()?;
        let elsewhere = self.others.iter().filter_map(|(folder, _)| modified(&folder.join(name)));
        modified(record).into_iter().chain(elsewhere).max()
    }
}

/// Removes an environment that was not used since `before`.
pub(crate) fn environment(dry_run: bool, pruned: &mut Pruned, before: i64, used: &Used, path: &Path, key: String) {
    // One without a record is half made: by a builder that lives and has the lock, or by one that was killed.
    let last_used = || modified(&path.join(READY)).or_else(|| modified(path)).unwrap_or(Time(0));
    let piece = |why: Option<String>| Piece {
        kind: "environment",
        digest: key.clone(),
        name: path.display().to_string(),
        last_used: last_used(),
        why,
    };
    if last_used().0 > before {
        pruned.kept += 1;
    } else if used.contains_key(&key) {
        pruned.in_use.push(piece(None));
    } else {
        match lock::take_if_free(&path.with_extension("lock")) {
            Ok(None) => pruned.in_use.push(piece(None)),
            Err(e) => pruned.failed.push(piece(Some(e.to_string()))),
            // It may have been used since.
            Ok(Some(_lock)) if last_used().0 > before => pruned.kept += 1,
            Ok(Some(_lock)) => {
                let piece_removed = piece(None);
                let removed = if dry_run {
                    Ok(())
                } else {
                    // The record goes first, so that nobody begins to use what is half gone.
                    let record = fs::remove_file(path.join(READY));
                    record
                        .or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
                        .and_then(|()| remove_dir(path))
                };
                match removed {
                    Ok(()) => pruned.removed.push(piece_removed),
                    Err(e) => pruned.failed.push(piece(Some(e.to_string()))),
                }
            }
        }
    }
}

async fn images(
    options: &PruneOptions,
    pruned: &mut Pruned,
    before: i64,
    shared: Shared<'_>,
    records: Vec<(String, PathBuf)>,
) -> Result<(), String> {
    let old: Vec<_> = records
        .into_iter()
        .filter_map(|(key, path)| {
            let last_used = shared.last_use(&path)?;
            if last_used.0 > before {
                pruned.kept += 1;
                return None;
            }
            let record = read_file::<Record>(&path).ok().flatten()?;
            // Records of earlier versions name environments only.
            let name = if record.image.is_empty() { format!("lanza-env:{key}") } else { record.image };
            Some((Piece { kind: "image", digest: key, name, last_used, why: None }, path))
        })
        .collect();
    let engine = Engine::of_environment(&options.environment).ok_or("DOCKER_HOST is no local socket")?;
    if old.is_empty() && options.dry_run {
        return Ok(());
    }
    let docker = engine.connect().await.map_err(|e| e.to_string())?;
    for (piece, path) in old {
        if shared.is_used(&piece.digest) {
            pruned.in_use.push(piece);
            continue;
        }
        let removed = if options.dry_run {
            docker.inspect_image(&piece.name).await.map(|_| ())
        } else {
            let force = RemoveImageOptionsBuilder::default().force(false).build();
            docker.remove_image(&piece.name, Some(force), None).await.map(|_| ())
        };
        match removed {
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => {
                let _ = fs::remove_file(&path);
            }
            Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => pruned.in_use.push(piece),
            Err(e) => pruned.failed.push(Piece { why: Some(e.to_string()), ..piece }),
            Ok(()) => {
                if !options.dry_run {
                    let _ = fs::remove_file(&path);
                }
                pruned.removed.push(piece);
            }
        }
    }
    if !options.dry_run {
        // Layers of builds that failed, and images that were replaced.
        for label in [BUILD, REPLACEABLE] {
            let filters = std::collections::HashMap::from([("label", vec![label]), ("dangling", vec!["true"])]);
            let layers = PruneImagesOptionsBuilder::default().filters(&filters).build();
            docker.prune_images(Some(layers)).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Returns when a file was written or touched last.
pub(crate) fn modified(path: &Path) -> Option<Time> {
    let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use lanza_api::item::ItemEnvironment;
    use lanza_model::clock::SystemClock;

    use super::*;
    use crate::{
        journal::{Entry, Journal, tests::lease},
        state_dir::StateDir,
    };

    #[tokio::test]
    async fn what_was_not_used_lately_goes_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(SystemClock.now().0).unwrap());
        let environment = |key: &str, age: Duration, ready: bool| {
            let path = state.environments().join(key);
            fs::create_dir_all(path.join("venv/lib")).unwrap();
            if ready {
                fs::write(path.join(READY), r#"{"packages": []}"#).unwrap();
                fs::File::options().append(true).open(path.join(READY)).unwrap().set_modified(now - age).unwrap();
            }
            fs::File::open(&path).unwrap().set_modified(now - age).unwrap();
            path
        };
        let old = environment("old", 40 * day, true);
        let half = environment("half", 40 * day, false);
        let building = environment("building", 40 * day, false);
        let running = environment("running", 40 * day, true);
        let ended = environment("ended", 40 * day, true);
        let young = environment("young", 2 * day, true);
        let _lock = lock::take_if_free(&building.with_extension("lock")).unwrap().unwrap();
        for key in ["running", "ended"] {
            let mut journal = Journal::create(&state.attempt(key, 1), "agent", lease(key), Time(1)).unwrap();
            let environment = ItemEnvironment { digest: key.into(), cached: true, packages: Vec::new() };
            journal.append(Entry::Environment { environment, venv: None }).await.unwrap();
            if key == "ended" {
                journal.append(Entry::Reported).await.unwrap();
            }
        }
        let mut options = PruneOptions {
            state_dir: folder.path().join("state"),
            others: Vec::new(),
            environment: BTreeMap::from([("DOCKER_HOST".to_owned(), "tcp://nowhere".to_owned())]),
            keep: 30 * day,
            dry_run: true,
        };
        let keys = |list: &[Piece]| {
            let mut keys: Vec<_> = list.iter().map(|p| p.digest.clone()).collect();
            keys.sort();
            keys
        };
        let planned = prune(&options, &SystemClock).await.unwrap();
        assert!(old.exists() && half.exists(), "a dry run removes nothing");
        options.dry_run = false;
        let done = prune(&options, &SystemClock).await.unwrap();
        assert_eq!(done.removed, planned.removed);
        assert_eq!(keys(&done.removed), ["ended", "half", "old"]);
        assert_eq!(keys(&done.in_use), ["building", "running"]);
        assert_eq!((done.kept, done.failed.len(), done.no_images.is_some()), (1, 0, true));
        assert!(!old.exists() && !half.exists() && !ended.exists());
        assert!(building.exists() && running.exists() && young.exists());

        // Even with no time at all, what was used a moment ago stays.
        options.keep = Duration::ZERO;
        let fresh = environment("fresh", Duration::ZERO, true);
        assert_eq!(keys(&prune(&options, &SystemClock).await.unwrap().removed), ["young"]);
        assert!(fresh.exists());
    }
    #[tokio::test]
    async fn an_image_that_another_agent_of_this_user_has_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_secs(24 * 3600);
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(SystemClock.now().0).unwrap());
        let states = ["one", "two"].map(|name| StateDir::open(&folder.path().join(name)).unwrap());
        for (state, key, age) in [
            (0, "old", 40),
            (0, "elsewhere", 40),
            (1, "elsewhere", 2),
            (0, "running", 40),
            (1, "running", 40),
            (0, "run-from-nowhere", 40),
        ] {
            let record = states[state].environments().join(format!("image-{key}.json"));
            fs::write(&record, format!(r#"{{"image": "lanza-env:{key}", "packages": []}}"#)).unwrap();
            fs::File::options().append(true).open(&record).unwrap().set_modified(now - age * day).unwrap();
        }
        // The other agent's attempt has them; the record of one of them was lost.
        for key in ["running", "run-from-nowhere"] {
            let mut journal = Journal::create(&states[1].attempt(key, 1), "agent", lease(key), Time(1)).unwrap();
            let environment = ItemEnvironment { digest: key.into(), cached: true, packages: Vec::new() };
            journal.append(Entry::Environment { environment, venv: None }).await.unwrap();
        }
        // An environment for processes is each agent's own, whatever it is called.
        let environment = states[0].environments().join("running");
        fs::create_dir_all(&environment).unwrap();
        fs::write(environment.join(READY), r#"{"packages": []}"#).unwrap();
        fs::File::options().append(true).open(environment.join(READY)).unwrap().set_modified(now - 40 * day).unwrap();

        let (engine, _answering) = engine(folder.path());
        let all: Vec<PathBuf> = ["one", "two"].iter().map(|n| folder.path().join(n)).collect();
        let options = |n: usize| PruneOptions {
            state_dir: all[n].clone(),
            others: all.clone(),
            environment: BTreeMap::from([("DOCKER_HOST".to_owned(), engine.clone())]),
            keep: 30 * day,
            dry_run: false,
        };
        let names = |list: &[Piece]| list.iter().map(|p| format!("{} {}", p.kind, p.digest)).collect::<Vec<_>>();
        let one = prune(&options(0), &SystemClock).await.unwrap();
        assert_eq!(one.no_images, None);
        assert_eq!(names(&one.removed), ["environment running", "image old"]);
        assert_eq!(names(&one.in_use), ["image run-from-nowhere", "image running"]);
        assert_eq!((one.kept, one.failed.len()), (1, 0));
        let two = prune(&options(1), &SystemClock).await.unwrap();
        assert_eq!((names(&two.removed), names(&two.in_use)), (Vec::new(), vec!["image running".to_owned()]));
    }

    /// An engine that removes every image that it is told to, and its address.
    fn engine(folder: &Path) -> (String, tokio::task::JoinSet<()>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let path = folder.join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                let mut buffer = [0; 4096];
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer).await.unwrap() {
                        0 => break,
                        n => head.extend_from_slice(&buffer[..n]),
                    }
                }
                let head = String::from_utf8_lossy(&head);
                let body = if head.contains("/version") {
                    r#"{"ApiVersion": "1.43", "MinAPIVersion": "1.12"}"#
                } else if head.starts_with("DELETE") {
                    "[]"
                } else {
                    r#"{"ImagesDeleted": [], "SpaceReclaimed": 0}"#
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (format!("unix://{}", path.display()), tasks)
    }
}
