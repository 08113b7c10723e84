//! What the agent keeps between items does not grow for ever: the block `lanza.cache` of its config says how old or how
//! large it may get.
//!
//! `keep_days` is `lanza agent prune` done by the agent itself, and the same for the files of artifacts. `max_size` counts
//! files of artifacts and environments; images lie in the engine, which has limits of its own. What was used longest ago
//! goes first, and what is in use never goes: what an open attempt has or somebody builds, and what was used within the
//! longest time that a fetch may take.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lanza_model::clock::Time;
use tracing::{debug, info, warn};

use crate::{
    Error,
    build::{
        READY, generations,
        prune::{self, ALWAYS_KEPT, PruneOptions, Pruned, prune},
    },
    context::Context,
    source::artifact::{last_use, remove_unused},
};

/// How often the agent looks.
const EVERY: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Something that may go.
#[derive(Debug)]
struct Piece {
    last_used: Time,
    size: u64,
    path: PathBuf,
    environment: bool,
}

/// Looks now and every hour, for as long as the agent lives. Ends at once where nobody set a limit.
pub(crate) async fn keep_small(ctx: &Context) {
    let limits = &ctx.options.config.lanza;
    if limits.cache_max_size.is_none() && limits.cache_keep_days.is_none() {
        return;
    }
    loop {
        if let Err(e) = trim(ctx).await {
            warn!("the cache cannot be kept small: {e}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes what is too old, then what is too much.
async fn trim(ctx: &Context) -> Result<(), Error> {
    let (blobs, environments) = (ctx.state.blobs(), ctx.state.environments());
    let limits = &ctx.options.config.lanza;
    let now = ctx.clock.now();
    let ago = |time: Duration| now.plus_ms(-i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    // A file that a fetch has found is copied within the fetch's own limit.
    let unused = ago(limits.fetch_timeout.max(ALWAYS_KEPT));
    let mut removed = (0, 0);
    if let Some(days) = limits.cache_keep_days {
        let keep = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
        let others = ctx.options.neighbours.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten();
        let options = PruneOptions {
            state_dir: ctx.options.state_dir.clone(),
            others: others.map(|e| e.path()).collect(),
            environment: ctx.options.environment.clone(),
            keep,
            dry_run: false,
        };
        let pruned = prune(&options, &*ctx.clock).await?;
        if let Some(why) = pruned.no_images {
            debug!("images were not looked at: {why}");
        }
        for piece in &pruned.failed {
            warn!("cannot remove {}: {}", piece.name, piece.why.as_deref().unwrap_or_default());
        }
        removed.0 = pruned.removed.len();
        let before = ago(keep).min(unused);
        let old = blocking({
            let blobs = blobs.clone();
            move || Ok(remove_old(&blobs, before))
        });
        removed.1 = old.await?;
    }
    if let Some(most) = limits.cache_max_size {
        let before = (unused, ago(ALWAYS_KEPT));
        let attempts = ctx.state.attempts();
        let (more, files) = blocking(move || remove_most(&blobs, &environments, &attempts, most, before)).await?;
        removed = (removed.0 + more, removed.1 + files);
    }
    if removed != (0, 0) {
        let (built, files) = removed;
        info!("removed {built} environments and images and {files} files of artifacts that were not in use");
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => {
            let source = std::io::Error::other(e);
            Err(Error::State { what: "trim", path: "cache".into(), source })
        }
    }
}

fn blob_pieces(blobs: &Path) -> Vec<Piece> {
    let entries = fs::read_dir(blobs).into_iter().flatten().flatten().map(|e| e.path());
    entries
        // What is being downloaded has another name until it is whole.
        .filter(|path| path.extension().is_none())
        .filter_map(|path| last_use(&path).map(|(last_used, size)| Piece { last_used, size, path, environment: false }))
        .collect()
}

fn remove(piece: &Piece, before: Time) -> bool {
    remove_unused(&piece.path, before).unwrap_or_else(|e| {
        warn!("cannot remove {}: {e}", piece.path.display());
        false
    })
}

/// Removes the files of artifacts that were not used since `before`; returns how many.
fn remove_old(blobs: &Path, before: Time) -> usize {
    let old = blob_pieces(blobs).into_iter().filter(|p| p.last_used <= before);
    old.filter(|p| remove(p, before)).count()
}

/// Removes what was used longest ago until the rest is no larger than `most`. `before` are the times since which files
/// and environments must not have been used. Returns how many environments and files went.
fn remove_most(
    blobs: &Path,
    environments: &Path,
    attempts: &Path,
    most: u64,
    (files_before, before): (Time, Time),
) -> Result<(usize, usize), Error> {
    let failed = |source| Error::State { what: "read", path: attempts.to_owned(), source };
    let used = generations::used_by_attempts(attempts).map_err(failed)?;
    let mut pieces = blob_pieces(blobs);
    for path in fs::read_dir(environments).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()) {
        // One without a record is being built, or is removed at the next start.
        if let Some(last_used) = prune::modified(&path.join(READY)) {
            pieces.push(Piece { last_used, size: size_of(&path), path, environment: true });
        }
    }
    let mut total = pieces.iter().fold(0_u64, |sum, p| sum.saturating_add(p.size));
    pieces.sort_by(|a, b| (a.last_used, &a.path).cmp(&(b.last_used, &b.path)));
    let mut gone = (0, 0);
    for piece in pieces {
        if total <= most {
            break;
        }
        let removed = if piece.environment {
            let key = piece.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let mut pruned = Pruned::default();
            prune::environment(false, &mut pruned, before.0, &used, &piece.path, key);
            for failed in &pruned.failed {
                warn!("cannot remove {}: {}", failed.name, failed.why.as_deref().unwrap_or_default());
            }
            gone.0 += pruned.removed.len();
            !pruned.removed.is_empty()
        } else {
            let removed = piece.last_used <= files_before && remove(&piece, files_before);
            gone.1 += usize::from(removed);
            removed
        };
        if removed {
            total = total.saturating_sub(piece.size);
        }
    }
    if total > most {
        debug!("the cache has {total} bytes, {most} are allowed, and all of it is in use");
    }
    Ok(gone)
}

/// How much is in a folder, in bytes; links count as themselves.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_of(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use lanza_api::item::ItemEnvironment;
    use lanza_model::clock::{Clock, SystemClock};

    use super::*;
    use crate::{
        build::lock,
        journal::{Entry, Journal, tests::lease},
        state_dir::StateDir,
    };

    const HOUR: Duration = Duration::from_secs(3600);

    struct Cache {
        state: StateDir,
        now: Time,
        _folder: tempfile::TempDir,
    }

    impl Cache {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = StateDir::open(&folder.path().join("state")).unwrap();
            Self { state, now: SystemClock.now(), _folder: folder }
        }

        fn age(&self, path: &Path, age: Duration) {
            let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now.0).unwrap());
            fs::File::open(path).unwrap().set_modified(now - age).unwrap();
        }

        fn blob(&self, name: &str, size: usize, age: Duration) {
            let path = self.state.blobs().join(name);
            fs::write(&path, vec![0; size]).unwrap();
            self.age(&path, age);
        }

        fn environment(&self, key: &str, size: usize, age: Duration) {
            let path = self.state.environments().join(key);
            fs::create_dir_all(path.join("venv/lib")).unwrap();
            fs::write(path.join("venv/lib/x"), vec![0; size]).unwrap();
            fs::write(path.join(READY), "{}").unwrap();
            self.age(&path.join(READY), age);
        }

        fn trim(&self, most: u64) -> (usize, usize) {
            let ago = |time: Duration| self.now.plus_ms(-i64::try_from(time.as_millis()).unwrap());
            let before = (ago(HOUR), ago(ALWAYS_KEPT));
            let (blobs, environments) = (self.state.blobs(), self.state.environments());
            remove_most(&blobs, &environments, &self.state.attempts(), most, before).unwrap()
        }

        /// The names of what is left.
        fn left(&self) -> String {
            let folders = [self.state.blobs(), self.state.environments()];
            let entries = folders.iter().flat_map(|f| fs::read_dir(f).unwrap().flatten());
            let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
            names.retain(|n| Path::new(n).extension().is_none_or(|e| e != "lock"));
            names.sort();
            names.join(" ")
        }
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_until_the_rest_is_small_enough() {
        let cache = Cache::new();
        cache.environment("env-old", 1000, 9 * HOUR);
        cache.blob("blob-old", 1000, 8 * HOUR);
        cache.environment("env-young", 1000, 7 * HOUR);
        cache.blob("blob-young", 1000, 6 * HOUR);
        assert_eq!(cache.trim(5000), (0, 0));
        assert_eq!(cache.trim(3500), (1, 0));
        assert_eq!(cache.left(), "blob-old blob-young env-young");
        assert_eq!(cache.trim(1500), (1, 1));
        assert_eq!(cache.left(), "blob-young");
    }

    #[tokio::test]
    async fn what_is_in_use_stays_however_large_it_is() {
        let cache = Cache::new();
        cache.environment("running", 1000, 9 * HOUR);
        cache.environment("building", 1000, 9 * HOUR);
        cache.environment("started", 1000, HOUR / 60);
        cache.environment("idle", 1000, 2 * HOUR);
        cache.blob("fetching", 1000, HOUR / 2);
        cache.blob("idle-blob", 1000, 2 * HOUR);
        cache.blob("d.tmp-1", 1000, 9 * HOUR);
        let _lock = lock::take_if_free(&cache.state.environments().join("building.lock")).unwrap().unwrap();
        let mut journal = Journal::create(&cache.state.attempt("i", 1), "agent", lease("i"), Time(1)).unwrap();
        let environment = ItemEnvironment { digest: "running".into(), cached: true, packages: Vec::new() };
        journal.append(Entry::Environment { environment, venv: None }).await.unwrap();
        assert_eq!(cache.trim(0), (1, 1));
        assert_eq!(cache.left(), "building d.tmp-1 fetching running started");
    }

    #[test]
    fn files_that_nobody_used_for_long_go() {
        let cache = Cache::new();
        cache.blob("old", 10, 50 * HOUR);
        cache.blob("young", 10, 2 * HOUR);
        let before = cache.now.plus_ms(-i64::try_from((48 * HOUR).as_millis()).unwrap());
        assert_eq!(remove_old(&cache.state.blobs(), before), 1);
        assert_eq!(cache.left(), "young");
    }
}
