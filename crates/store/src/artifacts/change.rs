//! Changing what exists: aliases, tags, descriptions, links, deletion.

use lanza_model::{
    clock::Time,
    id::{ArtifactId, CollectionId, ProjectId},
};

use super::{
    Artifact, ArtifactCreation, Membership,
    commit::{alias_put_in_tx, member_put_in_tx},
    create::collection_ensure_in_tx,
};
use crate::{Error, Result, Store, Tx, lookups::Area, row::Columns};

/// What changes about a version; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct ArtifactChange {
    /// New description.
    pub description: Option<String>,
    /// New metadata as a whole, JSON.
    pub metadata: Option<String>,
    /// New time to live in seconds.
    pub ttl_seconds: Option<i64>,
    /// Tags to add.
    pub tags_add: Vec<String>,
    /// Tags to take away.
    pub tags_delete: Vec<String>,
    /// The whole list of its aliases in its own collection.
    pub aliases: Option<Vec<String>>,
}

pub(super) async fn tag_put_in_tx(tx: &mut Tx, artifact: &str, tag: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO artifact_tags (artifact_id, tag) VALUES ($1, $2) ON CONFLICT (artifact_id, tag) DO NOTHING",
    )
    .bind(artifact)
    .bind(tag)
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn alias_delete_in_tx(tx: &mut Tx, collection: &str, alias: &str, artifact: &str) -> Result<()> {
    sqlx::query("DELETE FROM artifact_aliases WHERE collection_id = $1 AND alias = $2 AND artifact_id = $3")
        .bind(collection)
        .bind(alias)
        .bind(artifact)
        .execute(tx.connection())
        .await?;
    Ok(())
}

impl Store {
    /// Changes a version.
    ///
    /// # Errors
    /// [`Error::Moved`] when it is deleted or unknown.
    pub async fn artifact_update(&self, id: &ArtifactId, change: ArtifactChange, now: Time) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, change) = (id.clone(), change.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "UPDATE artifacts SET description = COALESCE($2, description), metadata = COALESCE($3, metadata), \
                     ttl_seconds = COALESCE($4, ttl_seconds), updated_at = $5 \
                     WHERE id = $1 AND state <> 'deleted' RETURNING collection_id",
                )
                .bind(id.as_str())
                .bind(change.description.as_deref())
                .bind(change.metadata.as_deref())
                .bind(change.ttl_seconds)
                .bind(now.0)
                .fetch_optional(tx.connection())
                .await?
                .ok_or(Error::Moved)?;
                let collection = row.text("collection_id")?;
                for tag in &change.tags_add {
                    tag_put_in_tx(tx, id.as_str(), tag).await?;
                }
                for tag in &change.tags_delete {
                    sqlx::query("DELETE FROM artifact_tags WHERE artifact_id = $1 AND tag = $2")
                        .bind(id.as_str())
                        .bind(tag)
                        .execute(tx.connection())
                        .await?;
                }
                if let Some(aliases) = &change.aliases {
                    sqlx::query("DELETE FROM artifact_aliases WHERE collection_id = $1 AND artifact_id = $2")
                        .bind(&collection)
                        .bind(id.as_str())
                        .execute(tx.connection())
                        .await?;
                    for alias in aliases {
                        alias_put_in_tx(tx, &collection, alias, id.as_str()).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Gives a version aliases in collections that show it.
    ///
    /// # Errors
    /// [`Error::Moved`] when one of the collections does not show it.
    pub async fn aliases_put(&self, id: &ArtifactId, aliases: Vec<(CollectionId, String)>) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, aliases) = (id.clone(), aliases.clone());
            Box::pin(async move {
                for (collection, alias) in &aliases {
                    sqlx::query("SELECT version FROM artifact_members WHERE collection_id = $1 AND artifact_id = $2")
                        .bind(collection.as_str())
                        .bind(id.as_str())
                        .fetch_optional(tx.connection())
                        .await?
                        .ok_or(Error::Moved)?;
                    alias_put_in_tx(tx, collection.as_str(), alias, id.as_str()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Takes aliases from a version; those that it does not have are fine.
    pub async fn aliases_delete(&self, id: &ArtifactId, aliases: Vec<(CollectionId, String)>) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, aliases) = (id.clone(), aliases.clone());
            Box::pin(async move {
                for (collection, alias) in &aliases {
                    alias_delete_in_tx(tx, collection.as_str(), alias, id.as_str()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Deletes a version: its files, aliases, tags and memberships go, its row stays as a tombstone. `latest` goes to the
    /// newest version that is left. Deleting twice is fine.
    ///
    /// # Errors
    /// [`Error::Moved`] when it still has aliases and `with_aliases` is not set.
    pub async fn artifact_delete(&self, id: &ArtifactId, with_aliases: bool, now: Time) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                if !with_aliases {
                    let row = sqlx::query("SELECT COUNT(*) AS n FROM artifact_aliases WHERE artifact_id = $1")
                        .bind(id.as_str())
                        .fetch_one(tx.connection())
                        .await?;
                    if row.int("n")? > 0 {
                        return Err(Error::Moved);
                    }
                }
                bury_in_tx(tx, id.as_str(), now).await
            })
        })
        .await
    }

    /// Shows a version in a portfolio, which is made when it is new.
    pub async fn artifact_link(
        &self,
        artifact: &Artifact,
        (project, portfolio): (&ProjectId, &str),
        aliases: Vec<String>,
        now: Time,
    ) -> Result<std::result::Result<Membership, ArtifactCreation>> {
        let (id, type_name) = (artifact.id.clone(), artifact.collection.type_name.clone());
        let (project, portfolio) = (project.clone(), portfolio.to_owned());
        let made = self
            .write_in(Area::Beside, move |tx| {
                let (id, type_name, aliases) = (id.clone(), type_name.clone(), aliases.clone());
                let (project, portfolio) = (project.clone(), portfolio.clone());
                Box::pin(async move {
                    let (collection, found_type, is_portfolio) =
                        collection_ensure_in_tx(tx, &project, (&portfolio, &type_name), true, now).await?;
                    if !is_portfolio {
                        return Ok(Err(ArtifactCreation::Portfolio));
                    }
                    if found_type != type_name {
                        return Ok(Err(ArtifactCreation::OtherType(found_type)));
                    }
                    link_in_tx(tx, &collection, id.as_str(), &aliases, now).await?;
                    Ok(Ok(collection))
                })
            })
            .await?;
        match made {
            Err(refused) => Ok(Err(refused)),
            Ok(collection) => {
                let collection: CollectionId =
                    collection.parse().map_err(|e| Error::Config(format!("a stored collection id: {e}")))?;
                let found = self.membership_of(&collection, &artifact.id).await?.ok_or(Error::Moved)?;
                Ok(Ok(found))
            }
        }
    }

    /// Takes a version out of a portfolio.
    pub async fn artifact_unlink(&self, id: &ArtifactId, portfolio: &CollectionId) -> Result<bool> {
        let (id, portfolio) = (id.clone(), portfolio.clone());
        self.write_in(Area::Beside, move |tx| {
            let (id, portfolio) = (id.clone(), portfolio.clone());
            Box::pin(async move {
                let mut gone = 0;
                for statement in [
                    "DELETE FROM artifact_aliases WHERE artifact_id = $1 AND collection_id = $2",
                    "DELETE FROM artifact_members WHERE artifact_id = $1 AND collection_id = $2",
                ] {
                    gone = sqlx::query(statement)
                        .bind(id.as_str())
                        .bind(portfolio.as_str())
                        .execute(tx.connection())
                        .await?
                        .rows_affected();
                }
                Ok(gone > 0)
            })
        })
        .await
    }

    /// Renames a collection or describes it anew; what is none stays.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken.
    pub async fn collection_update(
        &self,
        id: &CollectionId,
        name: Option<String>,
        description: Option<String>,
        now: Time,
    ) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, name, description) = (id.clone(), name.clone(), description.clone());
            Box::pin(async move {
                sqlx::query(
                    "UPDATE artifact_collections SET name = COALESCE($2, name), name_key = COALESCE($2, name_key), \
                     description = COALESCE($3, description), updated_at = $4 WHERE id = $1 AND deleted = 0",
                )
                .bind(id.as_str())
                .bind(name)
                .bind(description)
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Moves a sequence to another type of its project.
    pub async fn collection_set_type(
        &self,
        id: &CollectionId,
        project: &ProjectId,
        name: &str,
        now: Time,
    ) -> Result<()> {
        let (id, project, name) = (id.clone(), project.clone(), name.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (id, project, name) = (id.clone(), project.clone(), name.clone());
            Box::pin(async move {
                let type_id = super::create::type_ensure_in_tx(tx, &project, &name, now).await?;
                sqlx::query("UPDATE artifact_collections SET type_id = $2, updated_at = $3 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(type_id)
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a collection: a sequence with all its versions, a portfolio with its links. Its name is free again.
    pub async fn collection_delete(&self, id: &CollectionId, now: Time) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                // `:` is in no legal name.
                sqlx::query(
                    "UPDATE artifact_collections SET deleted = 1, name_key = $2, updated_at = $3 WHERE id = $1",
                )
                .bind(id.as_str())
                .bind(format!(":{id}"))
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                let own = sqlx::query("SELECT id FROM artifacts WHERE collection_id = $1 AND state <> 'deleted'")
                    .bind(id.as_str())
                    .fetch_all(tx.connection())
                    .await?;
                for row in own {
                    bury_in_tx(tx, &row.text("id")?, now).await?;
                }
                for statement in [
                    "DELETE FROM artifact_aliases WHERE collection_id = $1",
                    "DELETE FROM artifact_members WHERE collection_id = $1",
                    "DELETE FROM collection_tags WHERE collection_id = $1",
                ] {
                    sqlx::query(statement).bind(id.as_str()).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Adds tags to a collection and takes others away; returns those that it has then.
    pub async fn collection_tags_change(
        &self,
        id: &CollectionId,
        add: Vec<String>,
        delete: Vec<String>,
    ) -> Result<Vec<String>> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let (id, add, delete) = (id.clone(), add.clone(), delete.clone());
            Box::pin(async move {
                for (tags, statement) in [
                    (
                        add,
                        "INSERT INTO collection_tags (collection_id, tag) VALUES ($1, $2) \
                         ON CONFLICT (collection_id, tag) DO NOTHING",
                    ),
                    (delete, "DELETE FROM collection_tags WHERE collection_id = $1 AND tag = $2"),
                ] {
                    for tag in tags {
                        sqlx::query(statement).bind(id.as_str()).bind(tag).execute(tx.connection()).await?;
                    }
                }
                let rows = sqlx::query("SELECT tag FROM collection_tags WHERE collection_id = $1 ORDER BY tag")
                    .bind(id.as_str())
                    .fetch_all(tx.connection())
                    .await?;
                rows.iter().map(|r| r.text("tag")).collect()
            })
        })
        .await
    }

    /// Deletes versions that were begun before `before` and never committed. Returns how many there were.
    pub async fn artifact_pending_delete(&self, before: Time) -> Result<u64> {
        self.write_in(Area::Beside, move |tx| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM artifacts WHERE state = 'pending' AND updated_at < $1")
                    .bind(before.0)
                    .execute(tx.connection())
                    .await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}

async fn link_in_tx(tx: &mut Tx, collection: &str, id: &str, aliases: &[String], now: Time) -> Result<()> {
    let shown = sqlx::query("SELECT version FROM artifact_members WHERE collection_id = $1 AND artifact_id = $2")
        .bind(collection)
        .bind(id)
        .fetch_optional(tx.connection())
        .await?;
    if shown.is_none() {
        let next = sqlx::query(
            "UPDATE artifact_collections SET next_version = next_version + 1, updated_at = $2 WHERE id = $1 \
             RETURNING next_version",
        )
        .bind(collection)
        .bind(now.0)
        .fetch_one(tx.connection())
        .await?;
        member_put_in_tx(tx, collection, id, next.int("next_version")? - 1, now).await?;
        alias_put_in_tx(tx, collection, "latest", id).await?;
    }
    for alias in aliases {
        alias_put_in_tx(tx, collection, alias, id).await?;
    }
    Ok(())
}

/// Leaves the tombstone of a version.
async fn bury_in_tx(tx: &mut Tx, id: &str, now: Time) -> Result<()> {
    let latest_in =
        sqlx::query("SELECT collection_id FROM artifact_aliases WHERE artifact_id = $1 AND alias = 'latest'")
            .bind(id)
            .fetch_all(tx.connection())
            .await?;
    sqlx::query("UPDATE artifacts SET state = 'deleted', updated_at = $2 WHERE id = $1 AND state <> 'deleted'")
        .bind(id)
        .bind(now.0)
        .execute(tx.connection())
        .await?;
    for statement in [
        "DELETE FROM artifact_aliases WHERE artifact_id = $1",
        "DELETE FROM artifact_members WHERE artifact_id = $1",
        "DELETE FROM artifact_files WHERE artifact_id = $1",
        "DELETE FROM artifact_tags WHERE artifact_id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(tx.connection()).await?;
    }
    for row in latest_in {
        let collection = row.text("collection_id")?;
        let heir = sqlx::query(
            "SELECT artifact_id FROM artifact_members WHERE collection_id = $1 ORDER BY version DESC LIMIT 1",
        )
        .bind(&collection)
        .fetch_optional(tx.connection())
        .await?;
        if let Some(heir) = heir {
            alias_put_in_tx(tx, &collection, "latest", &heir.text("artifact_id")?).await?;
        }
    }
    Ok(())
}
