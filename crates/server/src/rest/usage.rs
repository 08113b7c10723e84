//! Figures: usage, and how a queue did.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use lanza_api::{
    List,
    item::Event,
    usage::{QueueStatsAnswer, Usage},
};
use lanza_service::Error;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, page};
use crate::{app::AppState, auth::Caller, problem::Answer};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(usage)).routes(routes!(queue_stats)).routes(routes!(queue_history))
}

#[derive(Debug, Deserialize)]
struct UsageQuery {
    entity: Option<String>,
    by: Option<String>,
    since: Option<String>,
}

/// Sums up what was used, by `user`, `queue`, `project` or `job`, since a time or for an age (`7d`).
#[utoipa::path(get, path = "/usage", params(("entity" = Option<String>, Query), ("by" = Option<String>, Query),
    ("since" = Option<String>, Query)), responses((status = 200, body = List<Usage>)))]
async fn usage(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Query(query): Query<UsageQuery>,
) -> Answer<Json<List<Usage>>> {
    let since = state.service.since(query.since.as_deref())?;
    let by = query.by.as_deref().unwrap_or("user");
    Ok(Json(List::whole(state.service.usage(&actor, query.entity.as_deref(), by, since).await?)))
}

#[derive(Debug, Deserialize)]
struct SinceQuery {
    since: Option<String>,
}

/// Says how a queue did: waiting times, durations, endings.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/stats",
    params(("entity" = String, Path), ("queue" = String, Path), ("since" = Option<String>, Query)),
    responses((status = 200, body = QueueStatsAnswer), (status = 404)))]
async fn queue_stats(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<SinceQuery>,
) -> Answer<Json<QueueStatsAnswer>> {
    let since = state.service.since(query.since.as_deref())?;
    Ok(Json(QueueStatsAnswer { stats: state.service.queue_stats(&actor, &entity, &queue, since).await? }))
}

/// Lists who changed a queue and when, newest first.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/history",
    params(("entity" = String, Path), ("queue" = String, Path)),
    responses((status = 200, body = List<Event>), (status = 404)))]
async fn queue_history(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<Event>>> {
    let limit = query.limit()?;
    let before = match query.after.as_deref().map(str::parse) {
        None => None,
        Some(Ok(seq)) => Some(seq),
        Some(Err(_)) => return Err(Error::invalid("after", "is not a cursor of this list").into()),
    };
    let found = state.service.queue_history(&actor, &entity, &queue, before, limit).await?;
    Ok(Json(page(found, limit, |e| e.id.to_string())))
}
