//! From `createArtifact` to `commitArtifact`.

use lanza_service::{
    Error,
    artifacts::{ArtifactRequest, FileSpec, ManifestRequest, ManifestSlot},
};
use serde_json::{Value, json};

use super::render;
use crate::wandb::graphql::{Ctx, Input, Resolved, Resolvers};

pub(super) fn register(r: &mut Resolvers) {
    r.on("Mutation", "createArtifactType", create_type);
    r.on("Mutation", "createArtifact", create);
    r.on("Mutation", "createArtifactManifest", create_manifest);
    r.on("Mutation", "updateArtifactManifest", update_manifest);
    r.on("Mutation", "createArtifactFiles", create_files);
    r.on("Mutation", "completeMultipartUploadArtifact", complete_multipart);
    r.on("Mutation", "commitArtifact", commit);
}

fn owned(input: Input<'_>, name: &str) -> Option<String> {
    input.text(name).map(str::to_owned)
}

fn create_type(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let project = (input.required("entityName")?, input.required("projectName")?);
        let name = input.required("name")?;
        let made = ctx.service.artifact_type_create(ctx.actor, project, name, owned(input, "description")).await?;
        Ok(json!({ "artifactType": render::artifact_type(&made) }))
    })
}

fn create(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let collection = match input.text("artifactCollectionName") {
            Some(name) => name.to_owned(),
            None => input
                .texts("artifactCollectionNames")
                .and_then(|names| names.into_iter().next())
                .ok_or_else(|| Error::invalid("artifactCollectionName", "is missing"))?,
        };
        let request = ArtifactRequest {
            entity: input.required("entityName")?.to_owned(),
            project: input.required("projectName")?.to_owned(),
            run: owned(input, "runName"),
            type_name: input.required("artifactTypeName")?.to_owned(),
            aliases: input.objects("aliases").filter_map(|a| a.text("alias").map(str::to_owned)).collect(),
            collection,
            digest: input.required("digest")?.to_owned(),
            digest_algorithm: input.text("digestAlgorithm").unwrap_or("MANIFEST_MD5").to_owned(),
            description: owned(input, "description"),
            metadata: owned(input, "metadata"),
            history_step: input.int("historyStep"),
            ttl_seconds: input.int("ttlDurationSeconds"),
            tags: input.objects("tags").filter_map(|t| t.text("tagName").map(str::to_owned)).collect(),
            client_id: owned(input, "clientID"),
            sequence_client_id: owned(input, "sequenceClientID"),
            always_new: input.flag("enableDigestDeduplication") == Some(false),
            made_of_run: false,
        };
        let begun = ctx.service.artifact_create(ctx.actor, request).await?;
        let mut artifact = render::artifact(ctx.service, &begun.artifact).await?;
        artifact["artifactSequence"]["_latest"] = match &begun.latest {
            Some(latest) => render::artifact(ctx.service, latest).await?,
            None => Value::Null,
        };
        Ok(json!({ "artifact": artifact }))
    })
}

fn manifest(ctx: &Ctx<'_>, slot: &ManifestSlot) -> Value {
    let url = format!("{}{}", ctx.base_url, slot.link);
    json!({
        "artifactManifest": {
            "id": slot.id,
            "file": {
                "id": slot.id,
                "name": "wandb_manifest.json",
                "displayName": "wandb_manifest.json",
                // There is nothing to get before the upload.
                "directUrl": "",
                "url": null,
                "uploadUrl": url,
                "uploadHeaders": ["Content-Type:application/json"],
                "uploadMultipartUrls": null,
                "sizeBytes": 0,
                "artifact": null,
            },
        },
    })
}

fn create_manifest(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let request = ManifestRequest {
            artifact: input.required("artifactID")?.to_owned(),
            name: input.required("name")?.to_owned(),
            kind: input.text("type").unwrap_or("FULL").to_owned(),
            digest: input.text("digest").unwrap_or_default().to_owned(),
            base: owned(input, "baseArtifactID"),
        };
        let slot = ctx.service.manifest_create(ctx.actor, request).await?;
        Ok(manifest(&ctx, &slot))
    })
}

fn update_manifest(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let id = input.required("artifactManifestID")?;
        let slot = ctx.service.manifest_update(ctx.actor, id, input.text("digest")).await?;
        Ok(manifest(&ctx, &slot))
    })
}

fn create_files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let mut specs = Vec::new();
        for file in ctx.input().objects("artifactFiles") {
            specs.push(FileSpec {
                artifact: file.required("artifactID")?.to_owned(),
                path: file.required("name")?.to_owned(),
                md5: file.required("md5")?.to_owned(),
                media_type: owned(file, "mimetype"),
            });
        }
        let slots = ctx.service.artifact_files_create(ctx.actor, specs).await?;
        let nodes = slots
            .into_iter()
            .enumerate()
            .map(|(i, slot)| {
                let media_type = slot.spec.media_type.as_deref().unwrap_or("application/octet-stream");
                let node = json!({
                    "id": format!("{}:{}", slot.spec.artifact, slot.spec.path),
                    "name": slot.spec.path,
                    "displayName": slot.spec.path,
                    "directUrl": "",
                    "url": null,
                    "storagePath": slot.storage_path,
                    "uploadUrl": slot.link.map(|path| format!("{}{path}", ctx.base_url)),
                    // The client splits at the first colon and keeps a space.
                    "uploadHeaders": [format!("Content-MD5:{}", slot.spec.md5), format!("Content-Type:{media_type}")],
                    // A file of any size goes up in one piece.
                    "uploadMultipartUrls": null,
                    "sizeBytes": 0,
                    "md5": slot.spec.md5,
                    "digest": slot.spec.md5,
                    "artifact": { "id": slot.spec.artifact },
                });
                (node, (i + 1).to_string())
            })
            .collect();
        let mut files = render::connection(nodes, false, None);
        files["uploadHeaders"] = json!([]);
        Ok(json!({ "files": files }))
    })
}

fn complete_multipart(_: Ctx<'_>) -> Resolved<'_> {
    // Reached only by a client that was given upload parts, which this server never hands out.
    let refused = Error::invalid("uploadID", "belongs to no upload: files go up in one piece here");
    Box::pin(std::future::ready(Err(refused)))
}

fn commit(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let done = ctx.service.artifact_commit(ctx.actor, ctx.input().required("artifactID")?).await?;
        Ok(json!({ "artifact": render::artifact(ctx.service, &done).await? }))
    })
}
