//! Phase `fetch`: the job's description and its code, in the attempt's folder.

pub(crate) mod artifact;
pub(crate) mod git;
pub(crate) mod notebook;

use std::path::{Component, Path, PathBuf};

use lanza_api::item::ItemSource;
use lanza_model::{
    Reason, code,
    job::{self, JobFile},
};

use self::artifact::Artifacts;
use crate::command::Commands;

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
}

/// Brings the job artifact `id` and its code into `folder`.
pub(crate) async fn fetch(
    artifacts: &Artifacts<'_>,
    commands: &Commands<'_>,
    http_hosts: &[String],
    id: &str,
    job_name: &str,
    folder: &Path,
) -> Result<Fetched, Reason> {
    let description = folder.with_file_name("job");
    let files = artifacts.unpack(id, &description).await.map_err(|e| e.named("job", job_name))?;
    let bytes = std::fs::read(description.join(job::JOB_FILE)).map_err(|_| {
        Reason::new(code::SOURCE_MISSING, format!("the job `{job_name}` has no file `{}`", job::JOB_FILE))
    })?;
    let file = JobFile::parse(&bytes)
        .map_err(|e| Reason::new(code::SOURCE_MISSING, format!("the job `{job_name}` cannot be read: {e}")))?;
    let frozen =
        std::fs::read_to_string(description.join(job::FROZEN_REQUIREMENTS)).ok().filter(|t| !t.trim().is_empty());
    let mut source = ItemSource { kind: file.source.kind().to_owned(), commit: None, image: None };
    let mut digest = files;
    match &file.source {
        job::Source::Code { artifact } => {
            digest = artifacts.unpack(artifact, folder).await.map_err(|e| e.named("code", artifact))?;
        }
        job::Source::Git { remote, commit } => {
            let commit = git::checkout(commands, http_hosts, remote, commit, folder).await?;
            let patch = description.join(job::DIFF_FILE);
            if patch.metadata().is_ok_and(|m| m.len() > 0) {
                git::apply(commands, &patch, folder).await?;
            }
            digest.clone_from(&commit);
            source.commit = Some(commit);
        }
        job::Source::Image { image } => source.image = Some(image.clone()),
    }
    Ok(Fetched { job: file, frozen, source, digest })
}

/// Returns `path` below `root`, or none when it would lead anywhere else.
pub(crate) fn below(root: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.contains('\0') || path.contains('\\') {
        return None;
    }
    let relative = Path::new(path);
    relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)).then(|| root.join(relative))
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
}
