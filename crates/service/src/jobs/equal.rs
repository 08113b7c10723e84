//! Versions that mean the same: the client and the server write one job in different words, and digests see the words.
//!
//! Compared are the source, the entry point, the Python version (an image brings its own), the Dockerfile, build context
//! and base image, the services, the types of inputs and outputs, the frozen requirements in any order, and the patch.

use bytes::Bytes;
use lanza_model::job::{ARTIFACT_TYPE, DIFF_FILE, FROZEN_REQUIREMENTS, JOB_FILE, JobFile, Source};
use lanza_store::artifacts::{Artifact, Collection, FileEntry, State};
use serde_json::Value;

use super::FILE_LIMIT;
use crate::{Result, Service};

/// How many of the newest versions are looked at.
const VERSIONS: i64 = 20;
/// The files of a job.
const PARTS: [&str; 3] = [JOB_FILE, FROZEN_REQUIREMENTS, DIFF_FILE];

/// What a version says, in one spelling.
#[derive(Debug, PartialEq)]
struct Content {
    file: JobFile,
    services: Value,
    requirements: Vec<String>,
    patch: Bytes,
}

impl Content {
    /// Reads the files of a version; none when it is no job that can be understood.
    fn of(file: &[u8], requirements: &[u8], patch: Bytes) -> Option<Self> {
        let services = serde_json::from_slice::<Value>(file).ok()?["services"].take();
        let mut file = JobFile::parse(file).ok()?;
        // An image brings its own Python.
        if matches!(file.source, Source::Image { .. }) {
            file.python = None;
        }
        if let Some(python) = file.entrypoint.first_mut().filter(|w| *w == "python3") {
            "python".clone_into(python);
        }
        let requirements = String::from_utf8_lossy(requirements);
        let mut requirements: Vec<String> =
            requirements.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        requirements.sort();
        Some(Self { file, services, requirements, patch })
    }
}

impl Service {
    /// Finds a version of a job, among its newest, that says the same as the files of one that is about to be committed.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn job_said_before(&self, pending: &Artifact, files: &[FileEntry]) -> Result<Option<Artifact>> {
        if pending.collection.type_name != ARTIFACT_TYPE || files.iter().any(|f| !PARTS.contains(&f.path.as_str())) {
            return Ok(None);
        }
        let mut read = Vec::with_capacity(files.len());
        for file in files {
            let Some(blob) = file.blob.as_ref().filter(|_| file.size_bytes <= FILE_LIMIT) else { return Ok(None) };
            let Some(bytes) = self.store.blobs().get(blob).await? else { return Ok(None) };
            read.push((file.path.clone(), bytes));
        }
        self.job_equal(&pending.collection, &read).await
    }

    /// Finds a version of a job, among its newest, that says the same as these files.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn job_equal(
        &self,
        collection: &Collection,
        files: &[(String, Bytes)],
    ) -> Result<Option<Artifact>> {
        let file = |name: &str| files.iter().find(|(n, _)| n == name).map(|(_, b)| b.clone()).unwrap_or_default();
        let wanted = Content::of(&file(JOB_FILE), &file(FROZEN_REQUIREMENTS), file(DIFF_FILE));
        let Some(wanted) = wanted else { return Ok(None) };
        for member in self.store.membership_list(&collection.id, None, VERSIONS).await? {
            let artifact = member.artifact;
            // Linked from elsewhere, on its way, or with files that are not compared.
            let compared = artifact.file_count <= PARTS.len() as i64;
            if artifact.collection.id != collection.id || artifact.state != State::Committed || !compared {
                continue;
            }
            let read = |name: &'static str| self.artifact_file_read(&artifact, name, FILE_LIMIT);
            let Some(file) = read(JOB_FILE).await? else { continue };
            let requirements = read(FROZEN_REQUIREMENTS).await?.unwrap_or_default();
            let patch = read(DIFF_FILE).await?.unwrap_or_default();
            if Content::of(&file, &requirements, patch).as_ref() == Some(&wanted) {
                return Ok(Some(artifact));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_clients_words_and_ours_say_the_same() {
        let of = |job: Value, requirements: &str| {
            Content::of(job.to_string().as_bytes(), requirements.as_bytes(), Bytes::new())
        };
        let code = |runtime: &str, python: &str| {
            json!({"_version": "v0", "source_type": "artifact", "runtime": runtime,
                   "source": {"artifact": "wandb-artifact://_id/abc", "entrypoint": [python, "t.py"], "notebook": false}})
        };
        let ours = of(code("3.11", "python"), "a==1\nb==2\n");
        assert!(ours.is_some());
        assert_eq!(of(code("CPython 3.11.7", "pythonCPython 3.11"), "b==2\na==1"), ours);
        assert_ne!(of(code("3.12", "python"), "a==1\nb==2\n"), ours);
        assert_ne!(of(code("3.11", "python"), "a==1\n"), ours);
        let image = |runtime: &str, name: &str| {
            of(json!({"source_type": "image", "runtime": runtime, "source": {"image": name}}), "")
        };
        assert_eq!(image("CPython 3.11.7", "a:1"), image("3.11", "a:1"));
        assert_ne!(image("", "a:1"), image("", "a:2"));
        assert_eq!(of(json!({}), ""), None);
    }
}
