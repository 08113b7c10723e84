//! The admin API: users, teams, members, service accounts.
//!
//! Its answers are not wrapped in a noun, a quirk that is documented and kept.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
};
use lanza_api::{
    List,
    entity::{Member, NewName, NewRole, NewUser, Team, User, UserWithKey},
};
use lanza_service::accounts::UserRequest;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Page, page};
use crate::{
    app::AppState,
    auth::{Admin, require_team_admin},
    json::{Body, Path, Query},
    problem::Answer,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(user_list, user_create))
        .routes(routes!(user_delete))
        .routes(routes!(team_list, team_create))
        .routes(routes!(member_put, member_delete))
        .routes(routes!(service_account_create))
}

/// Makes a user with a personal entity of the same name.
#[utoipa::path(post, path = "/admin/users", request_body = NewUser,
    responses((status = 201, body = UserWithKey), (status = 409), (status = 422)))]
async fn user_create(
    State(state): State<AppState>,
    _: Admin,
    Body(body): Body<NewUser>,
) -> Answer<(StatusCode, Json<UserWithKey>)> {
    let request =
        UserRequest { username: body.username, api_key: body.api_key, password: body.password, admin: body.admin };
    let (username, api_key) = state.service.user_create(request).await?;
    Ok((StatusCode::CREATED, Json(UserWithKey { username, api_key })))
}

/// Lists users by name.
#[utoipa::path(get, path = "/admin/users", params(Page), responses((status = 200, body = List<User>)))]
async fn user_list(State(state): State<AppState>, _: Admin, Query(query): Query<Page>) -> Answer<Json<List<User>>> {
    let limit = query.limit()?;
    let users = state.service.user_list(query.after.as_deref().unwrap_or_default(), limit).await?;
    let users = users
        .into_iter()
        .map(|u| User { username: u.username, admin: u.admin, service: u.service, created_at: u.created_at })
        .collect();
    Ok(Json(page(users, limit, |u: &User| u.username.clone())))
}

/// Deletes a user, the keys, and the personal entity with its data.
#[utoipa::path(delete, path = "/admin/users/{username}", params(("username" = String, Path)),
    responses((status = 204), (status = 404)))]
async fn user_delete(State(state): State<AppState>, _: Admin, Path(username): Path<String>) -> Answer<StatusCode> {
    state.service.user_delete(&username).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists teams by name.
#[utoipa::path(get, path = "/admin/teams", params(Page), responses((status = 200, body = List<Team>)))]
async fn team_list(State(state): State<AppState>, _: Admin, Query(query): Query<Page>) -> Answer<Json<List<Team>>> {
    let limit = query.limit()?;
    let teams = state.service.team_list(query.after.as_deref().unwrap_or_default(), limit).await?;
    let teams = teams.into_iter().map(|(team, members)| Team { name: team.name, members }).collect();
    Ok(Json(page(teams, limit, |t: &Team| t.name.clone())))
}

/// Makes a team.
#[utoipa::path(post, path = "/admin/teams", request_body = NewName, responses((status = 201, body = Team), (status = 409)))]
async fn team_create(
    State(state): State<AppState>,
    _: Admin,
    Body(body): Body<NewName>,
) -> Answer<(StatusCode, Json<Team>)> {
    state.service.team_create(&body.name, None).await?;
    Ok((StatusCode::CREATED, Json(Team { name: body.name, members: 0 })))
}

/// Adds a member to a team, or changes the role, never that of its last admin. For admins of the server and of the team.
#[utoipa::path(put, path = "/admin/teams/{team}/members/{username}", request_body = NewRole,
    params(("team" = String, Path), ("username" = String, Path)), responses((status = 200, body = Member), (status = 404), (status = 409)))]
async fn member_put(
    State(state): State<AppState>,
    method: Method,
    headers: HeaderMap,
    Path((team, username)): Path<(String, String)>,
    Body(body): Body<NewRole>,
) -> Answer<Json<Member>> {
    require_team_admin(&state, &headers, &method, &team).await?;
    state.service.member_put(&team, &username, body.role).await?;
    let service = state.service.user_find(&username).await?.service;
    Ok(Json(Member { username, role: body.role, service }))
}

/// Takes a member out of a team, never its last admin. For admins of the server and of the team.
#[utoipa::path(delete, path = "/admin/teams/{team}/members/{username}",
    params(("team" = String, Path), ("username" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
async fn member_delete(
    State(state): State<AppState>,
    method: Method,
    headers: HeaderMap,
    Path((team, username)): Path<(String, String)>,
) -> Answer<StatusCode> {
    require_team_admin(&state, &headers, &method, &team).await?;
    state.service.member_remove(&team, &username).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a service account of a team. For admins of the server and of the team.
#[utoipa::path(post, path = "/admin/teams/{team}/service-accounts", request_body = NewName, params(("team" = String, Path)),
    responses((status = 201, body = UserWithKey), (status = 404), (status = 409)))]
async fn service_account_create(
    State(state): State<AppState>,
    method: Method,
    headers: HeaderMap,
    Path(team): Path<String>,
    Body(body): Body<NewName>,
) -> Answer<(StatusCode, Json<UserWithKey>)> {
    require_team_admin(&state, &headers, &method, &team).await?;
    let (username, api_key) = state.service.service_account_create(&team, &body.name).await?;
    Ok((StatusCode::CREATED, Json(UserWithKey { username, api_key })))
}
