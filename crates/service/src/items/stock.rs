//! What stock agents' items need beside ours: their agents report no outcome, so each is held against its run until it
//! has ended, whatever becomes of that run.

use std::sync::Arc;

use lanza_model::{
    Phase, Reason, Role, code,
    item::{Ending, StateName},
    run::State,
};
use lanza_store::{
    accounts::Entity,
    items::{Ended, Item},
    projects::Project,
};
use serde_json::{Map, Value};

use super::{
    follow::run_of_attempt,
    push::{Pushed, resolved_spec},
    spec_again, stopped_by, stopped_by_its_agent,
};
use crate::{Actor, Error, Result, Service};

/// How long a change of a run may be on its way to its item before the reconciler takes it there.
const ON_ITS_WAY_MS: i64 = 10_000;

/// The reason of an attempt whose run had announced that its machine is taken away.
pub(super) fn preempted(run: &str, exit_code: Option<i32>, signal: Option<i32>) -> Reason {
    let how = match (exit_code, signal) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "fell silent".to_owned(),
    };
    let text = format!("the run `{run}` was preempted: it announced that its machine is taken away, and then {how}");
    Reason::new(code::PREEMPTED, text)
}

pub(super) fn failed(reason: Reason, exit_code: Option<i32>, at: lanza_model::clock::Time) -> Ended {
    Ended { ending: Ending::Failed, exit_code, signal: None, reason: Some(reason), phase: Some(Phase::Run), at }
}

fn resume_count(spec: &Map<String, Value>) -> u64 {
    spec.get("_resume_count").and_then(Value::as_u64).unwrap_or(0)
}

/// What a stock agent is told an item's run was resumed: once for each attempt before this one.
pub(crate) fn resumed(spec: &Map<String, Value>, attempt: u32) -> u64 {
    resume_count(spec) + u64::from(attempt.saturating_sub(1))
}

/// What a push turns out to be.
pub(super) enum ComeBack {
    /// A launch of its own.
    No,
    /// An item that there is.
    Taken(Box<Pushed>),
    /// The launch of an item that has failed, with its author.
    Anew(Box<Actor>, Value),
}

impl Service {
    /// Gives an attempt that failed the reason it has where its run had announced a preemption: its exit code, or that it
    /// was lost, then says nothing about the job.
    pub(crate) async fn preemption_named(&self, found: &Item, ended: &mut Ended) -> Result<()> {
        const OUTWARD: &[code::Code] = &[code::EXIT_CODE, code::SIGNAL, code::AGENT_LOST, code::SUPERVISOR_LOST];
        let (Ending::Failed, Some(reason), None) = (ended.ending, &ended.reason, found.stop_requested_at) else {
            return Ok(());
        };
        if OUTWARD.iter().any(|c| c.word == reason.code)
            && let Some(run) = self.item_run(found).await?
            && matches!(run.state, State::Preempting | State::Preempted)
            && run_of_attempt(&run, found.attempt)
        {
            ended.reason = Some(preempted(&run.name, ended.exit_code, ended.signal));
        }
        Ok(())
    }

    /// Whether the queue's policy repeats what ended so.
    pub(super) async fn repeats(&self, item: &Item, ended: &Ended) -> Result<bool> {
        let queue = self.store.queue_by_id(&item.queue_id).await?;
        Ok(self.retry_at(item, item.attempt, queue.as_ref(), ended).is_some())
    }

    /// A push that says "resumed", with a run id which an item was handed out with to a stock agent of the caller, is a
    /// preempted job that comes back: the same item with the layers that it has, next attempt. That the queue takes
    /// nothing new does not concern it, and what its spec says by now was the queue's as well as its author's.
    ///
    /// Where the item has failed by then, the launch is repeated as its author asked for it, with the same run.
    pub(super) async fn item_come_back(
        &self,
        actor: &Actor,
        entity: &str,
        queue: &str,
        spec: &Value,
    ) -> Result<ComeBack> {
        // An agent says so, and never a job in its stead.
        let (Some(spec), None) = (spec.as_object(), &actor.job) else { return Ok(ComeBack::No) };
        let (Some(run), count @ 1..) = (spec.get("run_id").and_then(Value::as_str), resume_count(spec)) else {
            return Ok(ComeBack::No);
        };
        let (entity, queue) = self.queue_find_as(actor, entity, queue, Role::Member).await?;
        let item = match self.store.item_of_planned_run(&queue.id, run).await? {
            Some(open) => open,
            None => match self.item_that_ran(&entity, spec, run).await? {
                Some(ended) if ended.queue_id == queue.id => ended,
                _ => return Ok(ComeBack::No),
            },
        };
        // The agent counts on from what it was handed, so the count says of which attempt it speaks: of none where the
        // same push has made this item before.
        let attempt = count.saturating_sub(resume_count(&item.spec));
        if attempt > 0 && !self.held_by_stock_agent_of(actor, &item, attempt).await? {
            return Ok(ComeBack::No);
        }
        let item = match item.state {
            StateName::Running if u64::from(item.attempt) == attempt => self.item_preempted(item).await?,
            StateName::Failed if u64::from(item.attempt) == attempt => return self.item_anew(&item, count).await,
            // An earlier attempt's word comes too late: the queue's policy was faster. What somebody stopped, and what
            // has done its work, does not run again for it.
            _ => item,
        };
        let resolved_spec = resolved_spec(&item, item.target, &item.author);
        Ok(ComeBack::Taken(Box::new(Pushed {
            entity,
            queue,
            agents: Arc::default(),
            item,
            new: false,
            warnings: Vec::new(),
            resolved_spec,
        })))
    }

    /// Finds the item that was the last to run as `run`, by what a popped spec says of where it ran.
    async fn item_that_ran(&self, entity: &Entity, spec: &Map<String, Value>, run: &str) -> Result<Option<Item>> {
        let text = |key: &str| spec.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        let Some(project) = text("project") else { return Ok(None) };
        let home = self.store.entity_by_name(text("entity").unwrap_or(&entity.name)).await?;
        let Some(home) = home else { return Ok(None) };
        let Some(project) = self.store.project_by_name(&home.id, project).await? else { return Ok(None) };
        let found = self.store.run_by_name(&project.id, run).await?;
        let Some(id) = found.and_then(|run| run.trace_id?.parse().ok()) else { return Ok(None) };
        Ok(self.store.item_by_id(&id).await?.filter(|item| item.planned_run == run && !item.deleted))
    }

    /// Whether a stock agent of the caller was handed this attempt of an item.
    async fn held_by_stock_agent_of(&self, actor: &Actor, item: &Item, attempt: u64) -> Result<bool> {
        let held = self.store.attempt_list(&item.id).await?.into_iter().find(|a| u64::from(a.number) == attempt);
        let agent = match held.and_then(|a| a.agent_id).and_then(|id| id.parse().ok()) {
            Some(id) => self.store.agent_by_id(&id).await?,
            None => None,
        };
        Ok(agent.is_some_and(|a| a.stock && a.created_by == actor.username))
    }

    /// The launch of an item once more, by its author, who may have lost the right to it since; in the item's run, which
    /// has come back `count` times.
    async fn item_anew(&self, item: &Item, count: u64) -> Result<ComeBack> {
        let Some(author) = self.store.user_by_id(&item.author_id).await? else { return Ok(ComeBack::No) };
        let author = Actor {
            user_id: author.id,
            username: author.username,
            // The launch was let in without, or it would not be repeated.
            admin: false,
            service: author.service,
            read_only: false,
            job: None,
        };
        let mut spec = spec_again(item);
        spec.insert("run_id".into(), Value::from(item.planned_run.as_str()));
        spec.insert("_resume_count".into(), Value::from(count));
        Ok(ComeBack::Anew(Box::new(author), Value::Object(spec)))
    }

    async fn item_preempted(&self, item: Item) -> Result<Item> {
        let now = self.now();
        let run = item.run.as_deref().unwrap_or(&item.planned_run);
        let text = format!("the run `{run}` was preempted: its agent saw that its machine was taken away");
        let ended = failed(Reason::new(code::PREEMPTED, text), None, now);
        if item.stop_requested_at.is_some() {
            let ended = Ended { ending: Ending::Stopped, reason: Some(stopped_by_its_agent(&item)), ..ended };
            self.attempt_end(&item, item.attempt, None, ended).await?;
        } else {
            match self.store.item_preempted(&item.id, item.attempt, ended).await {
                Ok(back) => {
                    self.forget_actors();
                    self.wakers.queue_changed(&back.queue_id);
                    self.wakers.changed();
                    return Ok(back);
                }
                // It ended, or was asked to stop, in this moment.
                Err(lanza_store::Error::Moved) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(self.store.item_by_id(&item.id).await?.unwrap_or(item))
    }

    /// Somebody deleted a run. An item of a stock agent would wait for its end for ever, so that ends it; its job is told
    /// with its next post, which is refused.
    pub(crate) async fn item_run_deleted(&self, trace_id: &str, run: &str, by: &str) -> Result<()> {
        let Ok(id) = trace_id.parse() else { return Ok(()) };
        let Some(item) = self.store.item_by_id(&id).await? else { return Ok(()) };
        if item.stock && item.state == StateName::Running && item.run.as_deref() == Some(run) {
            self.item_run_gone(&item, by).await?;
        }
        Ok(())
    }

    /// A project was deleted with its runs.
    pub(crate) async fn items_project_deleted(&self, entity: &str, project: &Project, by: &str) -> Result<()> {
        for (item, run) in self.store.items_with_stock_agents(self.now()).await? {
            let there = item.run_entity.eq_ignore_ascii_case(entity)
                && item.run_project.to_lowercase() == project.name.to_lowercase();
            if there && run.is_none() {
                self.item_run_gone(&item, by).await?;
            }
        }
        Ok(())
    }

    async fn item_run_gone(&self, item: &Item, by: &str) -> Result<()> {
        let ended = Ended {
            ending: Ending::Stopped,
            exit_code: None,
            signal: None,
            reason: Some(stopped_by(by)),
            phase: Some(Phase::Run),
            at: self.now(),
        };
        match self.attempt_end(item, item.attempt, None, ended).await {
            // Somebody else was faster.
            Err(Error::Conflict { .. }) => Ok(()),
            done => done,
        }
    }

    /// Takes to stock agents' items what became of their runs where that did not arrive, for instance because a server
    /// died between the two.
    pub(super) async fn stock_items_reconcile(&self) -> Result<()> {
        for (item, run) in self.store.items_with_stock_agents(self.now().plus_ms(-ON_ITS_WAY_MS)).await? {
            match (run, &item.run) {
                // These wait for the grace, or for their agent.
                (Some((State::Crashed | State::Preempted, _)), _) if item.unreachable_since.is_some() => {}
                (Some((state, exit_code)), Some(run)) => {
                    self.item_run_changed(item.id.as_str(), run, state, exit_code).await?;
                }
                _ => self.item_run_gone(&item, "the deletion of its run").await?,
            }
        }
        Ok(())
    }
}
