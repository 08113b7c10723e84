//! The door for the unmodified `wandb` client: GraphQL, the file stream, and files.
//!
//! Nothing is decided here: each handler and resolver parses, calls one service function, and renders. The client's
//! words stop here too:
//!
//! | the client says | we say |
//! |---|---|
//! | bucket | run |
//! | model | project |
//! | `Run.name`, run id | the run's id |
//! | `Run.id`, storage id | the run's row id |
//! | run queue | queue |
//! | run queue item | item |
//! | launch agent | agent |
//! | resource | target |

mod artifacts;
mod asker;
mod errors;
mod file_stream;
mod files;
mod graphql;
mod history;
mod launch;
mod projects;
mod runs;
mod storage;
#[cfg(test)]
mod tests;
mod viewer;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::IntoResponse,
    routing::{any, get, post},
};
use lanza_service::{Error, Service};
use serde_json::json;
use tower_http::decompression::RequestDecompressionLayer;

pub(crate) use asker::base_url;
use graphql::{Engine, Resolvers};

/// Largest body of a GraphQL or file-stream request, in MiB. Clients send up to about 20.
const BODY_MIB: usize = 32;

/// What the handlers of the door share.
#[derive(Debug)]
pub(crate) struct Door {
    service: Arc<Service>,
    engine: Engine,
}

fn resolvers() -> Resolvers {
    let mut resolvers = Resolvers::default();
    artifacts::register(&mut resolvers);
    files::register(&mut resolvers);
    history::register(&mut resolvers);
    launch::register(&mut resolvers);
    projects::register(&mut resolvers);
    runs::register(&mut resolvers);
    viewer::register(&mut resolvers);
    resolvers
}

/// The fields that are answered by code, as `Type.field`.
#[cfg(test)]
pub(crate) fn answered() -> std::collections::BTreeSet<String> {
    resolvers().names()
}

/// Returns the routes of the door.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let door = Arc::new(Door { service, engine: Engine::new(resolvers()) });
    Router::new()
        .route("/graphql", post(graphql::graphql))
        // 404 turns the client's own telemetry off.
        .route("/sdk/otel/{*rest}", any(nothing_here))
        .route("/files/{entity}/{project}/{run}/file_stream", post(file_stream::file_stream))
        .layer(RequestDecompressionLayer::new())
        .layer(DefaultBodyLimit::max(BODY_MIB << 20))
        // Bytes of files are taken as they come.
        .route("/files/{entity}/{project}/{run}/{*path}", get(storage::get_by_name).options(storage::options))
        .route("/artifactsV2/{*rest}", get(artifacts::get_v2))
        .route("/artifacts/{entity}/{md5}", get(artifacts::get_v1))
        .route("/storage/{token}", get(storage::get).put(storage::put).options(storage::options))
        .with_state(door)
}

async fn nothing_here() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "error": "not found" })))
}

fn too_large(what: &str) -> Error {
    Error::TooLarge { what: what.to_owned(), limit: format!("{BODY_MIB} MiB") }
}
