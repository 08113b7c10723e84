//! Which of a queue's waiting items an agent gets, and when an item will probably start.
//!
//! A queue hands out its items in order. One that cannot go now for a reason of its own (its author is at the cap, no
//! such machine) is passed over; one that only waits for room on this agent is not: the agent holds what it has for
//! it, so that small items cannot starve a big one for ever. One agent holds for an item, the others go on.

use std::collections::HashMap;

use crate::{
    clock::Time,
    resources::{Capacity, Request},
};

/// What becomes of an item that is offered to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The agent gets it.
    Take,
    /// Not now, or not this agent: the next item may go.
    Pass,
    /// It waits for room on this agent, which takes nothing else from this queue until there is room.
    Hold,
    /// The queue gives nothing more now.
    Stop,
}

/// One agent's look at one queue.
#[derive(Debug, Clone)]
pub struct Round {
    total: Capacity,
    free: Capacity,
    room: Option<i64>,
    user_cap: Option<i64>,
    running: HashMap<String, i64>,
}

impl Round {
    /// Begins a look: the agent's machine, what is left of it, the queue's caps, and how many items of the queue each
    /// author has with agents.
    pub fn new(
        total: Capacity,
        free: Capacity,
        max_running: Option<i64>,
        max_running_per_user: Option<i64>,
        running: HashMap<String, i64>,
    ) -> Self {
        let room = max_running.map(|cap| cap - running.values().sum::<i64>());
        Self { total, free, room, user_cap: max_running_per_user, running }
    }

    /// What is left of the machine.
    pub fn free(&self) -> Capacity {
        self.free
    }

    /// Whether the queue's cap is reached.
    pub fn is_full(&self) -> bool {
        self.room.is_some_and(|n| n <= 0)
    }

    /// Whether an author's cap is reached.
    pub fn is_user_full(&self, author: &str) -> bool {
        self.user_cap.is_some_and(|cap| self.running.get(author).copied().unwrap_or(0) >= cap)
    }

    /// Decides on the next item in the queue's order. `request` is none where the machine of the agent does not matter;
    /// `held_elsewhere` says that another agent holds room for it.
    pub fn offer(&mut self, author: &str, request: Option<&Request>, held_elsewhere: bool) -> Verdict {
        if self.is_full() {
            return Verdict::Stop;
        }
        if self.is_user_full(author) {
            return Verdict::Pass;
        }
        if let Some(request) = request.filter(|r| !r.is_nothing()) {
            if !request.fits(&self.total, &self.total) {
                return Verdict::Pass;
            }
            if !request.fits(&self.free, &self.total) {
                return if held_elsewhere { Verdict::Pass } else { Verdict::Hold };
            }
            self.free = self.free.less(request, &self.total);
        }
        if let Some(room) = &mut self.room {
            *room -= 1;
        }
        *self.running.entry(author.to_owned()).or_default() += 1;
        Verdict::Take
    }
}

/// Estimates when an item starts that has `ahead` items before it, on `slots` places of which those in `running` are
/// taken since those times, when each item takes `duration_ms`.
pub fn estimated_start(now: Time, running: &[Time], slots: usize, ahead: usize, duration_ms: i64) -> Time {
    let slots = slots.max(1);
    // An item that runs longer than usual may end at any time.
    let mut free_at: Vec<i64> = running.iter().map(|since| since.plus_ms(duration_ms).0.max(now.0)).collect();
    free_at.sort_unstable();
    // More run than there are places (an agent has drained): the first to end give no place.
    let surplus = free_at.len().saturating_sub(slots);
    free_at.drain(..surplus);
    let idle = slots - free_at.len();
    free_at.splice(0..0, std::iter::repeat_n(now.0, idle));
    // Whole rounds first: all places take an item each and are free again one duration later.
    let rounds = i64::try_from(ahead / slots).unwrap_or(i64::MAX);
    Time(free_at[ahead % slots].saturating_add(rounds.saturating_mul(duration_ms)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resources::GpuRequest;

    const AUTHORS: [&str; 3] = ["ana", "bob", "eve"];

    fn gpus(n: u32) -> Request {
        Request { gpus: GpuRequest::Count(n), ..Request::default() }
    }

    /// The rules once more, as plainly as they can be said, over the whole list.
    fn plainly(
        items: &[(usize, u32, bool)],
        (total, mut free): (u32, u32),
        (cap, user_cap): (Option<i64>, Option<i64>),
        running: &HashMap<String, i64>,
    ) -> (Vec<usize>, Option<usize>) {
        let (mut taken, mut now) = (Vec::new(), running.clone());
        for (i, (author, asks, held)) in items.iter().enumerate() {
            let author = AUTHORS[*author];
            if cap.is_some_and(|c| now.values().sum::<i64>() >= c) {
                break;
            }
            let of_author = now.entry(author.to_owned()).or_default();
            if user_cap.is_some_and(|c| *of_author >= c) || *asks > total {
                continue;
            }
            if *asks > free {
                if *held {
                    continue;
                }
                return (taken, Some(i));
            }
            free -= asks;
            *of_author += 1;
            taken.push(i);
        }
        (taken, None)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_round_gives_what_the_plain_rules_give(
            items in prop::collection::vec((0..3usize, 0..6u32, any::<bool>()), 0..20),
            total in 0..5u32, used in 0..5u32, cap in prop::option::of(0..6i64), user_cap in prop::option::of(1..4i64),
            already in prop::collection::vec(0..3i64, 3),
        ) {
            let free = total.saturating_sub(used);
            let running: HashMap<String, i64> =
                AUTHORS.iter().zip(&already).map(|(a, n)| ((*a).to_owned(), *n)).collect();
            let of = |gpus| Capacity { gpus: Some(gpus), ..Capacity::default() };
            let mut round = Round::new(of(total), of(free), cap, user_cap, running.clone());
            let (mut taken, mut held_for) = (Vec::new(), None);
            for (i, (author, asks, held)) in items.iter().enumerate() {
                match round.offer(AUTHORS[*author], Some(&gpus(*asks)), *held) {
                    Verdict::Take => taken.push(i),
                    Verdict::Pass => {}
                    Verdict::Hold => { held_for = Some(i); break }
                    Verdict::Stop => break,
                }
            }
            prop_assert_eq!((taken.clone(), held_for), plainly(&items, (total, free), (cap, user_cap), &running));
            // What nobody may break, whatever the order.
            let given: u32 = taken.iter().map(|i| items[*i].1).sum();
            prop_assert!(given <= free, "{} of {} GPUs", given, free);
            let before: i64 = already.iter().sum();
            prop_assert!(cap.is_none_or(|c| taken.is_empty() || before + taken.len() as i64 <= c));
        }

        /// Small items come for ever and take a place whenever one is offered; the big one still starts.
        #[test]
        fn a_big_item_starts_while_small_ones_never_end(small in 1..3u32, lasts in 1..6usize, machines in 1..3usize) {
            let whole = Capacity { gpus: Some(4), ..Capacity::default() };
            // (asks, ends at) of what runs on each machine.
            let mut runs: Vec<Vec<(u32, usize)>> = vec![Vec::new(); machines];
            let (mut holder, mut started) = (None, None);
            for tick in 0..200 {
                for (m, runs) in runs.iter_mut().enumerate() {
                    runs.retain(|(_, ends)| *ends > tick);
                    let used: u32 = runs.iter().map(|(n, _)| n).sum();
                    let free = Capacity { gpus: Some(4 - used), ..Capacity::default() };
                    let mut round = Round::new(whole, free, None, None, HashMap::new());
                    // The big one is first in the queue from tick 10 on, an endless row of small ones is behind it.
                    if tick >= 10 && started.is_none() {
                        match round.offer("ana", Some(&gpus(4)), holder.is_some_and(|h| h != m)) {
                            Verdict::Take => { started = Some(tick); runs.push((4, tick + 3)); continue }
                            Verdict::Hold => { holder = Some(m); continue }
                            _ => {}
                        }
                    }
                    let mut n = 0;
                    while round.offer("bob", Some(&gpus(small)), false) == Verdict::Take {
                        // They end at different times, so that the machine is never empty by itself.
                        runs.push((small, tick + lasts + n));
                        n += 1;
                    }
                }
            }
            let started = started.expect("it never started");
            prop_assert!(started <= 10 + lasts + 5, "it waited until tick {}", started);
        }

        /// Items of one length, simulated place by place.
        #[test]
        fn the_estimate_is_what_a_simulation_gives(
            since in prop::collection::vec(0..1_000i64, 0..5), idle in 0..3usize, ahead in 0..50usize,
        ) {
            let (now, duration) = (Time(1_000_000), 1_000);
            let slots = (since.len() + idle).max(1);
            let running: Vec<Time> = since.iter().map(|age| now.plus_ms(-age)).collect();
            let mut free_at: Vec<i64> = running.iter().map(|t| t.0 + duration).collect();
            free_at.resize(slots, now.0);
            for _ in 0..ahead {
                let next = free_at.iter_mut().min().expect("a place");
                *next += duration;
            }
            let simulated = free_at.into_iter().min().expect("a place");
            prop_assert_eq!(estimated_start(now, &running, slots, ahead, duration), Time(simulated));
        }
    }

    #[test]
    fn more_items_than_places_and_items_that_overrun_are_no_trouble() {
        let now = Time(10_000);
        let running = [Time(0), Time(9_000), Time(9_500)];
        assert_eq!(estimated_start(now, &running, 1, 0, 1_000), Time(10_500));
        assert_eq!(estimated_start(now, &running[..1], 1, 0, 1_000), now, "it ends at any time");
        assert_eq!(estimated_start(now, &[], 0, 2, 1_000), Time(12_000));
    }
}
