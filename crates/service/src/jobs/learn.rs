//! A job made by hand learns its types from its first run.

use lanza_model::{
    id::ProjectId,
    input,
    job::{self, JOB_FILE, JobFile},
};
use lanza_store::{artifacts::ArtifactChange, runs::Run};
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
}
