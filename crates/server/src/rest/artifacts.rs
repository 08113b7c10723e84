//! Artifacts: versions, their files, and the collections and types that they belong to.

use axum::{Json, extract::State, http::HeaderMap};
use lanza_api::{
    List,
    artifact::{Artifact, ArtifactAnswer, ArtifactFile},
};
use lanza_service::Error;
use lanza_store::artifacts::Relation;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, limit_of, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Path, Query},
    problem::Answer,
    wandb::base_url,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(artifact_get))
        .routes(routes!(artifact_file_list))
        .routes(routes!(artifact_list))
        .routes(routes!(artifact_list_of_type))
        .routes(routes!(artifact_version_list))
        .routes(routes!(artifact_version_get))
        .routes(routes!(artifact_version_file_list))
        .routes(routes!(run_artifact_list))
}

/// Query of a list of versions.
#[derive(Debug, Default, Deserialize)]
struct Listing {
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<String>,
    limit: Option<i64>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Query of a run's versions.
#[derive(Debug, Default, Deserialize)]
struct OfRun {
    relation: Option<String>,
}

async fn one(state: &AppState, artifact: lanza_store::artifacts::Artifact) -> Answer<Json<ArtifactAnswer>> {
    let artifact = state.service.artifact_views(&[artifact]).await?.remove(0);
    Ok(Json(ArtifactAnswer { artifact }))
}

/// Shows a version of an artifact.
#[utoipa::path(get, path = "/artifacts/{id}", params(("id" = String, Path)),
    responses((status = 200, body = ArtifactAnswer), (status = 404)))]
async fn artifact_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<Json<ArtifactAnswer>> {
    let found = state.service.artifact_find(&actor, &id).await?;
    one(&state, found).await
}

/// Lists the files of a version by path, each with a link that needs no key.
#[utoipa::path(get, path = "/artifacts/{id}/files", params(("id" = String, Path), Page),
    responses((status = 200, body = List<ArtifactFile>), (status = 404)))]
async fn artifact_file_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<Page>,
) -> Answer<Json<List<ArtifactFile>>> {
    let found = state.service.artifact_find(&actor, &id).await?;
    files(&state, &found, &query, &base_url(&headers)).await
}

async fn files(
    state: &AppState,
    artifact: &lanza_store::artifacts::Artifact,
    query: &Page,
    base_url: &str,
) -> Answer<Json<List<ArtifactFile>>> {
    let limit = query.limit()?;
    let after = query.after.as_deref().unwrap_or_default();
    let found = state.service.artifact_file_list(artifact, after, limit).await?;
    let views = found.into_iter().map(|file| state.service.artifact_file_view(file, base_url)).collect();
    Ok(Json(page(views, limit, |f: &ArtifactFile| f.path.clone())))
}

/// Lists the versions of a project's artifacts, newest first; `type` narrows them.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/artifacts",
    params(("entity" = String, Path), ("project" = String, Path), ("type" = Option<String>, Query), Page),
    responses((status = 200, body = List<Artifact>), (status = 404)))]
async fn artifact_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<Listing>,
) -> Answer<Json<List<Artifact>>> {
    let kind = query.kind.clone();
    versions(&state, &actor, (&entity, &project), kind.as_deref(), &query).await
}

/// Lists the versions of a project's artifacts of one type, newest first.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/artifacts/{type}",
    params(("entity" = String, Path), ("project" = String, Path), ("type" = String, Path), Page),
    responses((status = 200, body = List<Artifact>), (status = 404)))]
async fn artifact_list_of_type(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, kind)): Path<(String, String, String)>,
    Query(query): Query<Listing>,
) -> Answer<Json<List<Artifact>>> {
    versions(&state, &actor, (&entity, &project), Some(&kind), &query).await
}

async fn versions(
    state: &AppState,
    actor: &lanza_service::Actor,
    (entity, project): (&str, &str),
    kind: Option<&str>,
    query: &Listing,
) -> Answer<Json<List<Artifact>>> {
    let limit = limit_of(query.limit)?;
    let missing = || Error::not_found("project", format!("{entity}/{project}"));
    let project = state.service.artifact_project(actor, entity, project).await?.ok_or_else(missing)?;
    let found = state.service.artifact_list(actor, &project, kind, query.after.as_deref(), limit).await?;
    Ok(Json(page(state.service.artifact_views(&found).await?, limit, |a| a.id.clone())))
}

/// Lists the versions of one artifact, newest first.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/artifacts/{type}/{name}",
    params(("entity" = String, Path), ("project" = String, Path), ("type" = String, Path), ("name" = String, Path), Page),
    responses((status = 200, body = List<Artifact>), (status = 404)))]
async fn artifact_version_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, kind, name)): Path<(String, String, String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<Artifact>>> {
    let limit = query.limit()?;
    let service = &state.service;
    let missing = || Error::not_found("artifact", format!("{entity}/{project}/{name}"));
    let found = service.artifact_project(&actor, &entity, &project).await?.ok_or_else(missing)?;
    let collection = service.collection_find(&actor, &found, &name).await?;
    let collection = collection.filter(|c| c.type_name == kind).ok_or_else(missing)?;
    let before = query.after.as_deref().and_then(|v| v.trim_start_matches('v').parse().ok());
    let (members, _) = service.membership_list(&actor, &collection, before, limit).await?;
    let artifacts: Vec<_> = members.into_iter().map(|m| m.artifact).collect();
    Ok(Json(page(service.artifact_views(&artifacts).await?, limit, |a| a.version.clone())))
}

/// Shows a version of an artifact: `vN`, an alias or a digest.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}",
    params(("entity" = String, Path), ("project" = String, Path), ("type" = String, Path), ("name" = String, Path),
        ("version" = String, Path)),
    responses((status = 200, body = ArtifactAnswer), (status = 404)))]
async fn artifact_version_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, kind, name, version)): Path<(String, String, String, String, String)>,
) -> Answer<Json<ArtifactAnswer>> {
    let found = state.service.artifact_named(&actor, (&entity, &project), (&kind, &name), &version).await?;
    one(&state, found).await
}

/// Lists the files of a version of an artifact, each with a link that needs no key.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}/files",
    params(("entity" = String, Path), ("project" = String, Path), ("type" = String, Path), ("name" = String, Path),
        ("version" = String, Path), Page),
    responses((status = 200, body = List<ArtifactFile>), (status = 404)))]
async fn artifact_version_file_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path((entity, project, kind, name, version)): Path<(String, String, String, String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<ArtifactFile>>> {
    let found = state.service.artifact_named(&actor, (&entity, &project), (&kind, &name), &version).await?;
    files(&state, &found, &query, &base_url(&headers)).await
}

/// Lists the versions that a run logged, or with `relation=input` those that it used.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/artifacts",
    params(("entity" = String, Path), ("project" = String, Path), ("run" = String, Path),
        ("relation" = Option<String>, Query)),
    responses((status = 200, body = List<Artifact>), (status = 404), (status = 422)))]
async fn run_artifact_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, run)): Path<(String, String, String)>,
    Query(query): Query<OfRun>,
) -> Answer<Json<List<Artifact>>> {
    let relation = match query.relation.as_deref() {
        None | Some("output") => Relation::Output,
        Some("input") => Relation::Input,
        Some(other) => return Err(Error::invalid("relation", format!("`{other}` is none of output, input")).into()),
    };
    let run = state.service.run_find(&actor, Some(&entity), &project, &run).await?;
    let found = state.service.run_artifacts(&actor, run.id.as_str(), relation).await?;
    Ok(Json(List::whole(state.service.artifact_views(&found).await?)))
}
