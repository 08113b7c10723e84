//! A service on a clock that tests move.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use lanza_api::{
    agent::{Claim, Heartbeat, Held, Lease, OutcomeReport, PhaseReport, Register, Report},
    item::{Outcome, Why},
    queue::NewQueue,
};
use lanza_model::{
    Phase, Reason, Role, Target,
    clock::{Clock, ManualClock, Time},
    code,
    item::{Ending, StateName},
    resources::Capacity,
    run::Event,
    spec::Door,
};
use lanza_service::{
    Actor, Error, Service,
    accounts::UserRequest,
    items::WirePush,
    runs::{Post, RunRequest},
    stock_agents::StockRegister,
};
use lanza_store::{
    Store,
    runs::{Posted, Run, RunFields},
    testing,
};
use serde_json::{Map, Value, json};

/// A service on a clock that stands still, with the user `ana`, the team `vision`, and a queue `q` in both.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) service: Arc<Service>,
    pub(crate) clock: ManualClock,
    pub(crate) ana: Arc<Actor>,
    guard: testing::Guard,
}

pub(crate) const START: Time = Time(1_800_000_000_000);

impl World {
    pub(crate) async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let clock = ManualClock::at(START);
        let service = Service::new(store.clone(), Arc::new(clock.clone())).await.expect("a service");
        let ana = Self::user(&service, "ana").await;
        service.team_create("vision", None).await.expect("a team");
        service.member_put("vision", "ana", Role::Admin).await.expect("a member");
        for entity in ["ana", "vision"] {
            let new = NewQueue { name: Some("q".into()), target: Some("process".into()), ..NewQueue::default() };
            service.queue_create(&ana, entity, new).await.expect("a queue");
        }
        Self { store, service, clock, ana, guard }
    }

    pub(crate) fn guard(&self) -> &testing::Guard {
        &self.guard
    }

    /// The server ends, and a new one begins over the same data after a while.
    pub(crate) async fn restart_after(&mut self, ms: i64) {
        self.clock.advance_ms(ms);
        self.store = testing::reopen(&self.guard).await;
        self.service = Service::new(self.store.clone(), Arc::new(self.clock.clone())).await.expect("a service");
    }

    pub(crate) async fn user(service: &Service, name: &str) -> Arc<Actor> {
        let request = UserRequest { username: name.into(), ..UserRequest::default() };
        let (_, key) = service.user_create(request).await.expect("a user");
        service.authenticate(&key).await.expect("the key works")
    }

    pub(crate) async fn agent(&self) -> String {
        self.agent_on("0123456789abcdef", Some(1), None).await
    }

    /// Registers an agent of a state folder on the queue `q`.
    pub(crate) async fn agent_on(&self, state: &str, slots: Option<u32>, resources: Option<Capacity>) -> String {
        self.agent_of(state, &["q"], slots, resources).await
    }

    pub(crate) async fn agent_of(
        &self,
        state: &str,
        queues: &[&str],
        slots: Option<u32>,
        resources: Option<Capacity>,
    ) -> String {
        let register = self.registration(state, queues, slots, resources);
        let (_, agent) = self.service.agent_register(&self.ana, "ana", register).await.expect("registered");
        agent.id.to_string()
    }

    /// Registers an agent without limits on the queue `q` of an entity.
    pub(crate) async fn agent_in(&self, entity: &str, state: &str) -> String {
        let register = self.registration(state, &["q"], None, None);
        let (_, agent) = self.service.agent_register(&self.ana, entity, register).await.expect("registered");
        agent.id.to_string()
    }

    /// Registers an agent for another target.
    pub(crate) async fn agent_for(&self, entity: &str, queue: &str, target: Target) -> String {
        let register =
            Register { targets: vec![target], ..self.registration("0123456789abcdef", &[queue], None, None) };
        let (_, agent) = self.service.agent_register(&self.ana, entity, register).await.expect("registered");
        agent.id.to_string()
    }

    #[expect(clippy::unused_self, reason = "reads better at its callers")]
    pub(crate) fn registration(
        &self,
        state: &str,
        queues: &[&str],
        slots: Option<u32>,
        resources: Option<Capacity>,
    ) -> Register {
        Register {
            state: state.into(),
            host: "h".into(),
            version: "lanza@0".into(),
            queues: queues.iter().map(|q| (*q).to_owned()).collect(),
            targets: vec![Target::Process],
            slots,
            resources,
            settings: Value::Null,
        }
    }

    /// Gives the queue `q` of `ana` a policy.
    pub(crate) async fn policy(&self, policy: Value) {
        let new = NewQueue { policy: policy.as_object().cloned(), ..NewQueue::default() };
        self.service.queue_put(&self.ana, "ana", "q", new, false).await.expect("a policy");
    }

    pub(crate) async fn push_by(&self, actor: &Actor, entity: &str, spec: Value) -> Result<String, Error> {
        let pushed = self.service.item_push(actor, entity, "q", spec, Door::Rest, WirePush::default()).await?;
        Ok(pushed.item.id.to_string())
    }

    /// Claims up to `free` items of `queues` with so much of the machine left; the ids of what it got.
    pub(crate) async fn claim_from(
        &self,
        agent: &str,
        queues: &[&str],
        free: u32,
        left: Option<Capacity>,
    ) -> Vec<(String, u32)> {
        let queues = queues.iter().map(|q| (*q).to_owned()).collect();
        let claim = Claim { queues, free, wait_ms: 0, left, at_hand: None };
        let claimed = self.service.agent_claim(&self.ana, agent, &claim).await.expect("claim");
        claimed.leases.into_iter().map(|l| (l.item, l.attempt)).collect()
    }

    /// Claims one item and begins with it.
    pub(crate) async fn begin(&self, agent: &str) -> (String, u32) {
        let (item, attempt) = self.claim_from(agent, &["q"], 1, None).await.pop().expect("an item");
        self.service.attempt_acknowledge(&self.ana, agent, &item, attempt).await.expect("acknowledged");
        (item, attempt)
    }

    /// Says that the workload of an attempt has begun.
    pub(crate) async fn runs(&self, agent: &str, item: &str, attempt: u32) {
        let phases = vec![PhaseReport { name: Phase::Run, started_at: self.clock.now(), ended_at: None }];
        let report = Report { phases, ..Report::default() };
        self.service.attempt_report(&self.ana, agent, item, attempt, report).await.expect("reported");
    }

    /// Ends an attempt with a reason, or well with the run that it needs for that.
    pub(crate) async fn ends(
        &self,
        agent: &str,
        item: &str,
        attempt: u32,
        reason: Option<Reason>,
        exit_code: Option<i32>,
    ) {
        let ending = if reason.is_some() { Ending::Failed } else { Ending::Finished };
        if reason.is_none() {
            self.service.item_run_seen(&self.ana, item, &format!("r{item}")).await.expect("a run");
        }
        let ended_at = self.clock.now();
        let outcome = Outcome { ending, exit_code, signal: None, reason, phase: None, ended_at };
        let report = OutcomeReport { outcome };
        self.service.attempt_outcome(&self.ana, agent, item, attempt, report).await.expect("an outcome");
    }

    pub(crate) async fn why(&self, id: &str) -> Why {
        let (entity, _, item) = self.service.item_find(&self.ana, id).await.expect("the item");
        self.service.item_view(&entity, &item).await.expect("a view").why.expect("it waits")
    }

    pub(crate) async fn push(&self, spec: Value) -> Result<String, Error> {
        let pushed = self.service.item_push(&self.ana, "ana", "q", spec, Door::Rest, WirePush::default()).await?;
        Ok(pushed.item.id.to_string())
    }

    pub(crate) async fn claim(&self, agent: &str) -> Vec<Lease> {
        let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
        self.service.agent_claim(&self.ana, agent, &claim).await.expect("claim").leases
    }

    /// Pushes an item and has the agent acknowledge it.
    pub(crate) async fn running(&self, agent: &str) -> String {
        let id = self.push(job()).await.expect("pushed");
        let lease = self.claim(agent).await.remove(0);
        assert_eq!(lease.item, id);
        self.service.attempt_acknowledge(&self.ana, agent, &id, lease.attempt).await.expect("acknowledged");
        id
    }

    pub(crate) async fn state(&self, id: &str) -> StateName {
        self.item(id).await.state
    }

    pub(crate) async fn item(&self, id: &str) -> lanza_store::items::Item {
        self.service.item_find(&self.ana, id).await.expect("the item").2
    }

    pub(crate) async fn later(&self, ms: i64) {
        self.clock.advance_ms(ms);
        self.service.items_reconcile().await.expect("reconciled");
    }

    pub(crate) fn outcome(&self, ending: Ending, exit_code: Option<i32>) -> OutcomeReport {
        let reason = (ending == Ending::Failed).then(|| Reason::new(code::EXIT_CODE, "it failed"));
        let outcome = Outcome { ending, exit_code, signal: None, reason, phase: None, ended_at: self.clock.now() };
        OutcomeReport { outcome }
    }

    /// Registers the client's own agent on a queue.
    pub(crate) async fn stock_agent(&self, entity: &str, queue: &str) -> String {
        let (_, found) = self.service.queue_find(&self.ana, entity, queue).await.expect("the queue");
        let register = StockRegister {
            queues: vec![found.id.to_string()],
            host: "h".into(),
            version: "wandb@0.31.0".into(),
            settings: Value::Null,
        };
        self.service.stock_agent_register(&self.ana, entity, register).await.expect("registered").id.to_string()
    }

    /// Has a stock agent take the next item of a queue and begin with it: the item, and the spec that it was handed.
    pub(crate) async fn pop(&self, entity: &str, queue: &str, agent: &str) -> (String, Map<String, Value>) {
        let popped = self.service.stock_agent_pop(&self.ana, entity, queue, agent).await.expect("popped");
        let popped = popped.expect("an item");
        assert!(self.service.stock_item_acknowledge(&self.ana, &popped.item).await.expect("acknowledged"));
        (popped.item, popped.spec)
    }

    /// Has the job of an item begin its run, as `wandb.init` does.
    pub(crate) async fn init(&self, item: &str, spec: &Map<String, Value>) -> Run {
        let text = |key: &str| spec[key].as_str().expect("a text").to_owned();
        let token = self.service.authenticate(&text("_wandb_api_key")).await.expect("the job's token");
        self.begin_run(&token, item, &text("entity"), &text("project"), &text("run_id")).await
    }

    pub(crate) async fn begin_run(&self, actor: &Actor, item: &str, entity: &str, project: &str, run: &str) -> Run {
        let config = json!({ "_wandb": { "value": { "launch_trace_id": item } } }).to_string();
        let request = RunRequest {
            entity: Some(entity.into()),
            project: Some(project.into()),
            name: Some(run.into()),
            fields: RunFields { config: Some(config), ..RunFields::default() },
            ..RunRequest::default()
        };
        self.service.run_upsert(actor, request).await.expect("a run").run
    }

    /// Has a run's client post.
    pub(crate) async fn says(&self, run: &Run, event: Event) -> Posted {
        let post = Post { writer: String::new(), chunks: Vec::new(), summary: None, event };
        let path = (run.entity.as_str(), run.project.as_str(), run.name.as_str());
        self.service.run_post(&self.ana, path, post).await.expect("posted")
    }

    pub(crate) async fn beat(&self, agent: &str, items: Vec<Held>) -> lanza_api::agent::HeartbeatAnswer {
        let beat = Heartbeat { items, draining: false, leaving: false, wait_ms: 0 };
        self.service.agent_heartbeat(&self.ana, agent, &beat).await.expect("heartbeat")
    }
}

pub(crate) fn job() -> Value {
    json!({ "job": "ana/p/job:v0", "project": "p" })
}

pub(crate) fn held(item: &str, attempt: u32) -> Vec<Held> {
    vec![Held { item: item.to_owned(), attempt }]
}
