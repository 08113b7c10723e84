//! What changed between two versions of a job.

use lanza_api::artifact::{JobChange, JobDiff, JobVersion};
use serde_json::{Value, json};

use crate::{Actor, Result, Service};

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
        Ok(diff(&from, &to))
    }
}

fn diff(from: &JobVersion, to: &JobVersion) -> JobDiff {
    let fields = |v: &JobVersion| -> [(&'static str, Value); 6] {
        [
            ("source_type", json!(v.source_type)),
            ("source", v.source.clone()),
            ("entrypoint", json!(v.entrypoint)),
            ("python", json!(v.python)),
            ("input_types", v.input_types.clone()),
            ("output_types", v.output_types.clone()),
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
    }
}

#[cfg(test)]
mod tests {
    use lanza_model::clock::Time;

    use super::*;

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
