//! Reading back what runs have logged.
//!
//! Rows are read in batches of chunks; what only needs some rows (a window of steps, a sample) fetches only their chunks.

use std::{collections::HashMap, ops::Range, sync::Arc};

use lanza_model::id::RunId;
use lanza_store::{
    chunks::{Chunk, Segment, Stream, overlay},
    runs::Run,
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Result, Service, lenient, needle::Needle};

/// How many chunks are held in memory at once.
const BATCH: usize = 16;
/// Most rows that one request of sampled rows answers.
const MOST_SAMPLES: usize = 100_000;
/// Bytes of console output that one search reads before it answers what it has.
const SEARCH_BYTES: usize = 32 << 20;
/// Among how many lines the last one that can be read is looked for.
const LAST_LINES: usize = 100;
/// Longest text of a line that a search answers, in characters.
const MATCH_CHARS: usize = 1_000;

/// A visible part of a stored chunk.
#[derive(Debug, Clone)]
struct Part {
    chunk: Chunk,
    segment: Segment,
}

/// Keys of runs' histories, as they were when so many lines were there.
#[derive(Debug, Default)]
pub(crate) struct KeysCache(Mutex<HashMap<RunId, Known>>);

/// The chunks that a run had, and the keys found in them.
type Known = (Vec<Chunk>, Arc<Value>);

const KEYS_CACHE_SIZE: usize = 256;

/// Which rows of a history are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SampleSpec {
    /// Keys that a row must have, dotted.
    pub keys: Vec<String>,
    /// How many rows at most, spread evenly.
    pub samples: Option<usize>,
    /// Least step, inclusive.
    pub min_step: Option<i64>,
    /// Greatest step, inclusive.
    pub max_step: Option<i64>,
}

/// A line of console output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Number, from 0.
    pub number: i64,
    /// When, as the client wrote it.
    pub timestamp: Option<String>,
    /// `error` for what went to stderr.
    pub level: Option<String>,
    /// Which of several processes.
    pub label: Option<String>,
    /// The text.
    pub text: String,
}

impl Service {
    async fn parts(&self, run: &Run, stream: Stream) -> Result<Vec<Part>> {
        let chunks = self.store.chunk_list(&run.id, stream).await?;
        Ok(parts_of(chunks))
    }

    /// Gives `see` every line of the parts: its place in the order of the parts, and its text. Stops when `see` says so.
    async fn read(
        &self,
        run: &Run,
        stream: Stream,
        parts: &[Part],
        mut see: impl FnMut(usize, &str) -> bool + Send,
    ) -> Result<()> {
        let mut place = 0;
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let same = rest.iter().take(BATCH).take_while(|p| p.chunk.writer == first.chunk.writer).count();
            let (batch, later) = rest.split_at(same);
            rest = later;
            let mut seqs: Vec<i64> = batch.iter().map(|p| p.chunk.seq).collect();
            seqs.dedup();
            let bodies = self.store.chunk_bodies(&run.id, stream, &first.chunk.writer, &seqs).await?;
            for part in batch {
                // A chunk that is gone was deleted with its run in the meantime.
                let Some(body) = bodies.get(&part.chunk.seq) else { continue };
                let body = String::from_utf8_lossy(body);
                let skip = part.segment.first_line - part.chunk.first_line;
                for line in body.split('\n').skip(skip as usize).take(part.segment.line_count as usize) {
                    // A line that could not be read when it came keeps its place, and nothing else.
                    let left_out = line.is_empty() && stream != Stream::Console;
                    if !left_out && !see(place, line) {
                        return Ok(());
                    }
                    place += 1;
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Gives `see` every visible line of some chunks: its place in their order, and its text.
    pub(crate) async fn read_chunks(
        &self,
        run: &Run,
        stream: Stream,
        chunks: Vec<Chunk>,
        mut see: impl FnMut(usize, &str) + Send,
    ) -> Result<()> {
        self.read(run, stream, &parts_of(chunks), |place, line| {
            see(place, line);
            true
        })
        .await
    }

    /// Returns raw lines of history or system metrics: those of a window of steps (the end is exclusive) if one is given,
    /// at most `samples` of them, spread evenly.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_lines(
        &self,
        run: &Run,
        stream: Stream,
        window: Option<Range<i64>>,
        samples: usize,
    ) -> Result<Vec<String>> {
        let samples = samples.clamp(1, MOST_SAMPLES);
        let mut parts = self.parts(run, stream).await?;
        if let Some(window) = window {
            parts.retain(|p| p.chunk.steps.is_none_or(|(low, high)| high >= window.start && low < window.end));
            let mut lines = Vec::new();
            self.read(run, stream, &parts, |_, line| {
                if lenient::step_of(line).is_some_and(|s| window.contains(&s)) {
                    lines.push(line.to_owned());
                }
                true
            })
            .await?;
            sort_by_step(&parts, &mut lines);
            return Ok(evenly(lines.len(), samples).map(|i| std::mem::take(&mut lines[i])).collect());
        }
        let total: i64 = parts.iter().map(|p| p.segment.line_count).sum();
        let picks: Vec<usize> = evenly(total as usize, samples).collect();
        let chosen = narrowed(&parts, &picks);
        let mut lines = Vec::with_capacity(picks.len());
        self.read(run, stream, &chosen, |_, line| {
            lines.push(line.to_owned());
            true
        })
        .await?;
        sort_by_step(&parts, &mut lines);
        Ok(lines)
    }

    /// Returns the last line of history or system metrics, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_last_line(&self, run: &Run, stream: Stream) -> Result<Option<String>> {
        let parts = self.parts(run, stream).await?;
        let total: i64 = parts.iter().map(|p| p.segment.line_count).sum();
        if total == 0 {
            return Ok(None);
        }
        let mut last = None;
        let total = total as usize;
        let picks: Vec<usize> = (total.saturating_sub(LAST_LINES)..total).collect();
        self.read(run, stream, &narrowed(&parts, &picks), |_, line| {
            last = Some(line.to_owned());
            true
        })
        .await?;
        Ok(last)
    }

    /// Returns rows that have all keys of the spec, with those keys, spread evenly. A spec without keys has no rows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_samples(&self, run: &Run, spec: &SampleSpec) -> Result<Vec<Value>> {
        if spec.keys.is_empty() {
            return Ok(Vec::new());
        }
        let (low, high) = (spec.min_step.unwrap_or(i64::MIN), spec.max_step.unwrap_or(i64::MAX));
        let windowed = spec.min_step.is_some() || spec.max_step.is_some();
        let mut parts = self.parts(run, Stream::History).await?;
        parts.retain(|p| p.chunk.steps.is_none_or(|(first, last)| last >= low && first <= high));
        // Lines that cannot have a key are not parsed.
        let marks: Vec<String> = spec.keys.iter().map(|k| format!("\"{}", k.split('.').next().unwrap_or(k))).collect();
        let mut rows = Vec::new();
        self.read(run, Stream::History, &parts, |_, line| {
            if !marks.iter().all(|m| line.contains(m.as_str())) {
                return true;
            }
            if windowed && lenient::step_of(line).is_none_or(|s| s < low || s > high) {
                return true;
            }
            let row = lenient::object(line);
            let picked: Option<Map<String, Value>> =
                spec.keys.iter().map(|k| Some((k.clone(), lenient::lookup(&row, k)?.clone()))).collect();
            rows.extend(picked.map(Value::Object));
            true
        })
        .await?;
        let samples = spec.samples.unwrap_or(500).clamp(1, MOST_SAMPLES);
        Ok(evenly(rows.len(), samples).map(|i| rows[i].take()).collect())
    }

    /// Returns the steps of all rows that have one, at most `most`, spread evenly but always with the first and the last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_live_rows(&self, run: &Run, keys: &[String], most: usize) -> Result<Vec<Value>> {
        let spec = SampleSpec { keys: keys.to_vec(), samples: Some(most), ..SampleSpec::default() };
        self.run_samples(run, &spec).await
    }

    /// Returns what is known about the keys of a history, in the client's form; null when there is no history.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_history_keys(&self, run: &Run) -> Result<Arc<Value>> {
        let chunks = self.store.chunk_list(&run.id, Stream::History).await?;
        if let Some((seen, keys)) = self.history_keys.0.lock().get(&run.id)
            && *seen == chunks
        {
            return Ok(keys.clone());
        }
        let parts = parts_of(chunks.clone());
        let mut keys = Keys::default();
        self.read(run, Stream::History, &parts, |_, line| {
            keys.see(line);
            true
        })
        .await?;
        let keys = Arc::new(keys.finish());
        let mut cache = self.history_keys.0.lock();
        if cache.len() >= KEYS_CACHE_SIZE {
            cache.clear();
        }
        cache.insert(run.id.clone(), (chunks, keys.clone()));
        Ok(keys)
    }

    /// Counts the console lines.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_console_count(&self, run: &Run) -> Result<i64> {
        Ok(self.parts(run, Stream::Console).await?.iter().map(|p| p.segment.line_count).sum())
    }

    /// Looks for a text in the console lines from number `from` on. Answers what it found, at most `limit`, and the number
    /// where to go on when it has not seen everything.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_console_search(
        &self,
        run: &Run,
        needle: &Needle,
        from: i64,
        limit: usize,
    ) -> Result<(Vec<LogLine>, Option<i64>)> {
        let (parts, first) = self.console_parts(run, from, i64::MAX).await?;
        let (mut found, mut bytes, mut next) = (Vec::new(), 0, None);
        self.read(run, Stream::Console, &parts, |place, raw| {
            let number = first + place as i64;
            bytes += raw.len();
            if number >= from {
                let line = log_line(number, raw);
                if needle.is_in(&line.text) {
                    let text = line.text.chars().take(MATCH_CHARS).collect();
                    found.push(LogLine { text, ..line });
                }
            }
            if found.len() >= limit || bytes >= SEARCH_BYTES {
                next = Some(number + 1);
            }
            next.is_none()
        })
        .await?;
        Ok((found, next))
    }

    /// Returns the parts with console lines of numbers from `from` on, at most `most`, and the number of their first.
    async fn console_parts(&self, run: &Run, from: i64, most: i64) -> Result<(Vec<Part>, i64)> {
        let mut parts = self.parts(run, Stream::Console).await?;
        let mut before = 0;
        let mut first = None;
        parts.retain(|p| {
            let start = before;
            before += p.segment.line_count;
            let keep = before > from && start < from.saturating_add(most);
            if keep && first.is_none() {
                first = Some(start);
            }
            keep
        });
        Ok((parts, first.unwrap_or(0)))
    }

    /// Returns console lines with numbers from `from` on, at most `most`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_console(&self, run: &Run, from: i64, most: usize) -> Result<Vec<LogLine>> {
        let (parts, first) = self.console_parts(run, from, most as i64).await?;
        let mut lines = Vec::new();
        self.read(run, Stream::Console, &parts, |place, line| {
            let number = first + place as i64;
            if number >= from {
                lines.push(log_line(number, line));
            }
            lines.len() < most
        })
        .await?;
        Ok(lines)
    }
}

fn parts_of(chunks: Vec<Chunk>) -> Vec<Part> {
    chunks
        .chunk_by(|a, b| a.writer == b.writer)
        .flat_map(|of_writer| {
            overlay(of_writer).into_iter().map(|segment| Part { chunk: of_writer[segment.chunk].clone(), segment })
        })
        .collect()
}

/// Cuts the parts down to some of their lines, counted over all parts, in rising order.
fn narrowed(parts: &[Part], picks: &[usize]) -> Vec<Part> {
    let mut chosen: Vec<Part> = Vec::new();
    let (mut next, mut before) = (0, 0_usize);
    for part in parts {
        let end = before + part.segment.line_count as usize;
        while next < picks.len() && picks[next] < end {
            let line = part.segment.first_line + (picks[next] - before) as i64;
            match chosen.last_mut() {
                Some(last)
                    if last.chunk.seq == part.chunk.seq
                        && last.chunk.writer == part.chunk.writer
                        && last.segment.first_line + last.segment.line_count == line =>
                {
                    last.segment.line_count += 1;
                }
                _ => chosen.push(Part {
                    chunk: part.chunk.clone(),
                    segment: Segment { first_line: line, line_count: 1, ..part.segment },
                }),
            }
            next += 1;
        }
        before = end;
    }
    chosen
}

/// Returns at most `samples` places out of `total`, evenly spread, with the first and the last.
fn evenly(total: usize, samples: usize) -> impl Iterator<Item = usize> {
    let count = total.min(samples);
    (0..count).map(move |i| {
        if count == total {
            i
        } else if count == 1 {
            total - 1
        } else {
            i * (total - 1) / (count - 1)
        }
    })
}

/// Where several processes wrote, their lines follow each other by writer; put them in the order of steps.
fn sort_by_step(parts: &[Part], lines: &mut [String]) {
    if parts.windows(2).any(|w| w[0].chunk.writer != w[1].chunk.writer) {
        lines.sort_by_key(|l| lenient::step_of(l).unwrap_or(i64::MAX));
    }
}

/// Reads a console line: the structured form, or `[ERROR ]<time> text` of older clients.
fn log_line(number: i64, line: &str) -> LogLine {
    #[derive(Deserialize)]
    struct Structured {
        content: String,
        ts: Option<String>,
        level: Option<String>,
        label: Option<String>,
    }
    if line.starts_with('{')
        && let Ok(l) = serde_json::from_str::<Structured>(line)
    {
        return LogLine { number, timestamp: l.ts, level: l.level, label: l.label, text: l.content };
    }
    let (level, rest) = match line.strip_prefix("ERROR ") {
        Some(rest) => (Some("error".to_owned()), rest),
        None => (None, line),
    };
    let (timestamp, text) = match rest.split_once(' ') {
        Some((time, text)) if lanza_model::clock::Time::parse(time).is_some() => (Some(time.to_owned()), text),
        _ => (None, rest),
    };
    LogLine { number, timestamp, level, label: None, text: text.to_owned() }
}

/// What is counted about one key.
#[derive(Debug)]
struct Key {
    types: Vec<(&'static str, u64)>,
    monotonic: bool,
    last_number: Option<f64>,
    previous: Value,
}

#[derive(Debug, Default)]
struct Keys {
    order: Vec<String>,
    keys: HashMap<String, Key>,
    last_step: Option<i64>,
}

impl Keys {
    fn see(&mut self, line: &str) {
        let row = lenient::object(line);
        if let Some(step) = row.get("_step").and_then(Value::as_i64) {
            self.last_step = Some(self.last_step.map_or(step, |l| l.max(step)));
        }
        for (key, value) in row {
            self.flatten(key, value);
        }
    }

    fn flatten(&mut self, name: String, value: Value) {
        match value {
            // Media are values; other objects are folders of keys.
            Value::Object(inner) if !inner.contains_key("_type") => {
                for (key, value) in inner {
                    self.flatten(format!("{name}.{key}"), value);
                }
            }
            value => self.count(name, value),
        }
    }

    fn count(&mut self, name: String, value: Value) {
        let number = lenient::number(&value);
        let kind = match &value {
            _ if number.is_some() => "number",
            Value::Null => "nil",
            Value::Array(_) => "list",
            Value::Object(o) => match o.get("_type").and_then(Value::as_str) {
                Some("image-file") => "image-file",
                Some("table-file") => "table-file",
                Some("html-file") => "html-file",
                _ => "map",
            },
            _ => "string",
        };
        let order = &mut self.order;
        let key = self.keys.entry(name.clone()).or_insert_with(|| {
            order.push(name);
            Key { types: Vec::new(), monotonic: true, last_number: None, previous: Value::Null }
        });
        match key.types.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, count)) => *count += 1,
            None => key.types.push((kind, 1)),
        }
        if let (Some(last), Some(number)) = (key.last_number, number)
            && number < last
        {
            key.monotonic = false;
        }
        key.last_number = number.or(key.last_number);
        key.previous = value;
    }

    fn finish(mut self) -> Value {
        if self.keys.is_empty() {
            return Value::Null;
        }
        let keys: Map<String, Value> = self
            .order
            .into_iter()
            .filter_map(|name| {
                let key = self.keys.remove(&name)?;
                let counts: Vec<Value> =
                    key.types.iter().map(|(kind, count)| json!({ "type": kind, "count": count })).collect();
                let about = json!({ "typeCounts": counts, "monotonic": key.monotonic, "previousValue": key.previous });
                Some((name, about))
            })
            .collect();
        json!({ "sets": [], "keys": keys, "lastStep": self.last_step.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_evenly_with_both_ends() {
        assert_eq!(evenly(10, 4).collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(evenly(3, 10).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(5, 1).collect::<Vec<_>>(), [4]);
        assert_eq!(evenly(0, 5).count(), 0);
    }

    #[test]
    fn keys_are_flattened_and_the_last_value_is_exact() {
        let mut keys = Keys::default();
        keys.see(r#"{"_step":0,"loss":0.30000000000000004,"dict":{"val1":1},"bad":NaN}"#);
        keys.see(r#"{"_step":7,"loss":0.1,"img":{"_type":"image-file","path":"p"},"text":"x"}"#);
        let found = keys.finish();
        assert_eq!(found["lastStep"], 7);
        assert_eq!(found["keys"]["loss"]["previousValue"], json!(0.1));
        assert_eq!(found["keys"]["loss"]["monotonic"], false);
        assert_eq!(found["keys"]["loss"]["typeCounts"], json!([{ "type": "number", "count": 2 }]));
        assert_eq!(found["keys"]["dict.val1"]["previousValue"], 1);
        assert_eq!(found["keys"]["bad"]["previousValue"], "NaN");
        assert_eq!(found["keys"]["img"]["previousValue"]["path"], "p");
        assert_eq!(Keys::default().finish(), Value::Null);
    }

    #[test]
    fn console_lines_of_all_clients_are_read() {
        let new = log_line(3, r#"{"ts":"2026-11-21T22:13:21.16","content":"err line","level":"error"}"#);
        assert_eq!((new.text.as_str(), new.level.as_deref(), new.number), ("err line", Some("error"), 3));
        let old = log_line(0, "ERROR 2026-11-21T22:13:21.160000 two words");
        assert_eq!((old.text.as_str(), old.level.as_deref()), ("two words", Some("error")));
        assert_eq!(old.timestamp.as_deref(), Some("2026-11-21T22:13:21.160000"));
        assert_eq!(log_line(0, "plain text").text, "plain text");
    }
}
