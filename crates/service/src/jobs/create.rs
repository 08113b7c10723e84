//! Jobs that people make: from code that was uploaded, from a commit, from an image.

use bytes::Bytes;
use lanza_api::{
    artifact::JobVersion,
    job::{JobMade, NewJob, NewSource},
};
use lanza_model::{
    git,
    job::{self, FROZEN_REQUIREMENTS, JOB_FILE, PYTHON_CHOSEN, Source},
};
use lanza_store::artifacts::{Artifact, ArtifactChange, State};
use serde_json::{Map, Value, json};

use super::{code::CODE_TYPE, metadata_of, types};
use crate::{Actor, Error, Result, Service, artifacts::ArtifactRequest};

/// Largest list of requirements, in bytes.
const REQUIREMENTS_BYTES: usize = 1 << 20;

/// What making a job came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The job is new.
    Created,
    /// It has a new version, or new schemas.
    Updated,
    /// There is a version with the same content.
    Unchanged,
}

impl Outcome {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A job version, made or found.
#[derive(Debug, Clone)]
pub struct Made {
    /// The version.
    pub artifact: Artifact,
    /// Which of both.
    pub outcome: Outcome,
}

impl Service {
    /// Makes a job version. Equal content makes no new one.
    ///
    /// # Errors
    /// [`Error::Invalid`] by field; [`Error::NotFound`] and [`Error::Forbidden`] for the project and the code.
    pub async fn job_create(&self, actor: &Actor, (entity, project): (&str, &str), new: NewJob) -> Result<Made> {
        self.project_writable(actor, entity, project).await?;
        check(&new)?;
        let (source, default_name, tag) = self.job_source(actor, &new.source).await?;
        let name = new.name.clone().unwrap_or(default_name);
        let entrypoint = job::runnable(new.entrypoint.clone());
        let is_notebook = |w: &&String| std::path::Path::new(w.as_str()).extension().is_some_and(|e| e == "ipynb");
        let mut extra = Map::new();
        if entrypoint.iter().any(|w| is_notebook(&w)) {
            extra.insert("notebook".into(), true.into());
        }
        let parts =
            [("build_context", &new.build_context), ("dockerfile", &new.dockerfile), ("base_image", &new.base_image)];
        extra.extend(parts.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v.clone()?.into()))));
        let nothing = || types::typed_dict(&Map::new());
        let mut file = job::write_job_file(&source, &entrypoint, new.python.as_deref(), extra, nothing(), nothing());
        if !new.services.is_empty() {
            file["services"] = Value::Object(new.services.clone());
        }
        if new.python_chosen {
            file[PYTHON_CHOSEN] = true.into();
        }
        let mut aliases = new.aliases.clone();
        // Also where the content is that of an older version: what was made last is what is meant.
        aliases.push("latest".to_owned());
        aliases.extend(tag.filter(|t| !aliases.contains(t)));
        let request = ArtifactRequest {
            entity: entity.to_owned(),
            project: project.to_owned(),
            type_name: job::ARTIFACT_TYPE.into(),
            collection: name,
            aliases,
            description: new.description.clone(),
            ..ArtifactRequest::default()
        };
        let files = vec![
            (JOB_FILE.to_owned(), Bytes::from(file.to_string())),
            (FROZEN_REQUIREMENTS.to_owned(), Bytes::from(new.requirements)),
        ];
        let mut made = self.job_write(actor, request, files).await?;
        self.job_set_schema(&mut made, new.schema).await?;
        Ok(made)
    }

    /// Writes the files of a job version and says what came of it.
    pub(super) async fn job_write(
        &self,
        actor: &Actor,
        mut request: ArtifactRequest,
        files: Vec<(String, Bytes)>,
    ) -> Result<Made> {
        let (entity, project, name) = (request.entity.clone(), request.project.clone(), request.collection.clone());
        let (mut before, mut equal) = (None, None);
        if let Some(found) = self.artifact_project(actor, &entity, &project).await?
            && let Some(collection) = self.collection_find(actor, &found, &name).await?
        {
            let newest = self.store.membership_list(&collection.id, None, 1).await?.pop();
            before = newest.map(|m| m.version);
            equal = self.job_equal(&collection, &files).await?;
        }
        let artifact = match equal {
            // Announced as what is there, so that aliases and lineage follow as with any repeat.
            Some(equal) => {
                (request.digest, request.digest_algorithm) = (equal.digest, equal.digest_algorithm);
                self.artifact_create(actor, request).await?.artifact
            }
            None => self.artifact_write(actor, request, files).await?,
        };
        let outcome = match (before, artifact.version) {
            (None, _) => Outcome::Created,
            (Some(before), Some(now)) if now <= before => Outcome::Unchanged,
            _ => Outcome::Updated,
        };
        Ok(Made { artifact, outcome })
    }

    /// Notes the schema of a version, or that its inputs are not known before its first run.
    async fn job_set_schema(&self, made: &mut Made, schema: Option<Value>) -> Result<()> {
        let before = metadata_of(&made.artifact);
        let mut metadata = before.as_object().cloned().unwrap_or_default();
        if let Some(schema) = schema {
            metadata.remove("_partial");
            let mut schemas = metadata.remove("input_schemas").unwrap_or_else(|| json!({}));
            schemas["@wandb.config"] = schema;
            metadata.insert("input_schemas".into(), schemas);
        } else if metadata.is_empty() {
            metadata.insert("_partial".into(), true.into());
        }
        if before.as_object() == Some(&metadata) {
            return Ok(());
        }
        let text = Value::Object(metadata).to_string();
        let change = ArtifactChange { metadata: Some(text.clone()), ..ArtifactChange::default() };
        self.store.artifact_update(&made.artifact.id, change, self.now()).await?;
        made.artifact.metadata = Some(text);
        if made.outcome == Outcome::Unchanged {
            made.outcome = Outcome::Updated;
        }
        Ok(())
    }

    /// Returns the source, the default name, and the alias that comes with it.
    async fn job_source(&self, actor: &Actor, source: &NewSource) -> Result<(Source, String, Option<String>)> {
        match source {
            NewSource::Code(id) => {
                let code = self.artifact_find(actor, id).await?;
                if code.collection.type_name != CODE_TYPE || code.state != State::Committed {
                    let name = code.version_name();
                    return Err(Error::invalid("source.code", format!("`{name}` is no committed code")));
                }
                let name = job::safe_name(&code.collection.name.replacen("code", "job", 1));
                Ok((Source::Code { artifact: code.id.to_string() }, name, None))
            }
            NewSource::Git { remote, commit } => {
                let refused = |field: &str, why: git::Refused| Error::Invalid {
                    field: field.into(),
                    why: why.to_string(),
                    code: lanza_model::code::GIT_REFUSED,
                };
                git::check_remote(remote).map_err(|e| refused("source.git.remote", e))?;
                git::check_reference(commit).map_err(|e| refused("source.git.commit", e))?;
                let name = job::default_git_name(remote, "");
                Ok((Source::Git { remote: remote.clone(), commit: commit.clone() }, name, None))
            }
            NewSource::Image(image) => {
                let plain = !image.starts_with('-') && !image.chars().any(|c| c.is_whitespace() || c.is_control());
                if image.is_empty() || !plain {
                    return Err(Error::invalid("source.image", "is not the name of an image"));
                }
                let tag = job::image_and_tag(image).1.filter(|t| job::is_tag_alias(t)).map(str::to_owned);
                Ok((Source::Image { image: image.clone() }, job::default_image_name(image), tag))
            }
        }
    }

    /// Shows a version that was made or found.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn job_made_view(&self, actor: &Actor, made: &Made) -> Result<JobMade> {
        let of = &made.artifact.collection;
        let word = made.artifact.version.map(|n| format!("v{n}")).unwrap_or_default();
        let version: JobVersion = self.job_version_find(actor, (&of.entity, &of.project, &of.name), &word).await?;
        Ok(JobMade { outcome: made.outcome.as_str().to_owned(), version })
    }
}

/// Checks what does not depend on anything that is stored.
fn check(new: &NewJob) -> Result<()> {
    let wrong = |field: &str, why: String| Err(Error::invalid(field, why));
    let image = matches!(new.source, NewSource::Image(_));
    if let Some(name) = &new.name {
        let safe = job::safe_name(name);
        if *name != safe || name.is_empty() {
            let why = format!("`{name}` has other characters than letters, digits, `-`, `_`, `.`; `{safe}` would do");
            return wrong("name", why);
        }
    }
    if let Some(alias) = new.aliases.iter().find(|a| job::is_version_alias(a)) {
        return wrong("aliases", format!("`{alias}` belongs to a version and cannot be given"));
    }
    match &new.python {
        Some(_) if image => return wrong("python", "is the image's own; leave it out".into()),
        Some(python) if !is_python(python) => {
            return wrong("python", format!("`{python}` is not of the form 3.N, as in 3.12"));
        }
        _ => {}
    }
    if image && (new.dockerfile.is_some() || new.build_context.is_some() || new.base_image.is_some()) {
        return wrong("source.image", "is not built: leave dockerfile, build_context and base_image out".into());
    }
    if !image && new.entrypoint.is_empty() && new.dockerfile.is_none() {
        return wrong("entrypoint", "is missing: say what starts the job".into());
    }
    if new.entrypoint.iter().any(|w| w.is_empty() || w.contains('\0')) {
        return wrong("entrypoint", "has an empty word".into());
    }
    if matches!(new.source, NewSource::Git { .. }) && new.entrypoint.iter().any(|w| w.split('/').any(|p| p == "..")) {
        return wrong("entrypoint", "leads out of the repository".into());
    }
    for (field, path) in [("build_context", &new.build_context), ("dockerfile", &new.dockerfile)] {
        if let Some(path) = path
            && (path.is_empty() || path.starts_with(['/', '-']) || path.split('/').any(|p| p == ".."))
        {
            return wrong(field, format!("`{path}` is not a path inside of the source"));
        }
    }
    if let Some(image) = &new.base_image
        && (image.is_empty() || image.starts_with('-') || image.chars().any(|c| c.is_whitespace() || c == '#'))
    {
        return wrong("base_image", format!("`{image}` is not the name of an image"));
    }
    if let Some((name, policy)) =
        new.services.iter().find(|(_, p)| !["always", "never"].contains(&p.as_str().unwrap_or("")))
    {
        return wrong("services", format!("`{name}` is {policy}, which is neither always nor never"));
    }
    if new.schema.as_ref().is_some_and(|s| !s.is_object()) {
        return wrong("schema", "is not a JSON Schema object".into());
    }
    if new.requirements.len() > REQUIREMENTS_BYTES {
        return Err(Error::TooLarge { what: "the list of requirements".into(), limit: "1 MiB".into() });
    }
    Ok(())
}

fn is_python(text: &str) -> bool {
    text.strip_prefix("3.").is_some_and(|n| !n.is_empty() && n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()))
}
