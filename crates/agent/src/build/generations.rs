//! The folders of environments for target `process`.
//!
//! An environment is a folder with a record, `ready.json`, and a virtual environment. One that is built anew keeps its
//! key: the new virtual environment is made beside the old one, since both hold their own path and attempts may be
//! running in the old one. The record names the one that counts and is replaced in one step, so that a crash leaves the
//! old or the new one. What the record does not name is removed when no open attempt has it.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use lanza_model::clock::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lock;
use crate::{state_dir::remove_dir, target::supervisor::read_file};

/// The record of a finished environment. It is touched by every use.
pub(crate) const READY: &str = "ready.json";
/// Name of an environment's first virtual environment; later ones add a number.
const FIRST: &str = "venv";
/// How long one that was replaced is kept whatever the journals say: an attempt may be about to write down that it has it.
const REPLACED_KEPT_MS: i64 = 600_000;

/// What the record says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) packages: Vec<String>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    /// Name of the virtual environment.
    #[serde(default = "first")]
    pub(super) venv: String,
    /// Names of those that it took the place of, as far as they were there.
    #[serde(default)]
    pub(super) replaced: Vec<String>,
    /// When its build began; none in records of earlier versions.
    #[serde(default)]
    pub(super) begun_at: Option<Time>,
    /// When it was made.
    #[serde(default)]
    pub(super) made_at: Option<Time>,
}

fn first() -> String {
    FIRST.to_owned()
}

impl Ready {
    pub(super) fn read(folder: &Path) -> Option<Self> {
        read_file(&folder.join(READY)).ok().flatten()
    }

    /// Whether the build began at that time or later.
    pub(super) fn is_since(&self, since: Option<Time>) -> bool {
        since.is_none_or(|since| self.begun_at.is_some_and(|b| b >= since))
    }
}

/// The virtual environments that open attempts have, by the key of the environment.
pub(crate) type Used = HashMap<String, HashSet<String>>;

/// Returns what attempts name which have not ended. The journals may be being written, so they are only read.
pub(crate) fn used_by_attempts(attempts: &Path) -> io::Result<Used> {
    let mut used = Used::new();
    let entries = match fs::read_dir(attempts) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(used),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let Ok(text) = fs::read_to_string(entry?.path().join("journal.jsonl")) else { continue };
        let mut found = Vec::new();
        let mut open = true;
        for line in text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
            match line["entry"].as_str() {
                Some("environment") => {
                    // Agents that did not write the name knew no other.
                    let venv = line["venv"].as_str().unwrap_or(FIRST).to_owned();
                    found.extend(line["environment"]["digest"].as_str().map(|key| (key.to_owned(), venv)));
                }
                Some("reported" | "forgotten") => open = false,
                _ => {}
            }
        }
        for (key, venv) in found.into_iter().filter(|_| open) {
            used.entry(key).or_default().insert(venv);
        }
    }
    Ok(used)
}

/// Returns the names of the virtual environments in an environment's folder.
fn all(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    folders.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with(FIRST)).collect()
}

/// Returns a name that no virtual environment in the folder has.
pub(super) fn next_name(folder: &Path) -> String {
    let names = all(folder);
    let mut numbered = (2_u32..).map(|n| format!("{FIRST}-{n}"));
    let new = numbered.find(|n| !names.contains(n));
    if names.is_empty() { first() } else { new.unwrap_or_else(first) }
}

/// Returns the names that a new record in the folder has to call replaced.
pub(super) fn to_replace(folder: &Path) -> Vec<String> {
    let Some(ready) = Ready::read(folder) else { return Vec::new() };
    let there = all(folder);
    ready.replaced.into_iter().chain([ready.venv]).filter(|n| there.contains(n)).collect()
}

/// Removes from an environment's folder what its record does not name and nobody has: what was replaced, and what a killed
/// builder left half made. Called with its lock held.
pub(super) fn remove_replaced(folder: &Path, attempts: &Path, now: Time) -> io::Result<()> {
    let Some(ready) = Ready::read(folder) else { return Ok(()) };
    let others: Vec<String> = all(folder).into_iter().filter(|n| *n != ready.venv).collect();
    if others.is_empty() {
        return Ok(());
    }
    let young = ready.made_at.is_some_and(|made| now.since_ms(made) < REPLACED_KEPT_MS);
    let used = used_by_attempts(attempts)?;
    let key = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    for name in others {
        let in_use = used.get(key).is_some_and(|names| names.contains(&name));
        let may_be_in_use = young && ready.replaced.contains(&name);
        if !in_use && !may_be_in_use {
            remove_dir(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Does the same for every environment that nobody builds at the moment.
pub(crate) fn remove_all_replaced(environments: &Path, attempts: &Path, now: Time) {
    for entry in fs::read_dir(environments).into_iter().flatten().flatten() {
        let folder = entry.path();
        if all(&folder).len() < 2 {
            continue;
        }
        let Ok(Some(_lock)) = lock::take_if_free(&folder.with_extension("lock")) else { continue };
        if let Err(e) = remove_replaced(&folder, attempts, now) {
            tracing::warn!("cannot remove what was replaced in {}: {e}", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use lanza_api::item::ItemEnvironment;

    use super::*;
    use crate::{
        journal::{Entry, Journal, tests::lease},
        state_dir::StateDir,
        target::supervisor::write_file,
    };

    #[tokio::test]
    async fn what_was_replaced_goes_when_no_open_attempt_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let environment = state.environments().join("key");
        for name in ["venv", "venv-2", "venv-3"] {
            assert_eq!(next_name(&environment), name);
            fs::create_dir_all(environment.join(name)).unwrap();
        }
        let made = Time(1_000_000);
        let record = Ready {
            packages: Vec::new(),
            warnings: Vec::new(),
            venv: "venv-3".into(),
            replaced: vec!["venv".into(), "venv-2".into()],
            begun_at: Some(made),
            made_at: Some(made),
        };
        write_file(&environment.join(READY), &record, false).unwrap();
        let mut journals = Vec::new();
        for (item, venv) in [("one", None), ("two", Some("venv-2".to_owned()))] {
            let mut journal = Journal::create(&state.attempt(item, 1), "agent", lease(item), Time(1)).unwrap();
            let environment = ItemEnvironment { digest: "key".into(), cached: true, packages: Vec::new() };
            journal.append(Entry::Environment { environment, venv }).await.unwrap();
            journals.push(journal);
        }
        let left = || {
            let mut names = all(&environment);
            names.sort();
            names.join(" ")
        };
        let remove = |now| remove_all_replaced(&state.environments(), &state.attempts(), now);
        let later = made.plus_ms(REPLACED_KEPT_MS);
        remove(later);
        assert_eq!(left(), "venv venv-2 venv-3", "both are in use");
        for journal in &mut journals {
            journal.append(Entry::Reported).await.unwrap();
        }
        remove(made.plus_ms(1));
        assert_eq!(left(), "venv venv-2 venv-3", "somebody may be about to say that he has it");
        let lock = lock::take_if_free(&environment.with_extension("lock")).unwrap();
        remove(later);
        assert_eq!(left(), "venv venv-2 venv-3", "somebody builds");
        drop(lock);
        // What nobody ever finished was nobody's.
        fs::create_dir(environment.join(next_name(&environment))).unwrap();
        assert_eq!(left(), "venv venv-2 venv-3 venv-4");
        remove(made.plus_ms(1));
        assert_eq!(left(), "venv venv-2 venv-3");
        assert_eq!(to_replace(&environment), ["venv", "venv-2", "venv-3"]);
        remove(later);
        assert_eq!(left(), "venv-3");
        assert_eq!(to_replace(&environment), ["venv-3"]);
    }

    #[test]
    fn records_of_earlier_versions_name_the_first_one_and_are_no_news() {
        let ready: Ready = serde_json::from_str(r#"{"packages": ["a==1"]}"#).unwrap();
        assert_eq!((ready.venv.as_str(), ready.is_since(None), ready.is_since(Some(Time(0)))), ("venv", true, false));
    }
}
