//! What a queue's policy, its agents' machines and its submitters' rights do to its items.

mod world;

use std::sync::Arc;

use lanza_api::queue::{ApplyQueues, NewQueue, QueueAction};
use lanza_model::{Reason, Role, clock::Clock, code, config::Layer, item::StateName, resources::Capacity, spec::Door};
use lanza_service::{Error, items::WirePush, queues::QueueMode};
use serde_json::{Value, json};
use world::{World, held, job};

/// A machine with so many GPUs.
#[expect(clippy::unnecessary_wraps, reason = "its callers have an option")]
fn gpus(n: u32) -> Option<Capacity> {
    Some(Capacity { cpus: Some(8.0), memory_bytes: Some(64 << 30), gpus: Some(n) })
}

fn asks(resources: Value) -> Value {
    json!({ "job": "ana/p/job:v0", "project": "p", "resources": resources })
}

fn with(mut spec: Value, key: &str, value: Value) -> Value {
    spec[key] = value;
    spec
}

fn list(queues: Value, prune: bool) -> ApplyQueues {
    ApplyQueues { queues: queues.as_array().expect("a list").clone(), prune }
}

#[tokio::test]
async fn urgent_items_go_first_and_equal_ones_in_turn() {
    let w = World::new().await;
    let agent = w.agent_on("0123456789abcdef", Some(9), None).await;
    let mut pushed = Vec::new();
    for priority in ["low", "medium", "high", "critical", "low", "high", "critical", "medium"] {
        pushed.push((priority, w.push(with(job(), "priority", priority.into())).await.expect("pushed")));
    }
    let mut expected = Vec::new();
    for priority in ["critical", "high", "medium", "low"] {
        expected.extend(pushed.iter().filter(|(p, _)| *p == priority).map(|(_, id)| id.clone()));
    }
    let mut got = Vec::new();
    for free in [1, 3, 4] {
        got.extend(w.claim_from(&agent, &["q"], free, None).await.into_iter().map(|(id, _)| id));
    }
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_cap_holds_for_all_agents_together_and_is_room_again_when_an_item_ends() {
    let w = World::new().await;
    w.policy(json!({ "max_running": 2 })).await;
    let agents =
        [w.agent_on("0123456789abcdef", None, None).await, w.agent_on("fedcba9876543210", None, gpus(1)).await];
    for _ in 0..4 {
        w.push(job()).await.expect("pushed");
    }
    let first = w.claim_from(&agents[0], &["q"], 1, None).await;
    let second = w.claim_from(&agents[1], &["q"], 4, gpus(1)).await;
    assert_eq!((first.len(), second.len()), (1, 1), "two in all");
    assert!(w.claim_from(&agents[0], &["q"], 4, None).await.is_empty());
    let waiting = w.push(job()).await.expect("pushed");
    let why = w.why(&waiting).await;
    assert_eq!((why.rule.as_str(), why.ahead), ("queue_cap", 2), "{}", why.message);
    let (item, attempt) = &second[0];
    w.service.attempt_acknowledge(&w.ana, &agents[1], item, *attempt).await.expect("acknowledged");
    w.ends(&agents[1], item, *attempt, None, Some(0)).await;
    assert_eq!(w.claim_from(&agents[0], &["q"], 4, None).await.len(), 1);
}

#[tokio::test]
async fn a_user_at_the_cap_waits_and_others_go_on() {
    let w = World::new().await;
    let bob = World::user(&w.service, "bob").await;
    w.service.member_put("vision", "bob", Role::Member).await.expect("a member");
    let policy = json!({ "max_running_per_user": 1 }).as_object().cloned();
    let new = NewQueue { policy, ..NewQueue::default() };
    w.service.queue_put(&w.ana, "vision", "q", new, false).await.expect("a policy");
    let mut items = Vec::new();
    for actor in [&w.ana, &w.ana, &w.ana, &bob] {
        items.push(w.push_by(actor, "vision", job()).await.expect("pushed"));
    }
    let agent = w.agent_in("vision", "0123456789abcdef").await;
    let got: Vec<_> = w.claim_from(&agent, &["q"], 4, None).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(got, [items[0].clone(), items[3].clone()], "one of each");
    let why = w.why(&items[1]).await;
    assert_eq!(why.rule, "user_cap", "{}", why.message);
    assert!(why.message.contains("`ana`") && why.message.contains("allows 1 a user"), "{}", why.message);
}

#[tokio::test]
async fn a_push_wakes_nobody_in_a_paused_queue_and_a_draining_one_refuses_it() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Paused).await.expect("paused");
    assert!(w.claim_from(&agent, &["q"], 1, None).await.is_empty());
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Draining).await.expect("draining");
    assert!(matches!(w.push(job()).await, Err(Error::Conflict { .. })));
    assert_eq!(w.begin(&agent).await.0, id, "what waits still runs");
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Open).await.expect("resumed");
    w.push(job()).await.expect("pushed");
    let history = w.service.queue_history(&w.ana, "ana", "q", None, 10).await.expect("history");
    let verbs: Vec<_> = history.iter().rev().map(|line| line.event.verb.as_str()).collect();
    assert_eq!(verbs, ["created", "paused", "draining", "resumed"]);
}

#[tokio::test]
async fn limits_are_changed_without_an_end_of_a_drain() {
    let w = World::new().await;
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Draining).await.expect("draining");
    let change = async |policy: serde_json::Value| {
        let new = NewQueue { policy: policy.as_object().cloned(), ..NewQueue::default() };
        w.service.queue_put(&w.ana, "ana", "q", new, false).await.expect("changed").0
    };
    let queue = change(json!({ "max_running": 3 })).await;
    assert_eq!(queue.policy.get("draining"), Some(&json!(true)));
    assert!(matches!(w.push(job()).await, Err(Error::Conflict { .. })));
    let queue = change(json!({ "max_running": 3, "draining": false })).await;
    assert_eq!(queue.policy.get("draining"), Some(&json!(false)));
    w.push(job()).await.expect("pushed");
}

#[tokio::test]
async fn a_change_made_for_settings_of_before_is_refused() {
    let w = World::new().await;
    let revision = async || {
        let (entity, queue) = w.service.queue_find(&w.ana, "ana", "q").await.expect("a queue");
        w.service.queue_view(&entity, &queue).await.expect("a view").revision
    };
    let limit = |n: i64| NewQueue { policy: json!({ "max_running": n }).as_object().cloned(), ..NewQueue::default() };
    let seen = revision().await;
    // What it does just now is no setting: a pause stands in nobody's way, and is not undone.
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Paused).await.expect("paused");
    assert_eq!(revision().await, seen);
    let put = async |n, seen: &str| w.service.queue_put_at(&w.ana, "ana", "q", limit(n), false, Some(seen)).await;
    let (queue, _) = put(3, &seen).await.expect("changed");
    assert!(queue.paused);
    let refused = put(4, &seen).await.expect_err("refused");
    assert_eq!(refused.code().word, "changed_since", "{refused}");
    // Whoever is first wins, also when both have seen the same.
    let seen = revision().await;
    let (one, other) = tokio::join!(put(5, &seen), put(6, &seen));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    // The same settings again have the same revision.
    let seen = revision().await;
    put(7, &seen).await.expect("changed");
    assert_ne!(revision().await, seen);
    w.service.queue_put(&w.ana, "ana", "q", limit(if one.is_ok() { 5 } else { 6 }), false).await.expect("back");
    assert_eq!(revision().await, seen);
}

#[tokio::test]
async fn a_queue_remembers_what_each_change_changed_but_no_secret() {
    let w = World::new().await;
    let change = async |body: serde_json::Value| {
        let new: NewQueue = serde_json::from_value(body).expect("a queue");
        w.service.queue_put(&w.ana, "ana", "q", new, false).await.expect("changed");
    };
    change(json!({ "config": { "cpus": 1, "env": { "HF_TOKEN": "hf_abc", "MODE": "fast" } } })).await;
    change(json!({ "config": { "cpus": 2, "env": { "HF_TOKEN": "secret:HF", "MODE": "fast" } } })).await;
    change(json!({ "policy": { "max_running": 3 }, "priority": false })).await;
    let history = w.service.queue_history(&w.ana, "ana", "q", None, 10).await.expect("history");
    let seen: Vec<_> = history.iter().map(|line| serde_json::to_value(line).expect("JSON")).collect();
    assert_eq!(seen[0]["actor"], "ana");
    let differs =
        |path: &str, from: serde_json::Value, to: serde_json::Value| json!({ "path": path, "from": from, "to": to });
    let null = serde_json::Value::Null;
    assert_eq!(
        seen[0]["changes"],
        json!([differs("policy.max_running", null.clone(), json!(3)), differs("priority", json!(true), json!(false))])
    );
    assert_eq!(
        seen[1]["changes"],
        json!([
            differs("config.cpus", json!(1), json!(2)),
            differs("config.env.HF_TOKEN", json!("***"), json!("secret:HF"))
        ])
    );
    assert_eq!(
        seen[2]["changes"],
        json!([
            differs("config.cpus", null.clone(), json!(1)),
            differs("config.env", null.clone(), json!({ "HF_TOKEN": "***", "MODE": "fast" }))
        ])
    );
    assert_eq!(history.last().map(|line| line.event.verb.as_str()), Some("created"));
}

#[tokio::test]
async fn infrastructure_is_tried_again_with_growing_waits_and_then_fails_with_its_reason() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 2, "on": ["infrastructure"], "backoff_seconds": 30 } })).await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let failure = || Some(Reason::new(code::PUSH_FAILED, "the registry answered 503"));
    for (attempt, wait_ms) in [(1, 30_000), (2, 60_000)] {
        assert_eq!(w.begin(&agent).await, (id.clone(), attempt));
        w.ends(&agent, &id, attempt, failure(), None).await;
        let item = w.item(&id).await;
        assert_eq!((item.state, item.next_retry_at), (StateName::Queued, Some(w.clock.now().plus_ms(wait_ms))));
        assert_eq!(w.why(&id).await.rule, "retry_backoff");
        w.later(wait_ms - 1).await;
        assert!(w.claim_from(&agent, &["q"], 1, None).await.is_empty(), "not before its time");
        w.later(1).await;
    }
    assert_eq!(w.begin(&agent).await, (id.clone(), 3));
    w.ends(&agent, &id, 3, failure(), None).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.max_attempts), (StateName::Failed, 3));
    assert_eq!(item.reason.map(|r| r.code).as_deref(), Some("push_failed"));
    let (entity, _, item) = w.service.item_find(&w.ana, &id).await.expect("the item");
    let attempts = w.service.item_view(&entity, &item).await.expect("a view").attempts;
    assert_eq!(attempts.iter().map(|a| a.state.as_str()).collect::<Vec<_>>(), ["failed"; 3]);
}

#[tokio::test]
async fn exit_codes_are_tried_again_only_where_the_policy_names_them() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["exit:75"], "backoff_seconds": 0 } })).await;
    let agent = w.agent().await;
    let exit = || Some(Reason::new(code::EXIT_CODE, "it exited"));
    for (exit_code, state) in [(1, StateName::Failed), (75, StateName::Queued)] {
        let id = w.push(job()).await.expect("pushed");
        w.begin(&agent).await;
        w.ends(&agent, &id, 1, exit(), Some(exit_code)).await;
        let item = w.item(&id).await;
        assert_eq!((item.state, item.planned_run.is_empty()), (state, false), "exit code {exit_code}");
    }
    let (id, attempt) = w.begin(&agent).await;
    assert_eq!(attempt, 2);
    w.ends(&agent, &id, 2, exit(), Some(75)).await;
    assert_eq!(w.state(&id).await, StateName::Failed, "once only");
}

#[tokio::test]
async fn what_was_lost_in_mid_run_is_tried_again_where_the_policy_says_so_under_the_same_run() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["lost"], "backoff_seconds": 0 }, "lost_after_seconds": 100 })).await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let planned = w.item(&id).await.planned_run;
    for (attempt, state) in [(1, StateName::Queued), (2, StateName::Failed)] {
        w.begin(&agent).await;
        w.runs(&agent, &id, attempt).await;
        w.later(60_500).await;
        w.later(39_000).await;
        assert_eq!(w.state(&id).await, StateName::Running, "the queue's own grace");
        w.later(1_000).await;
        let item = w.item(&id).await;
        assert_eq!((item.state, item.planned_run == planned), (state, true), "attempt {attempt}");
        assert_eq!(w.beat(&agent, held(&id, attempt)).await.lost, held(&id, attempt));
    }
}

#[tokio::test]
async fn what_does_not_begin_in_time_is_stopped_and_has_failed() {
    let w = World::new().await;
    w.policy(json!({ "start_timeout_seconds": 60, "retry": { "max": 3 } })).await;
    let agent = w.agent_on("0123456789abcdef", None, None).await;
    let [slow, quick] = [w.push(job()).await.expect("pushed"), w.push(job()).await.expect("pushed")];
    w.begin(&agent).await;
    w.begin(&agent).await;
    w.runs(&agent, &quick, 1).await;
    let both: Vec<_> = [held(&slow, 1), held(&quick, 1)].concat();
    w.later(59_000).await;
    assert!(w.beat(&agent, both.clone()).await.stop.is_empty());
    w.later(1_000).await;
    let stop = w.beat(&agent, both).await.stop;
    assert_eq!(stop.iter().map(|s| s.item.as_str()).collect::<Vec<_>>(), [slow.as_str()]);
    let outcome = w.outcome(lanza_model::item::Ending::Stopped, Some(143));
    w.service.attempt_outcome(&w.ana, &agent, &slow, 1, outcome).await.expect("an outcome");
    let item = w.item(&slow).await;
    assert_eq!((item.state, item.exit_code), (StateName::Failed, None), "nobody wanted it stopped");
    let reason = item.reason.expect("a reason");
    assert!(reason.code == "start_timeout" && reason.message.contains("60 s"), "{reason:?}");
}

#[tokio::test]
async fn what_runs_too_long_is_stopped_and_has_failed() {
    let w = World::new().await;
    w.policy(json!({ "max_duration_seconds": 30 })).await;
    let agent = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    w.begin(&agent).await;
    w.later(50_000).await;
    w.runs(&agent, &id, 1).await;
    w.later(29_000).await;
    assert!(w.item(&id).await.stop_requested_at.is_none(), "it counts from the begin of the job");
    w.later(1_000).await;
    assert_eq!(w.beat(&agent, held(&id, 1)).await.stop.len(), 1);
    let outcome = w.outcome(lanza_model::item::Ending::Stopped, None);
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome).await.expect("an outcome");
    let item = w.item(&id).await;
    assert_eq!((item.state, item.reason.map(|r| r.code).as_deref()), (StateName::Failed, Some("max_duration")));
}

#[tokio::test]
async fn an_agent_gets_only_what_its_machine_has_room_for() {
    let w = World::new().await;
    let small = w.agent_on("0123456789abcdef", None, gpus(1)).await;
    let two = w.push(asks(json!({ "gpus": 2 }))).await.expect("pushed");
    let one = w.push(asks(json!({ "gpus": "1", "memory": "16g" }))).await.expect("pushed");
    let none = w.push(job()).await.expect("pushed");
    let why = w.why(&two).await;
    assert_eq!(why.rule, "resources", "{}", why.message);
    assert!(why.message.contains("2 GPUs") && why.message.contains("h has 8 CPUs"), "{}", why.message);
    // What can never run there is passed over; what lacks room now is held for, so the last one waits behind it.
    let left = Capacity { memory_bytes: Some(8 << 30), ..gpus(1).expect("a machine") };
    assert!(w.claim_from(&small, &["q"], 3, Some(left)).await.is_empty());
    let got: Vec<_> = w.claim_from(&small, &["q"], 3, gpus(1)).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(got, [one, none]);
    let big = w.agent_on("fedcba9876543210", None, gpus(4)).await;
    assert_eq!(w.claim_from(&big, &["q"], 3, gpus(4)).await, [(two, 1)]);
}

#[tokio::test]
async fn a_big_item_is_held_for_by_one_agent_and_the_others_go_on() {
    let w = World::new().await;
    for name in ["other"] {
        let new = NewQueue { name: Some(name.into()), target: Some("process".into()), ..NewQueue::default() };
        w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    }
    let queues = ["other", "q"];
    let first = w.agent_of("0123456789abcdef", &queues, None, gpus(4)).await;
    let second = w.agent_of("fedcba9876543210", &queues, None, gpus(4)).await;
    let big = w.push(asks(json!({ "gpus": 4 }))).await.expect("pushed");
    let small = w.push(asks(json!({ "gpus": 1 }))).await.expect("pushed");
    let spec = asks(json!({ "gpus": 1 }));
    let pushed = w.service.item_push(&w.ana, "ana", "other", spec, Door::Rest, WirePush::default()).await;
    let elsewhere = pushed.expect("pushed").item.id.to_string();
    // Both have one GPU in use. The first to ask holds its room, also against its other queue.
    assert!(w.claim_from(&first, &["q", "other"], 4, gpus(3)).await.is_empty());
    assert!(w.claim_from(&first, &["other", "q"], 4, gpus(3)).await.is_empty());
    let why = w.why(&small).await;
    assert_eq!((why.rule.as_str(), why.ahead), ("ahead", 1));
    let got: Vec<_> = w.claim_from(&second, &["q", "other"], 4, gpus(3)).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(got, [small, elsewhere], "the second agent goes on");
    assert_eq!(w.claim_from(&first, &["other", "q"], 4, gpus(4)).await, [(big, 1)]);
    // Nothing is held any more.
    let spec = asks(json!({ "gpus": 1 }));
    let pushed = w.service.item_push(&w.ana, "ana", "other", spec, Door::Rest, WirePush::default()).await;
    let id = pushed.expect("pushed").item.id.to_string();
    assert_eq!(w.claim_from(&first, &["other", "q"], 4, gpus(1)).await, [(id, 1)]);
}

#[tokio::test]
async fn an_agent_that_falls_silent_holds_nothing() {
    let w = World::new().await;
    let first = w.agent_on("0123456789abcdef", None, gpus(4)).await;
    let second = w.agent_on("fedcba9876543210", None, gpus(4)).await;
    let big = w.push(asks(json!({ "gpus": 4 }))).await.expect("pushed");
    assert!(w.claim_from(&first, &["q"], 1, gpus(3)).await.is_empty());
    let small = w.push(asks(json!({ "gpus": 1 }))).await.expect("pushed");
    w.clock.advance_ms(61_000);
    assert!(w.claim_from(&second, &["q"], 1, gpus(3)).await.is_empty(), "now the second one holds");
    assert_eq!(w.claim_from(&second, &["q"], 2, gpus(4)).await, [(big, 1)]);
    assert_eq!(w.claim_from(&first, &["q"], 2, gpus(3)).await, [(small, 1)]);
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_handed_out_again_under_a_new_token() {
    let w = World::new().await;
    let agent = w.agent_on("0123456789abcdef", Some(3), None).await;
    let [kept, lost] = [w.push(job()).await.expect("pushed"), w.push(job()).await.expect("pushed")];
    w.begin(&agent).await;
    let old = w.claim(&agent).await.remove(0);
    w.clock.advance_ms(30_000);
    let claim = lanza_api::agent::Claim {
        queues: vec!["q".into()],
        free: 2,
        wait_ms: 0,
        left: None,
        at_hand: Some(held(&kept, 1)),
    };
    let again = w.service.agent_claim(&w.ana, &agent, &claim).await.expect("claim").leases;
    assert_eq!(again.iter().map(|l| (l.item.as_str(), l.attempt)).collect::<Vec<_>>(), [(lost.as_str(), 1)]);
    assert!(again[0].token != old.token && w.service.authenticate(&old.token).await.is_err());
    w.service.authenticate(&again[0].token).await.expect("the new token");
    w.later(31_000).await;
    w.service.attempt_acknowledge(&w.ana, &agent, &lost, 1).await.expect("the lease began anew");
}

#[tokio::test]
async fn usage_is_the_sum_of_all_attempts() {
    let w = World::new().await;
    w.policy(json!({ "retry": { "max": 1, "on": ["infrastructure"], "backoff_seconds": 0 } })).await;
    let agent = w.agent_on("0123456789abcdef", None, gpus(4)).await;
    let trains = w.push(asks(json!({ "gpus": 2, "cpus": 4 }))).await.expect("pushed");
    w.begin(&agent).await;
    w.later(1_800_000).await;
    w.beat(&agent, held(&trains, 1)).await;
    w.ends(&agent, &trains, 1, Some(Reason::new(code::NO_SPACE, "full")), None).await;
    // An hour in the queue costs nothing.
    w.later(3_600_000).await;
    w.beat(&agent, Vec::new()).await;
    w.begin(&agent).await;
    let reserved = lanza_api::agent::Reserved { cpus: 4.0, memory_bytes: 0, gpus: vec!["0".into(), "3".into()] };
    let report = lanza_api::agent::Report { reserved: Some(reserved), ..Default::default() };
    w.service.attempt_report(&w.ana, &agent, &trains, 2, report).await.expect("reported");
    w.clock.advance_ms(3_600_000);
    w.ends(&agent, &trains, 2, None, Some(0)).await;
    let plain = w.push(json!({ "job": "ana/p/x:v0", "resource": "process", "project": "other" })).await;
    let plain = plain.expect("pushed");
    w.begin(&agent).await;
    w.clock.advance_ms(900_000);
    let now = w.clock.now();
    let of = async |by: &str, since_ms: i64| {
        let since = now.plus_ms(-since_ms);
        let usage = w.service.usage(&w.ana, Some("ana"), by, since).await.expect("usage");
        let round = |h: f64| (h * 1000.0).round() / 1000.0;
        usage
            .into_iter()
            .map(|u| (u.key, u.items, round(u.wall_hours), round(u.cpu_hours), round(u.gpu_hours)))
            .collect::<Vec<_>>()
    };
    let week = 7 * 24 * 3_600_000;
    assert_eq!(of("user", week).await, [("ana".to_owned(), 2, 1.75, 6.25, 3.0)]);
    assert_eq!(of("queue", week).await, [("q".to_owned(), 2, 1.75, 6.25, 3.0)]);
    let by_project = [("p".to_owned(), 1, 1.5, 6.0, 3.0), ("other".to_owned(), 1, 0.25, 0.25, 0.0)];
    assert_eq!(of("project", week).await, by_project);
    let by_job = [("ana/p/job:v0".to_owned(), 1, 1.5, 6.0, 3.0), ("ana/p/x:v0".to_owned(), 1, 0.25, 0.25, 0.0)];
    assert_eq!(of("job", week).await, by_job);
    // Half an hour of the second attempt lies in the last 45 minutes.
    assert_eq!(of("project", 45 * 60_000).await[0], ("p".to_owned(), 1, 0.5, 2.0, 1.0));
    // The same from the attempts that the item shows.
    let mut hours = 0.0;
    for id in [&trains, &plain] {
        let (entity, _, item) = w.service.item_find(&w.ana, id).await.expect("the item");
        let attempts = w.service.item_view(&entity, &item).await.expect("a view").attempts;
        hours += attempts.iter().map(|a| a.ended_at.unwrap_or(now).since_ms(a.leased_at) as f64 / 3.6e6).sum::<f64>();
    }
    assert!((hours - 1.75).abs() < 1e-9, "{hours}");
    assert!(matches!(w.service.usage(&w.ana, Some("ana"), "cat", now).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_file_of_queues_is_applied_once_and_then_changes_nothing() {
    let w = World::new().await;
    let file = json!([
        { "name": "gpu", "target": "docker", "config": { "gpus": "{{n}}", "env": ["A=1"] },
          "templates": { "n": { "schema": { "type": "integer", "default": 1, "maximum": 4 } } },
          "policy": { "max_running": 2, "retry": { "max": 1 } } },
        { "name": "q", "target": "process", "priority": "off" }
    ]);
    let actions = |changes: Vec<lanza_api::queue::QueueChange>| {
        changes.into_iter().map(|c| (c.name, c.action)).collect::<Vec<_>>()
    };
    let apply =
        async |file: &Value, prune, plan| w.service.queues_apply(&w.ana, "ana", list(file.clone(), prune), plan).await;
    let planned = apply(&file, false, true).await.expect("a plan");
    let paths: Vec<_> = planned[1].differences.iter().map(|d| d.path.as_str()).collect();
    assert_eq!(paths, ["priority"], "{planned:?}");
    let expected = [("gpu".to_owned(), QueueAction::Create), ("q".to_owned(), QueueAction::Change)];
    assert_eq!(actions(planned), expected);
    assert!(w.service.queue_find(&w.ana, "ana", "gpu").await.is_err(), "a plan changes nothing");
    assert_eq!(actions(apply(&file, false, false).await.expect("applied")), expected);
    let again = actions(apply(&file, true, false).await.expect("applied"));
    assert!(again.iter().all(|(_, action)| *action == QueueAction::Keep), "{again:?}");
    // Somebody pauses a queue by hand: the file, which says nothing of it, leaves it so.
    w.service.queue_mode(&w.ana, "ana", "gpu", QueueMode::Paused).await.expect("paused");
    let mut file = file;
    file[0]["config"]["env"] = json!(["A=2"]);
    file.as_array_mut().expect("a list").truncate(1);
    let changes = apply(&file, true, false).await.expect("applied");
    assert_eq!(changes[0].differences[0].path, "config.env");
    assert_eq!(actions(changes), [("gpu".to_owned(), QueueAction::Change), ("q".to_owned(), QueueAction::Delete)]);
    assert!(w.service.queue_find(&w.ana, "ana", "gpu").await.expect("there").1.paused);
    assert!(w.service.queue_find(&w.ana, "ana", "q").await.is_err());
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing_and_names_its_path() {
    let w = World::new().await;
    let good = json!({ "name": "fine", "target": "process" });
    for (bad, field, says) in [
        (json!({ "name": "a", "polcy": {} }), "queues[1].polcy", "did you mean `policy`"),
        (json!({ "name": "a", "policy": { "max_runing": 1 } }), "queues[1].policy.max_runing", "`max_running`"),
        (json!({ "name": "a", "policy": { "retry": { "on": ["los"] } } }), "queues[1].policy.retry.on[0]", "`lost`"),
        (json!({ "name": "a", "target": "dokcer" }), "queues[1].target", "the targets are"),
        (json!({ "name": "a", "templates": { "n": { "type": "float" } } }), "queues[1].templates.n", "`type`"),
        (json!({ "name": "fine" }), "queues[1].name", "twice"),
        (json!({ "target": "docker" }), "queues[1].name", "missing"),
        (json!({ "name": "a", "config": [] }), "queues[1].config", "object"),
        (json!(["a"]), "queues[1].name", "missing"),
    ] {
        let wanted = list(json!([good, bad]), false);
        match w.service.queues_apply(&w.ana, "ana", wanted, false).await {
            Err(Error::Invalid { field: found, why, .. }) => {
                assert_eq!(found, field, "{why}");
                assert!(why.contains(says), "{found}: {why}");
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
    assert!(w.service.queue_find(&w.ana, "ana", "fine").await.is_err(), "nothing was changed");
    let agent = w.agent().await;
    w.push(job()).await.expect("pushed");
    w.begin(&agent).await;
    let pruned = w.service.queues_apply(&w.ana, "ana", list(json!([good]), true), false).await;
    assert!(matches!(pruned, Err(Error::Conflict { .. })), "{pruned:?}");
    assert!(w.service.queue_find(&w.ana, "ana", "fine").await.is_err(), "nothing was changed");
}

#[tokio::test]
async fn a_plan_says_who_set_what_and_launches_nothing() {
    let w = World::new().await;
    let new = NewQueue {
        name: Some("t".into()),
        target: Some("docker".into()),
        config: json!({ "gpus": "{{gpus}}", "memory": "8g", "env": ["A=1"] }).as_object().cloned(),
        templates: json!({ "gpus": { "type": "integer", "default": 2 } }).as_object().cloned(),
        ..NewQueue::default()
    };
    w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let spec = json!({ "docker": { "docker_image": "x" }, "project": "p", "resource_args": { "docker": { "memory": "16g" } } });
    let plan = w.service.item_plan(&w.ana, "ana", "t", spec).await.expect("a plan");
    let settings: Vec<_> = plan.settings.iter().map(|s| (s.path.as_str(), s.value.clone(), s.set_by)).collect();
    assert_eq!(
        settings,
        [
            ("env", json!(["A=1"]), Layer::Queue),
            ("gpus", json!(2), Layer::Template),
            ("memory", json!("16g"), Layer::Launch)
        ]
    );
    assert_eq!(Value::Object(plan.resources), json!({ "memory": "16g", "gpus": 2 }));
    assert!(plan.warnings.iter().any(|w| w.contains("no agent polls the queue")), "{:?}", plan.warnings);
    let query = lanza_service::items::ItemQuery { entity: Some("ana".into()), ..Default::default() };
    assert!(w.service.item_list(&w.ana, &query, 10).await.expect("a list").is_empty());
}

#[tokio::test]
async fn an_admin_decides_which_fields_submitters_set() {
    let w = World::new().await;
    let new = NewQueue {
        name: Some("d".into()),
        target: Some("docker".into()),
        policy: json!({ "submitter_fields": ["volume", "env"] }).as_object().cloned(),
        ..NewQueue::default()
    };
    w.service.queue_create(&w.ana, "vision", new).await.expect("a queue");
    let push = |args: Value| {
        let spec = json!({ "docker": { "docker_image": "x" }, "project": "p", "resource_args": { "docker": args } });
        w.service.item_push(&w.ana, "vision", "d", spec, Door::Rest, WirePush::default())
    };
    push(json!({ "volume": "/data:/data:ro", "env": ["A=1"] })).await.expect("widened");
    for refused in [
        json!({ "gpus": "all" }),
        json!({ "privileged": true }),
        json!({ "env": ["SECRET"] }),
        json!({ "network": "host" }),
        json!({ "env": ["A=${AWS_SECRET}"] }),
    ] {
        let error = push(refused.clone()).await.expect_err(&refused.to_string());
        assert_eq!(error.code(), code::FIELD_NOT_ALLOWED, "{refused}: {error}");
    }
    let agent = w.agent_for("vision", "d", lanza_model::Target::Docker).await;
    let claim = lanza_api::agent::Claim { queues: vec!["d".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
    let lease = w.service.agent_claim(&w.ana, &agent, &claim).await.expect("claim").leases.remove(0);
    assert_eq!(lease.submitter_fields, Some(vec!["volume".to_owned(), "env".to_owned()]), "the agent checks again");
}

#[tokio::test]
async fn resources_that_mean_nothing_are_refused_by_name() {
    let w = World::new().await;
    for (bad, field) in [
        (json!({ "gpu": 1 }), "resources.gpu"),
        (json!({ "gpus": "many" }), "resources.gpus"),
        (json!({ "memory": "16 gigs" }), "resources.memory"),
    ] {
        match w.push(asks(bad.clone())).await {
            Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{bad}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn somebody_elses_run_cannot_be_taken_over() {
    let w = World::new().await;
    let bob = World::user(&w.service, "bob").await;
    w.service.member_put("vision", "bob", Role::Member).await.expect("a member");
    let run = lanza_service::runs::RunRequest {
        entity: Some("vision".into()),
        project: Some("p".into()),
        name: Some("anas1run".into()),
        ..Default::default()
    };
    w.service.run_upsert(&w.ana, run).await.expect("a run");
    let spec = json!({ "job": "vision/p/job:v0", "project": "p", "run_id": "anas1run" });
    match w.push_by(&bob, "vision", spec.clone()).await {
        Err(Error::Invalid { field, why, .. }) => assert!(field == "run_id" && why.contains("`ana`"), "{why}"),
        other => panic!("{other:?}"),
    }
    w.push_by(&w.ana, "vision", spec).await.expect("her own goes on");
}

#[tokio::test]
async fn a_deleted_queue_ends_what_waits_with_its_reason_and_keeps_what_runs() {
    let w = World::new().await;
    let agent = w.agent().await;
    let running = w.running(&agent).await;
    let waiting = w.push(job()).await.expect("pushed");
    assert!(matches!(w.service.queue_delete(&w.ana, "ana", "q").await, Err(Error::Conflict { .. })));
    assert_eq!(w.state(&waiting).await, StateName::Queued);
    w.ends(&agent, &running, 1, None, Some(0)).await;
    w.service.queue_delete(&w.ana, "ana", "q").await.expect("deleted");
    let item = w.item(&waiting).await;
    assert_eq!(item.state, StateName::Stopped);
    assert!(item.reason.expect("a reason").message.contains("was deleted by ana"));
    assert_eq!(item.run.as_deref(), Some(item.planned_run.as_str()), "nobody waits for its run for ever");
    let events = w.service.event_page(&w.ana, None, 0, 500).await.expect("events").events;
    let of_item: Vec<_> =
        events.iter().filter(|e| e.object == waiting).map(|e| (e.actor.as_str(), e.verb.as_str())).collect();
    assert_eq!(of_item[..2], [("ana", "queued"), ("ana", "stopped")]);
}

#[tokio::test]
async fn an_agent_of_another_team_sees_and_gets_nothing() {
    let w = World::new().await;
    let eve = World::user(&w.service, "eve").await;
    let mine = w.agent().await;
    let id = w.push(job()).await.expect("pushed");
    let claim = lanza_api::agent::Claim { queues: vec!["q".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
    let register = w.registration("0123456789abcdef", &["q"], None, None);
    assert!(matches!(w.service.agent_register(&eve, "ana", register).await, Err(Error::NotFound { .. })));
    assert!(matches!(w.service.agent_claim(&eve, &mine, &claim).await, Err(Error::NotFound { .. })));
    // Her own agent finds no queue of this name in her own space, and may not report on what it does not hold.
    let new = NewQueue { name: Some("q".into()), target: Some("process".into()), ..NewQueue::default() };
    w.service.queue_create(&eve, "eve", new).await.expect("her queue");
    let register = w.registration("0123456789abcdef", &["q"], None, None);
    let hers = w.service.agent_register(&eve, "eve", register).await.expect("her agent").1.id.to_string();
    assert!(w.service.agent_claim(&eve, &hers, &claim).await.expect("claim").leases.is_empty());
    w.begin(&mine).await;
    let refused =
        w.service.attempt_outcome(&eve, &hers, &id, 1, w.outcome(lanza_model::item::Ending::Failed, None)).await;
    assert!(refused.is_err());
    assert_eq!(w.state(&id).await, StateName::Running);
}

#[tokio::test]
async fn another_entitys_artifact_is_out_of_a_jobs_reach() {
    let w = World::new().await;
    let eve: Arc<_> = World::user(&w.service, "eve").await;
    let agent = w.agent().await;
    let spec = json!({ "job": "ana/p/job:v0", "project": "p",
        "overrides": { "artifacts": { "data": "eve/secret/data:v0" } } });
    w.push(spec).await.expect("it may be named: it only is not found");
    let token = w.service.authenticate(&w.claim(&agent).await.remove(0).token).await.expect("the job's token");
    assert!(matches!(w.service.entity_seen(&token, "eve").await, Err(Error::NotFound { .. })));
    let named = w.service.job_scope_artifacts(&token).await.expect("what it reaches");
    assert_eq!(format!("{named:?}"), "JobScopeArtifacts([])");
    drop(eve);
}

#[tokio::test]
async fn the_trail_says_who_did_what_to_which_queue_item_and_agent() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    w.later(60_500).await;
    w.beat(&agent, held(&id, 1)).await;
    w.service.item_stop(&w.ana, &id, &lanza_api::item::Stop::default()).await.expect("asked");
    let outcome = w.outcome(lanza_model::item::Ending::Stopped, None);
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, outcome).await.expect("an outcome");
    w.service.agent_command(&w.ana, &agent, false).await.expect("drained");
    w.service.agent_command(&w.ana, &agent, true).await.expect("stopped");
    let beat = lanza_api::agent::Heartbeat { items: Vec::new(), draining: true, leaving: true, wait_ms: 0 };
    for _ in 0..2 {
        w.service.agent_heartbeat(&w.ana, &agent, &beat).await.expect("it leaves");
    }
    w.policy(json!({ "max_running": 1 })).await;
    let events = w.service.event_page(&w.ana, None, 0, 500).await.expect("events").events;
    let by_agent = format!("agent:{agent}");
    let of = |kind: &str, object: &str| -> Vec<(String, String)> {
        let of = events.iter().filter(|e| e.kind == kind && e.object == object);
        of.map(|e| (e.actor.replace(&by_agent, "agent"), e.verb.clone())).collect()
    };
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(a, v)| ((*a).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let expected = [
        ("ana", "queued"),
        ("agent", "leased"),
        ("agent", "acknowledged"),
        ("server", "unreachable"),
        ("server", "reachable"),
        ("ana", "stop_requested"),
        ("agent", "stopped"),
    ];
    assert_eq!(of("item", &id), pairs(&expected));
    let expected = [("agent", "registered"), ("ana", "drain"), ("ana", "stop"), ("agent", "ended")];
    assert_eq!(of("agent", &agent), pairs(&expected));
    let queue: Vec<_> = of("queue", "q").into_iter().filter(|(_, verb)| verb == "changed").collect();
    assert_eq!(queue, pairs(&[("ana", "changed")]));
}
