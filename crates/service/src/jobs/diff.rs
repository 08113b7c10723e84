//! What changed between two versions of a job.

use std::collections::BTreeMap;

use lanza_api::artifact::{FileChange, JobChange, JobDiff, JobVersion};
use lanza_store::artifacts::Artifact;
use serde_json::{Value, json};

use crate::{Actor, Error, Result, Service};

/// Files of the code that are read at once.
const PAGE: i64 = 5000;

impl Service {
    /// Compares two versions of a job: source, command, Python, types, and the packages it needs.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when one of them does not exist.
    pub async fn job_diff(
        &self,
        actor: &Actor,
        (entity, project, name): (&str, &str, &str),
        from: &str,
        to: &str,
    ) -> Result<JobDiff> {
        let from = self.job_version_find(actor, (entity, project, name), from).await?;
        let to = self.job_version_find(actor, (entity, project, name), to).await?;
        let mut diff = diff(&from, &to);
        if from.source != to.source
            && let (Some(from), Some(to)) = (self.code_of(actor, &from).await?, self.code_of(actor, &to).await?)
        {
            diff.files = file_changes(&self.code_files(&from).await?, &self.code_files(&to).await?);
        }
        Ok(diff)
    }

    /// Returns the code of a code job, if it is there and the caller sees it.
    async fn code_of(&self, actor: &Actor, version: &JobVersion) -> Result<Option<Artifact>> {
        let Some(id) = version.source["artifact"].as_str().and_then(|r| r.rsplit('/').next()) else { return Ok(None) };
        match self.artifact_find(actor, id).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Returns the digests of a version's files by path.
    async fn code_files(&self, code: &Artifact) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        let mut after = String::new();
        loop {
            let page = self.store.artifact_file_list(&code.id, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(files) };
            last.path.clone_into(&mut after);
            let full = page.len() as i64 == PAGE;
            files.extend(page.into_iter().map(|f| (f.path, f.digest)));
            if !full {
                return Ok(files);
            }
        }
    }
}

fn file_changes(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Vec<FileChange> {
    let change = |path: &String, word: &str| FileChange { path: path.clone(), change: word.to_owned() };
    let mut changes: Vec<_> = from
        .iter()
        .filter_map(|(path, digest)| match to.get(path) {
            None => Some(change(path, "removed")),
            Some(other) if other != digest => Some(change(path, "changed")),
            Some(_) => None,
        })
        .collect();
    changes.extend(to.keys().filter(|path| !from.contains_key(*path)).map(|path| change(path, "added")));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn diff(from: &JobVersion, to: &JobVersion) -> JobDiff {
    let fields = |v: &JobVersion| -> [(&'static str, Value); 7] {
        [
            ("source_type", json!(v.source_type)),
            ("source", v.source.clone()),
            ("entrypoint", json!(v.entrypoint)),
            ("python", json!(v.python)),
            ("input_types", v.input_types.clone()),
            ("output_types", v.output_types.clone()),
            ("input_schemas", v.metadata["input_schemas"].clone()),
        ]
    };
    let changes = fields(from)
        .into_iter()
        .zip(fields(to))
        .filter(|((_, a), (_, b))| a != b)
        .map(|((field, from), (_, to))| JobChange { field: field.to_owned(), from, to })
        .collect();
    let missing = |here: &JobVersion, there: &JobVersion| -> Vec<String> {
        here.requirements.iter().filter(|r| !there.requirements.contains(r)).cloned().collect()
    };
    JobDiff {
        from: from.version.clone(),
        to: to.version.clone(),
        changes,
        requirements_removed: missing(from, to),
        requirements_added: missing(to, from),
        files: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use lanza_api::artifact::JobInputs;
    use lanza_model::clock::Time;

    use super::*;

    #[test]
    fn files_are_added_removed_or_changed() {
        let files = |pairs: &[(&str, &str)]| pairs.iter().map(|(p, d)| ((*p).to_owned(), (*d).to_owned())).collect();
        let found = file_changes(
            &files(&[("a.py", "1"), ("b.py", "1"), ("c.py", "1")]),
            &files(&[("a.py", "1"), ("b.py", "2"), ("0.py", "1")]),
        );
        let found: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.change.as_str())).collect();
        assert_eq!(found, [("0.py", "added"), ("b.py", "changed"), ("c.py", "removed")]);
    }

    #[test]
    fn only_what_differs_is_named() {
        let version = |n: &str, entry: &str, packages: &[&str]| JobVersion {
            id: String::new(),
            reference: String::new(),
            version: n.into(),
            aliases: vec![],
            source_type: "code".into(),
            source: json!({ "artifact": "a" }),
            entrypoint: vec![entry.into()],
            python: Some("3.11".into()),
            input_types: Value::Null,
            output_types: Value::Null,
            metadata: Value::Null,
            inputs: JobInputs::default(),
            made_of: None,
            runs: vec![],
            requirements: packages.iter().map(|p| (*p).to_owned()).collect(),
            created_at: Time(0),
            author: None,
        };
        let found = diff(&version("v0", "a.py", &["x==1", "y==1"]), &version("v1", "b.py", &["x==2", "y==1"]));
        assert_eq!(found.changes.iter().map(|c| c.field.as_str()).collect::<Vec<_>>(), ["entrypoint"]);
        assert_eq!(
            (found.requirements_removed, found.requirements_added),
            (vec!["x==1".to_owned()], vec!["x==2".to_owned()])
        );
    }
}
