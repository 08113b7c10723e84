//! A run from its first request to the last, and read back.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Home;

const UPSERT: &str = "mutation UpsertBucket($name: String, $project: String, $id: String, $config: JSONString, \
    $tags: [String!], $displayName: String, $state: String) { upsertBucket(input: {name: $name, id: $id, \
    modelName: $project, config: $config, tags: $tags, displayName: $displayName, state: $state}) { inserted \
    bucket { id name displayName config tags project { name entity { name } } } serverSettings { serverMessages { plainText } } } }";

impl Home {
    async fn upsert(&self, variables: Value) -> Value {
        self.ask(UPSERT, variables).await["upsertBucket"].take()
    }

    async fn stream(&self, run: &str, body: &Value) -> (StatusCode, Value) {
        self.post(&format!("/files/ada/p/{run}/file_stream"), body).await
    }

    async fn run(&self, run: &str, fields: &str) -> Value {
        let query =
            format!("{{ project(name: \"P\", entityName: \"ada\") {{ run(name: \"{run}\") {{ {fields} }} }} }}");
        self.ask(&query, json!({})).await["project"]["run"].take()
    }
}

fn line(step: i64, rest: &str) -> String {
    format!("{{\"_step\":{step},\"_runtime\":{step}.5,{rest}}}")
}

#[tokio::test]
async fn a_run_is_made_streamed_and_read_back() {
    let home = Home::new().await;
    let made = home.upsert(json!({ "name": "r1", "project": "p", "config": "{\"lr\":{\"value\":0.1}}" })).await;
    assert_eq!((&made["inserted"], &made["bucket"]["name"]), (&json!(true), &json!("r1")));
    assert!(made["bucket"]["displayName"].as_str().is_some_and(|n| n.ends_with("-1")), "{made}");
    assert_eq!(made["serverSettings"]["serverMessages"], json!([]));

    // The project is found in any spelling; explicit nulls leave things as they are.
    let again = home.upsert(json!({ "id": made["bucket"]["id"], "project": "P", "config": null, "tags": "one" })).await;
    assert_eq!((&again["inserted"], &again["bucket"]["tags"]), (&json!(false), &json!(["one"])));
    assert_eq!(again["bucket"]["config"], "{\"lr\":{\"value\":0.1}}");
    assert_eq!(again["bucket"]["project"]["name"], "p");

    let lines =
        [line(0, "\"loss\":0.5,\"n\":{\"x\":1}"), line(1, "\"loss\":NaN"), line(2, "\"loss\":0.30000000000000004")];
    let (status, answer) = home
        .stream(
            "r1",
            &json!({ "files": {
            "wandb-history.jsonl": { "offset": 0, "content": lines },
            "output.log": { "offset": 0, "content": ["{\"ts\":\"2026-11-21T22:13:21.16\",\"content\":\"hi\"}", "x"] },
        } }),
        )
        .await;
    assert_eq!((status, answer["limits"].is_object()), (StatusCode::OK, true));
    // Lines are sent again and rewritten.
    let body = json!({ "files": {
        "wandb-history.jsonl": { "offset": 2, "content": [lines[2], line(3, "\"loss\":0.1,\"late\":true")] },
        "output.log": { "offset": 1, "content": ["ERROR 2026-11-21T22:13:22 bad"] },
        "wandb-summary.json": { "offset": 0, "content": ["{\"loss\":NaN}", "{\"loss\":0.1,\"bad\":NaN}"] },
    } });
    home.stream("r1", &body).await;
    home.stream("r1", &json!({ "complete": true, "exitcode": 0 })).await;

    let fields = "state historyLineCount logLineCount summaryMetrics exitcode running historyTail \
        history(samples: 500) window: history(minStep: 1, maxStep: 3, samples: 100) historyKeys \
        sampledHistory(specs: \"{\\\"keys\\\":[\\\"_step\\\",\\\"loss\\\"],\\\"samples\\\":10}\") \
        parquetHistory(liveKeys: [\"_step\"]) { parquetUrls liveData } \
        logLines(first: 1) { edges { node { number line level } } pageInfo { endCursor hasNextPage } } \
        tail: logLines(last: 1) { edges { node { number line level } } }";
    let run = home.run("r1", fields).await;
    assert_eq!(
        (run["state"].as_str(), &run["exitcode"], &run["running"]),
        (Some("finished"), &json!(0), &json!(false))
    );
    assert_eq!((&run["historyLineCount"], &run["logLineCount"]), (&json!(4), &json!(2)));
    assert_eq!(run["summaryMetrics"], "{\"loss\":0.1,\"bad\":NaN}");
    assert_eq!(run["history"].as_array().map(Vec::len), Some(4));
    assert_eq!(run["window"], json!([lines[1], lines[2]]));
    assert_eq!(run["historyTail"], json!([line(3, "\"loss\":0.1,\"late\":true")]).to_string());
    assert_eq!(run["sampledHistory"][0][1], json!({ "_step": 1, "loss": "NaN" }));
    assert_eq!(run["sampledHistory"][0].as_array().map(Vec::len), Some(4));
    assert_eq!(
        run["parquetHistory"],
        json!({ "parquetUrls": [], "liveData": [{"_step":0},{"_step":1},{"_step":2},{"_step":3}] })
    );
    assert_eq!(run["historyKeys"]["lastStep"], 3);
    assert_eq!(run["historyKeys"]["keys"]["loss"]["previousValue"], json!(0.1));
    assert_eq!(run["historyKeys"]["keys"]["n.x"]["previousValue"], json!(1));
    assert_eq!(run["logLines"]["edges"][0]["node"], json!({ "number": 0, "line": "hi", "level": null }));
    assert_eq!(run["logLines"]["pageInfo"], json!({ "endCursor": "0", "hasNextPage": true }));
    assert_eq!(run["tail"]["edges"][0]["node"], json!({ "number": 1, "line": "bad", "level": "error" }));
}

#[tokio::test]
async fn rows_that_nobody_can_read_are_left_out_and_counted() {
    let home = Home::new().await;
    home.upsert(json!({ "name": "r1", "project": "p" })).await;
    let good = [line(0, "\"loss\":0.5"), line(1, "\"loss\":NaN")];
    let body = json!({ "files": {
        "wandb-history.jsonl": { "offset": 0, "content": [good[0], "{bad", good[1], "{\"_step\":2,", "7"] },
        "wandb-summary.json": { "offset": 0, "content": ["{bad"] },
    } });
    let (status, answer) = home.stream("r1", &body).await;
    assert_eq!((status, &answer["unreadable_lines"]), (StatusCode::OK, &json!(4)));
    let run = home
        .run(
            "r1",
            "history(samples: 9) historyTail historyLineCount summaryMetrics window: history(minStep: 0, maxStep: 9)",
        )
        .await;
    assert_eq!(run["history"], json!(good));
    assert_eq!(run["window"], json!(good));
    assert_eq!(run["historyTail"], json!([good[1]]).to_string());
    // The client goes on where it is.
    assert_eq!((&run["historyLineCount"], &run["summaryMetrics"]), (&json!(5), &json!("{}")));
    let (_, answer) = home
        .stream("r1", &json!({ "files": { "wandb-history.jsonl": { "offset": 5, "content": [line(2, "\"x\":1")] } } }))
        .await;
    assert!(answer.get("unreadable_lines").is_none(), "{answer}");
    assert_eq!(home.run("r1", "history(samples: 9)").await["history"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_row_far_behind_the_others_costs_no_more_than_a_row() {
    let home = Home::new().await;
    home.upsert(json!({ "name": "r1", "project": "p" })).await;
    for (offset, row) in [(0, line(0, "\"loss\":1")), (5_000_000, line(7, "\"loss\":2"))] {
        home.stream("r1", &json!({ "files": { "wandb-history.jsonl": { "offset": offset, "content": [row] } } })).await;
    }
    home.stream("r1", &json!({ "complete": true, "exitcode": 0 })).await;
    let began = std::time::Instant::now();
    let run = home.run("r1", "history(samples: 9) historyTail historyLineCount historyKeys").await;
    assert_eq!(run["history"].as_array().map(Vec::len), Some(2), "{run}");
    assert_eq!(run["historyTail"], json!([line(7, "\"loss\":2")]).to_string());
    assert_eq!((&run["historyLineCount"], &run["historyKeys"]["lastStep"]), (&json!(5_000_001), &json!(7)));
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    for wrong in [-1_i64, i64::MAX] {
        let body = json!({ "files": { "wandb-history.jsonl": { "offset": wrong, "content": ["{}"] } } });
        let (status, answer) = home.stream("r1", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.to_string().contains("offset is the number of a line, from 0 to"), "{answer}");
    }
}

#[tokio::test]
async fn a_run_is_stopped_falls_silent_speaks_again_and_is_deleted() {
    let home = Home::new().await;
    let id = home.upsert(json!({ "name": "r1", "project": "p" })).await["bucket"]["id"].clone();
    let stop = "mutation StopRun($id: ID!) { stopRun(input: {id: $id}) { success } }";
    assert_eq!(home.ask(stop, json!({ "id": id })).await["stopRun"]["success"], true);
    assert_eq!(home.run("r1", "stopped").await["stopped"], true);
    let (_, answer) = home.stream("r1", &json!({})).await;
    assert_eq!(answer["stopped"], true);

    home.clock.advance_ms(lanza_service::runs::SILENCE_MS + 1);
    home.service.runs_crash_silent().await.expect("reconciled");
    assert_eq!(home.run("r1", "state").await["state"], "killed");
    let query = "query RunState($n: String!) { project(name: \"p\", entityName: \"ada\") { run(name: $n) { state } } }";
    assert_eq!(home.ask(query, json!({ "n": "r1" })).await["project"]["run"]["state"], "failed");

    home.upsert(json!({ "name": "r2", "project": "p" })).await;
    home.clock.advance_ms(lanza_service::runs::SILENCE_MS + 1);
    home.service.runs_crash_silent().await.expect("reconciled");
    assert_eq!(home.run("r2", "state").await["state"], "crashed");
    home.stream("r2", &json!({ "files": {} })).await;
    assert_eq!(home.run("r2", "state").await["state"], "running");
    home.stream("r2", &json!({ "complete": true, "exitcode": 3 })).await;
    assert_eq!(
        home.run("r2", "state failed exitcode").await,
        json!({ "state": "failed", "failed": true, "exitcode": 3 })
    );

    let delete =
        "mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id, deleteArtifacts: false}) { clientMutationId } }";
    home.ask(delete, json!({ "id": id })).await;
    assert_eq!(home.run("r1", "id").await, Value::Null);
    let (status, _) = home.stream("r1", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = home.post("/graphql", &json!({ "query": delete, "variables": { "id": id } })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_are_put_whole_or_not_at_all() {
    let home = Home::new().await;
    home.upsert(json!({ "name": "r1", "project": "p" })).await;
    let create = "mutation CreateRunFiles($files: [String!]!) { createRunFiles(input: {entityName: \"ada\", \
        projectName: \"p\", runName: \"r1\", files: $files}) { runID uploadHeaders files { name uploadUrl } } }";
    let names = ["a b=ü.txt", "empty.txt", "media/x.png"];
    let slots = home.ask(create, json!({ "files": names })).await["createRunFiles"].take();
    assert!(slots["runID"].is_string());
    let url = |n: usize| {
        let url = slots["files"][n]["uploadUrl"].as_str().expect("a URL");
        url.strip_prefix("http://lanza.test").expect("an absolute URL of this server").to_owned()
    };
    assert_eq!(slots["files"][2]["name"], "media/x.png");
    for (n, body) in [(0, "old"), (0, "hello"), (1, "")] {
        let (status, _) = home.send(home.request("PUT", &url(n), body)).await;
        assert_eq!(status, StatusCode::OK);
    }
    for (header, value, code) in
        [("content-length", "99", "upload_truncated"), ("content-md5", "AAAA", "digest_mismatch")]
    {
        let mut request = home.request("PUT", &url(2), "part");
        request.headers_mut().insert(header, value.parse().expect("a value"));
        let (status, body) = home.send(request).await;
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((status, body["errors"][0]["extensions"]["code"].as_str()), (StatusCode::BAD_REQUEST, Some(code)));
    }
    let fields = "fileCount files(first: 1) { edges { node { name sizeBytes md5 url(upload: false) directUrl } cursor } \
        pageInfo { hasNextPage endCursor } } named: files(names: [\"./empty.txt\"]) { edges { node { name sizeBytes } } } \
        like: files(pattern: \"%.png\") { edges { node { name } } }";
    let run = home.run("r1", fields).await;
    assert_eq!((&run["fileCount"], &run["like"]["edges"]), (&json!(2), &json!([])));
    assert_eq!(run["named"]["edges"], json!([{ "node": { "name": "empty.txt", "sizeBytes": 0 } }]));
    assert_eq!(run["files"]["pageInfo"]["hasNextPage"], true);
    let file = &run["files"]["edges"][0]["node"];
    assert_eq!((&file["name"], &file["md5"]), (&json!("a b=ü.txt"), &json!("XUFAKrxLKna5cZ2REBfFkg==")));
    for key in ["url", "directUrl"] {
        let path = file[key].as_str().expect("a URL").strip_prefix("http://lanza.test").expect("absolute").to_owned();
        let (status, body) = home.send(home.request("GET", &path, "")).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"hello"[..]), "{path}");
    }
    // A page that a run sent must not act as one of the server's: it may run no script and read nothing of ours.
    let path = file["url"].as_str().expect("a URL").trim_start_matches("http://lanza.test").to_owned();
    let answer = home.answer(home.request("GET", &path, "")).await;
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let policy = header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("sandbox; default-src 'none';") && !policy.contains("http"), "{policy}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    let (status, _) = home.send(home.request("OPTIONS", "/files/ada/p/r1/empty.txt", "")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = home.send(home.request("PUT", "/storage/forged.link", "x")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let home = Home::new().await;
    for n in 0..5 {
        let config = format!("{{\"lr\":{{\"value\":{}}},\"deep\":{{\"value\":{{\"x\":{n}}}}}}}", f64::from(n) / 10.0);
        home.clock.advance_ms(1000);
        home.upsert(
            json!({ "name": format!("r{n}"), "project": "p", "config": config, "tags": ["all", format!("t{n}")] }),
        )
        .await;
        home.stream(
            &format!("r{n}"),
            &json!({ "files": { "wandb-summary.json": { "offset": 0, "content": [format!("{{\"loss\":{}}}", -n)] } } }),
        )
        .await;
    }
    home.stream("r1", &json!({ "complete": true, "exitcode": 0 })).await;
    let query = "query Runs($f: JSONString, $o: String, $first: Int, $after: String) { project(name: \"p\", entityName: \"ada\") { \
        runCount(filters: $f) runs(filters: $f, order: $o, first: $first, after: $after) { edges { node { name } cursor } pageInfo { endCursor hasNextPage } } } }";
    let list = async |filter: Value, order: &str| {
        let mut names = Vec::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "f": filter.to_string(), "o": order, "first": 2, "after": after });
            let project = home.ask(query, variables).await["project"].take();
            for edge in project["runs"]["edges"].as_array().expect("edges") {
                names.push(edge["node"]["name"].as_str().expect("a name").to_owned());
            }
            after = project["runs"]["pageInfo"]["endCursor"].clone();
            if project["runs"]["pageInfo"]["hasNextPage"] == false {
                assert_eq!(project["runCount"], json!(names.len()));
                return names.join(" ");
            }
        }
    };
    assert_eq!(list(json!({}), "+created_at").await, "r0 r1 r2 r3 r4");
    assert_eq!(list(json!({}), "-created_at").await, "r4 r3 r2 r1 r0");
    assert_eq!(list(json!({}), "+summary_metrics.loss").await, "r4 r3 r2 r1 r0");
    assert_eq!(list(json!({ "state": "finished" }), "").await, "r1");
    assert_eq!(list(json!({ "config.lr": { "$gte": 0.3 } }), "-config.lr.value").await, "r4 r3");
    assert_eq!(list(json!({ "config.deep.x": 2 }), "").await, "r2");
    assert_eq!(list(json!({ "config.deep.value.x": { "$in": [0, 4] } }), "").await, "r0 r4");
    assert_eq!(list(json!({ "tags": "t3" }), "").await, "r3");
    assert_eq!(list(json!({ "$or": [{ "name": "r0" }, { "summary_metrics.loss": -4 }] }), "").await, "r0 r4");
    assert_eq!(
        list(json!({ "$and": [{ "name": { "$ne": "r0" } }, { "name": { "$regex": "^r[012]$" } }] }), "").await,
        "r1 r2"
    );
    assert_eq!(list(json!({ "config.lr": { "$exists": false } }), "").await, "");
    assert_eq!(list(json!({ "unheard.of": 1 }), "").await, "");
    assert_eq!(list(json!({ "created_at": { "$gt": "2025-11-21T22:13:24.160Z" } }), "").await, "r3 r4");
    let (status, _) = home.post("/graphql", &json!({ "query": query, "variables": { "f": "{\"$bad\":1}" } })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
