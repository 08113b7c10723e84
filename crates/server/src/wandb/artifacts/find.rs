//! Reading types, collections, versions and lineage.

use lanza_model::id::ProjectId;
use lanza_service::{Error, Result};
use lanza_store::artifacts::{Collection, Relation};
use serde_json::{Value, json};

use super::{COLLECTIONS, render};
use crate::wandb::{
    graphql::{Ctx, Resolved, Resolvers},
    runs,
    viewer::named_user,
};

/// Objects in a connection when the client asks for no number: it then wants all of them (`wandb job list`).
const ALL: i64 = 10_000;

pub(super) fn register(r: &mut Resolvers) {
    r.on("Query", "artifact", artifact_by_id);
    r.on("Query", "artifactCollection", collection_by_id);
    r.on("Query", "clientIDMapping", client_id_mapping);
    r.on("Project", "artifact", project_artifact);
    r.on("Project", "artifactType", project_type);
    r.on("Project", "artifactTypes", project_types);
    r.on("Project", "artifactCollection", project_collection);
    r.on("Project", "artifactCollections", project_collections);
    r.on("Project", "artifactCollectionMembership", project_membership);
    r.on("ArtifactType", "artifactCollections", type_collections);
    r.on("ArtifactType", "artifactCollection", type_collection);
    r.on("ArtifactType", "artifactSequence", type_collection);
    r.on("ArtifactType", "artifact", type_artifact);
    for on in COLLECTIONS {
        r.on(on, "tags", collection_tags);
        r.on(on, "aliases", collection_aliases);
        r.on(on, "artifacts", collection_artifacts);
        r.on(on, "artifactMembership", collection_membership);
    }
    r.on("ArtifactSequence", "latestArtifact", latest_artifact);
    r.on("Artifact", "artifactMemberships", artifact_memberships);
    r.on("Artifact", "usedBy", used_by);
    r.on("Artifact", "createdBy", created_by);
    r.on("Run", "outputArtifacts", output_artifacts);
    r.on("Run", "inputArtifacts", input_artifacts);
}

/// Reads an id that another resolver put into the parent object.
fn parent_id<T: std::str::FromStr>(ctx: &Ctx<'_>, key: &str) -> Result<T> {
    let text = ctx.parent_text(key).unwrap_or_default();
    text.parse().map_err(|_| Error::not_found("object", text))
}

fn first(ctx: &Ctx<'_>) -> i64 {
    ctx.int("first").unwrap_or(ALL).clamp(0, ALL)
}

/// None where the client expects null.
fn or_null(found: Result<Value>) -> Result<Value> {
    match found {
        Err(Error::NotFound { .. }) => Ok(Value::Null),
        other => other,
    }
}

fn artifact_by_id(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let id = ctx.text("id").unwrap_or_default();
        match ctx.service.artifact_find(ctx.actor, id).await {
            Ok(found) => render::artifact(ctx.service, &found).await,
            Err(e) => or_null(Err(e)),
        }
    })
}

fn collection_by_id(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let found = ctx.service.collection_find_by_id(ctx.actor, ctx.text("id").unwrap_or_default()).await?;
        Ok(found.map_or(Value::Null, |c| render::collection(&c)))
    })
}

fn client_id_mapping(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let found = ctx.service.artifact_client_id_find(ctx.actor, ctx.text("clientID").unwrap_or_default()).await?;
        Ok(found.map_or(Value::Null, |id| json!({ "serverID": id })))
    })
}

async fn named(ctx: &Ctx<'_>, project: &ProjectId) -> Result<Option<lanza_store::artifacts::Membership>> {
    ctx.service.membership_named(ctx.actor, project, ctx.text("name").unwrap_or_default()).await
}

fn project_artifact(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        match named(&ctx, &parent_id(&ctx, "id")?).await? {
            Some(found) => render::artifact(ctx.service, &found.artifact).await,
            None => Ok(Value::Null),
        }
    })
}

fn project_membership(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        match named(&ctx, &parent_id(&ctx, "id")?).await? {
            Some(found) => render::membership(ctx.service, &found).await,
            None => Ok(Value::Null),
        }
    })
}

fn project_type(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let types = ctx.service.artifact_type_list(ctx.actor, &parent_id(&ctx, "id")?).await?;
        let found = types.into_iter().find(|t| Some(t.name.as_str()) == ctx.text("name"));
        Ok(found.map_or(Value::Null, |t| render::artifact_type(&t)))
    })
}

fn project_types(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let types = ctx.service.artifact_type_list(ctx.actor, &parent_id(&ctx, "id")?).await?;
        let after = ctx.text("after").unwrap_or_default();
        let mut rest: Vec<_> = types.into_iter().filter(|t| t.name.as_str() > after).collect();
        let limit = first(&ctx) as usize;
        let more = rest.len() > limit;
        rest.truncate(limit);
        let nodes = rest.iter().map(|t| (render::artifact_type(t), t.name.clone())).collect();
        Ok(render::connection(nodes, more, None))
    })
}

fn project_collection(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let name = ctx.text("name").unwrap_or_default();
        let found = ctx.service.collection_find(ctx.actor, &parent_id(&ctx, "id")?, name).await?;
        Ok(found.map_or(Value::Null, |c| render::collection(&c)))
    })
}

fn project_collections(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { collections(&ctx, &parent_id(&ctx, "id")?, None).await })
}

fn type_collections(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { collections(&ctx, &parent_id(&ctx, "_project")?, ctx.parent_text("name")).await })
}

async fn collections(ctx: &Ctx<'_>, project: &ProjectId, type_name: Option<&str>) -> Result<Value> {
    let (limit, after) = (first(ctx), ctx.text("after").unwrap_or_default());
    let (mut found, total) = ctx.service.collection_list(ctx.actor, project, type_name, after, limit + 1).await?;
    let more = found.len() as i64 > limit;
    found.truncate(limit as usize);
    let nodes = found.iter().map(|c| (render::collection(c), c.name.clone())).collect();
    Ok(render::connection(nodes, more, Some(total)))
}

fn type_collection(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let name = ctx.text("name").unwrap_or_default();
        let found = ctx.service.collection_find(ctx.actor, &parent_id(&ctx, "_project")?, name).await?;
        let found = found.filter(|c| Some(c.type_name.as_str()) == ctx.parent_text("name"));
        Ok(found.map_or(Value::Null, |c| render::collection(&c)))
    })
}

fn type_artifact(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let found = named(&ctx, &parent_id(&ctx, "_project")?).await?;
        match found.filter(|m| Some(m.collection.type_name.as_str()) == ctx.parent_text("name")) {
            Some(found) => render::artifact(ctx.service, &found.artifact).await,
            None => Ok(Value::Null),
        }
    })
}

/// The collection that the field belongs to. That the caller sees it was decided where it was found.
pub(super) async fn parent_collection(ctx: &Ctx<'_>) -> Result<Collection> {
    ctx.service.collection_again(&parent_id(ctx, "id")?).await
}

fn collection_tags(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let tags = ctx.service.collection_tags(&parent_id(&ctx, "id")?).await?;
        let edges: Vec<_> = render::tags(&tags).into_iter().map(|tag| json!({ "node": tag })).collect();
        Ok(json!({ "edges": edges }))
    })
}

fn collection_aliases(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let collection = parent_collection(&ctx).await?;
        let after = ctx.text("after").unwrap_or_default();
        let mut names = ctx.service.collection_aliases(&collection.id).await?;
        names.retain(|name| name.as_str() > after);
        let limit = first(&ctx) as usize;
        let more = names.len() > limit;
        names.truncate(limit);
        let nodes = names.into_iter().map(|name| (render::alias(&collection, &name), name)).collect();
        Ok(render::connection(nodes, more, None))
    })
}

fn collection_artifacts(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let collection = parent_collection(&ctx).await?;
        let before = ctx.text("after").and_then(|a| a.parse().ok());
        let limit = first(&ctx);
        let (mut found, total) = if other_state_wanted(&ctx)? {
            (Vec::new(), 0)
        } else {
            ctx.service.membership_list(ctx.actor, &collection, before, limit + 1).await?
        };
        let more = found.len() as i64 > limit;
        found.truncate(limit as usize);
        let all: Vec<_> = found.iter().map(|m| &m.artifact).collect();
        let extras = render::Extras::of(ctx.service, &all).await?;
        let nodes = found.iter().map(|m| (extras.artifact(&m.artifact), m.version.to_string())).collect();
        let mut rendered = render::connection(nodes, more, Some(total));
        for (edge, member) in rendered["edges"].as_array_mut().into_iter().flatten().zip(&found) {
            edge["version"] = json!(format!("v{}", member.version));
        }
        Ok(rendered)
    })
}

/// Collections show committed versions; a filter for another state finds nothing.
fn other_state_wanted(ctx: &Ctx<'_>) -> Result<bool> {
    let Some(text) = ctx.text("filters").filter(|f| !f.is_empty()) else { return Ok(false) };
    let filters: Value =
        serde_json::from_str(text).map_err(|e| Error::invalid("filters", format!("is not JSON: {e}")))?;
    Ok(filters["state"].as_str().is_some_and(|state| state != "COMMITTED"))
}

fn collection_membership(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let collection = parent_collection(&ctx).await?;
        let word = ctx.text("aliasName").unwrap_or_default();
        match ctx.service.membership_find(ctx.actor, &collection, word).await? {
            Some(found) => render::membership(ctx.service, &found).await,
            None => Ok(Value::Null),
        }
    })
}

fn latest_artifact(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        // `createArtifact` has looked before it made a version.
        if let Some(known) = ctx.parent.get("_latest") {
            return Ok(known.clone());
        }
        let collection = parent_collection(&ctx).await?;
        let (newest, _) = ctx.service.membership_list(ctx.actor, &collection, None, 1).await?;
        match newest.first() {
            Some(found) => render::artifact(ctx.service, &found.artifact).await,
            None => Ok(Value::Null),
        }
    })
}

fn artifact_memberships(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let mut nodes = Vec::new();
        for found in ctx.service.memberships_seen(ctx.actor, &parent_id(&ctx, "id")?).await? {
            let cursor = found.collection.id.to_string();
            nodes.push((render::membership(ctx.service, &found).await?, cursor));
        }
        Ok(render::connection(nodes, false, None))
    })
}

fn used_by(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let users = ctx.service.artifact_users(ctx.actor, &parent_id(&ctx, "id")?).await?;
        let nodes = users.iter().map(|run| (runs::rendered(run), run.id.to_string())).collect();
        Ok(render::connection(nodes, false, None))
    })
}

fn created_by(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let artifact = ctx.service.artifact_find(ctx.actor, ctx.parent_text("id").unwrap_or_default()).await?;
        if let Some(id) = artifact.run_id.filter(|_| artifact.run_name.is_some())
            && let Ok(run) = ctx.service.run_by_row_id(ctx.actor, &id).await
        {
            return Ok(runs::rendered(&run));
        }
        let mut user = named_user(&artifact.author);
        user["__typename"] = json!("User");
        user["id"] = json!(artifact.author_id);
        Ok(user)
    })
}

fn output_artifacts(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { of_run(&ctx, Relation::Output).await })
}

fn input_artifacts(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { of_run(&ctx, Relation::Input).await })
}

async fn of_run(ctx: &Ctx<'_>, relation: Relation) -> Result<Value> {
    let run = ctx.parent_text("id").unwrap_or_default();
    let all = ctx.service.run_artifacts(ctx.actor, run, relation).await?;
    let total = all.len();
    let after = ctx.text("after").and_then(|a| a.parse().ok()).unwrap_or(0usize);
    let page: Vec<_> = all.into_iter().skip(after).take(first(ctx) as usize).collect();
    let more = after + page.len() < total;
    let nodes = render::artifacts(ctx.service, &page).await?.into_iter().enumerate();
    let nodes = nodes.map(|(i, node)| (node, (after + i + 1).to_string())).collect();
    Ok(render::connection(nodes, more, Some(total as i64)))
}
