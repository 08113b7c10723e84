//! The native door: `/api/v1`.
//!
//! A handler extracts, calls one service function, and renders. `openapi.json` is generated from the handlers; a test
//! keeps the checked-in copy equal.

mod admin;
mod agents;
mod artifacts;
mod builds;
mod events;
mod items;
mod jobs;
mod logs;
mod me;
mod presence;
#[cfg(test)]
mod presence_tests;
mod projects;
mod protocol;
#[cfg(test)]
mod queue_tests;
mod queues;
mod run_changes;
mod run_log;
mod runs;
#[cfg(test)]
mod tests;
mod usage;
#[cfg(test)]
mod view_tests;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Uri, header},
    response::Response,
};
use bytes::Bytes;
use lanza_service::Error;
use serde::Deserialize;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::router::OpenApiRouter;

use crate::app::AppState;

/// Largest body of an ordinary route, in bytes.
const BODY_BYTES: usize = 8 << 20;
/// Objects on a page unless `limit` says less or more.
pub(crate) const PAGE: i64 = 100;
/// Objects on a page at most.
pub(crate) const PAGE_MOST: i64 = 1000;

#[derive(OpenApi)]
#[openapi(info(
    title = "Lanza",
    description = "Jobs, queues, agents and runs. Every route takes Basic `any:KEY`, Bearer KEY or the session cookie. \
                   A list is `{items, next}`; one object is wrapped in its noun; an error is \
                   `{code, help, message, hint?, request_id}`; times are RFC 3339 UTC."
))]
struct Api;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .nest("/api/v1", {
            OpenApiRouter::new()
                .merge(me::router())
                .merge(admin::router())
                .merge(queues::router())
                .merge(items::router())
                .merge(logs::router())
                .merge(agents::router())
                .merge(protocol::router())
                .merge(builds::router())
                .merge(events::router())
                .merge(usage::router())
                .merge(projects::router())
                .merge(runs::router())
                .merge(run_changes::router())
                .merge(run_log::router())
                .merge(artifacts::router())
                .merge(jobs::router())
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// The description of the native API.
pub fn openapi() -> Document {
    routes().split_for_parts().1
}

pub(crate) fn router(state: AppState) -> Router {
    let (router, document) = routes().split_for_parts();
    // Its text is a small part of what the document itself holds.
    let text = Bytes::from(serde_json::to_vec(&document).expect("the document is plain data"));
    drop(document);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], text.clone());
    router
        .route("/api/v1/openapi.json", axum::routing::get(answer))
        .route("/api/{*rest}", axum::routing::any(nothing_here))
        .with_state(state)
}

async fn nothing_here(uri: Uri) -> Response {
    crate::pages::not_found(uri)
}

/// Query of every list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Cursor: `next` of the page before.
    #[serde(default, deserialize_with = "crate::json::empty_is_none")]
    pub(crate) after: Option<String>,
    /// Objects on the page.
    pub(crate) limit: Option<i64>,
}

impl Page {
    /// The number of objects wanted.
    pub(crate) fn limit(&self) -> Result<i64, Error> {
        limit_of(self.limit)
    }
}

/// Checks the `limit` of a list.
pub(crate) fn limit_of(limit: Option<i64>) -> Result<i64, Error> {
    match limit {
        None => Ok(PAGE),
        Some(n) if (1..=PAGE_MOST).contains(&n) => Ok(n),
        Some(_) => Err(Error::invalid("limit", format!("is 1 to {PAGE_MOST}"))),
    }
}

/// Makes a page of what was found for `limit`: the cursor is the key of the last object of a full page.
pub(crate) fn page<T>(items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> lanza_api::List<T> {
    let next = if items.len() as i64 == limit { items.last().map(cursor) } else { None };
    lanza_api::List { items, next }
}
