//! Items and their runs follow each other: a run that carries an item's trace id is the item's run; an item that ends
//! leaves a run that says so; an item of a stock agent ends with its run.

use lanza_model::{
    Reason, Role, Target, code,
    id::ItemId,
    item::{Ending, StateName},
    policy::Policy,
    run::State,
};
use lanza_store::{
    items::{Ended, Item},
    runs::Run,
};

use super::{
    may_end,
    stock::{failed, preempted},
    stopped_by, stopped_by_its_agent,
};
use crate::{Actor, Error, Result, Service};

/// Whether what a run says is said by this attempt of its item, as far as the run knows who began it.
pub(crate) fn run_of_attempt(run: &Run, attempt: u32) -> bool {
    run.attempt.is_none_or(|began| began >= i64::from(attempt))
}

impl Service {
    /// Whether a run of the caller may say that an item launched it. The trace id comes from the job's environment, and
    /// much follows from it: the run's stop stops the item, its end may be the item's, its types are the job's. So it
    /// counts for a run where the item's runs are, of somebody who has a part in the item. What another server launched
    /// is not known here, and nothing follows from it.
    pub(crate) async fn trace_is_own(
        &self,
        actor: &Actor,
        trace_id: &str,
        entity: &str,
        project: &str,
    ) -> Result<bool> {
        let Ok(id) = trace_id.parse::<ItemId>() else { return Ok(true) };
        let Some(item) = self.store.item_by_id(&id).await? else { return Ok(true) };
        let there =
            item.run_entity.eq_ignore_ascii_case(entity) && item.run_project.to_lowercase() == project.to_lowercase();
        Ok(there && self.has_part_in(actor, &item).await?)
    }

    async fn has_part_in(&self, actor: &Actor, item: &Item) -> Result<bool> {
        match &actor.job {
            Some(job) => Ok(job.item == item.id.as_str()),
            None => {
                let Some(entity) = self.store.entity_by_id(&item.entity_id).await? else { return Ok(false) };
                Ok(self.entity_for(actor, &entity.name, Role::Member).await.is_ok())
            }
        }
    }

    /// A run was seen that carries an item's trace id. Trace ids that are not ours, or that the caller has no part in,
    /// are ignored: they come from the job's environment and are not trusted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_run_seen(&self, actor: &Actor, trace_id: &str, run: &str) -> Result<()> {
        let Ok(id) = trace_id.parse::<ItemId>() else { return Ok(()) };
        let Some(item) = self.store.item_by_id(&id).await? else { return Ok(()) };
        let own = self.has_part_in(actor, &item).await?;
        if !own {
            return Ok(());
        }
        let tied = if item.runs.iter().any(|r| r == run) {
            Some(item)
        } else {
            let tied = self.store.item_add_run(&id, run, self.now()).await?;
            self.wakers.changed();
            tied
        };
        // Its agent is told through its run alone, and there was none, or that of an earlier attempt, when the wish came.
        if let Some(tied) = tied.filter(|i| i.stock && !i.state.is_ended() && i.stop_requested_at.is_some()) {
            self.run_stop_for_item(&tied).await?;
        }
        Ok(())
    }

    /// A run has changed its state: an item that a stock agent serves goes with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_run_changed(
        &self,
        trace_id: &str,
        run: &str,
        state: State,
        exit_code: Option<i32>,
    ) -> Result<()> {
        let Ok(id) = trace_id.parse::<ItemId>() else { return Ok(()) };
        let Some(item) = self.store.item_by_id(&id).await? else { return Ok(()) };
        if !item.stock || item.state != StateName::Running || item.run.as_deref() != Some(run) {
            return Ok(());
        }
        let now = self.now();
        let (ending, reason) = match state {
            State::Finished => (Ending::Finished, None),
            State::Failed => {
                let text =
                    exit_code.map_or_else(|| "the run failed".into(), |c| format!("the run ended with exit code {c}"));
                (Ending::Failed, Some(Reason::new(code::EXIT_CODE, text)))
            }
            State::Killed => {
                let by = item.stop_requested_by.as_deref();
                (Ending::Stopped, Some(stopped_by(by.unwrap_or("its run, which was told to stop"))))
            }
            State::Preempted if item.stop_requested_at.is_some() => {
                (Ending::Stopped, Some(stopped_by_its_agent(&item)))
            }
            State::Preempted => {
                let reason = preempted(run, exit_code, None);
                let ended = failed(reason.clone(), exit_code, now);
                if item.target == Target::Kubernetes && !self.repeats(&item, &ended).await? {
                    // There the agent sees it, too, and pushes the item back.
                    self.store.item_silent(&id, item.attempt, now, now).await?;
                    return Ok(());
                }
                (Ending::Failed, Some(reason))
            }
            State::Crashed => {
                self.store.item_silent(&id, item.attempt, now, now).await?;
                return Ok(());
            }
            State::Running | State::Preempting if item.unreachable_since.is_some() => {
                if item.stop_requested_at.is_some() {
                    self.run_stop_for_item(&item).await?;
                }
                let held = vec![(id.to_string(), item.attempt)];
                if let Some(agent) = &item.agent_id {
                    self.store.items_heard(agent, held, now.plus_ms(i64::MIN / 2), now).await?;
                }
                return Ok(());
            }
            State::Pending | State::Running | State::Preempting => return Ok(()),
        };
        let exit_code =
            if ending == Ending::Finished { Some(0) } else { exit_code.filter(|_| ending == Ending::Failed) };
        let ended = Ended { ending, exit_code, signal: None, reason, phase: Some(lanza_model::Phase::Run), at: now };
        match self.attempt_end(&item, item.attempt, None, ended).await {
            // The agent was faster.
            Err(Error::Conflict { .. }) => Ok(()),
            done => done,
        }
    }

    /// Returns the item that launched a run, and refuses who may not stop it: a run is no way around the rule on items.
    /// What is no item of ours, or has ended, binds nobody.
    pub(crate) async fn item_to_stop(&self, actor: &Actor, trace_id: &str) -> Result<Option<Item>> {
        let Ok(id) = trace_id.parse::<ItemId>() else { return Ok(None) };
        let Some(item) = self.store.item_by_id(&id).await?.filter(|i| !i.state.is_ended()) else { return Ok(None) };
        if item.author_id != actor.user_id {
            let Some(entity) = self.store.entity_by_id(&item.entity_id).await? else { return Ok(None) };
            let (_, role) = self.entity_seen(actor, &entity.name).await?;
            may_end(actor, &entity, role, &item, "stop")?;
        }
        Ok(Some(item))
    }

    /// Somebody asked to stop a run: the item that launched it stops with it, unless it does already.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn item_stop_with_run(&self, item: &Item, by: &str) -> Result<()> {
        if item.state == StateName::Running && item.stop_requested_at.is_none() {
            self.item_stop_now(item, None, by, false).await?;
        }
        Ok(())
    }

    /// What follows when an item has ended, besides what the store did with its runs.
    pub(crate) async fn item_ended(&self, item: &Item) -> Result<()> {
        self.forget_actors();
        metrics::counter!("lanza_items_ended_total", "state" => item.state.as_str()).increment(1);
        if matches!(item.state, StateName::Failed | StateName::Stopped) {
            self.runs_changed_with_item(item).await?;
        }
        Ok(())
    }

    /// Follows what time says about the items in agents' hands: leases that ran out, agents that fell silent.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn items_reconcile(&self) -> Result<()> {
        let now = self.now();
        for (item, agent_seen) in self.store.items_overdue(now, now.plus_ms(-crate::agents::SILENCE_MS)).await? {
            let done = match item.state {
                StateName::Leased => self.lease_ran_out(&item).await,
                _ => self.item_silence(&item, agent_seen).await,
            };
            match done {
                // Somebody else was faster: another server, or the agent itself.
                Err(Error::Conflict { .. }) | Ok(()) => {}
                Err(e) => return Err(e),
            }
        }
        self.stock_items_reconcile().await?;
        self.items_overtime_stop().await
    }

    /// Stops what takes longer than its queue allows, to begin or altogether.
    async fn items_overtime_stop(&self) -> Result<()> {
        let now = self.now();
        for queue in self.store.queues_with_time_limits().await? {
            let policy = Policy::lenient(&queue.policy);
            let before = |limit: Option<i64>| limit.map(|seconds| now.plus_ms(-seconds * 1000));
            let (start, duration) = (policy.start_timeout_seconds, policy.max_duration_seconds);
            for item in self.store.items_overtime(&queue.id, before(start), before(duration)).await? {
                let begun = item.started_at.is_some() || (item.stock && item.run.is_some());
                // The agent's clock says when its job began, and may be behind.
                let since = item.acknowledged_at.max(item.started_at.filter(|_| begun)).unwrap_or(item.created_at);
                let most = if begun { duration } else { start }.unwrap_or_default();
                if self.lasted_ms(since) < most * 1000 {
                    continue;
                }
                let cause = if begun {
                    Reason::new(code::MAX_DURATION, format!("the job ran longer than {most} s, which its queue allows"))
                } else {
                    let phase = item.phase.map_or("fetch", lanza_model::Phase::as_str);
                    let text = format!(
                        "the job did not begin within {most} s, which its queue allows; it was in phase `{phase}`"
                    );
                    Reason::new(code::START_TIMEOUT, text)
                };
                match self.store.item_stop_for(&item.id, item.attempt, cause, now).await {
                    Ok(asked) => {
                        self.wakers.agent_wanted();
                        self.wakers.changed();
                        if asked.stock {
                            self.run_stop_for_item(&asked).await?;
                        }
                    }
                    Err(lanza_store::Error::Moved) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(())
    }

    async fn lease_ran_out(&self, item: &Item) -> Result<()> {
        self.store.item_return(&item.id, item.attempt, None, self.now()).await?;
        self.forget_actors();
        tracing::info!(item.id = %item.id, "item {} was not acknowledged in time and is queued again", item.id);
        self.wakers.queue_changed(&item.queue_id);
        Ok(())
    }

    /// Whether a run speaks for an item, so that the silence of its agent means nothing. One that is only announced does
    /// not, nor one that no more than an earlier attempt has begun; what has ended is looked after elsewhere.
    async fn run_speaks(&self, item: &Item) -> Result<bool> {
        let run = self.item_run(item).await?;
        Ok(run.is_some_and(|run| run.state != State::Pending && run_of_attempt(&run, item.attempt)))
    }

    async fn item_silence(&self, item: &Item, agent_seen: Option<lanza_model::clock::Time>) -> Result<()> {
        let now = self.now();
        // While the server was away nobody could be heard.
        let heard = agent_seen.unwrap_or(item.created_at).max(self.heard_since());
        let silent = now.since_ms(heard) > crate::agents::SILENCE_MS;
        let Some(since) = item.unreachable_since else {
            if silent && !(item.stock && self.run_speaks(item).await?) {
                self.store.item_silent(&item.id, item.attempt, heard, now).await?;
                self.wakers.changed();
            }
            return Ok(());
        };
        let queue = self.store.queue_by_id(&item.queue_id).await?;
        if now.since_ms(since.max(self.heard_since())) < crate::queues::lost_after_ms(queue.as_ref()) {
            return Ok(());
        }
        let phase = item.phase.map_or("start", lanza_model::Phase::as_str);
        let text = match &item.run {
            // Its agent may well be there, and would have said nothing about it.
            Some(run) if item.stock => format!("the run `{run}` fell silent, and its agent did not say how it ended"),
            _ => {
                let agent = item.agent_id.as_ref().map_or("", |a| a.as_str());
                format!("the agent {agent} fell silent in phase `{phase}`")
            }
        };
        let reason = Reason::new(code::AGENT_LOST, text);
        let began =
            item.phase.is_some_and(lanza_model::Phase::workload_may_have_run) || item.run.is_some() || item.stock;
        let ended = Ended {
            ending: if item.stop_requested_at.is_some() { Ending::Stopped } else { Ending::Failed },
            exit_code: None,
            signal: None,
            reason: Some(reason),
            phase: None,
            at: now,
        };
        if !began && item.losses < 3 && item.stop_requested_at.is_none() {
            self.store.item_requeue(&item.id, item.attempt, None, None, true, ended).await?;
            self.forget_actors();
            self.wakers.queue_changed(&item.queue_id);
            return Ok(());
        }
        self.attempt_end(item, item.attempt, None, ended).await
    }
}
