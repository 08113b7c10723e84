//! A stream of what changes about runs.

use std::{collections::VecDeque, convert::Infallible};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::{StreamExt, stream};
use lanza_api::run::RunNote;
use lanza_service::run_changes::RunNews;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::presence::while_known;
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run_changes))
}

#[derive(Debug, Default, Deserialize)]
struct ChangesQuery {
    run: Option<String>,
}

/// Streams, as server-sent events, which runs of a project change (or only `run`), each at most once a second: the event
/// `run` with what is known about it now, `deleted` with `{id}`, and `all` when it is unknown what was missed and everything
/// has to be read anew. The first event is `ready`: what changes from then on is not missed.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/changes", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = Option<String>, Query)),
    responses((status = 200, body = RunNote, content_type = "text/event-stream"), (status = 404)))]
async fn run_changes(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<ChangesQuery>,
) -> Answer<Response> {
    let watch = state.service.run_watch(&actor, &entity, &project, query.run.as_deref()).await?;
    let begin = (state.clone(), actor, watch, VecDeque::<RunNews>::new());
    let live = stream::unfold(begin, |(state, actor, mut watch, mut news)| async move {
        while news.is_empty() {
            tokio::select! {
                found = state.service.run_news(&actor, &mut watch) => news.extend(found.ok()?),
                () = state.stopping.cancelled() => return None,
            }
        }
        let event = news.pop_front().map(|n| Ok::<_, Infallible>(shown(&n)))?;
        Some((event, (state, actor, watch, news)))
    });
    let ready = stream::iter([Ok(Sse::default().event("ready").data("{}"))]);
    let live = while_known(state, headers, ready.chain(live));
    Ok(SseBody::new(live).keep_alive(KeepAlive::default()).into_response())
}

fn shown(news: &RunNews) -> Sse {
    let (event, data) = match news {
        RunNews::Changed(note) => ("run", serde_json::to_string(note).expect("notes serialize")),
        RunNews::Deleted(name) => ("deleted", json!({ "id": name }).to_string()),
        RunNews::All => ("all", "{}".to_owned()),
    };
    Sse::default().event(event).data(data)
}
