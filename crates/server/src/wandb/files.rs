//! Files of runs on the wire: where to put them, which there are, where to get them.

use lanza_service::{Error, Result, Service, run_files::mimetype};
use lanza_store::{files::RunFile, runs::Run};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    graphql::{Ctx, Input, Resolved, Resolvers, connection},
    runs::{parent, wire_time},
};

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');
/// Most files that one mutation names.
const FILES: usize = 10_000;

pub(super) fn register(r: &mut Resolvers) {
    r.on("Run", "files", files);
    r.on("Run", "fileCount", file_count);
    r.on("File", "url", url);
    r.on("Mutation", "createRunFiles", create_run_files);
    r.on("Mutation", "markRunFilesUploaded", mark_run_files_uploaded);
    r.on("Mutation", "deleteFiles", delete_files);
}

fn rendered(service: &Service, run: &Run, file: &RunFile, base_url: &str) -> Value {
    let segment = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    let path = utf8_percent_encode(&file.name, PATH);
    json!({
        "id": file.id,
        "name": file.name,
        "displayName": file.name,
        "url": format!(
            "{base_url}/files/{}/{}/{}/{path}", segment(&run.entity), segment(&run.project), segment(&run.name)
        ),
        "directUrl": format!("{base_url}{}", service.run_file_link(file)),
        "uploadUrl": null,
        "uploadHeaders": [],
        "uploadMultipartUrls": null,
        "storagePath": null,
        "sizeBytes": file.size_bytes,
        "mimetype": mimetype(&file.name),
        "md5": file.md5,
        "digest": file.md5,
        "updatedAt": wire_time(file.updated_at),
        "artifact": null,
    })
}

fn files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = parent(&ctx).await?;
        let first = ctx.first(50, 5000);
        let names = ctx.texts("names");
        // Clients that ask for upload links of new files.
        if ctx.args.get("upload") == Some(&Value::Bool(true)) {
            let links = ctx.service.run_file_uploads(ctx.actor, &run, &names).await?;
            let nodes = names.iter().zip(links).map(|(name, link)| {
                let node =
                    json!({ "id": name, "name": name, "url": format!("{}{link}", ctx.base_url), "sizeBytes": 0 });
                (name.clone(), node)
            });
            let mut page = connection(nodes.collect(), i64::MAX);
            page["uploadHeaders"] = json!([]);
            return Ok(page);
        }
        let after = ctx.text("after").unwrap_or_default();
        let pattern = ctx.text("pattern").filter(|p| !p.is_empty());
        let found = ctx.service.run_file_list(&run, &names, pattern, after, first + 1).await?;
        let nodes = found.iter().map(|f| (f.name.clone(), rendered(ctx.service, &run, f, ctx.base_url))).collect();
        let mut page = connection(nodes, first);
        page["uploadHeaders"] = json!([]);
        if ctx.selects("totalCount") {
            page["totalCount"] = json!(ctx.service.run_file_count(&run).await?);
        }
        Ok(page)
    })
}

fn file_count(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { Ok(json!(ctx.service.run_file_count(&parent(&ctx).await?).await?)) })
}

/// The argument `upload` was answered where the file was found.
fn url(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(std::future::ready(Ok(ctx.parent.get("url").cloned().unwrap_or_default())))
}

async fn named_run(ctx: &Ctx<'_>, input: Input<'_>) -> Result<Run> {
    let entity = input.text("entityName");
    ctx.service.run_find(ctx.actor, entity, input.required("projectName")?, input.required("runName")?).await
}

fn create_run_files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let run = named_run(&ctx, input).await?;
        let names = input.texts("files").unwrap_or_default();
        if names.len() > FILES {
            return Err(Error::TooLarge { what: "the list of files".into(), limit: format!("{FILES} files") });
        }
        let links = ctx.service.run_file_uploads(ctx.actor, &run, &names).await?;
        let files: Vec<Value> = names
            .iter()
            .zip(links)
            .map(|(name, link)| json!({ "id": name, "name": name, "uploadUrl": format!("{}{link}", ctx.base_url) }))
            .collect();
        Ok(json!({ "runID": run.id, "uploadHeaders": [], "files": files }))
    })
}

/// Files are listed from the moment that they have arrived, so there is nothing left to do but to check.
fn mark_run_files_uploaded(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let run = named_run(&ctx, input).await?;
        ctx.service.project_writable(ctx.actor, &run.entity, &run.project).await?;
        let names = input.texts("files").unwrap_or_default();
        let mut there = true;
        for name in &names {
            let found = ctx.service.run_file_list(&run, std::slice::from_ref(name), None, "", 1).await?;
            there &= !found.is_empty();
        }
        Ok(json!({ "success": there }))
    })
}

fn delete_files(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        ctx.service.run_files_delete(ctx.actor, &ctx.input().texts("files").unwrap_or_default()).await?;
        Ok(json!({ "success": true }))
    })
}
