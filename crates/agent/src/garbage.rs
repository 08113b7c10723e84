//! What may be thrown away: folders of attempts that ended, and scratch folders that nobody came back for.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use lanza_model::item::Ending;
use tracing::{debug, warn};

use crate::{
    Error,
    journal::Journal,
    state_dir::{StateDir, remove_dir},
};

/// Folders of an attempt that nobody needs after its end.
pub(crate) const PASSING: [&str; 3] = ["work", "job", "build"];
/// How many ended attempts are kept, for a look at their logs.
const KEPT_ATTEMPTS: usize = 50;
/// How long the scratch folder of an item that did not finish is kept.
const SCRATCH_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the journals of the attempts that have not ended, and removes what a killed agent left half done: folders
/// without a journal, the code of attempts that have ended, downloads that were cut short. Called with the directory's
/// lock held, before anything is begun.
pub(crate) fn read_all(state: &StateDir) -> Result<Vec<Journal>, Error> {
    let folder = state.attempts();
    let found = fs::read_dir(&folder).map_err(|source| Error::State { what: "read", path: folder.clone(), source })?;
    let mut journals = Vec::new();
    for entry in found.flatten() {
        let path = entry.path();
        match Journal::read(&path) {
            Ok(Some(journal)) if !journal.state.closed => journals.push(journal),
            Ok(Some(journal)) => tidy(state, &journal),
            Ok(None) => {
                debug!("{} holds no lease", path.display());
                let _ = remove_dir(&path);
            }
            Err(source) => return Err(Error::State { what: "read the journal in", path, source }),
        }
    }
    for (_, path) in entries(&state.blobs()) {
        let partial = path.extension().and_then(|e| e.to_str()).is_some_and(|e| e.starts_with("tmp-"));
        if partial && let Err(e) = fs::remove_file(&path) {
            warn!("cannot remove {}: {e}", path.display());
        }
    }
    // An item's later attempt waits for its earlier ones, so these come first.
    journals.sort_by_key(|j| (j.state.lease.item.clone(), j.state.lease.attempt));
    Ok(journals)
}

/// Removes what is old; `live` are the items that the agent holds.
pub(crate) fn collect(state: &StateDir, live: &HashSet<String>) {
    let mut ended: Vec<(SystemTime, PathBuf)> = entries(&state.attempts())
        .into_iter()
        .filter(|(_, path)| !live.contains(item_of(path).unwrap_or_default()))
        .collect();
    if ended.len() > KEPT_ATTEMPTS {
        ended.sort();
        for (_, path) in &ended[..ended.len() - KEPT_ATTEMPTS] {
            discard(path);
        }
    }
    for (modified, path) in entries(&state.scratches()) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if !live.contains(name) && modified.elapsed().is_ok_and(|age| age > SCRATCH_KEPT) {
            discard(&path);
        }
    }
}

/// Does for an ended attempt what its agent did not live to do.
fn tidy(state: &StateDir, ended: &Journal) {
    for folder in PASSING {
        discard(&ended.dir().join(folder));
    }
    if ended.state.outcome.as_ref().is_some_and(|o| o.ending == Ending::Finished) {
        discard(&state.scratch(&ended.state.lease.item));
    }
}

fn entries(folder: &std::path::Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect()
}

/// Returns the item of an attempt's folder, `ITEM-N`.
fn item_of(path: &std::path::Path) -> Option<&str> {
    path.file_name()?.to_str()?.rsplit_once('-').map(|(item, _)| item)
}

fn discard(path: &std::path::Path) {
    if let Err(e) = remove_dir(path) {
        warn!("cannot remove {}: {e}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use lanza_api::item::Outcome;
    use lanza_model::{Phase, clock::Time};

    use super::*;
    use crate::journal::{Entry, tests::lease};

    #[tokio::test]
    async fn what_a_killed_agent_left_half_done_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        for (item, ended) in [("over", true), ("open", false)] {
            let mut journal = Journal::create(&state.attempt(item, 1), "agent", lease(item), Time(1)).unwrap();
            if ended {
                let outcome = Outcome {
                    ending: Ending::Finished,
                    exit_code: Some(0),
                    signal: None,
                    reason: None,
                    phase: Some(Phase::Run),
                    ended_at: Time(2),
                };
                journal.append(Entry::Ended { outcome: Box::new(outcome) }).await.unwrap();
                journal.append(Entry::Reported).await.unwrap();
            }
            fs::create_dir_all(state.attempt(item, 1).join("work")).unwrap();
            fs::create_dir_all(state.scratch(item)).unwrap();
        }
        let blob = state.blobs().join("0".repeat(32));
        let partial = blob.with_extension("tmp-1");
        fs::write(&blob, "whole").unwrap();
        fs::write(&partial, "ha").unwrap();

        let open = read_all(&state).unwrap();
        assert_eq!(open.iter().map(|j| j.state.lease.item.as_str()).collect::<Vec<_>>(), ["open"]);
        assert!(state.attempt("open", 1).join("work").exists() && state.scratch("open").exists());
        assert!(!state.attempt("over", 1).join("work").exists() && !state.scratch("over").exists());
        assert!(state.attempt("over", 1).join("logs").exists(), "logs are kept for a look");
        assert!(blob.exists() && !partial.exists());
    }
}
