//! Artifacts: types, collections, versions, aliases, manifests, lineage, and which content is stored.
//!
//! A collection is a sequence (it makes versions) or a portfolio (it holds links to versions). Both show their versions
//! through membership rows, so one set of functions reads both. A version is `pending` until its commit gives it a
//! number, and stays as `deleted` afterwards, since jobs refer to code by id for ever.

mod change;
mod commit;
mod content;
mod create;
mod lineage;
mod merge;
mod read;
#[cfg(test)]
mod tests;

use lanza_model::{
    clock::Time,
    id::{ArtifactId, ArtifactTypeId, CollectionId, EntityId, ManifestId, ProjectId},
};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::{Result, row::Columns};

pub use change::ArtifactChange;
pub use content::StoredContent;
pub use create::{ArtifactCreation, NewArtifact};
pub use lineage::Relation;

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Files are still coming.
    Pending,
    /// Complete; it has a number.
    Committed,
    /// Gone; only the row is left.
    Deleted,
}

impl State {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Committed => "committed",
            Self::Deleted => "deleted",
        }
    }

    fn read(word: &str) -> Self {
        match word {
            "committed" => Self::Committed,
            "deleted" => Self::Deleted,
            _ => Self::Pending,
        }
    }
}

/// A type of artifacts.
#[derive(Debug, Clone)]
pub struct ArtifactType {
    /// Id.
    pub id: ArtifactTypeId,
    /// Project.
    pub project_id: ProjectId,
    /// Name: `dataset`, `model`, `code`, `job` …
    pub name: String,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// When it was first used.
    pub created_at: Time,
}

/// A collection, with the names of what it belongs to.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Id.
    pub id: CollectionId,
    /// Name.
    pub name: String,
    /// Whether it holds links only.
    pub portfolio: bool,
    /// Whether it is gone.
    pub deleted: bool,
    /// Type of its versions.
    pub type_id: ArtifactTypeId,
    /// Name of the type.
    pub type_name: String,
    /// Project.
    pub project_id: ProjectId,
    /// The project's number.
    pub project_number: i64,
    /// Name of the project.
    pub project: String,
    /// Entity.
    pub entity_id: EntityId,
    /// Name of the entity.
    pub entity: String,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it or one of its versions last changed.
    pub updated_at: Time,
}

/// One version.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Id.
    pub id: ArtifactId,
    /// The sequence that it is a version of.
    pub collection: Collection,
    /// Digest of the content, hexadecimal.
    pub digest: String,
    /// `MANIFEST_MD5` or `MANIFEST_XXH128`.
    pub digest_algorithm: String,
    /// Where it is in its life.
    pub state: State,
    /// Number of the version, from its commit on.
    pub version: Option<i64>,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// Metadata, JSON.
    pub metadata: Option<String>,
    /// History step of the run that made it.
    pub history_step: Option<i64>,
    /// Time to live in seconds; none is inherited, which means for ever.
    pub ttl_seconds: Option<i64>,
    /// Sum of its entries in bytes.
    pub size_bytes: i64,
    /// Number of its entries.
    pub file_count: i64,
    /// The manifest that counts.
    pub manifest_id: Option<ManifestId>,
    /// Row id of the run that made it.
    pub run_id: Option<String>,
    /// Id of that run that people see; none when the run is gone.
    pub run_name: Option<String>,
    /// Id of the author.
    pub author_id: String,
    /// Name of the author.
    pub author: String,
    /// When it was begun.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl Artifact {
    /// Returns `name:vN`, or the bare name while there is no number.
    pub fn version_name(&self) -> String {
        match self.version {
            Some(n) => format!("{}:v{n}", self.collection.name),
            None => self.collection.name.clone(),
        }
    }

    /// Returns `entity/project/name:vN`.
    pub fn reference(&self) -> String {
        format!("{}/{}/{}", self.collection.entity, self.collection.project, self.version_name())
    }
}

/// A version as a collection shows it.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The collection that shows it.
    pub collection: Collection,
    /// The version.
    pub artifact: Artifact,
    /// Its number in that collection.
    pub version: i64,
    /// Since when it is shown.
    pub created_at: Time,
}

/// A manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Id.
    pub id: ManifestId,
    /// The version that it lists the entries of.
    pub artifact_id: ArtifactId,
    /// File name.
    pub name: String,
    /// `FULL`, `PATCH` or `INCREMENTAL`.
    pub kind: String,
    /// Announced MD5 in base64; empty while it is not known.
    pub digest: String,
    /// Name of the blob, once the content has arrived.
    pub blob: Option<String>,
    /// Size in bytes, once the content has arrived.
    pub size_bytes: i64,
    /// When it was made.
    pub created_at: Time,
}

/// An entry of a committed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path inside the artifact.
    pub path: String,
    /// Digest as the manifest has it: base64 of the MD5 as a rule.
    pub digest: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// Where a reference points.
    pub reference: Option<String>,
    /// The version that first had this entry.
    pub birth_artifact_id: Option<String>,
    /// Name of the blob; none for a reference.
    pub blob: Option<String>,
}

const COLLECTION: &str = "c.id AS c_id, c.name AS c_name, c.portfolio AS c_portfolio, c.deleted AS c_deleted, \
    c.type_id AS c_type_id, t.name AS c_type, c.project_id AS c_project_id, p.number AS c_number, p.name AS c_project, \
    p.entity_id AS c_entity_id, e.name AS c_entity, c.description AS c_description, c.created_at AS c_created_at, \
    c.updated_at AS c_updated_at";

const COLLECTION_JOINS: &str = "JOIN artifact_types t ON t.id = c.type_id JOIN projects p ON p.id = c.project_id \
    JOIN entities e ON e.id = p.entity_id";

const ARTIFACT: &str = "a.id AS id, a.digest AS digest, a.digest_algorithm AS digest_algorithm, a.state AS state, \
    a.version AS version, a.description AS description, a.metadata AS metadata, a.history_step AS history_step, \
    a.ttl_seconds AS ttl_seconds, a.size_bytes AS size_bytes, a.file_count AS file_count, \
    a.manifest_id AS manifest_id, a.run_id AS run_id, made.name AS run_name, a.author_id AS author_id, \
    a.author AS author, a.created_at AS created_at, a.updated_at AS updated_at";

/// `SELECT` of versions; a condition over `a`, `c`, `t`, `p`, `e` follows.
fn artifact_select(tail: &str) -> String {
    format!(
        "SELECT {ARTIFACT}, {COLLECTION} FROM artifacts a JOIN artifact_collections c ON c.id = a.collection_id \
         LEFT JOIN runs made ON made.id = a.run_id {COLLECTION_JOINS} {tail}"
    )
}

/// `SELECT` of memberships with the version and its own sequence; a condition over `m`, `a`, `c` … follows.
fn member_select(tail: &str) -> String {
    format!(
        "SELECT m.collection_id AS m_collection_id, m.version AS m_version, m.created_at AS m_created_at, {ARTIFACT}, \
         {COLLECTION} FROM artifact_members m JOIN artifacts a ON a.id = m.artifact_id \
         JOIN artifact_collections c ON c.id = a.collection_id LEFT JOIN runs made ON made.id = a.run_id \
         {COLLECTION_JOINS} {tail}"
    )
}

fn collection_select(tail: &str) -> String {
    format!("SELECT {COLLECTION} FROM artifact_collections c {COLLECTION_JOINS} {tail}")
}

fn collection(row: &AnyRow) -> Result<Collection> {
    Ok(Collection {
        id: row.parsed("c_id")?,
        name: row.text("c_name")?,
        portfolio: row.flag("c_portfolio")?,
        deleted: row.flag("c_deleted")?,
        type_id: row.parsed("c_type_id")?,
        type_name: row.text("c_type")?,
        project_id: row.parsed("c_project_id")?,
        project_number: row.int("c_number")?,
        project: row.text("c_project")?,
        entity_id: row.parsed("c_entity_id")?,
        entity: row.text("c_entity")?,
        description: row.maybe_text("c_description")?,
        created_at: row.time("c_created_at")?,
        updated_at: row.time("c_updated_at")?,
    })
}

fn artifact(row: &AnyRow) -> Result<Artifact> {
    Ok(Artifact {
        id: row.parsed("id")?,
        collection: collection(row)?,
        digest: row.text("digest")?,
        digest_algorithm: row.text("digest_algorithm")?,
        state: State::read(&row.text("state")?),
        version: row.maybe_int("version")?,
        description: row.maybe_text("description")?,
        metadata: row.maybe_text("metadata")?,
        history_step: row.maybe_int("history_step")?,
        ttl_seconds: row.maybe_int("ttl_seconds")?,
        size_bytes: row.int("size_bytes")?,
        file_count: row.int("file_count")?,
        manifest_id: row.maybe_parsed("manifest_id")?,
        run_id: row.maybe_text("run_id")?,
        run_name: row.maybe_text("run_name")?,
        author_id: row.text("author_id")?,
        author: row.text("author")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn artifact_type(row: &AnyRow) -> Result<ArtifactType> {
    Ok(ArtifactType {
        id: row.parsed("id")?,
        project_id: row.parsed("project_id")?,
        name: row.text("name")?,
        description: row.maybe_text("description")?,
        created_at: row.time("created_at")?,
    })
}

/// `$first, $first+1, …` for `count` parameters.
fn placeholders(first: usize, count: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(count * 5);
    for i in 0..count {
        let _ = write!(text, "{}${}", if i == 0 { "" } else { ", " }, first + i);
    }
    text
}
