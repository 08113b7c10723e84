//! Jobs: a view over artifacts of type `job`.

mod code;
mod create;
mod diff;
mod equal;
mod from_run;
mod inputs;
mod learn;
#[cfg(test)]
mod tests;
mod types;

use std::collections::HashMap;

use lanza_api::artifact::{Job, JobVersion};
use lanza_model::{
    id::{ArtifactId, ProjectId},
    job::{self, FROZEN_REQUIREMENTS, JOB_FILE, JobFile, Source},
    spec::JobReference,
};
use lanza_store::artifacts::{Artifact, Collection, Membership, Relation};
use serde_json::{Value, json};

use crate::{Actor, Error, Result, Service};

pub use code::Begun as CodeBegun;
pub use create::{Made, Outcome};
pub use from_run::FromRun;

/// How many of its runs a version shows.
const RUNS: usize = 100;
/// Largest job file and list of requirements that is read, in bytes.
const FILE_LIMIT: i64 = 4 << 20;

/// A job version that a launch names.
#[derive(Debug, Clone)]
pub struct ResolvedJob {
    /// Id of the job's artifact.
    pub artifact_id: String,
    /// `entity/project/name:vN`.
    pub reference: String,
    /// What the job is.
    pub file: JobFile,
    /// Metadata of the version: schemas and types of its inputs.
    pub metadata: Value,
    /// Id of the artifact that holds the code, if it is a code job whose code the caller sees.
    pub code_artifact: Option<String>,
}

impl Service {
    /// Finds the job version that a reference means now; none when there is none that the caller sees.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the artifact is no job or its job file is malformed.
    pub async fn job_resolve(
        &self,
        actor: &Actor,
        reference: &JobReference,
        default_entity: &str,
        default_project: &str,
    ) -> Result<Option<ResolvedJob>> {
        let entity = reference.entity.as_deref().unwrap_or(default_entity);
        let project = reference.project.as_deref().unwrap_or(default_project);
        let Some(project) = self.artifact_project(actor, entity, project).await? else { return Ok(None) };
        let Some(collection) = self.collection_find(actor, &project, &reference.name).await? else {
            return Ok(None);
        };
        let Some(found) = self.membership_find(actor, &collection, &reference.alias).await? else { return Ok(None) };
        let artifact = found.artifact;
        let name = artifact.reference();
        if artifact.collection.type_name != job::ARTIFACT_TYPE {
            return Err(Error::invalid("job", format!("`{name}` is a {}, not a job", artifact.collection.type_name)));
        }
        let bytes = self.artifact_file_read(&artifact, JOB_FILE, FILE_LIMIT).await?;
        let bytes = bytes.ok_or_else(|| Error::invalid("job", format!("`{name}` has no {JOB_FILE}")))?;
        let file = JobFile::parse(&bytes).map_err(|e| Error::invalid("job", format!("`{name}`: {e}")))?;
        let code_artifact = match &file.source {
            Source::Code { artifact } => match self.artifact_find(actor, artifact).await {
                Ok(code) => Some(code.id.to_string()),
                Err(Error::NotFound { .. }) => None,
                Err(e) => return Err(e),
            },
            _ => None,
        };
        Ok(Some(ResolvedJob {
            artifact_id: artifact.id.to_string(),
            reference: name,
            file,
            metadata: metadata_of(&artifact),
            code_artifact,
        }))
    }

    /// Lists the jobs of a project by name, after `after`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the project.
    pub async fn job_list(
        &self,
        actor: &Actor,
        entity: &str,
        project: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Job>> {
        let project = self.job_project(actor, entity, project).await?;
        let (found, _) = self.collection_list(actor, &project, Some(job::ARTIFACT_TYPE), after, limit).await?;
        let mut jobs = Vec::with_capacity(found.len());
        for collection in found {
            jobs.push(self.job_view(actor, &collection).await?);
        }
        Ok(jobs)
    }

    /// Returns one job.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn job_find(&self, actor: &Actor, entity: &str, project: &str, name: &str) -> Result<Job> {
        let collection = self.job_collection(actor, entity, project, name).await?;
        self.job_view(actor, &collection).await
    }

    /// Lists the versions of a job, newest first, below version `before`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn job_version_list(
        &self,
        actor: &Actor,
        (entity, project, name): (&str, &str, &str),
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<JobVersion>> {
        let collection = self.job_collection(actor, entity, project, name).await?;
        let (members, _) = self.membership_list(actor, &collection, before, limit).await?;
        self.job_version_views(&members).await
    }

    /// Returns one version of a job: `vN`, an alias or a digest.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn job_version_find(
        &self,
        actor: &Actor,
        (entity, project, name): (&str, &str, &str),
        word: &str,
    ) -> Result<JobVersion> {
        let collection = self.job_collection(actor, entity, project, name).await?;
        let missing = || job_missing(&format!("{entity}/{project}/{name}:{word}"));
        let found = self.membership_find(actor, &collection, word).await?.ok_or_else(missing)?;
        let artifact = found.artifact.id.clone();
        let mut view = self.job_version_views(&[found]).await?.remove(0);
        self.job_version_runs(actor, &artifact, &mut view).await?;
        Ok(view)
    }

    /// Adds the runs of a version, and what its own run knows of the inputs. Who sees a version need not see its runs:
    /// a portfolio shows it elsewhere, and a job's token reads the job wherever it lies.
    async fn job_version_runs(&self, actor: &Actor, artifact: &ArtifactId, view: &mut JobVersion) -> Result<()> {
        let made_of = match self.job_maker(artifact).await? {
            Some(run) if self.entity_visible(actor, &run.entity).await? => Some(run),
            _ => None,
        };
        let used = self.store.lineage_runs(artifact, Relation::Input).await?;
        for id in used.iter().rev().take(RUNS) {
            match self.run_by_row(id).await? {
                Some(run) if made_of.as_ref().is_some_and(|m| m.id == run.id) => {}
                Some(run) if self.entity_visible(actor, &run.entity).await? => view.runs.push(run.name),
                _ => {}
            }
        }
        if let Some(run) = made_of {
            let config = Value::Object(from_run::config_values(&run.config));
            let mut defaults = inputs::Defaults { config, files: serde_json::Map::new() };
            for path in view.inputs.files.keys() {
                // One that is not there, or too large, leaves the form without values of its own.
                if let Ok(Some(bytes)) = self.run_file_read(&run, &inputs::file_of_run(path)).await
                    && let Some(values) = inputs::read_file(&bytes)
                {
                    defaults.files.insert(path.clone(), values);
                }
            }
            view.inputs = inputs::form(&view.metadata, &view.input_types, Some(&defaults));
            view.made_of = Some(run.name);
        }
        Ok(())
    }

    /// Returns the run that a version was made of, if it is still there. A client that makes the job of its own run says
    /// only that the run uses it; unlike other users of the job it was not launched.
    async fn job_maker(&self, artifact: &ArtifactId) -> Result<Option<lanza_store::runs::Run>> {
        for relation in [Relation::Job, Relation::Output, Relation::Input] {
            for id in self.store.lineage_runs(artifact, relation).await?.iter().take(RUNS) {
                match self.run_by_row(id).await? {
                    Some(run) if relation != Relation::Input || run.trace_id.is_none() => return Ok(Some(run)),
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    async fn run_by_row(&self, id: &str) -> Result<Option<lanza_store::runs::Run>> {
        match id.parse() {
            Ok(id) => Ok(self.store.run_by_id(&id).await?),
            Err(_) => Ok(None),
        }
    }

    async fn job_project(&self, actor: &Actor, entity: &str, project: &str) -> Result<ProjectId> {
        let found = self.artifact_project(actor, entity, project).await?;
        found.ok_or_else(|| Error::not_found("project", format!("{entity}/{project}")))
    }

    async fn job_collection(&self, actor: &Actor, entity: &str, project: &str, name: &str) -> Result<Collection> {
        let project_id = self.job_project(actor, entity, project).await?;
        let found = self.collection_find(actor, &project_id, name).await?;
        let found = found.filter(|c| c.type_name == job::ARTIFACT_TYPE && !c.portfolio);
        found.ok_or_else(|| job_missing(&format!("{entity}/{project}/{name}")))
    }

    async fn job_view(&self, actor: &Actor, collection: &Collection) -> Result<Job> {
        let newest = self.membership_find(actor, collection, "latest").await?;
        let newest = match newest {
            Some(found) => Some(found),
            // A job's token may see none but an older one.
            None => self.membership_list(actor, collection, None, 100).await?.0.into_iter().next(),
        };
        let latest = match newest {
            Some(found) => self.job_version_views(&[found]).await?.pop(),
            None => None,
        };
        Ok(Job {
            name: collection.name.clone(),
            entity: collection.entity.clone(),
            project: collection.project.clone(),
            description: collection.description.clone().unwrap_or_default(),
            latest,
            versions: self.store.membership_count(&collection.id).await?,
            created_at: collection.created_at,
        })
    }

    async fn job_version_views(&self, members: &[Membership]) -> Result<Vec<JobVersion>> {
        let ids: Vec<_> = members.iter().map(|m| &m.artifact.id).collect();
        let aliases = self.store.aliases_of(&ids).await?;
        let mut views = Vec::with_capacity(members.len());
        for member in members {
            views.push(self.job_version_view(member, &aliases).await?);
        }
        Ok(views)
    }

    async fn job_version_view(
        &self,
        member: &Membership,
        aliases: &HashMap<String, Vec<(lanza_model::id::CollectionId, String)>>,
    ) -> Result<JobVersion> {
        let artifact = &member.artifact;
        let bytes = self.artifact_file_read(artifact, JOB_FILE, FILE_LIMIT).await?.unwrap_or_default();
        let raw: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // What cannot be understood is still listed; a launch says what is wrong with it.
        let file = JobFile::parse(&bytes).ok();
        let requirements =
            self.artifact_file_read(artifact, FROZEN_REQUIREMENTS, FILE_LIMIT).await?.unwrap_or_default();
        let requirements = String::from_utf8_lossy(&requirements);
        let metadata = metadata_of(artifact);
        let own = aliases.get(artifact.id.as_str()).into_iter().flatten();
        Ok(JobVersion {
            id: artifact.id.to_string(),
            reference: artifact.reference(),
            version: format!("v{}", member.version),
            aliases: own.filter(|(c, _)| *c == member.collection.id).map(|(_, a)| a.clone()).collect(),
            source_type: file.as_ref().map(|f| f.source.kind().to_owned()).unwrap_or_default(),
            source: shown(raw["source"].clone()),
            entrypoint: file.as_ref().map(|f| f.entrypoint.clone()).unwrap_or_default(),
            python: file.as_ref().and_then(|f| f.python.clone()),
            input_types: raw["input_types"].clone(),
            inputs: inputs::form(&metadata, &raw["input_types"], None),
            output_types: match &metadata["output_types"] {
                Value::Null => raw["output_types"].clone(),
                learned => learned.clone(),
            },
            metadata,
            made_of: None,
            runs: Vec::new(),
            requirements: requirements.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect(),
            created_at: artifact.created_at,
            author: Some(artifact.author.clone()),
        })
    }
}

/// The metadata of a version as JSON; an empty object when it has none.
pub fn metadata_of(artifact: &Artifact) -> Value {
    artifact
        .metadata
        .as_deref()
        .and_then(|m| serde_json::from_str(m).ok())
        .filter(|m: &Value| !m.is_null())
        .unwrap_or_else(|| json!({}))
}

/// The metadata of a job after an update: the new document, with the schemas and types of the old one where the new one
/// has none or only empty ones.
pub(crate) fn merge_job_metadata(old: Option<&str>, new: &str) -> String {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(Value::Object(old)), Some(Value::Object(mut merged))) = (old.and_then(parse), parse(new)) else {
        return new.to_owned();
    };
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(o) => o.is_empty() || o.get("wb_type").and_then(Value::as_str) == Some("unknown"),
        _ => false,
    };
    for key in ["input_schemas", "input_types", "output_types", lanza_model::job::PYTHON_CHOSEN] {
        if let Some(kept) = old.get(key)
            && !empty(kept)
            && merged.get(key).is_none_or(empty)
        {
            merged.insert(key.to_owned(), kept.clone());
        }
    }
    Value::Object(merged).to_string()
}

fn job_missing(id: &str) -> Error {
    Error::NotFound { what: "job", id: id.to_owned(), code: lanza_model::code::JOB_NOT_FOUND }
}

/// A source as people see it. The client keeps an address as it was typed, password included, and the file is never
/// written anew.
fn shown(mut source: Value) -> Value {
    if let Some(Value::String(remote)) = source.pointer_mut("/git/remote") {
        *remote = lanza_model::git::shown(remote);
    }
    source
}
