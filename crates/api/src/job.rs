//! How jobs are made.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::artifact::JobVersion;

/// Body that makes a job version. Equal content makes no new one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Name; by default it is made from the code's name, the git remote or the image.
    #[serde(default)]
    pub name: Option<String>,
    /// Where the code comes from.
    pub source: NewSource,
    /// Command that starts it; an image may go without.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Python `3.N`; not for images.
    #[serde(default)]
    pub python: Option<String>,
    /// Somebody chose that version, so nothing in the source overrides it.
    #[serde(default)]
    pub python_chosen: bool,
    /// Text of the packages that it needs, in the form of `requirements.txt`.
    #[serde(default)]
    pub requirements: String,
    /// Description.
    #[serde(default)]
    pub description: Option<String>,
    /// Aliases beside `latest`; an image's tag is one of them.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Folder of the source that a build is narrowed to.
    #[serde(default)]
    pub build_context: Option<String>,
    /// Dockerfile, relative to the build context.
    #[serde(default)]
    pub dockerfile: Option<String>,
    /// Image to lay the code over.
    #[serde(default)]
    pub base_image: Option<String>,
    /// Services that it starts: `always` or `never` by name.
    #[serde(default)]
    pub services: Map<String, Value>,
    /// JSON Schema of its config.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
}

/// Where the code of a new job comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewSource {
    /// Id of a committed code artifact.
    Code(String),
    /// A commit of a repository.
    Git {
        /// Address: https, ssh, or `user@host:path`.
        remote: String,
        /// Commit, branch or tag.
        commit: String,
    },
    /// Name of an image.
    Image(String),
}

/// Answer of what makes a job.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobMade {
    /// `created`, `updated`, or `unchanged` when the newest version has the same content.
    pub outcome: String,
    /// The version.
    #[serde(flatten)]
    pub version: JobVersion,
}

/// Body that announces the files of a job's code.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCode {
    /// Name of the code artifact.
    pub name: String,
    /// Its files.
    pub files: Vec<CodeFile>,
}

/// A file of a job's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeFile {
    /// Path inside of the code, with `/`.
    pub path: String,
    /// MD5 of its bytes in base64.
    pub md5: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// Which files of a job's code the server does not have yet. When they are there, `POST …/code/{id}/commit`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CodeUpload {
    /// Id of the code artifact.
    pub id: String,
    /// `vN` once it is committed: the same code was uploaded before.
    pub version: Option<String>,
    /// What to upload.
    pub uploads: Vec<Upload>,
}

/// A file to upload with `PUT`; the link needs no key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// Path inside of the code.
    pub path: String,
    /// Link, relative to the server's address.
    pub url: String,
}

/// Answer with a committed code artifact.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CodeCommitted {
    /// Id.
    pub id: String,
    /// `vN`.
    pub version: String,
}

/// The job that a run became or ran, or why it became none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunJob {
    /// `entity/project/name:vN`.
    pub job: Option<String>,
    /// Why there is none: a sentence. Null when there is one.
    pub why: Option<String>,
}

/// Answer of a run's `/job`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunJobAnswer {
    /// The job, or why there is none.
    pub job: RunJob,
}
