//! Manifests and entries of versions, with links that need no key.

use lanza_service::{Error, Result, artifacts::FileLocation};
use lanza_store::artifacts::{Artifact, FileEntry, State};
use serde_json::{Value, json};

use super::render;
use crate::wandb::{
    graphql::{Ctx, Input, Resolved, Resolvers},
    runs::wire_time,
};

/// Entries in one answer at most; clients ask for 5,000.
const MOST: i64 = 10_000;

pub(super) fn register(r: &mut Resolvers) {
    r.on("Artifact", "currentManifest", current_manifest);
    r.on("Artifact", "files", artifact_files);
    r.on("Artifact", "filesByManifestEntries", files_by_entries);
    r.on("ArtifactCollectionMembership", "files", membership_files);
}

fn current_manifest(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let artifact = parent_artifact(&ctx, "id").await?;
        if artifact.state == State::Deleted {
            return Ok(Value::Null);
        }
        let Some(path) = ctx.service.manifest_link(&artifact).await? else { return Ok(Value::Null) };
        let id = artifact.manifest_id.map(|id| id.to_string()).unwrap_or_default();
        let url = format!("{}{path}", ctx.base_url);
        Ok(json!({
            "id": id,
            "file": {
                "id": id,
                "name": "wandb_manifest.json",
                "displayName": "wandb_manifest.json",
                "directUrl": url,
                "url": url,
                "uploadUrl": null,
                "uploadHeaders": [],
                "uploadMultipartUrls": null,
                "sizeBytes": 0,
                "artifact": null,
            },
        }))
    })
}

async fn parent_artifact(ctx: &Ctx<'_>, key: &str) -> Result<Artifact> {
    ctx.service.artifact_find(ctx.actor, ctx.parent_text(key).unwrap_or_default()).await
}

fn artifact_files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let artifact = parent_artifact(&ctx, "id").await?;
        files(&ctx, &artifact).await
    })
}

fn membership_files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let id = ctx.parent["artifact"]["id"].as_str().unwrap_or_default();
        let artifact = ctx.service.artifact_find(ctx.actor, id).await?;
        files(&ctx, &artifact).await
    })
}

async fn files(ctx: &Ctx<'_>, artifact: &Artifact) -> Result<Value> {
    let names = Input(&Value::Object(ctx.args.clone())).texts("names").filter(|n| !n.is_empty());
    if let Some(names) = names {
        return named(ctx, artifact, names).await;
    }
    let limit = ctx.int("first").unwrap_or(MOST).clamp(0, MOST);
    let after = ctx.text("after").unwrap_or_default();
    let mut found = ctx.service.artifact_file_list(artifact, after, limit + 1).await?;
    let more = found.len() as i64 > limit;
    found.truncate(limit as usize);
    Ok(connection(ctx, artifact, &found, more, artifact.file_count))
}

async fn named(ctx: &Ctx<'_>, artifact: &Artifact, names: Vec<String>) -> Result<Value> {
    if names.len() as i64 > MOST {
        return Err(Error::invalid("names", format!("has more than {MOST} names")));
    }
    let found = ctx.service.artifact_files_named(artifact, &names).await?;
    let count = found.len() as i64;
    Ok(connection(ctx, artifact, &found, false, count))
}

/// Older clients name the entries that they want; the answer follows their order.
fn files_by_entries(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let artifact = parent_artifact(&ctx, "id").await?;
        let arguments = Value::Object(ctx.args.clone());
        let names = Input(&arguments).objects("entries").filter_map(|e| e.text("name").map(str::to_owned)).collect();
        named(&ctx, &artifact, names).await
    })
}

fn connection(ctx: &Ctx<'_>, artifact: &Artifact, found: &[FileEntry], more: bool, total: i64) -> Value {
    let nodes = found.iter().map(|f| (file(ctx, artifact, f), f.path.clone())).collect();
    let mut rendered = render::connection(nodes, more, Some(total));
    rendered["uploadHeaders"] = json!([]);
    rendered
}

fn file(ctx: &Ctx<'_>, artifact: &Artifact, file: &FileEntry) -> Value {
    let url = match ctx.service.artifact_file_link(file) {
        FileLocation::Link(path) => format!("{}{path}", ctx.base_url),
        FileLocation::Reference(url) => url,
    };
    json!({
        "__typename": "File",
        "id": format!("{}:{}", artifact.id, file.path),
        "name": file.path,
        // The client asks for this one under the name `name` and downloads to it, so it is the whole path too.
        "displayName": file.path,
        "url": url,
        "directUrl": url,
        "uploadUrl": null,
        "uploadHeaders": [],
        "uploadMultipartUrls": null,
        "storagePath": file.blob.as_ref().map(|_| format!("wandb_artifacts/{}", artifact.id)),
        "sizeBytes": file.size_bytes,
        "mimetype": null,
        "md5": file.digest,
        "digest": file.digest,
        "updatedAt": wire_time(artifact.updated_at),
        "artifact": null,
    })
}
