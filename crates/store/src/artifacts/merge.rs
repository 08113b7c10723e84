//! Pending versions that turn out to say what a committed one says.

use lanza_model::{clock::Time, id::ArtifactId};

use super::{Artifact, artifact, artifact_select, change::tag_put_in_tx, commit::alias_put_in_tx};
use crate::{Error, Result, Store, lookups::Area, row::Columns};

impl Store {
    /// Gives a committed version of the same collection everything that a pending one was announced with, in the place of
    /// a commit, and forgets the pending one. Whoever knows it by its id, or by the client's own, finds the other from
    /// then on. New metadata replaces the old, none leaves it.
    ///
    /// # Errors
    /// [`Error::Moved`] when the one is not pending any more, or the other not committed.
    pub async fn artifact_merge(
        &self,
        pending: &ArtifactId,
        into: &ArtifactId,
        metadata: Option<String>,
        now: Time,
    ) -> Result<Artifact> {
        let (pending, into) = (pending.clone(), into.clone());
        self.write_in(Area::Beside, move |tx| {
            let (pending, into, metadata) = (pending.clone(), into.clone(), metadata.clone());
            Box::pin(async move {
                let row = sqlx::query(
                    "SELECT p.collection_id, p.pending_aliases FROM artifacts p JOIN artifacts c \
                     ON c.id = $2 AND c.collection_id = p.collection_id AND c.state = 'committed' \
                     WHERE p.id = $1 AND p.state = 'pending'",
                )
                .bind(pending.as_str())
                .bind(into.as_str())
                .fetch_optional(tx.connection())
                .await?
                .ok_or(Error::Moved)?;
                let collection = row.text("collection_id")?;
                let mut aliases: Vec<String> = row.json("pending_aliases")?;
                // As after a commit: what was made last is what is meant.
                aliases.push("latest".into());
                for alias in &aliases {
                    alias_put_in_tx(tx, &collection, alias, into.as_str()).await?;
                }
                let tags = sqlx::query("SELECT tag FROM artifact_tags WHERE artifact_id = $1")
                    .bind(pending.as_str())
                    .fetch_all(tx.connection())
                    .await?;
                for tag in &tags {
                    tag_put_in_tx(tx, into.as_str(), &tag.text("tag")?).await?;
                }
                for statement in [
                    "INSERT INTO artifact_runs (artifact_id, run_id, relation, used_as, created_at) \
                     SELECT $2, run_id, relation, used_as, created_at FROM artifact_runs WHERE artifact_id = $1 \
                     ON CONFLICT (artifact_id, run_id, relation) DO NOTHING",
                    "UPDATE artifact_client_ids SET artifact_id = $2 WHERE artifact_id = $1",
                ] {
                    sqlx::query(statement).bind(pending.as_str()).bind(into.as_str()).execute(tx.connection()).await?;
                }
                // With a collection beside it, as no client's own id has.
                sqlx::query(
                    "INSERT INTO artifact_client_ids (client_id, artifact_id, collection_id) VALUES ($1, $2, $3)",
                )
                .bind(pending.as_str())
                .bind(into.as_str())
                .bind(&collection)
                .execute(tx.connection())
                .await?;
                sqlx::query("UPDATE artifacts SET metadata = COALESCE($2, metadata), updated_at = $3 WHERE id = $1")
                    .bind(into.as_str())
                    .bind(metadata)
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                sqlx::query("DELETE FROM artifacts WHERE id = $1")
                    .bind(pending.as_str())
                    .execute(tx.connection())
                    .await?;
                let row = sqlx::query(sqlx::AssertSqlSafe(artifact_select("WHERE a.id = $1")))
                    .bind(into.as_str())
                    .fetch_one(tx.connection())
                    .await?;
                artifact(&row)
            })
        })
        .await
    }
}
