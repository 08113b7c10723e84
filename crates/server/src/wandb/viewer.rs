//! The server and the caller: `serverInfo`, `viewer`, `entity`.

use lanza_model::Role;
use lanza_service::{Actor, Result, Service};
use lanza_store::accounts::{Entity, Key};
use serde_json::{Value, json};

use super::graphql::{Ctx, Resolved, Resolvers};

/// What the client may use. A name that is missing is off.
const FEATURES: &[&str] = &[
    "LARGE_FILENAMES",
    "CLIENT_IDS",
    "ARTIFACT_TAGS",
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "MARK_RUN_FILES_UPLOADED",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
];

pub(super) fn register(r: &mut Resolvers) {
    r.on("Query", "serverInfo", server_info);
    r.on("Query", "viewer", viewer);
    r.on("Query", "entity", entity);
    r.on("Query", "users", users);
    r.on("User", "apiKeys", api_keys);
    r.on("User", "teams", teams);
    r.on("Entity", "storageBytes", storage_bytes);
}

fn server_info(_: Ctx<'_>) -> Resolved<'_> {
    let features: Vec<Value> = FEATURES.iter().map(|name| json!({ "name": name, "isEnabled": true })).collect();
    Box::pin(std::future::ready(Ok(json!({
        // The window is wide: no client is told to up- or downgrade because of us.
        "cliVersionInfo": { "min_cli_version": "0.0.1", "max_cli_version": "99.0.0" },
        "latestLocalVersionInfo": {
            "outOfDate": false,
            "latestVersionString": env!("CARGO_PKG_VERSION"),
            "versionOnThisInstanceString": env!("CARGO_PKG_VERSION"),
        },
        "features": features,
        "exposesExplicitRunQueueAckPath": true,
    }))))
}

fn viewer(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { user(ctx.service, ctx.actor).await })
}

/// The caller as a `User`.
pub(super) async fn user(service: &Service, actor: &Actor) -> Result<Value> {
    let mut user = named_user(&actor.username);
    user["id"] = json!(actor.user_id);
    user["admin"] = json!(actor.admin);
    user["entity"] = json!(service.default_entity(actor).await?);
    Ok(user)
}

fn users(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let found = match ctx.text("query") {
            Some(name) => ctx.service.user_seen(ctx.actor, name).await?,
            None => None,
        };
        let edges = found.map(|found| {
            let mut user = named_user(&found.username);
            user["id"] = json!(found.id);
            user["admin"] = json!(found.admin);
            json!({ "node": user })
        });
        Ok(json!({ "edges": edges.into_iter().collect::<Vec<_>>() }))
    })
}

/// The keys of a user by name, which is the beginning of the secret. For the owner and an admin; the client takes
/// null for "not told".
fn api_keys(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let keys = ctx.service.keys_seen(ctx.actor, ctx.parent_text("username").unwrap_or_default()).await?;
        let node = |key: Key| json!({ "id": key.id, "name": key.prefix, "description": key.description });
        Ok(keys.map_or(
            Value::Null,
            |keys| json!({ "edges": keys.into_iter().map(|key| json!({ "node": node(key) })).collect::<Vec<_>>() }),
        ))
    })
}

/// The entities of a user, the personal one first, as the client expects it.
fn teams(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let found = ctx.service.entities_of(ctx.actor, ctx.parent_text("username").unwrap_or_default()).await?;
        let edges: Vec<Value> = found.iter().map(|e| json!({ "node": named_entity(&e.name) })).collect();
        Ok(json!({ "edges": edges }))
    })
}

fn storage_bytes(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let bytes = ctx.service.entity_bytes(ctx.actor, ctx.parent_text("name").unwrap_or_default()).await?;
        Ok(json!(bytes))
    })
}

/// A user of whom only the name is known.
pub(super) fn named_user(username: &str) -> Value {
    json!({
        "id": username,
        "name": username,
        "username": username,
        "email": null,
        "admin": false,
        "flags": r#"{"code_saving_enabled": true}"#,
        "entity": username,
        "deletedAt": null,
        "photoUrl": null,
        "organizations": [],
    })
}

fn entity(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let name = match ctx.text("name") {
            Some(name) => name.to_owned(),
            None => ctx.service.default_entity(ctx.actor).await?,
        };
        match ctx.service.entity_seen(ctx.actor, &name).await {
            Ok((entity, role)) => rendered(ctx.service, &entity, role, ctx.selects("members")).await,
            // What does not exist is null, not an error.
            Err(lanza_service::Error::NotFound { .. }) => Ok(Value::Null),
            Err(e) => Err(e),
        }
    })
}

async fn rendered(service: &Service, entity: &Entity, role: Role, members: bool) -> Result<Value> {
    let mut rendered = named_entity(&entity.name);
    rendered["id"] = json!(entity.id);
    rendered["available"] = json!(false);
    rendered["readOnly"] = json!(role < Role::Member);
    rendered["isTeam"] = json!(entity.team);
    rendered["entityType"] = json!(if entity.team { "team" } else { "user" });
    if members {
        let list = service.member_list(entity).await?;
        rendered["members"] = list
            .into_iter()
            .map(|(user, role)| {
                json!({
                    "id": user.id,
                    "name": user.username,
                    "username": user.username,
                    "admin": role == Role::Admin,
                    "role": role.as_str(),
                    "pending": false,
                    "email": null,
                    "photoUrl": null,
                    "accountType": if user.service { "SERVICE" } else { "MEMBER" },
                    "apiKey": null,
                })
            })
            .collect();
    }
    Ok(rendered)
}

/// An entity of which only the name is known; enough where a project or run names its owner.
pub(super) fn named_entity(name: &str) -> Value {
    json!({
        "id": name,
        "name": name,
        "photoUrl": null,
        "readOnlyAdmin": false,
        "isTeam": false,
        "privateOnly": false,
        "codeSavingEnabled": true,
        "defaultAccess": "PRIVATE",
        "isPaid": true,
        "xxhashDigestsEnabled": false,
        "limits": null,
        "members": [],
        // There are no organisations.
        "organization": null,
        "user": null,
    })
}
