//! Items: launches and what becomes of them.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use lanza_api::{
    List,
    item::{Item, ItemAnswer, PlanAnswer, ReplayAnswer, Retry, Stop},
};
use lanza_model::spec::Door;
use lanza_service::items::{ItemQuery, Pushed, WirePush, place_cursor};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{limit_of, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Body, Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(queue_items, item_push))
        .routes(routes!(item_list))
        .routes(routes!(item_get))
        .routes(routes!(item_stop))
        .routes(routes!(item_retry))
        .routes(routes!(item_replay))
}

#[derive(Debug, Default, Deserialize)]
struct PushQuery {
    #[serde(default)]
    plan: bool,
}

/// Launches: puts an item on a queue. With `?plan=true` it only answers the effective config.
#[utoipa::path(post, path = "/entities/{entity}/queues/{queue}/items",
    params(("entity" = String, Path), ("queue" = String, Path), ("plan" = Option<bool>, Query)),
    request_body = Object, responses((status = 201, body = ItemAnswer), (status = 200, body = PlanAnswer), (status = 422)))]
async fn item_push(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<PushQuery>,
    Body(spec): Body<Value>,
) -> Answer<Response> {
    if query.plan {
        let plan = state.service.item_plan(&actor, &entity, &queue, spec).await?;
        return Ok(Json(PlanAnswer { plan }).into_response());
    }
    let pushed = state.service.item_push(&actor, &entity, &queue, spec, Door::Rest, WirePush::default()).await?;
    let status = if pushed.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(pushed_answer(&state, pushed).await?)).into_response())
}

async fn pushed_answer(state: &AppState, pushed: Pushed) -> Answer<ItemAnswer> {
    let item = state.service.item_view_pushed(&pushed).await?;
    Ok(ItemAnswer { item, warnings: pushed.warnings })
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    entity: Option<String>,
    queue: Option<String>,
    state: Option<String>,
    job: Option<String>,
    author: Option<String>,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<String>,
    limit: Option<i64>,
    order: Option<String>,
}

/// Lists items, newest first; ended ones too, unless `state` says otherwise. `order=place` lists what waits on the queue
/// that is named, in the order in which it is handed out.
#[utoipa::path(get, path = "/items", params(("entity" = Option<String>, Query), ("queue" = Option<String>, Query),
    ("state" = Option<String>, Query), ("job" = Option<String>, Query), ("author" = Option<String>, Query),
    ("order" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Item>), (status = 422)))]
async fn item_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answer<Json<List<Item>>> {
    list(&state, &actor, query).await
}

/// Lists a queue's items, newest first; with `order=place` what waits, in the order in which it is handed out.
#[utoipa::path(get, path = "/entities/{entity}/queues/{queue}/items",
    params(("entity" = String, Path), ("queue" = String, Path), ("state" = Option<String>, Query),
    ("job" = Option<String>, Query), ("author" = Option<String>, Query), ("order" = Option<String>, Query),
    ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Item>), (status = 422)))]
async fn queue_items(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, queue)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<List<Item>>> {
    list(&state, &actor, ListQuery { entity: Some(entity), queue: Some(queue), ..query }).await
}

async fn list(state: &AppState, actor: &lanza_service::Actor, query: ListQuery) -> Answer<Json<List<Item>>> {
    let limit = limit_of(query.limit)?;
    let query = ItemQuery {
        entity: query.entity,
        queue: query.queue,
        states: query.state,
        job: query.job,
        author: query.author,
        after: query.after,
        order: query.order,
    };
    let found = state.service.item_list(actor, &query, limit).await?;
    let mut views = Vec::with_capacity(found.len());
    for (entity, item) in &found {
        views.push(state.service.item_view_listed(entity, item).await?);
    }
    let by_place = query.order.as_deref() == Some("place");
    Ok(Json(page(views, limit, |i: &Item| if by_place { place_cursor(i.priority, &i.id) } else { i.id.clone() })))
}

/// Shows an item with its attempts, and why it waits.
#[utoipa::path(get, path = "/items/{id}", params(("id" = String, Path)),
    responses((status = 200, body = ItemAnswer), (status = 404)))]
async fn item_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<ItemAnswer>> {
    let (entity, _, item) = state.service.item_find(&actor, &id).await?;
    let item = state.service.item_view(&entity, &item).await?;
    Ok(Json(ItemAnswer { item, warnings: Vec::new() }))
}

/// Asks to stop an item.
#[utoipa::path(post, path = "/items/{id}/stop", params(("id" = String, Path)), request_body = Stop,
    responses((status = 200, body = ItemAnswer), (status = 403), (status = 409)))]
async fn item_stop(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(stop): Body<Stop>,
) -> Answer<Json<ItemAnswer>> {
    let (entity, item) = state.service.item_stop(&actor, &id, &stop).await?;
    let item = state.service.item_view(&entity, &item).await?;
    Ok(Json(ItemAnswer { item, warnings: Vec::new() }))
}

/// Launches an ended item's request again, as a new item.
#[utoipa::path(post, path = "/items/{id}/retry", params(("id" = String, Path)), request_body = Retry,
    responses((status = 201, body = ItemAnswer), (status = 409)))]
async fn item_retry(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(retry): Body<Retry>,
) -> Answer<(StatusCode, Json<ItemAnswer>)> {
    let pushed = state.service.item_retry(&actor, &id, &retry).await?;
    Ok((StatusCode::CREATED, Json(pushed_answer(&state, pushed).await?)))
}

/// Answers what is needed to run an item again by hand; changes nothing.
#[utoipa::path(post, path = "/items/{id}/replay", params(("id" = String, Path)),
    responses((status = 200, body = ReplayAnswer), (status = 404)))]
async fn item_replay(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<ReplayAnswer>> {
    Ok(Json(ReplayAnswer { replay: state.service.item_replay(&actor, &id).await? }))
}
