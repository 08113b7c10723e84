//! Which content is stored, and which entity has shown that it has it.

use std::collections::HashMap;

use lanza_model::{clock::Time, id::EntityId};

use super::placeholders;
use crate::{Result, Store, lookups::Area, row::Columns};

/// Stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    /// Name of the blob.
    pub blob: String,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// How many digests go into one statement.
const DIGESTS_AT_ONCE: usize = 1000;

impl Store {
    /// Records content that has been received, checked and synced under the blob `name`. Returns the name of the blob
    /// that holds it for good: another one when the same content is stored already, and then `name` is the caller's to
    /// delete.
    pub async fn content_arrived(
        &self,
        entity: &EntityId,
        (md5, sha256): (&str, &str),
        content: StoredContent,
        now: Time,
    ) -> Result<String> {
        let (entity, md5, sha256) = (entity.clone(), md5.to_owned(), sha256.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (entity, md5, sha256, content) = (entity.clone(), md5.clone(), sha256.clone(), content.clone());
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO blobs (sha256, name, size_bytes, created_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (sha256) DO NOTHING",
                )
                .bind(&sha256)
                .bind(&content.blob)
                .bind(content.size_bytes)
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                let name = sqlx::query("SELECT name FROM blobs WHERE sha256 = $1")
                    .bind(&sha256)
                    .fetch_one(tx.connection())
                    .await?
                    .text("name")?;
                // The first bytes of a digest stay: later ones with the same MD5 are the same, or a forgery.
                sqlx::query(
                    "INSERT INTO entity_blobs (entity_id, md5, blob, size_bytes, created_at) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (entity_id, md5) DO NOTHING",
                )
                .bind(entity.as_str())
                .bind(&md5)
                .bind(&name)
                .bind(content.size_bytes)
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                Ok(name)
            })
        })
        .await
    }

    /// Finds the content that an entity has uploaded, by MD5 in hexadecimal.
    pub async fn content_known(&self, entity: &EntityId, md5s: &[String]) -> Result<HashMap<String, StoredContent>> {
        let mut known = HashMap::with_capacity(md5s.len());
        for part in md5s.chunks(DIGESTS_AT_ONCE) {
            let statement = format!(
                "SELECT md5, blob, size_bytes FROM entity_blobs WHERE entity_id = $1 AND md5 IN ({})",
                placeholders(2, part.len())
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(entity.as_str());
            for md5 in part {
                query = query.bind(md5);
            }
            for row in query.fetch_all(self.read_pool()).await? {
                let content = StoredContent { blob: row.text("blob")?, size_bytes: row.int("size_bytes")? };
                known.insert(row.text("md5")?, content);
            }
        }
        Ok(known)
    }
}
