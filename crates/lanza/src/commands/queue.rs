//! `lanza queue …`.

use lanza_api::{
    client::segment,
    queue::{NewQueue, Queue, QueueAnswer},
};
use serde_json::json;

use super::{deleted, document, print_list, queue_file};
use crate::{
    args::{OneQueue, QueueCommand, QueueSettings, Switch},
    config::Config,
    exit::{self, Failure, Outcome},
    output::{
        self,
        table::{fields, or_dash, table},
    },
};

pub(crate) async fn run(command: QueueCommand, config: Config) -> Outcome {
    match command {
        QueueCommand::List { scope } => {
            let client = config.client()?;
            let entity = config.entity(&client, scope.entity.as_deref()).await?;
            let path = format!("/entities/{}/queues", segment(&entity));
            print_list(&client, &path, usize::MAX, &scope.print, &format!("`{entity}` has no queue"), list).await
        }
        QueueCommand::Show(queue) => {
            let (client, path) = find(&queue, &config).await?;
            show(&client.get(&path).await?, queue.scope.print.json)
        }
        QueueCommand::Create(settings) => {
            if settings.target.is_none() {
                return Err(Failure::usage("--target is missing").hint("For instance: --target docker."));
            }
            let (client, entity) = entity(&settings, &config).await?;
            let body = NewQueue { name: Some(settings.name.clone()), ..body(&settings)? };
            let answer: QueueAnswer = client.post(&format!("/entities/{}/queues", segment(&entity)), &body).await?;
            said(&answer, settings.scope.print.json, "made")
        }
        QueueCommand::Update(settings) => {
            let (client, entity) = entity(&settings, &config).await?;
            let path = format!("/entities/{}/queues/{}", segment(&entity), segment(&settings.name));
            let answer: QueueAnswer = client.patch(&path, &body(&settings)?).await?;
            said(&answer, settings.scope.print.json, "changed")
        }
        QueueCommand::Apply(args) => queue_file::apply(args, &config).await,
        QueueCommand::Export(args) => queue_file::export(args, &config).await,
        QueueCommand::Delete(queue) => {
            let (client, path) = find(&queue, &config).await?;
            client.delete(&path).await?;
            Ok(deleted(&format!("queue `{}`", queue.name)))
        }
        QueueCommand::Pause(queue) => mode(&queue, &config, "pause", "paused").await,
        QueueCommand::Resume(queue) => mode(&queue, &config, "resume", "resumed").await,
        QueueCommand::Drain(queue) => mode(&queue, &config, "drain", "draining").await,
    }
}

async fn mode(queue: &OneQueue, config: &Config, verb: &str, done: &str) -> Outcome {
    let (client, path) = find(queue, config).await?;
    let answer: QueueAnswer = client.post(&format!("{path}/{verb}"), &json!({})).await?;
    said(&answer, queue.scope.print.json, done)
}

async fn find(queue: &OneQueue, config: &Config) -> Result<(lanza_api::Client, String), Failure> {
    let client = config.client()?;
    let entity = config.entity(&client, queue.scope.entity.as_deref()).await?;
    let path = format!("/entities/{}/queues/{}", segment(&entity), segment(&queue.name));
    Ok((client, path))
}

async fn entity(settings: &QueueSettings, config: &Config) -> Result<(lanza_api::Client, String), Failure> {
    let client = config.client()?;
    let entity = config.entity(&client, settings.scope.entity.as_deref()).await?;
    Ok((client, entity))
}

fn body(settings: &QueueSettings) -> Result<NewQueue, Failure> {
    let read = |path: &Option<String>, flag: &str| path.as_deref().map(|p| document::file(p, flag)).transpose();
    let from_stdin = [&settings.config, &settings.templates, &settings.policy];
    if from_stdin.into_iter().filter(|p| p.as_deref() == Some("-")).count() > 1 {
        return Err(Failure::usage("only one of --config, --templates and --policy can read stdin"));
    }
    Ok(NewQueue {
        name: None,
        target: settings.target.clone(),
        config: read(&settings.config, "--config")?,
        templates: read(&settings.templates, "--templates")?,
        priority: settings.priority.map(|p| p == Switch::On),
        external_links: None,
        policy: read(&settings.policy, "--policy")?,
    })
}

fn said(answer: &QueueAnswer, json: bool, done: &str) -> Outcome {
    for warning in &answer.warnings {
        output::warn(warning);
    }
    if json {
        output::json(answer)?;
    } else {
        output::say(&format!("queue `{}` of `{}`: {done}", answer.queue.name, answer.queue.entity));
    }
    Ok(exit::DONE)
}

fn show(answer: &QueueAnswer, json: bool) -> Outcome {
    if json {
        output::json(answer)?;
        return Ok(exit::DONE);
    }
    let queue = &answer.queue;
    let object = |o: &serde_json::Map<String, serde_json::Value>| {
        if o.is_empty() { String::new() } else { serde_json::to_string_pretty(o).unwrap_or_default() }
    };
    let mut text = fields(&[
        ("queue", queue.name.clone()),
        ("id", queue.id.clone()),
        ("entity", queue.entity.clone()),
        ("target", or_dash(queue.target.map(lanza_model::Target::as_str))),
        ("priority", if queue.priority { "on" } else { "off" }.to_owned()),
        ("items", counts(queue)),
        ("made", queue.created_at.to_string()),
        ("config", object(&queue.config)),
        ("templates", object(&queue.templates)),
        ("policy", object(&queue.policy)),
    ]);
    let rows = queue.agents.iter().map(|a| vec![a.id.clone(), a.name.clone(), a.status.clone()]).collect();
    let agents = table(&["agent", "name", "status"], rows);
    if agents.is_empty() {
        text.push_str("\nno agent serves this queue\n");
    } else {
        text.push('\n');
        text.push_str(&agents);
    }
    output::data(&text)?;
    Ok(exit::DONE)
}

fn list(queues: &[Queue]) -> String {
    let rows = queues
        .iter()
        .map(|q| {
            vec![
                q.name.clone(),
                or_dash(q.target.map(lanza_model::Target::as_str)),
                if q.policy.get("paused").and_then(serde_json::Value::as_bool) == Some(true) {
                    "paused"
                } else {
                    "open"
                }
                .to_owned(),
                q.agents.iter().filter(|a| a.status != "killed").count().to_string(),
                counts(q),
            ]
        })
        .collect();
    table(&["queue", "target", "state", "agents", "items"], rows)
}

fn counts(queue: &Queue) -> String {
    let words: Vec<String> =
        queue.counts.iter().filter(|(_, n)| **n > 0).map(|(state, n)| format!("{n} {state}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
