//! Phase `fetch`: the job's description and its code, in the attempt's folder.

pub(crate) mod artifact;
pub(crate) mod git;
pub(crate) mod notebook;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use lanza_api::item::ItemSource;
use lanza_model::{
    Reason, code,
    job::{self, JobFile},
};
use sha2::{Digest, Sha256};

use self::artifact::Artifacts;
use crate::{build::broken, command::Commands};

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The job's file.
    pub(crate) job: JobFile,
    /// The packages that the job was made with.
    pub(crate) frozen: Option<String>,
    /// What ran, for the item.
    pub(crate) source: ItemSource,
    /// Digest of the code, for what depends on it.
    pub(crate) digest: String,
    /// Address of the repository without secrets, for git jobs.
    pub(crate) remote: Option<String>,
}

/// Which job is to be fetched.
pub(crate) struct Wanted<'a> {
    /// Id of its artifact.
    pub(crate) id: &'a str,
    /// Its name, for messages.
    pub(crate) name: &'a str,
    /// Branch, tag or commit that the launch names instead of the job's.
    pub(crate) version: Option<&'a str>,
}

/// Brings a job and its code into `folder`.
pub(crate) async fn fetch(
    artifacts: &Artifacts<'_>,
    commands: &Commands<'_>,
    access: &git::Access<'_>,
    wanted: Wanted<'_>,
    folder: &Path,
) -> Result<Fetched, Reason> {
    let Wanted { id, name: job_name, version } = wanted;
    let description = folder.with_file_name("job");
    let files = artifacts.unpack(id, &description).await.map_err(|e| e.named("job", job_name))?;
    let bytes = std::fs::read(description.join(job::JOB_FILE)).map_err(|_| {
        Reason::new(code::SOURCE_MISSING, format!("the job `{job_name}` has no file `{}`", job::JOB_FILE))
    })?;
    let mut file = JobFile::parse(&bytes)
        .map_err(|e| Reason::new(code::SOURCE_MISSING, format!("the job `{job_name}` cannot be read: {e}")))?;
    let frozen =
        std::fs::read_to_string(description.join(job::FROZEN_REQUIREMENTS)).ok().filter(|t| !t.trim().is_empty());
    let mut source = ItemSource { kind: file.source.kind().to_owned(), commit: None, image: None };
    let mut digest = files;
    let mut remote = None;
    match &file.source {
        job::Source::Code { artifact } => {
            digest = artifacts.unpack(artifact, folder).await.map_err(|e| e.named("code", artifact))?;
        }
        job::Source::Git { remote: address, commit } => {
            let other = version.filter(|v| v != commit);
            let found = git::checkout(commands, access, address, other.unwrap_or(commit), folder).await?;
            let patch = description.join(job::DIFF_FILE);
            digest.clone_from(&found.commit);
            if let Ok(changes) = std::fs::read(&patch)
                && !changes.is_empty()
            {
                if let Some(other) = other {
                    // It was made of other files.
                    commands.say(&format!("the launch names {other}, so the job's diff.patch is left out"));
                } else {
                    git::apply(commands, &patch, folder).await?;
                    commands.say("applied the job's diff.patch");
                    digest = artifact::hex(&Sha256::digest([digest.as_bytes(), b"\0", &changes].concat()));
                }
            }
            source.commit = Some(found.commit);
            remote = Some(found.remote);
        }
        job::Source::Image { image } => source.image = Some(image.clone()),
    }
    if !matches!(file.source, job::Source::Image { .. })
        && let Some(frozen) = &frozen
    {
        let narrowed = file.build_context.as_deref().and_then(|c| inside(folder, c)).filter(|c| c.is_dir());
        for folder in std::iter::once(folder.to_owned()).chain(narrowed) {
            lay_beside(&folder, frozen).map_err(|e| broken("lay the frozen list beside the code", &e))?;
        }
    }
    if file.python.is_some() && !file.python_chosen && names_python(folder, file.build_context.as_deref()) {
        file.python_chosen = artifacts.is_python_chosen(id).await.map_err(|e| e.named("job", job_name))?;
    }
    Ok(Fetched { job: file, frozen, source, digest, remote })
}

/// Puts the job's frozen list beside its code, where a Dockerfile of the job's own may copy it from. A file of that name
/// that the code has itself stays.
pub(crate) fn lay_beside(folder: &Path, frozen: &str) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).open(folder.join(job::FROZEN_REQUIREMENTS));
    match made {
        // A link in its place counts as there, wherever it leads.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made?.write_all(frozen.as_bytes()),
    }
}

/// Files of the source that name a Python version, first to last.
pub(crate) const PYTHON_FILES: [&str; 2] = ["runtime.txt", ".python-version"];

/// Whether the source may say which Python it wants, so that it matters whether somebody chose one.
fn names_python(folder: &Path, build_context: Option<&str>) -> bool {
    [Some(folder.to_owned()), build_context.and_then(|c| inside(folder, c))]
        .into_iter()
        .flatten()
        .any(|root| PYTHON_FILES.iter().any(|name| root.join(name).exists()))
}

/// Returns `path` below `root`, or none when it would lead anywhere else.
pub(crate) fn below(root: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.contains('\0') || path.contains('\\') {
        return None;
    }
    let relative = Path::new(path);
    relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)).then(|| root.join(relative))
}

/// Returns `path` below `root` as it is on disk, or none when it is not there, or when a link on the way leads out: what
/// the agent reads for a job must be the job's own.
pub(crate) fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let found = below(root, path)?;
    let mut there = found.as_path();
    // A folder that is yet to be made is judged by the nearest one above it.
    while there.symlink_metadata().is_err() {
        there = there.parent()?;
    }
    there.canonicalize().ok()?.starts_with(root.canonicalize().ok()?).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let root = Path::new("/r");
        assert_eq!(below(root, "a/b.py"), Some("/r/a/b.py".into()));
        for hostile in ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b", "..\\x"] {
            assert_eq!(below(root, hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn the_frozen_list_lies_beside_the_code_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [fresh, own, linked] = ["fresh", "own", "linked"].map(|n| folder.path().join(n));
        for code in [&fresh, &own, &linked] {
            std::fs::create_dir(code).unwrap();
        }
        let list = job::FROZEN_REQUIREMENTS;
        std::fs::write(own.join(list), "mine").unwrap();
        std::os::unix::fs::symlink("../outside", linked.join(list)).unwrap();
        for code in [&fresh, &own, &linked] {
            lay_beside(code, "a==1\n").unwrap();
        }
        assert_eq!(std::fs::read_to_string(fresh.join(list)).unwrap(), "a==1\n");
        assert_eq!(std::fs::read_to_string(own.join(list)).unwrap(), "mine");
        assert!(!folder.path().join("outside").exists());
    }

    #[test]
    fn a_link_that_leads_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("code");
        std::fs::create_dir_all(root.join("real")).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("real", root.join("near")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::os::unix::fs::symlink("../secret", root.join("requirements.txt")).unwrap();
        assert_eq!(inside(&root, "near"), Some(root.join("near")));
        assert_eq!(inside(&root, "real/new/deep"), Some(root.join("real/new/deep")));
        for hostile in ["up", "up/secret", "requirements.txt", "../secret"] {
            assert_eq!(inside(&root, hostile), None, "{hostile}");
        }
    }
}
