//! Why an item waits, and when it will start.

mod world;

use lanza_api::queue::NewQueue;
use lanza_model::{clock::Clock, resources::Capacity, spec::Door};
use lanza_service::{Error, items::WirePush, queues::QueueMode};
use serde_json::json;
use world::{World, job};

#[tokio::test]
async fn why_names_the_rule_that_keeps_an_item_waiting() {
    let w = World::new().await;
    let id = w.push(job()).await.expect("pushed");
    let why = async |id: &str| {
        let (entity, _, item) = w.service.item_find(&w.ana, id).await.expect("the item");
        w.service.item_view(&entity, &item).await.expect("a view").why.expect("it waits").rule
    };
    assert_eq!(why(&id).await, "no_agent");
    let agent = w.agent().await;
    assert_eq!(why(&id).await, "agents_full");
    let second = w.push(job()).await.expect("pushed");
    assert_eq!(why(&second).await, "ahead");
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Paused).await.expect("paused");
    assert_eq!(why(&id).await, "paused");
    assert!(w.claim(&agent).await.is_empty());
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Open).await.expect("resumed");
    w.clock.advance_ms(61_000);
    assert_eq!(why(&id).await, "stale_agent");
    let later = json!({ "job": "ana/p/job:v0", "project": "p", "not_before": "2030-01-01T00:00:00Z" });
    let later = w.push(later).await.expect("pushed");
    assert_eq!(why(&later).await, "not_before");
    w.service.queue_mode(&w.ana, "ana", "q", QueueMode::Draining).await.expect("draining");
    assert!(matches!(w.push(job()).await, Err(Error::Conflict { .. })));
}

#[tokio::test]
async fn an_item_waits_while_the_only_place_of_its_agent_is_taken() {
    let w = World::new().await;
    let agent = w.agent().await;
    let first = w.running(&agent).await;
    w.runs(&agent, &first, 1).await;
    let second = w.push(job()).await.expect("pushed");
    w.beat(&agent, world::held(&first, 1)).await;
    let why = w.why(&second).await;
    assert_eq!((why.rule.as_str(), why.position, why.ahead), ("agents_full", Some(1), 0));
    w.ends(&agent, &first, 1, None, Some(0)).await;
    assert_eq!(w.begin(&agent).await.0, second, "the place is free");
}

#[tokio::test]
async fn a_queue_that_nobody_polls_says_so_at_the_push() {
    let w = World::new().await;
    let push = async || {
        let pushed = w.service.item_push(&w.ana, "ana", "q", job(), Door::Rest, WirePush::default()).await;
        pushed.expect("pushed").warnings.iter().any(|w| w.contains("no agent polls"))
    };
    assert!(push().await);
    let agent = w.agent().await;
    assert!(!push().await);
    w.clock.advance_ms(61_000);
    assert!(push().await, "its agent is silent");
    w.beat(&agent, Vec::new()).await;
    assert!(!push().await);
    w.service.agent_command(&w.ana, &agent, false).await.expect("drain");
    assert!(push().await, "its agent takes nothing new");
}

#[tokio::test]
async fn a_command_that_is_named_means_the_queue_whatever_its_name_is() {
    let w = World::new().await;
    let new = NewQueue { name: Some("x; $(id)".into()), target: Some("process".into()), ..NewQueue::default() };
    w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let pushed = w.service.item_push(&w.ana, "ana", "x; $(id)", job(), Door::Rest, WirePush::default()).await;
    let pushed = pushed.expect("pushed");
    let command = "`lanza agent -q 'x; $(id)'`";
    assert!(pushed.warnings.iter().any(|warning| warning.contains(command)), "{:?}", pushed.warnings);
    let why = w.why(&pushed.item.id.to_string()).await;
    assert!(why.message.contains(command), "{}", why.message);
}

#[tokio::test]
async fn a_push_counts_a_hundred_ahead_of_it_and_not_more() {
    let w = World::new().await;
    w.agent().await;
    let push = async |priority: &str| {
        let mut spec = job();
        spec["priority"] = priority.into();
        let pushed = w.service.item_push(&w.ana, "ana", "q", spec, Door::Rest, WirePush::default()).await;
        let view = w.service.item_view_pushed(&pushed.expect("pushed")).await.expect("a view");
        let why = view.why.expect("it waits");
        (why.position, why.ahead)
    };
    for ahead in 0..100 {
        assert_eq!(push("medium").await, (Some(ahead + 1), ahead));
    }
    for _ in 0..3 {
        assert_eq!(push("medium").await, (None, 100));
    }
    // Known to be behind a hundred are only those that come behind these.
    assert_eq!(push("high").await, (Some(1), 0));
    assert_eq!(push("low").await, (None, 100));
    // And for a moment only.
    assert_eq!(w.claim_from(&w.agent().await, &["q"], 60, None).await.len(), 60);
    w.clock.advance_ms(1_000);
    assert_eq!(push("medium").await, (Some(45), 44));
}

#[tokio::test]
async fn why_says_that_the_next_item_waits_for_room() {
    let w = World::new().await;
    let machine = Capacity { cpus: Some(8.0), memory_bytes: Some(64 << 30), gpus: Some(2) };
    let asks = |gpus: u32| json!({ "job": "ana/p/job:v0", "project": "p", "resources": { "gpus": gpus } });
    let agent = w.agent_on("0123456789abcdef", Some(4), Some(machine)).await;
    w.push(asks(1)).await.expect("pushed");
    w.begin(&agent).await;
    let id = w.push(asks(2)).await.expect("pushed");
    let why = w.why(&id).await;
    assert_eq!((why.rule.as_str(), why.position), ("resources", Some(1)), "{}", why.message);
    assert!(why.message.contains("1 GPUs free"), "{}", why.message);
}

#[tokio::test]
async fn the_estimated_start_is_close_where_durations_are_stable() {
    let w = World::new().await;
    let agents =
        [w.agent_on("0123456789abcdef", Some(2), None).await, w.agent_on("fedcba9876543210", Some(1), None).await];
    let usual = 100_000_i64;
    // Durations within a tenth of the usual one, by a fixed rule.
    let lasts = |n: usize| usual - 10_000 + (n as i64 * 7_919) % 20_000;
    let mut estimates: Vec<(String, i64, i64)> = Vec::new();
    let mut running: Vec<(usize, String, u32, i64)> = Vec::new();
    let (mut errors, mut begun, mut now) = (Vec::new(), 0, 0_i64);
    for tick in 0..900 {
        // A push now and then, more than three places can take, until the queue is long.
        if tick % 20 == 0 && tick < 600 {
            let id = w.push(job()).await.expect("pushed");
            if let Some(start) = w.why(&id).await.estimated_start {
                estimates.push((id, now, start.since_ms(w.clock.now())));
            }
        }
        let mut over = Vec::new();
        running.retain(|r| {
            let ends = r.3 <= now;
            if ends {
                over.push(r.clone());
            }
            !ends
        });
        for (agent, id, attempt, _) in over {
            w.ends(&agents[agent], &id, attempt, None, Some(0)).await;
        }
        for (agent, slots) in [(0, 2), (1, 1)] {
            while running.iter().filter(|r| r.0 == agent).count() < slots {
                let Some((id, attempt)) = w.claim_from(&agents[agent], &["q"], 1, None).await.pop() else { break };
                w.service.attempt_acknowledge(&w.ana, &agents[agent], &id, attempt).await.expect("acknowledged");
                if let Some((_, pushed_at, wait)) = estimates.iter().find(|e| e.0 == id) {
                    let waited = now - pushed_at;
                    if waited > 0 {
                        errors.push((wait - waited).abs() as f64 / waited as f64);
                    }
                }
                running.push((agent, id, attempt, now + lasts(begun)));
                begun += 1;
            }
        }
        now += 1_000;
        w.clock.advance_ms(1_000);
        if tick % 20 == 0 {
            for agent in &agents {
                w.beat(agent, Vec::new()).await;
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    assert!(errors.len() >= 10, "{} estimates were put to the test", errors.len());
    let median = errors[errors.len() / 2];
    assert!(median <= 0.25, "the median error is {:.0} % over {} items", median * 100.0, errors.len());
}
