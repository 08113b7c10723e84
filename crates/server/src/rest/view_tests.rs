//! What the web app shows of items and runs: ranges of logs, figures of a queue, columns of runs.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::tests::House;

impl House {
    /// The answer's text, with its headers `x-log-lines` and `x-log-first-line`.
    async fn text(&self, path: &str) -> (StatusCode, String, [u64; 2]) {
        let request = Request::get(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.keys[0]))
            .body(Body::empty())
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let number =
            |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or_default();
        let (status, numbers) = (response.status(), [number("x-log-lines"), number("x-log-first-line")]);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(bytes.to_vec()).expect("text"), numbers)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", &format!("/api/v1{path}"), Some(&self.keys[0]), None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", &format!("/api/v1{path}"), Some(&self.keys[0]), Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// An agent takes the item, logs, and fails.
    async fn carry_out(&self, pieces: &[(&str, &str)]) {
        let claim = json!({ "queues": ["q"], "free": 1, "wait_ms": 0 });
        let claimed = self.post(&format!("/agents/{}/claim", self.agent), &claim).await;
        assert_eq!(claimed["leases"][0]["item"], self.item.as_str());
        let attempt = format!("/agents/{}/items/{}/1", self.agent, self.item);
        self.post(&format!("{attempt}/acknowledge"), &json!({})).await;
        let mut ends = std::collections::HashMap::new();
        for (phase, text) in pieces {
            let offset: &mut usize = ends.entry(*phase).or_insert(0);
            let request = Request::post(format!("/api/v1{attempt}/logs/{phase}?offset={offset}"))
                .header(header::AUTHORIZATION, format!("Bearer {}", self.keys[0]))
                .body(Body::from((*text).to_owned()))
                .expect("a request");
            let status = self.router.clone().oneshot(request).await.expect("an answer").status();
            assert!(status.is_success(), "{status}");
            *offset += text.len();
        }
        let reason = json!({ "code": "file_missing", "help": "LZ0000", "message": "no data", "hint": null });
        let outcome = json!({ "outcome": { "ending": "failed", "exit_code": 1, "reason": reason, "phase": "run",
            "ended_at": lanza_model::clock::Clock::now(&lanza_model::clock::SystemClock) } });
        self.post(&format!("{attempt}/outcome"), &outcome).await;
    }
}

#[tokio::test]
async fn a_log_is_read_from_any_line_and_searched() {
    let house = House::new().await;
    house
        .carry_out(&[
            ("fetch", "f1\nf2 open"),
            ("run", "one\ntw"),
            ("run", "o\nthree\n"),
            ("run", "four"),
            ("run", " ever"),
        ])
        .await;
    let logs = format!("/items/{}/logs", house.item);
    let all = "f1\nf2 open\none\ntwo\nthree\nfour ever";
    assert_eq!(house.text(&logs).await, (StatusCode::OK, all.into(), [6, 1]));
    assert_eq!(house.text(&format!("{logs}?tail=2")).await, (StatusCode::OK, "three\nfour ever".into(), [6, 5]));
    assert_eq!(house.text(&format!("{logs}?tail=0")).await, (StatusCode::OK, String::new(), [6, 7]));
    assert_eq!(house.text(&format!("{logs}?tail=99")).await.1, all);
    assert_eq!(
        house.text(&format!("{logs}?from_line=2&lines=3")).await,
        (StatusCode::OK, "f2 open\none\ntwo\n".into(), [6, 2])
    );
    assert_eq!(house.text(&format!("{logs}?phase=run&from_line=2&lines=1")).await.1, "two\n");
    assert_eq!(
        house.text(&format!("{logs}?phase=run&tail=3")).await,
        (StatusCode::OK, "two\nthree\nfour ever".into(), [4, 2])
    );
    for wrong in ["tail=1&from_line=1", "tail=100001", "from_line=0", "lines=0"] {
        assert_eq!(house.text(&format!("{logs}?{wrong}")).await.0, 422, "{wrong}");
    }
    let (_, followed, _) = house.text(&format!("{logs}?phase=run&follow=true&tail=2")).await;
    assert!(
        followed.contains(r#""line":3,"#) && followed.contains("four ever") && !followed.contains("two"),
        "{followed}"
    );
    assert!(followed.contains("event: end"), "{followed}");

    let found = house.get(&format!("{logs}/search?q=F")).await;
    let lines: Vec<&Value> = found["items"].as_array().expect("a list").iter().map(|m| &m["number"]).collect();
    assert_eq!((lines, &found["next"]), (vec![&json!(1), &json!(2), &json!(6)], &Value::Null));
    let found = house.get(&format!("{logs}/search?q=%5Et&regex=true&phase=run&limit=1")).await;
    assert_eq!(
        (&found["items"][0]["text"], &found["items"][0]["line"], &found["next"]),
        (&json!("two"), &json!(2), &json!("3"))
    );
    let found = house.get(&format!("{logs}/search?q=%5Et&regex=true&phase=run&limit=1&after=3")).await;
    assert_eq!(found["items"][0]["text"], "three");
}

#[tokio::test]
async fn a_queue_says_how_it_did() {
    let house = House::new().await;
    house.carry_out(&[("run", "x\n")]).await;
    let queue = "/entities/vision/queues/q";
    let stats = house.get(&format!("{queue}/stats?since=1h&slices=4")).await["stats"].clone();
    assert_eq!(
        (&stats["pushed"], &stats["ended"]["failed"], &stats["waiting"]["count"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(stats["over_time"]["failed"], json!([0, 0, 0, 1]));
    assert_eq!(stats["over_time"]["running"], json!([0, 0, 0, 0]), "it is over at the end of its slice");
    assert_eq!(stats["over_time"]["most_running"], json!([0, 0, 0, 1]));
    assert_eq!(
        (&stats["errors"][0]["cause"], &stats["errors"][0]["items"][0]),
        (&json!("file_missing"), &json!(house.item))
    );
    assert_eq!((&stats["users"][0]["key"], &stats["users"][0]["items"]), (&json!("ana"), &json!(1)));
    let attempts = house.get(&format!("{queue}/attempts?since=1h")).await;
    let attempt = &attempts["items"][0];
    assert_eq!((&attempt["unreachable"], &attempt["cause"]), (&json!(false), &json!("file_missing")));
    assert!(
        attempt["message"].as_str().is_some_and(|m| !m.is_empty()) && attempt["help"].as_str().is_some(),
        "{attempt}"
    );
    assert_eq!(
        (&attempts["items"][0]["state"], &attempts["items"][0]["agent"]),
        (&json!("failed"), &json!(house.agent))
    );
    assert_eq!(house.get(&format!("{queue}/attempts?until=2h&since=3h")).await["items"], json!([]));
    let jobs = house.get(&format!("{queue}/jobs")).await;
    assert_eq!((&jobs["items"][0]["job"], &jobs["items"][0]["failed"]), (&json!("vision/p/job"), &json!(1)));
    for wrong in ["since=100d", "since=1h&until=2h", "slices=0", "until=soon"] {
        let path = format!("/api/v1{queue}/stats?{wrong}");
        assert_eq!(house.ask("GET", &path, Some(&house.keys[0]), None).await.0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn lists_of_runs_answer_the_keys_that_are_asked_for() {
    let house = House::new().await;
    let ana = house.service.authenticate(&house.keys[0]).await.expect("ana");
    let fields = lanza_store::runs::RunFields {
        config: Some(r#"{"lr":{"value":0.5},"model":{"value":{"width":8}}}"#.into()),
        summary: Some(r#"{"loss":NaN,"deep":{"x":1}}"#.into()),
        ..Default::default()
    };
    let run = lanza_service::runs::RunRequest {
        entity: Some("vision".into()),
        project: Some("p".into()),
        name: Some("r2".into()),
        fields,
        ..Default::default()
    };
    house.service.run_upsert(&ana, run).await.expect("a run");
    let runs = "/entities/vision/projects/p/runs";
    let list = house.get(&format!("{runs}?keys=config.model.width,summary.loss,summary.deep.x&order=-config.lr")).await;
    let (first, second) = (&list["items"][0], &list["items"][1]);
    assert_eq!(
        (&first["id"], &first["config"], &first["summary"]),
        (&json!("r2"), &json!({ "model.width": 8 }), &json!({ "loss": "NaN", "deep.x": 1 }))
    );
    assert_eq!((&second["id"], &second["summary"]), (&json!("r1"), &json!({})));
    let groups =
        house.get("/entities/vision/projects/p/run-groups?by=%5B%22config.lr%22%5D&metrics=summary.deep.x").await;
    let count = |value: &Value| {
        groups["items"].as_array().expect("groups").iter().filter(|g| g["values"] == json!([value])).count()
    };
    assert_eq!((count(&json!(0.5)), count(&Value::Null)), (1, 1));
    let keys = house.get("/entities/vision/projects/p/run-keys").await;
    assert!(
        keys["items"].as_array().expect("keys").contains(&json!({ "key": "summary.loss", "kinds": ["number"] })),
        "{keys}"
    );
}
