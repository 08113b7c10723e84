//! Changing what exists.

use lanza_model::id::CollectionId;
use lanza_store::artifacts::{Artifact, ArtifactChange, ArtifactCreation, Collection, Membership, Relation, State};

use super::{check_collection, check_metadata, check_tags, check_type, sort_aliases};
use crate::{Actor, Error, Result, Service};

/// An alias as clients name it.
#[derive(Debug, Clone)]
pub struct AliasName {
    /// Entity.
    pub entity: String,
    /// Project.
    pub project: String,
    /// Collection.
    pub collection: String,
    /// The alias.
    pub alias: String,
}

impl Service {
    /// Changes a version. New metadata replaces all of the old, but for the input and output types of a job: clients send
    /// empty ones from runs that have nothing to say about them (contract, section 5).
    ///
    /// # Errors
    /// [`Error::Invalid`] for bad aliases, tags or metadata; [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn artifact_update(&self, actor: &Actor, id: &str, mut change: ArtifactChange) -> Result<Artifact> {
        let artifact = self.artifact_writable(actor, id).await?;
        check_tags(&change.tags_add)?;
        check_metadata(change.metadata.as_ref())?;
        if let Some(aliases) = change.aliases.take() {
            change.aliases = Some(sort_aliases(aliases)?.0);
        }
        if artifact.collection.type_name == lanza_model::job::ARTIFACT_TYPE
            && let Some(new) = &change.metadata
        {
            change.metadata = Some(crate::jobs::merge_job_metadata(artifact.metadata.as_deref(), new));
        }
        if change.aliases.is_some() && artifact.state != State::Committed {
            return Err(Error::conflict(format!("`{}` is not committed yet", artifact.version_name())));
        }
        self.store.artifact_update(&artifact.id, change, self.now()).await?;
        self.artifact_find(actor, id).await
    }

    /// Gives a committed version aliases in collections that show it; versions that had them lose them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when a collection is not there or does not show it.
    pub async fn artifact_aliases_add(&self, actor: &Actor, id: &str, aliases: Vec<AliasName>) -> Result<()> {
        let artifact = self.artifact_find(actor, id).await?;
        let named = self.alias_collections(actor, aliases).await?;
        for (collection, _) in &named {
            if self.store.membership_of(&collection.id, &artifact.id).await?.is_none() {
                let shown = format!("{} in `{}`", artifact.version_name(), collection.name);
                return Err(Error::not_found("artifact", shown));
            }
        }
        let aliases = named.into_iter().map(|(c, alias)| (c.id, alias)).collect();
        Ok(self.store.aliases_put(&artifact.id, aliases).await?)
    }

    /// Takes aliases from a version.
    ///
    /// # Errors
    /// [`Error::NotFound`] when a collection is not there.
    pub async fn artifact_aliases_delete(&self, actor: &Actor, id: &str, aliases: Vec<AliasName>) -> Result<()> {
        let artifact = self.artifact_find(actor, id).await?;
        let named = self.alias_collections(actor, aliases).await?;
        let aliases = named.into_iter().map(|(c, alias)| (c.id, alias)).collect();
        Ok(self.store.aliases_delete(&artifact.id, aliases).await?)
    }

    /// The collections of aliases, each of which the caller may write into; `vN` is left out.
    async fn alias_collections(&self, actor: &Actor, aliases: Vec<AliasName>) -> Result<Vec<(Collection, String)>> {
        let mut named = Vec::with_capacity(aliases.len());
        for name in aliases {
            let Some(alias) = sort_aliases(vec![name.alias])?.0.pop() else { continue };
            self.project_writable(actor, &name.entity, &name.project).await?;
            let missing = || {
                Error::not_found("artifact collection", format!("{}/{}/{}", name.entity, name.project, name.collection))
            };
            let project = self.artifact_project(actor, &name.entity, &name.project).await?.ok_or_else(missing)?;
            let collection = self.collection_find(actor, &project, &name.collection).await?.ok_or_else(missing)?;
            named.push((collection, alias));
        }
        Ok(named)
    }

    /// Deletes a version; what is left is a tombstone, so that jobs can say that their code is gone.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it has aliases and `with_aliases` is not set.
    pub async fn artifact_delete(&self, actor: &Actor, id: &str, with_aliases: bool) -> Result<Artifact> {
        let artifact = self.artifact_writable(actor, id).await?;
        match self.store.artifact_delete(&artifact.id, with_aliases, self.now()).await {
            Ok(()) => self.artifact_find(actor, id).await,
            Err(lanza_store::Error::Moved) => Err(Error::conflict(format!(
                "`{}` still has aliases; delete them as well, or give them to another version first",
                artifact.version_name()
            ))),
            Err(e) => Err(e.into()),
        }
    }

    /// Deletes what a run logged, for a caller who may delete the run. Aliases go as well.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_artifacts_delete(&self, run: &str) -> Result<()> {
        for artifact in self.store.lineage_artifacts(run, Relation::Output).await? {
            if artifact.run_id.as_deref() == Some(run) {
                self.store.artifact_delete(&artifact.id, true, self.now()).await?;
            }
        }
        Ok(())
    }

    /// Shows a committed version in a portfolio, which is made when it is new.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name belongs to a sequence or the type differs; [`Error::Conflict`] for a version that
    /// is not committed.
    pub async fn artifact_link(
        &self,
        actor: &Actor,
        id: &str,
        (entity, project, portfolio): (&str, &str, &str),
        aliases: Vec<String>,
    ) -> Result<Membership> {
        let artifact = self.artifact_find(actor, id).await?;
        if artifact.state != State::Committed {
            return Err(Error::conflict(format!("`{}` is not committed", artifact.version_name())));
        }
        check_collection(portfolio)?;
        let (aliases, _) = sort_aliases(aliases)?;
        let project = self.artifact_project_ensure(actor, entity, project).await?;
        let linked = self.store.artifact_link(&artifact, (&project, portfolio), aliases, self.now()).await?;
        linked.map_err(|refused| match refused {
            ArtifactCreation::OtherType(found) => Error::invalid(
                "artifactPortfolioName",
                format!(
                    "`{portfolio}` holds the type `{found}`, and the artifact is a {}",
                    artifact.collection.type_name
                ),
            ),
            _ => Error::invalid("artifactPortfolioName", format!("`{portfolio}` is an artifact of its own")),
        })
    }

    /// Takes a version out of a portfolio. Returns whether it was there.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; [`Error::Invalid`] when it is no portfolio.
    pub async fn artifact_unlink(&self, actor: &Actor, id: &str, portfolio: &str) -> Result<bool> {
        let artifact = self.artifact_find(actor, id).await?;
        let collection = self.collection_writable(actor, portfolio).await?;
        if !collection.portfolio {
            return Err(Error::invalid("artifactPortfolioID", format!("`{}` is no portfolio", collection.name)));
        }
        Ok(self.store.artifact_unlink(&artifact.id, &collection.id).await?)
    }

    /// Makes sure that a type exists in a project.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name; [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn artifact_type_create(
        &self,
        actor: &Actor,
        (entity, project): (&str, &str),
        name: &str,
        description: Option<String>,
    ) -> Result<lanza_store::artifacts::ArtifactType> {
        check_type(name)?;
        let project = self.artifact_project_ensure(actor, entity, project).await?;
        self.store.artifact_type_ensure(&project, name, description, self.now()).await?;
        let types = self.store.artifact_type_list(&project).await?;
        types.into_iter().find(|t| t.name == name).ok_or_else(|| Error::not_found("artifact type", name))
    }

    /// Renames a collection or describes it anew.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is taken.
    pub async fn collection_update(
        &self,
        actor: &Actor,
        id: &str,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<Collection> {
        let collection = self.collection_writable(actor, id).await?;
        if let Some(name) = &name {
            check_collection(name)?;
        }
        let new_name = name.clone().unwrap_or_default();
        self.store.collection_update(&collection.id, name, description, self.now()).await.map_err(|e| match e {
            lanza_store::Error::Exists => Error::AlreadyExists { what: "an artifact collection", id: new_name },
            other => other.into(),
        })?;
        self.collection_writable(actor, id).await
    }

    /// Moves a sequence to another type.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad type.
    pub async fn collection_move(&self, actor: &Actor, id: &str, type_name: &str) -> Result<Collection> {
        check_type(type_name)?;
        let collection = self.collection_writable(actor, id).await?;
        self.store.collection_set_type(&collection.id, &collection.project_id, type_name, self.now()).await?;
        self.collection_writable(actor, id).await
    }

    /// Deletes a collection with all that it holds; returns it as it was.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn collection_delete(&self, actor: &Actor, id: &str) -> Result<Collection> {
        let collection = self.collection_writable(actor, id).await?;
        self.store.collection_delete(&collection.id, self.now()).await?;
        Ok(collection)
    }

    /// Adds tags to a collection and takes others away; returns those that it has then.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad tag; [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn collection_tags_change(
        &self,
        actor: &Actor,
        (entity, project, name): (&str, &str, &str),
        add: Vec<String>,
        delete: Vec<String>,
    ) -> Result<Vec<String>> {
        check_tags(&add)?;
        self.project_writable(actor, entity, project).await?;
        let missing = || Error::not_found("artifact collection", format!("{entity}/{project}/{name}"));
        let project = self.artifact_project(actor, entity, project).await?.ok_or_else(missing)?;
        let collection: CollectionId = self.collection_find(actor, &project, name).await?.ok_or_else(missing)?.id;
        Ok(self.store.collection_tags_change(&collection, add, delete).await?)
    }
}
