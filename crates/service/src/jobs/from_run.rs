//! Jobs that are made of runs: by the server when a run ends, or by hand.

use bytes::Bytes;
use lanza_api::job::RunJob;
use lanza_model::job::{self, DIFF_FILE, FROZEN_REQUIREMENTS, JOB_FILE, Source};
use lanza_store::{
    artifacts::{Artifact, Relation},
    runs::Run,
};
use serde_json::{Map, Value};

use super::{FILE_LIMIT, Made, types};
use crate::{Actor, Error, Result, Service, artifacts::ArtifactRequest, lenient};

/// Kind of the hidden run of `wandb job create`.
const CREATES_JOB: &str = "cli_create_job";
/// Kinds of runs that are no work of anybody's: the hidden run of `wandb job create`, and a sweep's scheduler.
const NO_JOB_TYPES: [&str; 2] = [CREATES_JOB, "sweep-controller"];

/// What a job is made of, where somebody chooses.
#[derive(Debug, Clone, Default)]
pub struct FromRun {
    /// Name of the job; the documented default when it is missing.
    pub name: Option<String>,
    /// `code`, `git` or `image`; the first that the run has (image, code, git) when it is missing.
    pub source: Option<String>,
}

/// The files and documents of a run that say how to repeat it.
struct Material {
    metadata: Value,
    requirements: Bytes,
    code: Option<Artifact>,
}

impl Service {
    /// Makes the job of a run that has just ended, unless there is a reason not to: it was launched from a job, it made or
    /// used one itself, or it does not say what it ran. Returns the reference of the job. A launched run teaches its job
    /// the types of its inputs.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn job_of_ended_run(&self, actor: &Actor, run: &Run) -> Result<Option<String>> {
        if run.trace_id.is_some() {
            self.job_learn(run).await?;
        }
        if run.job_type.as_deref() == Some(CREATES_JOB) {
            self.job_python_chosen(run).await?;
        }
        if actor.job.is_some() || self.job_hindrance(run).await?.is_some() {
            return Ok(None);
        }
        match self.job_from_run(actor, run, FromRun::default()).await {
            Ok(made) => Ok(Some(made.artifact.reference())),
            Err(Error::Invalid { field, why, .. }) => {
                tracing::debug!(run = %run.name, "no job is made of this run: {field} {why}");
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Says why the server does not even try to make a job of a run.
    async fn job_hindrance(&self, run: &Run) -> Result<Option<String>> {
        if run.trace_id.is_some() {
            return Ok(Some("it was launched from a job or an image itself".to_owned()));
        }
        let kind = run.job_type.as_deref().unwrap_or_default();
        if NO_JOB_TYPES.contains(&kind) {
            return Ok(Some(format!("runs of the type `{kind}` are no work of their own")));
        }
        for (relation, verb) in [(Relation::Output, "made"), (Relation::Input, "used")] {
            let others = self.store.lineage_artifacts(run.id.as_str(), relation).await?;
            if let Some(other) = others.iter().find(|a| a.collection.type_name == job::ARTIFACT_TYPE) {
                return Ok(Some(format!("it {verb} the job `{}` itself", other.reference())));
            }
        }
        Ok(None)
    }

    /// Returns the job that a run ran or became, or says why there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn job_of_run(&self, run: &Run) -> Result<RunJob> {
        let view = self.run_view(run).await?;
        if view.job.is_some() {
            return Ok(RunJob { job: view.job, why: None });
        }
        for relation in [Relation::Output, Relation::Input] {
            let others = self.store.lineage_artifacts(run.id.as_str(), relation).await?;
            if let Some(own) = others.iter().find(|a| a.collection.type_name == job::ARTIFACT_TYPE) {
                return Ok(RunJob { job: Some(own.reference()), why: None });
            }
        }
        let why = match self.job_hindrance(run).await? {
            Some(why) => why,
            None if !run.state.is_ended() => format!("it is {}, and a job is made when a run ends", run.state),
            None => match self.run_parts(run, &FromRun::default()).await {
                Err(Error::Invalid { why, .. }) => why,
                Err(e) => return Err(e),
                Ok(_) => "its client never said that it was complete; `lanza job create run` makes the job".to_owned(),
            },
        };
        Ok(RunJob { job: None, why: Some(why) })
    }

    /// What a job of this run would be made of.
    async fn run_parts(&self, run: &Run, wanted: &FromRun) -> Result<(Material, Source, Vec<String>, String)> {
        let material = self.run_material(run).await?;
        let (source, entry) = self.run_source(run, &material, wanted.source.as_deref()).await?;
        let python = self.run_python(&material).await?;
        Ok((material, source, entry, python))
    }

    /// Makes a job version of a run. Equal content makes no new version.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what the run lacks; [`Error::Forbidden`].
    pub async fn job_from_run(&self, actor: &Actor, run: &Run, wanted: FromRun) -> Result<Made> {
        self.project_writable(actor, &run.entity, &run.project).await?;
        let (material, source, entry, python) = self.run_parts(run, &wanted).await?;
        let (default_name, tag) = match &source {
            Source::Image { image } => (job::default_image_name(image), job::image_and_tag(image).1),
            Source::Git { remote, .. } => (job::default_git_name(remote, &entry.join("/")), None),
            Source::Code { .. } => {
                let collection = material.code.as_ref().map(|c| c.collection.name.as_str()).unwrap_or_default();
                (job::default_code_name(collection), None)
            }
        };
        let command = if entry.is_empty() { Vec::new() } else { vec!["python".to_owned(), entry.join("/")] };
        let mut extra = Map::new();
        if command.last().is_some_and(|p| std::path::Path::new(p).extension().is_some_and(|e| e == "ipynb")) {
            extra.insert("notebook".into(), Value::Bool(true));
        }
        let inputs = types::typed_dict(&config_values(&run.config));
        let mut summary = lenient::object(&run.summary);
        summary.remove("_wandb");
        let file = job::write_job_file(&source, &command, Some(&python), extra, inputs, types::typed_dict(&summary));
        let mut files = vec![
            (JOB_FILE.to_owned(), Bytes::from(file.to_string())),
            (FROZEN_REQUIREMENTS.to_owned(), material.requirements),
        ];
        if matches!(source, Source::Git { .. })
            && let Some(diff) = self.run_file_read(run, DIFF_FILE).await?
        {
            files.push((DIFF_FILE.to_owned(), diff));
        }
        let request = ArtifactRequest {
            entity: run.entity.clone(),
            project: run.project.clone(),
            run: Some(run.name.clone()),
            type_name: job::ARTIFACT_TYPE.into(),
            collection: wanted.name.unwrap_or(default_name),
            aliases: tag.filter(|t| job::is_tag_alias(t)).into_iter().chain(["latest"]).map(str::to_owned).collect(),
            made_of_run: true,
            ..ArtifactRequest::default()
        };
        let made = self.job_write(actor, request, files).await?;
        self.store.run_set_job(&run.id, &made.artifact.reference()).await?;
        Ok(made)
    }

    async fn run_material(&self, run: &Run) -> Result<Material> {
        let lacks = |what: &str| Error::invalid("run", format!("`{}` has no {what}", run.name));
        let metadata =
            self.run_file_read(run, "wandb-metadata.json").await?.ok_or_else(|| lacks("wandb-metadata.json"))?;
        let metadata = serde_json::from_slice(&metadata).map_err(|_| lacks("readable wandb-metadata.json"))?;
        let requirements =
            self.run_file_read(run, "requirements.txt").await?.ok_or_else(|| lacks("requirements.txt"))?;
        let logged = self.store.lineage_artifacts(run.id.as_str(), Relation::Output).await?;
        let code = logged.into_iter().rfind(|a| a.collection.type_name == "code");
        Ok(Material { metadata, requirements, code })
    }

    /// The source and the path of the script in it; an image runs its own command.
    async fn run_source(&self, run: &Run, material: &Material, wanted: Option<&str>) -> Result<(Source, Vec<String>)> {
        let metadata = &material.metadata;
        let text = |value: &Value| value.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let lacks = |what: &str| Error::invalid("run", format!("`{}` {what}", run.name));
        let parts = |path: String| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        if let Some(word) = wanted
            && !["code", "git", "image"].contains(&word)
        {
            return Err(Error::invalid("source", format!("`{word}` is none of code, git, image")));
        }
        let asked = |word: &str| wanted.is_none_or(|w| w == word);
        if asked("image")
            && let Some(image) = text(&metadata["docker"])
        {
            return Ok((Source::Image { image }, Vec::new()));
        }
        if asked("code")
            && let Some(code) = &material.code
        {
            let path = self.code_entry(code, metadata).await?;
            let path = path.ok_or_else(|| lacks("does not say which file of its code it ran"))?;
            return Ok((Source::Code { artifact: code.id.to_string() }, parts(path)));
        }
        let git = &metadata["git"];
        let remote = text(&git["remote"]).or_else(|| run.git_remote.clone());
        let commit = text(&git["commit"]).or_else(|| run.git_commit.clone());
        if asked("git")
            && let (Some(remote), Some(commit)) = (remote, commit)
        {
            let path = text(&metadata["codePath"]).ok_or_else(|| lacks("does not say which file it ran"))?;
            return Ok((Source::Git { remote, commit }, parts(path)));
        }
        Err(lacks(match wanted {
            Some("image") => "names no image",
            Some("code") => "logged no code",
            Some(_) => "names no git remote and commit",
            None => "names no image, logged no code, and has no git remote and commit",
        }))
    }

    /// The path of the script inside of the logged code: as the client says it, else the one entry that the client's path
    /// ends with.
    async fn code_entry(&self, code: &Artifact, metadata: &Value) -> Result<Option<String>> {
        for key in ["codePathLocal", "codePath", "program"] {
            let Some(said) = metadata[key].as_str().filter(|s| !s.is_empty()) else { continue };
            if self.store.artifact_file(&code.id, said).await?.is_some() {
                return Ok(Some(said.to_owned()));
            }
            let all = self.store.artifact_file_list(&code.id, "", 10_000).await?;
            let mut ends = all.iter().filter(|f| said.strip_suffix(&f.path).is_some_and(|rest| rest.ends_with('/')));
            if let (Some(only), None) = (ends.next(), ends.next()) {
                return Ok(Some(only.path.clone()));
            }
        }
        Ok(None)
    }

    /// The Python version: as the code asks for, else the run's own.
    async fn run_python(&self, material: &Material) -> Result<String> {
        if let Some(code) = &material.code {
            for path in ["runtime.txt", ".python-version"] {
                let text = self.artifact_file_read(code, path, FILE_LIMIT).await?.unwrap_or_default();
                if let Some(minor) = job::python_minor(&String::from_utf8_lossy(&text)) {
                    return Ok(minor);
                }
            }
        }
        let said = material.metadata["python"].as_str().and_then(job::python_minor);
        said.ok_or_else(|| Error::invalid("run", "does not say which Python it ran on"))
    }

    pub(super) async fn run_file_read(&self, run: &Run, name: &str) -> Result<Option<Bytes>> {
        let Some(file) = self.store.run_file_by_name(&run.id, name).await? else { return Ok(None) };
        if file.size_bytes > FILE_LIMIT {
            return Err(Error::invalid("run", format!("`{}`: the file {name} is too large for a job", run.name)));
        }
        Ok(self.store.blobs().get(&file.blob).await?)
    }
}

/// The values of a config document, without the client's own section.
pub(super) fn config_values(config: &str) -> Map<String, Value> {
    let mut values = lenient::object(config);
    values.remove("_wandb");
    values
        .into_iter()
        .map(|(key, value)| match value {
            Value::Object(mut o) if o.contains_key("value") => (key, o.remove("value").unwrap_or_default()),
            other => (key, other),
        })
        .collect()
}
