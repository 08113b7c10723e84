//! The state directory: the agent's identity, journal, caches and environments. One agent at a time.
//!
//! | path | holds |
//! |---|---|
//! | `lock` | held by the agent that lives |
//! | `agent.json` | who this agent is |
//! | `attempts/ITEM-N/` | one attempt: journal, logs, code, files of its supervisor |
//! | `cache/blobs/` | files of artifacts, by MD5 |
//! | `envs/` | Python environments, by key |
//! | `scratch/ITEM/` | what an item keeps across its attempts |

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error,
    target::{
        proc,
        supervisor::{read_file, write_file},
    },
};

/// How long the lock of an agent that is gone may be held by what it left.
const ORPHANED_LOCK: Duration = Duration::from_secs(3);

/// Who this agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Random text by which the server knows the agent again.
    pub(crate) state: String,
    /// The agent's id, once the server gave it one.
    pub(crate) agent: Option<String>,
    /// Entity that it serves.
    pub(crate) entity: Option<String>,
}

/// The state directory, locked.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    /// Holds the lock as long as the agent lives; children do not inherit it.
    _lock: File,
}

impl StateDir {
    /// Makes the directory, if need be, and takes its lock.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let fail = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::State { what, path, source }
        };
        let root = std::path::absolute(root).map_err(fail("use the state directory", root))?;
        make_dir(&root).map_err(fail("make the state directory", &root))?;
        let path = root.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail("open", &path))?;
        take(&mut lock).map_err(|pid| Error::StateInUse { dir: root.clone(), pid })?;
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(fail("write", &path))?;
        for folder in ["attempts", "cache", "cache/blobs", "envs", "scratch"] {
            let path = root.join(folder);
            make_dir(&path).map_err(fail("make", &path))?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// Returns who this agent is; a new one at the first start.
    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        let path = self.root.join("agent.json");
        let found = read_file::<Identity>(&path).map_err(|source| Error::State { what: "read", path, source })?;
        if let Some(identity) = found {
            return Ok(identity);
        }
        let identity = Identity { state: Uuid::new_v4().simple().to_string(), agent: None, entity: None };
        self.set_identity(&identity)?;
        Ok(identity)
    }

    /// Writes down who this agent is.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), Error> {
        let path = self.root.join("agent.json");
        write_file(&path, identity, true).map_err(|source| Error::State { what: "write", path, source })
    }

    /// Folder of the attempts.
    pub(crate) fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// Folder of one attempt.
    pub(crate) fn attempt(&self, item: &str, attempt: u32) -> PathBuf {
        self.attempts().join(format!("{item}-{attempt}"))
    }

    /// Files of artifacts, by MD5.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("cache").join("blobs")
    }

    /// Python environments.
    pub(crate) fn environments(&self) -> PathBuf {
        self.root.join("envs")
    }

    /// What an item keeps across its attempts on this machine.
    pub(crate) fn scratch(&self, item: &str) -> PathBuf {
        self.root.join("scratch").join(item)
    }

    /// Folder of all scratch folders.
    pub(crate) fn scratches(&self) -> PathBuf {
        self.root.join("scratch")
    }
}

/// Takes the lock, or says who has it. The lock of an agent that is gone can outlive it for a moment, in a child that has
/// been forked and does not run its own program yet; that one is waited for. (An agent of this very process may be gone
/// as well, though the process lives.)
fn take(lock: &mut File) -> Result<(), Option<u32>> {
    let deadline = Instant::now() + ORPHANED_LOCK;
    while flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut text = String::new();
        let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
        let pid = text.trim().parse().ok();
        let lives = pid.and_then(proc::read).is_some_and(|p| !p.zombie && p.id.pid != std::process::id());
        if lives || Instant::now() > deadline {
            return Err(pid);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Makes a folder and its parents, for its owner only.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a folder with all that is in it; none is fine. Folders that were made unwritable are opened first.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fn open_up(path: &Path) {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open_up(&entry.path());
            }
        }
    }
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_agent_at_a_time_and_the_same_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("state");
        let first = StateDir::open(&root).unwrap();
        let identity = first.identity().unwrap();
        match StateDir::open(&root) {
            Err(Error::StateInUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        // A child that the first one left holds its lock a little longer. The first one was another process, or this one.
        let mut last = Some(first);
        for pid in [4_194_305, std::process::id()] {
            fs::write(root.join("lock"), format!("{pid}\n")).unwrap();
            drop(last.take());
            let child = File::open(root.join("lock")).unwrap();
            flock(&child, FlockOperation::NonBlockingLockExclusive).unwrap();
            let ends = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                drop(child);
            });
            let next = StateDir::open(&root).unwrap();
            assert_eq!(next.identity().unwrap(), identity);
            ends.join().unwrap();
            last = Some(next);
        }
    }
}
