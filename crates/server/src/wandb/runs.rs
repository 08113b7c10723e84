//! Runs on the wire: `run` and `bucket` are the same thing, `Run.name` is the run's id.

use lanza_model::{clock::Time, run::State};
use lanza_service::{Result, lenient, runs::RunRequest};
use lanza_store::{
    chunks::Stream,
    runs::{Run, RunFields},
};
use serde_json::{Map, Value, json};

use super::{
    graphql::{Ctx, Resolved, Resolvers},
    projects, viewer,
};

pub(super) fn register(r: &mut Resolvers) {
    r.on("Run", "state", state);
    r.on("Run", "wandbConfig", wandb_config);
    r.on("Run", "systemMetrics", system_metrics);
    r.on("Run", "historyTail", history_tail);
    r.on("Run", "eventsTail", events_tail);
    r.on("Mutation", "upsertBucket", upsert_bucket);
    r.on("Mutation", "deleteRun", delete_run);
    r.on("Mutation", "stopRun", stop_run);
    r.on("Mutation", "updateRunState", update_run_state);
    r.on("Mutation", "notifyScriptableRunAlert", alert);
}

/// A time in the form that all clients read: UTC in whole seconds.
pub(super) fn wire_time(time: Time) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// A run as the wire has it.
pub(super) fn rendered(run: &Run) -> Value {
    json!({
        "__typename": "Run",
        "id": run.id,
        "projectId": run.project_number,
        "name": run.name,
        "displayName": run.display_name,
        "description": run.description,
        "notes": run.notes,
        "tags": run.tags,
        "sweepName": run.sweep,
        "state": run.state.as_str(),
        "config": run.config,
        "summaryMetrics": run.summary,
        "group": run.group,
        "jobType": run.job_type,
        "commit": run.git_commit,
        "readOnly": false,
        "createdAt": wire_time(run.created_at),
        "heartbeatAt": wire_time(run.heartbeat_at),
        "historyLineCount": run.history_rows,
        "eventsLineCount": run.event_rows,
        "logLineCount": run.console_rows,
        "stopped": run.stop_requested,
        "shouldStop": run.stop_requested,
        "failed": matches!(run.state, State::Failed | State::Crashed | State::Killed),
        "running": matches!(run.state, State::Running | State::Preempting),
        "exitcode": run.exit_code,
        "user": viewer::named_user(&run.author),
        "project": projects::named(&run.entity, &run.project, run.project_id.as_str()),
    })
}

/// Reads the run that the parent object is.
pub(super) async fn parent(ctx: &Ctx<'_>) -> Result<Run> {
    ctx.service.run_by_row_id(ctx.actor, ctx.parent_text("id").unwrap_or_default()).await
}

fn state(ctx: Ctx<'_>) -> Resolved<'_> {
    let state = ctx.parent_text("state").unwrap_or_default();
    // The client waits for finished, crashed or failed; for a run that was killed it would wait for ever.
    let state = if ctx.operation == Some("RunState") && state == "killed" { "failed" } else { state };
    Box::pin(std::future::ready(Ok(json!(state))))
}

/// The chosen part of the client's own section of the config.
fn wandb_config(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let config = lenient::object(ctx.parent_text("config").unwrap_or_default());
        let own = config.get("_wandb").and_then(|w| w.get("value")).and_then(Value::as_object);
        let Some(own) = own else { return Ok(json!("{}")) };
        let keys = ctx.texts("keys");
        let chosen: Map<String, Value> = own
            .iter()
            .filter(|(k, _)| keys.is_empty() || keys.contains(k))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        Ok(json!(Value::Object(chosen).to_string()))
    })
}

fn system_metrics(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let line = ctx.service.run_last_line(&parent(&ctx).await?, Stream::Events).await?;
        Ok(line.map_or(Value::Null, |line| json!(lenient::quoted(&line))))
    })
}

fn history_tail(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { tail(&ctx, Stream::History).await })
}

fn events_tail(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move { tail(&ctx, Stream::Events).await })
}

/// The last line in a list, as JSON text: the client goes on from its step.
async fn tail(ctx: &Ctx<'_>, stream: Stream) -> Result<Value> {
    let line = ctx.service.run_last_line(&parent(ctx).await?, stream).await?;
    Ok(json!(Value::from(line.into_iter().collect::<Vec<_>>()).to_string()))
}

fn upsert_bucket(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let text = |name: &str| input.text(name).map(str::to_owned);
        let request = RunRequest {
            id: text("id"),
            entity: text("entityName"),
            project: text("modelName"),
            name: text("name"),
            state: text("state"),
            on_behalf_of: ctx.on_behalf_of.map(str::to_owned),
            fields: RunFields {
                display_name: text("displayName"),
                config: text("config"),
                summary: text("summaryMetrics"),
                notes: text("notes"),
                description: text("description"),
                tags: input.texts("tags"),
                group: text("groupName"),
                job_type: text("jobType"),
                host: text("host"),
                program: text("jobProgram").or_else(|| text("program")),
                git_remote: text("jobRepo").or_else(|| text("repo")),
                git_commit: text("commit"),
                sweep: text("sweep"),
                trace_id: None,
                attempt: None,
            },
        };
        let done = ctx.service.run_upsert(ctx.actor, request).await?;
        Ok(json!({
            "bucket": rendered(&done.run),
            "inserted": done.inserted,
            "serverSettings": { "serverMessages": [] },
        }))
    })
}

fn delete_run(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let run = ctx.service.run_writable(ctx.actor, input.required("id")?).await?;
        if input.flag("deleteArtifacts") == Some(true) {
            ctx.service.run_artifacts_delete(run.id.as_str()).await?;
        }
        ctx.service.run_delete(ctx.actor, &run).await?;
        Ok(json!({ "success": true }))
    })
}

fn stop_run(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let run = ctx.service.run_by_row_id(ctx.actor, ctx.input().required("id")?).await?;
        Ok(json!({ "success": ctx.service.run_stop(ctx.actor, &run).await? }))
    })
}

fn update_run_state(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        ctx.service.run_set_state(ctx.actor, input.required("id")?, input.required("state")?).await?;
        Ok(json!({ "success": true }))
    })
}

fn alert(ctx: Ctx<'_>) -> Resolved<'_> {
    Box::pin(async move {
        let input = ctx.input();
        let entity = input.text("entityName");
        let (project, run) = (input.required("projectName")?, input.required("runName")?);
        let run = ctx.service.run_find(ctx.actor, entity, project, run).await?;
        ctx.service.run_alert(ctx.actor, &run, input.required("title")?, input.required("text")?).await?;
        Ok(json!({ "success": true }))
    })
}
