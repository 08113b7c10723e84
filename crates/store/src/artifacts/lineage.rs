//! Which run made, used or became which version.

use lanza_model::{clock::Time, id::ArtifactId};

use super::{Artifact, artifact, artifact_select};
use crate::{Result, Store, Tx, lookups::Area, row::Columns};

/// What a version is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The run logged it.
    Output,
    /// The run used it.
    Input,
    /// It is the job that the server made of the run; not among what the run logged.
    Job,
}

impl Relation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Input => "input",
            Self::Job => "job",
        }
    }
}

pub(super) async fn relation_put_in_tx(
    tx: &mut Tx,
    artifact: &str,
    run: &str,
    relation: Relation,
    used_as: Option<&str>,
    now: Time,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO artifact_runs (artifact_id, run_id, relation, used_as, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (artifact_id, run_id, relation) DO UPDATE SET used_as = COALESCE(excluded.used_as, artifact_runs.used_as)",
    )
    .bind(artifact)
    .bind(run)
    .bind(relation.as_str())
    .bind(used_as)
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    Ok(())
}

impl Store {
    /// Records what a version is to a run, once.
    pub async fn lineage_put(
        &self,
        artifact: &ArtifactId,
        run: &str,
        relation: Relation,
        used_as: Option<String>,
        now: Time,
    ) -> Result<()> {
        let (artifact, run) = (artifact.clone(), run.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (artifact, run, used_as) = (artifact.clone(), run.clone(), used_as.clone());
            Box::pin(
                async move { relation_put_in_tx(tx, artifact.as_str(), &run, relation, used_as.as_deref(), now).await },
            )
        })
        .await
    }

    /// Lists the row ids of the runs to which a version is `relation`, oldest first. Runs that are gone are among them.
    pub async fn lineage_runs(&self, artifact: &ArtifactId, relation: Relation) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT run_id FROM artifact_runs WHERE artifact_id = $1 AND relation = $2 ORDER BY created_at, run_id",
        )
        .bind(artifact.as_str())
        .bind(relation.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| r.text("run_id")).collect()
    }

    /// Lists the committed versions that are `relation` to a run, oldest first.
    pub async fn lineage_artifacts(&self, run: &str, relation: Relation) -> Result<Vec<Artifact>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(artifact_select(
            "JOIN artifact_runs l ON l.artifact_id = a.id WHERE l.run_id = $1 AND l.relation = $2 \
             AND a.state = 'committed' ORDER BY l.created_at, a.id",
        )))
        .bind(run)
        .bind(relation.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(artifact).collect()
    }
}
