//! Artifacts: who sees which, uploads that are whole or nothing, versions, aliases, lineage.
//!
//! A job's token sees more than the entity of its run: the item's job, that job's code, and the artifacts that the item
//! names as inputs ([`crate::JobScope`]), as long as the item's author sees them.

mod change;
mod manifest;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod view;

use lanza_model::{
    Role,
    id::{ArtifactId, ProjectId},
    job::is_version_alias,
    name,
};
use lanza_store::artifacts::{Artifact, Collection, State};

use crate::{Actor, Error, Result, Service};

pub use change::AliasName;
pub use read::{FileLocation, JobScopeArtifacts};
pub use upload::{ArtifactRequest, Begun, FileSlot, FileSpec, ManifestRequest, ManifestSlot};
pub use view::Extras;

/// How long a version may stay without a commit before it is forgotten, in ms.
pub const PENDING_MS: i64 = 7 * 24 * 3_600_000;

impl Service {
    /// Finds a version by id, in whatever state.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none that the caller sees.
    pub async fn artifact_find(&self, actor: &Actor, id: &str) -> Result<Artifact> {
        let missing = || Error::not_found("artifact", id);
        let parsed: ArtifactId = id.parse().map_err(|_| missing())?;
        let artifact = self.store.artifact_by_id(&parsed).await?.ok_or_else(missing)?;
        if self.artifact_readable(actor, &artifact).await? { Ok(artifact) } else { Err(missing()) }
    }

    /// Finds a version that the caller may change and that is not deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn artifact_writable(&self, actor: &Actor, id: &str) -> Result<Artifact> {
        let artifact = self.artifact_find(actor, id).await?;
        let collection = &artifact.collection;
        self.project_writable(actor, &collection.entity, &collection.project).await?;
        if artifact.state == State::Deleted {
            return Err(Error::not_found("artifact", id));
        }
        Ok(artifact)
    }

    /// Finds a collection by id that the caller may change.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn collection_writable(&self, actor: &Actor, id: &str) -> Result<Collection> {
        let missing = || Error::not_found("artifact collection", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let collection = self.store.collection_by_id(&parsed).await?.filter(|c| !c.deleted).ok_or_else(missing)?;
        self.project_writable(actor, &collection.entity, &collection.project).await.map_err(|e| match e {
            Error::NotFound { .. } => missing(),
            other => other,
        })?;
        Ok(collection)
    }

    /// Finds a project for reading artifacts; none when there is none that the caller sees.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_project(&self, actor: &Actor, entity: &str, project: &str) -> Result<Option<ProjectId>> {
        let Some(entity) = self.store.entity_by_name(entity).await? else { return Ok(None) };
        let Some(project) = self.store.artifact_project_id(&entity.id, project).await? else { return Ok(None) };
        let seen = match self.entity_for(actor, &entity.name, Role::Viewer).await {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => self.job_scope_artifacts(actor).await?.reaches_project(&project),
            Err(e) => return Err(e),
        };
        Ok(seen.then_some(project))
    }

    /// Finds the project that a caller writes into, making it first if there is none.
    pub(super) async fn artifact_project_ensure(
        &self,
        actor: &Actor,
        entity: &str,
        project: &str,
    ) -> Result<ProjectId> {
        Ok(self.project_ensure(actor, Some(entity), project, None).await?.0.id)
    }

    /// Deletes versions that were begun long ago and never committed. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_pending_forget(&self) -> Result<u64> {
        Ok(self.store.artifact_pending_delete(self.now().plus_ms(-PENDING_MS)).await?)
    }
}

/// Checks the name of an artifact type as the client does.
fn check_type(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 128 {
        return Err(Error::invalid("artifactTypeName", "has 1 to 128 characters"));
    }
    check_word("artifactTypeName", name)
}

fn check_word(field: &str, word: &str) -> Result<()> {
    match word.chars().find(|c| "/:".contains(*c) || c.is_control()) {
        Some(bad) => Err(Error::invalid(field, format!("`{}` contains `{}`", word.escape_debug(), bad.escape_debug()))),
        None => Ok(()),
    }
}

/// Checks aliases and leaves out those of the form `vN`, which belong to versions; returns these as well.
fn sort_aliases(aliases: Vec<String>) -> Result<(Vec<String>, Vec<String>)> {
    for alias in &aliases {
        if alias.is_empty() || alias.chars().count() > 128 {
            return Err(Error::invalid("alias", "has 1 to 128 characters"));
        }
        check_word("alias", alias)?;
    }
    Ok(aliases.into_iter().partition(|a| !is_version_alias(a)))
}

fn check_tags(tags: &[String]) -> Result<()> {
    for tag in tags {
        if tag.trim().is_empty() || tag.chars().count() > 256 || tag.chars().any(char::is_control) {
            return Err(Error::invalid("tags", "have 1 to 256 characters each"));
        }
    }
    Ok(())
}

fn check_collection(name: &str) -> Result<()> {
    Ok(name::check_collection(name)?)
}

fn check_metadata(metadata: Option<&String>) -> Result<()> {
    let Some(text) = metadata else { return Ok(()) };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(_) | serde_json::Value::Null) => Ok(()),
        Ok(_) => Err(Error::invalid("metadata", "is not a JSON object")),
        Err(e) => Err(Error::invalid("metadata", format!("is not JSON: {e}"))),
    }
}
