//! Every route of the native door, asked by everyone: a new route without its cases fails.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use lanza_api::{agent::Register, queue::NewQueue};
use lanza_model::{Role, Target, clock::SystemClock, name, spec::Door};
use lanza_service::{Actor, Service, accounts::UserRequest, items::WirePush, runs::RunRequest};
use lanza_store::{Store, testing};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{AppState, router};

const ADMIN_TOKEN: &str = "admin-token-of-the-test";

/// A server with the team `vision` (`ana` administers it, `vera` views it) and the stranger `eve`.
pub(super) struct House {
    pub(super) router: Router,
    pub(super) service: Arc<Service>,
    pub(super) store: Store,
    pub(super) keys: [String; 3],
    pub(super) item: String,
    pub(super) agent: String,
    _guard: testing::Guard,
}

impl House {
    pub(super) async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let service = Service::new(store.clone(), Arc::new(SystemClock)).await.expect("a service");
        let state = AppState::for_tests(service.clone(), ADMIN_TOKEN);
        let mut keys = Vec::new();
        for user in ["ana", "vera", "eve"] {
            let request = UserRequest { username: user.into(), ..UserRequest::default() };
            keys.push(service.user_create(request).await.expect("a user").1);
        }
        let keys: [String; 3] = keys.try_into().expect("three keys");
        service.team_create("vision", None).await.expect("a team");
        service.member_put("vision", "ana", Role::Admin).await.expect("an admin");
        service.member_put("vision", "vera", Role::Viewer).await.expect("a viewer");
        let ana: Arc<Actor> = service.authenticate(&keys[0]).await.expect("ana");
        let queue = NewQueue { name: Some("q".into()), target: Some("process".into()), ..NewQueue::default() };
        service.queue_create(&ana, "vision", queue).await.expect("a queue");
        let register = Register {
            state: name::new_secret(),
            host: "h".into(),
            version: "lanza@0".into(),
            queues: vec!["q".into()],
            targets: vec![Target::Process],
            slots: Some(1),
            resources: None,
            settings: Value::Null,
        };
        let agent = service.agent_register(&ana, "vision", register).await.expect("an agent").1.id.to_string();
        let spec = json!({ "job": "vision/p/job:v0", "project": "p" });
        let pushed =
            service.item_push(&ana, "vision", "q", spec, Door::Rest, WirePush::default()).await.expect("pushed");
        let run = RunRequest {
            entity: Some("vision".into()),
            project: Some("p".into()),
            name: Some("r1".into()),
            ..RunRequest::default()
        };
        service.run_upsert(&ana, run).await.expect("a run");
        let router = router(state);
        Self { router, store, service, keys, item: pushed.item.id.to_string(), agent, _guard: guard }
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer");
        let status = response.status();
        if response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "text/event-stream") {
            // A stream without an end.
            return (status, Value::Null);
        }
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// What anonymous, a stranger, a viewer and the owner are answered. The first is 401 everywhere but on public routes.
struct Case {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
    /// Stranger, viewer, owner.
    answers: [u16; 3],
    public: bool,
}

fn case(method: &'static str, path: &'static str, body: Option<Value>, answers: [u16; 3]) -> Case {
    Case { method, path, body, answers, public: false }
}

fn cases() -> Vec<Case> {
    let job = json!({ "job": "vision/p/job:v0", "project": "p" });
    let register =
        json!({ "state": "0123456789abcdef", "host": "h", "version": "v", "queues": ["q"], "targets": ["process"] });
    let claim = json!({ "queues": ["q"], "free": 1, "wait_ms": 0 });
    let outcome = json!({ "outcome": { "ending": "failed", "ended_at": "2026-01-01T00:00:00Z" } });
    let build = json!({ "place": "docker:x", "digest": "d" });
    let new_job = json!({ "source": { "image": "tool:1" } });
    let new_code = json!({ "name": "code-x", "files":
        [{ "path": "a.py", "md5": "1B2M2Y8AsgTpgAmY7PhCfg==", "size_bytes": 0 }] });
    let mut cases = vec![
        // The caller's own things: everyone has them.
        case("GET", "/me", None, [200, 200, 200]),
        case("GET", "/me/keys", None, [200, 200, 200]),
        case("POST", "/me/keys", Some(json!({})), [201, 201, 201]),
        case("DELETE", "/me/keys/{id}", None, [404, 404, 404]),
        case("GET", "/entities", None, [200, 200, 200]),
        case("GET", "/secrets", None, [200, 200, 200]),
        case("GET", "/events", None, [200, 200, 200]),
        case("GET", "/items", None, [200, 200, 200]),
        // The server's admin: a token, not a role.
        case("GET", "/admin/users", None, [403, 403, 403]),
        case("POST", "/admin/users", Some(json!({ "username": "x" })), [403, 403, 403]),
        case("DELETE", "/admin/users/{username}", None, [403, 403, 403]),
        case("GET", "/admin/teams", None, [403, 403, 403]),
        case("POST", "/admin/teams", Some(json!({ "name": "x" })), [403, 403, 403]),
        // A team's admin looks after its members.
        case("PUT", "/admin/teams/{team}/members/{username}", Some(json!({ "role": "viewer" })), [404, 403, 200]),
        case("POST", "/admin/teams/{team}/service-accounts", Some(json!({ "name": "x" })), [404, 403, 201]),
        // The team's things.
        case("GET", "/entities/{entity}", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/queues", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/queues", Some(json!({ "name": "q2" })), [404, 403, 201]),
        case("PUT", "/entities/{entity}/queues", Some(json!({ "queues": [{ "name": "q3" }] })), [404, 403, 200]),
        case("GET", "/entities/{entity}/queues/{queue}", None, [404, 200, 200]),
        case("PUT", "/entities/{entity}/queues/{queue}", Some(json!({ "target": "process" })), [404, 403, 200]),
        case("PATCH", "/entities/{entity}/queues/{queue}", Some(json!({})), [404, 403, 200]),
        case("POST", "/entities/{entity}/queues/{queue}/pause", None, [404, 403, 200]),
        case("POST", "/entities/{entity}/queues/{queue}/drain", None, [404, 403, 200]),
        case("POST", "/entities/{entity}/queues/{queue}/resume", None, [404, 403, 200]),
        case("GET", "/entities/{entity}/queues/{queue}/items", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/queues/{queue}/items", Some(job), [404, 403, 201]),
        case("GET", "/items/{id}", None, [404, 200, 200]),
        case("GET", "/items/{id}/logs", None, [404, 200, 200]),
        case("GET", "/items/{id}/logs/search", None, [404, 200, 200]),
        case("POST", "/items/{id}/retry", None, [404, 409, 409]),
        case("POST", "/items/{id}/replay", None, [404, 403, 200]),
        case("POST", "/items/{id}/stop", None, [404, 403, 200]),
        case("GET", "/entities/{entity}/agents", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/agents", Some(register), [404, 403, 200]),
        case("GET", "/agents/{id}", None, [404, 200, 200]),
        case("GET", "/agents/{id}/log", None, [404, 200, 200]),
        case("POST", "/agents/{id}/log", Some(json!({ "process": "0123456789", "lines": [] })), [404, 403, 204]),
        // The agent's protocol: its own user, or an admin of the entity.
        case("POST", "/agents/{agent}/claim", Some(claim), [404, 403, 200]),
        case("POST", "/agents/{agent}/heartbeat", Some(json!({ "items": [] })), [404, 403, 200]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/acknowledge", None, [404, 403, 409]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/return", None, [404, 403, 409]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/report", Some(json!({})), [404, 403, 409]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/logs/{phase}", None, [404, 403, 409]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/outcome", Some(outcome), [404, 403, 409]),
        case("POST", "/agents/{agent}/items/{item}/{attempt}/build", Some(build), [404, 403, 409]),
        case(
            "POST",
            "/agents/{agent}/items/{item}/{attempt}/build/end",
            Some(json!({ "built": true })),
            [404, 403, 204],
        ),
        case("POST", "/agents/{id}/drain", None, [404, 403, 200]),
        case("POST", "/agents/{id}/stop", None, [404, 403, 200]),
        // Its items are with an agent by now.
        case("DELETE", "/entities/{entity}/queues/{queue}", None, [404, 403, 409]),
        case("GET", "/usage", None, [200, 200, 200]),
        case("GET", "/entities/{entity}/queues/{queue}/stats", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/queues/{queue}/attempts", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/queues/{queue}/jobs", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/queues/{queue}/history", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/jobs/{name}/diff", None, [404, 404, 404]),
        // Runs.
        case("GET", "/entities/{entity}/projects", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}", None, [404, 200, 200]),
        case(
            "PATCH",
            "/entities/{entity}/projects/{project}/runs/{run}",
            Some(json!({ "notes": "n" })),
            [404, 403, 200],
        ),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/artifacts", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/files", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/history", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/log", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/log/search", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/changes", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/run-groups", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/run-keys", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/run-series", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/system", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/projects/{project}/runs/{run}/job", None, [404, 403, 422]),
        case("GET", "/entities/{entity}/projects/{project}/runs/{run}/job", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/projects/{project}/runs/{run}/stop", None, [404, 403, 200]),
        case("DELETE", "/entities/{entity}/projects/{project}/runs/{run}", None, [404, 403, 204]),
        // Artifacts and jobs; there are none, so that the owner learns just that.
        case("GET", "/artifacts/{id}", None, [404, 404, 404]),
        case("GET", "/artifacts/{id}/files", None, [404, 404, 404]),
        case("GET", "/entities/{entity}/projects/{project}/artifacts", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/artifacts/{type}", None, [404, 200, 200]),
        case("GET", "/entities/{entity}/projects/{project}/artifacts/{type}/{name}", None, [404, 404, 404]),
        case("GET", "/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}", None, [404, 404, 404]),
        case(
            "GET",
            "/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}/files",
            None,
            [404, 404, 404],
        ),
        case("GET", "/entities/{entity}/projects/{project}/jobs", None, [404, 200, 200]),
        case("POST", "/entities/{entity}/projects/{project}/jobs", Some(new_job), [404, 403, 201]),
        case("POST", "/entities/{entity}/projects/{project}/code", Some(new_code), [404, 403, 200]),
        case("POST", "/entities/{entity}/projects/{project}/code/{id}/commit", None, [404, 404, 404]),
        case("GET", "/entities/{entity}/projects/{project}/jobs/{name}", None, [404, 404, 404]),
        case("GET", "/entities/{entity}/projects/{project}/jobs/{name}/versions", None, [404, 404, 404]),
        case("GET", "/entities/{entity}/projects/{project}/jobs/{name}/versions/{version}", None, [404, 404, 404]),
        case("DELETE", "/entities/{entity}/projects/{project}", None, [404, 403, 204]),
        // The viewer goes last.
        case("DELETE", "/admin/teams/{team}/members/{username}", None, [404, 403, 204]),
    ];
    cases.push(Case { public: true, ..case("POST", "/session", Some(json!({ "api_key": "no" })), [401, 401, 401]) });
    cases.push(Case { public: true, ..case("DELETE", "/session", None, [204, 204, 204]) });
    cases
}

#[tokio::test]
async fn every_route_answers_each_kind_of_caller_as_it_should() {
    let house = House::new().await;
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let path = case
            .path
            .replace("{entity}", "vision")
            .replace("{team}", "vision")
            .replace("{queue}", "q")
            .replace("{username}", "vera")
            .replace("{agent}", &house.agent)
            .replace("{item}", &house.item)
            .replace("{project}", "p")
            .replace("{run}", "r1")
            .replace("{type}", "job")
            .replace("{name}", "n")
            .replace("{version}", "v0")
            .replace("{attempt}", "1")
            .replace("{phase}", "run?offset=0")
            .replace("/search", "/search?q=x")
            .replace("/run-series", "/run-series?runs=r1&keys=x")
            .replace("/run-groups", "/run-groups?by=state")
            .replace("/diff", "/diff?from=v0&to=v1");
        let id = if path.starts_with("/agents/") { &house.agent } else { &house.item };
        let path = format!("/api/v1{}", path.replace("{id}", id));
        let (anonymous, _) = house.ask(case.method, &path, None, case.body.as_ref()).await;
        let expected = if case.public { case.answers[0] } else { 401 };
        if anonymous.as_u16() != expected {
            wrong.push(format!("{} {}: anonymous got {anonymous}", case.method, case.path));
        }
        // Stranger, viewer, owner: the owner last, since the deed is then done.
        for (who, key) in [(0, &house.keys[2]), (1, &house.keys[1]), (2, &house.keys[0])] {
            let (status, answer) = house.ask(case.method, &path, Some(key), case.body.as_ref()).await;
            if status.as_u16() != case.answers[who] {
                wrong.push(format!(
                    "{} {}: {} got {status} {answer}",
                    case.method,
                    case.path,
                    ["stranger", "viewer", "owner"][who]
                ));
            }
            if status.is_client_error() && (answer["code"].as_str().is_none() || answer["request_id"] == "") {
                wrong.push(format!("{} {}: an error without code or request id: {answer}", case.method, case.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_route_has_its_cases() {
    let document = serde_json::to_value(super::openapi()).expect("JSON");
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            routes.insert(format!("{} {}", method.to_uppercase(), path.trim_start_matches("/api/v1")));
        }
    }
    let tested: BTreeSet<String> = cases().iter().map(|c| format!("{} {}", c.method, c.path)).collect();
    assert_eq!(routes.difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new(), "routes without cases");
    assert_eq!(tested.difference(&routes).collect::<Vec<_>>(), Vec::<&String>::new(), "cases without routes");
}

#[test]
fn the_checked_in_description_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let now = super::openapi().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("LANZA_UPDATE").is_some() {
        std::fs::write(path, &now).expect("written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == now, "docs/openapi.json is old; `LANZA_UPDATE=1 cargo test -p lanza-server description` renews it");
}

#[tokio::test]
async fn the_admin_token_makes_users_and_refuses_bad_ones() {
    let house = House::new().await;
    let make = async |body: Value| house.ask("POST", "/api/v1/admin/users", Some(ADMIN_TOKEN), Some(&body)).await;
    let key = name::new_secret();
    let (status, answer) = make(json!({ "username": "new", "api_key": key })).await;
    assert_eq!((status.as_u16(), &answer), (201, &json!({ "username": "new", "api_key": key })));
    assert_eq!(make(json!({ "username": "NEW" })).await.0, 409);
    assert_eq!(make(json!({ "username": "other", "api_key": key })).await.0, 409);
    assert_eq!(make(json!({ "username": "other", "api_key": "short" })).await.0, 422);
    assert_eq!(make(json!({ "username": "graphql" })).await.0, 422);
    assert_eq!(make(json!({ "username": "-x" })).await.0, 422);
    assert_eq!(make(json!({ "username": "x", "shoe_size": 42 })).await.0, 422);
    let (status, _) = house.ask("GET", "/api/v1/me", Some(&key), None).await;
    assert_eq!(status, 200);
    let (status, _) = house.ask("DELETE", "/api/v1/admin/users/new", Some(ADMIN_TOKEN), None).await;
    assert_eq!(status, 204);
    assert_eq!(house.ask("GET", "/api/v1/me", Some(&key), None).await.0, 401);
    assert!(house.store.entity_by_name("new").await.expect("read").is_none());
}

#[tokio::test]
async fn teams_are_listed_and_lose_members_but_never_the_last_admin() {
    let house = House::new().await;
    house.service.team_create("audio", None).await.expect("a team");
    let ana = Some(house.keys[0].as_str());
    let (status, list) = house.ask("GET", "/api/v1/admin/teams", Some(ADMIN_TOKEN), None).await;
    assert_eq!(status, 200);
    assert_eq!(list["items"], json!([{ "name": "audio", "members": 0 }, { "name": "vision", "members": 2 }]));
    let (_, list) = house.ask("GET", "/api/v1/admin/teams?limit=1&after=audio", Some(ADMIN_TOKEN), None).await;
    assert_eq!((&list["items"][0]["name"], &list["next"]), (&json!("vision"), &json!("vision")));

    let remove = async |user: &str, key| {
        house.ask("DELETE", &format!("/api/v1/admin/teams/vision/members/{user}"), key, None).await
    };
    let role = json!({ "role": "member" });
    let demoted = house.ask("PUT", "/api/v1/admin/teams/vision/members/ana", ana, Some(&role)).await;
    for (status, answer) in [remove("ana", ana).await, demoted] {
        assert_eq!((status.as_u16(), answer["code"].as_str()), (409, Some("conflict")), "{answer}");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains("last admin")), "{answer}");
    }
    assert_eq!(remove("eve", ana).await.0, 404);
    // A service account goes with its only team.
    let (_, made) =
        house.ask("POST", "/api/v1/admin/teams/vision/service-accounts", ana, Some(&json!({ "name": "robot" }))).await;
    assert_eq!(house.ask("GET", "/api/v1/me", made["api_key"].as_str(), None).await.0, 200);
    assert_eq!(remove("robot", ana).await.0, 204);
    assert_eq!(house.ask("GET", "/api/v1/me", made["api_key"].as_str(), None).await.0, 401);
    // Of two admins one may go, and sees nothing afterwards.
    house.service.member_put("vision", "vera", Role::Admin).await.expect("an admin");
    assert_eq!(remove("ana", Some(house.keys[1].as_str())).await.0, 204);
    assert_eq!(house.ask("GET", "/api/v1/entities/vision", ana, None).await.0, 404);
    let item = house.store.item_by_id(&house.item.parse().expect("an id")).await.expect("read").expect("it");
    assert_eq!(item.state.as_str(), "stopped", "what she had waiting there");
}

#[tokio::test]
async fn broken_requests_are_refused_with_a_code_and_nothing_is_stored() {
    let house = House::new().await;
    let ana = Some(house.keys[0].as_str());
    let items = "/api/v1/entities/vision/queues/q/items";
    for (body, status, code) in [
        (json!({}), 422, "spec_invalid"),
        (json!({ "job": "a/b/c/d" }), 422, "spec_invalid"),
        (json!({ "job": "x", "docker": { "docker_image": "y" } }), 422, "spec_invalid"),
        (json!({ "job": "x", "prioritty": "high" }), 422, "spec_invalid"),
        (json!({ "job": "x", "author": "eve" }), 422, "spec_invalid"),
        (json!({ "job": "x", "resource": "abacus" }), 422, "spec_invalid"),
        (json!({ "job": "x", "not_before": "9999-12-31T23:59:59Z" }), 422, "spec_invalid"),
        (json!({ "job": "x", "resource_args": { "process": { "env": 3 } } }), 422, "config_refused"),
        (json!({ "job": "x", "builder": { "secret-name": "x" } }), 422, "builder_refused"),
        (json!({ "job": "x", "resource": "docker" }), 422, "target_mismatch"),
        (json!({ "docker": { "docker_image": "y" } }), 422, "target_mismatch"),
        (json!({ "job": "x", "resource_args": { "kubernetes": { "cpus": 3 } } }), 422, "target_mismatch"),
        (json!({ "job": "x", "resource_args": { "process": { "volume": "/" } } }), 422, "field_not_allowed"),
        (json!({ "job": "x", "template_variables": { "gpus": 1 } }), 422, "template_invalid"),
    ] {
        let (got, answer) = house.ask("POST", items, ana, Some(&body)).await;
        assert_eq!((got.as_u16(), answer["code"].as_str()), (status, Some(code)), "{body}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|m| !m.is_empty()) && answer["help"] != "", "{answer}");
    }
    let own = format!("/api/v1/items/{}", house.item);
    let runs = "/api/v1/entities/vision/projects/p/runs";
    let queue = json!({ "name": "-x", "target": "process" });
    for (method, path, body) in [
        ("POST", format!("{own}/retry"), Some(json!({ "rebuid": true }))),
        ("POST", format!("{own}/stop"), Some(json!({ "grace": 1 }))),
        ("POST", "/api/v1/entities/vision/queues".to_owned(), Some(queue)),
        ("GET", format!("{runs}?order=bogus"), None),
        ("GET", format!("{items}?order=bogus"), None),
        ("GET", format!("{items}?order=place&state=queued,bogus"), None),
        ("GET", format!("{runs}?order=-created_at,%2Bbogus"), None),
    ] {
        let (got, answer) = house.ask(method, &path, ana, body.as_ref()).await;
        assert_eq!((got.as_u16(), answer["code"].as_str()), (422, Some("invalid")), "{method} {path}: {answer}");
        let message = answer["message"].as_str().expect("a message");
        assert!(["rebuid", "grace", "-x", "bogus"].iter().any(|word| message.contains(word)), "{message}");
    }
    for order in ["-created_at", "%2Bsummary.loss", "", "duration"] {
        assert_eq!(house.ask("GET", &format!("{runs}?order={order}"), ana, None).await.0, 200, "{order}");
    }
    let (status, answer) =
        house.ask("POST", "/api/v1/entities/vision/queues/nope/items", ana, Some(&json!({ "job": "x" }))).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (404, Some("queue_not_found")));
    let (status, answer) = house
        .ask("POST", "/api/v1/entities/vision/queues", ana, Some(&json!({ "name": "z", "target": "abacus" })))
        .await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (422, Some("target_unknown")));
    let request = Request::post(items)
        .header(header::AUTHORIZATION, format!("Bearer {}", house.keys[0]))
        .body(Body::from("{\"job\": "))
        .expect("a request");
    assert_eq!(house.router.clone().oneshot(request).await.expect("an answer").status(), 400);
    let request = Request::post(items)
        .header(header::AUTHORIZATION, format!("Bearer {}", house.keys[0]))
        .body(Body::from(vec![b' '; 9 << 20]))
        .expect("a request");
    let refused = house.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(refused.status(), 413);
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await.expect("a body");
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON")["code"], "too_large");
    let (_, list) = house.ask("GET", items, ana, None).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "only the item of the set-up");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_same_words_everywhere() {
    let house = House::new().await;
    let ana = Some(house.keys[0].as_str());
    let item = format!("/items/{}", house.item);
    for (method, path, status) in [
        ("GET", "/items?limit=x".to_owned(), 400),
        ("GET", "/events?after=x".to_owned(), 400),
        ("GET", format!("{item}/logs?attempt=-1"), 400),
        ("GET", "/entities/%ff".to_owned(), 400),
        ("POST", format!("/agents/{}/items/{}/x/acknowledge", house.agent, house.item), 400),
        ("POST", "/me".to_owned(), 405),
        ("DELETE", item, 405),
    ] {
        let (got, answer) = house.ask(method, &format!("/api/v1{path}"), ana, None).await;
        assert_eq!((got.as_u16(), answer["code"].as_str()), (status, Some("malformed")), "{method} {path}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|m| !m.is_empty()) && answer["request_id"] != "", "{answer}");
    }
    // An empty cursor is the first page.
    for list in ["/items?after=", "/events?after=", "/entities?after=", "/entities/vision/agents?after="] {
        let (status, answer) = house.ask("GET", &format!("/api/v1{list}"), ana, None).await;
        assert_eq!(status, 200, "{list}: {answer}");
    }
}

#[tokio::test]
async fn a_session_signs_in_by_cookie_and_only_from_this_site() {
    let house = House::new().await;
    let sign_in = Request::post("/api/v1/session")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({ "api_key": house.keys[0] }).to_string()))
        .expect("a request");
    let response = house.router.clone().oneshot(sign_in).await.expect("an answer");
    assert_eq!(response.status(), 204);
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let make = |site: &str| {
        Request::post("/api/v1/me/keys")
            .header(header::COOKIE, &pair)
            .header("sec-fetch-site", site)
            .body(Body::empty())
            .expect("a request")
    };
    assert_eq!(house.router.clone().oneshot(make("same-origin")).await.expect("an answer").status(), 201);
    let refused = house.router.clone().oneshot(make("cross-site")).await.expect("an answer");
    assert_eq!(refused.status(), 403);
    // No role would help.
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await.expect("bytes");
    let problem: Value = serde_json::from_slice(&body).expect("a problem");
    assert_eq!((&problem["code"], &problem["help"]), (&json!("foreign_site"), &json!("LZ0027")), "{problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("own address")), "{problem}");

    // With the key that opened it the session ends, too.
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, &pair);
        let request = request.header("sec-fetch-site", "same-origin").body(Body::empty()).expect("a request");
        let response = house.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("bytes");
        (status, serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null))
    };
    let (_, keys) = ask("GET", "/api/v1/me/keys").await;
    let opened_by = keys["items"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|k| house.keys[0].starts_with(k["prefix"].as_str().expect("letters")));
    let id = opened_by.expect("the key")["id"].as_str().expect("an id");
    assert_eq!(ask("DELETE", &format!("/api/v1/me/keys/{id}")).await.0, 204);
    assert_eq!(ask("GET", "/api/v1/me").await.0, 401);
}
