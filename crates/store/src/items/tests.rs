//! Items on both engines: against the state machine of the model, and what many callers do at once.

use std::collections::HashSet;

use lanza_model::{
    Phase, Priority, Reason, Role, Target,
    clock::Time,
    code,
    id::{AgentId, EntityId, ItemId, KeyId, QueueId, UserId},
    item::{Ending, Event, State, StateName, next},
    resources::Capacity,
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::{Claimer, Due, Ended, Item, ItemFilter, Learned, NewToken, OpenQueue, Stopping, Wanted};
use crate::{Error, Store, agents::Agent, queues::Queue, row::Columns, testing};

pub(crate) const NOW: Time = Time(1_800_000_000_000);

/// A store with a user, a queue and two agents.
pub(crate) struct Place {
    pub(crate) store: Store,
    _guard: testing::Guard,
    pub(crate) entity: EntityId,
    pub(super) user: UserId,
    pub(super) queue: Queue,
    pub(crate) agents: [AgentId; 2],
}

impl Place {
    pub(crate) async fn all() -> Vec<Self> {
        let mut places = Vec::new();
        for (guard, store) in testing::stores().await {
            places.push(Self::furnish(guard, store).await);
        }
        places
    }

    async fn furnish(guard: testing::Guard, store: Store) -> Self {
        let (user, key) = testing::user("ana", NOW);
        let user_id = user.id.clone();
        store.user_insert(user, None, key).await.expect("a user");
        let entity = store.entity_by_name("ANA").await.expect("read").expect("the personal entity").id;
        assert_eq!(store.member_role(&entity, &user_id).await.expect("read"), Some(Role::Admin));
        let queue = Queue {
            id: QueueId::new(),
            entity_id: entity.clone(),
            name: "default".into(),
            target: Some(Target::Process),
            config: Map::new(),
            templates: Map::new(),
            prioritised: true,
            external_links: json!({}),
            policy: Map::new(),
            paused: false,
            access: "PROJECT".into(),
            resource_config_id: None,
            created_by: "ana".into(),
            created_at: NOW,
        };
        store.queue_put(queue.clone(), false, NOW, "ana").await.expect("a queue");
        let mut agents = Vec::new();
        for name in ["one", "two"] {
            let agent = Agent {
                id: AgentId::new(),
                entity_id: entity.clone(),
                name: name.into(),
                state_key: name.into(),
                stock: false,
                host: "h".into(),
                version: "lanza@0".into(),
                targets: vec![Target::Process],
                slots: Some(1),
                resources: None,
                settings: Value::Null,
                status: "polling".into(),
                command: "none".into(),
                created_by: "ana".into(),
                created_at: NOW,
                last_seen: NOW,
            };
            agents.push(store.agent_register(agent, vec![queue.id.clone()]).await.expect("an agent"));
        }
        let agents = [agents[0].clone(), agents[1].clone()];
        Self { store, _guard: guard, entity, user: user_id, queue, agents }
    }

    pub(super) fn new_item(&self) -> Item {
        Item {
            id: ItemId::new(),
            entity_id: self.entity.clone(),
            queue_id: self.queue.id.clone(),
            queue_name: "default".into(),
            target: Target::Process,
            state: StateName::Queued,
            phase: None,
            attempt: 0,
            max_attempts: 1,
            losses: 0,
            next_retry_at: None,
            agent_id: None,
            stock: false,
            priority: Priority::Medium,
            author_id: self.user.clone(),
            author: "ana".into(),
            created_at: NOW,
            leased_at: None,
            lease_expires_at: None,
            acknowledged_at: None,
            started_at: None,
            ended_at: None,
            unreachable_since: None,
            stop_requested_at: None,
            stop_requested_by: None,
            stop_grace_seconds: None,
            deleted: false,
            exit_code: None,
            signal: None,
            reason: None,
            warnings: vec![],
            spec: Map::new(),
            job: Some("ana/p/job:v0".into()),
            job_artifact: None,
            code_artifact: None,
            run_entity: "ana".into(),
            run_project: "p".into(),
            planned_run: "r".into(),
            run: None,
            runs: vec![],
            name: None,
            queue_config: Map::new(),
            item_config: Map::new(),
            template_variables: Map::new(),
            resources: Map::new(),
            reserved: None,
            stop_cause: None,
            not_before: None,
            idempotency_key: None,
            environment: None,
            source: None,
        }
    }

    pub(crate) async fn push(&self) -> ItemId {
        self.store.item_insert(self.new_item()).await.expect("pushed").0.id
    }

    pub(crate) async fn claim(&self, agent: usize, want: usize) -> Vec<Item> {
        self.claim_as(self.claimer(agent), self.open(), want).await
    }

    pub(super) fn claimer(&self, agent: usize) -> Claimer {
        Claimer {
            id: self.agents[agent].clone(),
            stock: false,
            targets: None,
            total: None,
            left: Capacity::default(),
            alive_since: NOW.plus_ms(-60_000),
        }
    }

    pub(super) fn open(&self) -> OpenQueue {
        OpenQueue { id: self.queue.id.clone(), max_running: None, max_running_per_user: None }
    }

    pub(super) async fn claim_as(&self, claimer: Claimer, queue: OpenQueue, want: usize) -> Vec<Item> {
        let expires_at = NOW.plus_ms(60_000);
        let wanted = Wanted { claimer, queues: vec![queue], most: want, now: NOW, expires_at, issue: token };
        self.store.item_claim(wanted).await.expect("claim").into_iter().map(|(item, _)| item).collect()
    }

    async fn item(&self, id: &ItemId) -> Item {
        self.store.item_by_id(id).await.expect("read").expect("the item")
    }

    async fn tokens(&self) -> i64 {
        let sql = "SELECT COUNT(*) AS n FROM api_keys WHERE scope IS NOT NULL AND expires_at IS NULL";
        sqlx::Row::get(&sqlx::query(sql).fetch_one(self.store.read_pool()).await.expect("count"), "n")
    }
}

fn token(_: &Item) -> NewToken {
    let id = KeyId::new();
    NewToken { hash: id.to_string(), secret: String::new(), prefix: "abcd".into(), scope: "{}".into(), id }
}

pub(crate) fn ended(ending: Ending) -> Ended {
    Ended { ending, exit_code: Some(0), signal: None, reason: None, phase: None, at: NOW }
}

fn state_of(item: &Item) -> State {
    match item.state {
        StateName::Queued => State::Queued { attempts: item.attempt },
        StateName::Leased => State::Leased { attempt: item.attempt },
        StateName::Running => State::Running { attempt: item.attempt, unreachable: item.unreachable_since.is_some() },
        StateName::Finished => State::Finished,
        StateName::Failed => State::Failed,
        StateName::Stopped => State::Stopped,
    }
}

/// Steps that the store can take; agents hold what they claimed.
#[derive(Debug, Clone)]
enum Step {
    Claim(usize),
    Return(u32),
    Acknowledge(usize, u32),
    Silence(u32),
    Heard(usize, u32),
    Requeue(u32),
    End(usize, u32, Ending),
    Stop,
}

fn any_step() -> impl Strategy<Value = Step> {
    let (agent, attempt) = (0..2usize, 1..3u32);
    let ending = prop_oneof![Just(Ending::Finished), Just(Ending::Failed), Just(Ending::Stopped)];
    prop_oneof![
        3 => agent.clone().prop_map(Step::Claim),
        1 => attempt.clone().prop_map(Step::Return),
        3 => (agent.clone(), attempt.clone()).prop_map(|(a, n)| Step::Acknowledge(a, n)),
        1 => attempt.clone().prop_map(Step::Silence),
        1 => (agent.clone(), attempt.clone()).prop_map(|(a, n)| Step::Heard(a, n)),
        1 => attempt.clone().prop_map(Step::Requeue),
        1 => (agent, attempt, ending).prop_map(|(a, n, e)| Step::End(a, n, e)),
        1 => Just(Step::Stop),
    ]
}

/// Takes a step in the store and in the model; both must agree on where the item stands.
async fn step(place: &Place, id: &ItemId, holder: &mut Option<usize>, step: &Step) {
    let before = place.item(id).await;
    let model = state_of(&before);
    let holds = |agent: usize| *holder == Some(agent);
    let (event, done) = match step {
        Step::Claim(agent) => {
            let got = place.claim(*agent, 1).await;
            if !got.is_empty() {
                *holder = Some(*agent);
            }
            (Event::Claim, !got.is_empty())
        }
        Step::Return(n) => (Event::Return { attempt: *n }, place.store.item_return(id, *n, None, NOW).await.is_ok()),
        Step::Acknowledge(agent, n) => {
            let done = place.store.item_acknowledge(id, *n, &place.agents[*agent], NOW).await.is_ok();
            // Saying it again is fine and changes nothing.
            let again = matches!(model, State::Running { attempt, .. } if attempt == *n) && holds(*agent);
            if !holds(*agent) || again {
                assert_eq!(done, again, "{step:?} on {model:?}");
                assert_eq!(state_of(&place.item(id).await), model);
                return;
            }
            (Event::Acknowledge { attempt: *n }, done)
        }
        Step::Silence(n) => {
            let current = matches!(model, State::Running { attempt, .. } if attempt == *n);
            let done = place.store.item_silent(id, *n, NOW, NOW).await.expect("silent");
            if !current {
                assert!(!done);
                return;
            }
            (Event::Silence, done)
        }
        Step::Heard(agent, n) => {
            let held = vec![(id.to_string(), *n)];
            let heard = place.store.items_heard(&place.agents[*agent], held, Time(0), NOW).await.expect("heard");
            let kept = heard.lost.is_empty();
            // A lease that is about to be acknowledged is the agent's, and hearing of it changes nothing yet.
            let leased = matches!(model, State::Leased { attempt, .. } if attempt == *n);
            let runs = matches!(model, State::Running { attempt, .. } if attempt == *n);
            assert_eq!(kept, holds(*agent) && (leased || runs), "{step:?} on {model:?}");
            if !holds(*agent) || leased {
                assert_eq!(state_of(&place.item(id).await), model);
                return;
            }
            (Event::Heard { attempt: *n }, kept)
        }
        Step::Requeue(n) => {
            let stopping = before.stop_requested_at.is_some();
            let done = place.store.item_requeue(id, *n, None, None, true, ended(Ending::Failed)).await.is_ok();
            if stopping {
                assert!(!done, "an item that is being stopped was queued again");
                return;
            }
            (Event::Requeue { attempt: *n }, done)
        }
        Step::End(agent, n, ending) => {
            let end = ended(*ending);
            let result = place.store.item_end(id, *n, Some(&place.agents[*agent]), end, NOW.plus_ms(1), 0).await;
            if !holds(*agent) || model.name().is_ended() {
                assert!(result.is_err() || !result.expect("ended before").1);
                assert_eq!(state_of(&place.item(id).await), model);
                return;
            }
            (Event::End { attempt: *n, ending: *ending }, result.is_ok())
        }
        Step::Stop => {
            let reason = Reason::new(code::STOPPED, "test");
            let done = place.store.item_stop(id, None, reason, false, NOW, "ana").await.expect("stop");
            (Event::StopWaiting, matches!(done, Some(Stopping::Stopped(_))))
        }
    };
    let expected = next(model, event);
    let after = place.item(id).await;
    assert_eq!(done, expected.is_ok(), "{step:?} on {model:?}");
    assert_eq!(state_of(&after), expected.unwrap_or(model), "{step:?} on {model:?}");
    if !matches!(after.state, StateName::Leased | StateName::Running) && !after.state.is_ended() {
        *holder = None;
    }
    let live = i64::from(matches!(after.state, StateName::Leased | StateName::Running));
    assert_eq!(place.tokens().await, live, "tokens after {step:?} on {model:?}");
}

#[test]
fn the_store_moves_items_exactly_as_the_model_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let places = runtime.block_on(Place::all());
    let mut runner = TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() });
    runner
        .run(&prop::collection::vec(any_step(), 1..25), |steps| {
            runtime.block_on(async {
                for place in &places {
                    let id = place.push().await;
                    let mut holder = None;
                    for s in &steps {
                        step(place, &id, &mut holder, s).await;
                    }
                    // The queue is shared by all cases: leave nothing that the next case would claim.
                    let reason = Reason::new(code::STOPPED, "test");
                    place.store.item_stop(&id, None, reason, false, NOW, "ana").await.expect("stop");
                    let item = place.item(&id).await;
                    if !item.state.is_ended() {
                        let end = ended(Ending::Failed);
                        place.store.item_end(&id, item.attempt, None, end, NOW, 0).await.expect("end");
                    }
                }
            });
            Ok(())
        })
        .expect("store and model agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_claimers_take_each_item_exactly_once_in_order() {
    for place in Place::all().await {
        for i in 0..60 {
            let mut item = place.new_item();
            item.priority = if i % 10 == 0 { Priority::High } else { Priority::Low };
            place.store.item_insert(item).await.expect("pushed");
        }
        let first = place.claim(0, 6).await;
        assert!(
            first.iter().all(|i| i.priority == Priority::High),
            "urgent items first on {:?}: {:?}",
            place.store.engine(),
            first.iter().map(|i| i.priority).collect::<Vec<_>>()
        );
        let place = std::sync::Arc::new(place);
        let mut claimers = tokio::task::JoinSet::new();
        for agent in [0, 1, 0, 1, 0, 1, 0, 1] {
            let place = place.clone();
            claimers.spawn(async move {
                let mut got = Vec::new();
                loop {
                    let items = place.claim(agent, 3).await;
                    if items.is_empty() {
                        return got;
                    }
                    got.extend(items.into_iter().map(|i| i.id));
                }
            });
        }
        let taken: Vec<ItemId> = claimers.join_all().await.into_iter().flatten().collect();
        assert_eq!(taken.len(), 54);
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 54, "an item was handed out twice");
    }
}

#[tokio::test]
async fn what_is_not_due_or_paused_or_orphaned_is_not_handed_out() {
    for place in Place::all().await {
        let mut later = place.new_item();
        later.not_before = Some(NOW.plus_ms(1));
        place.store.item_insert(later).await.expect("pushed");
        assert!(place.claim(0, 1).await.is_empty());
        let id = place.push().await;
        place
            .store
            .queue_set_mode(&Queue { paused: true, ..place.queue.clone() }, "paused", NOW, "ana")
            .await
            .expect("paused");
        assert!(place.claim(0, 1).await.is_empty());
        place.store.queue_set_mode(&place.queue, "resumed", NOW, "ana").await.expect("resumed");
        assert_eq!(place.claim(0, 5).await.iter().map(|i| &i.id).collect::<Vec<_>>(), [&id]);
    }
}

#[tokio::test]
async fn queues_are_named_when_the_time_of_an_item_comes_and_not_again() {
    for place in Place::all().await {
        let due = async |since: i64, now: i64| {
            place.store.items_due(NOW.plus_ms(since), NOW.plus_ms(now)).await.expect("a look")
        };
        place.push().await;
        assert_eq!(due(-1, 0).await, Due::default(), "what has no time of its own waits for nothing");
        for not_before in [1_000, 500] {
            let mut item = place.new_item();
            item.not_before = Some(NOW.plus_ms(not_before));
            place.store.item_insert(item).await.expect("pushed");
        }
        let tried = place.claim(0, 1).await.remove(0);
        let agent = Some(&place.agents[0]);
        place.store.item_acknowledge(&tried.id, 1, &place.agents[0], NOW).await.expect("acknowledged");
        let (retry_at, failed) = (Some(NOW.plus_ms(3_000)), ended(Ending::Failed));
        place.store.item_requeue(&tried.id, 1, agent, retry_at, false, failed).await.expect("queued again");
        let queue = || vec![place.queue.id.clone()];
        let at = |ms: i64| Some(NOW.plus_ms(ms));
        assert_eq!(due(-1, 0).await, Due { queues: vec![], next: at(500) });
        assert_eq!(due(0, 1_000).await, Due { queues: queue(), next: at(3_000) });
        assert_eq!(due(1_000, 2_999).await, Due { queues: vec![], next: at(3_000) });
        assert_eq!(due(2_999, 3_000).await, Due { queues: queue(), next: None });
        assert_eq!(due(3_000, 9_000).await, Due::default());
    }
}

#[tokio::test]
async fn a_second_push_with_the_same_key_is_the_same_item() {
    for place in Place::all().await {
        let mut item = place.new_item();
        item.idempotency_key = Some("k".into());
        let (first, new) = place.store.item_insert(item.clone()).await.expect("pushed");
        item.id = ItemId::new();
        let (second, again) = place.store.item_insert(item).await.expect("pushed");
        assert!(new && !again && first.id == second.id);
        let filter =
            ItemFilter { entity: Some(place.entity.clone()), job: Some("ana/p/job".into()), ..Default::default() };
        assert_eq!(place.store.item_list(&filter, 10).await.expect("list").len(), 1);
        let filter = ItemFilter { job: Some("ana/p/j_b".into()), ..filter };
        assert!(place.store.item_list(&filter, 10).await.expect("list").is_empty(), "`_` is no wildcard");
    }
}

#[tokio::test]
async fn what_waits_is_listed_in_the_order_in_which_it_is_handed_out() {
    for place in Place::all().await {
        let push = async |priority, author: &str| {
            let item = Item { priority, author: author.into(), ..place.new_item() };
            place.store.item_insert(item).await.expect("pushed").0.id
        };
        let taken = push(Priority::Critical, "ana").await;
        assert_eq!(place.claim(0, 1).await[0].id, taken);
        let low = push(Priority::Low, "ana").await;
        let first = push(Priority::Medium, "ana").await;
        let second = push(Priority::Medium, "ben").await;
        let high = push(Priority::High, "ana").await;
        let list = async |filter: ItemFilter, after: Option<(Priority, ItemId)>, limit| {
            let found = place.store.items_by_place(&place.queue.id, &filter, after.as_ref(), limit).await;
            found.expect("a list").into_iter().map(|i| i.id).collect::<Vec<_>>()
        };
        let all = ItemFilter::default;
        assert_eq!(list(all(), None, 10).await, [&high, &first, &second, &low].map(Clone::clone));
        assert_eq!(list(all(), None, 2).await, [&high, &first].map(Clone::clone));
        assert_eq!(list(all(), Some((Priority::Medium, first.clone())), 2).await, [&second, &low].map(Clone::clone));
        let of_ben = ItemFilter { author: Some("ben".into()), ..all() };
        assert_eq!(list(of_ben, None, 10).await, [second]);
    }
}

#[tokio::test]
async fn logs_join_on_without_gap_or_repetition() {
    for place in Place::all().await {
        let id = place.push().await;
        place.claim(0, 1).await;
        let agent = &place.agents[0];
        place.store.item_acknowledge(&id, 1, agent, NOW).await.expect("ack");
        let send = |offset: u64, text: &'static str| {
            place.store.log_append(&id, 1, agent, Phase::Run, offset, text.as_bytes().to_vec(), NOW)
        };
        assert_eq!(send(0, "hello ").await.expect("first"), 6);
        assert_eq!(send(0, "hello ").await.expect("repeated"), 6);
        assert_eq!(send(9, "gap").await.expect("gap"), 6, "bytes behind a gap are not stored");
        assert_eq!(send(3, "lo world").await.expect("overlap"), 11);
        let pieces = place.store.log_pieces(&id, 1, Phase::Run, None, 10).await.expect("read");
        assert_eq!(pieces.into_iter().flat_map(|p| p.body).collect::<Vec<_>>(), b"hello world");
        assert_eq!(send(11, "\nline two\nand").await.expect("lines"), 24);
        let extents = place.store.log_extents(&id, 1, Phase::Run).await.expect("extents");
        let extents: Vec<(u64, u64, u64)> = extents.iter().map(|e| (e.start, e.size, e.line_ends)).collect();
        assert_eq!(extents, [(0, 6, 0), (6, 5, 0), (11, 13, 2)]);
        let other = place.store.log_append(&id, 1, &place.agents[1], Phase::Run, 11, b"!".to_vec(), NOW).await;
        assert!(matches!(other, Err(Error::Moved)), "another agent's bytes");
    }
}

#[tokio::test]
async fn reports_keep_phases_and_the_latest_one_shows() {
    for place in Place::all().await {
        let id = place.push().await;
        place.claim(0, 1).await;
        let agent = &place.agents[0];
        place.store.item_acknowledge(&id, 1, agent, NOW).await.expect("ack");
        let report = |phases| place.store.item_report(&id, 1, agent, phases, vec!["w".into()], Learned::default());
        report(vec![(Phase::Run, NOW.plus_ms(5), None)]).await.expect("run");
        let item = report(vec![(Phase::Fetch, NOW, Some(NOW.plus_ms(3)))]).await.expect("late fetch");
        assert_eq!((item.phase, item.started_at), (Some(Phase::Run), Some(NOW.plus_ms(5))));
        assert_eq!(item.warnings, ["w"]);
        let (item, _) = place.store.item_end(&id, 1, Some(agent), ended(Ending::Finished), NOW, 0).await.expect("end");
        assert_eq!(item.phase, Some(Phase::Run));
        let attempts = place.store.attempt_list(&id).await.expect("attempts");
        let names: Vec<Phase> = attempts[0].phases.iter().map(|p| p.0).collect();
        assert_eq!((attempts.len(), names), (1, vec![Phase::Fetch, Phase::Run]));
        assert!(attempts[0].phases.iter().all(|p| p.2.is_some()), "the end closes open phases");
    }
}

#[tokio::test]
async fn an_item_that_ends_without_a_run_has_a_record_of_it_in_the_same_transaction() {
    for place in Place::all().await {
        let store = &place.store;
        // Failed in an agent's hands.
        let id = place.push().await;
        place.claim(0, 1).await;
        store.item_acknowledge(&id, 1, &place.agents[0], NOW).await.expect("ack");
        let reason = Some(Reason::new(lanza_model::code::NO_INIT, "it never began"));
        let failed = Ended { reason, ..ended(Ending::Failed) };
        let (item, _) = store.item_end(&id, 1, Some(&place.agents[0]), failed, NOW, 0).await.expect("end");
        let entity = store.entity_by_name(&item.run_entity).await.expect("read").expect("an entity");
        let record = async |item: &Item| {
            assert_eq!(item.run.as_ref(), Some(&item.planned_run));
            assert_eq!(item.runs, std::slice::from_ref(&item.planned_run));
            let project = store.project_by_name(&entity.id, &item.run_project).await.expect("read").expect("a project");
            store.run_by_name(&project.id, &item.planned_run).await.expect("read").expect("a run")
        };
        let run = record(&item).await;
        assert_eq!((run.state.as_str(), run.notes.as_str()), ("failed", "it never began"));
        assert_eq!(run.trace_id.as_deref(), Some(id.as_str()));
        assert_eq!(
            store.item_by_id(&id).await.expect("read").expect("the item").run,
            item.run,
            "the answer is what is stored"
        );
        // Stopped before anybody took it.
        let waits = Item { planned_run: "waits".into(), ..place.new_item() };
        let id = waits.id.clone();
        store.item_insert(waits).await.expect("pushed");
        let reason = Reason::new(lanza_model::code::STOPPED, "stopped by ana");
        let stopped = store.item_stop(&id, None, reason, false, NOW, "ana").await.expect("stop");
        let Some(Stopping::Stopped(item)) = stopped else { panic!("{stopped:?}") };
        assert_eq!(record(&item).await.state.as_str(), "killed");
    }
}

#[tokio::test]
async fn a_database_that_another_program_has_locked_is_said_to_be_away_and_nothing_is_lost() {
    let (guard, store) = testing::sqlite().await;
    let path = guard.options().data.join("lanza.db");
    let place = Place::furnish(guard, store).await;
    let before = place.push().await;
    let other = sqlx::AnyPool::connect(&format!("sqlite://{}", path.display())).await.expect("a second program");
    let mut held = other.acquire().await.expect("a connection");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *held).await.expect("locked");
    let refused = place.store.item_insert(place.new_item()).await.expect_err("locked");
    assert!(refused.is_temporary(), "{refused:?}");
    assert_eq!(place.item(&before).await.id, before, "what is there can be read");
    sqlx::query("ROLLBACK").execute(&mut *held).await.expect("let go");
    place.push().await;
    assert_eq!(place.claim(0, 9).await.len(), 2);
}

#[tokio::test]
async fn a_database_that_drops_its_connections_is_found_again() {
    let Some((guard, store)) = testing::postgres().await else { return };
    let place = Place::furnish(guard, store).await;
    let before = place.push().await;
    for _ in 0..3 {
        let writer: i64 = place
            .store
            .write(|tx| {
                Box::pin(async move {
                    let row = sqlx::query("SELECT CAST(pg_backend_pid() AS BIGINT) AS pid");
                    row.fetch_one(tx.connection()).await?.int("pid")
                })
            })
            .await
            .expect("its id");
        let end = "SELECT CASE WHEN pg_terminate_backend(CAST($1 AS INTEGER)) THEN 1 ELSE 0 END AS done";
        sqlx::query(end).bind(writer).execute(place.store.read_pool()).await.expect("ended");
        // One that was under way may be refused; it says that later may be better.
        let tried = place.store.item_insert(place.new_item()).await;
        assert!(
            tried.as_ref().is_ok_and(|(_, new)| *new) || tried.as_ref().is_err_and(Error::is_temporary),
            "{tried:?}"
        );
        place.push().await;
    }
    assert!(place.claim(0, 9).await.iter().any(|i| i.id == before), "it is still there");
}
