//! The numbers of runs' histories by key: parts of many lines each, so that a chart reads what it draws and no more.
//!
//! They are drawn from settled lines of [`crate::chunks`] and can always be drawn again. What the bytes mean is the caller's
//! business.

use lanza_model::id::RunId;

use crate::{
    Error, Result, Store,
    chunks::{Chunk, Stream, chunk},
    lookups::Area,
    row::{Columns, batches, rows_of},
};

/// How far the parts of a run reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// How many lines are in them.
    pub lines: i64,
    /// The last chunk, by its order of arrival, that was looked at.
    pub seq: i64,
    /// How many parts there are.
    pub parts: i64,
}

/// The points of one key in one part.
#[derive(Debug, Clone)]
pub struct Part {
    /// The key.
    pub name: String,
    /// How many points.
    pub points: i64,
    /// Least step.
    pub first_step: f64,
    /// Greatest step.
    pub last_step: f64,
    /// Buckets of points.
    pub buckets: Vec<u8>,
    /// The points.
    pub body: Vec<u8>,
}

/// A part without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct PartHead {
    /// The key.
    pub name: String,
    /// Which part.
    pub part: i64,
    /// How many points.
    pub points: i64,
    /// Least step.
    pub first_step: f64,
    /// Greatest step.
    pub last_step: f64,
}

impl Store {
    /// Returns how far the parts of a run's stream reach; nowhere when there are none.
    pub async fn series_reach(&self, run: &RunId, stream: Stream) -> Result<Reach> {
        let row = sqlx::query("SELECT lines, seq, parts FROM series_runs WHERE run_id = $1 AND stream = $2")
            .bind(run.as_str())
            .bind(stream as i16)
            .fetch_optional(self.read_pool())
            .await?;
        let Some(row) = row else { return Ok(Reach::default()) };
        Ok(Reach { lines: row.int("lines")?, seq: row.int("seq")?, parts: row.int("parts")? })
    }

    /// Whether several processes write this stream.
    pub async fn chunks_have_writers(&self, run: &RunId, stream: Stream) -> Result<bool> {
        let row = sqlx::query("SELECT 1 AS one FROM chunks WHERE run_id = $1 AND stream = $2 AND writer > '' LIMIT 1")
            .bind(run.as_str())
            .bind(stream as i16)
            .fetch_optional(self.read_pool())
            .await?;
        Ok(row.is_some())
    }

    /// Lists the chunks of a stream without a writer that came after `seq`, in order of arrival, without their lines.
    pub async fn chunk_list_after(&self, run: &RunId, stream: Stream, seq: i64) -> Result<Vec<Chunk>> {
        let rows = sqlx::query(
            "SELECT writer, seq, first_line, line_count, first_step, last_step FROM chunks \
             WHERE run_id = $1 AND stream = $2 AND writer = '' AND seq > $3 ORDER BY seq",
        )
        .bind(run.as_str())
        .bind(stream as i16)
        .bind(seq)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(chunk).collect()
    }

    /// Adds a part to those that reach as far as `from`, so that they reach as far as `to`.
    ///
    /// # Errors
    /// [`Error::Moved`] when they do not reach to `from` (any more), or the run is gone.
    pub async fn series_add(
        &self,
        run: &RunId,
        stream: Stream,
        (from, to): (Reach, Reach),
        parts: std::sync::Arc<Vec<Part>>,
    ) -> Result<()> {
        let run = run.clone();
        self.write_in(Area::Beside, move |tx| {
            let (run, parts) = (run.clone(), parts.clone());
            Box::pin(async move {
                let there = sqlx::query("SELECT 1 AS one FROM runs WHERE id = $1")
                    .bind(run.as_str())
                    .fetch_optional(tx.connection())
                    .await?;
                if there.is_none() {
                    return Err(Error::Moved);
                }
                if from == Reach::default() {
                    sqlx::query(
                        "INSERT INTO series_runs (run_id, stream, lines, seq, parts) VALUES ($1, $2, 0, 0, 0) \
                         ON CONFLICT (run_id, stream) DO NOTHING",
                    )
                    .bind(run.as_str())
                    .bind(stream as i16)
                    .execute(tx.connection())
                    .await?;
                }
                let moved = sqlx::query(
                    "UPDATE series_runs SET lines = $3, seq = $4, parts = $5 \
                     WHERE run_id = $1 AND stream = $2 AND lines = $6 AND seq = $7 AND parts = $8",
                )
                .bind(run.as_str())
                .bind(stream as i16)
                .bind(to.lines)
                .bind(to.seq)
                .bind(to.parts)
                .bind(from.lines)
                .bind(from.seq)
                .bind(from.parts)
                .execute(tx.connection())
                .await?;
                if moved.rows_affected() == 0 {
                    return Err(Error::Moved);
                }
                for batch in batches(&parts) {
                    let sql = format!(
                        "INSERT INTO series (run_id, stream, name, part, points, first_step, last_step, buckets, body) \
                         VALUES {}",
                        rows_of(batch.len(), 9)
                    );
                    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
                    for part in batch {
                        query = query
                            .bind(run.as_str())
                            .bind(stream as i16)
                            .bind(&part.name)
                            .bind(from.parts)
                            .bind(part.points)
                            .bind(part.first_step)
                            .bind(part.last_step)
                            .bind(part.buckets.clone())
                            .bind(part.body.clone());
                    }
                    query.execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Forgets the parts of a run's stream.
    pub async fn series_forget(&self, run: &RunId, stream: Stream) -> Result<()> {
        let run = run.clone();
        self.write_in(Area::Beside, move |tx| {
            let run = run.clone();
            Box::pin(async move {
                for table in ["series", "series_runs"] {
                    let sql = format!("DELETE FROM {table} WHERE run_id = $1 AND stream = $2");
                    sqlx::query(sqlx::AssertSqlSafe(sql))
                        .bind(run.as_str())
                        .bind(stream as i16)
                        .execute(tx.connection())
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Lists the parts of some keys (of all when none is named), by key and in order.
    pub async fn series_heads(&self, run: &RunId, stream: Stream, names: &[String]) -> Result<Vec<PartHead>> {
        let places = (3..3 + names.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let which = if names.is_empty() { String::new() } else { format!("AND name IN ({places})") };
        let sql = format!(
            "SELECT name, part, points, first_step, last_step FROM series WHERE run_id = $1 AND stream = $2 {which} \
             ORDER BY name, part"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(run.as_str()).bind(stream as i16);
        let query = names.iter().fold(query, |q, name| q.bind(name.as_str()));
        query
            .fetch_all(self.read_pool())
            .await?
            .iter()
            .map(|row| {
                Ok(PartHead {
                    name: row.text("name")?,
                    part: row.int("part")?,
                    points: row.int("points")?,
                    first_step: row.float("first_step")?,
                    last_step: row.float("last_step")?,
                })
            })
            .collect()
    }

    /// Reads the buckets (or with `points` the points) of one key in the parts from `first` to `last`, in order.
    pub async fn series_bytes(
        &self,
        run: &RunId,
        stream: Stream,
        name: &str,
        (first, last): (i64, i64),
        points: bool,
    ) -> Result<Vec<Vec<u8>>> {
        let column = if points { "body" } else { "buckets" };
        let sql = format!(
            "SELECT {column} AS bytes FROM series WHERE run_id = $1 AND stream = $2 AND name = $3 AND part >= $4 \
             AND part <= $5 ORDER BY part"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(run.as_str())
            .bind(stream as i16)
            .bind(name.to_owned())
            .bind(first)
            .bind(last)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(|row| row.bytes("bytes")).collect()
    }
}
