//! `lanza run …`.

use lanza_api::{
    Client,
    client::segment,
    job::RunJobAnswer,
    run::{Run, RunAnswer, RunFile},
};
use lanza_model::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{deleted, follow::follow_console, print_list, project};
use crate::{
    args::{OneRun, RunCommand},
    config::Config,
    exit::{self, Failure, Outcome},
    output::{
        self,
        table::{ago, fields, or_dash, size, table},
    },
};

pub(crate) async fn run(command: RunCommand, config: Config) -> Outcome {
    match command {
        RunCommand::List { limit, scope } => {
            let client = config.client()?;
            let path = project::path(&config, &client, &scope, None).await?;
            let path = format!("{path}/runs");
            print_list(&client, &path, limit, &scope.scope.print, "the project has no run", list).await
        }
        RunCommand::Show(run) => {
            let (client, path) = find(&run, &config).await?;
            let answer: RunAnswer = client.get(&path).await?;
            if run.scope.scope.print.json {
                output::json(&answer)?;
            } else {
                let told: RunJobAnswer = client.get(&format!("{path}/job")).await?;
                output::data(&show(&answer.run, told.job.why))?;
            }
            Ok(exit::DONE)
        }
        RunCommand::Log { run, follow } => {
            let (client, path) = find(&run, &config).await?;
            if follow {
                let json = run.scope.scope.print.json;
                follow_console(&client, &format!("{path}/log?follow=true"), |line| {
                    if json { output::json(line) } else { output::data(&format!("{}\n", line.text)) }
                })
                .await?;
                return Ok(exit::DONE);
            }
            let mut text = client.text(&format!("{path}/log")).await?;
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            output::data(&text)?;
            Ok(exit::DONE)
        }
        RunCommand::Files(run) => {
            let (client, path) = find(&run, &config).await?;
            let path = format!("{path}/files");
            print_list(&client, &path, usize::MAX, &run.scope.scope.print, "the run has no file", files).await
        }
        RunCommand::Stop(run) => {
            let (client, path) = find(&run, &config).await?;
            let answer: Value = client.post(&format!("{path}/stop"), &json!({})).await?;
            if run.scope.scope.print.json {
                output::json(&answer)?;
            } else {
                output::say(&format!("run {}: asked to stop", run.run));
            }
            Ok(exit::DONE)
        }
        RunCommand::Delete(run) => {
            let (client, path) = find(&run, &config).await?;
            client.delete(&path).await?;
            Ok(deleted(&format!("run {}", run.run)))
        }
    }
}

/// Returns the path of a run, which may be named with its entity and project.
async fn find(run: &OneRun, config: &Config) -> Result<(Client, String), Failure> {
    let client = config.client()?;
    let parts: Vec<&str> = run.run.split('/').collect();
    let (whole, name) = match parts.as_slice() {
        [name] => (None, *name),
        [project, name] => (Some((None, *project)), *name),
        [entity, project, name] => (Some((Some(*entity), *project)), *name),
        _ => return Err(Failure::usage(format!("`{}` is not RUN or ENTITY/PROJECT/RUN", run.run))),
    };
    let path = project::path(config, &client, &run.scope, whole).await?;
    Ok((client, format!("{path}/runs/{}", segment(name))))
}

fn list(runs: &[Run]) -> String {
    let now = SystemClock.now();
    let rows = runs
        .iter()
        .map(|r| {
            vec![
                r.id.clone(),
                r.name.clone(),
                r.state.clone(),
                r.author.clone(),
                or_dash(r.job.as_deref()),
                ago(r.created_at, now),
            ]
        })
        .collect();
    table(&["run", "name", "state", "author", "job", "made"], rows)
}

fn show(run: &Run, no_job: Option<String>) -> String {
    let values = |object: &serde_json::Map<String, Value>| {
        let lines: Vec<String> = object.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        lines.join("\n")
    };
    fields(&[
        ("run", run.id.clone()),
        ("name", run.name.clone()),
        ("state", run.state.clone()),
        ("exit code", run.exit_code.map_or_else(String::new, |c| c.to_string())),
        ("project", format!("{}/{}", run.entity, run.project)),
        ("author", run.author.clone()),
        ("made", run.created_at.to_string()),
        ("ended", run.ended_at.map_or_else(String::new, |t| t.to_string())),
        ("host", run.host.clone().unwrap_or_default()),
        ("job", run.job.clone().or_else(|| no_job.map(|why| format!("none: {why}"))).unwrap_or_default()),
        ("item", run.item.clone().unwrap_or_default()),
        ("git", run.git.as_ref().filter(|g| !g.is_null()).map_or_else(String::new, ToString::to_string)),
        ("tags", run.tags.join(", ")),
        ("notes", run.notes.clone()),
        ("history", format!("{} rows", run.history_rows)),
        ("config", values(&run.config)),
        ("summary", values(&run.summary)),
    ])
}

fn files(files: &[RunFile]) -> String {
    let rows = files.iter().map(|f| vec![f.name.clone(), size(f.size_bytes), f.updated_at.to_string()]).collect();
    table(&["file", "size", "stored"], rows)
}
