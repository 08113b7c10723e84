//! Routes at the root that are not an API: health, metrics, sign-in, the page that hands out a key, help pages.
//!
//! Sign-in and keys have plain pages here for those who come without a browser, or without the web app.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use lanza_api::Problem;
use lanza_model::code;
use lanza_service::{Actor, accounts::KeyRequest};
use serde::Deserialize;

use crate::{
    app::AppState,
    auth::{COOKIE, authenticate, same_origin, session_of},
    problem::Refusal,
    ui,
};

pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .route("/ready", get(ready))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/authorize", get(authorize).post(authorize_make))
        .route("/login", get(login).post(login_form))
        .route("/errors/{code}", get(error_page))
        .route("/", get(home))
        .route("/assets/{*name}", get(ui::asset))
        .route("/favicon.svg", get(ui::icon))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 10))
        .with_state(state)
}

/// Whether requests will be served: the database answers.
async fn ready(State(state): State<AppState>) -> Response {
    match state.service.ping().await {
        Ok(()) => Json(serde_json::json!({ "status": "ready", "version": env!("CARGO_PKG_VERSION") })).into_response(),
        Err(e) => Refusal::from(e).into_response(),
    }
}

/// Whether the process lives.
async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A small page without scripts.
fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} · Lanza</title><style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;\
         max-width:40rem;margin:4rem auto;padding:0 1rem}}input,button{{font:inherit;padding:.4rem .6rem;margin:.2rem 0}}\
         label{{display:block;margin-top:.6rem}}code,pre{{font-family:ui-monospace,monospace;user-select:all}}\
         pre{{padding:1rem;border:1px solid #8886;border-radius:.4rem;overflow:auto;white-space:pre-wrap}}\
         .bad{{color:#c22}}</style><main><h1>{title}</h1>{body}</main>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(html)).into_response()
}

#[derive(Debug, Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
    #[serde(default)]
    wrong: Option<String>,
}

async fn login(Query(query): Query<Next>, headers: HeaderMap) -> Response {
    if let Some(app) = ui::page(&headers) {
        return app;
    }
    let wrong = if query.wrong.is_some() {
        "<p class=bad role=alert>The user name and password, or the key, are wrong.</p>"
    } else {
        ""
    };
    page(
        "Sign in",
        &format!(
            "{wrong}<form method=post action=/login><input type=hidden name=next value=\"{}\">\
             <label>User name <br><input name=username autocomplete=username></label>\
             <label>Password <br><input name=password type=password autocomplete=current-password></label>\
             <p>or</p><label>API key <br><input name=api_key type=password autocomplete=off size=44></label>\
             <p><button>Sign in</button></p></form>",
            escape(&query.next)
        ),
    )
}

#[derive(Debug, Deserialize)]
struct LoginForm {
    #[serde(default)]
    next: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    api_key: String,
}

async fn login_form(
    State(state): State<AppState>,
    headers: HeaderMap,
    axum::Form(form): axum::Form<LoginForm>,
) -> Response {
    if !same_origin(&headers) {
        return Refusal(lanza_service::Error::Forbidden("the form was sent by another site".into())).into_response();
    }
    let next = if is_local(&form.next) { form.next.as_str() } else { "/authorize" };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (key, user, password) = (given(form.api_key.trim()), given(form.username.trim()), given(&form.password));
    match state.service.sign_in(user.as_deref(), password.as_deref(), key.as_deref()).await {
        Ok(secret) => ([(header::SET_COOKIE, cookie(&secret, &headers))], Redirect::to(next)).into_response(),
        Err(lanza_service::Error::Unauthenticated(_) | lanza_service::Error::Invalid { .. }) => {
            let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
            Redirect::to(&format!("/login?wrong=1&next={next}")).into_response()
        }
        Err(e) => Refusal(e).into_response(),
    }
}

/// Whether a browser stays on this server with it: `//host` and `/\host` lead elsewhere, and so does either with a tab or a
/// line feed in it, which browsers leave out.
fn is_local(next: &str) -> bool {
    next.starts_with('/') && !next.starts_with("//") && !next.contains(|c: char| c == '\\' || c.is_control())
}

/// The session cookie's header value. `Secure` where the browser came by https.
pub(crate) fn cookie(secret: &str, headers: &HeaderMap) -> String {
    let https = headers.get("x-forwarded-proto").is_some_and(|v| v == "https");
    let max_age = lanza_service::accounts::SESSION_MS / 1000;
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}

async fn signed_in(state: &AppState, headers: &HeaderMap, method: &Method) -> Result<Arc<Actor>, Response> {
    if session_of(headers).is_some() {
        match authenticate(state, headers, method).await {
            Ok(actor) => return Ok(actor),
            Err(lanza_service::Error::Unauthenticated(_)) => {}
            Err(e) => return Err(Refusal(e).into_response()),
        }
    }
    Err(Redirect::to("/login?next=%2Fauthorize").into_response())
}

/// The page that the client names at `wandb login`.
async fn authorize(State(state): State<AppState>, method: Method, headers: HeaderMap) -> Response {
    if let Some(app) = ui::page(&headers) {
        return app;
    }
    match signed_in(&state, &headers, &method).await {
        Ok(actor) => page(
            "API key",
            &format!(
                "<p>You are signed in as <strong>{}</strong>. A new key is shown once; keep it like a password.</p>\
                 <form method=post action=/authorize><button>Make a new API key</button></form>",
                escape(&actor.username)
            ),
        ),
        Err(response) => response,
    }
}

async fn authorize_make(State(state): State<AppState>, method: Method, headers: HeaderMap) -> Response {
    let actor = match signed_in(&state, &headers, &method).await {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    match state.service.key_create(&actor, KeyRequest::full("made on the authorize page")).await {
        Ok((secret, _)) => page(
            "API key",
            &format!(
                "<p>This is your new key. It is shown once.</p><pre id=key>{secret}</pre>\
                 <p>Paste it where <code>wandb login</code> asks for it, or set <code>WANDB_API_KEY</code>.</p>"
            ),
        ),
        Err(e) => Refusal(e).into_response(),
    }
}

async fn error_page(Path(text): Path<String>) -> Response {
    match code::find(&text) {
        Some(code) => page(code.word, &format!("<pre>{}</pre>", escape(code.page))),
        None => Refusal(lanza_service::Error::not_found("error code", text)).into_response(),
    }
}

async fn home(headers: HeaderMap) -> Response {
    if let Some(app) = ui::page(&headers) {
        return app;
    }
    page(
        "Lanza",
        "<p>This server tracks runs and launches jobs. <a href=/authorize>Make an API key</a>, then</p>\
         <pre>export WANDB_BASE_URL=…\nexport WANDB_API_KEY=…\npython train.py</pre>\
         <p>The API is described by <a href=/api/v1/openapi.json>openapi.json</a>.</p>\
         <p>This server was built without the web app: <code>cargo xtask ui</code> builds it.</p>",
    )
}

/// Everything else: a small JSON body.
pub(crate) fn not_found(uri: Uri) -> Response {
    let mut problem = Problem::new(code::NOT_FOUND, format!("there is nothing at `{}`", uri.path()));
    problem.request_id = crate::request_id::current();
    (StatusCode::NOT_FOUND, Json(problem)).into_response()
}

/// The route is there for other methods, which the header `Allow` names.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let mut problem = Problem::new(code::MALFORMED, format!("`{}` does not take `{method}`", uri.path()));
    problem.request_id = crate::request_id::current();
    (StatusCode::METHOD_NOT_ALLOWED, Json(problem)).into_response()
}

/// A handler panicked: the client learns the request id, the log the rest.
pub(crate) fn panicked(cause: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(request_id = %crate::request_id::current(), "a handler panicked: {text}");
    Refusal(lanza_service::Error::Internal("a handler panicked".into())).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn a_sign_in_leads_to_this_server_alone() {
        for own in ["/", "/authorize", "/dev/p/runs/r1/log?wrap=1#L57"] {
            assert!(is_local(own), "{own}");
        }
        for other in [
            "",
            "authorize",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
        ] {
            assert!(!is_local(other), "{other:?}");
        }
    }
}
