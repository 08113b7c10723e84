//! The door, asked in process.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lanza_model::{
    Role,
    clock::{ManualClock, Time},
};
use lanza_service::accounts::UserRequest;
use lanza_store::testing::{self, Guard};
use serde_json::{Value, json};
use tower::ServiceExt;

mod tracking;

use super::*;

/// A server with the user `ada`.
pub(super) struct Home {
    pub(super) service: Arc<Service>,
    pub(super) clock: ManualClock,
    router: Router,
    key: String,
    _guard: Guard,
}

impl Home {
    pub(super) async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let clock = ManualClock::at(Time(1_763_763_201_160));
        let service = Service::new(store, Arc::new(clock.clone())).await.expect("a service");
        let request = UserRequest { username: "ada".into(), ..UserRequest::default() };
        let (_, key) = service.user_create(request).await.expect("a user");
        Self { router: router(service.clone()), service, clock, key, _guard: guard }
    }

    pub(super) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.answer(request).await;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, body.to_vec())
    }

    pub(super) fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let authorization = format!("Basic {}", STANDARD.encode(format!("api:{}", self.key)));
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "lanza.test")
            .header(header::AUTHORIZATION, authorization)
            .body(body.into())
            .expect("a request")
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let (status, body) = self.send(self.request("POST", path, body.to_string())).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Asks a GraphQL question that must be answered; returns its data.
    pub(super) async fn ask(&self, query: &str, variables: Value) -> Value {
        let (status, mut body) = self.post("/graphql", &json!({ "query": query, "variables": variables })).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
        body["data"].take()
    }
}

#[tokio::test]
async fn the_transport_takes_what_clients_send() {
    let home = Home::new().await;
    let query = "query Viewer { viewer { id entity username flags teams { edges { node { name } } } } }";
    for body in [
        json!({ "query": query, "operationName": "", "variables": null }),
        json!({ "query": query, "operationName": "Viewer", "variables": { "undeclared": [1] } }),
        json!({ "query": query }),
    ] {
        let (status, answer) = home.post("/graphql", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["data"]["viewer"]["entity"], "ada");
        assert_eq!(answer["data"]["viewer"]["teams"]["edges"][0]["node"]["name"], "ada");
    }
    let (status, answer) = home.post("/graphql", &json!({ "operationName": "x" })).await;
    assert_eq!(
        (status, answer["errors"][0]["extensions"]["code"].as_str()),
        (StatusCode::BAD_REQUEST, Some("malformed"))
    );
    let (status, answer) = home.post("/graphql", &json!({ "query": "query {" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["errors"][0]["message"].is_string());
}

#[tokio::test]
async fn a_wrong_key_is_401_with_a_message() {
    let home = Home::new().await;
    let mut request = home.request("POST", "/graphql", json!({ "query": "{viewer{id}}" }).to_string());
    request.headers_mut().insert(header::AUTHORIZATION, "Basic YXBpOnh4".parse().expect("a value"));
    let (status, body) = home.send(request).await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body["errors"][0]["message"].is_string(), "{body}");
}

#[tokio::test]
async fn what_is_not_there_is_said_and_not_null() {
    let home = Home::new().await;
    let (status, answer) = home.post("/graphql", &json!({ "query": "query Q { viewer { nope } }" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["errors"][0]["message"], "Cannot query field \"nope\" on type \"User\".");

    let query = "mutation SweepNow($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { name } } }";
    let (status, answer) = home.post("/graphql", &json!({ "query": query, "variables": { "input": {} } })).await;
    assert_eq!(
        (status, answer["errors"][0]["extensions"]["code"].as_str()),
        (StatusCode::BAD_REQUEST, Some("not_built"))
    );
    assert!(answer["errors"][0]["message"].as_str().expect("a text").contains("SweepNow"), "{answer}");

    let (status, _) = home.post("/sdk/otel/v1/metrics", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let data =
        home.ask("{ entity(name: \"ada\") { isTeam organization { coreWeaveOrganizationId } } }", json!({})).await;
    assert_eq!(data["entity"], json!({ "isTeam": false, "organization": null }));
    assert_eq!(home.ask("{ entity(name: \"nobody\") { id } }", json!({})).await["entity"], Value::Null);
}

/// What the schema demands of the arguments of a field that is not built, so that nothing else is wrong.
fn least_of(field: &str) -> Value {
    match field {
        "rewindRun" => json!({ "runName": "r", "metricName": "_step", "metricValue": 1.0 }),
        "createCustomChart" => {
            json!({ "entity": "ada", "name": "c", "displayName": "c", "type": "vega2", "access": "private", "spec": "{}" })
        }
        "createAgent" => json!({ "host": "h", "sweep": "s" }),
        "agentHeartbeat" | "deleteApiKey" => json!({ "id": "i" }),
        "enqueueSweepRun" => json!({ "id": "i", "config": "{}" }),
        "createTeam" => json!({ "teamName": "t" }),
        "createUser" => json!({ "email": "a@b.example" }),
        "createInvite" => json!({ "entityName": "ada" }),
        "createServiceAccount" => json!({ "entityName": "ada", "description": "d" }),
        "renameProject" => json!({ "entityName": "ada", "oldProjectName": "p", "newProjectName": "q" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn every_operation_that_is_not_built_says_so_by_its_name() {
    let home = Home::new().await;
    for root_field in crate::reach::wire::NOT_BUILT {
        let (root, field) = root_field.split_once('.').expect("Type.field");
        let (query, variables) = if root == "Query" {
            (format!("query AskedHere {{ {field}(name: \"o\") {{ __typename }} }}"), json!({}))
        } else {
            let input = format!("{}{}Input", field[..1].to_ascii_uppercase(), &field[1..]);
            let query = format!("mutation AskedHere($input: {input}!) {{ {field}(input: $input) {{ __typename }} }}");
            (query, json!({ "input": least_of(field) }))
        };
        let (status, answer) = home.post("/graphql", &json!({ "query": query, "variables": variables })).await;
        let error = &answer["errors"][0];
        assert_eq!(
            (status, error["extensions"]["code"].as_str()),
            (StatusCode::BAD_REQUEST, Some("not_built")),
            "{root_field}: {answer}"
        );
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains("AskedHere") && message.contains(root_field), "{root_field}: {message}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_its_code() {
    let home = Home::new().await;
    for (path, over) in [("/graphql", 1), ("/files/ada/p/r/file_stream", 1), ("/graphql", 8 << 20)] {
        let body = vec![b' '; (BODY_MIB << 20) + over];
        let (status, answer) = home.send(home.request("POST", path, body)).await;
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}: {answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "too_large", "{path}: {answer}");
        assert!(answer["errors"][0]["message"].as_str().expect("a text").contains("32 MiB"), "{path}: {answer}");
        // Just below it is looked at, and wrong for another reason.
        let (status, _) = home.send(home.request("POST", path, vec![b' '; BODY_MIB << 20])).await;
        assert_ne!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn a_user_is_told_what_the_server_knows_and_the_caller_may_know() {
    let home = Home::new().await;
    for username in ["ben", "cat"] {
        let request = UserRequest { username: username.into(), ..UserRequest::default() };
        home.service.user_create(request).await.expect("a user");
    }
    home.service.team_create("vision", None).await.expect("a team");
    for username in ["ada", "ben"] {
        home.service.member_put("vision", username, Role::Member).await.expect("a member");
    }
    let query = "query Q($name: String!) { users(query: $name) { edges { node { \
                 apiKeys { edges { node { id name description } } } teams { edges { node { name } } } } } } }";
    let user = async |name: &str| {
        let found = home.ask(query, json!({ "name": name })).await;
        found.pointer("/users/edges/0/node").cloned().unwrap_or_default()
    };
    let own = user("ada").await;
    let key = &own["apiKeys"]["edges"][0]["node"];
    assert_eq!(key["description"], "first key", "{own}");
    assert_eq!(key["name"].as_str().map(str::len), Some(4), "the beginning of the secret alone: {own}");
    let teams = |user: &Value| {
        let edges = user["teams"]["edges"].as_array().expect("a list").iter();
        edges.map(|edge| edge["node"]["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(teams(&own), ["ada", "vision"]);
    let colleague = user("ben").await;
    assert_eq!((&colleague["apiKeys"], teams(&colleague)), (&Value::Null, vec!["vision".to_owned()]));
    assert_eq!(user("cat").await, Value::Null, "no team is shared");
}

#[tokio::test]
async fn old_clients_find_types_that_nothing_reaches() {
    let home = Home::new().await;
    for name in ["ServerSettings", "LaunchAgent", "PushToRunQueueInput", "ArtifactManifestEntryInput", "Organization"] {
        let query = format!("{{ __type(name: \"{name}\") {{ name fields {{ name }} inputFields {{ name }} }} }}");
        assert_eq!(home.ask(&query, json!({})).await["__type"]["name"], name);
    }
}
