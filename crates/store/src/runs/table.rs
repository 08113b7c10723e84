//! Reading the runs of a whole project for a table: what changed since, and only the documents that are needed.

use lanza_model::{
    clock::Time,
    id::{ProjectId, RunId},
};

use super::{COLUMNS, FROM, Run, run};
use crate::{Result, Store, row::Columns};

/// A run, and when something about it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub changed_at: Time,
    /// Row id of the run.
    pub id: RunId,
}

/// Which documents of runs are read; the others are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Documents {
    /// The config.
    pub config: bool,
    /// The summary.
    pub summary: bool,
}

impl Store {
    /// Lists which runs of a project changed at or after a time, in the order of the changes; from the index alone.
    pub async fn run_stamps(&self, project: &ProjectId, since: Time) -> Result<Vec<Stamp>> {
        let rows = sqlx::query(
            "SELECT changed_at, id FROM runs WHERE project_id = $1 AND changed_at >= $2 ORDER BY changed_at, id",
        )
        .bind(project.as_str())
        .bind(since.0)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|row| Ok(Stamp { changed_at: row.time("changed_at")?, id: row.parsed("id")? })).collect()
    }

    /// Reads runs of a project in the order of their changes, those after `after`, each with its stamp.
    pub async fn runs_after(
        &self,
        project: &ProjectId,
        after: Option<&Stamp>,
        documents: Documents,
        limit: i64,
    ) -> Result<Vec<(Stamp, Run)>> {
        let mut columns = COLUMNS.to_owned();
        if !documents.config {
            columns = columns.replace("r.config", "'{}' AS config");
        }
        if !documents.summary {
            columns = columns.replace("r.summary", "'{}' AS summary");
        }
        let sql = format!(
            "SELECT {columns}, r.changed_at {FROM} WHERE r.project_id = $1 AND (r.changed_at, r.id) > ($2, $3) \
             ORDER BY r.changed_at, r.id LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project.as_str())
            .bind(after.map_or(i64::MIN, |a| a.changed_at.0))
            .bind(after.map_or("", |a| a.id.as_str()).to_owned())
            .bind(limit)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter()
            .map(|row| {
                let run = run(row)?;
                Ok((Stamp { changed_at: row.time("changed_at")?, id: run.id.clone() }, run))
            })
            .collect()
    }
}
