//! Items of the client's own agent end with their runs, whatever becomes of those.

mod world;

use lanza_api::{
    item::Stop,
    queue::{ApplyQueues, NewQueue},
};
use lanza_model::{
    clock::Clock,
    code,
    item::StateName,
    run::{Event, State},
    spec::Door,
};
use lanza_service::items::WirePush;
use lanza_store::runs::{Run, RunPost};
use serde_json::{Map, Value, json};
use world::{World, job};

/// The grace of a queue without a policy, and a bit.
const GRACE_MS: i64 = 600_500;
/// Silence that makes a run crash, and a bit.
const SILENCE_MS: i64 = 300_500;

/// An item that a stock agent of ana's runs, with its run.
async fn running(w: &World) -> (String, Map<String, Value>, Run) {
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    let run = w.init(&item, &spec).await;
    assert_eq!(w.item(&item).await.run.as_deref(), Some(run.name.as_str()));
    (item, spec, run)
}

async fn reason(w: &World, item: &str) -> (StateName, &'static str, String) {
    let item = w.item(item).await;
    let reason = item.reason.expect("a reason");
    (item.state, code::find(&reason.code).expect("a known code").word, reason.message)
}

#[tokio::test]
async fn a_crashed_run_makes_its_item_unreachable_and_failed_after_the_grace() {
    let w = World::new().await;
    let (item, _, run) = running(&w).await;
    w.clock.advance_ms(SILENCE_MS);
    w.service.runs_crash_silent().await.expect("looked");
    w.later(0).await;
    let flagged = w.item(&item).await;
    assert_eq!((flagged.state, flagged.unreachable_since.is_some()), (StateName::Running, true));
    w.says(&run, Event::Posted).await;
    assert!(w.item(&item).await.unreachable_since.is_none(), "a client that posts again runs again");

    w.clock.advance_ms(SILENCE_MS);
    w.service.runs_crash_silent().await.expect("looked");
    w.later(GRACE_MS - 1_000).await;
    assert_eq!(w.state(&item).await, StateName::Running);
    w.later(1_000).await;
    let (state, code, message) = reason(&w, &item).await;
    assert_eq!((state, code), (StateName::Failed, "agent_lost"));
    assert!(message.contains(&format!("the run `{}` fell silent", run.name)), "{message}");
}

#[tokio::test]
async fn a_stop_of_a_crashed_run_is_remembered_until_it_posts_again() {
    let w = World::new().await;
    let (item, _, run) = running(&w).await;
    w.clock.advance_ms(SILENCE_MS);
    w.service.runs_crash_silent().await.expect("looked");
    w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
    w.says(&run, Event::Posted).await;
    assert!(w.says(&run, Event::Posted).await.stop_requested, "its client is told");
    w.says(&run, Event::Completed { exit_code: 255 }).await;
    assert_eq!(reason(&w, &item).await, (StateName::Stopped, "stopped", "stopped by ana".to_owned()));
}

#[tokio::test]
async fn an_item_whose_run_or_project_is_deleted_ends_with_that_reason() {
    let w = World::new().await;
    let (item, _, run) = running(&w).await;
    w.service.run_delete(&w.ana, &run).await.expect("deleted");
    let (state, _, message) = reason(&w, &item).await;
    assert_eq!((state, message.as_str()), (StateName::Stopped, "stopped by ana, who deleted its run"));

    let (item, ..) = running(&w).await;
    w.service.project_delete(&w.ana, "ana", "p").await.expect("deleted");
    let (state, _, message) = reason(&w, &item).await;
    assert_eq!((state, message.as_str()), (StateName::Stopped, "stopped by ana, who deleted its project"));
    assert!(
        w.service.project_find(&w.ana, Some("ana"), "p").await.is_err(),
        "the end of the item does not make it anew"
    );
}

#[tokio::test]
async fn only_who_may_end_an_item_deletes_its_run() {
    let w = World::new().await;
    let bo = World::user(&w.service, "bo").await;
    w.service.member_put("vision", "bo", lanza_model::Role::Member).await.expect("a member");
    let agent = w.stock_agent("vision", "q").await;
    w.push_by(&w.ana, "vision", json!({ "job": "vision/p/job:v0", "project": "p" })).await.expect("pushed");
    let (item, spec) = w.pop("vision", "q", &agent).await;
    let run = w.init(&item, &spec).await;
    let refused = w.service.run_delete(&bo, &run).await.expect_err("ana's item");
    assert_eq!(refused.code(), code::FORBIDDEN);
    assert_eq!(w.state(&item).await, StateName::Running);
    w.service.run_delete(&w.ana, &run).await.expect("her own");
    w.service.member_put("vision", "bo", lanza_model::Role::Member).await.expect("a member");
}

#[tokio::test]
async fn what_did_not_arrive_at_the_item_is_taken_there_later() {
    let w = World::new().await;
    let (item, _, run) = running(&w).await;
    // A server that dies behind the write: the run has ended, and nobody told the item.
    let event = Event::Completed { exit_code: 3 };
    let post = RunPost {
        run: run.id.clone(),
        writer: String::new(),
        chunks: Vec::new(),
        summary: None,
        event,
        now: w.clock.now(),
    };
    w.store.run_post(std::sync::Arc::new(post)).await.expect("posted");
    w.later(9_000).await;
    assert_eq!(w.state(&item).await, StateName::Running, "it may be on its way");
    w.later(2_000).await;
    let (state, code, message) = reason(&w, &item).await;
    assert_eq!((state, code), (StateName::Failed, "exit_code"));
    assert!(message.contains("exit code 3"), "{message}");

    let (item, _, run) = running(&w).await;
    w.store.run_delete(&run.id).await.expect("deleted");
    w.later(0).await;
    assert_eq!(w.state(&item).await, StateName::Stopped, "nobody waits for a run that is gone");
}

#[tokio::test]
async fn a_run_that_is_only_announced_does_not_speak_for_its_silent_agent() {
    let w = World::new().await;
    let (item, _, run) = running(&w).await;
    w.service.run_set_state(&w.ana, run.id.as_str(), "pending").await.expect("to begin again");
    w.later(60_500).await;
    assert!(w.item(&item).await.unreachable_since.is_some());
    w.later(GRACE_MS).await;
    assert_eq!(reason(&w, &item).await.1, "agent_lost");
}

#[tokio::test]
async fn a_stop_before_there_is_a_run_reaches_the_run_and_the_agent() {
    let w = World::new().await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
    // The agent asks for the run that it was given the id of, long before the job begins one.
    let planned = spec["run_id"].as_str().expect("an id");
    let announced = w.service.run_find(&w.ana, Some("ana"), "p", planned).await.expect("announced");
    assert_eq!((announced.state, announced.stop_requested), (State::Pending, true));
    assert!(w.item(&item).await.run.is_none(), "nobody has begun");
    let run = w.init(&item, &spec).await;
    assert_eq!((run.id.as_str(), run.state), (announced.id.as_str(), State::Running));
    assert!(w.says(&run, Event::Posted).await.stop_requested, "the wish is not lost");
    w.says(&run, Event::Completed { exit_code: 255 }).await;
    assert_eq!(reason(&w, &item).await, (StateName::Stopped, "stopped", "stopped by ana".to_owned()));
}

#[tokio::test]
async fn a_stop_reaches_a_run_under_another_id_than_the_planned_one() {
    let w = World::new().await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
    let token = w.service.authenticate(spec["_wandb_api_key"].as_str().expect("a key")).await.expect("the token");
    let run = w.begin_run(&token, &item, "ana", "p", "chosen-by-the-script").await;
    assert!(w.says(&run, Event::Posted).await.stop_requested);
    w.says(&run, Event::Completed { exit_code: 255 }).await;
    assert_eq!(w.state(&item).await, StateName::Stopped);
}

#[tokio::test]
async fn a_job_that_is_stopped_before_its_run_was_stopped_whatever_its_agent_calls_that() {
    let w = World::new().await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    w.service.item_stop(&w.ana, &item, &Stop::default()).await.expect("asked");
    w.service.stock_item_fail(&w.ana, &item, "was not successfully started", "run", &[]).await.expect("said");
    assert_eq!(reason(&w, &item).await, (StateName::Stopped, "stopped", "stopped by ana".to_owned()));
    let planned = spec["run_id"].as_str().expect("an id");
    let run = w.service.run_find(&w.ana, Some("ana"), "p", planned).await.expect("a record");
    assert_eq!(run.state, State::Killed);
}

#[tokio::test]
async fn what_a_stock_agent_would_refuse_is_said_while_one_serves_the_queue() {
    let w = World::new().await;
    let config = json!({ "volume": ["/data:/data"], "env": ["TOKEN=secret:HF"] });
    let (name, target) = (Some("box".to_owned()), Some("docker".to_owned()));
    let new = NewQueue { name, target, config: config.as_object().cloned(), ..NewQueue::default() };
    let queue = w.service.queue_create(&w.ana, "ana", new).await.expect("a queue");
    let spec =
        json!({ "job": "ana/p/job:v0", "project": "p", "resource_args": { "local-container": { "gpus": ["all"] } } });
    let said = async || {
        let plan = w.service.item_plan(&w.ana, "ana", "box", spec.clone()).await.expect("a plan").warnings;
        let pushed = w.service.item_push(&w.ana, "ana", "box", spec.clone(), Door::Rest, WirePush::default()).await;
        assert_eq!(plan, pushed.expect("pushed").warnings);
        plan.into_iter().filter(|warning| warning.contains("wandb launch-agent")).collect::<Vec<_>>()
    };
    assert_eq!(said().await, Vec::<String>::new(), "nobody of that kind is there");
    let agent = w.stock_agent("ana", "box").await;
    let warnings = said().await;
    for (field, why) in [("volume", "is refused by it"), ("env[0]", "names a secret"), ("gpus", "is a list")] {
        let start = "`wandb launch-agent` on h (wandb@0.31.0) serves the queue `box`";
        let found = warnings.iter().any(|w| w.starts_with(&format!("{start}: `{field}` {why}")));
        assert!(found, "{field}: {warnings:#?}");
    }
    let of_queue = w.service.queue_warnings(&queue).await.expect("warnings");
    assert_eq!(of_queue.len(), 2, "{of_queue:#?}");
    // A file of queues is told the same, and what the target does not know beside it.
    let file = |config: Value| ApplyQueues {
        queues: vec![json!({ "name": "box", "target": "docker", "config": config })],
        prune: false,
    };
    let planned = w.service.queues_apply(&w.ana, "ana", file(config.clone()), true).await.expect("a plan");
    assert_eq!(planned[0].warnings, of_queue);
    let planned =
        w.service.queues_apply(&w.ana, "ana", file(json!({ "volumme": "/a:/b" })), true).await.expect("a plan");
    assert!(
        planned[0].warnings[0].contains("`volumme` is not an option") && planned[0].warnings[0].contains("`volume`")
    );
    w.service.stock_agent_seen(&w.ana, &agent, Some("KILLED")).await.expect("killed");
    assert_eq!(said().await, Vec::<String>::new());
    assert_eq!(w.service.queue_warnings(&queue).await.expect("none"), Vec::<String>::new());
}

#[tokio::test]
async fn the_files_that_an_agent_says_more_in_are_named() {
    let w = World::new().await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, _) = w.pop("ana", "q", &agent).await;
    let name = w.store.agent_by_id(&agent.parse().expect("an id")).await.expect("read").expect("there").name;
    let file = |kind: &str, name: &str| vec![format!("{item}/{kind}/{name}")];
    let warn = file("warning", "failed-packages.log");
    w.service.stock_item_warn(&w.ana, &item, "one package is missing", "build", &warn).await.expect("said");
    let warned = w.item(&item).await.warnings.pop().expect("a warning");
    assert!(
        warned.contains(&format!("`{}` among the files of the agent's run ana/model-registry/{name}", warn[0])),
        "{warned}"
    );
    w.service.stock_item_fail(&w.ana, &item, "no such job", "agent", &file("error", "error.log")).await.expect("said");
    let (_, code, message) = reason(&w, &item).await;
    assert_eq!(code, "run_not_started");
    assert!(message.starts_with("no such job (more in `") && message.contains("/error/error.log`"), "{message}");
}

#[tokio::test]
async fn a_limit_of_the_queue_reaches_a_job_that_has_no_run_yet() {
    let w = World::new().await;
    w.policy(json!({ "start_timeout_seconds": 100 })).await;
    let agent = w.stock_agent("ana", "q").await;
    w.push(job()).await.expect("pushed");
    let (item, spec) = w.pop("ana", "q", &agent).await;
    for _ in 0..11 {
        w.service.stock_agent_seen(&w.ana, &agent, None).await.expect("seen");
        w.later(10_000).await;
    }
    let run = w.init(&item, &spec).await;
    assert!(w.says(&run, Event::Posted).await.stop_requested);
    w.says(&run, Event::Completed { exit_code: 255 }).await;
    let (state, code, _) = reason(&w, &item).await;
    assert_eq!((state, code), (StateName::Failed, "start_timeout"));
}
