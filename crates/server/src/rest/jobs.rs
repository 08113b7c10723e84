//! Jobs and their versions, parsed.

use axum::{Json, extract::State, http::StatusCode};
use lanza_api::{
    List,
    artifact::{Job, JobAnswer, JobDiffAnswer, JobFromRun, JobVersion, JobVersionAnswer},
    job::{CodeCommitted, CodeUpload, JobMade, NewCode, NewJob, RunJobAnswer, Upload},
};
use lanza_service::jobs::{FromRun, Made, Outcome};
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
        .routes(routes!(job_list, job_create))
        .routes(routes!(code_begin))
        .routes(routes!(code_commit))
        .routes(routes!(job_get))
        .routes(routes!(job_version_list))
        .routes(routes!(job_version_get))
        .routes(routes!(job_diff))
        .routes(routes!(job_from_run, job_of_run))
}

/// Lists the jobs of a project by name.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/jobs",
    params(("entity" = String, Path), ("project" = String, Path), Page),
    responses((status = 200, body = List<Job>), (status = 404)))]
async fn job_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<Job>>> {
    let limit = query.limit()?;
    let after = query.after.as_deref().unwrap_or_default();
    let found = state.service.job_list(&actor, &entity, &project, after, limit).await?;
    Ok(Json(page(found, limit, |j| j.name.clone())))
}

/// Shows a job with its newest version.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/jobs/{name}",
    params(("entity" = String, Path), ("project" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = JobAnswer), (status = 404)))]
async fn job_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, name)): Path<(String, String, String)>,
) -> Answer<Json<JobAnswer>> {
    Ok(Json(JobAnswer { job: state.service.job_find(&actor, &entity, &project, &name).await? }))
}

/// Lists the versions of a job, newest first.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/jobs/{name}/versions",
    params(("entity" = String, Path), ("project" = String, Path), ("name" = String, Path), Page),
    responses((status = 200, body = List<JobVersion>), (status = 404)))]
async fn job_version_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, name)): Path<(String, String, String)>,
    Query(query): Query<Page>,
) -> Answer<Json<List<JobVersion>>> {
    let limit = query.limit()?;
    let before = query.after.as_deref().and_then(|v| v.trim_start_matches('v').parse().ok());
    let found = state.service.job_version_list(&actor, (&entity, &project, &name), before, limit).await?;
    Ok(Json(page(found, limit, |v| v.version.clone())))
}

/// Shows a version of a job: `vN`, an alias or a digest.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/jobs/{name}/versions/{version}",
    params(("entity" = String, Path), ("project" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = JobVersionAnswer), (status = 404)))]
async fn job_version_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, name, version)): Path<(String, String, String, String)>,
) -> Answer<Json<JobVersionAnswer>> {
    let version = state.service.job_version_find(&actor, (&entity, &project, &name), &version).await?;
    Ok(Json(JobVersionAnswer { version }))
}

#[derive(Debug, serde::Deserialize)]
struct DiffQuery {
    from: String,
    to: String,
}

/// Shows what changed between two versions of a job.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/jobs/{name}/diff",
    params(("entity" = String, Path), ("project" = String, Path), ("name" = String, Path), ("from" = String, Query),
        ("to" = String, Query)), responses((status = 200, body = JobDiffAnswer), (status = 404)))]
async fn job_diff(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, name)): Path<(String, String, String)>,
    Query(query): Query<DiffQuery>,
) -> Answer<Json<JobDiffAnswer>> {
    let diff = state.service.job_diff(&actor, (&entity, &project, &name), &query.from, &query.to).await?;
    Ok(Json(JobDiffAnswer { diff }))
}

/// Makes a job version: of code that was uploaded, of a commit, or of an image. Equal content makes no new version.
#[utoipa::path(post, path = "/entities/{entity}/projects/{project}/jobs",
    params(("entity" = String, Path), ("project" = String, Path)), request_body = NewJob,
    responses((status = 201, body = JobMade), (status = 200, body = JobMade), (status = 403), (status = 404), (status = 422)))]
async fn job_create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Body(new): Body<NewJob>,
) -> Answer<(StatusCode, Json<JobMade>)> {
    let made = state.service.job_create(&actor, (&entity, &project), new).await?;
    answer(&state, &actor, &made).await
}

/// Announces the code of a job and says which files the server does not have yet; `PUT` those to their links.
#[utoipa::path(post, path = "/entities/{entity}/projects/{project}/code",
    params(("entity" = String, Path), ("project" = String, Path)), request_body = NewCode,
    responses((status = 200, body = CodeUpload), (status = 403), (status = 404), (status = 422)))]
async fn code_begin(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Body(new): Body<NewCode>,
) -> Answer<Json<CodeUpload>> {
    let begun = state.service.code_begin(&actor, (&entity, &project), &new.name, new.files).await?;
    let upload = |slot: lanza_service::artifacts::FileSlot| Some(Upload { path: slot.spec.path, url: slot.link? });
    Ok(Json(CodeUpload {
        id: begun.artifact.id.to_string(),
        version: begun.artifact.version.map(|n| format!("v{n}")),
        uploads: begun.wanted.into_iter().filter_map(upload).collect(),
    }))
}

/// Commits the code of a job when its files have been uploaded. Again is fine.
#[utoipa::path(post, path = "/entities/{entity}/projects/{project}/code/{id}/commit",
    params(("entity" = String, Path), ("project" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = CodeCommitted), (status = 403), (status = 404), (status = 409)))]
async fn code_commit(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((_, _, id)): Path<(String, String, String)>,
) -> Answer<Json<CodeCommitted>> {
    let code = state.service.code_commit(&actor, &id).await?;
    let version = code.version.map(|n| format!("v{n}")).unwrap_or_default();
    Ok(Json(CodeCommitted { id: code.id.to_string(), version }))
}

/// Makes a job of a run. Equal content makes no new version.
#[utoipa::path(post, path = "/entities/{entity}/projects/{project}/runs/{run}/job",
    params(("entity" = String, Path), ("project" = String, Path), ("run" = String, Path)), request_body = JobFromRun,
    responses((status = 201, body = JobMade), (status = 200, body = JobMade), (status = 403), (status = 404), (status = 422)))]
async fn job_from_run(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, run)): Path<(String, String, String)>,
    Body(body): Body<JobFromRun>,
) -> Answer<(StatusCode, Json<JobMade>)> {
    let service = &state.service;
    let run = service.run_find(&actor, Some(&entity), &project, &run).await?;
    let made = service.job_from_run(&actor, &run, FromRun { name: body.name, source: body.source }).await?;
    answer(&state, &actor, &made).await
}

async fn answer(state: &AppState, actor: &lanza_service::Actor, made: &Made) -> Answer<(StatusCode, Json<JobMade>)> {
    let status = if made.outcome == Outcome::Unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(state.service.job_made_view(actor, made).await?)))
}

/// Names the job that a run ran or became, or says why there is none.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/job",
    params(("entity" = String, Path), ("project" = String, Path), ("run" = String, Path)),
    responses((status = 200, body = RunJobAnswer), (status = 404)))]
async fn job_of_run(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project, run)): Path<(String, String, String)>,
) -> Answer<Json<RunJobAnswer>> {
    let run = state.service.run_find(&actor, Some(&entity), &project, &run).await?;
    Ok(Json(RunJobAnswer { job: state.service.job_of_run(&run).await? }))
}
