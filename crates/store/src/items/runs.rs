//! What the end of an item means for its runs, in the transaction that ends it: clients that wait for an item's run
//! would wait for ever if a server died between the two.

use lanza_model::{
    clock::Time,
    id::{ItemId, ProjectId},
    item::StateName,
    run::State,
};
use serde_json::json;

use super::{Item, transitions::json as text_of};
use crate::{
    Result, Tx,
    projects::{NewProject, project_ensure_in_tx, project_find_in_tx},
    row::Columns,
    runs::{RunFields, RunUpsert, run_insert_in_tx},
};

/// The runs of an item that failed or was stopped end with it; one that never had a run gets a record of its failure
/// under the id that was planned. `at` is when it ended by its agent's word, `now` when that is written down. Returns the
/// item as it is then.
pub(crate) async fn end_in_tx(tx: &mut Tx, mut item: Item, at: Time, now: Time) -> Result<Item> {
    let state = match item.state {
        StateName::Stopped => State::Killed,
        StateName::Failed => State::Failed,
        _ => return Ok(item),
    };
    // A deleted item is none any more, and the account of its runs may be gone.
    if item.deleted {
        return Ok(item);
    }
    let entity = sqlx::query("SELECT id FROM entities WHERE name_key = $1")
        .bind(item.run_entity.to_lowercase())
        .fetch_optional(tx.connection())
        .await?;
    let Some(entity) = entity else { return Ok(item) };
    let new_project = NewProject {
        entity_id: entity.parsed("id")?,
        name: item.run_project.clone(),
        description: String::new(),
        author: item.author.clone(),
        created_at: now,
    };
    if item.run.is_some() {
        // A project that was deleted meanwhile, and its runs with it, stays so.
        if let Some(project) = project_find_in_tx(tx, &new_project.entity_id, &new_project.name).await? {
            for name in &item.runs {
                end_run_in_tx(tx, &project.id, name, &item.id, state, (at, now)).await?;
            }
        }
        return Ok(item);
    }
    let (project, _) = project_ensure_in_tx(tx, &new_project).await?;
    let name = item.planned_run.clone();
    if !end_run_in_tx(tx, &project.id, &name, &item.id, state, (at, now)).await? {
        let record = RunUpsert {
            project: new_project,
            name: name.clone(),
            author: item.author.clone(),
            state,
            fields: record_of(&item),
        };
        run_insert_in_tx(tx, &project, &record, now).await?;
    }
    if !item.runs.contains(&name) {
        item.runs.push(name.clone());
    }
    item.run = Some(name);
    sqlx::query("UPDATE items SET run = $2, runs = $3 WHERE id = $1")
        .bind(item.id.as_str())
        .bind(item.run.as_deref())
        .bind(text_of(&item.runs))
        .execute(tx.connection())
        .await?;
    Ok(item)
}

/// An attempt is over and another follows: a run that had announced a preemption was preempted, and the next attempt
/// begins it anew.
pub(super) async fn preempted_in_tx(tx: &mut Tx, item: &Item, at: Time) -> Result<()> {
    sqlx::query(
        "UPDATE runs SET state = 'preempted', ended_at = $2, updated_at = $2, changed_at = $2 \
         WHERE trace_id = $1 AND state = 'preempting'",
    )
    .bind(item.id.as_str())
    .bind(at.0)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What the record of an item's failure says.
fn record_of(item: &Item) -> RunFields {
    let trace_id = item.id.to_string();
    let config = json!({ "_wandb": { "value": { "launch_trace_id": trace_id } } });
    RunFields {
        display_name: item.name.clone(),
        config: Some(config.to_string()),
        notes: item.reason.as_ref().map(|reason| reason.message.clone()),
        trace_id: Some(trace_id),
        ..RunFields::default()
    }
}

/// Ends a run that has not ended yet, unless another item's attempt has it. Returns whether there is one of this name.
async fn end_run_in_tx(
    tx: &mut Tx,
    project: &ProjectId,
    name: &str,
    own: &ItemId,
    state: State,
    (at, now): (Time, Time),
) -> Result<bool> {
    let found = sqlx::query("SELECT id FROM runs WHERE project_id = $1 AND name = $2")
        .bind(project.as_str())
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    let Some(row) = found else { return Ok(false) };
    sqlx::query(
        "UPDATE runs SET state = $2, ended_at = $3, updated_at = $4, heartbeat_at = $4, changed_at = $4 \
         WHERE id = $1 AND state IN ('pending', 'running', 'preempting') AND COALESCE(trace_id, $5) = $5",
    )
    .bind(row.text("id")?)
    .bind(state.as_str())
    .bind(at.0)
    .bind(now.0)
    .bind(own.as_str())
    .execute(tx.connection())
    .await?;
    Ok(true)
}
