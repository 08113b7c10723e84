//! Machines that are taken away: what a run that announced it means for its item, and items that come back.

mod world;

use lanza_api::{item::Stop, queue::NewQueue};
use lanza_model::{
    Reason, code,
    item::StateName,
    run::{Event, State},
    spec::Door,
};
use lanza_service::{Error, items::WirePush, queues::QueueMode};
use serde_json::{Map, Value, json};
use world::{World, held, job};

/// The grace of a queue without a policy, and a bit.
const GRACE_MS: i64 = 600_500;

async fn ended(w: &World, item: &str) -> (StateName, String) {
    let item = w.item(item).await;
    (item.state, item.reason.map(|r| r.code).unwrap_or_default())
}

/// Pushes an item back as the agent does that sees its machine go: with what it was handed.
async fn push_back(w: &World, entity: &str, queue: &str, spec: &Map<String, Value>) -> Result<String, Error> {
    let mut spec = spec.clone();
    let count = spec.get("_resume_count").and_then(Value::as_u64).unwrap_or(0);
    spec.insert("_resume_count".into(), json!(count + 1));
    let pushed =
        w.service.item_push(&w.ana, entity, queue, Value::Object(spec), Door::Wire, WirePush::default()).await?;
    Ok(pushed.item.id.to_string())
}

#[tokio::test]
async fn a_stock_agents_item_ends_with_its_preempted_run() {
    for (event, silent) in [(Some(Event::Completed { exit_code: 143 }), false), (None, true)] {
        let w = World::new().await;
        let agent = w.stock_agent("ana", "q").await;
        w.push(job()).await.expect("pushed");
        let (item, spec) = w.pop("ana", "q", &agent).await;
        let run = w.init(&item, &spec).await;
        w.says(&run, Event::Preempting).await;
        assert_eq!(w.state(&item).await, StateName::Running);
        if let Some(event) = event {
            w.says(&run, event).await;
        } else {
            w.clock.advance_ms(300_500);
            w.service.runs_crash_silent().await.expect("looked");
        }
        let item = w.item(&item).await;
        let reason = item.reason.expect("a reason");
        assert_eq!((item.state, reason.code.as_str()), (StateName::Failed, "preempted"));
        assert!(reason.message.contains(if silent { "fell silent" } else { "exit code 143" }), "{}", reason.message);
        assert_eq!(w.service.run_by_row_id(&w.ana, run.id.as_str()).await.expect("there").state, State::Preempted);
    }
}

#[tokio::test]
async fn a_policy_repeats_a_stock_agents_preempted_item_with_the_same_run() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["preempted"], "backoff_seconds": 5 } })).await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, first) = w.pop("ana", "q", &agent).await;
    assert!(!first.contains_key("_resume_count"));
    let run = w.init(&item, &first).await;
    w.says(&run, Event::Preempting).await;
    w.says(&run, Event::Completed { exit_code: 1 }).await;
    assert_eq!(w.state(&item).await, StateName::Queued);
    w.later(5_000).await;
    let (again, second) = w.pop("ana", "q", &agent).await;
    assert_eq!(
        (again.as_str(), &second["run_id"], &second["_resume_count"]),
        (item.as_str(), &first["run_id"], &json!(1))
    );
    w.later(30_000).await;
    assert_eq!(w.state(&item).await, StateName::Running, "how the first attempt ended says nothing of the second");
    let resumed = w.init(&item, &second).await;
    assert_eq!(resumed.state, State::Running);
    w.says(&resumed, Event::Preempting).await;
    w.says(&resumed, Event::Completed { exit_code: 1 }).await;
    assert_eq!(ended(&w, &item).await, (StateName::Failed, "preempted".to_owned()), "as often as the policy says");
}

#[tokio::test]
async fn a_policy_repeats_our_agents_preempted_item() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 3, "on": ["preempted"], "backoff_seconds": 0 } })).await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let exit = || Some(Reason::new(code::EXIT_CODE, "the job ended with exit code 1"));
    for attempt in 1..=2 {
        let lease = w.claim(&agent).await.remove(0);
        assert_eq!((lease.attempt, lease.resume), (attempt, attempt > 1));
        w.service.attempt_acknowledge(&w.ana, &agent, &id, attempt).await.expect("acknowledged");
        let token = w.service.authenticate(&lease.token).await.expect("the token");
        let run = w.begin_run(&token, &id, "ana", "p", &lease.run_id).await;
        w.runs(&agent, &id, attempt).await;
        if attempt == 1 {
            w.says(&run, Event::Preempting).await;
            w.ends(&agent, &id, attempt, exit(), Some(1)).await;
            assert_eq!(w.state(&id).await, StateName::Queued);
        } else {
            assert_eq!(run.state, State::Running, "what the first attempt announced is history");
            w.says(&run, Event::Completed { exit_code: 1 }).await;
            w.ends(&agent, &id, attempt, exit(), Some(1)).await;
            assert_eq!(ended(&w, &id).await, (StateName::Failed, "exit_code".to_owned()), "a failure of its own");
        }
    }
}

#[tokio::test]
async fn a_machine_that_went_with_its_agent_is_a_preemption_too() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["preempted"], "backoff_seconds": 0 } })).await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let lease = w.claim(&agent).await.remove(0);
    w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect("acknowledged");
    let token = w.service.authenticate(&lease.token).await.expect("the token");
    let run = w.begin_run(&token, &id, "ana", "p", &lease.run_id).await;
    w.runs(&agent, &id, 1).await;
    w.says(&run, Event::Preempting).await;
    w.later(60_500).await;
    w.later(GRACE_MS).await;
    assert_eq!(w.state(&id).await, StateName::Queued);
    assert_eq!(w.beat(&agent, held(&id, 1)).await.lost, held(&id, 1));
}

#[tokio::test]
async fn what_an_agent_pushes_back_is_the_same_item_with_its_layers() {
    let w = World::new().await;
    pods(&w).await;
    let agent = w.stock_agent("vision", "pods").await;
    let spec = json!({ "job": "vision/p/job:v0", "project": "p" });
    let push = || w.service.item_push(&w.ana, "vision", "pods", spec.clone(), Door::Rest, WirePush::default());
    let id = push().await.expect("pushed").item.id.to_string();
    let before = w.item(&id).await;
    let (_, first) = w.pop("vision", "pods", &agent).await;
    let run = w.init(&id, &first).await;
    w.says(&run, Event::Preempting).await;
    w.says(&run, Event::Completed { exit_code: 137 }).await;
    let waits = w.item(&id).await;
    assert_eq!((waits.state, waits.unreachable_since.is_some()), (StateName::Running, true), "its agent sees it, too");

    // A queue that takes nothing new is no reason to lose it, and the queue's own fields are not the submitter's.
    w.service.queue_mode(&w.ana, "vision", "pods", QueueMode::Draining).await.expect("draining");
    assert_eq!(push_back(&w, "vision", "pods", &first).await.expect("taken back"), id);
    let item = w.item(&id).await;
    assert_eq!((item.state, item.attempt), (StateName::Queued, 1));
    assert_eq!(
        (item.queue_config, item.item_config, item.spec),
        (before.queue_config, before.item_config, before.spec)
    );
    assert!(
        w.service.authenticate(first["_wandb_api_key"].as_str().expect("a key")).await.is_err(),
        "the first's token"
    );
    assert_eq!(push_back(&w, "vision", "pods", &first).await.expect("said twice"), id);

    let (again, second) = w.pop("vision", "pods", &agent).await;
    assert_eq!(
        (again.as_str(), &second["run_id"], &second["_resume_count"]),
        (id.as_str(), &first["run_id"], &json!(1))
    );
    assert_eq!(push_back(&w, "vision", "pods", &first).await.expect("too late"), id);
    assert_eq!(w.state(&id).await, StateName::Running, "the word of the first attempt does not end the second");
    let resumed = w.init(&id, &second).await;
    w.says(&resumed, Event::Completed { exit_code: 0 }).await;
    assert_eq!(w.state(&id).await, StateName::Finished);
    let attempts = w.store.attempt_list(&id.parse().expect("an id")).await.expect("attempts");
    let told: Vec<_> =
        attempts.iter().map(|a| (a.state.as_str(), a.reason.as_ref().map(|r| r.code.as_str()))).collect();
    assert_eq!(told, [("lost", Some("preempted")), ("finished", None)]);
}

/// A queue of a team for Kubernetes, with a field that no submitter may set.
async fn pods(w: &World) {
    let new = NewQueue {
        name: Some("pods".into()),
        target: Some("kubernetes".into()),
        config: json!({ "spec": { "backoffLimit": 2 } }).as_object().cloned(),
        ..NewQueue::default()
    };
    w.service.queue_create(&w.ana, "vision", new).await.expect("a queue");
}

#[tokio::test]
async fn what_is_pushed_back_after_its_item_failed_is_a_new_item_of_the_same_run() {
    let w = World::new().await;
    pods(&w).await;
    let bo = World::user(&w.service, "bo").await;
    w.service.member_put("vision", "bo", lanza_model::Role::Member).await.expect("a member");
    let agent = w.stock_agent("vision", "pods").await;
    let spec = json!({ "job": "vision/p/job:v0", "project": "p", "idempotency_key": "once" });
    let pushed = w.service.item_push(&bo, "vision", "pods", spec, Door::Rest, WirePush::default()).await;
    let id = pushed.expect("pushed").item.id.to_string();
    let (_, first) = w.pop("vision", "pods", &agent).await;
    let run = w.init(&id, &first).await;
    w.says(&run, Event::Preempting).await;
    w.says(&run, Event::Completed { exit_code: 137 }).await;
    w.later(GRACE_MS).await;
    assert_eq!(ended(&w, &id).await, (StateName::Failed, "preempted".to_owned()));

    let new = push_back(&w, "vision", "pods", &first).await.expect("taken");
    assert_ne!(new, id, "what has ended stays so");
    assert_eq!(push_back(&w, "vision", "pods", &first).await.expect("said twice"), new);
    let (before, item) = (w.item(&id).await, w.item(&new).await);
    assert_eq!((item.author.as_str(), &item.planned_run), ("bo", &before.planned_run));
    assert_eq!((item.queue_config, item.item_config), (before.queue_config, before.item_config), "its layers");

    let (popped, second) = w.pop("vision", "pods", &agent).await;
    assert_eq!((popped.as_str(), &second["run_id"], &second["_resume_count"]), (&*new, &first["run_id"], &json!(1)));
    // The end of the first is not that of the second, which takes its time to begin.
    w.later(20_000).await;
    assert_eq!(w.state(&new).await, StateName::Running);
    let resumed = w.init(&new, &second).await;
    assert_eq!((resumed.id, resumed.state), (run.id.clone(), State::Running));
    assert_eq!(w.item(&new).await.run.as_deref(), Some(run.name.as_str()));
    w.later(20_000).await;
    assert_eq!(push_back(&w, "vision", "pods", &first).await.expect("too late"), new);
    assert_eq!(w.state(&new).await, StateName::Running);
    w.says(&run, Event::Completed { exit_code: 0 }).await;
    assert_eq!(w.state(&new).await, StateName::Finished);
    assert_eq!(ended(&w, &id).await, (StateName::Failed, "preempted".to_owned()));
}

#[tokio::test]
async fn what_was_stopped_or_did_its_work_does_not_come_back() {
    for stopped in [true, false] {
        let w = World::new().await;
        let agent = w.stock_agent("ana", "q").await;
        w.push(job()).await.expect("pushed");
        let (item, spec) = w.pop("ana", "q", &agent).await;
        let run = w.init(&item, &spec).await;
        if stopped {
            w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
        }
        w.says(&run, Event::Completed { exit_code: i64::from(stopped) }).await;
        let end = if stopped { StateName::Stopped } else { StateName::Finished };
        assert_eq!(w.state(&item).await, end);
        assert_eq!(push_back(&w, "ana", "q", &spec).await.expect("answered"), item);
        assert_eq!(w.state(&item).await, end);
    }
}

#[tokio::test]
async fn what_nobody_pushes_back_ends_after_the_grace_or_when_it_is_stopped() {
    for stop in [false, true] {
        let w = World::new().await;
        let (name, target) = (Some("pods".to_owned()), Some("kubernetes".to_owned()));
        w.service.queue_create(&w.ana, "ana", NewQueue { name, target, ..NewQueue::default() }).await.expect("a queue");
        let agent = w.stock_agent("ana", "pods").await;
        let pushed = w.service.item_push(&w.ana, "ana", "pods", job(), Door::Rest, WirePush::default()).await;
        let id = pushed.expect("pushed").item.id.to_string();
        let (_, spec) = w.pop("ana", "pods", &agent).await;
        let run = w.init(&id, &spec).await;
        w.says(&run, Event::Preempting).await;
        w.says(&run, Event::Completed { exit_code: 137 }).await;
        if stop {
            w.service.item_stop(&w.ana, &id, &Stop::default()).await.expect("asked");
            assert_eq!(ended(&w, &id).await, (StateName::Stopped, "stopped".to_owned()));
        } else {
            w.later(GRACE_MS).await;
            assert_eq!(ended(&w, &id).await, (StateName::Failed, "preempted".to_owned()));
        }
    }
}

#[tokio::test]
async fn an_item_that_is_to_stop_does_not_come_back() {
    let w = World::new().await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    w.init(&item, &spec).await;
    w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
    assert_eq!(push_back(&w, "ana", "q", &spec).await.expect("answered"), item);
    assert_eq!(ended(&w, &item).await, (StateName::Stopped, "stopped".to_owned()));
}

#[tokio::test]
async fn nobody_else_and_no_job_takes_an_item_from_its_agent() {
    let w = World::new().await;
    let bo = World::user(&w.service, "bo").await;
    w.service.member_put("vision", "bo", lanza_model::Role::Member).await.expect("a member");
    let agent = w.stock_agent("vision", "q").await;
    w.push_by(&w.ana, "vision", json!({ "job": "vision/p/job:v0", "project": "p" })).await.expect("pushed");
    let (item, spec) = w.pop("vision", "q", &agent).await;
    w.init(&item, &spec).await;
    let token = w.service.authenticate(spec["_wandb_api_key"].as_str().expect("a key")).await.expect("the token");
    let mut back = json!({ "job": "vision/p/job:v0", "project": "p", "_resume_count": 1 });
    back["run_id"] = spec["run_id"].clone();
    for actor in [&bo, &token] {
        let done = w.service.item_push(actor, "vision", "q", back.clone(), Door::Wire, WirePush::default()).await;
        assert!(done.map_or(true, |pushed| pushed.item.id.as_str() != item), "another item, or none");
        assert_eq!(w.state(&item).await, StateName::Running);
    }
}
