//! Figures over items: what was used by whom, and how a queue did.

use std::collections::BTreeMap;

use lanza_api::{
    agent::Reserved,
    item::Event,
    usage::{QueueStats, Spread, Usage},
};
use lanza_model::{Role, clock::Time, resources::Request};
use lanza_store::items::{Used, UsedBy};

use crate::{Actor, Error, Result, Service};

/// The window when nobody names one, in milliseconds: a week.
const WINDOW_MS: i64 = 7 * 24 * 3_600_000;
/// Items that one question looks at, newest first.
const ITEMS: i64 = 100_000;

impl Service {
    /// Reads a point in time: RFC 3339, or an age such as `7d`, `12h`, `30m`.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn since(&self, text: Option<&str>) -> Result<Time> {
        let now = self.now();
        let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(now.plus_ms(-WINDOW_MS)) };
        let age = text.split_at_checked(text.len() - 1).and_then(|(number, unit)| {
            let unit_ms = match unit {
                "d" => 24 * 3_600_000,
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                _ => return None,
            };
            number.parse::<u32>().ok().map(|n| i64::from(n) * unit_ms)
        });
        age.map(|ms| now.plus_ms(-ms)).or_else(|| Time::parse(text)).ok_or_else(|| {
            Error::invalid("since", format!("`{text}` is neither an RFC 3339 time nor an age such as `7d`"))
        })
    }

    /// Sums up what the attempts of an entity's items used since a time, by `user`, `queue`, `project` or `job`; the most
    /// first.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an invisible entity, [`Error::Invalid`] for another `by`.
    pub async fn usage(&self, actor: &Actor, entity: Option<&str>, by: &str, since: Time) -> Result<Vec<Usage>> {
        let used_by = match by {
            "user" => UsedBy::User,
            "queue" => UsedBy::Queue,
            "project" => UsedBy::Project,
            "job" => UsedBy::Job,
            _ => return Err(Error::invalid("by", format!("`{by}` is none of user, queue, project, job"))),
        };
        let entity = match entity {
            Some(name) => name.to_owned(),
            None => self.default_entity(actor).await?,
        };
        let entity = self.entity_for(actor, &entity, Role::Viewer).await?;
        let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
        for used in self.store.attempts_used(&entity.id, used_by, since, self.now()).await? {
            let hours = used.ms as f64 / 3_600_000.0;
            let key = used.key.clone().unwrap_or_else(|| "(image)".to_owned());
            let sum = sums.entry(key).or_insert_with_key(|key| Usage {
                key: key.clone(),
                items: 0,
                wall_hours: 0.0,
                cpu_hours: 0.0,
                gpu_hours: 0.0,
            });
            let (cpus, gpus) = held(&used);
            sum.items += used.items;
            sum.wall_hours += hours;
            sum.cpu_hours += hours * cpus;
            sum.gpu_hours += hours * gpus;
        }
        let mut usage: Vec<Usage> = sums.into_values().collect();
        usage.sort_by(|a, b| b.wall_hours.total_cmp(&a.wall_hours));
        Ok(usage)
    }

    /// Says how a queue did since a time.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn queue_stats(&self, actor: &Actor, entity: &str, queue: &str, since: Time) -> Result<QueueStats> {
        let (entity, queue) = self.queue_find(actor, entity, queue).await?;
        let spans = self.store.item_spans(&entity.id, Some(&queue.id), since, ITEMS).await?;
        let mut ended = BTreeMap::new();
        for item in spans.iter().filter(|i| i.state.is_ended()) {
            *ended.entry(item.state.as_str().to_owned()).or_insert(0) += 1;
        }
        let waiting = spans.iter().filter_map(|i| Some(i.leased_at?.since_ms(i.created_at))).collect();
        let duration = spans.iter().filter_map(|i| Some(i.ended_at?.since_ms(i.leased_at?))).collect();
        Ok(QueueStats {
            since,
            counts: self.store.queue_counts(&queue.id).await?,
            pushed: spans.len() as i64,
            ended,
            waiting: spread(waiting),
            duration: spread(duration),
        })
    }

    /// Lists who did what to a queue, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn queue_history(
        &self,
        actor: &Actor,
        entity: &str,
        queue: &str,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Event>> {
        let (entity, queue) = self.queue_find(actor, entity, queue).await?;
        let events = self.store.event_of(&entity.id, ("queue", &queue.name), before, limit).await?;
        Ok(events.into_iter().map(crate::events::view).collect())
    }
}

/// CPUs and GPUs that an item had: what its agent set aside, else what it asked for. An item that asks for no CPU
/// counts one.
fn held(used: &Used) -> (f64, f64) {
    let asked = Request::parse(&used.resources).unwrap_or_default();
    let reserved: Option<Reserved> = used.reserved.clone().and_then(|v| serde_json::from_value(v).ok());
    let (cpus, gpus) = match &reserved {
        Some(r) => (r.cpus, r.gpus.len() as f64),
        None => (asked.cpus, f64::from(asked.gpu_count(0))),
    };
    (if cpus > 0.0 { cpus } else { 1.0 }, gpus)
}

fn spread(mut values: Vec<i64>) -> Spread {
    values.sort_unstable();
    let at = |share: usize| values.get((values.len().saturating_sub(1)) * share / 100).copied();
    Spread { count: values.len() as i64, p50_ms: at(50), p95_ms: at(95), max_ms: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_of_few_values() {
        assert_eq!(spread(vec![]), Spread::default());
        let ten = spread((1..=10).rev().collect());
        assert_eq!((ten.count, ten.p50_ms, ten.p95_ms, ten.max_ms), (10, Some(5), Some(9), Some(10)));
    }
}
