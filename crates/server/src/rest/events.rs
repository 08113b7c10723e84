//! The audit trail: a list, or a stream of server-sent events.

use std::convert::Infallible;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::stream;
use lanza_api::{List, item::Event};
use lanza_model::Role;
use lanza_service::Error;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{limit_of, presence::while_known};
use crate::{app::AppState, auth::Caller, json::Query, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(event_list))
}

#[derive(Debug, Default, Deserialize)]
struct EventQuery {
    entity: Option<String>,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<i64>,
    limit: Option<i64>,
}

/// Lists the trail after `after`, of all entities of the caller's or of `entity`, oldest first; with `Accept: text/event-stream` it is a stream, resumable by
/// `Last-Event-ID`.
#[utoipa::path(get, path = "/events", params(("entity" = Option<String>, Query),
    ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Event>)))]
async fn event_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Answer<Response> {
    actor.require_person()?;
    let streaming = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if !streaming {
        let limit = limit_of(query.limit)?;
        let found = state.service.event_page(&actor, query.entity.as_deref(), query.after.unwrap_or(0), limit).await?;
        let next = found.more.then(|| found.position.to_string());
        return Ok(Json(List { items: found.events, next }).into_response());
    }
    if let Some(entity) = &query.entity {
        state.service.entity_for(&actor, entity, Role::Viewer).await?;
    }
    let last = match headers.get("last-event-id").map(|v| v.to_str().map(str::parse::<i64>)) {
        Some(Ok(Ok(id))) => Some(id),
        Some(_) => return Err(Error::invalid("Last-Event-ID", "is not the id of an event").into()),
        None => query.after,
    };
    let position = match last {
        Some(id) => id,
        None => state.service.event_position().await?,
    };
    let live = stream::unfold(
        (state.clone(), actor, query.entity, position),
        |(state, actor, entity, mut position)| async move {
            loop {
                let woken = state.service.wakers.events.clone().notified_owned();
                tokio::pin!(woken);
                woken.as_mut().enable();
                let found = state.service.event_page(&actor, entity.as_deref(), position, 500).await.ok()?;
                position = found.position;
                if !found.events.is_empty() {
                    let events: Vec<Result<Sse, Infallible>> = found.events.iter().map(|e| Ok(event(e))).collect();
                    return Some((stream::iter(events), (state, actor, entity, position)));
                }
                if found.more {
                    continue;
                }
                tokio::select! {
                    () = &mut woken => {}
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
                    () = state.stopping.cancelled() => return None,
                }
            }
        },
    );
    let live = while_known(state, headers, futures::StreamExt::flatten(live));
    Ok(SseBody::new(live).keep_alive(KeepAlive::default()).into_response())
}

fn event(event: &Event) -> Sse {
    let data = serde_json::to_string(event).expect("events serialize");
    Sse::default().id(event.id.to_string()).data(data)
}
