//! Artifacts, and jobs, which are artifacts of type `job`.

use lanza_model::clock::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One version of an artifact.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// Id.
    pub id: String,
    /// Entity.
    pub entity: String,
    /// Project.
    pub project: String,
    /// Type: `dataset`, `model`, `code`, `job` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the collection.
    pub name: String,
    /// `vN`.
    pub version: String,
    /// Aliases, without `vN`.
    pub aliases: Vec<String>,
    /// Digest of the content, hexadecimal.
    pub digest: String,
    /// Sum of its files in bytes.
    pub size_bytes: i64,
    /// Number of files.
    pub file_count: i64,
    /// What somebody wrote about it.
    pub description: String,
    /// Metadata.
    pub metadata: Value,
    /// When it was committed or made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// Run that produced it.
    pub created_by_run: Option<String>,
    /// Author.
    pub author: Option<String>,
}

/// Answer with one artifact version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArtifactAnswer {
    /// The version.
    pub artifact: Artifact,
}

/// A file of an artifact.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArtifactFile {
    /// Path inside the artifact.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// MD5 in base64 as a rule; the reference's digest for references.
    pub digest: String,
    /// Where a reference points.
    #[serde(default)]
    pub reference: Option<String>,
    /// Where to get it: a signed link (or the reference).
    pub url: String,
}

/// A job: a collection of versions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Name.
    pub name: String,
    /// Entity.
    pub entity: String,
    /// Project.
    pub project: String,
    /// What somebody wrote about it.
    pub description: String,
    /// The newest version.
    pub latest: Option<JobVersion>,
    /// How many versions it has.
    pub versions: i64,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
}

/// Answer with one job.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobAnswer {
    /// The job.
    pub job: Job,
}

/// One version of a job, parsed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobVersion {
    /// Id of the artifact.
    pub id: String,
    /// `entity/project/name:vN`.
    pub reference: String,
    /// `vN`.
    pub version: String,
    /// Aliases.
    pub aliases: Vec<String>,
    /// `code`, `git` or `image`.
    pub source_type: String,
    /// The source part of the job file.
    pub source: Value,
    /// Command, normalised.
    pub entrypoint: Vec<String>,
    /// Python `major.minor`.
    pub python: Option<String>,
    /// Type document of the inputs.
    pub input_types: Value,
    /// Type document of the outputs.
    pub output_types: Value,
    /// Metadata: schemas of the inputs, if it has them.
    pub metadata: Value,
    /// Packages of its frozen requirements.
    pub requirements: Vec<String>,
    /// What a launch may set, for a form.
    #[serde(default)]
    pub inputs: JobInputs,
    /// The run that it was made of, if that is still there.
    #[serde(default)]
    pub made_of: Option<String>,
    /// Runs that ran it, newest first, a hundred at most.
    #[serde(default)]
    pub runs: Vec<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// Author.
    pub author: Option<String>,
}

/// What a launch of a job may set, as JSON Schemas: the job's own where it has one, else made from the types of its first
/// run. A value that does not fit is refused on submit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobInputs {
    /// Where they come from: `schema`, `types`, or `unknown` until the first run.
    pub from: String,
    /// Schema of `overrides.run_config`; null when everything is taken.
    pub config: Value,
    /// Schemas of `overrides.files`, by path.
    pub files: serde_json::Map<String, Value>,
}

/// Answer with one job version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobVersionAnswer {
    /// The version.
    pub version: JobVersion,
}

/// Asks for a job that is made of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFromRun {
    /// Name of the job; by default it is made from the image, the code or the git remote.
    #[serde(default)]
    pub name: Option<String>,
    /// `code`, `git` or `image`; by default the first of image, code, git that the run has.
    #[serde(default)]
    pub source: Option<String>,
}

/// What changed between two versions of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobDiff {
    /// The older version, as a rule.
    pub from: String,
    /// The newer one.
    pub to: String,
    /// Fields that differ.
    pub changes: Vec<JobChange>,
    /// Packages of `from` that `to` does not have.
    pub requirements_removed: Vec<String>,
    /// Packages of `to` that `from` does not have.
    pub requirements_added: Vec<String>,
    /// Files of the code that differ, for two code jobs.
    #[serde(default)]
    pub files: Vec<FileChange>,
}

/// A file of a job's code that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    /// Path inside of the code.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobChange {
    /// `source`, `entrypoint`, `python` …
    pub field: String,
    /// Its older value.
    pub from: Value,
    /// Its newer value.
    pub to: Value,
}

/// Answer of a job's `/diff`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobDiffAnswer {
    /// The difference.
    pub diff: JobDiff,
}
