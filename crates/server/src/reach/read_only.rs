//! A key for reading reads what its owner may, and changes nothing, whatever the door.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use lanza_service::accounts::KeyRequest;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{World, rest, wire};

/// A key of otto, who may do everything, that only reads.
async fn reader(world: &World) -> String {
    let request = KeyRequest { read_only: true, ..KeyRequest::full("a dashboard") };
    world.service.key_create(&world.otto, request).await.expect("a key").0
}

async fn ask(world: &World, key: &str, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
    let (status, bytes) = world.send(method, path, key, body.map(Value::to_string).unwrap_or_default()).await;
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The code of a refusal, at either door.
fn code(answer: &Value) -> Option<&str> {
    answer["code"].as_str().or_else(|| answer["errors"][0]["extensions"]["code"].as_str())
}

#[tokio::test]
async fn on_every_route_a_key_for_reading_reads_what_its_owner_may_and_changes_nothing() {
    let world = World::new().await;
    let reader = reader(&world).await;
    let mut wrong = Vec::new();
    // Nobody changes a session with a key.
    for case in rest::cases().iter().filter(|case| case.path != "/session") {
        let path = rest::filled(case.path, &world.places[0]);
        let (status, answer) = ask(&world, &reader, case.method, &path, case.body.as_ref()).await;
        let right = if case.method == "GET" {
            status == ask(&world, &world.key, case.method, &path, None).await.0
        } else {
            status == StatusCode::FORBIDDEN && code(&answer) == Some("read_only_key")
        };
        if !right {
            wrong.push(format!("{} {}: {status} {answer}", case.method, case.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn in_graphql_a_key_for_reading_asks_every_query_and_no_mutation() {
    let world = World::new().await;
    let reader = reader(&world).await;
    let place = &world.places[0];
    let mut wrong = Vec::new();
    for case in wire::queries() {
        let body = json!({ "query": case.document, "variables": (case.input)(place) });
        let (read, full) = (
            ask(&world, &reader, "POST", "/graphql", Some(&body)).await,
            ask(&world, &world.key, "POST", "/graphql", Some(&body)).await,
        );
        if read != full || !full.1["errors"].is_null() {
            wrong.push(format!("{}: {read:?}, and with a full key {full:?}", case.field));
        }
    }
    for case in wire::mutations() {
        let body = json!({ "query": case.document, "variables": { "input": (case.input)(place) } });
        let (status, answer) = ask(&world, &reader, "POST", "/graphql", Some(&body)).await;
        if status != StatusCode::FORBIDDEN || code(&answer) != Some("read_only_key") {
            wrong.push(format!("{}: {status} {answer}", case.field));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_key_for_reading_streams_no_lines_and_gets_no_link_to_upload_by() {
    let world = World::new().await;
    let reader = reader(&world).await;
    let lines = json!({ "files": { "wandb-history.jsonl": { "offset": 0, "content": ["{\"a\": 1}"] } } });
    let streamed = ask(&world, &reader, "POST", "/files/vision/p/r1/file_stream", Some(&lines)).await;
    // Older clients ask for their links with a query.
    let links = "{ project(name: \"p\", entityName: \"vision\") { run(name: \"r1\") { \
                 files(names: [\"new.txt\"], upload: true) { edges { node { url(upload: true) } } } } } }";
    let links = json!({ "query": links });
    let linked = ask(&world, &reader, "POST", "/graphql", Some(&links)).await;
    for (status, answer) in [streamed, linked] {
        assert_eq!((status, code(&answer)), (StatusCode::FORBIDDEN, Some("read_only_key")), "{answer}");
    }
    let (status, answer) = ask(&world, &world.key, "POST", "/graphql", Some(&links)).await;
    assert_eq!(status, StatusCode::OK, "a full key gets them: {answer}");
    let (status, bytes) = world.send("GET", "/files/vision/p/r1/kept.txt", &reader, String::new()).await;
    assert_eq!((status, &bytes[..]), (StatusCode::OK, &b"kept"[..]));
}

#[tokio::test]
async fn a_browser_that_signed_in_with_a_key_for_reading_only_reads() {
    let world = World::new().await;
    let reader = reader(&world).await;
    let router = &world.router;
    let request = |method: &str, path: &str, cookie: &str| {
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
        request.header("sec-fetch-site", "same-origin").body(Body::empty()).expect("a request")
    };
    let sign_in = Request::post("/api/v1/session")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({ "api_key": reader }).to_string()))
        .expect("a request");
    let response = router.clone().oneshot(sign_in).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let cookie =
        response.headers()[header::SET_COOKIE].to_str().expect("text").split(';').next().expect("it").to_owned();
    for (method, path, expected) in [
        ("GET", "/api/v1/me", 200),
        // Neither way leads to a key that may do more.
        ("POST", "/api/v1/me/keys", 403),
        ("POST", "/authorize", 403),
        ("DELETE", "/api/v1/session", 204),
        ("GET", "/api/v1/me", 401),
    ] {
        let response = router.clone().oneshot(request(method, path, &cookie)).await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_and_who_comes_with_it_say_their_scope() {
    let world = World::new().await;
    let made = ask(&world, &world.key, "POST", "/api/v1/me/keys", Some(&json!({ "scope": "read" }))).await;
    assert_eq!((made.0, &made.1["key"]["scope"]), (StatusCode::CREATED, &json!("read")), "{}", made.1);
    let secret = made.1["api_key"].as_str().expect("a secret");
    let (_, keys) = ask(&world, secret, "GET", "/api/v1/me/keys", None).await;
    let scopes: Vec<_> = keys["items"].as_array().expect("keys").iter().map(|key| &key["scope"]).collect();
    assert_eq!(scopes, [&json!("full"), &json!("read")]);
    for (key, scope) in [(secret, "read"), (&world.key, "full")] {
        let (_, me) = ask(&world, key, "GET", "/api/v1/me", None).await;
        assert_eq!(me["scope"], scope, "{me}");
    }
    let (status, answer) = ask(&world, &world.key, "POST", "/api/v1/me/keys", Some(&json!({ "scope": "most" }))).await;
    assert!(status.is_client_error(), "{status} {answer}");
}
