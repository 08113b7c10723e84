//! Items as text.

use std::fmt::Write as _;

use lanza_api::item::{Item, Plan};
use lanza_model::{clock::Time, config::Layer};
use serde_json::{Map, Value};

use super::table::{ago, duration, fields, or_dash, table};

/// A line per item.
pub(crate) fn list(items: &[Item], now: Time) -> String {
    let rows = items
        .iter()
        .map(|i| {
            vec![
                i.id.clone(),
                i.queue.clone(),
                state(i),
                what(i),
                or_dash(i.run.as_deref()),
                i.author.clone(),
                ago(i.created_at, now),
            ]
        })
        .collect();
    table(&["item", "queue", "state", "job", "run", "author", "launched"], rows)
}

/// Everything that matters about one item.
pub(crate) fn show(item: &Item, now: Time) -> String {
    let mut text = fields(&[
        ("item", item.id.clone()),
        ("state", state(item)),
        ("phase", item.phase.map_or_else(String::new, |p| p.to_string())),
        ("exit code", item.exit_code.map_or_else(String::new, |c| c.to_string())),
        ("signal", item.signal.map_or_else(String::new, |s| s.to_string())),
        ("why", item.why.as_ref().map_or_else(String::new, |w| w.message.clone())),
        ("reason", reason(item)),
        ("job", what(item)),
        ("queue", format!("{}/{} ({})", item.entity, item.queue, item.target)),
        ("project", item.project.clone()),
        ("run", item.run.clone().unwrap_or_default()),
        ("name", item.name.clone().unwrap_or_default()),
        ("author", item.author.clone()),
        ("priority", item.priority.as_str().to_owned()),
        ("launched", format!("{} ({})", item.created_at, ago(item.created_at, now))),
        ("started", item.started_at.map_or_else(String::new, |t| t.to_string())),
        ("ended", item.ended_at.map_or_else(String::new, |t| t.to_string())),
        ("not before", item.not_before.map_or_else(String::new, |t| t.to_string())),
        ("next retry", item.next_retry_at.map_or_else(String::new, |t| t.to_string())),
        ("agent", item.agent.clone().unwrap_or_default()),
        (
            "attempt",
            if item.attempt == 0 { String::new() } else { format!("{} of {}", item.attempt, item.max_attempts) },
        ),
        ("environment", environment(item)),
        ("overrides", json(&item.overrides)),
        ("templates", json(&item.template_variables)),
        ("config", json(&item.config.effective)),
        ("warnings", item.warnings.join("\n")),
    ]);
    for attempt in &item.attempts {
        let _ = writeln!(text, "\nattempt {} {}", attempt.number, attempt.state);
        let rows = attempt
            .phases
            .iter()
            .map(|p| {
                let end = p.ended_at.unwrap_or(now);
                let lasted = end.since_ms(p.started_at);
                let lasted = if lasted < 10_000 { format!("{lasted} ms") } else { duration(lasted) };
                vec![format!("  {}", p.name), p.started_at.to_string(), lasted]
            })
            .collect();
        text.push_str(&table(&["  phase", "began", "took"], rows));
        if let Some(reason) = attempt.reason.as_ref().filter(|_| item.attempts.len() > 1) {
            let _ = writeln!(text, "  {}", reason.message);
        }
    }
    text
}

/// What a launch would do: where it runs, and every value of its configuration with the layer that set it. What the
/// launch changes is marked: `+` new, `~` changed, `-` taken away.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = fields(&[
        ("queue", format!("{} ({})", plan.queue, plan.target)),
        ("job", plan.job.clone().unwrap_or_default()),
        ("project", plan.project.clone()),
        ("templates", json(&plan.template_variables)),
        ("resources", json(&plan.resources)),
        ("effective", json(&plan.config.effective)),
    ]);
    let rows = plan
        .settings
        .iter()
        .map(|s| {
            let sign = match (s.is_changed(), s.queue.is_null(), s.value.is_null()) {
                (false, ..) => " ",
                (true, true, _) => "+",
                (true, _, true) => "-",
                (true, ..) => "~",
            };
            let by = match s.set_by {
                Layer::Queue => "queue",
                Layer::Template => "queue, template",
                Layer::Launch => "launch",
            };
            let was = if s.is_changed() && !s.queue.is_null() { s.queue.to_string() } else { String::new() };
            vec![format!("{sign} {}", s.path), s.value.to_string(), by.to_owned(), was]
        })
        .collect();
    let settings = table(&["  config", "effective", "set by", "queue has"], rows);
    if !settings.is_empty() {
        text.push('\n');
        text.push_str(&settings);
    }
    text
}

/// The state in a word or two.
pub(crate) fn state(item: &Item) -> String {
    if item.unreachable { format!("{} (unreachable)", item.state.as_str()) } else { item.state.as_str().to_owned() }
}

/// Why it ended so, what to do, and where to read more.
pub(crate) fn reason(item: &Item) -> String {
    let Some(reason) = &item.reason else { return String::new() };
    let mut text = reason.message.clone();
    if let Some(hint) = &reason.hint {
        let _ = write!(text, "\n{hint}");
    }
    if !reason.help.is_empty() {
        let _ = write!(text, "\n{}: for more, run `lanza explain {}`", reason.code, reason.help);
    }
    text
}

fn what(item: &Item) -> String {
    let image = || item.source.as_ref().and_then(|s| s.image.clone());
    item.job.clone().or_else(image).unwrap_or_else(|| "(image)".to_owned())
}

fn environment(item: &Item) -> String {
    item.environment.as_ref().map_or_else(String::new, |e| {
        let from = if e.cached { "found" } else { "built" };
        format!("{} ({from}, {} packages)", &e.digest[..e.digest.len().min(12)], e.packages.len())
    })
}

fn json(object: &Map<String, Value>) -> String {
    if object.is_empty() { String::new() } else { Value::Object(object.clone()).to_string() }
}
