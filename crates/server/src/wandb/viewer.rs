//! The server and the caller: `serverInfo`, `viewer`, `entity`.

use lanza_model::Role;
use lanza_service::{Actor, Result, Service};
use lanza_store::accounts::Entity;
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
    let entity = service.default_entity(actor).await?;
    let names: Vec<String> = match &actor.job {
        Some(job) => vec![job.entity.clone()],
        None => service.store.entities_of_user(&actor.user_id).await?.into_iter().map(|(e, _)| e.name).collect(),
    };
    let mut user = named_user(&actor.username);
    user["id"] = json!(actor.user_id);
    user["admin"] = json!(actor.admin);
    user["entity"] = json!(entity);
    user["teams"] = json!({ "edges": names.iter().map(|n| json!({ "node": { "name": n } })).collect::<Vec<_>>() });
    Ok(user)
}

/// Finds a user by name: oneself, or somebody with whom one shares a team.
fn users(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let store = &ctx.service.store;
        let found = match ctx.text("query") {
            Some(name) => store.user_by_name(name).await?,
            None => None,
        };
        let Some(found) = found else { return Ok(json!({ "edges": [] })) };
        let mut known = ctx.actor.admin || found.id == ctx.actor.user_id;
        if !known && ctx.actor.job.is_none() {
            for (entity, _) in store.entities_of_user(&ctx.actor.user_id).await? {
                known |= store.member_role(&entity.id, &found.id).await?.is_some();
            }
        }
        if !known {
            return Ok(json!({ "edges": [] }));
        }
        let mut user = named_user(&found.username);
        user["id"] = json!(found.id);
        Ok(json!({ "edges": [{ "node": user }] }))
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
        "apiKeys": { "edges": [] },
        "teams": { "edges": [] },
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
        let list = service.store.member_list(&entity.id).await?;
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
        "storageBytes": 0,
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
