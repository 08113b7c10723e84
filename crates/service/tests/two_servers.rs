//! Two servers of one Postgres: what happens at one wakes who waits at the other.
#![expect(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

use std::{sync::Arc, time::Duration};

use lanza_api::{
    agent::{Claim, Register},
    queue::NewQueue,
};
use lanza_model::{
    Target,
    clock::{Clock, SystemClock},
    spec::Door,
};
use lanza_service::{Service, Supervisor, accounts::UserRequest, items::WirePush, tasks};
use lanza_store::testing;
use serde_json::{Value, json};

#[tokio::test]
async fn a_push_at_one_server_wakes_an_agent_at_the_other() {
    let Some((guard, store)) = testing::postgres().await else { return };
    let here = Service::new(store, Arc::new(SystemClock)).await.unwrap();
    let there = Service::new(testing::reopen(&guard).await, Arc::new(SystemClock)).await.unwrap();
    let supervisors = [Supervisor::default(), Supervisor::default()];
    tasks::start(&here, &supervisors[0]);
    tasks::start(&there, &supervisors[1]);
    let request = UserRequest { username: "ana".into(), ..UserRequest::default() };
    let (_, key) = here.user_create(request).await.unwrap();
    let [me, me_there] = [here.authenticate(&key).await.unwrap(), there.authenticate(&key).await.unwrap()];
    let new = NewQueue { name: Some("q".into()), target: Some("process".into()), ..NewQueue::default() };
    here.queue_create(&me, "ana", new).await.unwrap();
    let register = Register {
        state: "0123456789abcdef".into(),
        host: "h".into(),
        version: "lanza@0".into(),
        queues: vec!["q".into()],
        targets: vec![Target::Process],
        slots: Some(1),
        resources: None,
        settings: Value::Null,
    };
    let agent = there.agent_register(&me_there, "ana", register).await.unwrap().1.id.to_string();
    let hears = async {
        while !there.hears_others() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hears).await.expect("the servers hear each other");

    // Between two looks by the timer lie 5 s. Each of five pushes is found long before.
    for round in 0..5 {
        let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 60_000, left: None, at_hand: None };
        let waiting = {
            let (there, me_there, agent) = (there.clone(), me_there.clone(), agent.clone());
            tokio::spawn(async move { there.agent_claim(&me_there, &agent, &claim).await.unwrap().leases })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        let begun = std::time::Instant::now();
        let spec = json!({"job": "ana/p/x:v0", "project": "p", "resource": "process"});
        let pushed = here.item_push(&me, "ana", "q", spec, Door::Rest, WirePush::default()).await.unwrap();
        let leases = waiting.await.unwrap();
        assert_eq!(leases[0].item, pushed.item.id.to_string());
        let elapsed = begun.elapsed();
        assert!(elapsed < Duration::from_millis(2500), "round {round}: {elapsed:?}");
        there.attempt_acknowledge(&me_there, &agent, &leases[0].item, leases[0].attempt).await.unwrap();
    }
    // Nobody says anything when the time of an item comes: each server looks for itself.
    let not_before = SystemClock.now().plus_ms(2_000);
    let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 60_000, left: None, at_hand: None };
    let spec = json!({"job": "ana/p/x:v0", "project": "p", "resource": "process",
                      "not_before": not_before.to_string()});
    here.item_push(&me, "ana", "q", spec, Door::Rest, WirePush::default()).await.unwrap();
    let leases = there.agent_claim(&me_there, &agent, &claim).await.unwrap().leases;
    let late = SystemClock.now().since_ms(not_before);
    assert!(leases.len() == 1 && (0..1_500).contains(&late), "{late} ms");
    for supervisor in supervisors {
        assert_eq!(supervisor.stop(Duration::from_secs(10)).await, Vec::<String>::new());
    }
}
