//! What the web app asks of queues, of what waits on them and of who serves them.

use axum::{
    body::Body,
    http::{Request, header},
};
use lanza_model::Role;
use lanza_service::runs::RunRequest;
use lanza_store::runs::RunFields;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::tests::House;

#[tokio::test]
async fn agents_that_ended_do_not_hide_live_ones() {
    let house = House::new().await;
    let ana = Some(house.keys[0].as_str());
    let list = async |query: &str| {
        let (status, answer) = house.ask("GET", &format!("/api/v1/entities/vision/agents{query}"), ana, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((list("").await, list("?live=true").await), (1, 1));
    let id = house.agent.parse().expect("an id");
    house.store.agent_seen(&id, Some("killed"), house.service.now()).await.expect("ended");
    assert_eq!((list("").await, list("?live=true").await, list("?live=false").await), (1, 0, 1));
}

#[tokio::test]
async fn a_change_of_a_queue_is_refused_where_another_came_first() {
    let house = House::new().await;
    let ana = house.keys[0].as_str();
    let path = "/api/v1/entities/vision/queues/q";
    let (_, answer) = house.ask("GET", path, Some(ana), None).await;
    let seen = answer["queue"]["revision"].as_str().expect("a revision").to_owned();
    let change = async |method: &str, revision: &str, most: i64| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {ana}"))
            .header(header::IF_MATCH, revision)
            .body(Body::from(json!({ "target": "process", "policy": { "max_running": most } }).to_string()))
            .expect("a request");
        let answer = house.router.clone().oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    assert_eq!(change("PATCH", &format!("\"{seen}\""), 1).await.0, 200);
    for method in ["PATCH", "PUT"] {
        let (status, answer) = change(method, &format!("\"{seen}\""), 2).await;
        assert_eq!((status, answer["code"].as_str()), (412, Some("changed_since")), "{answer}");
    }
    let (_, answer) = house.ask("GET", path, Some(ana), None).await;
    assert_eq!(answer["queue"]["policy"], json!({ "max_running": 1 }));
    let now = answer["queue"]["revision"].as_str().expect("a revision");
    assert_eq!(change("PUT", now, 3).await.0, 200, "without quotes, too");
    assert_eq!(change("PATCH", "*", 4).await.0, 200, "whatever it is");
}

#[tokio::test]
async fn what_waits_is_listed_by_place_page_by_page() {
    let house = House::new().await;
    let ana = Some(house.keys[0].as_str());
    let items = "/api/v1/entities/vision/queues/q/items";
    for priority in ["low", "critical", "medium"] {
        let spec = json!({ "job": "vision/p/job:v0", "project": "p", "priority": priority });
        assert_eq!(house.ask("POST", items, ana, Some(&spec)).await.0, 201);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = house.ask("GET", &format!("{items}?order=place&limit=2&after={after}"), ana, None).await;
        assert_eq!(status, 200, "{page}");
        for item in page["items"].as_array().expect("a list") {
            assert_eq!(item["why"]["position"], json!(seen.len() + 1), "{item}");
            seen.push(item["priority"].as_str().expect("a priority").to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(seen, ["critical", "medium", "medium", "low"]);
    for (query, word) in [
        ("order=place", "queue"),
        ("order=place&queue=q&after=x", "cursor"),
        ("order=place&queue=q&state=failed", "queued"),
    ] {
        let (status, answer) = house.ask("GET", &format!("/api/v1/items?entity=vision&{query}"), ana, None).await;
        assert_eq!(
            (status.as_u16(), answer["message"].as_str().is_some_and(|m| m.contains(word))),
            (422, true),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_list_says_why_items_wait_and_who_else_may_stop_one_by_its_run() {
    let house = House::new().await;
    let ana = Some(house.keys[0].as_str());
    let (_, list) = house.ask("GET", "/api/v1/items?entity=vision&state=queued", ana, None).await;
    assert_eq!(list["items"][0]["why"]["position"], 1, "{list}");
    // A run of that item: another member may not stop the one by the other.
    let actor = house.service.authenticate(&house.keys[0]).await.expect("ana");
    house.service.member_put("vision", "eve", Role::Member).await.expect("a member");
    let config = json!({ "_wandb": { "value": { "launch_trace_id": house.item } } });
    let run = RunRequest {
        entity: Some("vision".into()),
        project: Some("p".into()),
        name: Some("launched".into()),
        fields: RunFields { config: Some(config.to_string()), ..RunFields::default() },
        ..RunRequest::default()
    };
    house.service.run_upsert(&actor, run).await.expect("a run");
    let stop = "/api/v1/entities/vision/projects/p/runs/launched/stop";
    let (status, answer) = house.ask("POST", stop, Some(&house.keys[2]), None).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (403, Some("forbidden")), "{answer}");
    assert_eq!(house.ask("POST", stop, ana, None).await.0, 200);
}
