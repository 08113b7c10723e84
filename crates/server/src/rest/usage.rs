//! Figures: usage, and how a queue did.

use axum::{Json, extract::State};
use lanza_api::{
    List,
    queue::QueueHistoryLine,
    usage::{AttemptSpan, JobLoad, QueueStatsAnswer, Usage},
};
use lanza_service::Error;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, limit_of, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(queue_stats))
        .routes(routes!(queue_attempts))
        .routes(routes!(queue_jobs))
        .routes(routes!(queue_history))
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
struct WindowQuery {
    since: Option<String>,
    until: Option<String>,
    slices: Option<u32>,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<String>,
    limit: Option<i64>,
}

/// Says how a queue did in a window of at most 90 days (a week unless `since` says otherwise, to now): states over time in
/// `slices` (90), waiting times, durations, endings, causes of failures, use by user.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/stats",
    params(("entity" = String, Path), ("queue" = String, Path), ("since" = Option<String>, Query),
    ("until" = Option<String>, Query), ("slices" = Option<u32>, Query)),
    responses((status = 200, body = QueueStatsAnswer), (status = 404), (status = 422)))]
async fn queue_stats(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<WindowQuery>,
) -> Answer<Json<QueueStatsAnswer>> {
    let window = state.service.window(query.since.as_deref(), query.until.as_deref())?;
    let stats = state.service.queue_stats(&actor, (&entity, &queue), window, query.slices).await?;
    Ok(Json(QueueStatsAnswer { stats }))
}

/// Lists attempts of a queue's items in a window: those that last, then those whose items ended last. `limit` counts items.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/attempts",
    params(("entity" = String, Path), ("queue" = String, Path), ("since" = Option<String>, Query),
    ("until" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<AttemptSpan>), (status = 404), (status = 422)))]
async fn queue_attempts(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<WindowQuery>,
) -> Answer<Json<List<AttemptSpan>>> {
    let limit = limit_of(query.limit)?;
    let window = state.service.window(query.since.as_deref(), query.until.as_deref())?;
    let after = query.after.as_deref();
    let page = state.service.queue_attempts(&actor, (&entity, &queue), window, after, limit).await?;
    Ok(Json(List { items: page.attempts, next: page.next }))
}

/// Lists the jobs whose items ended on a queue in a window, at most 50, with durations and what their newest runs used of
/// CPU, GPU and memory.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/jobs",
    params(("entity" = String, Path), ("queue" = String, Path), ("since" = Option<String>, Query),
    ("until" = Option<String>, Query)),
    responses((status = 200, body = List<JobLoad>), (status = 404), (status = 422)))]
async fn queue_jobs(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<WindowQuery>,
) -> Answer<Json<List<JobLoad>>> {
    let window = state.service.window(query.since.as_deref(), query.until.as_deref())?;
    Ok(Json(List::whole(state.service.queue_jobs(&actor, (&entity, &queue), window).await?)))
}

/// Lists who changed a queue, when, and which of its values, newest first.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/history",
    params(("entity" = String, Path), ("queue" = String, Path), Page),
    responses((status = 200, body = List<QueueHistoryLine>), (status = 404)))]
async fn queue_history(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<QueueHistoryLine>>> {
    let limit = query.limit()?;
    let before = match query.after.as_deref().map(str::parse) {
        None => None,
        Some(Ok(seq)) => Some(seq),
        Some(Err(_)) => return Err(Error::invalid("after", "is not a cursor of this list").into()),
    };
    let found = state.service.queue_history(&actor, &entity, &queue, before, limit).await?;
    Ok(Json(page(found, limit, |line| line.event.id.to_string())))
}
