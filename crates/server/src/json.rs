//! What REST handlers take out of a request, with refusals in our own words: the body (JSON or YAML), the query, and the
//! parts of the path.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use lanza_api::Problem;
use lanza_model::code;
use serde::de::DeserializeOwned;

/// A parsed body. An empty one is read as `{}`; one that calls itself YAML is read as such.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// The parsed query.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// The parsed parts of the path.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

/// What was sent could not be read.
#[derive(Debug)]
pub(crate) struct Unreadable(StatusCode, Problem);

impl IntoResponse for Unreadable {
    fn into_response(mut self) -> Response {
        self.1.request_id = crate::request_id::current();
        (self.0, axum::Json(self.1)).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Unreadable;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unreadable> {
        let yaml = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().contains("yaml"));
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|e| {
            let status = e.into_response().status();
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE { code::TOO_LARGE } else { code::MALFORMED };
            Unreadable(status, Problem::new(code, "the body is larger than this route takes, or broke off"))
        })?;
        // Through a JSON value, so that both are refused in the same words.
        let bytes = if yaml {
            let value: serde_json::Value = serde_norway::from_slice(&bytes).map_err(|e| {
                Unreadable(StatusCode::BAD_REQUEST, Problem::new(code::MALFORMED, format!("the body is not YAML: {e}")))
            })?;
            if value.is_null() { "{}".into() } else { value.to_string().into() }
        } else {
            bytes
        };
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|e| {
            // Wrong shape is 422, no JSON at all is 400.
            let status = if e.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            let code = if e.is_data() { code::INVALID } else { code::MALFORMED };
            Unreadable(status, Problem::new(code, format!("the body cannot be read: {e}")))
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Unreadable;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Unreadable> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|refused| unreadable("the query", &refused.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Unreadable;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Unreadable> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|path| Self(path.0)).map_err(|refused| unreadable("the path", &refused.body_text()))
    }
}

/// The framework's words behind its own introduction.
fn unreadable(what: &str, said: &str) -> Unreadable {
    let why = said.split_once(": ").map_or(said, |(_, why)| why);
    Unreadable(StatusCode::BAD_REQUEST, Problem::new(code::MALFORMED, format!("{what} cannot be read: {why}")))
}

/// Reads a query value that is left empty as one that is not there: `?after=` is the first page.
pub(crate) fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = <Option<String> as serde::Deserialize>::deserialize(deserializer)?;
    text.filter(|t| !t.is_empty()).map(|t| t.parse().map_err(serde::de::Error::custom)).transpose()
}
