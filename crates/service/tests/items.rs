//! Stories of items: pushed, handed out, reported on, lost, stopped.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

mod world;

use std::{sync::Arc, time::Duration};

use lanza_api::{
    agent::{Claim, Heartbeat, PhaseReport, Register, Report},
    item::Stop,
    queue::NewQueue,
};
use lanza_model::{
    Phase, Reason, Role, Target,
    clock::Clock,
    code,
    item::{Ending, StateName},
    spec::Door,
};
use lanza_service::{
    Actor, Error, Supervisor, accounts::KeyRequest, items::WirePush, runs::RunRequest, stock_agents::StockRegister,
    tasks,
};
use lanza_store::runs::RunFields;
use serde_json::{Value, json};
use world::{START, World, held, job};

#[tokio::test]
async fn a_push_wakes_a_waiting_claim() {
    let w = World::new().await;
    let agent = w.agent().await;
    let (service, ana) = (w.service.clone(), w.ana.clone());
    let waiting = tokio::spawn(async move {
        let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 60_000, left: None, at_hand: None };
        service.agent_claim(&ana, &agent, &claim).await.expect("claim").leases
    });
    tokio::task::yield_now().await;
    let id = w.push(job()).await.expect("pushed");
    let leases = tokio::time::timeout(Duration::from_secs(4), waiting).await.expect("woken").expect("joined");
    assert_eq!((leases.len(), leases[0].item.as_str(), leases[0].token.len()), (1, id.as_str(), 40));
}

#[tokio::test]
async fn a_waiting_claim_has_an_item_when_its_time_comes() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["infrastructure"], "backoff_seconds": 3_600 } })).await;
    let agent = w.agent().await;
    let tasks = Supervisor::default();
    tasks::start(&w.service, &tasks);
    let waiting = || {
        let (service, ana, agent) = (w.service.clone(), w.ana.clone(), agent.clone());
        tokio::spawn(async move {
            let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 60_000, left: None, at_hand: None };
            service.agent_claim(&ana, &agent, &claim).await.expect("claim").leases
        })
    };
    // A claim looks by itself every 5 s, and has just looked: at the push, and when the attempt was given back.
    let claim = waiting();
    tokio::task::yield_now().await;
    let later = json!({ "job": "ana/p/job:v0", "project": "p", "not_before": START.plus_ms(3_600_000).to_string() });
    let id = w.push(later).await.expect("pushed");
    w.clock.advance_ms(3_599_999);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(!claim.is_finished(), "not before its time");
    w.clock.advance_ms(1);
    let leases = tokio::time::timeout(Duration::from_secs(2), claim).await.expect("in time").expect("joined");
    assert_eq!((leases[0].item.as_str(), leases[0].attempt), (id.as_str(), 1));

    w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect("acknowledged");
    let claim = waiting();
    tokio::task::yield_now().await;
    w.ends(&agent, &id, 1, Some(Reason::new(code::PUSH_FAILED, "the registry answered 503")), None).await;
    assert_eq!(w.state(&id).await, StateName::Queued);
    w.clock.advance_ms(3_600_000);
    let leases = tokio::time::timeout(Duration::from_secs(2), claim).await.expect("in time").expect("joined");
    assert_eq!((leases[0].item.as_str(), leases[0].attempt), (id.as_str(), 2));
    assert_eq!(tasks.stop(Duration::from_secs(10)).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_acknowledged_is_queued_again_as_if_nothing_had_happened() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let lease = w.claim(&agent).await.remove(0);
    w.later(59_000).await;
    assert_eq!(w.state(&id).await, StateName::Leased);
    w.later(1_000).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.attempt), (StateName::Queued, 0));
    assert!(w.service.authenticate(&lease.token).await.is_err(), "the token went with the lease");
    let late = w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect_err("too late");
    assert_eq!(late.code(), code::LEASE_LOST);
    assert_eq!(w.claim(&agent).await[0].attempt, 1);
}

#[tokio::test]
async fn a_silent_agent_keeps_its_item_for_the_grace_and_may_come_back() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    w.later(60_500).await;
    assert!(w.item(&id).await.unreachable_since.is_some());
    w.beat(&agent, held(&id, 1)).await;
    assert!(w.item(&id).await.unreachable_since.is_none(), "it came back");
    w.later(60_500).await;
    w.later(600_000).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.losses), (StateName::Queued, 1), "lost before it ran: again, without a policy");
    let answer = w.beat(&agent, held(&id, 1)).await;
    assert_eq!(answer.lost, held(&id, 1), "the agent is told that it lost the item");
    for attempt in 2..=4 {
        assert_eq!(w.claim(&agent).await[0].attempt, attempt);
        w.service.attempt_acknowledge(&w.ana, &agent, &id, attempt).await.expect("acknowledged");
        w.later(60_500).await;
        w.later(600_000).await;
    }
    let item = w.item(&id).await;
    assert_eq!(item.state, StateName::Failed, "three times at most");
    assert_eq!(item.reason.map(|r| r.code).as_deref(), Some("agent_lost"));
}

#[tokio::test]
async fn an_item_lost_while_it_ran_is_not_repeated() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    let phases = vec![PhaseReport { name: Phase::Run, started_at: w.clock.now(), ended_at: None }];
    let report = Report { phases, ..Report::default() };
    w.service.attempt_report(&w.ana, &agent, &id, 1, report).await.expect("reported");
    w.later(60_500).await;
    assert_eq!(w.state(&id).await, StateName::Running);
    w.later(600_000).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.phase), (StateName::Failed, Some(Phase::Run)));
    let late = w.outcome(Ending::Finished, Some(0));
    let refused = w.service.attempt_outcome(&w.ana, &agent, &id, 1, late).await;
    assert!(refused.is_ok(), "the same attempt may say how it ended; the item stays as it is");
    assert_eq!(w.state(&id).await, StateName::Failed);
}

#[tokio::test]
async fn a_job_that_never_called_init_has_failed_and_leaves_a_run_record() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    let outcome = w.outcome(Ending::Finished, Some(0));
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome.clone()).await.expect("outcome");
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome).await.expect("said twice");
    let item = w.item(&id).await;
    assert_eq!(item.state, StateName::Failed);
    assert_eq!(item.reason.as_ref().map(|r| r.code.as_str()), Some("no_init"));
    assert_eq!(item.run.as_deref(), Some(item.planned_run.as_str()), "nobody waits for the run for ever");
}

#[tokio::test]
async fn a_run_with_the_items_trace_id_is_its_run_and_later_ones_are_listed() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let lease = w.claim(&agent).await.remove(0);
    w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect("acknowledged");
    let token = w.service.authenticate(&lease.token).await.expect("the job's token");
    for run in ["first", "second", "first"] {
        w.service.item_run_seen(&token, &id, run).await.expect("seen");
    }
    w.service.item_run_seen(&token, "not-an-id", "x").await.expect("ignored");
    let stranger = World::user(&w.service, "eve").await;
    w.service.item_run_seen(&stranger, &id, "evil").await.expect("ignored");
    let item = w.item(&id).await;
    assert_eq!((item.run.as_deref(), item.runs), (Some("first"), vec!["first".to_owned(), "second".to_owned()]));
    let outcome = w.outcome(Ending::Finished, Some(0));
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome).await.expect("outcome");
    assert_eq!(w.state(&id).await, StateName::Finished);
    w.clock.advance_ms(5 * 60_000 + 3_000);
    assert!(w.service.authenticate(&lease.token).await.is_err(), "the token dies five minutes after the attempt");
}

#[tokio::test]
async fn a_jobs_token_reaches_its_own_project_and_queue_only() {
    let w = World::new().await;
    let agent = w.agent().await;
    w.push(job()).await.expect("pushed");
    let lease = w.claim(&agent).await.remove(0);
    let token = w.service.authenticate(&lease.token).await.expect("the job's token");
    assert!(w.service.project_writable(&token, "ana", "P").await.is_ok());
    assert!(matches!(w.service.project_writable(&token, "ana", "other").await, Err(Error::Forbidden(_))));
    assert!(matches!(w.service.entity_seen(&token, "vision").await, Err(Error::NotFound { .. })));
    assert!(w.service.queue_find(&token, "ana", "q").await.is_ok());
    assert!(w.service.key_create(&token, KeyRequest::default()).await.is_err());
    assert!(w.service.sign_in(None, None, Some(&lease.token)).await.is_err());
    assert!(
        w.service
            .agent_heartbeat(&token, &agent, &Heartbeat { items: vec![], draining: false, leaving: false, wait_ms: 0 })
            .await
            .is_err()
    );
    let pushed =
        w.service.item_push(&token, "ana", "q", job(), Door::Wire, WirePush::default()).await.expect("its queue");
    assert_eq!(pushed.item.author, "ana");
}

#[tokio::test]
async fn a_waiting_item_stops_at_once_and_a_running_one_through_its_agent() {
    let w = World::new().await;
    let agent = w.agent().await;
    let waiting = w.push(job()).await.expect("pushed");
    let stop = Stop { grace_seconds: Some(5) };
    w.service.item_stop(&w.ana, &waiting, &stop).await.expect("stopped");
    assert_eq!(w.state(&waiting).await, StateName::Stopped);
    assert!(matches!(w.service.item_stop(&w.ana, &waiting, &stop).await, Err(Error::Conflict { .. })));
    let id = w.running(&agent).await;
    w.service.item_stop(&w.ana, &id, &stop).await.expect("asked");
    assert_eq!(w.state(&id).await, StateName::Running);
    let answer = w.beat(&agent, held(&id, 1)).await;
    assert_eq!(
        answer.stop.iter().map(|s| (s.item.as_str(), s.grace_seconds)).collect::<Vec<_>>(),
        [(id.as_str(), Some(5))]
    );
    let outcome = w.outcome(Ending::Stopped, Some(143));
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome).await.expect("outcome");
    let item = w.item(&id).await;
    assert_eq!((item.state, item.exit_code), (StateName::Stopped, None));
}

#[tokio::test]
async fn a_stop_reaches_a_waiting_heartbeat_at_once() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    let (service, ana, beat) = (
        w.service.clone(),
        w.ana.clone(),
        Heartbeat { items: held(&id, 1), draining: false, leaving: false, wait_ms: 30_000 },
    );
    let waiting = tokio::spawn(async move { service.agent_heartbeat(&ana, &agent, &beat).await.expect("heartbeat") });
    tokio::task::yield_now().await;
    w.service.item_stop(&w.ana, &id, &Stop::default()).await.expect("asked");
    let answer = tokio::time::timeout(Duration::from_secs(4), waiting).await.expect("woken").expect("joined");
    assert_eq!(answer.stop.len(), 1);
}

#[tokio::test]
async fn only_the_author_and_admins_stop_an_item_and_strangers_do_not_see_it() {
    let w = World::new().await;
    let (bob, eve) = (World::user(&w.service, "bob").await, World::user(&w.service, "eve").await);
    w.service.member_put("vision", "bob", Role::Member).await.expect("a member");
    let push = |actor: Arc<Actor>| {
        let service = w.service.clone();
        async move { service.item_push(&actor, "vision", "q", job(), Door::Rest, WirePush::default()).await }
    };
    let anas = push(w.ana.clone()).await.expect("pushed").item.id.to_string();
    let bobs = push(bob.clone()).await.expect("pushed").item.id.to_string();
    assert!(matches!(push(eve.clone()).await, Err(Error::NotFound { .. })));
    let stop = Stop::default();
    assert!(matches!(w.service.item_stop(&bob, &anas, &stop).await, Err(Error::Forbidden(_))));
    assert!(matches!(w.service.item_stop(&eve, &bobs, &stop).await, Err(Error::NotFound { .. })));
    w.service.item_stop(&w.ana, &bobs, &stop).await.expect("an admin may");
    w.service.member_put("vision", "bob", Role::Viewer).await.expect("demoted");
    assert!(matches!(push(bob).await, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn what_a_submitter_may_not_set_is_refused_by_field_in_a_team_only() {
    let w = World::new().await;
    let spec = json!({ "job": "vision/p/job:v0", "project": "p", "resource_args": { "process": { "command": "rm" } } });
    for door in [Door::Rest, Door::Wire] {
        let refused = w.service.item_push(&w.ana, "vision", "q", spec.clone(), door, WirePush::default()).await;
        match refused {
            Err(Error::Invalid { field, code, .. }) => {
                assert_eq!((field.as_str(), code.word), ("resource_args.local-process.command", "field_not_allowed"));
            }
            other => panic!("accepted through {door:?}: {other:?}"),
        }
    }
    let own = w.service.item_push(&w.ana, "ana", "q", spec, Door::Rest, WirePush::default()).await;
    assert!(own.is_ok(), "in a personal space both layers are the owner's");
}

#[tokio::test]
async fn a_run_goes_into_another_entity_of_its_author_and_no_other() {
    let w = World::new().await;
    World::user(&w.service, "eve").await;
    let spec = |entity: &str| json!({ "job": "ana/p/job:v0", "project": "p", "entity": entity });
    let refused = w.push(spec("eve")).await.expect_err("not hers");
    assert!(matches!(&refused, Error::Invalid { field, .. } if field == "entity"), "{refused}");
    let id = w.push(spec("vision")).await.expect("a team of hers");
    let agent = w.agent().await;
    let lease = w.claim(&agent).await.remove(0);
    assert_eq!((lease.entity.as_str(), lease.run_entity.as_str()), ("ana", "vision"));
    w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect("acknowledged");
    let token = w.service.authenticate(&lease.token).await.expect("the job's token");
    let config = json!({ "_wandb": { "value": { "launch_trace_id": id } } }).to_string();
    let run = |entity: &str| RunRequest {
        entity: Some(entity.into()),
        project: Some("p".into()),
        name: Some(lease.run_id.clone()),
        fields: RunFields { config: Some(config.clone()), ..RunFields::default() },
        ..RunRequest::default()
    };
    w.service.run_upsert(&token, run("vision")).await.expect("its run");
    assert!(w.service.run_upsert(&token, run("ana")).await.is_err(), "beside it");
    // Followed like any other, to its end.
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, w.outcome(Ending::Finished, Some(0))).await.expect("ended");
    assert_eq!(
        (w.item(&id).await.run.as_deref(), w.state(&id).await),
        (Some(lease.run_id.as_str()), StateName::Finished)
    );
}

#[tokio::test]
async fn a_launch_with_the_id_of_an_earlier_run_goes_on_with_it_once_its_item_has_ended() {
    let w = World::new().await;
    let agent = w.agent_on("0123456789abcdef", None, None).await;
    let begin = async |run: Option<&str>| {
        let mut spec = job();
        spec["run_id"] = json!(run);
        let id = w.push(spec).await.expect("pushed");
        let lease = w.claim(&agent).await.remove(0);
        assert_eq!(lease.item, id);
        w.service.attempt_acknowledge(&w.ana, &agent, &id, 1).await.expect("acknowledged");
        let token = w.service.authenticate(&lease.token).await.expect("the job's token");
        (id.clone(), lease.run_id.clone(), w.begin_run(&token, &id, "ana", "p", &lease.run_id).await)
    };
    let (first, name, run) = begin(None).await;
    let (second, ..) = begin(Some(&name)).await;
    assert_eq!(w.item(&second).await.run, None, "nobody takes a run from an item that runs");
    w.service.attempt_outcome(&w.ana, &agent, &second, 1, w.outcome(Ending::Failed, Some(1))).await.expect("ended");
    let found = w.service.run_by_row_id(&w.ana, run.id.as_str()).await.expect("the run");
    assert_eq!(found.state, lanza_model::run::State::Running, "nor ends one");
    w.service.attempt_outcome(&w.ana, &agent, &first, 1, w.outcome(Ending::Failed, Some(1))).await.expect("ended");
    let (third, _, again) = begin(Some(&name)).await;
    assert_eq!((again.id, again.trace_id.as_deref(), again.exit_code), (run.id, Some(third.as_str()), None));
    w.service.attempt_outcome(&w.ana, &agent, &third, 1, w.outcome(Ending::Finished, Some(0))).await.expect("ended");
    let item = w.item(&third).await;
    assert_eq!((item.state, item.run.as_deref()), (StateName::Finished, Some(name.as_str())));
    assert_eq!(w.item(&first).await.run.as_deref(), Some(name.as_str()), "it was that item's, too");
}

#[tokio::test]
async fn what_an_agent_would_refuse_is_refused_at_the_launch() {
    let w = World::new().await;
    let queue = async |name: &str, config: Value| {
        let (name, target) = (Some(name.to_owned()), Some("docker".into()));
        let new = NewQueue { name, target, config: config.as_object().cloned(), ..NewQueue::default() };
        w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    };
    queue("good", json!({ "ulimit": [], "command": ["a", "b"], "env": { "A": 1 }, "memory": "${SIZE}" })).await;
    queue("bad", json!({ "volumme": "/a:/b" })).await;
    let push = async |queue: &str, args: Value, door: Door| {
        let spec = json!({ "job": "ana/p/job:v0", "project": "p", "resource_args": { "local-container": args } });
        w.service.item_push(&w.ana, "ana", queue, spec, door, WirePush::default()).await
    };
    for good in [json!({}), json!({ "env": { "B": true } }), json!({ "ulimit": [], "privileged": true, "gpus": "all" })]
    {
        push("good", good.clone(), Door::Rest).await.expect("accepted");
    }
    for (args, field) in [
        (json!({ "env": true }), "env"),
        (json!({ "gpus": "some" }), "gpus"),
        (json!({ "--volumme": "/a:/b" }), "--volumme"),
        (json!({ "builder": { "base_image": 3 } }), "builder.base_image"),
        (json!({ "builder": { "accelerator": { "base_image": [] } } }), "builder.accelerator.base_image"),
    ] {
        for door in [Door::Rest, Door::Wire] {
            let refused = push("good", args.clone(), door).await.expect_err("no agent takes it");
            assert_eq!(refused.code(), code::CONFIG_REFUSED, "{args}");
            assert!(refused.to_string().starts_with(&format!("resource_args.local-container.{field}: ")), "{refused}");
        }
    }
    let refused = push("bad", json!({}), Door::Rest).await.expect_err("nothing can run there").to_string();
    assert!(
        refused.starts_with("queue.config.volumme: ") && refused.contains("until its admin mends that"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_launch_chooses_its_build_and_brings_no_rights_along() {
    let w = World::new().await;
    for (name, target) in [("docker", "docker"), ("pods", "kubernetes")] {
        let new = NewQueue { name: Some(name.into()), target: Some(target.into()), ..NewQueue::default() };
        w.service.queue_create(&w.ana, "vision", new).await.expect("a queue");
    }
    let push = async |queue: &str, more: Value, door: Door| {
        let mut spec = json!({ "job": "vision/p/job:v0", "project": "p" });
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        w.service.item_push(&w.ana, "vision", queue, spec, door, WirePush::default()).await
    };
    let choice =
        json!({ "builder": { "type": "noop", "platform": "linux/arm64" }, "registry": { "url": "r.example/x" } });
    let pushed = push("docker", choice.clone(), Door::Rest).await.expect("a choice");
    assert_eq!(pushed.item.spec["builder"], choice["builder"], "the agent decides");
    let pushed = push("q", choice, Door::Rest).await.expect("a choice");
    assert!(
        pushed.warnings.iter().any(|w| w.starts_with("`builder` and `registry` are ignored")),
        "{:?}",
        pushed.warnings
    );
    let mount = json!([{ "config": { "spec": { "volumes": [{ "hostPath": { "path": "/" } }] } } }]);
    for (queue, more, code) in [
        ("docker", json!({ "builder": { "credentials": { "username": "u" } } }), code::BUILDER_REFUSED),
        ("docker", json!({ "builder": { "type": "kaniko" } }), code::BUILDER_REFUSED),
        ("docker", json!({ "registry": { "password": "x" } }), code::BUILDER_REFUSED),
        ("pods", json!({ "additional_services": mount }), code::FIELD_NOT_ALLOWED),
    ] {
        for door in [Door::Rest, Door::Wire] {
            let refused = push(queue, more.clone(), door).await.expect_err("a right");
            assert_eq!(refused.code(), code, "{refused}");
        }
    }
    let service = json!({ "additional_services": [{ "config": { "kind": "Service" } }] });
    push("pods", service.clone(), Door::Rest).await.expect("a harmless one");
    let refused = push("docker", service.clone(), Door::Rest).await.expect_err("no Kubernetes");
    assert_eq!(refused.code(), code::TARGET_MISMATCH);
    let pushed = push("docker", service, Door::Wire).await.expect("lenient");
    assert!(pushed.warnings.iter().any(|w| w.contains("additional_services are ignored")), "{:?}", pushed.warnings);
}

#[tokio::test]
async fn a_stock_agent_takes_from_its_own_queues_only() {
    let w = World::new().await;
    let new = NewQueue { name: Some("other".into()), target: Some("process".into()), ..NewQueue::default() };
    w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let (_, own) = w.service.queue_find(&w.ana, "ana", "q").await.expect("the queue");
    let register = StockRegister {
        queues: vec![own.id.to_string()],
        host: "h".into(),
        version: "wandb@0.31.0".into(),
        settings: Value::Null,
    };
    let agent = w.service.stock_agent_register(&w.ana, "ana", register).await.expect("registered").id.to_string();
    w.push(job()).await.expect("pushed");
    let refused = w.service.stock_agent_pop(&w.ana, "ana", "other", &agent).await.expect_err("not its queue");
    assert!(matches!(refused, Error::Conflict { .. }) && refused.to_string().contains("not registered"), "{refused}");
    assert!(w.service.stock_agent_pop(&w.ana, "ana", "q", &agent).await.expect("its own").is_some());
}

#[tokio::test]
async fn the_queues_target_wins_on_the_wire_and_rest_refuses_another() {
    let w = World::new().await;
    let spec = json!({ "job": "ana/p/job:v0", "project": "p", "resource": "local-container" });
    let refused = w.push(spec.clone()).await.expect_err("another target");
    assert_eq!(refused.code(), code::TARGET_MISMATCH);
    let pushed =
        w.service.item_push(&w.ana, "ana", "q", spec, Door::Wire, WirePush::default()).await.expect("on the wire");
    assert_eq!(pushed.item.target, Target::Process);
    assert_eq!(pushed.resolved_spec["resource"], "local-process");
    assert!(pushed.warnings.iter().any(|w| w.contains("is ignored")), "{:?}", pushed.warnings);
}

#[tokio::test]
async fn templates_are_filled_and_held_to_their_bounds() {
    let w = World::new().await;
    let new = NewQueue {
        name: Some("t".into()),
        target: Some("docker".into()),
        config: json!({ "gpus": "{{gpus}}", "env": ["TEAM={{team}}"] }).as_object().cloned(),
        templates: json!({ "gpus": { "schema": { "type": "integer", "minimum": 1, "maximum": 4, "default": 1 } },
                           "team": { "schema": { "type": "string" } } })
        .as_object()
        .cloned(),
        ..NewQueue::default()
    };
    w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let push = |values: Value| {
        let spec = json!({ "docker": { "docker_image": "x" }, "project": "p", "template_variables": values });
        w.service.item_push(&w.ana, "ana", "t", spec, Door::Rest, WirePush::default())
    };
    let item = push(json!({ "team": "vision", "gpus": 2 })).await.expect("pushed").item;
    assert_eq!(Value::Object(item.queue_config), json!({ "gpus": 2, "env": ["TEAM=vision"] }));
    assert_eq!(
        push(json!({ "team": "vision", "gpus": 9 })).await.expect_err("too many").code(),
        code::TEMPLATE_INVALID
    );
    assert_eq!(push(json!({ "gpus": 1 })).await.expect_err("no team").code(), code::TEMPLATE_INVALID);
}

#[tokio::test]
async fn an_agent_is_told_which_queues_exist_and_is_the_same_after_a_restart() {
    let w = World::new().await;
    let first = w.agent().await;
    assert_eq!(first, w.agent().await, "the same state folder is the same agent");
    let mut register = Register {
        state: "fedcba9876543210".into(),
        host: "h".into(),
        version: "lanza@0".into(),
        queues: vec!["nope".into()],
        targets: vec![Target::Docker],
        slots: None,
        resources: None,
        settings: Value::Null,
    };
    let missing = w.service.agent_register(&w.ana, "ana", register.clone()).await.expect_err("no such queue");
    assert!(missing.to_string().contains("`q`"), "{missing}");
    register.queues = vec!["q".into()];
    let unfit = w.service.agent_register(&w.ana, "ana", register).await.expect_err("another target");
    assert!(unfit.to_string().contains("process"), "{unfit}");
}

#[tokio::test]
async fn an_agent_of_a_service_account_runs_items_as_their_submitters() {
    let w = World::new().await;
    let bo = World::user(&w.service, "bo").await;
    w.service.member_put("vision", "bo", Role::Member).await.expect("a member");
    let (_, key) = w.service.service_account_create("vision", "robot").await.expect("an account");
    let robot = w.service.authenticate(&key).await.expect("the account");
    let register = w.registration("robot-0123456789", &["q"], Some(1), None);
    let agent = w.service.agent_register(&robot, "vision", register).await.expect("registered").1.id.to_string();
    for (who, actor) in [("bo", &bo), ("robot", &robot)] {
        let id = w.push_by(actor, "vision", json!({ "job": "vision/p/job:v0", "project": "p" })).await.expect("pushed");
        let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
        let lease = w.service.agent_claim(&robot, &agent, &claim).await.expect("claimed").leases.remove(0);
        assert_eq!((lease.item.as_str(), lease.author.as_str()), (id.as_str(), who));
        let token = w.service.authenticate(&lease.token).await.expect("the job's token");
        assert_eq!(token.username, who, "whoever runs the agent");
        // A script may say that it runs for somebody else; a job is its submitter's all the same.
        let run = RunRequest {
            entity: Some("vision".into()),
            project: Some("p".into()),
            name: Some(lease.run_id),
            on_behalf_of: Some("ana".into()),
            ..RunRequest::default()
        };
        assert_eq!(w.service.run_upsert(&token, run).await.expect("a run").run.author, who);
        w.service.attempt_acknowledge(&robot, &agent, &id, 1).await.expect("acknowledged");
        let outcome = w.outcome(Ending::Failed, Some(1));
        w.service.attempt_outcome(&robot, &agent, &id, 1, outcome).await.expect("ended");
    }
}

#[tokio::test]
async fn a_job_hands_on_the_layer_that_it_was_given_and_no_other() {
    let w = World::new().await;
    let new = NewQueue { name: Some("docker".into()), target: Some("docker".into()), ..NewQueue::default() };
    w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let agent = w.agent_for("ana", "docker", Target::Docker).await;
    let push = async |actor: &Actor, args: Value| {
        let spec = json!({ "job": "ana/p/job:v0", "project": "p", "resource_args": { "local-container": args } });
        w.service.item_push(actor, "ana", "docker", spec, Door::Rest, WirePush::default()).await.map(|p| p.item.id)
    };
    // In her own space the owner may say anything.
    push(&w.ana, json!({ "volume": ["/data:/data"] })).await.expect("pushed");
    let claim = Claim { queues: vec!["docker".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
    let lease = w.service.agent_claim(&w.ana, &agent, &claim).await.expect("claimed").leases.remove(0);
    let token = w.service.authenticate(&lease.token).await.expect("the job's token");
    push(&token, json!({ "volume": ["/data:/data"] })).await.expect("what it was given itself");
    push(&token, json!({ "shm-size": "1g" })).await.expect("what every submitter may set");
    for (args, field) in [
        (json!({ "volume": ["/:/host"] }), "volume"),
        (json!({ "privileged": true }), "privileged"),
        (json!({ "env": { "A": "${AWS_SECRET_ACCESS_KEY}" } }), "env"),
        (json!({ "env": ["AWS_SECRET_ACCESS_KEY"] }), "env"),
    ] {
        let refused = push(&token, args.clone()).await.expect_err("beyond its own");
        assert_eq!(refused.code(), code::FIELD_NOT_ALLOWED, "{args}");
        assert!(refused.to_string().contains(field), "{refused}");
    }
}

#[tokio::test]
async fn a_run_that_names_somebody_elses_item_moves_nothing_of_it() {
    let w = World::new().await;
    let vera = World::user(&w.service, "vera").await;
    w.service.member_put("vision", "vera", Role::Viewer).await.expect("a viewer");
    let agent = w.agent_in("vision", "vision-0123456789").await;
    let id = w.push_by(&w.ana, "vision", json!({ "job": "vision/p/job:v0", "project": "p" })).await.expect("pushed");
    w.begin(&agent).await;
    let config = json!({ "_wandb": { "value": { "launch_trace_id": id } } }).to_string();
    let run = |entity: &str, project: &str| RunRequest {
        entity: Some(entity.into()),
        project: Some(project.into()),
        name: Some("r1".into()),
        fields: RunFields { config: Some(config.clone()), ..RunFields::default() },
        ..RunRequest::default()
    };
    // A viewer sees the item, and may write only in her own space.
    let hers = w.service.run_upsert(&vera, run("vera", "p")).await.expect("a run").run;
    assert!(hers.trace_id.is_none() && w.service.run_stop(&vera, &hers).await.expect("stopped"));
    let elsewhere = w.service.run_upsert(&w.ana, run("vision", "other")).await.expect("a run").run;
    w.service.run_stop(&w.ana, &elsewhere).await.expect("stopped");
    let item = w.item(&id).await;
    assert!(item.stop_requested_at.is_none() && item.runs.is_empty(), "{item:?}");
    let own = w.service.run_upsert(&w.ana, run("vision", "p")).await.expect("a run").run;
    assert_eq!(own.trace_id.as_deref(), Some(id.as_str()));
    let bob = World::user(&w.service, "bob").await;
    w.service.member_put("vision", "bob", Role::Admin).await.expect("an admin");
    w.service.run_stop(&bob, &own).await.expect("stopped");
    assert!(w.item(&id).await.stop_requested_at.is_some(), "its own run stops it");
    // Who asked first is told, though the agent that ends it does not know.
    w.service.item_stop(&w.ana, &id, &Stop::default()).await.expect("asked again");
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, w.outcome(Ending::Stopped, None)).await.expect("ended");
    assert_eq!(w.item(&id).await.reason.expect("a reason").message, "stopped by bob");
}
