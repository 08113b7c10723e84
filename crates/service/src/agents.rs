//! Agents: registration, and the protocol by which they take items and report on them.

use std::time::Duration;

use bytes::Bytes;
use lanza_api::agent::{
    Agent as AgentView, AgentCommand, Claim, Claimed, Heartbeat, HeartbeatAnswer, Held, Lease, LogEnd, OutcomeReport,
    Register, Report, StopRequest,
};
use lanza_model::{
    Phase, Reason, Role,
    clock::Time,
    code,
    id::{AgentId, ItemId, QueueId},
    item::Ending,
    name,
    policy::{Cause, Policy, Retry},
    resources::Capacity,
};
use lanza_store::{
    accounts::Entity,
    agents::Agent,
    items::{Claimer, Ended, Handed, Item, Learned, OpenQueue, Wanted},
    queues::Queue,
};
use serde_json::{Value, json};

use crate::{
    Actor, Error, Result, Service,
    accounts::secret_hash,
    items::{item_missing, stopped_by_its_agent},
    leases::job_token,
};

/// How long a lease lasts without an acknowledgement.
pub const LEASE_MS: i64 = 60_000;
/// After this silence an agent counts as not polling and its items as unreachable.
pub const SILENCE_MS: i64 = 60_000;
/// How long a job's token lives after its attempt.
pub const TOKEN_AFTERLIFE_MS: i64 = 5 * 60_000;
/// Largest piece of a log in one request, in bytes.
pub const LOG_PIECE_BYTES: usize = 4 << 20;
/// Largest log of one phase, in bytes.
pub const LOG_BYTES: u64 = 4 << 30;
/// How often a sign of life is written down.
const SEEN_EVERY_MS: i64 = 5_000;

/// Returns an agent's status as people see it: silence overrides what it said last.
pub fn status_of(agent: &Agent, now: Time) -> &'static str {
    match agent.status.as_str() {
        "killed" => "killed",
        _ if now.since_ms(agent.last_seen) > SILENCE_MS => "not_polling",
        "draining" => "draining",
        "running" => "running",
        _ => "polling",
    }
}

/// A queue as a claim sees it.
pub(crate) fn open_queue(queue: &Queue) -> OpenQueue {
    let cap = |key: &str| queue.policy.get(key).and_then(Value::as_i64);
    OpenQueue {
        id: queue.id.clone(),
        max_running: cap("max_running"),
        max_running_per_user: cap("max_running_per_user"),
    }
}

fn agent_missing(id: &str) -> Error {
    Error::not_found("agent", id)
}

fn lease_lost(item: &str, attempt: u32) -> Error {
    Error::Conflict {
        message: format!("the agent does not hold attempt {attempt} of item `{item}` any more"),
        code: code::LEASE_LOST,
    }
}

impl Service {
    /// Registers an agent of ours. The same state folder is the same agent, with the items that it holds.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming the queues that exist; [`Error::Invalid`] for a queue whose target it cannot serve.
    pub async fn agent_register(&self, actor: &Actor, entity: &str, new: Register) -> Result<(Entity, Agent)> {
        actor.require_person()?;
        let entity = self.entity_for(actor, entity, Role::Member).await?;
        if new.state.len() < 16 || new.state.len() > 128 {
            return Err(Error::invalid("state", "has 16 to 128 characters"));
        }
        let mut ids = Vec::new();
        for queue in &new.queues {
            let Some(found) = self.store.queue_by_name(&entity.id, queue).await? else {
                return Err(self.agent_queue_missing(&entity, queue).await?);
            };
            if let Some(target) = found.target
                && !new.targets.contains(&target)
            {
                let have = new.targets.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Error::Invalid {
                    field: "queues".into(),
                    why: format!("the queue `{queue}` is for `{target}`, and this agent can serve {have} only"),
                    code: code::AGENT_QUEUE_MISSING,
                });
            }
            ids.push(found.id);
        }
        if ids.is_empty() {
            return Err(Error::invalid("queues", "is empty; name at least one queue"));
        }
        let now = self.now();
        let agent = Agent {
            id: AgentId::new(),
            entity_id: entity.id.clone(),
            name: name::new_run_name(),
            state_key: format!("{}:{}", actor.user_id, secret_hash(&new.state)),
            stock: false,
            host: new.host.chars().take(255).collect(),
            version: new.version.chars().take(100).collect(),
            targets: new.targets,
            slots: new.slots.map(i64::from),
            resources: new.resources,
            settings: new.settings,
            status: "polling".into(),
            command: "none".into(),
            created_by: actor.username.clone(),
            created_at: now,
            last_seen: now,
        };
        let id = self.store.agent_register(agent, ids).await?;
        let agent = self.store.agent_by_id(&id).await?.ok_or_else(|| agent_missing(id.as_str()))?;
        self.wakers.changed();
        Ok((entity, agent))
    }

    async fn agent_queue_missing(&self, entity: &Entity, queue: &str) -> Result<Error> {
        const NAMED: usize = 50;
        let all = self.store.queue_list(&entity.id, "", NAMED as i64 + 1).await?;
        let mut known = all.iter().take(NAMED).map(|q| format!("`{}`", q.name)).collect::<Vec<_>>().join(", ");
        if all.len() > NAMED {
            known.push_str(" and more");
        }
        let known = if known.is_empty() { "it has no queue yet".to_owned() } else { format!("it has {known}") };
        Ok(Error::NoneOf {
            what: "queue",
            id: queue.to_owned(),
            choice: format!("the entity is `{}`, and {known}", entity.name),
            code: code::AGENT_QUEUE_MISSING,
        })
    }

    /// Finds an agent that the caller runs (or whose entity the caller administers).
    pub(crate) async fn agent_own(&self, actor: &Actor, id: &str) -> Result<(Entity, Agent)> {
        actor.require_person()?;
        let (entity, role, agent) = self.agent_find(actor, id).await?;
        if agent.created_by != actor.username && role < Role::Admin {
            return Err(Error::Forbidden(format!("the agent belongs to `{}`", agent.created_by)));
        }
        Ok((entity, agent))
    }

    /// Finds an agent of an entity that the caller belongs to.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn agent_find(&self, actor: &Actor, id: &str) -> Result<(Entity, Role, Agent)> {
        let parsed: AgentId = id.parse().map_err(|_| agent_missing(id))?;
        let agent = self.store.agent_by_id(&parsed).await?.ok_or_else(|| agent_missing(id))?;
        let entity = self.store.entity_by_id(&agent.entity_id).await?.ok_or_else(|| agent_missing(id))?;
        let (entity, role) = self.entity_seen(actor, &entity.name).await.map_err(|_| agent_missing(id))?;
        Ok((entity, role, agent))
    }

    /// Lists the queues that an agent serves, by id and name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn agent_queues(&self, agent: &Agent) -> Result<Vec<(QueueId, String)>> {
        Ok(self.store.agent_queues(&agent.id).await?)
    }

    /// Renders an agent for the native door.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn agent_view(&self, entity: &Entity, agent: &Agent) -> Result<AgentView> {
        let items = self.store.agent_items(&agent.id).await?;
        let mut status = status_of(agent, self.now());
        // What it said with its last heartbeat may be older than what it took or ended since.
        if ["polling", "running"].contains(&status) && !agent.stock {
            status = if items.is_empty() { "polling" } else { "running" };
        }
        Ok(AgentView {
            id: agent.id.to_string(),
            name: agent.name.clone(),
            entity: entity.name.clone(),
            host: agent.host.clone(),
            version: agent.version.clone(),
            queues: self.agent_queues(agent).await?.into_iter().map(|(_, name)| name).collect(),
            status: status.to_owned(),
            slots: agent.slots.and_then(|s| u32::try_from(s).ok()),
            resources: agent.resources,
            items,
            last_seen: agent.last_seen,
            created_at: agent.created_at,
        })
    }

    /// Lists an entity's agents, newest first: all, or `live` those that did not end.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the entity is invisible.
    pub async fn agent_list(
        &self,
        actor: &Actor,
        entity: &str,
        after: Option<&str>,
        live: bool,
        limit: i64,
    ) -> Result<(Entity, Vec<Agent>)> {
        let entity = self.entity_for(actor, entity, Role::Viewer).await?;
        let after = match after {
            None => None,
            Some(t) => Some(t.parse().map_err(|_| Error::invalid("after", "is not a cursor of this list"))?),
        };
        let agents = self.store.agent_list(&entity.id, after.as_ref(), live, limit).await?;
        Ok((entity, agents))
    }

    /// Leaves word for an agent: take nothing new, or stop.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for others than its owner and admins.
    pub async fn agent_command(&self, actor: &Actor, id: &str, stop: bool) -> Result<(Entity, Agent)> {
        let (entity, agent) = self.agent_own(actor, id).await?;
        let command = if stop { "stop" } else { "drain" };
        self.store.agent_command(&agent, command, self.now(), &actor.username).await?;
        self.wakers.agent_wanted();
        self.wakers.claims_changed();
        Ok((entity, agent))
    }

    /// Notes a sign of life, at most every few seconds unless something changes.
    pub(crate) async fn agent_heard(&self, agent: &Agent, status: Option<&'static str>) -> Result<()> {
        let now = self.now();
        let same = status.is_none_or(|s| s == agent.status);
        // A clock that was set back must not leave a time behind that lies ahead.
        if !same || !(0..SEEN_EVERY_MS).contains(&now.since_ms(agent.last_seen)) {
            self.store.agent_seen(&agent.id, status, now).await?;
        }
        Ok(())
    }

    /// Writes into the trail that an agent ends, the first time that it says so.
    pub(crate) async fn agent_ended(&self, agent: &Agent, status: &str) -> Result<()> {
        if status == "killed" && agent.status != "killed" {
            let (by, id) = (format!("agent:{}", agent.id), agent.id.as_str());
            self.store.event_insert(self.now(), &agent.entity_id, &by, "ended", "agent", id).await?;
            self.wakers.changed();
        }
        Ok(())
    }

    /// Hands out items, waiting up to `claim.wait_ms` for one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the agent or a queue is gone.
    pub async fn agent_claim(&self, actor: &Actor, id: &str, claim: &Claim) -> Result<Claimed> {
        let (entity, agent) = self.agent_own(actor, id).await?;
        if !(1..=100).contains(&claim.free) || claim.wait_ms > 60_000 || claim.queues.is_empty() {
            return Err(Error::invalid("free", "is 1 to 100, wait_ms at most 60000, and queues not empty"));
        }
        let (mut queues, mut open) = (Vec::new(), Vec::new());
        for queue in &claim.queues {
            match self.store.queue_by_name(&entity.id, queue).await? {
                Some(found) => {
                    queues.push(found.id.clone());
                    open.push(open_queue(&found));
                }
                None => return Err(self.agent_queue_missing(&entity, queue).await?),
            }
        }
        self.agent_heard(&agent, None).await?;
        if let Some(at_hand) = &claim.at_hand {
            let leases = self.claim_again(&agent, &entity, at_hand).await?;
            if !leases.is_empty() {
                return Ok(Claimed { leases, command: AgentCommand::None });
            }
        }
        let deadline = tokio::time::Instant::now() + Duration::from_millis(claim.wait_ms.into());
        // Begun before the look, so that a push in between is not missed.
        let mut turn = self.wakers.turn(&queues);
        let mut woken = false;
        loop {
            let command =
                match self.store.agent_by_id(&agent.id).await?.ok_or_else(|| agent_missing(id))?.command.as_str() {
                    "drain" => AgentCommand::Drain,
                    "stop" => AgentCommand::Stop,
                    _ => AgentCommand::None,
                };
            if command != AgentCommand::None {
                turn.done(true);
                return Ok(Claimed { leases: Vec::new(), command });
            }
            // A claim writes, so one that nobody called looks first.
            let leases = if woken || self.store.items_waiting(&queues, self.now()).await? {
                self.claim_now(&agent, &entity, open.clone(), claim.left, claim.free).await?
            } else {
                Vec::new()
            };
            if !leases.is_empty() || tokio::time::Instant::now() >= deadline {
                turn.done(leases.len() == claim.free as usize);
                return Ok(Claimed { leases, command });
            }
            // The timer finds what nobody announces: due times, and pushes through another server.
            let timer = (tokio::time::Instant::now() + self.poll_interval()).min(deadline);
            woken = tokio::select! {
                () = turn.woken() => true,
                () = tokio::time::sleep_until(timer) => false,
            };
            std::mem::replace(&mut turn, self.wakers.turn(&queues)).done(false);
        }
    }

    /// How long a waiter sleeps at most between two looks.
    pub(crate) fn poll_interval(&self) -> Duration {
        if self.wakers.outbox.is_deaf() { Duration::from_secs(1) } else { Duration::from_secs(5) }
    }

    pub(crate) async fn claim_now(
        &self,
        agent: &Agent,
        entity: &Entity,
        queues: Vec<OpenQueue>,
        left: Option<Capacity>,
        free: u32,
    ) -> Result<Vec<Lease>> {
        let now = self.now();
        let claimer = Claimer {
            id: agent.id.clone(),
            stock: agent.stock,
            targets: (!agent.stock).then(|| agent.targets.clone()),
            total: agent.resources,
            left: left.or(agent.resources).unwrap_or_default(),
            alive_since: now.plus_ms(-SILENCE_MS),
        };
        let expires_at = now.plus_ms(LEASE_MS);
        let wanted = Wanted { claimer, queues, most: free as usize, now, expires_at, issue: job_token };
        self.leases_of(entity, self.store.item_claim(wanted).await?).await
    }

    /// Hands out again what an agent never heard of: the answer to its claim was lost.
    async fn claim_again(&self, agent: &Agent, entity: &Entity, at_hand: &[Held]) -> Result<Vec<Lease>> {
        let now = self.now();
        let at_hand = at_hand.iter().map(|h| (h.item.clone(), h.attempt)).collect();
        let leased = self.store.item_claim_again(&agent.id, at_hand, now, now.plus_ms(LEASE_MS), job_token).await?;
        if !leased.is_empty() {
            self.forget_actors();
        }
        self.leases_of(entity, leased).await
    }

    async fn leases_of(&self, entity: &Entity, leased: Handed) -> Result<Vec<Lease>> {
        if !leased.is_empty() {
            self.wakers.changed();
            metrics::counter!("lanza_items_claimed_total").increment(leased.len() as u64);
        }
        let mut leases = Vec::with_capacity(leased.len());
        for (item, token) in leased {
            leases.push(self.lease_of(entity, &item, token.secret).await?);
        }
        Ok(leases)
    }

    pub(crate) fn parse_item(item: &str) -> Result<ItemId> {
        item.parse().map_err(|_| item_missing(item))
    }

    /// The agent begins with an item.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`code::LEASE_LOST`] when it does not hold the lease any more.
    pub async fn attempt_acknowledge(&self, actor: &Actor, agent: &str, item: &str, attempt: u32) -> Result<()> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let id = Self::parse_item(item)?;
        self.store.item_acknowledge(&id, attempt, &agent.id, self.now()).await.map_err(|e| fence(e, item, attempt))?;
        self.wakers.changed();
        Ok(())
    }

    /// The agent hands back a lease that it did not acknowledge.
    ///
    /// # Errors
    /// As for [`Service::attempt_acknowledge`].
    pub async fn attempt_return(&self, actor: &Actor, agent: &str, item: &str, attempt: u32) -> Result<()> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let id = Self::parse_item(item)?;
        let returned = self.store.item_return(&id, attempt, Some(&agent.id), self.now()).await;
        let returned = returned.map_err(|e| fence(e, item, attempt))?;
        self.forget_actors();
        self.wakers.queue_changed(&returned.queue_id);
        Ok(())
    }

    /// Renews the leases of an agent and says what is wanted of it, waiting up to `beat.wait_ms` for something.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the agent is gone.
    pub async fn agent_heartbeat(&self, actor: &Actor, id: &str, beat: &Heartbeat) -> Result<HeartbeatAnswer> {
        let (_, agent) = self.agent_own(actor, id).await?;
        if beat.items.len() > 10_000 {
            return Err(Error::TooLarge { what: "the heartbeat".into(), limit: "10,000 items".into() });
        }
        let status = match (beat.leaving, beat.draining, beat.items.is_empty()) {
            (true, ..) => "killed",
            (_, true, _) => "draining",
            (.., true) => "polling",
            _ => "running",
        };
        self.agent_heard(&agent, Some(status)).await?;
        self.agent_ended(&agent, status).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(beat.wait_ms.min(30_000).into());
        loop {
            let woken = self.wakers.agents.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let answer = self.heartbeat_now(&agent.id, beat).await?;
            let wanted = answer.command != AgentCommand::None || !answer.stop.is_empty() || !answer.lost.is_empty();
            if wanted || tokio::time::Instant::now() >= deadline {
                return Ok(answer);
            }
            tokio::select! {
                () = &mut woken => {}
                () = tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + self.poll_interval())) => {}
            }
        }
    }

    async fn heartbeat_now(&self, id: &AgentId, beat: &Heartbeat) -> Result<HeartbeatAnswer> {
        let now = self.now();
        let agent = self.store.agent_by_id(id).await?.ok_or_else(|| agent_missing(id.as_str()))?;
        let held = beat.items.iter().map(|h| (h.item.clone(), h.attempt)).collect();
        // An item may have been acknowledged after the agent wrote its list.
        let heard = self.store.items_heard(&agent.id, held, now.plus_ms(-SILENCE_MS), now).await?;
        Ok(HeartbeatAnswer {
            command: match agent.command.as_str() {
                "drain" => AgentCommand::Drain,
                "stop" => AgentCommand::Stop,
                _ => AgentCommand::None,
            },
            stop: heard
                .stop
                .into_iter()
                .map(|(item, attempt, grace_seconds)| StopRequest { item, attempt, grace_seconds })
                .collect(),
            lost: heard.lost.into_iter().map(|(item, attempt)| Held { item, attempt }).collect(),
        })
    }

    /// Stores what an agent reports about an attempt.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`code::LEASE_LOST`].
    pub async fn attempt_report(
        &self,
        actor: &Actor,
        agent: &str,
        item: &str,
        attempt: u32,
        report: Report,
    ) -> Result<()> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let id = Self::parse_item(item)?;
        // An agent whose clock is ahead reports from the future, where no limit would ever end.
        let now = self.now();
        let phases = report
            .phases
            .into_iter()
            .map(|p| (p.name, p.started_at.min(now), p.ended_at.map(|t| t.min(now))))
            .collect();
        let warnings = report.warnings.into_iter().map(|w| w.chars().take(2000).collect()).collect();
        let learned = Learned {
            environment: report.environment.map(|e| json!(e)),
            source: report.source.map(|s| json!(s)),
            reserved: report.reserved.map(|r| json!(r)),
        };
        self.store
            .item_report(&id, attempt, &agent.id, phases, warnings, learned)
            .await
            .map_err(|e| fence(e, item, attempt))?;
        self.wakers.changed();
        Ok(())
    }

    /// Appends to the log of a phase.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or [`Error::Conflict`] with [`code::LEASE_LOST`].
    pub async fn attempt_log(
        &self,
        actor: &Actor,
        agent: &str,
        item: &str,
        attempt: u32,
        phase: Phase,
        offset: u64,
        body: Bytes,
    ) -> Result<LogEnd> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let id = Self::parse_item(item)?;
        if body.len() > LOG_PIECE_BYTES || offset > LOG_BYTES {
            return Err(Error::TooLarge { what: "the log".into(), limit: "4 MiB a piece and 4 GiB in all".into() });
        }
        let end = self
            .store
            .log_append(&id, attempt, &agent.id, phase, offset, body.to_vec(), self.now())
            .await
            .map_err(|e| fence(e, item, attempt))?;
        self.wakers.log_grew();
        Ok(LogEnd { end })
    }

    /// The attempt is over.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`code::LEASE_LOST`].
    pub async fn attempt_outcome(
        &self,
        actor: &Actor,
        agent: &str,
        item: &str,
        attempt: u32,
        report: OutcomeReport,
    ) -> Result<()> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let id = Self::parse_item(item)?;
        let found = self.store.item_by_id(&id).await?.ok_or_else(|| item_missing(item))?;
        let outcome = report.outcome;
        let mut ended = Ended {
            ending: outcome.ending,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            reason: outcome.reason,
            phase: outcome.phase,
            at: outcome.ended_at.min(self.now()),
        };
        if ended.ending == Ending::Finished && found.run.is_none() {
            ended.ending = Ending::Failed;
            ended.phase = ended.phase.or(Some(Phase::Run));
            ended.reason = Some(Reason::new(
                code::NO_INIT,
                "the job exited successfully but never called `wandb.init`, so there is no run",
            ));
        }
        if ended.ending == Ending::Stopped {
            ended.exit_code = None;
            if ended.reason.is_none() {
                ended.reason = Some(stopped_by_its_agent(&found));
            }
        }
        self.attempt_end(&found, attempt, Some(&agent.id), ended).await.map_err(|e| match e {
            Error::Conflict { .. } => lease_lost(item, attempt),
            other => other,
        })
    }

    /// Ends an attempt, and its item unless the queue's policy has it tried again, with everything that follows. `found`
    /// is the item as it was a moment ago.
    pub(crate) async fn attempt_end(
        &self,
        found: &Item,
        attempt: u32,
        agent: Option<&AgentId>,
        mut ended: Ended,
    ) -> Result<()> {
        // What the server itself stopped did not end because somebody wanted it so.
        if let (Ending::Stopped, Some(cause)) = (ended.ending, &found.stop_cause) {
            ended.ending = Ending::Failed;
            ended.reason = Some(cause.clone());
        }
        self.preemption_named(found, &mut ended).await?;
        let queue = self.store.queue_by_id(&found.queue_id).await?;
        if let Some(retry_at) = self.retry_at(found, attempt, queue.as_ref(), &ended) {
            let requeued =
                self.store.item_requeue(&found.id, attempt, agent, Some(retry_at), false, ended.clone()).await;
            match requeued {
                Ok(item) => {
                    tracing::info!(item.id = %item.id, attempt, "attempt {attempt} of item {} is repeated", item.id);
                    self.forget_actors();
                    self.wakers.queue_changed(&item.queue_id);
                    self.attempt_over(found, queue.as_ref()).await?;
                    return Ok(());
                }
                // It was asked to stop meanwhile, and so it ends; or it is somebody else's, which the next step says.
                Err(lanza_store::Error::Moved) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let ended = self.store.item_end(&found.id, attempt, agent, ended, self.now(), TOKEN_AFTERLIFE_MS).await?;
        let (item, now_ended) = ended;
        if now_ended {
            self.item_ended(&item).await?;
        }
        self.attempt_over(found, queue.as_ref()).await
    }

    /// Says when an attempt that ended so is tried again.
    pub(crate) fn retry_at(&self, found: &Item, attempt: u32, queue: Option<&Queue>, ended: &Ended) -> Option<Time> {
        if ended.ending != Ending::Failed || found.stop_requested_at.is_some() || found.max_attempts <= 1 {
            return None;
        }
        let causes = Cause::of(ended.reason.as_ref(), ended.exit_code);
        // How often is what held when it was pushed; for what and how soon is what holds now.
        let retry = Retry { max: found.max_attempts - 1, ..Policy::lenient(&queue?.policy).retry? };
        causes.into_iter().find_map(|c| retry.next(c, attempt.saturating_sub(1 + found.losses), self.now()))
    }

    /// Wakes whoever an attempt's end concerns, also for the room that it leaves.
    async fn attempt_over(&self, found: &Item, queue: Option<&Queue>) -> Result<()> {
        if let (false, Some(agent)) = (found.resources.is_empty(), &found.agent_id) {
            // Its agent may wait with free places, and only lacked room.
            for (queue, _) in self.store.agent_queues(agent).await? {
                self.wakers.queue_changed(&queue);
            }
        } else if let Some(queue) = queue
            && (queue.policy.contains_key("max_running") || queue.policy.contains_key("max_running_per_user"))
        {
            self.wakers.queue_changed(&queue.id);
        }
        self.wakers.build_ended();
        self.wakers.changed();
        self.wakers.log_grew();
        Ok(())
    }

    /// Forgets cached keys: a token was revoked.
    pub(crate) fn forget_actors(&self) {
        self.actors.clear();
    }
}

pub(crate) fn fence(error: lanza_store::Error, item: &str, attempt: u32) -> Error {
    match error {
        lanza_store::Error::Moved => lease_lost(item, attempt),
        other => other.into(),
    }
}
