//! Finding and listing.

use std::collections::HashMap;

use lanza_model::{
    id::{ArtifactId, CollectionId, EntityId, ProjectId},
    job::is_version_alias,
};
use sqlx::any::AnyRow;

use super::{
    Artifact, ArtifactType, Collection, FileEntry, Membership, artifact, artifact_select, artifact_type, collection,
    collection_select, member_select, placeholders,
};
use crate::{Result, Store, row::Columns};

/// How many ids go into one statement.
const IDS_AT_ONCE: usize = 1000;

/// Only collections that show a version; what crashed clients leave behind has none.
const SHOWN: &str = "c.deleted = 0 AND EXISTS (SELECT 1 FROM artifact_members s WHERE s.collection_id = c.id)";

fn file(row: &AnyRow) -> Result<FileEntry> {
    Ok(FileEntry {
        path: row.text("path")?,
        digest: row.text("digest")?,
        size_bytes: row.int("size_bytes")?,
        reference: row.maybe_text("reference")?,
        birth_artifact_id: row.maybe_text("birth_artifact_id")?,
        blob: row.maybe_text("blob")?,
    })
}

impl Store {
    /// Finds the id of a project by name, whatever its case.
    pub async fn artifact_project_id(&self, entity: &EntityId, project: &str) -> Result<Option<ProjectId>> {
        let row = sqlx::query("SELECT id FROM projects WHERE entity_id = $1 AND name_key = $2")
            .bind(entity.as_str())
            .bind(project.to_lowercase())
            .fetch_optional(self.read_pool())
            .await?;
        row.map(|r| r.parsed("id")).transpose()
    }

    /// Finds the row id of a run by its id in a project.
    pub async fn artifact_run_id(&self, project: &ProjectId, run: &str) -> Result<Option<String>> {
        let row = sqlx::query("SELECT id FROM runs WHERE project_id = $1 AND name = $2")
            .bind(project.as_str())
            .bind(run)
            .fetch_optional(self.read_pool())
            .await?;
        row.map(|r| r.text("id")).transpose()
    }

    /// Finds a version by id, in whatever state; by the id of one that was merged into it, too.
    pub async fn artifact_by_id(&self, id: &ArtifactId) -> Result<Option<Artifact>> {
        const MERGED: &str = "WHERE a.id = (SELECT m.artifact_id FROM artifact_client_ids m \
                              WHERE m.client_id = $1 AND m.collection_id IS NOT NULL)";
        for found in ["WHERE a.id = $1", MERGED] {
            let row = sqlx::query(sqlx::AssertSqlSafe(artifact_select(found)))
                .bind(id.as_str())
                .fetch_optional(self.read_pool())
                .await?;
            if let Some(row) = row {
                return artifact(&row).map(Some);
            }
        }
        Ok(None)
    }

    /// Finds the version or the collection that a client's own id belongs to.
    pub async fn artifact_client_id(&self, client_id: &str) -> Result<(Option<ArtifactId>, Option<CollectionId>)> {
        let row = sqlx::query("SELECT artifact_id, collection_id FROM artifact_client_ids WHERE client_id = $1")
            .bind(client_id)
            .fetch_optional(self.read_pool())
            .await?;
        let Some(row) = row else { return Ok((None, None)) };
        Ok((row.maybe_parsed("artifact_id")?, row.maybe_parsed("collection_id")?))
    }

    /// Finds a collection by its exact name.
    pub async fn collection_by_name(&self, project: &ProjectId, name: &str) -> Result<Option<Collection>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(collection_select("WHERE c.project_id = $1 AND c.name_key = $2")))
            .bind(project.as_str())
            .bind(name)
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(collection).transpose()
    }

    /// Finds a collection by id.
    pub async fn collection_by_id(&self, id: &CollectionId) -> Result<Option<Collection>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(collection_select("WHERE c.id = $1")))
            .bind(id.as_str())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(collection).transpose()
    }

    /// Lists the collections of a project that show a version, by name after `after`; of one type, if one is given.
    pub async fn collection_list(
        &self,
        project: &ProjectId,
        type_name: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Collection>> {
        let of_type = if type_name.is_some() { "AND t.name = $4" } else { "" };
        let statement = collection_select(&format!(
            "WHERE c.project_id = $1 AND c.name > $2 AND {SHOWN} {of_type} ORDER BY c.name LIMIT $3"
        ));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(project.as_str()).bind(after).bind(limit);
        if let Some(type_name) = type_name {
            query = query.bind(type_name);
        }
        query.fetch_all(self.read_pool()).await?.iter().map(collection).collect()
    }

    /// Counts what [`Store::collection_list`] lists.
    pub async fn collection_count(&self, project: &ProjectId, type_name: Option<&str>) -> Result<i64> {
        let of_type = if type_name.is_some() { "AND t.name = $2" } else { "" };
        let statement = format!(
            "SELECT COUNT(*) AS n FROM artifact_collections c JOIN artifact_types t ON t.id = c.type_id \
             WHERE c.project_id = $1 AND {SHOWN} {of_type}"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(project.as_str());
        if let Some(type_name) = type_name {
            query = query.bind(type_name);
        }
        query.fetch_one(self.read_pool()).await?.int("n")
    }

    /// Lists the types of a project by name.
    pub async fn artifact_type_list(&self, project: &ProjectId) -> Result<Vec<ArtifactType>> {
        let rows = sqlx::query(
            "SELECT id, project_id, name, description, created_at FROM artifact_types WHERE project_id = $1 ORDER BY name",
        )
        .bind(project.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(artifact_type).collect()
    }

    /// Finds what `word` means in a collection: `vN`, an alias, or a digest.
    pub async fn membership_find(&self, collection: &CollectionId, word: &str) -> Result<Option<Membership>> {
        if is_version_alias(word) {
            let Ok(number) = word[1..].parse::<i64>() else { return Ok(None) };
            return self.member_one("m.collection_id = $1 AND m.version = $2", collection, Bound::Number(number)).await;
        }
        let by_alias = "m.collection_id = $1 AND m.artifact_id = \
                        (SELECT artifact_id FROM artifact_aliases WHERE collection_id = $1 AND alias = $2)";
        if let Some(found) = self.member_one(by_alias, collection, Bound::Text(word)).await? {
            return Ok(Some(found));
        }
        self.member_one("m.collection_id = $1 AND a.digest = $2", collection, Bound::Text(word)).await
    }

    /// Finds how a collection shows a version.
    pub async fn membership_of(&self, collection: &CollectionId, artifact: &ArtifactId) -> Result<Option<Membership>> {
        self.member_one("m.collection_id = $1 AND m.artifact_id = $2", collection, Bound::Text(artifact.as_str())).await
    }

    async fn member_one(
        &self,
        condition: &str,
        collection: &CollectionId,
        bound: Bound<'_>,
    ) -> Result<Option<Membership>> {
        let statement = member_select(&format!("WHERE {condition} ORDER BY m.version DESC LIMIT 1"));
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(collection.as_str());
        let query = match bound {
            Bound::Text(text) => query.bind(text),
            Bound::Number(number) => query.bind(number),
        };
        let row = query.fetch_optional(self.read_pool()).await?;
        Ok(self.memberships(row.as_slice()).await?.pop())
    }

    /// Lists the versions that a collection shows, newest first, below version `before`.
    pub async fn membership_list(
        &self,
        collection: &CollectionId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Membership>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(member_select(
            "WHERE m.collection_id = $1 AND m.version < $2 ORDER BY m.version DESC LIMIT $3",
        )))
        .bind(collection.as_str())
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        self.memberships(&rows).await
    }

    /// Counts the versions that a collection shows.
    pub async fn membership_count(&self, collection: &CollectionId) -> Result<i64> {
        sqlx::query("SELECT COUNT(*) AS n FROM artifact_members WHERE collection_id = $1")
            .bind(collection.as_str())
            .fetch_one(self.read_pool())
            .await?
            .int("n")
    }

    /// Lists how collections show a version: its own sequence first, then portfolios.
    pub async fn memberships_of(&self, artifact: &ArtifactId) -> Result<Vec<Membership>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(member_select(
            "WHERE m.artifact_id = $1 ORDER BY CASE WHEN m.collection_id = a.collection_id THEN 0 ELSE 1 END, m.created_at",
        )))
        .bind(artifact.as_str())
        .fetch_all(self.read_pool())
        .await?;
        self.memberships(&rows).await
    }

    async fn memberships(&self, rows: &[AnyRow]) -> Result<Vec<Membership>> {
        let mut portfolios: HashMap<String, Collection> = HashMap::new();
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let artifact = artifact(row)?;
            let id = row.text("m_collection_id")?;
            let collection = if id == artifact.collection.id.as_str() {
                artifact.collection.clone()
            } else if let Some(known) = portfolios.get(&id) {
                known.clone()
            } else {
                let id: CollectionId = row.parsed("m_collection_id")?;
                // Gone between the two statements: the membership is gone as well.
                let Some(collection) = self.collection_by_id(&id).await? else { continue };
                portfolios.insert(id.to_string(), collection.clone());
                collection
            };
            found.push(Membership {
                collection,
                artifact,
                version: row.int("m_version")?,
                created_at: row.time("m_created_at")?,
            });
        }
        Ok(found)
    }

    /// Lists the versions of a project's sequences, of one type if one is given: newest first, before the id `before`.
    pub async fn artifact_list(
        &self,
        project: &ProjectId,
        type_name: Option<&str>,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Artifact>> {
        let of_type = if type_name.is_some() { "AND t.name = $4" } else { "" };
        let statement = artifact_select(&format!(
            "WHERE c.project_id = $1 AND a.state = 'committed' AND a.id < $2 {of_type} ORDER BY a.id DESC LIMIT $3"
        ));
        // `g` sorts after every hexadecimal id.
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(project.as_str()).bind(before.unwrap_or("g")).bind(limit);
        if let Some(type_name) = type_name {
            query = query.bind(type_name);
        }
        query.fetch_all(self.read_pool()).await?.iter().map(artifact).collect()
    }

    /// Returns the aliases of versions, `latest` first: per version, pairs of collection and alias.
    pub async fn aliases_of(&self, artifacts: &[&ArtifactId]) -> Result<HashMap<String, Vec<(CollectionId, String)>>> {
        let mut found: HashMap<String, Vec<(CollectionId, String)>> = HashMap::new();
        for part in artifacts.chunks(IDS_AT_ONCE) {
            let statement = format!(
                "SELECT collection_id, alias, artifact_id FROM artifact_aliases WHERE artifact_id IN ({}) \
                 ORDER BY CASE WHEN alias = 'latest' THEN 0 ELSE 1 END, alias",
                placeholders(1, part.len())
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for id in part {
                query = query.bind(id.as_str());
            }
            for row in query.fetch_all(self.read_pool()).await? {
                let alias = (row.parsed("collection_id")?, row.text("alias")?);
                found.entry(row.text("artifact_id")?).or_default().push(alias);
            }
        }
        Ok(found)
    }

    /// Returns the tags of versions.
    pub async fn tags_of(&self, artifacts: &[&ArtifactId]) -> Result<HashMap<String, Vec<String>>> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for part in artifacts.chunks(IDS_AT_ONCE) {
            let statement = format!(
                "SELECT artifact_id, tag FROM artifact_tags WHERE artifact_id IN ({}) ORDER BY tag",
                placeholders(1, part.len())
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for id in part {
                query = query.bind(id.as_str());
            }
            for row in query.fetch_all(self.read_pool()).await? {
                found.entry(row.text("artifact_id")?).or_default().push(row.text("tag")?);
            }
        }
        Ok(found)
    }

    /// Returns the tags of a collection.
    pub async fn collection_tags(&self, id: &CollectionId) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT tag FROM collection_tags WHERE collection_id = $1 ORDER BY tag")
            .bind(id.as_str())
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(|r| r.text("tag")).collect()
    }

    /// Lists the aliases of a collection with the version that each names.
    pub async fn collection_aliases(&self, id: &CollectionId) -> Result<Vec<(String, ArtifactId)>> {
        let rows =
            sqlx::query("SELECT alias, artifact_id FROM artifact_aliases WHERE collection_id = $1 ORDER BY alias")
                .bind(id.as_str())
                .fetch_all(self.read_pool())
                .await?;
        rows.iter().map(|r| Ok((r.text("alias")?, r.parsed("artifact_id")?))).collect()
    }

    /// Lists the entries of a committed version by path, after `after`.
    pub async fn artifact_file_list(&self, id: &ArtifactId, after: &str, limit: i64) -> Result<Vec<FileEntry>> {
        let rows = sqlx::query(
            "SELECT path, digest, size_bytes, reference, birth_artifact_id, blob FROM artifact_files \
             WHERE artifact_id = $1 AND path > $2 ORDER BY path LIMIT $3",
        )
        .bind(id.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(file).collect()
    }

    /// Finds one entry of a committed version.
    pub async fn artifact_file(&self, id: &ArtifactId, path: &str) -> Result<Option<FileEntry>> {
        let row = sqlx::query(
            "SELECT path, digest, size_bytes, reference, birth_artifact_id, blob FROM artifact_files \
             WHERE artifact_id = $1 AND path = $2",
        )
        .bind(id.as_str())
        .bind(path)
        .fetch_optional(self.read_pool())
        .await?;
        row.as_ref().map(file).transpose()
    }
}

/// The second parameter of a condition.
enum Bound<'a> {
    Text(&'a str),
    Number(i64),
}
