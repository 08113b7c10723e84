//! Items as the native door shows them.

use lanza_api::item::{Attempt, Item as ItemView, ItemConfig, ItemSource, PhaseTimes};
use lanza_model::item::StateName;
use lanza_store::{accounts::Entity, items::Item};
use serde_json::{Map, Value};

use super::Pushed;
use crate::{Result, Service, queues::effective};

/// How many items ahead of each item of a list are counted.
const COUNTED_IN_LIST: i64 = 1_000;

impl Service {
    /// Renders one item with its attempts and, while it waits, why.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_view(&self, entity: &Entity, item: &Item) -> Result<ItemView> {
        let mut view = self.item_view_short(entity, item);
        view.attempts = self
            .store
            .attempt_list(&item.id)
            .await?
            .into_iter()
            .map(|a| Attempt {
                number: a.number,
                agent: a.agent_id,
                state: a.state,
                leased_at: a.leased_at,
                ended_at: a.ended_at,
                exit_code: a.exit_code,
                reason: a.reason,
                phases: a
                    .phases
                    .into_iter()
                    .map(|(name, started_at, ended_at)| PhaseTimes { name, started_at, ended_at })
                    .collect(),
            })
            .collect();
        if item.state == StateName::Queued {
            view.why = Some(self.item_why(item, i64::MAX).await?);
        } else {
            view.why = self.build_why(item).await?;
        }
        Ok(view)
    }

    /// Renders an item that was just pushed. Its place in a long queue is not counted to the end: that would take the
    /// longer the longer the queue is, at every push.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_view_pushed(&self, pushed: &Pushed) -> Result<ItemView> {
        let (entity, item) = (&pushed.entity, &pushed.item);
        if !pushed.new {
            return self.item_view(entity, item).await;
        }
        let mut view = self.item_view_short(entity, item);
        view.why = Some(self.item_why_pushed(item, &pushed.queue, &pushed.agents).await?);
        Ok(view)
    }

    /// Renders an item for a list: without its attempts, and with why it waits. Its place in a long queue is not counted
    /// to the end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_view_listed(&self, entity: &Entity, item: &Item) -> Result<ItemView> {
        let mut view = self.item_view_short(entity, item);
        view.why = match item.state {
            StateName::Queued => Some(self.item_why(item, COUNTED_IN_LIST).await?),
            _ => self.build_why(item).await?,
        };
        Ok(view)
    }

    /// Renders an item without what needs further reads.
    pub fn item_view_short(&self, entity: &Entity, item: &Item) -> ItemView {
        let overrides = item.spec.get("overrides").and_then(Value::as_object).cloned().unwrap_or_default();
        let inputs = overrides.get("run_config").and_then(Value::as_object).cloned().unwrap_or_default();
        ItemView {
            id: item.id.to_string(),
            entity: entity.name.clone(),
            queue: item.queue_name.clone(),
            target: item.target,
            job: item.job.clone(),
            project: item.run_project.clone(),
            run: item.run.clone(),
            runs: item.runs.clone(),
            name: item.name.clone(),
            state: item.state,
            phase: item.phase,
            unreachable: item.unreachable_since.is_some(),
            attempt: item.attempt,
            max_attempts: item.max_attempts,
            next_retry_at: item.next_retry_at,
            agent: item.agent_id.as_ref().map(ToString::to_string),
            priority: item.priority,
            author: item.author.clone(),
            created_at: item.created_at,
            leased_at: item.leased_at,
            started_at: item.started_at,
            ended_at: item.ended_at,
            exit_code: item.exit_code,
            signal: item.signal,
            reason: item.reason.clone(),
            warnings: item.warnings.clone(),
            inputs,
            overrides,
            template_variables: item.template_variables.clone(),
            config: ItemConfig {
                queue: item.queue_config.clone(),
                item: item.item_config.clone(),
                effective: effective(&item.queue_config, &item.item_config),
            },
            resources: item.resources.clone(),
            reserved: item.reserved.clone(),
            not_before: item.not_before,
            idempotency_key: item.idempotency_key.clone(),
            environment: item.environment.clone().and_then(|v| serde_json::from_value(v).ok()),
            source: item.source.clone().and_then(|v| serde_json::from_value(v).ok()).or_else(|| image_source(item)),
            why: None,
            attempts: Vec::new(),
        }
    }

    /// Returns the launch overrides of an item as an object.
    pub(crate) fn item_overrides(item: &Item) -> Map<String, Value> {
        item.spec.get("overrides").and_then(Value::as_object).cloned().unwrap_or_default()
    }
}

/// The source of a launch that names an image itself: known before an agent has fetched anything.
fn image_source(item: &Item) -> Option<ItemSource> {
    let image = item.spec.get("docker")?.get("docker_image")?.as_str()?;
    Some(ItemSource { kind: "image".to_owned(), commit: None, image: Some(image.to_owned()) })
}
