//! Who calls: Basic `any:KEY`, Bearer KEY, or the session cookie.
//!
//! A handler that takes [`Caller`] is for known callers only; one that takes [`Admin`] for admins of the server. A
//! handler with neither is public on purpose.
//!
//! Whoever comes with a key for reading is refused in [`within_scope`], by the method of the request, before a handler
//! begins. GraphQL, where every request is a POST, asks at each root field of `Mutation` instead.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use lanza_service::{Actor, Error};

use crate::{app::AppState, problem::Refusal};

/// Name of the session cookie.
pub(crate) const COOKIE: &str = "lanza_session";

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<Actor>);

/// An admin of the server.
#[derive(Debug, Clone)]
pub(crate) struct Admin;

/// Returns the key of an `Authorization` header, whichever scheme it uses.
pub(crate) fn key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        // The user part varies between clients (`api`, `user`) and means nothing.
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        return decoded.split_once(':').map(|(_, key)| key.to_owned());
    }
    None
}

/// Returns the secret of the session cookie.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';')).find_map(|pair| {
        pair.trim().split_once('=').filter(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
    })
}

/// Refuses a key for reading where the method says that something is to change.
pub(crate) fn within_scope(actor: Arc<Actor>, method: &Method) -> Result<Arc<Actor>, Error> {
    if !method.is_safe() {
        actor.require_writable()?;
    }
    Ok(actor)
}

/// Finds who calls, if that may be done with the caller's key.
pub(crate) async fn authenticate(state: &AppState, headers: &HeaderMap, method: &Method) -> Result<Arc<Actor>, Error> {
    if let Some(key) = key_of(headers) {
        return within_scope(state.service.authenticate(&key).await?, method);
    }
    if let Some(secret) = session_of(headers) {
        // A cookie comes along with every request that a browser makes, also with those that another site caused.
        if !method.is_safe() && !same_origin(headers) {
            return Err(Error::ForeignSite);
        }
        return within_scope(state.service.session_actor(&secret).await?, method);
    }
    Err(Error::Unauthenticated("this needs an API key".into()))
}

/// Whether the browser says that the request was made by a page of ours.
pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok()) {
        return ["same-origin", "none"].contains(&site);
    }
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, o)| o == host),
        // No browser sends a state-changing request without an origin.
        (None, _) => true,
        _ => false,
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        Ok(Self(authenticate(state, &parts.headers, &parts.method).await?))
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        if let Some(key) = key_of(&parts.headers)
            && state.admin_token.as_ref().is_some_and(|t| constant_time_equal(t, &key))
        {
            return Ok(Self);
        }
        let actor = authenticate(state, &parts.headers, &parts.method).await?;
        if actor.admin { Ok(Self) } else { Err(Error::Forbidden("this needs an admin of the server".into()).into()) }
    }
}

/// Refuses callers who administer neither the server nor the team.
pub(crate) async fn require_team_admin(
    state: &AppState,
    headers: &HeaderMap,
    method: &Method,
    team: &str,
) -> Result<(), Error> {
    if let Some(key) = key_of(headers)
        && state.admin_token.as_ref().is_some_and(|t| constant_time_equal(t, &key))
    {
        return Ok(());
    }
    let actor = authenticate(state, headers, method).await?;
    actor.require_person()?;
    if actor.admin {
        return Ok(());
    }
    state.service.entity_for(&actor, team, lanza_model::Role::Admin).await.map(drop)
}

fn constant_time_equal(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
