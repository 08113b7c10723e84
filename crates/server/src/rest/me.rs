//! The caller: session, keys, entities, projects' owners.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use lanza_api::{
    List,
    entity::{Entity, EntityAnswer, Key, KeyScope, KeyWithSecret, Me, Member, NewKey, SignIn},
};
use lanza_service::accounts::KeyRequest;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::AppState,
    auth::{COOKIE, Caller, same_origin, session_of},
    json::{Body, Path},
    pages::cookie,
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(session_open, session_close))
        .routes(routes!(me))
        .routes(routes!(key_list, key_create))
        .routes(routes!(key_revoke))
        .routes(routes!(entity_list))
        .routes(routes!(entity_get))
        .routes(routes!(secret_list))
}

/// Signs a browser in with a password or an API key.
#[utoipa::path(post, path = "/session", request_body = SignIn, responses((status = 204), (status = 401)))]
async fn session_open(State(state): State<AppState>, headers: HeaderMap, Body(body): Body<SignIn>) -> Answer<Response> {
    if !same_origin(&headers) {
        return Err(lanza_service::Error::Forbidden("the request was made by another site".into()).into());
    }
    let secret =
        state.service.sign_in(body.username.as_deref(), body.password.as_deref(), body.api_key.as_deref()).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&secret, &headers))]).into_response())
}

/// Ends the browser's session.
#[utoipa::path(delete, path = "/session", responses((status = 204)))]
async fn session_close(State(state): State<AppState>, headers: HeaderMap) -> Answer<Response> {
    if let Some(secret) = session_of(&headers)
        && same_origin(&headers)
    {
        state.service.sign_out(&secret).await?;
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// Says who the caller is.
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me)))]
async fn me(State(state): State<AppState>, Caller(actor): Caller) -> Answer<Json<Me>> {
    let entities = entities_of(&state, &actor).await?;
    Ok(Json(Me {
        username: actor.username.clone(),
        admin: actor.admin,
        entity: state.service.default_entity(&actor).await?,
        entities,
        scope: scope(actor.read_only),
    }))
}

async fn entities_of(state: &AppState, actor: &lanza_service::Actor) -> Answer<Vec<Entity>> {
    let found = state.service.entities_seen(actor).await?;
    Ok(found
        .into_iter()
        .map(|(e, role)| Entity {
            name: e.name,
            kind: if e.team { "team" } else { "user" }.into(),
            role,
            members: Vec::new(),
        })
        .collect())
}

fn scope(read_only: bool) -> KeyScope {
    if read_only { KeyScope::Read } else { KeyScope::Full }
}

fn key_view(key: lanza_store::accounts::Key) -> Key {
    Key {
        id: key.id.to_string(),
        description: key.description,
        prefix: key.prefix,
        scope: scope(key.read_only),
        created_at: key.created_at,
        expires_at: key.expires_at,
    }
}

/// Lists the caller's keys, without their secrets.
#[utoipa::path(get, path = "/me/keys", responses((status = 200, body = List<Key>)))]
async fn key_list(State(state): State<AppState>, Caller(actor): Caller) -> Answer<Json<List<Key>>> {
    let keys = state.service.key_list(&actor).await?;
    Ok(Json(List::whole(keys.into_iter().map(key_view).collect())))
}

/// Makes a key and shows its secret once.
#[utoipa::path(post, path = "/me/keys", request_body = NewKey, responses((status = 201, body = KeyWithSecret)))]
async fn key_create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Body(body): Body<NewKey>,
) -> Answer<(StatusCode, Json<KeyWithSecret>)> {
    let request = KeyRequest {
        description: body.description,
        expires_in_ms: body.expires_in_seconds.map(|s| s.saturating_mul(1000)),
        read_only: body.scope == KeyScope::Read,
    };
    let (api_key, key) = state.service.key_create(&actor, request).await?;
    Ok((StatusCode::CREATED, Json(KeyWithSecret { api_key, key: key_view(key) })))
}

/// Revokes a key.
#[utoipa::path(delete, path = "/me/keys/{id}", params(("id" = String, Path)), responses((status = 204)))]
async fn key_revoke(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    state.service.key_revoke(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the caller's entities.
#[utoipa::path(get, path = "/entities", responses((status = 200, body = List<Entity>)))]
async fn entity_list(State(state): State<AppState>, Caller(actor): Caller) -> Answer<Json<List<Entity>>> {
    Ok(Json(List::whole(entities_of(&state, &actor).await?)))
}

/// Shows an entity with its members.
#[utoipa::path(get, path = "/entities/{entity}", params(("entity" = String, Path)),
    responses((status = 200, body = EntityAnswer), (status = 404)))]
async fn entity_get(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(entity): Path<String>,
) -> Answer<Json<EntityAnswer>> {
    let (found, role) = state.service.entity_seen(&actor, &entity).await?;
    let members = state.service.member_list(&found).await?;
    let members =
        members.into_iter().map(|(u, role)| Member { username: u.username, role, service: u.service }).collect();
    let kind = if found.team { "team" } else { "user" }.into();
    Ok(Json(EntityAnswer { entity: Entity { name: found.name, kind, role, members } }))
}

/// Lists the names of the secrets that the caller's queues refer to. Their values are with the agents, which look them up.
#[utoipa::path(get, path = "/secrets", responses((status = 200, body = List<String>)))]
async fn secret_list(State(state): State<AppState>, Caller(actor): Caller) -> Answer<Json<List<String>>> {
    actor.require_person()?;
    Ok(Json(List::whole(state.service.secret_names(&actor).await?.into_iter().collect())))
}
