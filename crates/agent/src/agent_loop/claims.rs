//! Taking items: how many, which of them there is room for, and what to do when an answer was lost.

use std::time::Duration;

use lanza_api::{
    ClientError,
    agent::{Claim, Claimed, Held, Lease, Reserved},
};
use lanza_model::resources::Request;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{AgentLoop, Chore, Ending, Event, JOURNAL_RETRY, Key, refused_lost};
use crate::{Slots, attempt::Intent, courier::chain, journal::Journal, prepare::is_scheduler, state_dir::remove_dir};

/// How long a claim waits for an item.
const CLAIM_WAIT_MS: u32 = 30_000;
/// How long after a claim without an answer the agent asks for leases that it may have been given.
const ANSWER_LOST: Duration = Duration::from_secs(90);
/// Wait before the next claim when an item was offered for which there is no room.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);
/// How long an offer that was left alone is the server's business.
const LEFT_ALONE: Duration = Duration::from_secs(60);

impl AgentLoop {
    /// Returns how many more items may be taken.
    pub(super) fn free(&self) -> u32 {
        match self.ctx.options.max_jobs {
            Slots::Unlimited => 100,
            Slots::AtMost(most) => {
                let held = self.attempts.values().filter(|a| !a.scheduler).count();
                most.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX)).min(100)
            }
        }
    }

    pub(super) fn claim(&mut self) {
        let Some(agent) = self.agent.clone() else { return };
        let free = self.free();
        if free == 0 || self.ending != Ending::Not || self.claim.is_some() || self.busy.contains(&Chore::Claim) {
            return;
        }
        let client = self.ctx.client.clone();
        let left = self.ctx.machine.left(self.attempts.values().map(|l| &l.reserved));
        let claim = Claim {
            queues: self.queues.clone(),
            free,
            wait_ms: CLAIM_WAIT_MS,
            left: Some(left),
            at_hand: self.answer_lost.is_some().then(|| self.at_hand()),
        };
        self.claim = Some(self.tasks.spawn(async move { Event::Claimed(client.agent_claim(&agent, &claim).await) }));
    }

    /// Something was given back: a claim that is under way says too little of what is left, so it is begun anew.
    pub(super) fn more_is_left(&mut self, given_back: &Reserved) {
        if *given_back != Reserved::default()
            && let Some(claim) = self.claim.take()
        {
            claim.abort();
            // The server may be about to answer it.
            self.answer_lost = Some(Instant::now());
        }
    }

    /// Returns every lease that the server need not hand out again.
    pub(super) fn at_hand(&mut self) -> Vec<Held> {
        self.left_alone.retain(|_, since| since.elapsed() < LEFT_ALONE);
        let held = self.attempts.keys().chain(self.left_alone.keys());
        held.map(|(item, attempt)| Held { item: item.clone(), attempt: *attempt }).collect()
    }

    pub(super) fn claimed(&mut self, answer: Result<Claimed, ClientError>) {
        self.claim = None;
        match answer {
            Ok(claimed) => {
                self.failures = 0;
                // For a while yet: the server may still be at work on the claim whose answer was lost.
                self.answer_lost = self.answer_lost.filter(|since| since.elapsed() < ANSWER_LOST);
                if let Some(last) = claimed.leases.last() {
                    // The queue that gave an item goes to the back.
                    if let Some(i) = self.queues.iter().position(|q| *q == last.queue) {
                        let queue = self.queues.remove(i);
                        self.queues.push(queue);
                    }
                }
                for lease in claimed.leases {
                    self.take(lease);
                }
                self.obey(claimed.command);
                self.claim();
            }
            Err(e) if refused_lost(&e) => {
                warn!("the server does not know this agent any more; registering again: {}", chain(&e));
                let wait = self.backoff();
                self.again(Chore::Register, wait);
            }
            Err(e) => {
                if self.failures == 0 {
                    warn!("cannot claim: {}", chain(&e));
                }
                self.answer_lost = Some(Instant::now());
                let wait = self.backoff();
                self.again(Chore::Claim, wait);
            }
        }
    }

    /// Writes a lease down and begins with it.
    pub(super) fn take(&mut self, lease: Lease) {
        let key = (lease.item.clone(), lease.attempt);
        let scheduler = is_scheduler(&lease.spec);
        if scheduler && let Some(most) = self.ctx.options.max_schedulers.limit() {
            let held = self.attempts.values().filter(|a| a.scheduler).count();
            if held >= most as usize {
                // Left alone, it comes back in a minute, as the stock agent has it.
                info!(item.id = %lease.item, "no room for another sweep scheduler");
                self.left_alone.insert(key, Instant::now());
                return;
            }
        }
        // The same attempt again was never acknowledged: the new offer replaces the old one.
        if let Some(old) = self.attempts.remove(&key) {
            old.task.abort();
        }
        for (other, live) in &self.attempts {
            if other.0 == key.0 {
                live.intent.send_replace(Intent::Forget);
            }
        }
        // What cannot be read is refused in the attempt, with its name.
        let request = Request::parse(&lease.resources).unwrap_or_default();
        let held = self.attempts.iter().filter(|(k, _)| **k != key).map(|(_, l)| &l.reserved);
        let Some(reserved) = self.ctx.machine.reserve(&request, held) else {
            // The server counts too; it may not know yet what is left here.
            info!(item.id = %lease.item, "no room for what the item asks, so it goes back");
            self.give_back(key, NO_ROOM_RETRY);
            return;
        };
        let agent = self.agent.clone().unwrap_or_default();
        let dir = self.ctx.state.attempt(&lease.item, lease.attempt);
        match Journal::create_reserving(&dir, &agent, lease, reserved, self.ctx.clock.now()) {
            Ok(journal) => self.adopt(journal, false),
            Err(e) => {
                error!(item.id = %key.0, "cannot write the journal, so the item goes back: {e}");
                let _ = remove_dir(&dir);
                self.give_back(key, JOURNAL_RETRY);
            }
        }
    }

    /// Hands a lease back that was not begun.
    pub(super) fn give_back(&mut self, key: Key, wait: Duration) {
        let (client, agent) = (self.ctx.client.clone(), self.agent.clone().unwrap_or_default());
        self.tasks.spawn(async move {
            let _ = client.attempt_return(&agent, &key.0, key.1).await;
            Event::Never
        });
        // It would only be offered again.
        if !self.busy.contains(&Chore::Claim) {
            self.again(Chore::Claim, wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Running, lease, options, own};
    use crate::{Control, Slots, fake_server::FakeServer, journal::tests::lease as plain_lease};

    #[tokio::test(flavor = "multi_thread")]
    async fn schedulers_count_against_a_limit_of_their_own() {
        let server = FakeServer::start().await;
        let state = tempfile::tempdir().unwrap();
        let mut settings = options(&server, state.path());
        settings.max_jobs = Slots::AtMost(1);
        settings.max_schedulers = Slots::AtMost(1);
        let agent = Running::start(settings);
        let (first, second) = (own("scheduler"), own("scheduler-more"));
        server.push(lease(&first, "sleep 300"));
        server.until("the first", |s| s.acknowledged.iter().any(|h| h.item == first)).await;
        server.push(lease(&second, "true"));
        server.until("the offer", |s| s.leases.is_empty()).await;
        // The one place for jobs is free all the same.
        let mut job = plain_lease("job");
        job.job_artifact = None;
        server.push(job);
        assert_eq!(server.outcome("job").await.0.reason.unwrap().code, "job_not_found");
        let left_alone = {
            let s = server.state.lock();
            !s.acknowledged.iter().chain(&s.returned).any(|h| h.item == second)
        };
        assert!(left_alone, "it comes back by itself");
        agent.end(Control::Stop).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_queue_that_gave_an_item_goes_to_the_back() {
        let server = FakeServer::start().await;
        let state = tempfile::tempdir().unwrap();
        let mut settings = options(&server, state.path());
        settings.queues = ["a", "b", "c"].map(str::to_owned).to_vec();
        let agent = Running::start(settings);
        for (queue, then) in [("a", ["b", "c", "a"]), ("c", ["b", "a", "c"])] {
            let item = own(&format!("of-{queue}"));
            let mut given = lease(&item, "true");
            given.queue = queue.into();
            server.push(given);
            server.until("the next claim", |s| s.claims.last().is_some_and(|c| c.queues == then)).await;
            server.outcome(&item).await;
        }
        agent.end(Control::Drain).await;
    }
}
