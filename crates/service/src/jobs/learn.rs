//! A job made by hand learns its types from its first run.

use lanza_model::{
    id::ProjectId,
    input,
    job::{self, JOB_FILE, JobFile, PYTHON_CHOSEN},
};
use lanza_store::{
    artifacts::{ArtifactChange, Relation},
    runs::Run,
};
use serde_json::{Value, json};

use super::{FILE_LIMIT, from_run::config_values, merge_job_metadata, metadata_of, types};
use crate::{Result, Service, lenient};

/// How many versions are looked at for the one with the same content.
const VERSIONS: i64 = 100;

impl Service {
    /// Returns the metadata that a client announces a job version with, and beside it what an equal version has learned:
    /// the same command again says that the inputs are not known.
    pub(crate) async fn job_metadata_kept(
        &self,
        project: &ProjectId,
        (name, digest): (&str, &str),
        new: &str,
    ) -> Result<String> {
        let Some(collection) = self.store.collection_by_name(project, name).await? else { return Ok(new.to_owned()) };
        let versions = self.store.membership_list(&collection.id, None, VERSIONS).await?;
        let Some(equal) = versions.into_iter().find(|m| m.artifact.digest == digest) else { return Ok(new.to_owned()) };
        let merged = merge_job_metadata(equal.artifact.metadata.as_deref(), new);
        Ok(match serde_json::from_str(&merged) {
            Ok(Value::Object(mut merged)) if merged.contains_key("input_types") => {
                merged.remove("_partial");
                Value::Object(merged).to_string()
            }
            _ => merged,
        })
    }

    /// Notes the types of a launched run's config and summary in the metadata of its job, if that has none yet. The job
    /// file stays as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn job_learn(&self, run: &Run) -> Result<()> {
        if run.exit_code != Some(0) {
            return Ok(());
        }
        let item = match run.trace_id.as_deref().and_then(|id| id.parse().ok()) {
            Some(id) => self.store.item_by_id(&id).await?,
            None => None,
        };
        let Some(id) = item.and_then(|i| i.job_artifact).and_then(|id| id.parse().ok()) else { return Ok(()) };
        let Some(artifact) = self.store.artifact_by_id(&id).await? else { return Ok(()) };
        let metadata = metadata_of(&artifact);
        let known = &metadata["input_types"]["@wandb.config"];
        if artifact.collection.type_name != job::ARTIFACT_TYPE || !input::is_empty_types(known) {
            return Ok(());
        }
        let bytes = self.artifact_file_read(&artifact, JOB_FILE, FILE_LIMIT).await?.unwrap_or_default();
        // A job that was made of a run has its types in the file, or in the metadata where inputs are managed.
        let taught = !metadata["input_types"]["files"].as_object().is_none_or(serde_json::Map::is_empty);
        if taught || JobFile::parse(&bytes).map_or(true, |f| !input::is_empty_types(&f.input_types)) {
            return Ok(());
        }
        let mut summary = lenient::object(&run.summary);
        summary.remove("_wandb");
        let learned = json!({
            "input_types": { "@wandb.config": types::typed_dict(&config_values(&run.config)), "files": {} },
            "output_types": types::typed_dict(&summary),
        });
        let mut new = metadata.as_object().cloned().unwrap_or_default();
        new.remove("_partial");
        new.extend(learned.as_object().cloned().unwrap_or_default());
        let text = merge_job_metadata(artifact.metadata.as_deref(), &Value::Object(new).to_string());
        let change = ArtifactChange { metadata: Some(text), ..ArtifactChange::default() };
        self.store.artifact_update(&artifact.id, change, self.now()).await?;
        Ok(())
    }

    /// Notes in the metadata of a job that its Python version was chosen by a flag of `wandb job create`. The job file does
    /// not say it, and the client deletes the run whose arguments do.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn job_python_chosen(&self, run: &Run) -> Result<()> {
        let chosen = is_python_chosen(&run.config);
        for made in self.store.lineage_artifacts(run.id.as_str(), Relation::Output).await? {
            let mut metadata = metadata_of(&made).as_object().cloned().unwrap_or_default();
            let known = metadata.get(PYTHON_CHOSEN).and_then(Value::as_bool).unwrap_or(false);
            if made.collection.type_name != job::ARTIFACT_TYPE || known == chosen {
                continue;
            }
            metadata.insert(PYTHON_CHOSEN.to_owned(), chosen.into());
            let text = Some(Value::Object(metadata).to_string());
            let change = ArtifactChange { metadata: text, ..ArtifactChange::default() };
            self.store.artifact_update(&made.id, change, self.now()).await?;
        }
        Ok(())
    }
}

/// Whether the arguments in a run's config are those of a `job create` with a Python version.
fn is_python_chosen(config: &str) -> bool {
    let config = lenient::object(config);
    let environments = config.get("_wandb").and_then(|w| w["value"]["e"].as_object());
    environments.into_iter().flat_map(|e| e.values()).any(|environment| {
        let words: Vec<&str> = environment["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(("job", ["create", options @ ..])) = words.split_first().map(|(w, rest)| (*w, rest)) else {
            return false;
        };
        options.iter().any(|o| *o == "-r" || *o == "--runtime" || o.starts_with("--runtime=") || is_joined(o))
    })
}

/// Whether an option is `-r` with its value in the same word.
fn is_joined(option: &str) -> bool {
    option.strip_prefix("-r").is_some_and(|version| job::python_minor(version.trim_start_matches('=')).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_in_the_arguments_of_the_command_chooses_the_python_version() {
        let of = |args: &[&str]| {
            is_python_chosen(&json!({"_wandb": {"value": {"e": {"writer": {"args": args}}}}}).to_string())
        };
        let create = ["job", "create", "code", "."];
        for chosen in [&["-r", "3.11"][..], &["--runtime", "3.11"], &["--runtime=3.11"], &["-r3.11"], &["-r=3.11"]] {
            assert!(of(&[&create[..], chosen].concat()), "{chosen:?}");
        }
        for other in [&[][..], &["-n", "r"], &["-a", "3.11"], &["-rx"]] {
            assert!(!of(&[&create[..], other].concat()), "{other:?}");
        }
        assert!(!of(&["train.py", "-r", "3.11"]));
        assert!(!is_python_chosen("{}") && !is_python_chosen("no JSON"));
    }
}
