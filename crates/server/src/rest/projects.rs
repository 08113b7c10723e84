//! Projects.

use axum::{Json, extract::State, http::StatusCode};
use lanza_api::{
    List,
    entity::{Project, ProjectAnswer},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(project_list)).routes(routes!(project_get, project_delete))
}

/// Lists the projects of an entity by name.
#[utoipa::path(get, path = "/entities/{entity}/projects", params(("entity" = String, Path),
    ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Project>), (status = 404)))]
async fn project_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
    Query(query): Query<Page>,
) -> Answer<Json<List<Project>>> {
    let limit = query.limit()?;
    let after = query.after.as_deref().unwrap_or_default();
    let found = state.service.project_list(&actor, &entity, after, limit).await?;
    Ok(Json(page(state.service.project_views(&found).await?, limit, |p| p.name.clone())))
}

/// Shows a project.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}",
    params(("entity" = String, Path), ("project" = String, Path)),
    responses((status = 200, body = ProjectAnswer), (status = 404)))]
async fn project_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
) -> Answer<Json<ProjectAnswer>> {
    let found = state.service.project_find(&actor, Some(&entity), &project).await?;
    let project = state.service.project_views(&[found]).await?.remove(0);
    Ok(Json(ProjectAnswer { project }))
}

/// Deletes a project with its runs, jobs and artifacts. Needs an admin of the entity.
#[utoipa::path(delete, path = "/entities/{entity}/projects/{project}",
    params(("entity" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
async fn project_delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
) -> Answer<StatusCode> {
    state.service.project_delete(&actor, &entity, &project).await?;
    Ok(StatusCode::NO_CONTENT)
}
