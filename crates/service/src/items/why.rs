//! Why an item waits, and when it will probably start.

use std::{collections::HashMap, sync::Arc};

use lanza_api::item::Why;
use lanza_model::{
    Priority, Target,
    clock::Time,
    id::{ItemId, QueueId},
    policy::Policy,
    resources::{Capacity, GpuRequest, Request},
    schedule::estimated_start,
    shell::word,
};
use lanza_store::{
    agents::Agent,
    items::{HeldItem, Item},
    queues::Queue,
};
use parking_lot::Mutex;

use crate::{Result, Service, agents::status_of};

/// How many recent items an estimate rests on.
const SAMPLE: i64 = 20;
/// How many items ahead of it a push counts: to the end would take the longer the longer the queue is.
const COUNTED_AT_PUSH: i64 = 100;
/// How long the answer to a push may rest on the same look at the queue: a push is asked for a rough idea, and there may
/// be thousands a second.
const LOOK_AGE_MS: i64 = 1_000;
/// How many queues' looks are kept.
const LOOKS: usize = 10_000;

/// What goes on at a queue.
#[derive(Debug, Default)]
struct Look {
    /// The usual duration of its items, in milliseconds.
    duration: Option<i64>,
    /// What its agents have, and what runs of it.
    held: Vec<HeldItem>,
    /// How many items of it agents have, and of which authors: counted once for all who look.
    running: i64,
    running_of: HashMap<String, i64>,
    /// The first place of which it was seen that as many wait ahead of it as are counted at a push. Whoever comes behind
    /// it has as many ahead, too, and need not count them again.
    crowded: Mutex<Option<(Priority, ItemId)>>,
}

impl Look {
    fn new(queue: &QueueId, duration: Option<i64>, held: Vec<HeldItem>) -> Self {
        let (mut running, mut running_of) = (0, HashMap::new());
        for item in held.iter().filter(|h| h.queue_id == *queue) {
            running += 1;
            *running_of.entry(item.author_id.clone()).or_default() += 1;
        }
        Self { duration, held, running, running_of, crowded: Mutex::default() }
    }

    fn is_crowded(&self, item: &Item) -> bool {
        self.crowded.lock().as_ref().is_some_and(|(priority, id)| (*priority, id) <= (item.priority, &item.id))
    }

    fn crowded_at(&self, item: &Item) {
        let mut crowded = self.crowded.lock();
        if crowded.as_ref().is_none_or(|(priority, id)| (item.priority, &item.id) < (*priority, id)) {
            *crowded = Some((item.priority, item.id.clone()));
        }
    }
}

/// The looks of a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<QueueId, (Time, Arc<Look>)>>);

/// Everything that the rules ask about.
struct Scene<'a> {
    item: &'a Item,
    queue: &'a Queue,
    policy: Policy,
    agents: &'a [Agent],
    look: &'a Look,
    ahead: i64,
    most: i64,
    now: Time,
}

impl Service {
    /// Names the rule that keeps a waiting item from starting, and when it will probably start. Counts up to `most`
    /// items ahead of it: behind more, it has no position.
    pub(crate) async fn item_why(&self, item: &Item, most: i64) -> Result<Why> {
        let Some(queue) = self.store.queue_by_id(&item.queue_id).await? else {
            let message = format!("the queue `{}` was deleted", item.queue_name);
            return Ok(Why { position: None, ahead: 0, rule: "paused".into(), message, estimated_start: None });
        };
        let agents = self.store.agents_of_queue(&item.queue_id).await?;
        let ahead = self.store.items_ahead(item, self.now(), most).await?;
        let look = self.look(&item.queue_id, if most == i64::MAX { 0 } else { LOOK_AGE_MS }).await?;
        Ok(self.why_in(item, &queue, &agents, &look, ahead, most))
    }

    /// The same for an item that has just come to `queue`, which `agents` serve: roughly, because there may be thousands
    /// a second.
    pub(super) async fn item_why_pushed(&self, item: &Item, queue: &Queue, agents: &[Agent]) -> Result<Why> {
        let look = self.look(&item.queue_id, LOOK_AGE_MS).await?;
        let ahead = if look.is_crowded(item) {
            COUNTED_AT_PUSH
        } else {
            self.store.items_ahead(item, self.now(), COUNTED_AT_PUSH).await?
        };
        if ahead == COUNTED_AT_PUSH {
            look.crowded_at(item);
        }
        Ok(self.why_in(item, queue, agents, &look, ahead, COUNTED_AT_PUSH))
    }

    fn why_in(&self, item: &Item, queue: &Queue, agents: &[Agent], look: &Look, ahead: i64, most: i64) -> Why {
        let policy = Policy::lenient(&queue.policy);
        let scene = Scene { item, queue, policy, agents, look, ahead, most, now: self.now() };
        let (rule, message) = scene.rule();
        let position = (ahead < most).then_some(ahead + 1);
        let estimated_start = if position.is_some() { scene.estimate(rule) } else { None };
        Why { position, ahead, rule: rule.to_owned(), message, estimated_start }
    }

    /// Looks at a queue; what was found less than `age_ms` ago will do.
    async fn look(&self, queue: &QueueId, age_ms: i64) -> Result<Arc<Look>> {
        let now = self.now();
        if let Some((found_at, look)) = self.looks.0.lock().get_mut(queue)
            && age_ms > 0
        {
            if now.since_ms(*found_at) < age_ms {
                return Ok(look.clone());
            }
            // One looks anew, and who comes meanwhile takes what the last one saw.
            *found_at = now;
        }
        let duration = median(self.store.queue_durations(queue, SAMPLE).await?);
        let look = Arc::new(Look::new(queue, duration, self.store.items_held_beside(queue).await?));
        let mut kept = self.looks.0.lock();
        if kept.len() >= LOOKS {
            kept.clear();
        }
        kept.insert(queue.clone(), (now, look.clone()));
        Ok(look)
    }
}

impl Scene<'_> {
    fn alive(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().filter(|a| ["polling", "running"].contains(&status_of(a, self.now)) && a.command == "none")
    }

    /// Items of this queue that agents have.
    fn running(&self) -> impl Iterator<Item = &HeldItem> {
        self.look.held.iter().filter(|h| h.queue_id == self.queue.id)
    }

    fn running_of_author(&self) -> impl Iterator<Item = &HeldItem> {
        self.running().filter(|h| h.author_id == self.item.author_id.as_str())
    }

    /// The first rule that holds: those of the item itself, then those of its queue and agents, then its place.
    fn rule(&self) -> (&'static str, String) {
        let (item, name) = (self.item, &self.item.queue_name);
        if let Some(t) = item.not_before.filter(|t| *t > self.now) {
            return ("not_before", format!("it is not to start before {t}"));
        }
        if let Some(t) = item.next_retry_at.filter(|t| *t > self.now) {
            return ("retry_backoff", format!("attempt {} failed; it is tried again at {t}", item.attempt));
        }
        if self.queue.paused {
            return (
                "paused",
                format!("the queue `{name}` is paused; `lanza queue resume {}` lets it go on", word(name)),
            );
        }
        if self.agents.iter().all(|a| ["killed", "draining"].contains(&a.status.as_str()) || a.command != "none") {
            return (
                "no_agent",
                format!("no agent serves the queue `{name}`; start one with `lanza agent -q {}`", word(name)),
            );
        }
        if self.alive().next().is_none() {
            let seen = self.agents.iter().map(|a| a.last_seen).max().unwrap_or(self.now);
            return (
                "stale_agent",
                format!("every agent of the queue `{name}` is silent, the last one since {seen}; see to its machine"),
            );
        }
        if let Some(unfit) = self.unfit() {
            return ("resources", unfit);
        }
        let (of_author, all) =
            (self.look.running_of.get(item.author_id.as_str()).copied().unwrap_or_default(), self.look.running);
        if let Some(cap) = self.policy.max_running_per_user.filter(|cap| of_author >= *cap) {
            let message = format!(
                "`{}` has {of_author} items of the queue `{name}` with agents, and its policy allows {cap} a user",
                item.author
            );
            return ("user_cap", message);
        }
        if let Some(cap) = self.policy.max_running.filter(|cap| all >= *cap) {
            let ahead = if self.ahead == 0 { String::new() } else { format!("; {} are ahead of it", self.ahead) };
            let message =
                format!("{all} items of the queue `{name}` are with agents, and its policy allows {cap}{ahead}");
            return ("queue_cap", message);
        }
        if self.ahead == self.most {
            return ("ahead", format!("{} items or more are ahead of it in the queue `{name}`", self.ahead));
        }
        if self.ahead > 0 {
            let (items, are) = if self.ahead == 1 { ("item", "is") } else { ("items", "are") };
            return ("ahead", format!("{} {items} {are} ahead of it in the queue `{name}`", self.ahead));
        }
        if let Some(no_room) = self.no_room() {
            return ("resources", no_room);
        }
        ("agents_full", format!("it is next: the first agent of the queue `{name}` with a free place takes it"))
    }

    /// What the item asks of its agent's own machine.
    fn request(&self) -> Option<Request> {
        if !matches!(self.item.target, Target::Process | Target::Docker) || self.item.resources.is_empty() {
            return None;
        }
        Request::parse(&self.item.resources).ok().filter(|r| !r.is_nothing())
    }

    /// Says that no live agent's machine could ever run it.
    fn unfit(&self) -> Option<String> {
        let request = self.request()?;
        if self.alive().any(|a| a.resources.is_none_or(|total| request.fits(&total, &total))) {
            return None;
        }
        let machines: Vec<String> = self
            .alive()
            .filter_map(|a| Some(format!("{} has {}", a.host, words_of_capacity(&a.resources?))))
            .take(3)
            .collect();
        Some(format!(
            "it asks for {}, and no agent of the queue `{}` has that: {}",
            words_of_request(&request),
            self.item.queue_name,
            machines.join("; ")
        ))
    }

    /// Says that agents have free places, and no room for it.
    fn no_room(&self) -> Option<String> {
        let request = self.request()?;
        let mut closest = None;
        for agent in self.alive() {
            let held: Vec<_> = self.look.held.iter().filter(|h| h.agent_id.as_ref() == Some(&agent.id)).collect();
            if agent.slots.is_some_and(|slots| held.len() as i64 >= slots) {
                continue;
            }
            let total = agent.resources?;
            let mut free = total;
            for item in &held {
                free = free.less(&Request::parse(&item.resources).unwrap_or_default(), &total);
            }
            if request.fits(&free, &total) {
                return None;
            }
            if request.fits(&total, &total) {
                closest = closest.or(Some((agent, free)));
            }
        }
        let (agent, free) = closest?;
        Some(format!(
            "it asks for {}; {} has {} free at the moment, and nothing else of this queue starts there before it",
            words_of_request(&request),
            agent.host,
            words_of_capacity(&free)
        ))
    }

    /// When it will probably start, if things go on as they did.
    fn estimate(&self, rule: &str) -> Option<Time> {
        if ["paused", "no_agent", "stale_agent"].contains(&rule) || self.unfit().is_some() {
            return None;
        }
        let duration = self.look.duration?;
        let since = |h: &HeldItem| h.leased_at.unwrap_or(self.now);
        // A stock agent that does not say how many it takes, takes one; ours then has no limit.
        let slots: i64 = self.alive().map(|a| a.slots.unwrap_or(if a.stock { 1 } else { i64::from(u32::MAX) })).sum();
        let (slots, running): (i64, Vec<Time>) = if rule == "user_cap" {
            // Whose those ahead are is not known; they may be other people's.
            (
                self.policy.max_running_per_user.filter(|_| self.ahead == 0)?,
                self.running_of_author().map(since).collect(),
            )
        } else if let Some(cap) = self.policy.max_running.filter(|cap| *cap < slots) {
            (cap, self.running().map(since).collect())
        } else {
            let busy = self.look.held.iter().filter(|h| self.alive().any(|a| h.agent_id.as_ref() == Some(&a.id)));
            (slots, busy.map(since).collect())
        };
        // Only so many places can matter.
        let most = self.ahead + running.len() as i64 + 1;
        let start = estimated_start(
            self.now,
            &running,
            usize::try_from(slots.clamp(1, most)).unwrap_or(1),
            usize::try_from(self.ahead).ok()?,
            duration,
        );
        let start = self.item.not_before.map_or(start, |t| t.max(start));
        Some(self.item.next_retry_at.map_or(start, |t| t.max(start)))
    }
}

fn words_of_request(request: &Request) -> String {
    let mut words = Vec::new();
    if request.cpus > 0.0 {
        words.push(format!("{} CPUs", request.cpus));
    }
    if request.memory_bytes > 0 {
        words.push(format!("{} MiB of memory", request.memory_bytes >> 20));
    }
    match &request.gpus {
        GpuRequest::Count(0) => {}
        GpuRequest::Count(n) => words.push(format!("{n} GPUs")),
        GpuRequest::All => words.push("all GPUs of a machine".to_owned()),
        GpuRequest::Devices(names) => words.push(format!("the GPUs {}", names.join(", "))),
    }
    words.join(", ")
}

fn words_of_capacity(capacity: &Capacity) -> String {
    let mut words = Vec::new();
    words.extend(capacity.cpus.map(|n| format!("{n} CPUs")));
    words.extend(capacity.memory_bytes.map(|n| format!("{} MiB of memory", n >> 20)));
    words.extend(capacity.gpus.map(|n| format!("{n} GPUs")));
    words.join(", ")
}

fn median(mut durations: Vec<i64>) -> Option<i64> {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}
