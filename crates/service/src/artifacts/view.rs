//! Lists, and versions as the native API shows them.

use std::collections::HashMap;

use lanza_api::artifact::{Artifact as ArtifactView, ArtifactFile};
use lanza_model::id::{CollectionId, ProjectId};
use lanza_store::artifacts::{Artifact, ArtifactType, Collection, FileEntry, Membership, State};

use super::FileLocation;
use crate::{Actor, Error, Result, Service, jobs::metadata_of};

/// What belongs to versions beside what is in them, read for many at once; each by the version's id.
#[derive(Debug, Default)]
pub struct Extras {
    /// Aliases, each with the collection that it is in.
    pub aliases: HashMap<String, Vec<(CollectionId, String)>>,
    /// Tags.
    pub tags: HashMap<String, Vec<String>>,
    /// The other collections that aliases are in, by their id.
    pub portfolios: HashMap<String, Collection>,
}

impl Service {
    /// Whether the caller sees all of a project, rather than single versions of it.
    async fn project_listable(&self, actor: &Actor, project: &ProjectId) -> Result<bool> {
        match self.store.project_by_id(project).await? {
            Some(project) => self.entity_visible(actor, &project.entity).await,
            None => Ok(false),
        }
    }

    /// Lists the artifact types of a project by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_type_list(&self, actor: &Actor, project: &ProjectId) -> Result<Vec<ArtifactType>> {
        if !self.project_listable(actor, project).await? {
            return Ok(Vec::new());
        }
        Ok(self.store.artifact_type_list(project).await?)
    }

    /// Lists the collections of a project that show a version, by name after `after`, and counts them all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collection_list(
        &self,
        actor: &Actor,
        project: &ProjectId,
        type_name: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<(Vec<Collection>, i64)> {
        if !self.project_listable(actor, project).await? {
            return Ok((Vec::new(), 0));
        }
        let found = self.store.collection_list(project, type_name, after, limit).await?;
        Ok((found, self.store.collection_count(project, type_name).await?))
    }

    /// Lists the versions that a collection shows, newest first, below version `before`, and counts them all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership_list(
        &self,
        actor: &Actor,
        collection: &Collection,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(Vec<Membership>, i64)> {
        let mut found = self.store.membership_list(&collection.id, before, limit).await?;
        let mut count = self.store.membership_count(&collection.id).await?;
        if !self.entity_visible(actor, &collection.entity).await? {
            let reached = self.job_scope_artifacts(actor).await?;
            found.retain(|m| reached.holds(&m.artifact));
            count = found.len() as i64;
        }
        Ok((found, count))
    }

    /// Lists the committed versions of a project, newest first, before the id `before`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_list(
        &self,
        actor: &Actor,
        project: &ProjectId,
        type_name: Option<&str>,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Artifact>> {
        if !self.project_listable(actor, project).await? {
            return Ok(Vec::new());
        }
        Ok(self.store.artifact_list(project, type_name, before, limit).await?)
    }

    /// Finds the version that `entity/project/type/name/version` names.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn artifact_named(
        &self,
        actor: &Actor,
        (entity, project): (&str, &str),
        (type_name, name): (&str, &str),
        word: &str,
    ) -> Result<Artifact> {
        let missing = || Error::not_found("artifact", format!("{entity}/{project}/{name}:{word}"));
        let project = self.artifact_project(actor, entity, project).await?.ok_or_else(missing)?;
        let collection = self.collection_find(actor, &project, name).await?;
        let collection = collection.filter(|c| c.type_name == type_name).ok_or_else(missing)?;
        let found = self.membership_find(actor, &collection, word).await?.ok_or_else(missing)?;
        Ok(found.artifact)
    }

    /// Lists the entries of a version by path, after `after`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the version is deleted: a job must not run without its code.
    pub async fn artifact_file_list(&self, artifact: &Artifact, after: &str, limit: i64) -> Result<Vec<FileEntry>> {
        if artifact.state == State::Deleted {
            return Err(Error::not_found("artifact", artifact.id.to_string()));
        }
        Ok(self.store.artifact_file_list(&artifact.id, after, limit).await?)
    }

    /// Finds entries of a version by their paths, in the order of the paths; what is not there is left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_files_named(&self, artifact: &Artifact, paths: &[String]) -> Result<Vec<FileEntry>> {
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            found.extend(self.store.artifact_file(&artifact.id, path).await?);
        }
        Ok(found)
    }

    /// Reads aliases and tags of versions that the caller was found to see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_extras(&self, artifacts: &[&Artifact]) -> Result<Extras> {
        let ids: Vec<_> = artifacts.iter().map(|a| &a.id).collect();
        let aliases = self.store.aliases_of(&ids).await?;
        let tags = self.store.tags_of(&ids).await?;
        let mut portfolios = HashMap::new();
        for artifact in artifacts {
            for (id, _) in aliases.get(artifact.id.as_str()).into_iter().flatten() {
                if *id != artifact.collection.id && !portfolios.contains_key(id.as_str()) {
                    portfolios.extend(self.store.collection_by_id(id).await?.map(|c| (id.to_string(), c)));
                }
            }
        }
        Ok(Extras { aliases, tags, portfolios })
    }

    /// Renders an entry for the native API; `base_url` is the server's address as the caller sees it.
    pub fn artifact_file_view(&self, file: FileEntry, base_url: &str) -> ArtifactFile {
        let url = match self.artifact_file_link(&file) {
            FileLocation::Link(path) => format!("{base_url}{path}"),
            FileLocation::Reference(url) => url,
        };
        ArtifactFile {
            path: file.path,
            size_bytes: file.size_bytes,
            digest: file.digest,
            reference: file.reference,
            url,
        }
    }

    /// Renders versions for the native API.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn artifact_views(&self, artifacts: &[Artifact]) -> Result<Vec<ArtifactView>> {
        let ids: Vec<_> = artifacts.iter().map(|a| &a.id).collect();
        let mut aliases = self.store.aliases_of(&ids).await?;
        Ok(artifacts
            .iter()
            .map(|artifact| {
                let own = aliases.remove(artifact.id.as_str()).unwrap_or_default();
                let collection = &artifact.collection;
                ArtifactView {
                    id: artifact.id.to_string(),
                    entity: collection.entity.clone(),
                    project: collection.project.clone(),
                    kind: collection.type_name.clone(),
                    name: collection.name.clone(),
                    version: artifact.version.map(|n| format!("v{n}")).unwrap_or_default(),
                    aliases: own.into_iter().filter(|(c, _)| *c == collection.id).map(|(_, alias)| alias).collect(),
                    digest: artifact.digest.clone(),
                    size_bytes: artifact.size_bytes,
                    file_count: artifact.file_count,
                    description: artifact.description.clone().unwrap_or_default(),
                    metadata: metadata_of(artifact),
                    created_at: artifact.created_at,
                    created_by_run: artifact.run_name.clone(),
                    author: Some(artifact.author.clone()),
                }
            })
            .collect())
    }
}
