//! Projects on the wire: `project` and `model` are the same thing.

use lanza_model::{Role, name::LAUNCH_PROJECT};
use lanza_service::{Error, Result, projects::Named, run_list::RunQuery};
use lanza_store::projects::Project;
use serde_json::{Value, json};

use super::{
    graphql::{Ctx, Resolved, Resolvers, connection, not_built, or_null},
    runs::{self, wire_time},
    viewer::{named_entity, named_user},
};

pub(super) fn register(r: &mut Resolvers) {
    r.on("Query", "project", project);
    r.on("Query", "model", project);
    r.on("Query", "models", models);
    r.on("Entity", "project", project_of_entity);
    r.on("Project", "readOnly", read_only);
    r.on("Project", "run", run);
    r.on("Project", "bucket", run);
    r.on("Project", "runs", runs_of_project);
    r.on("Project", "buckets", runs_of_project);
    r.on("Project", "runCount", run_count);
    r.on("Project", "allViews", all_views);
    r.on("Project", "totalSweeps", total_sweeps);
    r.on("Mutation", "upsertModel", upsert_model);
    r.on("Mutation", "deleteModel", delete_model);
}

/// A project as the wire has it.
pub(super) fn rendered(project: &Project) -> Value {
    let mut rendered = named(&project.entity, &project.name, project.id.as_str());
    rendered["internalId"] = json!(project.number.to_string());
    rendered["description"] = json!(project.description);
    rendered["createdAt"] = json!(wire_time(project.created_at));
    rendered["user"] = named_user(&project.author);
    rendered
}

/// A project of which the names are known; enough where a run names its project.
pub(super) fn named(entity: &str, name: &str, id: &str) -> Value {
    json!({
        "id": id,
        "internalId": "0",
        "name": name,
        "entityName": entity,
        "entity": named_entity(entity),
        "description": null,
        "access": "PRIVATE",
        "views": "{}",
        "allowAllArtifactTypesInRegistry": false,
        "createdAt": "1970-01-01T00:00:00Z",
        "isBenchmark": false,
        "user": null,
    })
}

fn project(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let Some(name) = ctx.text("name") else { return Ok(Value::Null) };
        find(&ctx, ctx.text("entityName"), name).await
    })
}

fn project_of_entity(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let Some(name) = ctx.text("name") else { return Ok(Value::Null) };
        find(&ctx, ctx.parent_text("name"), name).await
    })
}

async fn find(ctx: &Ctx<'_>, entity: Option<&str>, name: &str) -> Result<Value> {
    Ok(match ctx.service.project_named(ctx.actor, entity, name).await? {
        Some(Named::Project(found)) => rendered(&found),
        Some(Named::LaunchProject(entity)) => named(&entity.name, LAUNCH_PROJECT, LAUNCH_PROJECT),
        None => Value::Null,
    })
}

fn models(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let entity = ctx.service.entity_or_default(ctx.actor, ctx.text("entityName")).await?;
        let first = ctx.first(50, 1000);
        let after = ctx.text("after").unwrap_or_default();
        let found = or_null(ctx.service.project_list(ctx.actor, &entity, after, first + 1).await)?;
        let Some(found) = found else { return Ok(Value::Null) };
        Ok(connection(found.iter().map(|p| (p.name.clone(), rendered(p))).collect(), first))
    })
}

fn read_only(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let entity = ctx.parent_text("entityName").unwrap_or_default();
        let seen = or_null(ctx.service.entity_seen(ctx.actor, entity).await)?;
        Ok(json!(ctx.actor.job.is_none() && seen.is_none_or(|(_, role)| role < Role::Member)))
    })
}

fn run(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let (Some(entity), Some(project)) = (ctx.parent_text("entityName"), ctx.parent_text("name")) else {
            return Ok(Value::Null);
        };
        let name = ctx.text("name").unwrap_or_default();
        let found = or_null(ctx.service.run_find(ctx.actor, Some(entity), project, name).await)?;
        Ok(found.as_ref().map_or(Value::Null, runs::rendered))
    })
}

/// The project that the parent object is; none for the launch project while it holds nothing.
async fn parent_project(ctx: &Ctx<'_>) -> Result<Option<Project>> {
    let (entity, name) = (ctx.parent_text("entityName"), ctx.parent_text("name").unwrap_or_default());
    or_null(ctx.service.project_find(ctx.actor, entity, name).await)
}

fn runs_of_project(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let first = ctx.first(50, 1000);
        let Some(project) = parent_project(&ctx).await? else { return Ok(connection(Vec::new(), first)) };
        let query = RunQuery {
            filter: ctx.text("filters").map(str::to_owned),
            order: ctx.text("order").map(str::to_owned),
            conditions: Vec::new(),
            after: ctx.text("after").map(str::to_owned),
            limit: first + 1,
        };
        let found = ctx.service.run_list(&project, &query).await?;
        Ok(connection(found.iter().map(|r| (r.id.to_string(), runs::rendered(r))).collect(), first))
    })
}

fn run_count(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let Some(project) = parent_project(&ctx).await? else { return Ok(json!(0)) };
        Ok(json!(ctx.service.run_count(&project, ctx.text("filters")).await?))
    })
}

/// There are no reports, so the list of them is empty.
fn all_views(_: Ctx<'_>) -> Resolved<'_> {
    Box::pin(std::future::ready(Ok(connection(Vec::new(), 0))))
}

fn total_sweeps(_: Ctx<'_>) -> Resolved<'_> {
    Box::pin(std::future::ready(Err(not_built("Project.totalSweeps"))))
}

fn upsert_model(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let (entity, name) = match (input.text("name"), input.text("id")) {
            (Some(name), _) => (input.text("entityName").map(str::to_owned), name.to_owned()),
            (None, Some(id)) => {
                let project = ctx.service.project_find_by_id(ctx.actor, id).await?;
                (Some(project.entity), project.name)
            }
            (None, None) => return Err(Error::invalid("name", "is missing")),
        };
        let description = input.text("description");
        let (project, made) = ctx.service.project_ensure(ctx.actor, entity.as_deref(), &name, description).await?;
        let project = rendered(&project);
        Ok(json!({ "project": project, "model": project, "inserted": made }))
    })
}

fn delete_model(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let entity = ctx.service.entity_or_default(ctx.actor, input.text("entityName")).await?;
        ctx.service.project_delete(ctx.actor, &entity, input.required("modelName")?).await?;
        Ok(json!({ "success": true }))
    })
}
