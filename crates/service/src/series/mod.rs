//! Charts: the numbers of runs' histories by key, in as few points as are drawn.
//!
//! Settled lines are drawn off into parts of columns ([`lanza_store::series`]), in the background and at the latest when somebody
//! looks at a long history. A chart reads buckets or points of its keys, and only the lines behind the last part are parsed. What
//! several processes write has no parts and is parsed whole.

mod block;
mod scan;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use lanza_model::id::RunId;
use lanza_store::{
    chunks::{Chunk, Stream, overlay},
    runs::Run,
    series::{PartHead, Reach},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use self::{
    block::{BUCKET, Builder, Point, at_most, buckets_of_bytes, coarse, of_bytes, sort},
    scan::Numbers,
};
use crate::{Error, Result, Service, lenient};

/// Most points of a series.
const MOST_POINTS: usize = 10_000;
/// Most keys of a question that names them.
const KEYS_MOST: usize = 1_000;
/// Lines from which on a running history gets another part, and those of a part at most, as a rule.
const LINES_LEAST: i64 = 16_384;
const LINES_MOST: i64 = 65_536;
/// Lines from which on the rest of an ended history gets a part.
const LINES_ENDED: i64 = 1_000;
/// Points of a series that are always read one by one, however few are drawn.
const POINTS_READ: usize = 20_000;
/// Runs, keys and points of one question about several runs.
const RUNS_AT_ONCE: usize = 100;
const POINTS_AT_ONCE: usize = 2_000_000;

/// Runs with lines that may be drawn off.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Mutex<HashMap<RunId, i64>>);

impl Backlog {
    /// Notes new lines of a run.
    pub(crate) fn note(&self, run: &RunId, lines: i64, ended: bool) {
        let mut waiting = self.0.lock();
        let known = waiting.entry(run.clone()).or_insert(0);
        *known = known.saturating_add(if ended { LINES_LEAST } else { lines });
    }

    /// Takes the runs that have enough.
    fn take(&self) -> Vec<RunId> {
        let mut waiting = self.0.lock();
        let ready: Vec<RunId> =
            waiting.iter().filter(|(_, n)| **n >= LINES_LEAST).map(|(run, _)| run.clone()).collect();
        for run in &ready {
            waiting.remove(run);
        }
        ready
    }
}

/// What a chart asks for.
#[derive(Debug, Clone)]
pub struct SeriesQuery {
    /// Keys, dotted; none means all that have numbers.
    pub keys: Vec<String>,
    /// How many points of each at most.
    pub points: usize,
    /// The steps.
    pub steps: Range<i64>,
}

impl SeriesQuery {
    fn check(&self) -> Result<()> {
        if !(1..=MOST_POINTS).contains(&self.points) {
            return Err(Error::invalid("points", format!("is a number from 1 to {MOST_POINTS}")));
        }
        if self.keys.len() > KEYS_MOST {
            return Err(Error::invalid("keys", format!("are at most {KEYS_MOST}")));
        }
        Ok(())
    }

    fn has(&self, step: f64) -> bool {
        step >= self.steps.start as f64 && step < self.steps.end as f64
    }
}

/// What stands behind the parts of a history.
struct Tail {
    reach: Reach,
    chunks: Vec<Chunk>,
    lines: i64,
}

impl Service {
    /// Returns a series `[step, value, min, max]` for each key, of at most `points` points; without keys, for every key that
    /// has numbers. The step of system metrics is the run's time in seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] when too much is asked for.
    pub async fn run_series(&self, run: &Run, stream: Stream, query: &SeriesQuery) -> Result<Map<String, Value>> {
        query.check()?;
        let mut series = self.series_points(run, stream, query).await?;
        let names: Vec<String> = if query.keys.is_empty() {
            series.keys().filter(|k| !k.starts_with('_')).cloned().collect()
        } else {
            query.keys.clone()
        };
        Ok(names
            .into_iter()
            .map(|key| {
                let points = series.remove(&key).unwrap_or_default();
                (key, shown(&at_most(&points, query.points)))
            })
            .collect())
    }

    /// Returns the series of several runs of a project, by run and key. Runs that are not there are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] when too much is asked for.
    pub async fn runs_series(
        &self,
        project: &lanza_store::projects::Project,
        runs: &[String],
        query: &SeriesQuery,
    ) -> Result<BTreeMap<String, Map<String, Value>>> {
        query.check()?;
        if !(1..=RUNS_AT_ONCE).contains(&runs.len()) {
            return Err(Error::invalid("runs", format!("names 1 to {RUNS_AT_ONCE} runs")));
        }
        if query.keys.is_empty() {
            return Err(Error::invalid("keys", "names at least one key"));
        }
        if runs.len() * query.keys.len() * query.points > POINTS_AT_ONCE {
            return Err(Error::invalid("points", format!("would be more than {POINTS_AT_ONCE} in all")));
        }
        let mut all = BTreeMap::new();
        for name in runs {
            if let Some(run) = self.store.run_by_name(&project.id, name).await? {
                all.insert(name.clone(), self.run_series(&run, Stream::History, query).await?);
            }
        }
        Ok(all)
    }

    async fn series_points(
        &self,
        run: &Run,
        stream: Stream,
        query: &SeriesQuery,
    ) -> Result<BTreeMap<String, Vec<Point>>> {
        if self.store.chunks_have_writers(&run.id, stream).await? {
            let all = self.store.chunk_list(&run.id, stream).await?;
            let mut points = self.parsed(run, stream, query, all, 0).await?;
            for points in points.values_mut() {
                sort(points);
            }
            return Ok(points);
        }
        let mut tail = self.series_tail(&run.id, stream).await?;
        if tail.lines >= LINES_LEAST || (run.state.is_ended() && tail.lines >= LINES_ENDED) {
            self.series_draw(run, stream).await?;
            tail = self.series_tail(&run.id, stream).await?;
        }
        let mut fresh = self.parsed(run, stream, query, tail.chunks, tail.reach.lines).await?;
        let heads = if tail.reach.parts > 0 {
            self.store.series_heads(&run.id, stream, &query.keys).await?
        } else {
            Vec::new()
        };
        let mut series = BTreeMap::new();
        for parts in heads.chunk_by(|a, b| a.name == b.name) {
            let name = &parts[0].name;
            let rest = fresh.remove(name).unwrap_or_default();
            if query.keys.is_empty() && name.starts_with('_') {
                continue;
            }
            series.insert(name.clone(), self.drawn(run, stream, query, parts, rest).await?);
        }
        for (name, mut points) in fresh {
            sort(&mut points);
            series.insert(name, points);
        }
        Ok(series)
    }

    /// Reads the points of one key from its parts, in buckets when there are many more than are drawn, and puts the fresh ones
    /// behind them.
    async fn drawn(
        &self,
        run: &Run,
        stream: Stream,
        query: &SeriesQuery,
        parts: &[PartHead],
        rest: Vec<Point>,
    ) -> Result<Vec<Point>> {
        let (start, end) = (query.steps.start as f64, query.steps.end as f64);
        let within: Vec<&PartHead> = parts.iter().filter(|p| p.last_step >= start && p.first_step < end).collect();
        let mut points = Vec::new();
        let mut rest = rest;
        if let (Some(first), Some(last)) = (within.first(), within.last()) {
            let expected: f64 = within.iter().map(|p| share(p, start, end)).sum();
            let in_buckets = expected + rest.len() as f64 > (query.points * BUCKET).max(POINTS_READ) as f64;
            let range = (first.part, last.part);
            let bytes = self.store.series_bytes(&run.id, stream, &first.name, range, !in_buckets).await?;
            for bytes in &bytes {
                if in_buckets {
                    buckets_of_bytes(bytes, &mut points);
                } else if of_bytes(bytes, &mut points).is_none() {
                    tracing::error!(run = %run.id, key = first.name, "a part of a series cannot be read");
                }
            }
            points.retain(|p| query.has(p.step));
            if in_buckets {
                rest = coarse(&rest);
            }
        }
        points.extend(rest);
        sort(&mut points);
        Ok(points)
    }

    /// Parses lines for their numbers. `first` is the number of the first line.
    async fn parsed(
        &self,
        run: &Run,
        stream: Stream,
        query: &SeriesQuery,
        mut chunks: Vec<Chunk>,
        first: i64,
    ) -> Result<BTreeMap<String, Vec<Point>>> {
        if stream == Stream::History {
            let (start, end) = (query.steps.start, query.steps.end);
            // Not those that others lie over: what is hidden below would come to light.
            if overlay(&chunks).len() == chunks.len() {
                chunks.retain(|c| c.steps.is_none_or(|(low, high)| high >= start && low < end));
            }
        }
        let by = step_key(stream);
        let wanted: HashSet<&str> = query.keys.iter().map(String::as_str).collect();
        let mut points: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        let mut numbers = Numbers::default();
        self.read_chunks(run, stream, chunks, |place, line| {
            numbers.read(line);
            let step = numbers.get(line, by).unwrap_or((first + place as i64) as f64);
            if query.has(step) {
                for (key, value) in numbers.of(line).filter(|(k, _)| wanted.is_empty() || wanted.contains(k)) {
                    let point = Point::of(step, value);
                    match points.get_mut(key) {
                        Some(known) => known.push(point),
                        None => drop(points.insert(key.to_owned(), vec![point])),
                    }
                }
            }
        })
        .await?;
        Ok(points)
    }

    /// Says what stands behind the parts. Parts whose lines were written anew are forgotten.
    async fn series_tail(&self, run: &RunId, stream: Stream) -> Result<Tail> {
        let mut reach = self.store.series_reach(run, stream).await?;
        let mut chunks = self.store.chunk_list_after(run, stream, reach.seq).await?;
        if chunks.iter().any(|c| c.first_line < reach.lines) {
            self.store.series_forget(run, stream).await?;
            reach = Reach::default();
            chunks = self.store.chunk_list_after(run, stream, 0).await?;
        }
        let lines = chunks.iter().map(|c| c.line_count).sum();
        Ok(Tail { reach, chunks, lines })
    }

    /// Draws off settled lines of a run into parts, until too few are left.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn series_draw(&self, run: &Run, stream: Stream) -> Result<()> {
        loop {
            let Tail { reach, mut chunks, lines } = self.series_tail(&run.id, stream).await?;
            let enough = if run.state.is_ended() { LINES_ENDED } else { LINES_LEAST };
            if lines < enough {
                return Ok(());
            }
            chunks.truncate(settled(&chunks));
            let end = chunks.iter().map(|c| c.first_line + c.line_count).max().unwrap_or(reach.lines);
            let seq = chunks.last().map_or(reach.seq, |c| c.seq);
            let (by, mut builder) = (step_key(stream), Builder::default());
            let first = reach.lines;
            let mut numbers = Numbers::default();
            self.read_chunks(run, stream, chunks, |place, line| {
                numbers.read(line);
                builder.add(&numbers, line, by, (first + place as i64) as f64);
            })
            .await?;
            let to = Reach { lines: end, seq, parts: reach.parts + 1 };
            match self.store.series_add(&run.id, stream, (reach, to), Arc::new(builder.finish())).await {
                // Another one was faster, or the run is gone.
                Err(lanza_store::Error::Moved) => return Ok(()),
                done => done?,
            }
        }
    }

    /// Draws off what has come together since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn series_reconcile(&self) -> Result<()> {
        for id in self.series_backlog.take() {
            let Some(run) = self.store.run_by_id(&id).await? else { continue };
            for stream in [Stream::History, Stream::Events] {
                if !self.store.chunks_have_writers(&id, stream).await? {
                    self.series_draw(&run, stream).await?;
                }
            }
        }
        Ok(())
    }
}

fn step_key(stream: Stream) -> &'static str {
    if stream == Stream::History { "_step" } else { "_runtime" }
}

/// How many points of a part a window has, if they are spread evenly.
fn share(part: &PartHead, start: f64, end: f64) -> f64 {
    let (from, to) = (part.first_step.max(start), part.last_step.min(end));
    let width = part.last_step - part.first_step;
    if width <= 0.0 { part.points as f64 } else { part.points as f64 * ((to - from) / width).clamp(0.0, 1.0) }
}

/// Returns how many of the chunks make a part: enough lines, which no later chunk writes anew.
fn settled(chunks: &[Chunk]) -> usize {
    // The least line of all chunks behind each one.
    let mut behind = vec![i64::MAX; chunks.len()];
    for i in (1..chunks.len()).rev() {
        behind[i - 1] = behind[i].min(chunks[i].first_line);
    }
    let (mut lines, mut end) = (0, 0);
    for (i, chunk) in chunks.iter().enumerate() {
        lines += chunk.line_count;
        end = end.max(chunk.first_line + chunk.line_count);
        if lines >= LINES_MOST && behind[i] >= end {
            return i + 1;
        }
    }
    chunks.len()
}

fn shown(points: &[Point]) -> Value {
    points.iter().map(|p| Value::from([p.step, p.value, p.least, p.greatest].map(lenient::value).to_vec())).collect()
}

#[cfg(test)]
mod tests;
