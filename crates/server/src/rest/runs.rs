//! Runs: lists, documents, series, files.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use lanza_api::{
    List,
    run::{HistoryAnswer, Run, RunAnswer, RunChange, RunFile, RunGroup, RunKey, RunSeriesAnswer},
};
use lanza_service::{
    Actor, Error, run_files::mimetype, run_filter::check_order, run_list::RunQuery, series::SeriesQuery as Wanted,
};
use lanza_store::{
    chunks::Stream,
    runs::{Column, Comparison, Condition, Run as Found, RunFields},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, limit_of, page};
use crate::{
    app::AppState,
    auth::Caller,
    json::{Body, Path, Query},
    problem::Answer,
    wandb::base_url,
};

/// Points of a series unless `points` says otherwise.
const POINTS: usize = 1000;

pub(super) type RunPath = Path<(String, String, String)>;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(run_list))
        .routes(routes!(run_groups))
        .routes(routes!(run_keys))
        .routes(routes!(runs_series))
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

/// Reads a list of keys of a query: comma separated, or a JSON list for keys with commas.
pub(super) fn key_list(field: &'static str, text: Option<&str>) -> Result<Vec<String>, Error> {
    let text = text.unwrap_or_default();
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|e| Error::invalid(field, format!("is not a JSON list of keys: {e}")));
    }
    Ok(text.split(',').filter(|k| !k.is_empty()).map(str::to_owned).collect())
}

#[derive(Debug, Default, Deserialize)]
struct Listing {
    filter: Option<String>,
    order: Option<String>,
    state: Option<String>,
    keys: Option<String>,
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    after: Option<String>,
    limit: Option<i64>,
}

fn run_query(filter: Option<String>, state: Option<&str>) -> RunQuery {
    let states: Vec<String> =
        state.iter().flat_map(|s| s.split(',')).filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let condition = Condition { column: Column::State, comparison: Comparison::In(states.clone()) };
    let conditions = if states.is_empty() { Vec::new() } else { vec![condition] };
    RunQuery { filter, conditions, ..RunQuery::default() }
}

/// Lists the runs of a project, newest first unless `order` (`+`/`-` and a key) says otherwise. `filter` is a JSON document
/// in the client's form. With `keys` (`config.lr,summary.loss`) configs and summaries have those keys alone, under their
/// dotted names.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs", params(("entity" = String, Path),
    ("project" = String, Path), ("filter" = Option<String>, Query), ("order" = Option<String>, Query),
    ("state" = Option<String>, Query), ("keys" = Option<String>, Query), ("after" = Option<String>, Query),
    ("limit" = Option<i64>, Query)),
    responses((status = 200, body = List<Run>), (status = 404), (status = 422)))]
async fn run_list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<Listing>,
) -> Answer<Json<List<Run>>> {
    let limit = limit_of(query.limit)?;
    let keys = query.keys.as_deref().map(|k| key_list("keys", Some(k))).transpose()?;
    check_order(query.order.as_deref())?;
    let project = state.service.project_find(&actor, Some(&entity), &project).await?;
    let wanted = RunQuery {
        order: Some(query.order.unwrap_or_else(|| "-created_at".to_owned())),
        after: query.after,
        limit,
        ..run_query(query.filter, query.state.as_deref())
    };
    let found = state.service.run_list(&project, &wanted).await?;
    let last = found.last().map(|r| r.id.to_string()).unwrap_or_default();
    let mut runs = Vec::with_capacity(found.len());
    for run in &found {
        runs.push(match &keys {
            Some(keys) => state.service.run_view_of(run, keys).await?,
            None => state.service.run_view(run).await?,
        });
    }
    Ok(Json(page(runs, limit, |_| last.clone())))
}

#[derive(Debug, Default, Deserialize)]
struct Grouping {
    by: Option<String>,
    metrics: Option<String>,
    filter: Option<String>,
    state: Option<String>,
}

/// Puts the runs of a project into groups of equal values of the keys `by` (at most 4), the largest first, at most 1,000: how
/// many runs, in which states, and count, mean, least and greatest of each of the keys `metrics` (at most 20).
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/run-groups", params(("entity" = String, Path),
    ("project" = String, Path), ("by" = String, Query), ("metrics" = Option<String>, Query),
    ("filter" = Option<String>, Query), ("state" = Option<String>, Query)),
    responses((status = 200, body = List<RunGroup>), (status = 404), (status = 422)))]
async fn run_groups(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<Grouping>,
) -> Answer<Json<List<RunGroup>>> {
    let by = key_list("by", query.by.as_deref())?;
    let metrics = key_list("metrics", query.metrics.as_deref())?;
    let project = state.service.project_find(&actor, Some(&entity), &project).await?;
    let wanted = run_query(query.filter, query.state.as_deref());
    Ok(Json(List::whole(state.service.run_groups(&project, &wanted, &by, &metrics).await?)))
}

/// Lists the keys that configs and summaries of a project's runs have, with the kinds of their values, at most 20,000.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/run-keys", params(("entity" = String, Path),
    ("project" = String, Path)), responses((status = 200, body = List<RunKey>), (status = 404)))]
async fn run_keys(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
) -> Answer<Json<List<RunKey>>> {
    let project = state.service.project_find(&actor, Some(&entity), &project).await?;
    Ok(Json(List::whole(state.service.run_keys(&project).await?)))
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

impl SeriesQuery {
    fn wanted(&self) -> Result<Wanted, Error> {
        Ok(Wanted {
            keys: key_list("keys", self.keys.as_deref())?,
            points: self.points.unwrap_or(POINTS),
            steps: self.from.unwrap_or(i64::MIN)..self.to.map_or(i64::MAX, |t| t.saturating_add(1)),
        })
    }
}

async fn series(state: &AppState, run: &Found, stream: Stream, query: &SeriesQuery) -> Answer<Json<HistoryAnswer>> {
    Ok(Json(HistoryAnswer { series: state.service.run_series(run, stream, &query.wanted()?).await? }))
}

#[derive(Debug, Default, Deserialize)]
struct ManySeriesQuery {
    runs: Option<String>,
    keys: Option<String>,
    points: Option<usize>,
    from: Option<i64>,
    to: Option<i64>,
}

/// Reads the same series of several runs (`runs`, at most 100, by their ids), as `/history` does for one: for charts that lay
/// runs over each other. `keys` names at least one. Runs that are not there are left out.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/run-series", params(("entity" = String, Path),
    ("project" = String, Path), ("runs" = String, Query), ("keys" = String, Query), ("points" = Option<i64>, Query),
    ("from" = Option<i64>, Query), ("to" = Option<i64>, Query)),
    responses((status = 200, body = RunSeriesAnswer), (status = 404), (status = 422)))]
async fn runs_series(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path((entity, project)): Path<(String, String)>,
    Query(query): Query<ManySeriesQuery>,
) -> Answer<Json<RunSeriesAnswer>> {
    let names = key_list("runs", query.runs.as_deref())?;
    let wanted = SeriesQuery { keys: query.keys, points: query.points, from: query.from, to: query.to }.wanted()?;
    let project = state.service.project_find(&actor, Some(&entity), &project).await?;
    Ok(Json(RunSeriesAnswer { runs: state.service.runs_series(&project, &names, &wanted).await? }))
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
    series(&state, &run, Stream::History, &query).await
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
    series(&state, &run, Stream::Events, &query).await
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
