//! Manifests, and the commit that makes a version visible.

use std::sync::Arc;

use lanza_model::{
    clock::Time,
    id::{ArtifactId, ManifestId},
};
use sqlx::any::AnyRow;

use super::{Artifact, FileEntry, Manifest, State, artifact, artifact_select, placeholders};
use crate::{Error, Result, Store, Tx, lookups::Area, row::Columns};

/// Entries that go into one statement; seven parameters each, and SQLite takes 32,766 of them.
const FILES_AT_ONCE: usize = 500;

fn manifest(row: &AnyRow) -> Result<Manifest> {
    Ok(Manifest {
        id: row.parsed("id")?,
        artifact_id: row.parsed("artifact_id")?,
        name: row.text("name")?,
        kind: row.text("type")?,
        digest: row.text("digest")?,
        blob: row.maybe_text("blob")?,
        size_bytes: row.int("size_bytes")?,
        created_at: row.time("created_at")?,
    })
}

const MANIFEST: &str =
    "SELECT id, artifact_id, name, type, digest, blob, size_bytes, created_at FROM artifact_manifests";

impl Store {
    /// Adds a manifest to a pending version; it takes the place of an earlier one.
    ///
    /// # Errors
    /// [`Error::Moved`] when the version is not pending any more.
    pub async fn manifest_create(&self, manifest: Manifest, base: Option<String>) -> Result<()> {
        self.write_in(Area::Beside, move |tx| {
            let (manifest, base) = (manifest.clone(), base.clone());
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO artifact_manifests (id, artifact_id, name, type, digest, base_artifact_id, size_bytes, \
                     created_at) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
                )
                .bind(manifest.id.as_str())
                .bind(manifest.artifact_id.as_str())
                .bind(&manifest.name)
                .bind(&manifest.kind)
                .bind(&manifest.digest)
                .bind(base)
                .bind(manifest.created_at.0)
                .execute(tx.connection())
                .await?;
                let done = sqlx::query(
                    "UPDATE artifacts SET manifest_id = $2, updated_at = $3 WHERE id = $1 AND state = 'pending'",
                )
                .bind(manifest.artifact_id.as_str())
                .bind(manifest.id.as_str())
                .bind(manifest.created_at.0)
                .execute(tx.connection())
                .await?;
                if done.rows_affected() == 0 { Err(Error::Moved) } else { Ok(()) }
            })
        })
        .await
    }

    /// Finds a manifest.
    pub async fn manifest_by_id(&self, id: &ManifestId) -> Result<Option<Manifest>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{MANIFEST} WHERE id = $1")))
            .bind(id.as_str())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(manifest).transpose()
    }

    /// Announces another digest for a manifest; what was uploaded before no longer counts if it differs.
    pub async fn manifest_set_digest(&self, id: &ManifestId, digest: &str) -> Result<()> {
        let (id, digest) = (id.clone(), digest.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (id, digest) = (id.clone(), digest.clone());
            Box::pin(async move {
                sqlx::query(
                    "UPDATE artifact_manifests SET blob = CASE WHEN digest = $2 THEN blob ELSE NULL END, digest = $2 \
                     WHERE id = $1",
                )
                .bind(id.as_str())
                .bind(digest)
                .execute(tx.connection())
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Notes that the content of a manifest has arrived, with the digest that it really has.
    pub async fn manifest_arrived(&self, id: &ManifestId, digest: &str, blob: &str, size_bytes: i64) -> Result<()> {
        let (id, digest, blob) = (id.clone(), digest.to_owned(), blob.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (id, digest, blob) = (id.clone(), digest.clone(), blob.clone());
            Box::pin(async move {
                sqlx::query("UPDATE artifact_manifests SET digest = $2, blob = $3, size_bytes = $4 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(digest)
                    .bind(blob)
                    .bind(size_bytes)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Commits a pending version: gives it the next number, its entries, its aliases and `latest`. A version that is
    /// committed already is returned as it is.
    ///
    /// # Errors
    /// [`Error::Moved`] when it is deleted or unknown.
    pub async fn artifact_commit(&self, id: &ArtifactId, files: Vec<FileEntry>, now: Time) -> Result<Artifact> {
        let (id, files) = (id.clone(), Arc::new(files));
        self.write_in(Area::Beside, move |tx| {
            let (id, files) = (id.clone(), files.clone());
            Box::pin(async move { commit_in_tx(tx, id.as_str(), &files, now).await })
        })
        .await
    }
}

async fn commit_in_tx(tx: &mut Tx, id: &str, files: &[FileEntry], now: Time) -> Result<Artifact> {
    let row = sqlx::query("SELECT state, collection_id, pending_aliases FROM artifacts WHERE id = $1")
        .bind(id)
        .fetch_optional(tx.connection())
        .await?
        .ok_or(Error::Moved)?;
    match State::read(&row.text("state")?) {
        State::Deleted => return Err(Error::Moved),
        State::Committed => {}
        State::Pending => {
            let collection = row.text("collection_id")?;
            let next = sqlx::query(
                "UPDATE artifact_collections SET next_version = next_version + 1, updated_at = $2 \
                 WHERE id = $1 AND deleted = 0 RETURNING next_version",
            )
            .bind(&collection)
            .bind(now.0)
            .fetch_optional(tx.connection())
            .await?
            .ok_or(Error::Moved)?;
            let version = next.int("next_version")? - 1;
            sqlx::query(
                "UPDATE artifacts SET state = 'committed', version = $2, size_bytes = $3, file_count = $4, \
                 updated_at = $5 WHERE id = $1",
            )
            .bind(id)
            .bind(version)
            .bind(files.iter().map(|f| f.size_bytes).sum::<i64>())
            .bind(files.len() as i64)
            .bind(now.0)
            .execute(tx.connection())
            .await?;
            member_put_in_tx(tx, &collection, id, version, now).await?;
            let mut aliases: Vec<String> = row.json("pending_aliases")?;
            aliases.retain(|a| a != "latest");
            aliases.push("latest".into());
            for alias in &aliases {
                alias_put_in_tx(tx, &collection, alias, id).await?;
            }
            for part in files.chunks(FILES_AT_ONCE) {
                files_insert_in_tx(tx, id, part).await?;
            }
        }
    }
    let row = sqlx::query(sqlx::AssertSqlSafe(artifact_select("WHERE a.id = $1")))
        .bind(id)
        .fetch_one(tx.connection())
        .await?;
    artifact(&row)
}

pub(super) async fn member_put_in_tx(
    tx: &mut Tx,
    collection: &str,
    artifact: &str,
    version: i64,
    now: Time,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO artifact_members (collection_id, artifact_id, version, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(collection)
    .bind(artifact)
    .bind(version)
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Gives an alias to a version; the version that had it loses it.
pub(super) async fn alias_put_in_tx(tx: &mut Tx, collection: &str, alias: &str, artifact: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO artifact_aliases (collection_id, alias, artifact_id) VALUES ($1, $2, $3) \
         ON CONFLICT (collection_id, alias) DO UPDATE SET artifact_id = excluded.artifact_id",
    )
    .bind(collection)
    .bind(alias)
    .bind(artifact)
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn files_insert_in_tx(tx: &mut Tx, id: &str, files: &[FileEntry]) -> Result<()> {
    let rows: Vec<String> = (0..files.len()).map(|i| format!("({})", placeholders(i * 7 + 1, 7))).collect();
    let statement = format!(
        "INSERT INTO artifact_files (artifact_id, path, digest, size_bytes, reference, birth_artifact_id, blob) VALUES {}",
        rows.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
    for file in files {
        query = query
            .bind(id)
            .bind(&file.path)
            .bind(&file.digest)
            .bind(file.size_bytes)
            .bind(file.reference.as_deref())
            .bind(file.birth_artifact_id.as_deref())
            .bind(file.blob.as_deref());
    }
    query.execute(tx.connection()).await?;
    Ok(())
}
