//! Agents, as people see and steer them.

use axum::{Json, extract::State};
use lanza_api::{
    List,
    agent::{Agent, AgentAnswer, AgentLogLine, Register},
};
use serde::Deserialize;
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
        .routes(routes!(agent_list, agent_register))
        .routes(routes!(agent_get))
        .routes(routes!(agent_log))
        .routes(routes!(agent_drain))
        .routes(routes!(agent_stop))
}

/// Query of a list of agents.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AgentPage {
    /// Cursor: `next` of the page before.
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<String>,
    /// Objects on the page.
    limit: Option<i64>,
    /// Only agents that did not end.
    #[serde(default)]
    live: bool,
}

/// Lists an entity's agents, newest first.
#[utoipa::path(get, path = "/entities/{entity}/agents",
    params(("entity" = String, Path), ("live" = Option<bool>, Query, description = "Only agents that did not end"),
        ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Agent>)))]
async fn agent_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Query(query): Query<AgentPage>,
) -> Answer<Json<List<Agent>>> {
    let limit = limit_of(query.limit)?;
    let after = query.after.as_deref();
    let (entity, agents) = state.service.agent_list(&actor, &entity, after, query.live, limit).await?;
    let mut views = Vec::with_capacity(agents.len());
    for agent in &agents {
        views.push(state.service.agent_view(&entity, agent).await?);
    }
    Ok(Json(page(views, limit, |a| a.id.clone())))
}

/// Registers an agent; the same state folder is the same agent.
#[utoipa::path(post, path = "/entities/{entity}/agents", params(("entity" = String, Path)), request_body = Register,
    responses((status = 200, body = AgentAnswer), (status = 404), (status = 422)))]
async fn agent_register(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Body(body): Body<Register>,
) -> Answer<Json<AgentAnswer>> {
    let (entity, agent) = state.service.agent_register(&actor, &entity, body).await?;
    Ok(Json(AgentAnswer { agent: state.service.agent_view(&entity, &agent).await? }))
}

/// Shows an agent.
#[utoipa::path(get, path = "/agents/{id}", params(("id" = String, Path)),
    responses((status = 200, body = AgentAnswer), (status = 404)))]
async fn agent_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<AgentAnswer>> {
    let (entity, _, agent) = state.service.agent_find(&actor, &id).await?;
    Ok(Json(AgentAnswer { agent: state.service.agent_view(&entity, &agent).await? }))
}

#[derive(Debug, Deserialize)]
struct LogQuery {
    /// Place of the last line that is known.
    after: Option<u64>,
    /// Lines in the answer.
    limit: Option<i64>,
}

/// Shows what an agent says of itself: its last lines, or those after a place. The server keeps its newest 2,000 lines.
#[utoipa::path(get, path = "/agents/{id}/log",
    params(("id" = String, Path), ("after" = Option<u64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<AgentLogLine>), (status = 404)))]
async fn agent_log(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Answer<Json<List<AgentLogLine>>> {
    let limit = limit_of(query.limit)?;
    let lines = state.service.agent_log(&actor, &id, query.after, limit).await?;
    let next = lines.last().filter(|_| lines.len() as i64 == limit).map(|line| line.number.to_string());
    Ok(Json(List { items: lines, next: next.filter(|_| query.after.is_some()) }))
}

/// Tells an agent to take nothing new and to end after its last item.
#[utoipa::path(post, path = "/agents/{id}/drain", params(("id" = String, Path)), responses((status = 200, body = AgentAnswer)))]
async fn agent_drain(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<AgentAnswer>> {
    command(&state, &actor, &id, false).await
}

/// Tells an agent to stop its items and end.
#[utoipa::path(post, path = "/agents/{id}/stop", params(("id" = String, Path)), responses((status = 200, body = AgentAnswer)))]
async fn agent_stop(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<AgentAnswer>> {
    command(&state, &actor, &id, true).await
}

async fn command(state: &AppState, actor: &lanza_service::Actor, id: &str, stop: bool) -> Answer<Json<AgentAnswer>> {
    let (entity, agent) = state.service.agent_command(actor, id, stop).await?;
    Ok(Json(AgentAnswer { agent: state.service.agent_view(&entity, &agent).await? }))
}
