//! Service errors to HTTP: status and the body `{code, help, message, hint?, request_id}`. The wandb door has its own
//! mapping.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lanza_api::{Problem, problem::FieldProblem};
use lanza_service::Error;

/// An error on its way out of a REST handler.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Error);

/// What every REST handler returns.
pub(crate) type Answer<T> = std::result::Result<T, Refusal>;

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Returns the HTTP status of an error.
pub(crate) fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } | Error::NoneOf { .. } => StatusCode::NOT_FOUND,
        Error::Conflict { code, .. } if *code == lanza_model::code::CHANGED_SINCE => StatusCode::PRECONDITION_FAILED,
        Error::AlreadyExists { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Invalid { .. } | Error::Inputs { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) | Error::ReadOnly | Error::ForeignSite => StatusCode::FORBIDDEN,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Logs what only the server's operator should see.
pub(crate) fn log(error: &Error, request_id: &str) {
    let chain = || {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(e) = source {
            text.push_str(": ");
            text.push_str(&e.to_string());
            source = e.source();
        }
        text
    };
    match error {
        Error::Internal(_) => tracing::error!(request_id, "a request failed: {}", chain()),
        Error::Unavailable { .. } => tracing::warn!(request_id, "a request could not be served: {}", chain()),
        _ => {}
    }
}

fn field_problem(field: &lanza_model::input::Violation) -> FieldProblem {
    let message = format!("`{}` {}.", field.path, field.why);
    FieldProblem { code: field.rule.to_owned(), path: field.path.clone(), message }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let request_id = crate::request_id::current();
        log(&self.0, &request_id);
        let mut problem = Problem::new(self.0.code(), self.0.to_string());
        problem.request_id = request_id;
        if let Error::Inputs { fields, .. } = &self.0 {
            problem.fields = fields.iter().map(field_problem).collect();
        }
        let mut response = (status(&self.0), Json(problem)).into_response();
        match &self.0 {
            Error::Unauthenticated(_) => {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lanza\""));
            }
            Error::Unavailable { retry_after_seconds, .. } => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
            }
            _ => {}
        }
        response
    }
}
