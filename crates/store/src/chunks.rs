//! Lines of runs: history, system metrics, console.
//!
//! Lines are kept as they arrive, many in one row. A later chunk overwrites the lines that it covers (clients rewrite
//! console lines and send lines again after a failure), which is worked out when they are read: [`overlay`] says which
//! part of which chunk is visible, from the chunks' sizes alone, and only the bodies that are needed are fetched.

use std::collections::HashMap;

use lanza_model::id::RunId;
use sqlx::any::AnyRow;

use crate::{Result, Store, Tx, row::Columns};

/// Which lines of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What the script logs.
    History = 0,
    /// System metrics.
    Events = 1,
    /// Console output.
    Console = 2,
}

/// Lines to be stored.
#[derive(Debug, Clone)]
pub struct NewChunk {
    /// Which lines.
    pub stream: Stream,
    /// Number of the first line.
    pub first_line: i64,
    /// How many lines.
    pub line_count: i64,
    /// Least and greatest `_step`, when every line has one.
    pub steps: Option<(i64, i64)>,
    /// The lines, joined by newlines.
    pub body: Vec<u8>,
}

/// A stored chunk without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which of several processes wrote it; empty as a rule.
    pub writer: String,
    /// Order of arrival for the stream and writer.
    pub seq: i64,
    /// Number of the first line.
    pub first_line: i64,
    /// How many lines.
    pub line_count: i64,
    /// Least and greatest `_step`, when known.
    pub steps: Option<(i64, i64)>,
}

/// A visible part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the chunk in the list that [`overlay`] was given.
    pub chunk: usize,
    /// Number of the first visible line.
    pub first_line: i64,
    /// How many lines are visible.
    pub line_count: i64,
}

/// Returns the visible parts of chunks of one writer, which are in order of arrival, in order of lines.
pub fn overlay(chunks: &[Chunk]) -> Vec<Segment> {
    let mut visible: Vec<Segment> = Vec::with_capacity(chunks.len());
    for (index, chunk) in chunks.iter().enumerate() {
        if chunk.line_count <= 0 {
            continue;
        }
        let new = Segment { chunk: index, first_line: chunk.first_line, line_count: chunk.line_count };
        let end = new.first_line + new.line_count;
        // Nearly always the new chunk follows all that there is.
        if visible.last().is_none_or(|last| last.first_line + last.line_count <= new.first_line) {
            visible.push(new);
            continue;
        }
        let from = visible.partition_point(|s| s.first_line + s.line_count <= new.first_line);
        let to = visible.partition_point(|s| s.first_line < end);
        let mut put = Vec::with_capacity(3);
        if let Some(head) = visible.get(from).filter(|s| s.first_line < new.first_line) {
            put.push(Segment { line_count: new.first_line - head.first_line, ..*head });
        }
        put.push(new);
        if to > from
            && let Some(tail) = visible.get(to - 1)
            && tail.first_line + tail.line_count > end
        {
            put.push(Segment { first_line: end, line_count: tail.first_line + tail.line_count - end, ..*tail });
        }
        visible.splice(from..to.max(from), put);
    }
    visible
}

pub(crate) async fn chunk_insert_in_tx(tx: &mut Tx, run: &RunId, writer: &str, chunk: &NewChunk) -> Result<()> {
    sqlx::query(
        "INSERT INTO chunks (run_id, stream, writer, seq, first_line, line_count, first_step, last_step, body) \
         SELECT $1, $2, $3, COALESCE(MAX(seq), 0) + 1, $4, $5, $6, $7, $8 FROM chunks \
         WHERE run_id = $1 AND stream = $2 AND writer = $3",
    )
    .bind(run.as_str())
    .bind(chunk.stream as i16)
    .bind(writer)
    .bind(chunk.first_line)
    .bind(chunk.line_count)
    .bind(chunk.steps.map(|s| s.0))
    .bind(chunk.steps.map(|s| s.1))
    .bind(chunk.body.clone())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Counts the lines of a stream over all its writers.
pub(crate) async fn writer_lines_in_tx(tx: &mut Tx, run: &RunId, stream: Stream) -> Result<i64> {
    sqlx::query(
        "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) AS n FROM (SELECT MAX(first_line + line_count) AS n FROM chunks \
         WHERE run_id = $1 AND stream = $2 GROUP BY writer) w",
    )
    .bind(run.as_str())
    .bind(stream as i16)
    .fetch_one(tx.connection())
    .await?
    .int("n")
}

pub(crate) fn chunk(row: &AnyRow) -> Result<Chunk> {
    Ok(Chunk {
        writer: row.text("writer")?,
        seq: row.int("seq")?,
        first_line: row.int("first_line")?,
        line_count: row.int("line_count")?,
        steps: row.maybe_int("first_step")?.zip(row.maybe_int("last_step")?),
    })
}

/// How many bodies are fetched at once at most; bounds the memory of a reader.
const FETCH: usize = 64;

impl Store {
    /// Lists the chunks of a stream by writer, in order of arrival, without their lines.
    pub async fn chunk_list(&self, run: &RunId, stream: Stream) -> Result<Vec<Chunk>> {
        let rows = sqlx::query(
            "SELECT writer, seq, first_line, line_count, first_step, last_step FROM chunks \
             WHERE run_id = $1 AND stream = $2 ORDER BY writer, seq",
        )
        .bind(run.as_str())
        .bind(stream as i16)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(chunk).collect()
    }

    /// Fetches the lines of some chunks of one writer, by their place in the order of arrival.
    pub async fn chunk_bodies(
        &self,
        run: &RunId,
        stream: Stream,
        writer: &str,
        seqs: &[i64],
    ) -> Result<HashMap<i64, Vec<u8>>> {
        let mut bodies = HashMap::with_capacity(seqs.len());
        for seqs in seqs.chunks(FETCH) {
            let places: Vec<String> = (4..4 + seqs.len()).map(|n| format!("${n}")).collect();
            let sql = format!(
                "SELECT seq, body FROM chunks WHERE run_id = $1 AND stream = $2 AND writer = $3 AND seq IN ({})",
                places.join(", ")
            );
            let mut query =
                sqlx::query(sqlx::AssertSqlSafe(sql)).bind(run.as_str()).bind(stream as i16).bind(writer.to_owned());
            for seq in seqs {
                query = query.bind(*seq);
            }
            for row in query.fetch_all(self.read_pool()).await? {
                bodies.insert(row.int("seq")?, row.bytes("body")?);
            }
        }
        Ok(bodies)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(seq: i64, first_line: i64, line_count: i64) -> Chunk {
        Chunk { writer: String::new(), seq, first_line, line_count, steps: None }
    }

    proptest! {
        #[test]
        fn the_last_write_of_each_line_wins(writes in prop::collection::vec((0_i64..60, 0_i64..25), 0..25)) {
            let chunks: Vec<Chunk> =
                writes.iter().enumerate().map(|(seq, (first, count))| plain(seq as i64, *first, *count)).collect();
            let mut model: Vec<Option<usize>> = vec![None; 100];
            for (index, (first, count)) in writes.iter().enumerate() {
                for line in *first..first + count {
                    model[line as usize] = Some(index);
                }
            }
            let segments = overlay(&chunks);
            let mut seen: Vec<Option<usize>> = vec![None; 100];
            let mut next = 0;
            for s in &segments {
                prop_assert!(s.line_count > 0 && s.first_line >= next, "segments overlap or are out of order: {segments:?}");
                let c = &chunks[s.chunk];
                prop_assert!(s.first_line >= c.first_line && s.first_line + s.line_count <= c.first_line + c.line_count);
                next = s.first_line + s.line_count;
                for line in s.first_line..next {
                    seen[line as usize] = Some(s.chunk);
                }
            }
            prop_assert_eq!(seen, model);
        }
    }
}
