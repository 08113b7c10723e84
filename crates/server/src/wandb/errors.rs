//! What the wandb client retries, shows, or treats as fatal: our errors to HTTP, in one place.
//!
//! | status | the client |
//! |---|---|
//! | 400, 401, 403, 404, 410, 413, 422 | gives up and shows the message; a file stream is dead for good |
//! | 409 | gives up, but tries `upsertBucket` again |
//! | 408, 429, 5xx | tries again |
//!
//! So nothing temporary may be a 4xx other than 429. GraphQL answers 200 with `errors` only for optional parts.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lanza_model::code;
use lanza_service::Error;
use serde_json::json;

/// Returns the HTTP status of an error on this door.
pub(super) fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } | Error::NoneOf { .. } => StatusCode::NOT_FOUND,
        Error::Conflict { code, .. } if *code == code::LINK_EXPIRED => StatusCode::FORBIDDEN,
        Error::AlreadyExists { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Invalid { .. } | Error::Inputs { .. } => StatusCode::BAD_REQUEST,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) | Error::ReadOnly | Error::ForeignSite => StatusCode::FORBIDDEN,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Renders an error as the client's GraphQL and REST readers both understand: `errors[0].message`.
pub(super) fn respond(error: &Error) -> Response {
    log(error);
    let body = json!({ "errors": [{ "message": message(error), "extensions": { "code": error.code().word } }] });
    finish(error, (status(error), Json(body)).into_response())
}

/// Returns what the client shows to its user; it shows the message alone, without the status.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::Unauthenticated(why) => format!("authentication failed: {why}"),
        error => error.to_string(),
    }
}

/// Adds what a status needs: `Retry-After`.
pub(super) fn finish(error: &Error, mut response: Response) -> Response {
    if let Error::Unavailable { retry_after_seconds, .. } = error {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
    }
    response
}

/// Writes a mistake of ours to the log, once, with its chain.
pub(super) fn log(error: &Error) {
    if let Error::Internal(source) = error {
        let mut chain = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!(error = chain, "a request of the wandb client failed");
    }
}

/// An error on its way out of a handler.
#[derive(Debug)]
pub(super) struct Failed(pub(super) Error);

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        respond(&self.0)
    }
}
