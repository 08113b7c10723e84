//! What is not lost when a server, its clock or its database is away.

mod world;

use std::sync::Arc;

use lanza_api::agent::{PhaseReport, Report};
use lanza_model::{
    Phase,
    clock::Clock,
    item::{Ending, StateName},
};
use lanza_service::Service;
use lanza_store::testing;
use serde_json::json;
use world::{World, held, job};

/// The grace of a queue without a policy.
const GRACE_MS: i64 = 600_000;

/// Lets time pass as a server sees it that looks once a second.
async fn passes(world: &World, seconds: i64) {
    for _ in 0..seconds {
        world.clock.advance_ms(1_000);
        world.service.items_look_after().await.expect("looked");
    }
}

#[tokio::test]
async fn what_runs_while_the_server_is_away_for_longer_than_the_grace_ends_with_its_own_outcome() {
    let mut w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    w.runs(&agent, &id, 1).await;
    w.restart_after(3 * GRACE_MS).await;
    passes(&w, 55).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.unreachable_since), (StateName::Running, None), "it counts from the new start");
    // The agent says what ended meanwhile as soon as it reaches the server.
    w.beat(&agent, held(&id, 1)).await;
    w.service.attempt_outcome(&w.ana, &agent, &id, 1, w.outcome(Ending::Failed, Some(7))).await.expect("taken");
    let item = w.item(&id).await;
    assert_eq!((item.state, item.exit_code, item.attempt), (StateName::Failed, Some(7), 1));
}

#[tokio::test]
async fn an_agent_that_never_comes_back_to_a_restarted_server_is_lost_after_the_whole_grace() {
    let mut w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    w.runs(&agent, &id, 1).await;
    w.restart_after(3 * GRACE_MS).await;
    passes(&w, 70).await;
    assert!(w.item(&id).await.unreachable_since.is_some(), "silent for a minute");
    passes(&w, GRACE_MS / 1_000 - 80).await;
    assert_eq!(w.item(&id).await.state, StateName::Running);
    passes(&w, 90).await;
    let item = w.item(&id).await;
    assert_eq!((item.state, item.reason.map(|r| r.code)), (StateName::Failed, Some("agent_lost".to_owned())));
}

#[tokio::test]
async fn a_clock_that_jumps_and_a_server_that_slept_lose_nothing() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    w.runs(&agent, &id, 1).await;
    passes(&w, 5).await;
    for (sleeps, jump_ms) in
        [(false, 10 * GRACE_MS), (false, -5 * GRACE_MS), (false, 2 * GRACE_MS), (true, 3 * GRACE_MS)]
    {
        if sleeps {
            w.clock.advance_ms(jump_ms);
        } else {
            w.clock.jump_ms(jump_ms);
        }
        // The agent's next heartbeat is ten seconds away.
        passes(&w, 9).await;
        let item = w.item(&id).await;
        assert_eq!((item.state, item.unreachable_since), (StateName::Running, None), "after {jump_ms} ms");
        w.beat(&agent, held(&id, 1)).await;
    }
    w.ends(&agent, &id, 1, None, Some(0)).await;
    assert_eq!(w.state(&id).await, StateName::Finished);
    // Silence still counts.
    let next = w.push(job()).await.expect("pushed");
    w.begin(&agent).await;
    passes(&w, 65).await;
    assert!(w.item(&next).await.unreachable_since.is_some());
}

#[tokio::test]
async fn a_job_does_not_get_older_by_a_jump_of_the_clock_nor_by_what_its_agents_clock_says() {
    let w = World::new().await;
    w.policy(json!({ "max_duration_seconds": 300, "start_timeout_seconds": 120 })).await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    let skips = async || {
        w.clock.jump_ms(3_600_000);
        for _ in 0..10 {
            passes(&w, 5).await;
            w.beat(&agent, held(&id, 1)).await;
        }
    };
    skips().await;
    assert!(w.item(&id).await.stop_requested_at.is_none(), "fifty seconds to begin");
    for skew_ms in [-3_600_000, 3_600_000] {
        let started_at = w.clock.now().plus_ms(skew_ms);
        let phases = vec![PhaseReport { name: Phase::Run, started_at, ended_at: None }];
        let report = Report { phases, ..Report::default() };
        w.service.attempt_report(&w.ana, &agent, &id, 1, report).await.expect("reported");
        passes(&w, 1).await;
    }
    skips().await;
    assert!(w.item(&id).await.stop_requested_at.is_none(), "fifty seconds more");
    passes(&w, 40).await;
    w.beat(&agent, held(&id, 1)).await;
    passes(&w, 200).await;
    w.beat(&agent, held(&id, 1)).await;
    passes(&w, 20).await;
    assert!(w.item(&id).await.stop_requested_at.is_some(), "five minutes of its own");
}

#[tokio::test]
async fn two_servers_look_after_the_same_items_and_the_one_that_slept_does_no_harm() {
    let w = World::new().await;
    let agent = w.agent().await;
    let id = w.running(&agent).await;
    let store = testing::reopen(w.guard()).await;
    let other = Service::new(store, Arc::new(w.clock.clone())).await.expect("a second server");
    for _ in 0..6 {
        passes(&w, 10).await;
        w.beat(&agent, held(&id, 1)).await;
    }
    // It has not looked for a minute.
    other.items_look_after().await.expect("looked");
    passes(&w, 5).await;
    other.items_look_after().await.expect("looked");
    let item = w.item(&id).await;
    assert_eq!((item.state, item.unreachable_since), (StateName::Running, None));
}
