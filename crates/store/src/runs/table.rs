//! Reading the runs of a whole project for a table: what changed since, and only the parts that are needed.
//!
//! A row of ten thousand costs by its columns: the list's own statement, with all of them and two joins, takes several times
//! as long.

use lanza_model::{
    clock::Time,
    id::{ProjectId, RunId},
};
use sqlx::any::AnyRow;

use super::Column;
use crate::{
    Result, Store,
    row::{Columns, batches},
};

/// A run, and when something about it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub changed_at: Time,
    /// Row id of the run.
    pub id: RunId,
}

/// Which parts of runs are read; the others are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The config.
    pub config: bool,
    /// The summary.
    pub summary: bool,
    /// Columns, each once.
    pub columns: Vec<Column>,
}

/// A column of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text, if it has one.
    Text(Option<String>),
    /// A time in milliseconds, if there is one.
    Time(Option<i64>),
}

/// The parts of a run that were asked for.
#[derive(Debug, Clone)]
pub struct LeanRun {
    /// Which run, and when it changed.
    pub stamp: Stamp,
    /// Config, the client's JSON document.
    pub config: String,
    /// Summary, the client's document; may hold bare `NaN`.
    pub summary: String,
    /// The columns, in the order in which they were asked for.
    pub columns: Vec<Cell>,
}

impl Parts {
    fn sql(&self) -> String {
        let mut sql = "r.id, r.changed_at".to_owned();
        let documents = [(self.config, ", r.config"), (self.summary, ", r.summary")];
        for part in documents.into_iter().filter(|(read, _)| *read).map(|(_, name)| name) {
            sql.push_str(part);
        }
        for (place, column) in self.columns.iter().enumerate() {
            sql.push_str(&format!(", {} AS c{place}", column.sql()));
        }
        sql
    }

    fn read(&self, row: &AnyRow) -> Result<LeanRun> {
        let cell = |(place, column): (usize, &Column)| {
            let name = format!("c{place}");
            Ok(if column.is_time() { Cell::Time(row.maybe_int(&name)?) } else { Cell::Text(row.maybe_text(&name)?) })
        };
        Ok(LeanRun {
            stamp: Stamp { changed_at: row.time("changed_at")?, id: row.parsed("id")? },
            config: if self.config { row.text("config")? } else { String::new() },
            summary: if self.summary { row.text("summary")? } else { String::new() },
            columns: self.columns.iter().enumerate().map(cell).collect::<Result<_>>()?,
        })
    }
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

    /// Reads parts of a project's runs in the order of their changes, those after `after`.
    pub async fn runs_after(
        &self,
        project: &ProjectId,
        after: Option<&Stamp>,
        parts: &Parts,
        limit: i64,
    ) -> Result<Vec<LeanRun>> {
        let sql = format!(
            "SELECT {} FROM runs r WHERE r.project_id = $1 AND (r.changed_at, r.id) > ($2, $3) \
             ORDER BY r.changed_at, r.id LIMIT $4",
            parts.sql()
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project.as_str())
            .bind(after.map_or(i64::MIN, |a| a.changed_at.0))
            .bind(after.map_or("", |a| a.id.as_str()).to_owned())
            .bind(limit)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(|row| parts.read(row)).collect()
    }

    /// Reads parts of some runs by their row ids. Those that are gone are left out.
    pub async fn runs_lean(&self, ids: &[RunId], parts: &Parts) -> Result<Vec<LeanRun>> {
        let mut runs = Vec::with_capacity(ids.len());
        for ids in batches(ids) {
            let places = (1..=ids.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let sql = format!("SELECT {} FROM runs r WHERE r.id IN ({places})", parts.sql());
            let query = ids.iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), |q, id| q.bind(id.as_str()));
            for row in query.fetch_all(self.read_pool()).await? {
                runs.push(parts.read(&row)?);
            }
        }
        Ok(runs)
    }
}
