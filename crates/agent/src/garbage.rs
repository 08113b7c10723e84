//! What may be thrown away: folders of attempts that ended, and scratch folders that nobody came back for.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tracing::{debug, warn};

use crate::{
    Error,
    journal::Journal,
    state_dir::{StateDir, remove_dir},
};

/// How many ended attempts are kept, for a look at their logs.
const KEPT_ATTEMPTS: usize = 50;
/// How long the scratch folder of an item that did not finish is kept.
const SCRATCH_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the journals of the attempts that have not ended, and removes folders that hold none.
pub(crate) fn read_all(state: &StateDir) -> Result<Vec<Journal>, Error> {
    let folder = state.attempts();
    let entries =
        fs::read_dir(&folder).map_err(|source| Error::State { what: "read", path: folder.clone(), source })?;
    let mut journals = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        match Journal::read(&path) {
            Ok(Some(journal)) if !journal.state.closed => journals.push(journal),
            Ok(Some(_)) => {}
            Ok(None) => {
                debug!("{} holds no lease", path.display());
                let _ = remove_dir(&path);
            }
            Err(source) => return Err(Error::State { what: "read the journal in", path, source }),
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
