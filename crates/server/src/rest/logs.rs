//! Logs of items: the text so far, or a stream that ends with the item.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::header,
    response::{
        IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::{StreamExt, stream};
use lanza_api::item::LogLine;
use lanza_model::Phase;
use lanza_service::{Actor, Error, logs::LogCursor};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::AppState, auth::Caller, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(item_logs))
}

#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    attempt: Option<u32>,
    phase: Option<String>,
    #[serde(default)]
    follow: bool,
}

/// Reads an item's log as text; with `follow=true` server-sent events, closed by the event `end`.
#[utoipa::path(get, path = "/items/{id}/logs", params(("id" = String, Path), ("attempt" = Option<u32>, Query),
    ("phase" = Option<String>, Query), ("follow" = Option<bool>, Query)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404)))]
async fn item_logs(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
    let phase = match query.phase.as_deref() {
        None => None,
        Some(word) => Some(Phase::parse(word).ok_or_else(|| {
            let known = Phase::ALL.map(Phase::as_str).join(", ");
            Error::invalid("phase", format!("`{word}` is not a phase; the phases are {known}"))
        })?),
    };
    let cursor = state.service.log_open(&actor, &id, query.attempt, phase).await?;
    if query.follow { Ok(follow(state, actor, cursor)) } else { Ok(whole(state, cursor)) }
}

fn whole(state: AppState, cursor: LogCursor) -> Response {
    let pieces = stream::unfold((state, cursor), |(state, mut cursor)| async move {
        match state.service.log_next(&mut cursor).await {
            Ok(Some(piece)) => Some((Ok(piece.body), (state, cursor))),
            Ok(None) => None,
            Err(e) => Some((Err(e), (state, cursor))),
        }
    });
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(pieces)).into_response()
}

struct Following {
    state: AppState,
    actor: Arc<Actor>,
    cursor: LogCursor,
    lines: VecDeque<LogLine>,
    done: bool,
}

fn follow(state: AppState, actor: Arc<Actor>, cursor: LogCursor) -> Response {
    let begin = Following { state, actor, cursor, lines: VecDeque::new(), done: false };
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
    SseBody::new(live.boxed()).keep_alive(KeepAlive::default()).into_response()
}
