//! The wandb client's own launch agent: it polls, and knows neither fences nor outcomes.
//!
//! It takes the same items by the same rules as ours. What it does not say is read elsewhere: its status calls and polls
//! are its heartbeats, and an item that it serves ends with its run (`items/follow.rs`).

use lanza_model::{
    Phase, Reason, Role, code,
    id::{AgentId, ItemId},
    item::{Ending, StateName},
    name,
};
use lanza_store::{
    accounts::Entity,
    agents::Agent,
    items::{Ended, Item},
};
use serde_json::{Map, Value, json};

use crate::{
    Actor, Error, Result, Service,
    agents::open_queue,
    items::{item_missing, resumed, stopped_by_its_agent},
    queues::effective,
};

/// How many files of one report are named at most.
const FILES_MOST: usize = 5;

/// What a stock agent says of itself.
#[derive(Debug, Clone)]
pub struct StockRegister {
    /// Ids of its queues.
    pub queues: Vec<String>,
    /// Machine.
    pub host: String,
    /// `wandb@VERSION`.
    pub version: String,
    /// Its settings.
    pub settings: Value,
}

/// An item handed to a stock agent.
#[derive(Debug, Clone)]
pub struct Popped {
    /// Item.
    pub item: String,
    /// The launch spec with everything filled in, the run's own token included.
    pub spec: Map<String, Value>,
}

impl Service {
    /// Registers a stock agent; each start is a new one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown queue, [`Error::Forbidden`] for viewers.
    pub async fn stock_agent_register(&self, actor: &Actor, entity: &str, new: StockRegister) -> Result<Agent> {
        actor.require_person()?;
        let entity = self.entity_for(actor, entity, Role::Member).await?;
        let mut queues = Vec::new();
        for queue in &new.queues {
            let (owner, queue) = self.queue_find_by_id(actor, queue, Role::Member).await?;
            if owner.id != entity.id {
                return Err(crate::queues::queue_missing(queue.id.as_str()));
            }
            queues.push(queue.id);
        }
        let (id, now) = (AgentId::new(), self.now());
        let agent = Agent {
            id: id.clone(),
            entity_id: entity.id,
            // The agent uses its name as the id of its own run.
            name: name::new_run_name(),
            state_key: format!("stock:{id}"),
            stock: true,
            host: new.host.chars().take(255).collect(),
            version: new.version.chars().take(100).collect(),
            targets: Vec::new(),
            slots: new.settings.get("max_jobs").and_then(Value::as_i64).filter(|n| *n >= 0),
            resources: None,
            settings: new.settings,
            status: "polling".into(),
            command: "none".into(),
            created_by: actor.username.clone(),
            created_at: now,
            last_seen: now,
        };
        self.store.agent_register(agent.clone(), queues).await?;
        self.wakers.changed();
        Ok(agent)
    }

    /// Finds a stock agent that the caller runs, and counts the question as a sign of life.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn stock_agent_seen(&self, actor: &Actor, id: &str, status: Option<&str>) -> Result<(Entity, Agent)> {
        actor.require_person()?;
        let (entity, role, agent) = self.agent_find(actor, id).await?;
        if agent.created_by != actor.username && role < Role::Admin {
            return Err(Error::Forbidden(format!("the agent belongs to `{}`", agent.created_by)));
        }
        let status = match status.map(str::to_ascii_uppercase).as_deref() {
            None => None,
            Some("POLLING") => Some("polling"),
            Some("RUNNING") => Some("running"),
            Some("KILLED") => Some("killed"),
            Some(_) => return Err(Error::invalid("agentStatus", "is none of POLLING, RUNNING, KILLED")),
        };
        self.agent_heard(&agent, status).await?;
        if let Some(status) = status {
            self.agent_ended(&agent, status).await?;
        }
        if status.is_some() {
            self.wakers.changed();
        }
        Ok((entity, agent))
    }

    /// Hands one item of a queue to a stock agent, if one waits.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown queue or agent.
    pub async fn stock_agent_pop(
        &self,
        actor: &Actor,
        entity: &str,
        queue: &str,
        agent: &str,
    ) -> Result<Option<Popped>> {
        let (agent_entity, agent) = self.stock_agent_seen(actor, agent, None).await?;
        let (entity, queue) = self.queue_find(actor, entity, queue).await?;
        if agent_entity.id != entity.id {
            return Err(Error::not_found("agent", agent.id.as_str()));
        }
        if agent.status == "killed" || agent.command != "none" {
            return Ok(None);
        }
        // Its queues are what people see of it, and what waiting items are explained by.
        if !self.store.agent_queues(&agent.id).await?.iter().any(|(id, _)| *id == queue.id) {
            let (agent, queue) = (&agent.name, &queue.name);
            return Err(Error::conflict(format!(
                "the agent `{agent}` is not registered for the queue `{queue}`; start it anew with that queue"
            )));
        }
        if !self.store.items_waiting(std::slice::from_ref(&queue.id), self.now()).await? {
            return Ok(None);
        }
        let leases = self.claim_now(&agent, &entity, vec![open_queue(&queue)], None, 1).await?;
        let Some(lease) = leases.into_iter().next() else { return Ok(None) };
        let args = effective(&lease.queue_config, &lease.item_config);
        let mut spec = lease.spec;
        spec.insert("resource".into(), json!(lease.target.wire_name()));
        spec.insert("resource_args".into(), json!({ lease.target.wire_name(): args }));
        spec.insert("entity".into(), json!(lease.run_entity));
        spec.insert("project".into(), json!(lease.run_project));
        spec.insert("author".into(), json!(lease.author));
        spec.insert("run_id".into(), json!(lease.run_id));
        spec.insert("_wandb_api_key".into(), json!(lease.token));
        if let Some(job) = lease.job {
            spec.insert("job".into(), json!(job));
        }
        // All attempts of an item have one run.
        if let times @ 1.. = resumed(&spec, lease.attempt) {
            spec.insert("_resume_count".into(), json!(times));
        }
        // Our own keys mean nothing to it.
        for key in ["template_variables", "priority", "not_before", "idempotency_key", "resources", "rebuild"] {
            spec.remove(key);
        }
        Ok(Some(Popped { item: lease.item, spec }))
    }

    /// Finds an item that a stock agent of the caller holds.
    async fn stock_item(&self, actor: &Actor, id: &str) -> Result<(Item, Agent)> {
        actor.require_person()?;
        let (_, role, item) = self.item_find(actor, id).await?;
        let agent = match &item.agent_id {
            Some(agent) => self.store.agent_by_id(agent).await?,
            None => None,
        };
        match agent.filter(|a| a.stock && (a.created_by == actor.username || role >= Role::Admin)) {
            Some(agent) => Ok((item, agent)),
            None => Err(Error::conflict(format!("no agent of `{}` holds the item `{id}`", actor.username))),
        }
    }

    /// A stock agent begins with an item. Returns whether it may.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn stock_item_acknowledge(&self, actor: &Actor, id: &str) -> Result<bool> {
        let item = match self.stock_item(actor, id).await {
            Ok((item, _)) => item,
            Err(Error::Conflict { .. }) => return Ok(false),
            Err(e) => return Err(e),
        };
        // A second acknowledgement means that somebody else began already.
        if item.state != StateName::Leased {
            return Ok(false);
        }
        let Some(agent) = &item.agent_id else { return Ok(false) };
        match self.store.item_acknowledge(&item.id, item.attempt, agent, self.now()).await {
            Ok(()) => {
                self.wakers.changed();
                Ok(true)
            }
            Err(lanza_store::Error::Moved) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// A stock agent gives an item up.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] when it does not hold the item.
    pub async fn stock_item_fail(
        &self,
        actor: &Actor,
        id: &str,
        message: &str,
        stage: &str,
        files: &[String],
    ) -> Result<bool> {
        let (item, agent) = self.stock_item(actor, id).await?;
        let phase = match stage {
            "build" => Phase::Build,
            "run" => Phase::Run,
            _ => Phase::Fetch,
        };
        let message: String = message.chars().take(4000).collect();
        let message = if message.is_empty() { "the agent gave no reason".to_owned() } else { message };
        let message = message + &self.more_in(&agent, files).await?;
        // It knows of no other end, also of a job that it was told to stop before there was a run.
        let (ending, reason) = if item.stop_requested_at.is_some() {
            (Ending::Stopped, stopped_by_its_agent(&item))
        } else {
            (Ending::Failed, Reason::new(code::RUN_NOT_STARTED, message))
        };
        let ended =
            Ended { ending, exit_code: None, signal: None, reason: Some(reason), phase: Some(phase), at: self.now() };
        match self.attempt_end(&item, item.attempt, item.agent_id.as_ref(), ended).await {
            Ok(()) => Ok(true),
            Err(Error::Conflict { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// A stock agent has something to say that does not matter much.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] when it does not hold the item.
    pub async fn stock_item_warn(
        &self,
        actor: &Actor,
        id: &str,
        message: &str,
        stage: &str,
        files: &[String],
    ) -> Result<bool> {
        let (item, agent) = self.stock_item(actor, id).await?;
        let message: String = message.chars().take(2000).collect();
        let more = self.more_in(&agent, files).await?;
        let warned = self.store.item_warn(&item.id, format!("{stage}: {message}{more}")).await?;
        self.wakers.changed();
        Ok(warned)
    }

    /// Says where the files are that a stock agent says more in: it uploads them to its own run, which no list shows.
    async fn more_in(&self, agent: &Agent, files: &[String]) -> Result<String> {
        let legal = |path: &&String| !path.is_empty() && path.len() <= 500 && !path.chars().any(char::is_control);
        let files: Vec<_> = files.iter().filter(legal).take(FILES_MOST).map(|path| format!("`{path}`")).collect();
        let Some(entity) = self.store.entity_by_id(&agent.entity_id).await?.filter(|_| !files.is_empty()) else {
            return Ok(String::new());
        };
        Ok(format!(
            " (more in {} among the files of the agent's run {}/{}/{})",
            files.join(", "),
            entity.name,
            name::LAUNCH_PROJECT,
            agent.name
        ))
    }

    /// Finds an item of a queue for the wire: null there once it was deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn item_of_queue(&self, actor: &Actor, queue: &str, id: &str) -> Result<Option<Item>> {
        if id.parse::<ItemId>().is_err() {
            return Ok(None);
        }
        match self.item_find(actor, id).await {
            Ok((_, _, item)) => Ok(Some(item).filter(|i| i.queue_id.as_str() == queue && !i.deleted)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Deletes an item of a queue for the wire.
    ///
    /// # Errors
    /// As for [`Service::item_delete`].
    pub async fn item_delete_from(&self, actor: &Actor, queue: &str, id: &str) -> Result<()> {
        if self.item_of_queue(actor, queue, id).await?.is_none() {
            return Err(item_missing(id));
        }
        self.item_delete(actor, id).await
    }
}
