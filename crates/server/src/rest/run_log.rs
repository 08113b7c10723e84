//! A run's console output: the text so far, or a stream that ends with the run.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body as Bytes, Bytes as Piece},
    extract::State,
    http::HeaderMap,
    response::{
        AppendHeaders, IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::stream;
use lanza_api::{List, run::ConsoleLine};
use lanza_service::{Actor, Error, history::LogLine, logs::LogRange, needle::Needle};
use lanza_store::runs::Run as Found;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    limit_of,
    logs::line_headers,
    presence::while_known,
    runs::{RunPath, find},
};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
};

/// Lines that are read at once.
const LINES: usize = 5000;
/// How long a follower sleeps at most between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run_log)).routes(routes!(run_log_search))
}

#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    #[serde(default)]
    follow: bool,
    tail: Option<u64>,
    from_line: Option<u64>,
    lines: Option<u64>,
}

/// Reads a run's console output as text: all of it, the last `tail` lines, or `lines` lines from `from_line` (from 1) on. The
/// headers `x-log-lines` and `x-log-first-line` say how many lines there are and which is the first of the answer. With
/// `follow=true` server-sent events from that line on, closed by the event `end`. A line that its writer draws again (a
/// progress bar) is sent again under the same number.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/log", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("follow" = Option<bool>, Query), ("tail" = Option<u64>, Query),
    ("from_line" = Option<u64>, Query), ("lines" = Option<u64>, Query)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404), (status = 422)))]
async fn run_log(
    State(state): State<AppState>,
    Caller(actor): Caller,
    caller: HeaderMap,
    Path(path): RunPath,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
    let range = LogRange::of(query.tail, query.from_line, query.lines)?;
    let run = find(&state, &actor, &path).await?;
    let count = state.service.run_console_count(&run).await?;
    let (first, most) = range.bounds(count.unsigned_abs());
    let from = first as i64;
    if query.follow {
        let begin = Following { state, actor, path, from, last: None, lines: VecDeque::new(), done: false };
        return Ok(follow(begin, caller));
    }
    let headers = line_headers(count.unsigned_abs(), first + 1);
    let end = most.map_or(i64::MAX, |m| from.saturating_add(m as i64));
    let pieces = stream::try_unfold((state, run, from), move |(state, run, from)| async move {
        let most = LINES.min((end - from).max(0) as usize);
        let lines = state.service.run_console(&run, from, most).await?;
        let Some(last) = lines.last() else { return Ok::<_, Error>(None) };
        let next = last.number + 1;
        let text: String = lines.iter().flat_map(|l| [l.text.as_str(), "\n"]).collect();
        Ok(Some((Piece::from(text), (state, run, next))))
    });
    Ok((AppendHeaders(headers), Bytes::from_stream(pieces)).into_response())
}

#[derive(Debug, Deserialize)]
struct SearchQuery {
    q: String,
    #[serde(default)]
    regex: bool,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<i64>,
    limit: Option<i64>,
}

/// Finds the lines of a run's console output that have a text (upper and lower case alike) or match a regular expression. An
/// answer may have fewer matches than `limit`, none even, and still a `next`: the server looks at so much of a log at once.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/log/search", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("q" = String, Query), ("regex" = Option<bool>, Query),
    ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<ConsoleLine>), (status = 404), (status = 422)))]
async fn run_log_search(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
    Query(query): Query<SearchQuery>,
) -> Answer<Json<List<ConsoleLine>>> {
    let limit = limit_of(query.limit)? as usize;
    let needle = Needle::new(&query.q, query.regex)?;
    let run = find(&state, &actor, &path).await?;
    let from = query.after.unwrap_or(1).max(1) - 1;
    let (found, next) = state.service.run_console_search(&run, &needle, from, limit).await?;
    let items = found.into_iter().map(shown).collect();
    Ok(Json(List { items, next: next.map(|n| (n + 1).to_string()) }))
}

fn shown(line: LogLine) -> ConsoleLine {
    ConsoleLine { line: line.number + 1, time: line.timestamp, level: line.level, label: line.label, text: line.text }
}

struct Following {
    state: AppState,
    actor: Arc<Actor>,
    path: (String, String, String),
    /// The next number to read; the last line is read again, for it may have been drawn anew.
    from: i64,
    last: Option<ConsoleLine>,
    lines: VecDeque<ConsoleLine>,
    done: bool,
}

impl Following {
    /// Reads what is new; false when there is nothing.
    async fn look(&mut self, run: &Found) -> Result<bool, Error> {
        let lines = self.state.service.run_console(run, self.from, LINES).await?;
        for line in lines {
            self.from = line.number;
            let line = shown(line);
            if self.last.as_ref() != Some(&line) {
                self.last = Some(line.clone());
                self.lines.push_back(line);
            }
        }
        Ok(!self.lines.is_empty())
    }
}

fn follow(begin: Following, headers: HeaderMap) -> Response {
    let state = begin.state.clone();
    let live = stream::unfold(begin, |mut f| async move {
        if f.done {
            return None;
        }
        loop {
            if let Some(line) = f.lines.pop_front() {
                let data = serde_json::to_string(&line).expect("lines serialize");
                return Some((Ok::<_, Infallible>(Sse::default().data(data)), f));
            }
            let woken = f.state.service.wakers.logs.clone().notified_owned();
            tokio::pin!(woken);
            woken.as_mut().enable();
            // The state is asked before the lines are read, so that nothing written in between is missed. A run that
            // was deleted or hidden meanwhile has ended for this caller.
            let run = find(&f.state, &f.actor, &f.path).await.ok()?;
            if f.look(&run).await.ok()? {
                continue;
            }
            if run.state.is_ended() {
                f.done = true;
                return Some((Ok(Sse::default().event("end").data("{}")), f));
            }
            tokio::select! {
                () = &mut woken => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = f.state.stopping.cancelled() => return None,
            }
        }
    });
    SseBody::new(while_known(state, headers, live)).keep_alive(KeepAlive::default()).into_response()
}
