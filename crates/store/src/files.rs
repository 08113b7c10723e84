//! Files of runs: the rows; the bytes are blobs.

use lanza_model::{
    clock::Time,
    id::{RunFileId, RunId},
};
use sqlx::any::AnyRow;

use crate::{Result, Store, lookups::Area, row::Columns};

/// A stored file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// Id.
    pub id: RunFileId,
    /// Run that it belongs to.
    pub run_id: RunId,
    /// Path inside the run.
    pub name: String,
    /// Name of the blob.
    pub blob: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// MD5 in base64.
    pub md5: String,
    /// When it was stored.
    pub updated_at: Time,
}

fn file(row: &AnyRow) -> Result<RunFile> {
    Ok(RunFile {
        id: row.parsed("id")?,
        run_id: row.parsed("run_id")?,
        name: row.text("name")?,
        blob: row.text("blob")?,
        size_bytes: row.int("size_bytes")?,
        md5: row.text("md5")?,
        updated_at: row.time("updated_at")?,
    })
}

impl Store {
    /// Stores the row of a file whose blob is on the disk, in place of an older one of that name. Returns the blob that
    /// nothing names any more.
    ///
    /// # Errors
    /// [`crate::Error::Moved`] when the run is gone.
    pub async fn run_file_put(&self, new: RunFile) -> Result<Option<String>> {
        self.write_in(Area::Beside, move |tx| {
            let new = new.clone();
            Box::pin(async move {
                let alive = sqlx::query("SELECT id FROM runs WHERE id = $1")
                    .bind(new.run_id.as_str())
                    .fetch_optional(tx.connection());
                if alive.await?.is_none() {
                    return Err(crate::Error::Moved);
                }
                let old = sqlx::query("SELECT blob FROM run_files WHERE run_id = $1 AND name = $2")
                    .bind(new.run_id.as_str())
                    .bind(&new.name)
                    .fetch_optional(tx.connection())
                    .await?;
                sqlx::query(
                    "INSERT INTO run_files (id, run_id, name, blob, size_bytes, md5, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run_id, name) DO UPDATE \
                     SET blob = excluded.blob, size_bytes = excluded.size_bytes, md5 = excluded.md5, \
                     updated_at = excluded.updated_at",
                )
                .bind(new.id.as_str())
                .bind(new.run_id.as_str())
                .bind(&new.name)
                .bind(&new.blob)
                .bind(new.size_bytes)
                .bind(&new.md5)
                .bind(new.updated_at.0)
                .execute(tx.connection())
                .await?;
                old.map(|row| row.text("blob")).transpose()
            })
        })
        .await
    }

    /// Finds a file of a run by its path.
    pub async fn run_file_by_name(&self, run: &RunId, name: &str) -> Result<Option<RunFile>> {
        let row = sqlx::query("SELECT * FROM run_files WHERE run_id = $1 AND name = $2")
            .bind(run.as_str())
            .bind(name)
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(file).transpose()
    }

    /// Finds a file by its id.
    pub async fn run_file_by_id(&self, id: &RunFileId) -> Result<Option<RunFile>> {
        let row = sqlx::query("SELECT * FROM run_files WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(file).transpose()
    }

    /// Lists files of a run by path, after the path `after`, that are like `pattern` (SQL's `LIKE`) if one is given.
    pub async fn run_file_list(
        &self,
        run: &RunId,
        pattern: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<RunFile>> {
        let rows = sqlx::query(
            "SELECT * FROM run_files WHERE run_id = $1 AND name > $2 AND name LIKE $3 ORDER BY name LIMIT $4",
        )
        .bind(run.as_str())
        .bind(after)
        .bind(pattern.unwrap_or("%"))
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(file).collect()
    }

    /// Counts the files of a run.
    pub async fn run_file_count(&self, run: &RunId) -> Result<i64> {
        sqlx::query("SELECT COUNT(*) AS n FROM run_files WHERE run_id = $1")
            .bind(run.as_str())
            .fetch_one(self.read_pool())
            .await?
            .int("n")
    }

    /// Deletes the row of a file. Returns the blob that nothing names any more.
    pub async fn run_file_delete(&self, id: &RunFileId) -> Result<Option<String>> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let row = sqlx::query("DELETE FROM run_files WHERE id = $1 RETURNING blob")
                    .bind(id.as_str())
                    .fetch_optional(tx.connection())
                    .await?;
                row.map(|r| r.text("blob")).transpose()
            })
        })
        .await
    }
}
