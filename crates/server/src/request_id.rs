//! One id per request: in the answer's header, in errors, and in the log.

use axum::{extract::Request, http::HeaderValue, middleware::Next, response::Response};
use lanza_model::id::EventId;

tokio::task_local! {
    static CURRENT: String;
}

/// Returns the id of the request that this task serves; empty outside of one.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Gives each request an id and logs how it ended.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let id = EventId::new().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = std::time::Instant::now();
    let mut response = CURRENT.scope(id.clone(), next.run(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let (status, elapsed_ms) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
    // A link's path is its secret.
    let path = if path.starts_with("/storage/") { "/storage/…" } else { path.as_str() };
    tracing::debug!(request_id = %id, %method, path, status, elapsed_ms, "{method} {path} -> {status}");
    metrics::histogram!("lanza_http_request_seconds", "status" => status.to_string())
        .record(begun.elapsed().as_secs_f64());
    response
}
