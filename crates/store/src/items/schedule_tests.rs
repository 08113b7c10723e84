//! Claims on both engines against the plain rules, over queues of any make-up.

use std::collections::HashMap;

use lanza_model::{
    Priority,
    id::{QueueId, UserId},
    resources::{Capacity, Request},
    schedule::{Round, Verdict},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;

use super::{
    OpenQueue,
    tests::{NOW, Place},
};
use crate::queues::Queue;

/// One waiting item: author, priority, GPUs that it asks for, and whether it may go yet.
type Waiting = (usize, usize, u32, bool);

fn gpus(n: u32) -> Capacity {
    Capacity { gpus: Some(n), ..Capacity::default() }
}

async fn second_user(place: &Place) -> UserId {
    let (user, key) = crate::testing::user("bob", NOW);
    let id = user.id.clone();
    place.store.user_insert(user, None, key).await.expect("a user");
    id
}

/// What one agent gets of a fresh queue, by the store and by the plain rules over the whole list.
async fn claim(
    place: &Place,
    users: &[UserId; 2],
    waiting: &[Waiting],
    (total, left): (u32, u32),
    caps: (Option<i64>, Option<i64>),
    want: usize,
) -> (Vec<usize>, Vec<usize>) {
    let queue = Queue { id: QueueId::new(), name: format!("q{}", QueueId::new()), ..place.queue.clone() };
    place.store.queue_put(queue.clone(), false, NOW, "ana").await.expect("a queue");
    let mut ids = Vec::new();
    for (author, priority, asks, due) in waiting {
        let mut item = place.new_item();
        item.queue_id = queue.id.clone();
        item.author_id = users[*author].clone();
        item.priority = Priority::ALL[*priority];
        item.not_before = (!due).then(|| NOW.plus_ms(1));
        if *asks > 0 {
            item.resources.insert("gpus".into(), json!(asks));
        }
        ids.push(place.store.item_insert(item).await.expect("pushed").0.id);
    }
    let mut claimer = place.claimer(0);
    (claimer.total, claimer.left) = (Some(gpus(total)), gpus(left));
    let open = OpenQueue { id: queue.id.clone(), max_running: caps.0, max_running_per_user: caps.1 };
    let got = place.claim_as(claimer, open, want).await;
    let by_store = got.iter().map(|i| ids.iter().position(|id| *id == i.id).expect("one of them")).collect();

    let mut order: Vec<usize> = (0..waiting.len()).filter(|i| waiting[*i].3).collect();
    order.sort_by_key(|i| (waiting[*i].1, *i));
    let mut round = Round::new(gpus(total), gpus(left), caps.0, caps.1, HashMap::new());
    let mut by_rules = Vec::new();
    for i in order {
        if by_rules.len() == want {
            break;
        }
        let resources = if waiting[i].2 > 0 { json!({ "gpus": waiting[i].2 }) } else { json!({}) };
        let request = Request::parse(resources.as_object().expect("an object")).expect("legal");
        match round.offer(users[waiting[i].0].as_str(), Some(&request), false) {
            Verdict::Take => by_rules.push(i),
            Verdict::Pass => {}
            Verdict::Hold | Verdict::Stop => break,
        }
    }
    (by_store, by_rules)
}

#[test]
fn a_claim_gives_what_the_plain_rules_give() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut places = Vec::new();
    runtime.block_on(async {
        for place in Place::all().await {
            let users = [place.user.clone(), second_user(&place).await];
            places.push((place, users));
        }
    });
    let waiting = prop::collection::vec((0..2usize, 0..4usize, 0..5u32, prop::bool::weighted(0.85)), 0..14);
    let machine = (0..4u32, 0..4u32).prop_map(|(total, used)| (total, total.saturating_sub(used)));
    let caps = (prop::option::of(1..6i64), prop::option::of(1..4i64));
    let mut runner = TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() });
    runner
        .run(&(waiting, machine, caps, 1..6usize), |(waiting, machine, caps, want)| {
            for (place, users) in &places {
                let (by_store, by_rules) = runtime.block_on(claim(place, users, &waiting, machine, caps, want));
                prop_assert_eq!(by_store, by_rules, "on {:?}", place.store.engine());
            }
            Ok(())
        })
        .expect("store and rules agree");
}

#[tokio::test]
async fn servers_that_claim_at_the_same_time_keep_to_the_caps_together() {
    for place in Place::all().await {
        for _ in 0..12 {
            place.push().await;
        }
        let open = OpenQueue { max_running: Some(5), ..place.open() };
        let place = std::sync::Arc::new(place);
        let mut claimers = tokio::task::JoinSet::new();
        for agent in [0, 1, 0, 1, 0, 1] {
            let (place, open) = (place.clone(), open.clone());
            claimers.spawn(async move { place.claim_as(place.claimer(agent), open, 2).await.len() });
        }
        assert_eq!(claimers.join_all().await.into_iter().sum::<usize>(), 5, "on {:?}", place.store.engine());
    }
}
