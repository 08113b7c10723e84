//! Runs.

use std::collections::BTreeMap;

use lanza_model::clock::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One execution with its config, summary, history and files.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// The id that people see, eight letters as a rule.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Entity.
    pub entity: String,
    /// Project.
    pub project: String,
    /// `pending running finished failed crashed killed preempting preempted`.
    pub state: String,
    /// Config, values only.
    pub config: Map<String, Value>,
    /// Summary.
    pub summary: Map<String, Value>,
    /// Who ran it.
    pub author: String,
    /// Item that launched it.
    pub item: Option<String>,
    /// Job that it ran, or that was made of it.
    pub job: Option<String>,
    /// Attempt of the item.
    pub attempt: Option<u32>,
    /// Git remote and commit, if it ran from a repository.
    pub git: Option<Value>,
    /// Tags.
    pub tags: Vec<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
    /// Exit code, once it has ended.
    pub exit_code: Option<i32>,
    /// Notes.
    pub notes: String,
    /// Group.
    pub group: Option<String>,
    /// Kind of run.
    pub job_type: Option<String>,
    /// Machine.
    pub host: Option<String>,
    /// Last sign of life.
    #[schema(value_type = Option<String>)]
    pub heartbeat_at: Option<Time>,
    /// How many history rows it has.
    pub history_rows: i64,
    /// Which run of its project it is, counted from 1 as they are made.
    pub number: i64,
    /// Whether somebody asked it to stop, which its client may not have heard yet.
    pub stop_requested: bool,
}

/// Answer with one run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunAnswer {
    /// The run.
    pub run: Run,
}

/// Body of `PATCH`: null leaves a field as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunChange {
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Notes.
    #[serde(default)]
    pub notes: Option<String>,
    /// Tags, as a whole.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

/// Answer of `/history`: `[step, value, min, max]` per key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryAnswer {
    /// Points by key.
    pub series: Map<String, Value>,
}

/// Answer of `/run-series`: `[step, value, min, max]` per run and key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunSeriesAnswer {
    /// Points by run and key.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub runs: BTreeMap<String, Map<String, Value>>,
}

/// A file of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunFile {
    /// Path inside the run.
    pub name: String,
    /// Size in bytes.
    pub size_bytes: i64,
    /// MD5 in base64.
    pub md5: String,
    /// Type by its name.
    pub mimetype: String,
    /// When it was stored.
    #[schema(value_type = String)]
    pub updated_at: Time,
    /// Where to get it: a signed link.
    pub url: String,
}

/// One line of a followed console, as server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLine {
    /// Line number, from 1. A line that is drawn again keeps its number.
    pub line: i64,
    /// When, as the client wrote it.
    pub time: Option<String>,
    /// `error` for what went to stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Which of several processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The line, without its line feed.
    pub text: String,
}

/// What a change stream says about a run that is there or has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunNote {
    /// The id that people see.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Where it stands.
    pub state: String,
    /// How many history rows it has.
    pub history_rows: i64,
    /// How many rows of system metrics.
    pub system_rows: i64,
    /// How many console lines.
    pub log_lines: i64,
    /// When its documents or what people say about it changed last.
    #[schema(value_type = String)]
    pub updated_at: Time,
    /// Last sign of life.
    #[schema(value_type = String)]
    pub heartbeat_at: Time,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Time>,
}

/// Runs with equal values of some keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunGroup {
    /// The values, in the order of the keys; null where a run has none.
    #[schema(value_type = Vec<Object>)]
    pub values: Vec<Value>,
    /// How many runs.
    pub runs: i64,
    /// How many in each state.
    pub states: BTreeMap<String, i64>,
    /// What the metrics asked for are, by their keys.
    pub metrics: BTreeMap<String, MetricSummary>,
}

/// A metric over several runs; what is not a finite number does not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricSummary {
    /// How many runs have it.
    pub count: i64,
    /// Mean.
    pub mean: Option<f64>,
    /// Least.
    pub min: Option<f64>,
    /// Greatest.
    pub max: Option<f64>,
}

/// A key of the configs or summaries of a project's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunKey {
    /// `config.…` or `summary.…`, dotted.
    pub key: String,
    /// Kinds of its values: `number text bool other`.
    pub kinds: Vec<String>,
}
