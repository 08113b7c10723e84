//! Why an item waits.

use std::collections::HashMap;

use lanza_api::item::Why;
use lanza_model::{clock::Time, id::QueueId};
use lanza_store::items::Item;
use parking_lot::Mutex;

use crate::{Result, Service, agents::status_of};

/// How many recent items an estimate rests on.
const SAMPLE: i64 = 20;
/// How long the estimate of a push may rest on the same sample: a push is asked for a rough idea, and there may be
/// thousands a second.
const SAMPLE_AGE_MS: i64 = 1_000;
/// How many queues' samples are kept.
const SAMPLES: usize = 10_000;

/// The usual duration of a queue's items, in milliseconds, as it was found a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Durations(Mutex<HashMap<QueueId, (Time, Option<i64>)>>);

impl Service {
    /// Names the rule that keeps a waiting item from starting, and when it will probably start. Counts up to `most`
    /// items ahead of it: behind more, it has no position.
    pub(crate) async fn item_why(&self, item: &Item, most: i64) -> Result<Why> {
        let now = self.now();
        let queue = self.store.queue_by_id(&item.queue_id).await?;
        let agents = self.store.agents_of_queue(&item.queue_id).await?;
        let ahead = self.store.items_ahead(item, most).await?;
        let alive: Vec<_> = agents.iter().filter(|a| ["polling", "running"].contains(&status_of(a, now))).collect();
        let name = &item.queue_name;
        let (rule, message) = if let Some(t) = item.not_before.filter(|t| *t > now) {
            ("not_before", format!("it is not to start before {t}"))
        } else if let Some(t) = item.next_retry_at.filter(|t| *t > now) {
            ("retry_backoff", format!("attempt {} failed; it is tried again at {t}", item.attempt))
        } else if queue.as_ref().is_some_and(|q| q.paused) {
            ("paused", format!("the queue `{name}` is paused; `lanza queue resume {name}` lets it go on"))
        } else if agents.iter().all(|a| ["killed"].contains(&status_of(a, now)) || a.status == "draining") {
            ("no_agent", format!("no agent serves the queue `{name}`; start one with `lanza agent -q {name}`"))
        } else if alive.is_empty() {
            let seen = agents.iter().map(|a| a.last_seen).max().unwrap_or(now);
            ("stale_agent", format!("every agent of the queue `{name}` is silent, the last one since {seen}"))
        } else if ahead == most {
            ("ahead", format!("{ahead} items or more are ahead of it in the queue `{name}`"))
        } else if ahead > 0 {
            ("ahead", format!("{ahead} items are ahead of it in the queue `{name}`"))
        } else {
            ("agents_full", format!("it is next: the first agent of the queue `{name}` with a free place takes it"))
        };
        let slots: i64 = alive.iter().map(|a| a.slots.unwrap_or(1).max(1)).sum();
        let position = (ahead < most).then_some(ahead + 1);
        let duration = if alive.is_empty() || rule == "paused" || position.is_none() {
            None
        } else {
            self.usual_duration(&item.queue_id, if most == i64::MAX { 0 } else { SAMPLE_AGE_MS }).await?
        };
        let estimated_start = duration
            .map(|ms| now.plus_ms((ahead / slots.max(1) + 1) * ms))
            .map(|t| item.not_before.map_or(t, |n| t.max(n)));
        Ok(Why { position, ahead, rule: rule.to_owned(), message, estimated_start })
    }
}

impl Service {
    /// Returns how long items of a queue usually take; what was found less than `age_ms` ago will do.
    async fn usual_duration(&self, queue: &QueueId, age_ms: i64) -> Result<Option<i64>> {
        let now = self.now();
        if let Some((found_at, ms)) = self.durations.0.lock().get(queue)
            && now.since_ms(*found_at) < age_ms
        {
            return Ok(*ms);
        }
        let ms = median(self.store.queue_durations(queue, SAMPLE).await?);
        let mut kept = self.durations.0.lock();
        if kept.len() >= SAMPLES {
            kept.clear();
        }
        kept.insert(queue.clone(), (now, ms));
        Ok(ms)
    }
}

fn median(mut durations: Vec<i64>) -> Option<i64> {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}
