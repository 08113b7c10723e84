//! Using, changing, linking and deleting.

use lanza_service::artifacts::AliasName;
use lanza_store::artifacts::ArtifactChange;
use serde_json::json;

use super::render;
use crate::wandb::graphql::{Ctx, Input, Resolved, Resolvers};

pub(super) fn register(r: &mut Resolvers) {
    r.on("Mutation", "useArtifact", use_artifact);
    r.on("Mutation", "updateArtifact", update);
    r.on("Mutation", "deleteArtifact", delete);
    r.on("Mutation", "addAliases", add_aliases);
    r.on("Mutation", "deleteAliases", delete_aliases);
    r.on("Mutation", "linkArtifact", link);
    r.on("Mutation", "unlinkArtifact", unlink);
    r.on("Mutation", "updateArtifactSequence", update_sequence);
    r.on("Mutation", "updateArtifactPortfolio", update_portfolio);
    r.on("Mutation", "moveArtifactSequence", move_sequence);
    r.on("Mutation", "deleteArtifactSequence", delete_sequence);
    r.on("Mutation", "deleteArtifactPortfolio", delete_portfolio);
    r.on("Mutation", "createArtifactCollectionTagAssignments", add_collection_tags);
    r.on("Mutation", "deleteArtifactCollectionTagAssignments", delete_collection_tags);
}

fn tag_names(input: Input<'_>, list: &str) -> Vec<String> {
    input.objects(list).filter_map(|t| t.text("tagName").map(str::to_owned)).collect()
}

fn use_artifact(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let run = (input.required("entityName")?, input.required("projectName")?, input.required("runName")?);
        let used_as = input.text("usedAs").map(str::to_owned);
        let used = ctx.service.artifact_use(ctx.actor, input.required("artifactID")?, run, used_as).await?;
        Ok(json!({ "artifact": render::artifact(ctx.service, &used).await? }))
    })
}

fn update(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let id = input.required("artifactID")?;
        // The whole list of aliases, as older clients send it; entries for other collections mean links.
        let aliases = match input.get("aliases") {
            None => None,
            Some(_) => {
                let name = ctx.service.artifact_find(ctx.actor, id).await?.collection.name;
                let own = input.objects("aliases").filter(|a| a.text("artifactCollectionName") == Some(name.as_str()));
                Some(own.filter_map(|a| a.text("alias").map(str::to_owned)).collect())
            }
        };
        let change = ArtifactChange {
            description: input.text("description").map(str::to_owned),
            metadata: input.text("metadata").map(str::to_owned),
            ttl_seconds: input.int("ttlDurationSeconds"),
            tags_add: tag_names(input, "tagsToAdd"),
            tags_delete: tag_names(input, "tagsToDelete"),
            aliases,
        };
        let changed = ctx.service.artifact_update(ctx.actor, id, change).await?;
        Ok(json!({ "artifact": render::artifact(ctx.service, &changed).await? }))
    })
}

fn delete(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let with_aliases = input.flag("deleteAliases").unwrap_or(false);
        let gone = ctx.service.artifact_delete(ctx.actor, input.required("artifactID")?, with_aliases).await?;
        Ok(json!({ "artifact": render::artifact(ctx.service, &gone).await? }))
    })
}

fn alias_names(input: Input<'_>) -> Vec<AliasName> {
    input
        .objects("aliases")
        .filter_map(|a| {
            Some(AliasName {
                entity: a.text("entityName")?.to_owned(),
                project: a.text("projectName")?.to_owned(),
                collection: a.text("artifactCollectionName")?.to_owned(),
                alias: a.text("alias")?.to_owned(),
            })
        })
        .collect()
}

fn add_aliases(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        ctx.service.artifact_aliases_add(ctx.actor, input.required("artifactID")?, alias_names(input)).await?;
        Ok(json!({ "success": true }))
    })
}

fn delete_aliases(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        ctx.service.artifact_aliases_delete(ctx.actor, input.required("artifactID")?, alias_names(input)).await?;
        Ok(json!({ "success": true }))
    })
}

fn link(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let id = match (input.text("artifactID"), input.text("clientID")) {
            (Some(id), _) => id.to_owned(),
            (None, Some(client)) => {
                let found = ctx.service.artifact_client_id_find(ctx.actor, client).await?;
                found.ok_or_else(|| lanza_service::Error::not_found("artifact", client))?
            }
            (None, None) => return Err(lanza_service::Error::invalid("artifactID", "is missing")),
        };
        let aliases = input.objects("aliases").filter_map(|a| a.text("alias").map(str::to_owned)).collect();
        // By id for a portfolio that exists, else by name.
        let by_id = match input.text("artifactPortfolioID") {
            Some(id) => Some(ctx.service.collection_writable(ctx.actor, id).await?),
            None => None,
        };
        let portfolio = match &by_id {
            Some(found) => (found.entity.as_str(), found.project.as_str(), found.name.as_str()),
            None => (
                input.required("entityName")?,
                input.required("projectName")?,
                input.required("artifactPortfolioName")?,
            ),
        };
        let linked = ctx.service.artifact_link(ctx.actor, &id, portfolio, aliases).await?;
        Ok(json!({
            "versionIndex": linked.version,
            "artifactMembership": render::membership(ctx.service, &linked).await?,
        }))
    })
}

fn unlink(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let id = input.required("artifactID")?;
        let done = ctx.service.artifact_unlink(ctx.actor, id, input.required("artifactPortfolioID")?).await?;
        Ok(json!({ "success": done, "artifactID": id }))
    })
}

fn update_sequence(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { update_collection(&ctx, "artifactSequenceID").await })
}

fn update_portfolio(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { update_collection(&ctx, "artifactPortfolioID").await })
}

async fn update_collection(ctx: &Ctx<'_>, key: &str) -> lanza_service::Result<serde_json::Value> {
    let input = ctx.input();
    let text = |name: &str| input.text(name).map(str::to_owned);
    let id = input.required(key)?;
    let changed = ctx.service.collection_update(ctx.actor, id, text("name"), text("description")).await?;
    Ok(json!({ "artifactCollection": render::collection(&changed) }))
}

fn move_sequence(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let (id, to) = (input.required("artifactSequenceID")?, input.required("destinationArtifactTypeName")?);
        let moved = ctx.service.collection_move(ctx.actor, id, to).await?;
        Ok(json!({ "artifactCollection": render::collection(&moved) }))
    })
}

fn delete_sequence(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { delete_collection(&ctx, "artifactSequenceID").await })
}

fn delete_portfolio(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { delete_collection(&ctx, "artifactPortfolioID").await })
}

async fn delete_collection(ctx: &Ctx<'_>, key: &str) -> lanza_service::Result<serde_json::Value> {
    let gone = ctx.service.collection_delete(ctx.actor, ctx.input().required(key)?).await?;
    let mut rendered = render::collection(&gone);
    rendered["state"] = json!("DELETED");
    Ok(json!({ "artifactCollection": rendered }))
}

fn add_collection_tags(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { change_collection_tags(&ctx, true).await })
}

fn delete_collection_tags(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { change_collection_tags(&ctx, false).await })
}

async fn change_collection_tags(ctx: &Ctx<'_>, add: bool) -> lanza_service::Result<serde_json::Value> {
    let input = ctx.input();
    let of = (input.required("entityName")?, input.required("projectName")?, input.required("artifactCollectionName")?);
    let tags = tag_names(input, "tags");
    let (put, take) = if add { (tags, Vec::new()) } else { (Vec::new(), tags) };
    let left = ctx.service.collection_tags_change(ctx.actor, of, put, take).await?;
    Ok(json!({ "success": true, "tags": render::tags(&left) }))
}
