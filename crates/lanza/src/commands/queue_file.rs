//! `lanza queue apply` and `lanza queue export`: queues as a file, which may live in git.

use lanza_api::{
    client::segment,
    queue::{ApplyQueues, Queue, QueueAction, QueueChange, QueueChanges},
};
use serde_json::{Map, Value};

use super::document;
use crate::{
    args::{QueueApply, QueueExport},
    config::Config,
    exit::{self, Failure, Outcome},
    output,
};

pub(crate) async fn apply(args: QueueApply, config: &Config) -> Outcome {
    let body = ApplyQueues { queues: document::list(&args.file, "--file", "queues")?, prune: args.prune };
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.entity.as_deref()).await?;
    let only_say = args.plan || args.check;
    let path = format!("/entities/{}/queues{}", segment(&entity), if only_say { "?plan=true" } else { "" });
    let answer: QueueChanges = client.put(&path, &body).await?;
    for warning in answer.changes.iter().flat_map(|c| &c.warnings) {
        output::warn(warning);
    }
    if args.scope.print.json {
        output::json(&answer)?;
    } else {
        output::data(&text(&answer.changes))?;
        output::say(&summary(&answer.changes, only_say));
    }
    let differs = answer.changes.iter().any(|c| c.action != QueueAction::Keep);
    Ok(if args.check && differs { exit::FAILED } else { exit::DONE })
}

pub(crate) async fn export(args: QueueExport, config: &Config) -> Outcome {
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.entity.as_deref()).await?;
    let mut queues: Vec<Queue> = client.list(&format!("/entities/{}/queues", segment(&entity))).await?;
    if let Some(name) = args.names.iter().find(|n| queues.iter().all(|q| q.name != **n)) {
        return Err(
            Failure::refused(format!("`{entity}` has no queue `{name}`")).hint("List them with `lanza queue list`.")
        );
    }
    if !args.names.is_empty() {
        queues.retain(|q| args.names.contains(&q.name));
    }
    let written: Vec<Value> = queues.into_iter().map(as_written).collect();
    if args.scope.print.json {
        output::json(&written)?;
    } else {
        let text = serde_norway::to_string(&written).map_err(|e| Failure::failed(format!("cannot write YAML: {e}")))?;
        output::data(&text)?;
    }
    Ok(exit::DONE)
}

/// A queue with the keys of a file; what is as it would be anyway is left out.
fn as_written(queue: Queue) -> Value {
    let mut written = Map::new();
    written.insert("name".to_owned(), queue.name.into());
    if let Some(target) = queue.target {
        written.insert("target".to_owned(), target.as_str().into());
    }
    for (key, object) in [("config", queue.config), ("templates", queue.templates)] {
        if !object.is_empty() {
            written.insert(key.to_owned(), object.into());
        }
    }
    written.insert("priority".to_owned(), queue.priority.into());
    let links = queue.external_links.get("links").and_then(Value::as_array);
    if links.is_some_and(|l| !l.is_empty()) || (links.is_none() && queue.external_links.is_object()) {
        written.insert("external_links".to_owned(), queue.external_links);
    }
    if !queue.policy.is_empty() {
        written.insert("policy".to_owned(), queue.policy.into());
    }
    Value::Object(written)
}

/// A line per queue, and below it one per value that differs: `+` new, `-` gone, `~` changed.
fn text(changes: &[QueueChange]) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let (sign, word) = match change.action {
            QueueAction::Create => ("+", "new"),
            QueueAction::Change => ("~", "changed"),
            QueueAction::Delete => ("-", "deleted"),
            QueueAction::Keep => (" ", "as it is"),
        };
        lines.push(format!("{sign} queue `{}`: {word}", change.name));
        for d in change.differences.iter().filter(|_| change.action != QueueAction::Delete) {
            let empty = |v: &Value| v.is_null() || v.as_object().is_some_and(Map::is_empty);
            match (empty(&d.from), empty(&d.to)) {
                (true, true) => {}
                (true, false) => lines.push(format!("    + {}: {}", d.path, d.to)),
                (false, true) => lines.push(format!("    - {}: {}", d.path, d.from)),
                (false, false) => lines.push(format!("    ~ {}: {} -> {}", d.path, d.from, d.to)),
            }
        }
    }
    if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
}

fn summary(changes: &[QueueChange], only_say: bool) -> String {
    let count = |action| changes.iter().filter(|c| c.action == action).count();
    let (new, changed, deleted) = (count(QueueAction::Create), count(QueueAction::Change), count(QueueAction::Delete));
    if new + changed + deleted == 0 {
        return "every queue is as the file says".to_owned();
    }
    let done = if only_say { "would be" } else { "were" };
    format!("{new} made, {changed} changed, {deleted} deleted: that {done} done")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_has_a_line_for_each_value() {
        let changes: Vec<QueueChange> = serde_json::from_value(json!([
            { "name": "gpu", "action": "change", "differences": [
                { "path": "config.memory", "from": "8g", "to": "16g" },
                { "path": "policy.max_running", "from": null, "to": 2 },
                { "path": "config.env", "from": ["A=1"], "to": null }] },
            { "name": "cpu", "action": "keep", "differences": [] },
            { "name": "old", "action": "delete", "differences": [{ "path": "target", "from": "docker", "to": null }] }
        ]))
        .expect("legal");
        assert_eq!(
            text(&changes),
            "~ queue `gpu`: changed\n    ~ config.memory: \"8g\" -> \"16g\"\n    + policy.max_running: 2\n    \
             - config.env: [\"A=1\"]\n  queue `cpu`: as it is\n- queue `old`: deleted\n"
        );
        assert_eq!(summary(&changes, true), "0 made, 1 changed, 1 deleted: that would be done");
        assert_eq!(summary(&changes[1..2], false), "every queue is as the file says");
    }
}
