//! `POST /files/{entity}/{project}/{run}/file_stream`: metrics, console, summary, liveness, end.
//!
//! Bodies are large and frequent. Lines are copied from the request into the chunk that is stored, one after the other;
//! nothing is built of them, only their `_step` is looked for. A row of metrics that is no JSON object would break every
//! reader of the run: it is left out, its number stays, and the rows around it are kept.

use std::{borrow::Cow, fmt, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use lanza_model::run::Event;
use lanza_service::{Error, lenient, runs::Post};
use lanza_store::chunks::{NewChunk, Stream};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::json;

use super::{Door, asker::Client, errors::Failed, too_large};

/// Greatest number of a line, which leaves room to count on.
const LAST_LINE: i64 = u32::MAX as i64 * 1024;

/// The body. What is not named here is of no use to us.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    files: Files,
    preempting: Option<bool>,
    complete: Option<bool>,
    exitcode: Option<i64>,
}

#[derive(Debug, Default)]
struct Files {
    chunks: Vec<NewChunk>,
    summary: Option<String>,
    /// Rows that cannot be read.
    left_out: i64,
}

/// What the lines of a file are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// Texts.
    #[default]
    Text,
    /// JSON objects.
    Rows,
    /// JSON objects with a step.
    Steps,
}

/// Lines joined by newlines, as they are stored.
#[derive(Debug, Default)]
struct Lines {
    body: Vec<u8>,
    count: i64,
    steps: Option<(i64, i64)>,
    /// A line has no step that is easy to read.
    stepless: bool,
    /// Rows that cannot be read.
    left_out: i64,
    kind: Kind,
}

/// Takes one request of a run's file stream; it is durable when this answers.
pub(super) async fn file_stream(
    State(door): State<Arc<Door>>,
    Path((entity, project, run)): Path<(String, String, String)>,
    client: Client,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let body = match body {
        Ok(body) => body,
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large("the request").into()),
        // Broken off on the way: the client sends it again.
        Err(_) => {
            return Err(Error::Unavailable {
                what: "the rest of the request".into(),
                retry_after_seconds: 1,
                source: None,
            }
            .into());
        }
    };
    let parsed: Body = if body.iter().all(u8::is_ascii_whitespace) {
        Body::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| Error::invalid("file_stream", format!("cannot be read: {e}")))?
    };
    let exit_code = parsed.exitcode;
    let event = match (parsed.complete, parsed.preempting) {
        (Some(true), _) => Event::Completed { exit_code: exit_code.unwrap_or(0) },
        (_, Some(true)) => Event::Preempting,
        _ => Event::Posted,
    };
    let shared = headers.get("x-wandb-use-async-filestream").is_some_and(|v| v == "true");
    let writer = headers.get("x-wandb-async-client-id").filter(|_| shared).and_then(|v| v.to_str().ok());
    let left_out = parsed.files.left_out;
    if left_out > 0 {
        metrics::counter!("lanza_file_stream_lines_unreadable_total").increment(left_out.unsigned_abs());
        tracing::warn!(entity, project, run, "{left_out} lines of metrics are no JSON objects and are left out");
    }
    let post = Post {
        writer: writer.unwrap_or_default().chars().take(128).collect(),
        chunks: parsed.files.chunks,
        summary: parsed.files.summary,
        event,
    };
    let posted = door.service.run_post(&client.actor, (&entity, &project, &run), post).await?;
    let mut answer = json!({ "limits": {} });
    if left_out > 0 {
        answer["unreadable_lines"] = json!(left_out);
    }
    if let Some(code) = exit_code {
        answer["exitcode"] = json!(code);
    }
    if posted.stop_requested && !posted.state.is_ended() {
        answer["stopped"] = json!(true);
    }
    Ok(Json(answer).into_response())
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(FilesVisitor)
    }
}

struct FilesVisitor;

impl<'de> Visitor<'de> for FilesVisitor {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of files")
    }

    fn visit_none<E>(self) -> Result<Files, E> {
        Ok(Files::default())
    }

    fn visit_unit<E>(self) -> Result<Files, E> {
        Ok(Files::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Files, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
        let mut files = Files::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let stream = match name.as_ref() {
                "wandb-history.jsonl" => Stream::History,
                "wandb-events.jsonl" => Stream::Events,
                "output.log" => Stream::Console,
                "wandb-summary.json" => {
                    let (_, lines) = map.next_value_seed(FileSeed { kind: Kind::Rows })?;
                    // The last line is the whole summary.
                    files.left_out += lines.left_out;
                    let last = lines.body.split(|b| *b == b'\n').rfind(|l| !l.is_empty());
                    files.summary = last.map(|l| String::from_utf8_lossy(l).into_owned());
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let kind = match stream {
                Stream::History => Kind::Steps,
                Stream::Events => Kind::Rows,
                Stream::Console => Kind::Text,
            };
            let (first_line, lines) = map.next_value_seed(FileSeed { kind })?;
            files.left_out += lines.left_out;
            if lines.count > 0 {
                files.chunks.push(NewChunk {
                    stream,
                    first_line,
                    line_count: lines.count,
                    steps: lines.steps.filter(|_| !lines.stepless),
                    body: lines.body,
                });
            }
        }
        Ok(files)
    }
}

/// Reads `{"offset": n, "content": [lines]}`.
struct FileSeed {
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for FileSeed {
    type Value = (i64, Lines);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FileSeed {
    type Value = (i64, Lines);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with offset and content")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut offset = 0_i64;
        let mut lines = Lines { kind: self.kind, ..Lines::default() };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "offset" => offset = map.next_value()?,
                "content" => map.next_value_seed(LinesSeed(&mut lines))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !(0..=LAST_LINE).contains(&offset) {
            let why = format!("offset is the number of a line, from 0 to {LAST_LINE}, and not {offset}");
            return Err(serde::de::Error::custom(why));
        }
        Ok((offset, lines))
    }
}

struct LinesSeed<'l>(&'l mut Lines);

impl<'de> DeserializeSeed<'de> for LinesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for LinesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of lines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<(), A::Error> {
        while lines.next_element_seed(LineSeed(self.0))?.is_some() {}
        Ok(())
    }
}

struct LineSeed<'l>(&'l mut Lines);

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for LineSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line")
    }

    fn visit_str<E>(self, line: &str) -> Result<(), E> {
        self.0.push(line);
        Ok(())
    }
}

impl Lines {
    fn push(&mut self, line: &str) {
        // Version 0.16 sends the newline along.
        let line = line.strip_suffix('\n').unwrap_or(line);
        if self.count > 0 {
            self.body.push(b'\n');
        }
        self.count += 1;
        if self.kind != Kind::Text && !lenient::is_object(line) {
            self.left_out += 1;
            return;
        }
        let from = self.body.len();
        self.body.extend_from_slice(line.as_bytes());
        // A newline inside of a line would make two of it.
        for byte in &mut self.body[from..] {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        if self.kind != Kind::Steps {
            return;
        }
        match lenient::step_of(line) {
            Some(step) => {
                self.steps = Some(self.steps.map_or((step, step), |(low, high)| (low.min(step), high.max(step))));
            }
            None => self.stepless = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_chunks_and_a_summary() {
        let body: Body = serde_json::from_str(
            r#"{"files":{"wandb-history.jsonl":{"offset":7,"content":["{\"_step\":3,\"x\":NaN}","{\"_step\":5}"]},
                "output.log":{"content":["a\nb\n","c"],"offset":2},
                "wandb-summary.json":{"offset":0,"content":["{\"x\":1}","{\"x\":2}"]},
                "other.txt":{"offset":0,"content":["z"]}},
                "uploaded":["config.yaml"],"complete":true,"exitcode":3,"dropped":0}"#,
        )
        .expect("a body");
        assert_eq!((body.complete, body.exitcode), (Some(true), Some(3)));
        assert_eq!(body.files.summary.as_deref(), Some(r#"{"x":2}"#));
        let [history, console] = &body.files.chunks[..] else { panic!("{:?}", body.files.chunks) };
        assert_eq!((history.first_line, history.line_count, history.steps), (7, 2, Some((3, 5))));
        assert_eq!(history.body, b"{\"_step\":3,\"x\":NaN}\n{\"_step\":5}");
        assert_eq!((console.first_line, console.body.as_slice()), (2, &b"a b\nc"[..]));
    }

    #[test]
    fn a_row_that_nobody_could_read_leaves_its_place_and_takes_nothing_with_it() {
        let body: Body = serde_json::from_str(
            r#"{"files":{"wandb-history.jsonl":{"offset":0,"content":["{\"_step\":1}","{bad","{\"_step\":4}","3",""]},
                "wandb-events.jsonl":{"offset":0,"content":["{bad}"]},
                "output.log":{"offset":0,"content":["{bad"]},
                "wandb-summary.json":{"offset":0,"content":["{\"x\":1}","{bad"]}}}"#,
        )
        .expect("a body");
        assert_eq!(body.files.left_out, 5);
        assert_eq!(body.files.summary.as_deref(), Some(r#"{"x":1}"#));
        let [history, events, console] = &body.files.chunks[..] else { panic!("{:?}", body.files.chunks) };
        assert_eq!(history.body, b"{\"_step\":1}\n\n{\"_step\":4}\n\n");
        assert_eq!((history.line_count, history.steps), (5, Some((1, 4))));
        assert_eq!((events.line_count, events.body.as_slice()), (1, &b""[..]));
        assert_eq!(console.body, b"{bad");
    }

    #[test]
    fn heartbeats_are_empty_in_several_ways() {
        for text in ["{}", r#"{"files":{}}"#, r#"{"files":null,"complete":false}"#] {
            let body: Body = serde_json::from_str(text).expect("a body");
            assert!(body.files.chunks.is_empty() && body.files.summary.is_none() && body.complete != Some(true));
        }
        assert!(serde_json::from_str::<Body>(r#"{"files":{"output.log":{"offset":-1,"content":["a"]}}}"#).is_err());
    }
}
