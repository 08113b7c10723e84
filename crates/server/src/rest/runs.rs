//! Runs: lists, documents, series, files.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
};
use lanza_api::{
    List,
    run::{HistoryAnswer, Run, RunAnswer, RunChange, RunFile},
};
use lanza_service::{Actor, Error, run_files::mimetype, run_list::RunQuery};
use lanza_store::{
    chunks::Stream,
    runs::{Column, Comparison, Condition, Run as Found, RunFields},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, limit_of, page};
use crate::{app::AppState, auth::Caller, json::Body, problem::Answer, wandb::base_url};

/// Points of a series unless `points` says otherwise.
const POINTS: usize = 1000;

pub(super) type RunPath = Path<(String, String, String)>;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(run_list))
        .routes(routes!(run_get, run_change, run_delete))
        .routes(routes!(run_stop))
        .routes(routes!(run_history))
        .routes(routes!(run_system))
        .routes(routes!(run_file_list))
}

pub(super) async fn find(state: &AppState, actor: &Actor, path: &(String, String, String)) -> Result<Found, Error> {
    state.service.run_find(actor, Some(&path.0), &path.1, &path.2).await
}

async fn answer(state: &AppState, run: &Found) -> Answer<Json<RunAnswer>> {
    Ok(Json(RunAnswer { run: state.service.run_view(run).await? }))
}

#[derive(Debug, Default, Deserialize)]
struct Listing {
    filter: Option<String>,
    order: Option<String>,
    state: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

/// Lists the runs of a project, newest first unless `order` (`+`/`-` and a key) says otherwise. `filter` is a JSON document
/// in the client's form.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs", params(("entity" = String, Path),
    ("project" = String, Path), ("filter" = Option<String>, Query), ("order" = Option<String>, Query),
    ("state" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Run>), (status = 404), (status = 422)))]
async fn run_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<Listing>,
) -> Answer<Json<List<Run>>> {
    let limit = limit_of(query.limit)?;
    let project = state.service.project_find(&actor, Some(&entity), &project).await?;
    let states: Vec<String> =
        query.state.iter().flat_map(|s| s.split(',')).filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let condition = Condition { column: Column::State, comparison: Comparison::In(states.clone()) };
    let query = RunQuery {
        filter: query.filter,
        order: Some(query.order.unwrap_or_else(|| "-created_at".to_owned())),
        conditions: if states.is_empty() { Vec::new() } else { vec![condition] },
        after: query.after,
        limit,
    };
    let found = state.service.run_list(&project, &query).await?;
    let last = found.last().map(|r| r.id.to_string()).unwrap_or_default();
    let mut runs = Vec::with_capacity(found.len());
    for run in &found {
        runs.push(state.service.run_view(run).await?);
    }
    Ok(Json(page(runs, limit, |_| last.clone())))
}

/// Shows a run.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path)), responses((status = 200, body = RunAnswer), (status = 404)))]
async fn run_get(State(state): State<AppState>, Caller(actor): Caller, Path(path): RunPath) -> Answer<Json<RunAnswer>> {
    let run = find(&state, &actor, &path).await?;
    answer(&state, &run).await
}

/// Changes name, notes or tags of a run; null leaves a field as it is.
#[utoipa::path(patch, path = "/entities/{entity}/projects/{project}/runs/{run}", request_body = RunChange,
    params(("entity" = String, Path), ("project" = String, Path), ("run" = String, Path)),
    responses((status = 200, body = RunAnswer), (status = 403), (status = 404), (status = 422)))]
async fn run_change(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
    Body(change): Body<RunChange>,
) -> Answer<Json<RunAnswer>> {
    let run = find(&state, &actor, &path).await?;
    let fields =
        RunFields { display_name: change.name, notes: change.notes, tags: change.tags, ..RunFields::default() };
    let run = state.service.run_change(&actor, &run, fields).await?;
    answer(&state, &run).await
}

/// Deletes a run with its history and files; its artifacts stay.
#[utoipa::path(delete, path = "/entities/{entity}/projects/{project}/runs/{run}", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path)), responses((status = 204), (status = 403), (status = 404)))]
async fn run_delete(State(state): State<AppState>, Caller(actor): Caller, Path(path): RunPath) -> Answer<StatusCode> {
    let run = find(&state, &actor, &path).await?;
    state.service.run_delete(&actor, &run).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks a run to stop; the item that launched it stops too.
#[utoipa::path(post, path = "/entities/{entity}/projects/{project}/runs/{run}/stop", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path)),
    responses((status = 200, body = RunAnswer), (status = 403), (status = 404), (status = 409)))]
async fn run_stop(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
) -> Answer<Json<RunAnswer>> {
    let run = find(&state, &actor, &path).await?;
    if !state.service.run_stop(&actor, &run).await? {
        return Err(Error::conflict(format!("run `{}` is {} already", run.name, run.state)).into());
    }
    let run = find(&state, &actor, &path).await?;
    answer(&state, &run).await
}

#[derive(Debug, Default, Deserialize)]
struct SeriesQuery {
    keys: Option<String>,
    points: Option<usize>,
    from: Option<i64>,
    to: Option<i64>,
}

async fn series(state: &AppState, run: &Found, stream: Stream, query: SeriesQuery) -> Answer<Json<HistoryAnswer>> {
    let keys: Vec<String> =
        query.keys.iter().flat_map(|k| k.split(',')).filter(|k| !k.is_empty()).map(str::to_owned).collect();
    let steps = query.from.unwrap_or(i64::MIN)..query.to.map_or(i64::MAX, |t| t.saturating_add(1));
    let series = state.service.run_series(run, stream, &keys, query.points.unwrap_or(POINTS), steps).await?;
    Ok(Json(HistoryAnswer { series }))
}

/// Reads series of a run's history, `[step, value, min, max]` a point; `keys` is comma separated, none means all that are
/// numbers. `from` and `to` are steps, both inclusive.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/history", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("keys" = Option<String>, Query), ("points" = Option<i64>, Query),
    ("from" = Option<i64>, Query), ("to" = Option<i64>, Query)),
    responses((status = 200, body = HistoryAnswer), (status = 404), (status = 422)))]
async fn run_history(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
    Query(query): Query<SeriesQuery>,
) -> Answer<Json<HistoryAnswer>> {
    let run = find(&state, &actor, &path).await?;
    series(&state, &run, Stream::History, query).await
}

/// Reads series of a run's system metrics; the step is the run's time in seconds.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/system", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("keys" = Option<String>, Query), ("points" = Option<i64>, Query),
    ("from" = Option<i64>, Query), ("to" = Option<i64>, Query)),
    responses((status = 200, body = HistoryAnswer), (status = 404), (status = 422)))]
async fn run_system(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
    Query(query): Query<SeriesQuery>,
) -> Answer<Json<HistoryAnswer>> {
    let run = find(&state, &actor, &path).await?;
    series(&state, &run, Stream::Events, query).await
}

/// Lists the files of a run by path, each with a link that needs no key.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/files", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<RunFile>), (status = 404)))]
async fn run_file_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(path): RunPath,
    Query(query): Query<Page>,
) -> Answer<Json<List<RunFile>>> {
    let limit = query.limit()?;
    let run = find(&state, &actor, &path).await?;
    let after = query.after.as_deref().unwrap_or_default();
    let files = state.service.run_file_list(&run, &[], None, after, limit).await?;
    let base_url = base_url(&headers);
    let files = files
        .into_iter()
        .map(|f| RunFile {
            url: format!("{base_url}{}", state.service.run_file_link(&f)),
            mimetype: mimetype(&f.name).to_owned(),
            name: f.name,
            size_bytes: f.size_bytes,
            md5: f.md5,
            updated_at: f.updated_at,
        })
        .collect();
    Ok(Json(page(files, limit, |f: &RunFile| f.name.clone())))
}
