//! Launch on the wire: queues, items, and the client's own agent.

use lanza_api::queue::NewQueue;
use lanza_model::{Role, Target, spec::Door};
use lanza_service::{
    Error, Result, Service,
    items::{ItemQuery, Pushed, WirePush},
    queues::config_below_resource_args,
    stock_agents::StockRegister,
};
use lanza_store::{agents::Agent, items::Item, queues::Queue};
use serde_json::{Map, Value, json};

use super::graphql::{Ctx, Input, Resolved, Resolvers};

/// Items in one answer at most; clients ask for the first hundred.
const ITEMS: i64 = 1000;

pub(super) fn register(r: &mut Resolvers) {
    r.on("Query", "launchAgent", launch_agent);
    r.on("Project", "runQueues", run_queues);
    r.on("Project", "runQueue", run_queue);
    r.on("Entity", "defaultResourceConfig", default_resource_config);
    r.on("RunQueue", "runQueueItems", run_queue_items);
    r.on("RunQueue", "runQueueItem", run_queue_item);
    r.on("Mutation", "createDefaultResourceConfig", create_default_resource_config);
    r.on("Mutation", "createRunQueue", create_run_queue);
    r.on("Mutation", "upsertRunQueue", upsert_run_queue);
    r.on("Mutation", "deleteRunQueues", delete_run_queues);
    r.on("Mutation", "pushToRunQueueByName", push_to_run_queue_by_name);
    r.on("Mutation", "pushToRunQueue", push_to_run_queue);
    r.on("Mutation", "popFromRunQueue", pop_from_run_queue);
    r.on("Mutation", "ackRunQueueItem", ack_run_queue_item);
    r.on("Mutation", "failRunQueueItem", fail_run_queue_item);
    r.on("Mutation", "updateRunQueueItemWarning", update_run_queue_item_warning);
    r.on("Mutation", "deleteFromRunQueue", delete_from_run_queue);
    r.on("Mutation", "createLaunchAgent", create_launch_agent);
    r.on("Mutation", "updateLaunchAgent", update_launch_agent);
}

/// Reads an argument that is JSON inside of a text; the text `null` and nothing are the same.
fn document(text: Option<&str>, field: &str) -> Result<Value> {
    match text {
        None | Some("") => Ok(Value::Null),
        Some(text) => serde_json::from_str(text).map_err(|e| Error::invalid(field, format!("is not JSON ({e})"))),
    }
}

fn object(text: Option<&str>, field: &str) -> Result<Map<String, Value>> {
    match document(text, field)? {
        Value::Object(o) => Ok(o),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::invalid(field, "is not a JSON object")),
    }
}

fn rendered_queue(queue: &Queue) -> Value {
    // The resource config of a queue is the queue's own, whichever way it was made.
    json!({
        "id": queue.id,
        "name": queue.name,
        "createdBy": queue.created_by,
        "access": queue.access,
        "defaultResourceConfigID": queue.id,
        "prioritizationMode": if queue.prioritised { "V0" } else { "DISABLED" },
        "externalLinks": queue.external_links,
    })
}

fn rendered_item(item: &Item) -> Value {
    json!({
        "id": item.id,
        "state": item.state.wire_name(),
        "associatedRunId": item.run,
        "runSpec": item.spec,
        "priority": item.priority.number(),
        "createdAt": item.created_at,
    })
}

fn rendered_agent(agent: &Agent, queues: &[String]) -> Value {
    json!({
        "id": agent.id,
        "name": agent.name,
        "runQueues": queues,
        "hostname": agent.host,
        "agentStatus": agent.status.to_ascii_uppercase(),
        "stopPolling": agent.command != "none",
        "heartbeatAt": agent.last_seen,
        "agentConfig": agent.settings.to_string(),
        "version": agent.version,
    })
}

fn run_queues(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let entity = ctx.parent_text("entityName").unwrap_or_default();
        let (_, queues) = ctx.service.queue_list(ctx.actor, entity, "", ITEMS).await?;
        Ok(queues.iter().map(rendered_queue).collect())
    })
}

fn run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let entity = ctx.parent_text("entityName").unwrap_or_default();
        let name = ctx.text("name").unwrap_or_default();
        // The client cannot read a null here: it dies with a message about its own code.
        let (_, queue) = ctx.service.queue_find(ctx.actor, entity, name).await?;
        Ok(rendered_queue(&queue))
    })
}

fn default_resource_config(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let id = ctx.text("id").unwrap_or_default();
        let entity = ctx.parent_text("name").unwrap_or_default();
        let variables = |templates: &Map<String, Value>| -> Value {
            templates.iter().map(|(name, schema)| json!({ "name": name, "schema": schema.to_string() })).collect()
        };
        if let Ok((_, queue)) = ctx.service.queue_find_by_id(ctx.actor, id, Role::Viewer).await {
            let target = queue.target.unwrap_or(Target::Docker);
            return Ok(json!({
                "resource": target.wire_name(),
                "config": { "resource_args": { target.wire_name(): queue.config } },
                "templateVariables": variables(&queue.templates),
            }));
        }
        let found = ctx.service.resource_config_find(ctx.actor, entity, id).await?;
        Ok(found.map_or(
            Value::Null,
            |c| json!({ "resource": c.resource, "config": c.config, "templateVariables": variables(&c.templates) }),
        ))
    })
}

fn run_queue_items(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let (entity, queue) =
            ctx.service.queue_find_by_id(ctx.actor, ctx.parent_text("id").unwrap_or_default(), Role::Viewer).await?;
        let first = ctx.int("first").unwrap_or(100).clamp(1, ITEMS);
        let query = ItemQuery {
            entity: Some(entity.name),
            queue: Some(queue.name),
            after: ctx.text("after").map(str::to_owned),
            ..ItemQuery::default()
        };
        let items = ctx.service.item_list(ctx.actor, &query, first).await?;
        let edges: Vec<Value> =
            items.iter().map(|(_, i)| json!({ "node": rendered_item(i), "cursor": i.id })).collect();
        let end = items.last().map(|(_, i)| i.id.to_string());
        Ok(json!({ "edges": edges, "pageInfo": { "endCursor": end, "hasNextPage": items.len() as i64 == first } }))
    })
}

fn run_queue_item(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let queue = ctx.parent_text("id").unwrap_or_default();
        let item = ctx.service.item_of_queue(ctx.actor, queue, ctx.text("id").unwrap_or_default()).await?;
        Ok(item.as_ref().map_or(Value::Null, rendered_item))
    })
}

fn create_default_resource_config(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let config = document(Some(input.required("config")?), "config")?;
        let templates = object(input.text("templateVariables"), "templateVariables")?;
        let (entity, resource) = (input.required("entityName")?, input.required("resource")?);
        let id = ctx.service.resource_config_create(ctx.actor, entity, resource, config, &templates).await?;
        Ok(json!({ "defaultResourceConfigID": id, "success": true }))
    })
}

fn create_run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let entity = input.required("entityName")?;
        let mut new = NewQueue {
            name: Some(input.required("queueName")?.to_owned()),
            priority: Some(input.text("prioritizationMode") == Some("V0")),
            ..NewQueue::default()
        };
        if let Some(id) = input.text("defaultResourceConfigID") {
            new = ctx.service.queue_configured(ctx.actor, entity, new, id).await?;
        }
        let queue = ctx.service.queue_create(ctx.actor, entity, new).await?;
        Ok(json!({ "success": true, "queueID": queue.id }))
    })
}

fn upsert_run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let resource = input.required("resourceType")?;
        let config = document(Some(input.required("resourceConfig")?), "resourceConfig")?;
        let target = Target::parse(resource).unwrap_or(Target::Docker);
        let new = NewQueue {
            target: Some(resource.to_owned()),
            config: Some(config_below_resource_args(&config, target)),
            templates: Some(object(input.text("templateVariables"), "templateVariables")?),
            priority: input.text("prioritizationMode").map(|m| m == "V0"),
            external_links: input.text("externalLinks").map(|t| document(Some(t), "externalLinks")).transpose()?,
            ..NewQueue::default()
        };
        let (entity, name) = (input.required("entityName")?, input.required("queueName")?);
        let existing = match ctx.service.queue_find(ctx.actor, entity, name).await {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => false,
            Err(e) => return Err(e),
        };
        let new = if existing { new } else { NewQueue { priority: Some(new.priority.unwrap_or(false)), ..new } };
        match ctx.service.queue_put(ctx.actor, entity, name, new, !existing).await {
            Ok(_) => Ok(json!({ "success": true, "configSchemaValidationErrors": [] })),
            // The client shows this list, and nothing of a failed request.
            Err(Error::Invalid { field, why, .. }) => {
                Ok(json!({ "success": false, "configSchemaValidationErrors": [format!("{field}: {why}")] }))
            }
            Err(e) => Err(e),
        }
    })
}

fn delete_run_queues(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let ids = ctx.input().get("queueIDs").and_then(Value::as_array).cloned().unwrap_or_default();
        for id in ids.iter().filter_map(Value::as_str) {
            let (entity, queue) = ctx.service.queue_find_by_id(ctx.actor, id, Role::Admin).await?;
            ctx.service.queue_delete(ctx.actor, &entity.name, &queue.name).await?;
        }
        Ok(json!({ "success": true }))
    })
}

fn pushed(pushed: &Pushed) -> Value {
    json!({
        "runQueueItemId": pushed.item.id,
        "runSpec": Value::Object(pushed.resolved_spec.clone()).to_string(),
    })
}

fn wire_push(ctx: &Ctx<'_>) -> Result<(Value, WirePush)> {
    let input = ctx.input();
    let spec = document(Some(input.required("runSpec")?), "runSpec")?;
    let values = input.text("templateVariableValues");
    let template_variables = match document(values, "templateVariableValues")? {
        Value::Null => None,
        Value::Object(o) => Some(o),
        _ => return Err(Error::invalid("templateVariableValues", "is not a JSON object")),
    };
    Ok((spec, WirePush { priority: input.int("priority"), template_variables }))
}

fn push_to_run_queue_by_name(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let (spec, wire) = wire_push(&ctx)?;
        let (entity, queue) = (ctx.input().required("entityName")?, ctx.input().required("queueName")?);
        match ctx.service.item_push(ctx.actor, entity, queue, spec, Door::Wire, wire).await {
            Ok(done) => Ok(pushed(&done)),
            // Null sends the client to the older mutation, or to making the default queue.
            Err(Error::NotFound { what: "queue", .. }) => Ok(Value::Null),
            Err(e) => Err(e),
        }
    })
}

fn push_to_run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let (spec, wire) = wire_push(&ctx)?;
        let (entity, queue) =
            ctx.service.queue_find_by_id(ctx.actor, ctx.input().required("queueID")?, Role::Viewer).await?;
        let done = ctx.service.item_push(ctx.actor, &entity.name, &queue.name, spec, Door::Wire, wire).await?;
        Ok(pushed(&done))
    })
}

fn pop_from_run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let (entity, queue) = (input.required("entityName")?, input.required("queueName")?);
        let agent = input.required("launchAgentId")?;
        let popped = ctx.service.stock_agent_pop(ctx.actor, entity, queue, agent).await?;
        Ok(popped.map_or(Value::Null, |p| json!({ "runQueueItemId": p.item, "runSpec": p.spec })))
    })
}

fn ack_run_queue_item(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let success = ctx.service.stock_item_acknowledge(ctx.actor, ctx.input().required("runQueueItemId")?).await?;
        Ok(json!({ "success": success }))
    })
}

/// The files that an agent says more in.
fn paths(input: Input<'_>) -> Vec<String> {
    let list = input.get("filePaths").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|p| p.as_str().map(str::to_owned)).collect()
}

fn fail_run_queue_item(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let (item, message) = (input.required("runQueueItemId")?, input.text("message").unwrap_or_default());
        let stage = input.text("stage").unwrap_or("agent");
        let files = paths(input);
        Ok(json!({ "success": ctx.service.stock_item_fail(ctx.actor, item, message, stage, &files).await? }))
    })
}

fn update_run_queue_item_warning(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let (item, message) = (input.required("runQueueItemId")?, input.required("message")?);
        let stage = input.text("stage").unwrap_or("agent");
        let files = paths(input);
        Ok(json!({ "success": ctx.service.stock_item_warn(ctx.actor, item, message, stage, &files).await? }))
    })
}

fn delete_from_run_queue(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        ctx.service.item_delete_from(ctx.actor, input.required("queueID")?, input.required("runQueueItemId")?).await?;
        Ok(json!({ "success": true }))
    })
}

fn create_launch_agent(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let queues = input.get("runQueues").and_then(Value::as_array).cloned().unwrap_or_default();
        let new = StockRegister {
            queues: queues.iter().filter_map(|q| q.as_str().map(str::to_owned)).collect(),
            host: input.required("hostname")?.to_owned(),
            version: input.text("version").unwrap_or("wandb").to_owned(),
            settings: document(input.text("agentConfig"), "agentConfig")?,
        };
        let agent = ctx.service.stock_agent_register(ctx.actor, input.required("entityName")?, new).await?;
        Ok(json!({ "launchAgentId": agent.id }))
    })
}

fn update_launch_agent(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        ctx.service.stock_agent_seen(ctx.actor, input.required("launchAgentId")?, input.text("agentStatus")).await?;
        Ok(json!({ "success": true }))
    })
}

fn launch_agent(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let id = ctx.text("id").unwrap_or_default();
        let (_, agent) = ctx.service.stock_agent_seen(ctx.actor, id, None).await?;
        let queues = queue_ids(ctx.service, &agent).await?;
        Ok(rendered_agent(&agent, &queues))
    })
}

async fn queue_ids(service: &Service, agent: &Agent) -> Result<Vec<String>> {
    Ok(service.agent_queues(agent).await?.into_iter().map(|(id, _)| id.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_inside_of_texts_are_read() {
        assert!(document(Some("{"), "runSpec").is_err());
        assert!(object(Some("[]"), "x").is_err());
        assert_eq!(document(Some("null"), "x").expect("legal"), Value::Null);
    }
}
