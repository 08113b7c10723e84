//! Who sees which version, and what is in it.

use bytes::Bytes;
use lanza_model::{
    Role,
    id::{ArtifactId, CollectionId, ProjectId},
    spec::JobReference,
};
use lanza_store::{
    artifacts::{Artifact, Collection, FileEntry, Membership, Relation, State},
    runs::Run,
};

use crate::{Actor, Error, Result, Service, links::Claim};

/// The versions that a job's token sees beyond the entity of its run.
#[derive(Debug, Default)]
pub struct JobScopeArtifacts(Vec<Artifact>);

impl JobScopeArtifacts {
    /// Whether `artifact` is one of them.
    pub fn holds(&self, artifact: &Artifact) -> bool {
        self.0.iter().any(|a| a.id == artifact.id)
    }

    /// Whether one of them belongs to the collection.
    pub fn reaches_collection(&self, collection: &Collection) -> bool {
        self.0.iter().any(|a| a.collection.id == collection.id)
    }

    /// Whether one of them belongs to the project.
    pub fn reaches_project(&self, project: &ProjectId) -> bool {
        self.0.iter().any(|a| a.collection.project_id == *project)
    }
}

impl Service {
    /// Returns what the caller's token sees beyond the entity of its run; nothing for people. Each is something that the
    /// item's author still sees.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn job_scope_artifacts(&self, actor: &Actor) -> Result<JobScopeArtifacts> {
        let Some(scope) = &actor.job else { return Ok(JobScopeArtifacts::default()) };
        let mut found = Vec::new();
        for id in [&scope.job_artifact, &scope.code_artifact].into_iter().flatten() {
            if let Ok(id) = id.parse() {
                found.extend(self.store.artifact_by_id(&id).await?);
            }
        }
        for written in &scope.artifacts {
            found.extend(self.artifact_written(written, scope).await?);
        }
        let mut seen = Vec::with_capacity(found.len());
        for artifact in found {
            if self.store.member_role(&artifact.collection.entity_id, &actor.user_id).await?.is_some() {
                seen.push(artifact);
            }
        }
        Ok(JobScopeArtifacts(seen))
    }

    /// Finds a version by a reference as an item's inputs have it: an id, `wandb-artifact://…`, or
    /// `[entity/[project/]]name[:alias]`.
    pub(crate) async fn artifact_written(&self, written: &str, scope: &crate::JobScope) -> Result<Option<Artifact>> {
        let text = written.strip_prefix("wandb-artifact://").unwrap_or(written);
        let id = text.strip_prefix("_id/").unwrap_or(text);
        if let Ok(id) = id.parse() {
            return Ok(self.store.artifact_by_id(&id).await?);
        }
        let Ok(reference) = JobReference::parse(text) else { return Ok(None) };
        let entity = reference.entity.as_deref().unwrap_or(&scope.entity);
        let project = reference.project.as_deref().unwrap_or(&scope.project);
        let Some(entity) = self.store.entity_by_name(entity).await? else { return Ok(None) };
        let Some(project) = self.store.artifact_project_id(&entity.id, project).await? else { return Ok(None) };
        let Some(collection) = self.store.collection_by_name(&project, &reference.name).await? else {
            return Ok(None);
        };
        let found = self.store.membership_find(&collection.id, &reference.alias).await?;
        Ok(found.map(|m| m.artifact))
    }

    /// Whether the caller sees a version.
    pub(crate) async fn artifact_readable(&self, actor: &Actor, artifact: &Artifact) -> Result<bool> {
        if self.entity_visible(actor, &artifact.collection.entity).await? {
            return Ok(true);
        }
        if self.job_scope_artifacts(actor).await?.holds(artifact) {
            return Ok(true);
        }
        // A link in a portfolio that the caller sees shows the version as well.
        for membership in self.store.memberships_of(&artifact.id).await? {
            if membership.collection.portfolio && self.entity_visible(actor, &membership.collection.entity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) async fn entity_visible(&self, actor: &Actor, entity: &str) -> Result<bool> {
        match self.entity_for(actor, entity, Role::Viewer).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::Forbidden(_)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Finds a collection by name in a project that [`Service::artifact_project`] has found.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collection_find(&self, actor: &Actor, project: &ProjectId, name: &str) -> Result<Option<Collection>> {
        let Some(collection) = self.store.collection_by_name(project, name).await? else { return Ok(None) };
        let seen = self.entity_visible(actor, &collection.entity).await?
            || self.job_scope_artifacts(actor).await?.reaches_collection(&collection);
        Ok(seen.then_some(collection))
    }

    /// Finds a collection by id; none when there is none that the caller sees.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collection_find_by_id(&self, actor: &Actor, id: &str) -> Result<Option<Collection>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let Some(found) = self.store.collection_by_id(&id).await? else { return Ok(None) };
        // By its name it is found only while it is not deleted.
        let seen = self.collection_find(actor, &found.project_id, &found.name).await?;
        Ok(seen.filter(|collection| collection.id == id))
    }

    /// Reads a collection that the caller was found to see.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is gone since.
    pub async fn collection_again(&self, id: &CollectionId) -> Result<Collection> {
        let found = self.store.collection_by_id(id).await?;
        found.ok_or_else(|| Error::not_found("artifact collection", id.as_str()))
    }

    /// Lists the tags of a collection that the caller was found to see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collection_tags(&self, id: &CollectionId) -> Result<Vec<String>> {
        Ok(self.store.collection_tags(id).await?)
    }

    /// Lists the aliases in a collection that the caller was found to see, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collection_aliases(&self, id: &CollectionId) -> Result<Vec<String>> {
        Ok(self.store.collection_aliases(id).await?.into_iter().map(|(alias, _)| alias).collect())
    }

    /// Lists where a version is shown, as far as the caller sees the collections.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memberships_seen(&self, actor: &Actor, artifact: &ArtifactId) -> Result<Vec<Membership>> {
        let mut seen = Vec::new();
        for membership in self.store.memberships_of(artifact).await? {
            let collection = &membership.collection;
            if self.collection_find(actor, &collection.project_id, &collection.name).await?.is_some() {
                seen.push(membership);
            }
        }
        Ok(seen)
    }

    /// Lists the runs that use a version, as far as the caller sees them and they are not deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_users(&self, actor: &Actor, artifact: &ArtifactId) -> Result<Vec<Run>> {
        let mut seen = Vec::new();
        for id in self.store.lineage_runs(artifact, Relation::Input).await? {
            match self.run_by_row_id(actor, &id).await {
                Ok(run) => seen.push(run),
                Err(Error::NotFound { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(seen)
    }

    /// Finds what `word` (`vN`, alias or digest) means in a collection.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership_find(
        &self,
        actor: &Actor,
        collection: &Collection,
        word: &str,
    ) -> Result<Option<Membership>> {
        let Some(found) = self.store.membership_find(&collection.id, word).await? else { return Ok(None) };
        Ok(self.artifact_readable(actor, &found.artifact).await?.then_some(found))
    }

    /// Finds `name[:word]` in a project; without a word it is `latest`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership_named(&self, actor: &Actor, project: &ProjectId, name: &str) -> Result<Option<Membership>> {
        let (name, word) = name.split_once(':').unwrap_or((name, "latest"));
        match self.collection_find(actor, project, name).await? {
            Some(collection) => self.membership_find(actor, &collection, word).await,
            None => Ok(None),
        }
    }

    /// Returns the path of a signed link to an entry's content, or the reference that the entry is.
    pub fn artifact_file_link(&self, file: &FileEntry) -> FileLocation {
        match (&file.reference, &file.blob) {
            (None, Some(blob)) => {
                let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
                FileLocation::Link(self.link(Claim::BlobGet { blob: blob.clone(), name }))
            }
            (Some(reference), _) => FileLocation::Reference(reference.clone()),
            (None, None) => FileLocation::Reference(String::new()),
        }
    }

    /// Returns the path of a signed link to a version's manifest; none when it has not arrived.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn manifest_link(&self, artifact: &Artifact) -> Result<Option<String>> {
        let Some(id) = &artifact.manifest_id else { return Ok(None) };
        let manifest = self.store.manifest_by_id(id).await?;
        Ok(manifest.and_then(|m| {
            let blob = m.blob?;
            Some(self.link(Claim::BlobGet { blob, name: m.name }))
        }))
    }

    /// Reads one small file of a version as a whole; none when there is no such file, or it is a reference.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above `limit` bytes.
    pub async fn artifact_file_read(&self, artifact: &Artifact, path: &str, limit: i64) -> Result<Option<Bytes>> {
        let Some(file) = self.store.artifact_file(&artifact.id, path).await? else { return Ok(None) };
        if file.size_bytes > limit {
            return Err(Error::TooLarge { what: format!("the file `{path}`"), limit: format!("{limit} bytes") });
        }
        match &file.blob {
            Some(blob) => Ok(self.store.blobs().get(blob).await?),
            None => Ok(None),
        }
    }

    /// Finds the blob of a version's entry by its MD5 in hexadecimal, for the fallback routes of clients.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn artifact_content_find(&self, actor: &Actor, entity: &str, md5: &str) -> Result<String> {
        let missing = || Error::not_found("artifact content", md5);
        let entity = self.entity_for(actor, entity, Role::Viewer).await.map_err(|_| missing())?;
        let known = self.store.content_known(&entity.id, &[md5.to_lowercase()]).await?;
        known.into_values().next().map(|c| c.blob).ok_or_else(missing)
    }

    /// Records that a run uses a version.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the version or the run, [`Error::Forbidden`] for the run's project.
    pub async fn artifact_use(
        &self,
        actor: &Actor,
        id: &str,
        (entity, project, run): (&str, &str, &str),
        used_as: Option<String>,
    ) -> Result<Artifact> {
        let artifact = self.artifact_find(actor, id).await?;
        let found = self.project_writable(actor, entity, project).await?;
        let missing = || Error::not_found("run", run);
        let project = self.store.artifact_project_id(&found.id, project).await?.ok_or_else(missing)?;
        let run = self.store.artifact_run_id(&project, run).await?.ok_or_else(missing)?;
        self.store.lineage_put(&artifact.id, &run, Relation::Input, used_as, self.now()).await?;
        if artifact.collection.type_name == lanza_model::job::ARTIFACT_TYPE
            && let Ok(run) = run.parse()
        {
            self.store.run_set_job(&run, &artifact.reference()).await?;
        }
        Ok(artifact)
    }

    /// Lists the committed versions that are `relation` to a run, those that the caller sees, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_artifacts(&self, actor: &Actor, run: &str, relation: Relation) -> Result<Vec<Artifact>> {
        let mut seen = Vec::new();
        for artifact in self.store.lineage_artifacts(run, relation).await? {
            if self.artifact_readable(actor, &artifact).await? {
                seen.push(artifact);
            }
        }
        Ok(seen)
    }

    pub(super) async fn artifact_run_id(&self, project: &ProjectId, run: &str) -> Result<Option<String>> {
        Ok(self.store.artifact_run_id(project, run).await?)
    }

    /// Finds the version or the collection that a client's own id belongs to; returns our id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_client_id_find(&self, actor: &Actor, client_id: &str) -> Result<Option<String>> {
        match self.store.artifact_client_id(client_id).await? {
            (Some(artifact), _) => match self.artifact_find(actor, artifact.as_str()).await {
                Ok(found) if found.state != State::Deleted => Ok(Some(found.id.to_string())),
                Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            },
            (None, Some(collection)) => {
                let Some(found) = self.store.collection_by_id(&collection).await? else { return Ok(None) };
                let seen = self.entity_visible(actor, &found.entity).await?;
                Ok(seen.then(|| found.id.to_string()))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Where the content of an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileLocation {
    /// Path of a signed link of ours.
    Link(String),
    /// Somewhere else.
    Reference(String),
}
