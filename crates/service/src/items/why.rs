//! Why an item waits.

use lanza_api::item::Why;
use lanza_store::items::Item;

use crate::{Result, Service, agents::status_of};

/// How many recent items an estimate rests on.
const SAMPLE: i64 = 20;

impl Service {
    /// Names the rule that keeps a waiting item from starting, and when it will probably start. Counts up to `most`
    /// items ahead of it: behind more, it has no position.
    pub(crate) async fn item_why(&self, item: &Item, most: i64) -> Result<Why> {
        let now = self.now();
        let queue = self.store.queue_by_id(&item.queue_id).await?;
        let agents = self.store.agents_of_queue(&item.queue_id).await?;
        let (ahead, durations) = self.store.item_outlook(item, most, SAMPLE).await?;
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
            ("agents_full", format!("every agent of the queue `{name}` is busy"))
        };
        let slots: i64 = alive.iter().map(|a| a.slots.unwrap_or(1).max(1)).sum();
        let position = (ahead < most).then_some(ahead + 1);
        let estimated_start = median(durations)
            .filter(|_| !alive.is_empty() && rule != "paused" && position.is_some())
            .map(|ms| now.plus_ms((ahead / slots.max(1) + 1) * ms))
            .map(|t| item.not_before.map_or(t, |n| t.max(n)));
        Ok(Why { position, ahead, rule: rule.to_owned(), message, estimated_start })
    }
}

fn median(mut durations: Vec<i64>) -> Option<i64> {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}
