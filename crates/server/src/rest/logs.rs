//! Logs of items: the text so far, or a stream that ends with the item.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        AppendHeaders, IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::stream;
use lanza_api::{
    List,
    item::{LogLine, LogMatch},
};
use lanza_model::Phase;
use lanza_service::{
    Actor, Error,
    logs::{LogCursor, LogOpened, LogRange},
    needle::Needle,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{limit_of, presence::while_known};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(item_logs)).routes(routes!(item_log_search))
}

/// Which lines of a log are asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Lines {
    tail: Option<u64>,
    from_line: Option<u64>,
    lines: Option<u64>,
}

impl Lines {
    pub(super) fn range(&self) -> Result<LogRange, Error> {
        LogRange::of(self.tail, self.from_line, self.lines)
    }
}

/// Says how many lines a log has now, and the number of the first one that the answer has.
pub(super) fn line_headers(lines: u64, first: u64) -> [(HeaderName, HeaderValue); 4] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("x-log-lines"), HeaderValue::from(lines)),
        (HeaderName::from_static("x-log-first-line"), HeaderValue::from(first)),
    ]
}

#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    attempt: Option<u32>,
    phase: Option<String>,
    #[serde(default)]
    follow: bool,
    tail: Option<u64>,
    from_line: Option<u64>,
    lines: Option<u64>,
}

fn phase_of(word: Option<&str>) -> Result<Option<Phase>, Error> {
    match word {
        None => Ok(None),
        Some(word) => Phase::parse(word).map(Some).ok_or_else(|| {
            let known = Phase::ALL.map(Phase::as_str).join(", ");
            Error::invalid("phase", format!("`{word}` is not a phase; the phases are {known}"))
        }),
    }
}

/// Reads an item's log as text: all of it, the last `tail` lines, or `lines` lines from `from_line` (from 1) on. The headers
/// `x-log-lines` and `x-log-first-line` say how many lines there are and which is the first of the answer. With
/// `follow=true` server-sent events from that line on, closed by the event `end`.
#[utoipa::path(get, path = "/items/{id}/logs", params(("id" = String, Path), ("attempt" = Option<u32>, Query),
    ("phase" = Option<String>, Query), ("follow" = Option<bool>, Query), ("tail" = Option<u64>, Query),
    ("from_line" = Option<u64>, Query), ("lines" = Option<u64>, Query)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404), (status = 422)))]
async fn item_logs(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
    let part = (query.attempt, phase_of(query.phase.as_deref())?);
    // Who follows does not stop before the end.
    let lines = query.lines.filter(|_| !query.follow);
    let range = Lines { tail: query.tail, from_line: query.from_line, lines }.range()?;
    let opened = state.service.log_open(&actor, &id, part, range).await?;
    if query.follow { Ok(follow(state, headers, actor, opened.cursor)) } else { Ok(text(state, opened)) }
}

#[derive(Debug, Deserialize)]
struct SearchQuery {
    q: String,
    #[serde(default)]
    regex: bool,
    attempt: Option<u32>,
    phase: Option<String>,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<u64>,
    limit: Option<i64>,
}

/// Finds the lines of an item's log that have a text (upper and lower case alike) or match a regular expression. An answer
/// may have fewer matches than `limit`, none even, and still a `next`: the server looks at so much of a log at once.
#[utoipa::path(get, path = "/items/{id}/logs/search", params(("id" = String, Path), ("q" = String, Query),
    ("regex" = Option<bool>, Query), ("attempt" = Option<u32>, Query), ("phase" = Option<String>, Query),
    ("after" = Option<u64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<LogMatch>), (status = 404), (status = 422)))]
async fn item_log_search(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<SearchQuery>,
) -> Answer<Json<List<LogMatch>>> {
    let limit = limit_of(query.limit)? as usize;
    let needle = Needle::new(&query.q, query.regex)?;
    let part = (query.attempt, phase_of(query.phase.as_deref())?);
    let range = Lines { from_line: Some(query.after.unwrap_or(1)), ..Lines::default() }.range()?;
    let opened = state.service.log_open(&actor, &id, part, range).await?;
    let (items, next) = state.service.log_search(opened, &needle, limit).await?;
    Ok(Json(List { items, next: next.map(|n| n.to_string()) }))
}

fn text(state: AppState, opened: LogOpened) -> Response {
    let headers = line_headers(opened.lines, opened.first_line);
    let pieces = stream::unfold((state, opened.cursor), |(state, mut cursor)| async move {
        match state.service.log_next(&mut cursor).await {
            // What a part left open does not run into the next one.
            Ok(Some(piece)) if piece.breaks => {
                let joined = Bytes::from([b"\n".as_slice(), &piece.body].concat());
                Some((Ok(joined), (state, cursor)))
            }
            Ok(Some(piece)) => Some((Ok(piece.body), (state, cursor))),
            Ok(None) => None,
            Err(e) => Some((Err(e), (state, cursor))),
        }
    });
    (AppendHeaders(headers), Body::from_stream(pieces)).into_response()
}

struct Following {
    state: AppState,
    actor: Arc<Actor>,
    cursor: LogCursor,
    lines: VecDeque<LogLine>,
    done: bool,
}

fn follow(state: AppState, headers: HeaderMap, actor: Arc<Actor>, cursor: LogCursor) -> Response {
    let begin = Following { state: state.clone(), actor, cursor, lines: VecDeque::new(), done: false };
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
            // Whether it has ended is asked before the log is read, so that nothing written in between is missed.
            let ended = f.state.service.log_ended(&f.actor, &f.cursor).await.unwrap_or(true);
            match f.state.service.log_next(&mut f.cursor).await {
                Ok(Some(piece)) => f.lines.extend(f.cursor.lines(&piece)),
                Ok(None) if ended => {
                    f.lines.extend(f.cursor.rest());
                    if f.lines.is_empty() {
                        f.done = true;
                        return Some((Ok(Sse::default().event("end").data("{}")), f));
                    }
                }
                Ok(None) => tokio::select! {
                    () = &mut woken => {}
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
                    () = f.state.stopping.cancelled() => return None,
                },
                Err(_) => return None,
            }
        }
    });
    SseBody::new(while_known(state, headers, live)).keep_alive(KeepAlive::default()).into_response()
}
