//! Builds that agents share (`lanza_api::build` describes the protocol).

use axum::{Json, extract::State, http::StatusCode};
use lanza_api::build::{BuildAnswer, BuildEnd, BuildRequest};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::protocol::{Fence, stopping};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Body, Path},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(claim_build)).routes(routes!(end_build))
}

/// Asks for a build, waits for that of somebody else, or renews the own one.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/build", request_body = BuildRequest,
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 200, body = BuildAnswer), (status = 409)))]
async fn claim_build(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
    Body(body): Body<BuildRequest>,
) -> Answer<Json<BuildAnswer>> {
    tokio::select! {
        answer = state.service.build_claim(&actor, &agent, &item, attempt, body) => Ok(Json(answer?)),
        () = state.stopping.cancelled() => Err(stopping().into()),
    }
}

/// Says that the attempt builds no more.
#[utoipa::path(post, path = "/agents/{agent}/items/{item}/{attempt}/build/end", request_body = BuildEnd,
    params(("agent" = String, Path), ("item" = String, Path), ("attempt" = u32, Path)),
    responses((status = 204)))]
async fn end_build(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((agent, item, attempt)): Fence,
    Body(body): Body<BuildEnd>,
) -> Answer<StatusCode> {
    state.service.build_end(&actor, &agent, &item, attempt, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
