//! Figures over items: what was used by whom, and how a queue did.

use std::collections::BTreeMap;

use lanza_api::{agent::Reserved, queue::QueueHistoryLine, usage::Usage};
use lanza_model::{Role, clock::Time, resources::Request};
use lanza_store::items::{Used, UsedBy, UsedIn};

use crate::{Actor, Error, Result, Service};

/// The window when nobody names one, in milliseconds: a week.
const WINDOW_MS: i64 = 7 * 24 * 3_600_000;

impl Service {
    /// Reads a point in time: RFC 3339, or an age such as `7d`, `12h`, `30m`.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn since(&self, text: Option<&str>) -> Result<Time> {
        self.instant("since", text, -WINDOW_MS)
    }

    /// Reads a point in time of a query; without one it is `default_ms` from now.
    pub(crate) fn instant(&self, field: &'static str, text: Option<&str>, default_ms: i64) -> Result<Time> {
        let now = self.now();
        let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(now.plus_ms(default_ms)) };
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
            Error::invalid(field, format!("`{text}` is neither an RFC 3339 time nor an age such as `7d`"))
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
        Ok(summed(self.store.attempts_used(UsedIn::Entity(&entity.id), used_by, since, self.now()).await?))
    }

    /// Lists who did what to a queue and what that changed, newest first.
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
    ) -> Result<Vec<QueueHistoryLine>> {
        let (entity, queue) = self.queue_find(actor, entity, queue).await?;
        let events = self.store.event_of(&entity.id, ("queue", &queue.name), before, limit).await?;
        let line = |mut event: lanza_store::events::Event| QueueHistoryLine {
            changes: std::mem::take(&mut event.changes),
            event: crate::events::view(event),
        };
        Ok(events.into_iter().map(line).collect())
    }
}

/// Sums up by key; the most first.
pub(crate) fn summed(all: Vec<Used>) -> Vec<Usage> {
    let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
    for used in all {
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
    usage
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
