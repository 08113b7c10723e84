//! The protocol of our agents (`lanza_api::agent` describes it).

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use lanza_api::agent::{AgentLog, Claim, Claimed, Heartbeat, HeartbeatAnswer, LogEnd, OutcomeReport, Report};
use lanza_model::Phase;
use lanza_service::Error;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::AppState,
    auth::Caller,
    json::{Body, Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(claim))
        .routes(routes!(heartbeat))
        .routes(routes!(own_log))
        .routes(routes!(acknowledge))
        .routes(routes!(hand_back))
        .routes(routes!(report))
        .routes(routes!(log))
        .routes(routes!(outcome))
}

pub(super) type Fence = Path<(String, String, u32)>;

/// Waits for items.
#[utoipa::path(post, path = "/agents/{agent}/claim", params(("agent" = String, Path)), request_body = Claim,
    responses((status = 200, body = Claimed)))]
async fn claim(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(agent): Path<String>,
    Body(body): Body<Claim>,
) -> Answer<Json<Claimed>> {
    tokio::select! {
        claimed = state.service.agent_claim(&actor, &agent, &body) => Ok(Json(claimed?)),
        () = state.stopping.cancelled() => Err(stopping().into()),
    }
}

pub(super) fn stopping() -> Error {
    Error::Unavailable { what: "the server (it is stopping)".into(), retry_after_seconds: 1, source: None }
}

/// Renews the agent's leases and tells it what is wanted.
#[utoipa::path(post, path = "/agents/{agent}/heartbeat", params(("agent" = String, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatAnswer)))]
async fn heartbeat(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(agent): Path<String>,
    Body(body): Body<Heartbeat>,
) -> Answer<Json<HeartbeatAnswer>> {
    tokio::select! {
        answer = state.service.agent_heartbeat(&actor, &agent, &body) => Ok(Json(answer?)),
        () = state.stopping.cancelled() => Err(stopping().into()),
    }
}

/// Adds to what the agent says of itself.
#[utoipa::path(post, path = "/agents/{id}/log", params(("id" = String, Path)), request_body = AgentLog,
    responses((status = 204), (status = 413), (status = 422)))]
async fn own_log(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(agent): Path<String>,
    Body(body): Body<AgentLog>,
) -> Answer<StatusCode> {
    state.service.agent_log_add(&actor, &agent, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins with an item.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/acknowledge",
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 204), (status = 409)))]
async fn acknowledge(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
) -> Answer<StatusCode> {
    state.service.attempt_acknowledge(&actor, &agent, &item, attempt).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hands back a lease.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/return",
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 204), (status = 409)))]
async fn hand_back(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
) -> Answer<StatusCode> {
    state.service.attempt_return(&actor, &agent, &item, attempt).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reports phases, warnings, environment and source.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/report", request_body = Report,
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 204), (status = 409)))]
async fn report(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
    Body(body): Body<Report>,
) -> Answer<StatusCode> {
    state.service.attempt_report(&actor, &agent, &item, attempt, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct LogQuery {
    offset: u64,
}

/// Appends bytes to the log of a phase.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/logs/{phase}", request_body = Vec<u8>,
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path), ("phase" = String, Path),
        ("offset" = u64, Query)), responses((status = 200, body = LogEnd), (status = 409)))]
async fn log(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt, phase)): Path<(String, String, u32, String)>,
    Query(query): Query<LogQuery>,
    body: Bytes,
) -> Answer<Json<LogEnd>> {
    let phase = Phase::parse(&phase).ok_or_else(|| Error::invalid("phase", format!("`{phase}` is not a phase")))?;
    Ok(Json(state.service.attempt_log(&actor, &agent, &item, attempt, phase, query.offset, body).await?))
}

/// Ends an attempt.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/outcome", request_body = OutcomeReport,
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 204), (status = 409)))]
async fn outcome(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
    Body(body): Body<OutcomeReport>,
) -> Answer<StatusCode> {
    state.service.attempt_outcome(&actor, &agent, &item, attempt, body).await?;
    Ok(StatusCode::NO_CONTENT)
}
