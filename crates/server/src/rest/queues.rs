//! Queues of an entity.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use lanza_api::{
    List,
    queue::{ApplyQueues, NewQueue, Queue, QueueAnswer, QueueChanges},
};
use lanza_service::queues::QueueMode;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Body, Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(queue_list, queue_create, queues_apply))
        .routes(routes!(queue_get, queue_put, queue_patch, queue_delete))
        .routes(routes!(queue_pause))
        .routes(routes!(queue_resume))
        .routes(routes!(queue_drain))
}

type Name = Path<(String, String)>;

/// Lists an entity's queues by name.
#[utoipa::path(get, path = "/entities/{entity}/queues", params(("entity" = String, Path), Page),
    responses((status = 200, body = List<Queue>)))]
async fn queue_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Query(query): Query<Page>,
) -> Answer<Json<List<Queue>>> {
    let limit = query.limit()?;
    let after = query.after.as_deref().unwrap_or_default();
    let (entity, queues) = state.service.queue_list(&actor, &entity, after, limit).await?;
    let mut views = Vec::with_capacity(queues.len());
    for queue in &queues {
        views.push(state.service.queue_view(&entity, queue).await?);
    }
    Ok(Json(page(views, limit, |q| q.name.clone())))
}

#[derive(Debug, Default, Deserialize)]
struct ApplyQuery {
    #[serde(default)]
    plan: bool,
}

/// Makes and changes queues (with `prune` also deletes those that are not named) until they are as the body says, JSON
/// or YAML. With `?plan=true` it only answers what it would do.
#[utoipa::path(put, path = "/entities/{entity}/queues", params(("entity" = String, Path), ("plan" = Option<bool>, Query)),
    request_body = ApplyQueues, responses((status = 200, body = QueueChanges), (status = 403), (status = 409), (status = 422)))]
async fn queues_apply(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Query(query): Query<ApplyQuery>,
    Body(body): Body<ApplyQueues>,
) -> Answer<Json<QueueChanges>> {
    Ok(Json(QueueChanges { changes: state.service.queues_apply(&actor, &entity, body, query.plan).await? }))
}

/// Makes a queue.
#[utoipa::path(post, path = "/entities/{entity}/queues", params(("entity" = String, Path)), request_body = NewQueue,
    responses((status = 201, body = QueueAnswer), (status = 403), (status = 409), (status = 422)))]
async fn queue_create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Body(body): Body<NewQueue>,
) -> Answer<(StatusCode, Json<QueueAnswer>)> {
    let queue = state.service.queue_create(&actor, &entity, body).await?;
    Ok((StatusCode::CREATED, answer(&state, &actor, &entity, &queue.name).await?))
}

/// Shows a queue.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}", params(("entity" = String, Path), ("queue" = String, Path)),
    responses((status = 200, body = QueueAnswer), (status = 404)))]
async fn queue_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
) -> Answer<Json<QueueAnswer>> {
    answer(&state, &actor, &entity, &queue).await
}

/// Makes a queue or replaces its settings. With `If-Match` only if its `revision` is still that one.
#[utoipa::path(put, path = "/entities/{entity}/queues/{queue}",
    params(("entity" = String, Path), ("queue" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = NewQueue,
    responses((status = 200, body = QueueAnswer), (status = 201, body = QueueAnswer), (status = 412)))]
async fn queue_put(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
    headers: HeaderMap,
    Body(body): Body<NewQueue>,
) -> Answer<(StatusCode, Json<QueueAnswer>)> {
    let (_, new) = state.service.queue_put_at(&actor, &entity, &queue, body, true, if_match(&headers)).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, answer(&state, &actor, &entity, &queue).await?))
}

/// Changes what the body names. With `If-Match` only if its `revision` is still that one.
#[utoipa::path(patch, path = "/entities/{entity}/queues/{queue}",
    params(("entity" = String, Path), ("queue" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = NewQueue, responses((status = 200, body = QueueAnswer), (status = 404), (status = 412)))]
async fn queue_patch(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
    headers: HeaderMap,
    Body(body): Body<NewQueue>,
) -> Answer<Json<QueueAnswer>> {
    state.service.queue_put_at(&actor, &entity, &queue, body, false, if_match(&headers)).await?;
    answer(&state, &actor, &entity, &queue).await
}

/// Deletes a queue; its waiting items end as stopped.
#[utoipa::path(delete, path = "/entities/{entity}/queues/{queue}", params(("entity" = String, Path), ("queue" = String, Path)),
    responses((status = 204), (status = 409)))]
async fn queue_delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
) -> Answer<StatusCode> {
    state.service.queue_delete(&actor, &entity, &queue).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops handing out items; pushes are still taken.
#[utoipa::path(post, path = "/entities/{entity}/queues/{queue}/pause",
    params(("entity" = String, Path), ("queue" = String, Path)), responses((status = 200, body = QueueAnswer)))]
async fn queue_pause(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
) -> Answer<Json<QueueAnswer>> {
    state.service.queue_mode(&actor, &entity, &queue, QueueMode::Paused).await?;
    answer(&state, &actor, &entity, &queue).await
}

/// Goes on after a pause or a drain.
#[utoipa::path(post, path = "/entities/{entity}/queues/{queue}/resume",
    params(("entity" = String, Path), ("queue" = String, Path)), responses((status = 200, body = QueueAnswer)))]
async fn queue_resume(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
) -> Answer<Json<QueueAnswer>> {
    state.service.queue_mode(&actor, &entity, &queue, QueueMode::Open).await?;
    answer(&state, &actor, &entity, &queue).await
}

/// Takes nothing new; what waits still runs.
#[utoipa::path(post, path = "/entities/{entity}/queues/{queue}/drain",
    params(("entity" = String, Path), ("queue" = String, Path)), responses((status = 200, body = QueueAnswer)))]
async fn queue_drain(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Name,
) -> Answer<Json<QueueAnswer>> {
    state.service.queue_mode(&actor, &entity, &queue, QueueMode::Draining).await?;
    answer(&state, &actor, &entity, &queue).await
}

/// The revision that a change is made for; any will do without one.
fn if_match(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::IF_MATCH)?.to_str().unwrap_or_default().trim();
    let value = value.strip_prefix("W/").unwrap_or(value).trim_matches('"');
    (value != "*").then_some(value)
}

async fn answer(
    state: &AppState,
    actor: &lanza_service::Actor,
    entity: &str,
    queue: &str,
) -> Answer<Json<QueueAnswer>> {
    let (entity, queue) = state.service.queue_find(actor, entity, queue).await?;
    let warnings = state.service.queue_warnings(&queue).await?;
    Ok(Json(QueueAnswer { queue: state.service.queue_view(&entity, &queue).await?, warnings }))
}
