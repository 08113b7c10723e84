//! Queues.

use std::collections::BTreeMap;

use lanza_model::{Target, clock::Time, config::Difference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::item::Event;

/// An ordered list of items for one target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Id.
    pub id: String,
    /// Names its settings as they are: changes whenever one of them does, and not when it is paused or drained. A change
    /// that sends it as `If-Match` is refused when somebody else has changed the queue since.
    #[serde(default)]
    pub revision: String,
    /// Name, unique in its entity.
    pub name: String,
    /// Owner.
    pub entity: String,
    /// Where its items run; null when each item says so.
    #[schema(value_type = Option<String>)]
    pub target: Option<Target>,
    /// The admin's layer: the object below `resource_args.<resource>`.
    pub config: Map<String, Value>,
    /// Template variables: a JSON Schema each.
    pub templates: Map<String, Value>,
    /// Whether items have a priority.
    pub priority: bool,
    /// Links to show beside the queue.
    pub external_links: Value,
    /// Limits and retries.
    pub policy: Map<String, Value>,
    /// Items by state.
    pub counts: BTreeMap<String, i64>,
    /// Agents that serve it.
    pub agents: Vec<QueueAgent>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
}

/// An agent, as a queue names it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueAgent {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `polling running draining killed not_polling`.
    pub status: String,
}

/// Answer with one queue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueAnswer {
    /// The queue.
    pub queue: Queue,
    /// What its target does not know or take of its config, and what the agents that serve it just now would misread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Body of `POST /entities/{e}/queues`, and of `PUT` (without `name`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQueue {
    /// Name; `PUT` takes it from the path.
    #[serde(default)]
    pub name: Option<String>,
    /// Target, under either side's name; none means that each item says so.
    #[serde(default)]
    pub target: Option<String>,
    /// The admin's layer.
    #[serde(default)]
    pub config: Option<Map<String, Value>>,
    /// Template variables.
    #[serde(default)]
    pub templates: Option<Map<String, Value>>,
    /// Whether items have a priority; on unless it is switched off.
    #[serde(default)]
    pub priority: Option<bool>,
    /// Links to show beside the queue.
    #[serde(default)]
    pub external_links: Option<Value>,
    /// Limits and retries.
    #[serde(default)]
    pub policy: Option<Map<String, Value>>,
}

/// Body of `PUT /entities/{e}/queues`: the queues as they should be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyQueues {
    /// Objects with the keys `name target config templates priority external_links policy`.
    #[schema(value_type = Vec<Object>)]
    pub queues: Vec<Value>,
    /// Delete the queues that are not named.
    #[serde(default)]
    pub prune: bool,
}

/// A line of a queue's history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueHistoryLine {
    /// Who did what, and when.
    #[serde(flatten)]
    pub event: Event,
    /// Every value that it changed, by dotted path, as a file of queues has them; `from` and `to` are null where there
    /// was or is none. A value whose name says that it is a secret is `***`.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<Difference>,
}

/// What becomes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueAction {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It is deleted; what waits there ends as stopped.
    Delete,
    /// It is as it should be.
    Keep,
}

/// One queue of an answer to [`ApplyQueues`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueChange {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub action: QueueAction,
    /// Every value that differs.
    #[schema(value_type = Vec<Object>)]
    pub differences: Vec<Difference>,
    /// What its target does not know or take of its config, and what the agents that serve it just now would misread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Answer of `PUT /entities/{e}/queues`, with `?plan=true` too.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueChanges {
    /// A line per queue, in the order of the body, then those that are deleted.
    pub changes: Vec<QueueChange>,
}
