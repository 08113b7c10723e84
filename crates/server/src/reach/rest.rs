//! The native door.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{MD5_OF_NOTHING, Place, World};

/// What the token is answered at home, beside it, and in another entity.
pub(super) struct Case {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: Option<Value>,
    answers: [u16; 3],
}

fn case(method: &'static str, path: &'static str, body: Option<Value>, answers: [u16; 3]) -> Case {
    Case { method, path, body, answers }
}

/// Only people and service accounts go there.
fn closed(method: &'static str, path: &'static str, body: Option<Value>) -> Case {
    case(method, path, body, [403; 3])
}

/// What the author may read in the run's entity.
fn read(path: &'static str) -> Case {
    case("GET", path, None, [200, 200, 404])
}

/// Of its own queue alone.
fn of_queue(path: &'static str) -> Case {
    case("GET", path, None, [200, 404, 404])
}

fn of_people() -> Vec<Case> {
    let register =
        json!({ "state": "0123456789abcdef", "host": "h", "version": "v", "queues": ["q"], "targets": ["process"] });
    let claim = json!({ "queues": ["q"], "free": 1, "wait_ms": 0 });
    let outcome = json!({ "outcome": { "ending": "failed", "ended_at": "2026-01-01T00:00:00Z" } });
    vec![
        closed("GET", "/me/keys", None),
        closed("POST", "/me/keys", Some(json!({}))),
        closed("DELETE", "/me/keys/{id}", None),
        closed("GET", "/secrets", None),
        closed("GET", "/events", None),
        closed("GET", "/admin/users", None),
        closed("POST", "/admin/users", Some(json!({ "username": "x" }))),
        closed("DELETE", "/admin/users/{username}", None),
        closed("GET", "/admin/teams", None),
        closed("POST", "/admin/teams", Some(json!({ "name": "x" }))),
        closed("PUT", "/admin/teams/{team}/members/{username}", Some(json!({ "role": "admin" }))),
        closed("DELETE", "/admin/teams/{team}/members/{username}", None),
        closed("POST", "/admin/teams/{team}/service-accounts", Some(json!({ "name": "x" }))),
        closed("POST", "/entities/{entity}/queues", Some(json!({ "name": "q2" }))),
        closed("PUT", "/entities/{entity}/queues", Some(json!({ "queues": [{ "name": "q3" }] }))),
        closed("PUT", "/entities/{entity}/queues/{queue}", Some(json!({ "target": "process" }))),
        closed("PATCH", "/entities/{entity}/queues/{queue}", Some(json!({}))),
        closed("DELETE", "/entities/{entity}/queues/{queue}", None),
        closed("POST", "/entities/{entity}/queues/{queue}/pause", None),
        closed("POST", "/entities/{entity}/queues/{queue}/drain", None),
        closed("POST", "/entities/{entity}/queues/{queue}/resume", None),
        closed("POST", "/items/{id}/replay", None),
        closed("POST", "/items/{id}/stop", None),
        closed("POST", "/entities/{entity}/agents", Some(register)),
        closed("POST", "/agents/{agent}/claim", Some(claim)),
        closed("POST", "/agents/{agent}/heartbeat", Some(json!({ "items": [] }))),
        closed("POST", "/agents/{id}/log", Some(json!({ "process": "0123456789", "lines": [] }))),
        closed("GET", "/agents/{id}/log", None),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/acknowledge", None),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/return", None),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/report", Some(json!({}))),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/logs/{phase}", None),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/outcome", Some(outcome)),
        closed(
            "POST",
            "/agents/{agent}/items/{item}/{attempt}/build",
            Some(json!({ "place": "docker:x", "digest": "d" })),
        ),
        closed("POST", "/agents/{agent}/items/{item}/{attempt}/build/end", Some(json!({ "built": true }))),
        closed("POST", "/agents/{id}/drain", None),
        closed("POST", "/agents/{id}/stop", None),
        closed("DELETE", "/entities/{entity}/projects/{project}", None),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let new_job = json!({ "source": { "image": "tool:1" } });
    let new_code = json!({ "name": "code-x", "files": [{ "path": "a.py", "md5": MD5_OF_NOTHING, "size_bytes": 0 }] });
    let mut cases = of_people();
    cases.extend([
        case("POST", "/session", Some(json!({ "api_key": "{token}" })), [401; 3]),
        case("DELETE", "/session", None, [204; 3]),
        case("GET", "/me", None, [200; 3]),
        case("GET", "/entities", None, [200; 3]),
        case("GET", "/items", None, [200; 3]),
        case("GET", "/usage", None, [200; 3]),
        read("/entities/{entity}"),
        read("/entities/{entity}/queues"),
        of_queue("/entities/{entity}/queues/{queue}"),
        of_queue("/entities/{entity}/queues/{queue}/items"),
        of_queue("/entities/{entity}/queues/{queue}/stats"),
        of_queue("/entities/{entity}/queues/{queue}/history"),
        of_queue("/entities/{entity}/queues/{queue}/attempts"),
        of_queue("/entities/{entity}/queues/{queue}/jobs"),
        case("POST", "/entities/{entity}/queues/{queue}/items", Some(json!({ "job": "tool:v0" })), [201, 404, 404]),
        of_queue("/items/{id}"),
        of_queue("/items/{id}/logs"),
        of_queue("/items/{id}/logs/search"),
        // It runs.
        case("POST", "/items/{id}/retry", None, [409, 404, 404]),
        read("/entities/{entity}/agents"),
        read("/agents/{id}"),
        read("/entities/{entity}/projects"),
        read("/entities/{entity}/projects/{project}"),
        read("/entities/{entity}/projects/{project}/runs"),
        read("/entities/{entity}/projects/{project}/runs/{run}"),
        read("/entities/{entity}/projects/{project}/runs/{run}/artifacts"),
        read("/entities/{entity}/projects/{project}/runs/{run}/files"),
        read("/entities/{entity}/projects/{project}/runs/{run}/history"),
        read("/entities/{entity}/projects/{project}/runs/{run}/log"),
        read("/entities/{entity}/projects/{project}/runs/{run}/log/search"),
        read("/entities/{entity}/projects/{project}/changes"),
        read("/entities/{entity}/projects/{project}/run-groups"),
        read("/entities/{entity}/projects/{project}/run-keys"),
        read("/entities/{entity}/projects/{project}/run-series"),
        read("/entities/{entity}/projects/{project}/runs/{run}/system"),
        read("/entities/{entity}/projects/{project}/runs/{run}/job"),
        read("/artifacts/{id}"),
        read("/artifacts/{id}/files"),
        read("/entities/{entity}/projects/{project}/artifacts"),
        read("/entities/{entity}/projects/{project}/artifacts/{type}"),
        read("/entities/{entity}/projects/{project}/artifacts/{type}/{name}"),
        read("/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}"),
        read("/entities/{entity}/projects/{project}/artifacts/{type}/{name}/{version}/files"),
        read("/entities/{entity}/projects/{project}/jobs"),
        read("/entities/{entity}/projects/{project}/jobs/{name}"),
        read("/entities/{entity}/projects/{project}/jobs/{name}/versions"),
        read("/entities/{entity}/projects/{project}/jobs/{name}/versions/{version}"),
        read("/entities/{entity}/projects/{project}/jobs/{name}/diff"),
        // Writing.
        case("POST", "/entities/{entity}/projects/{project}/jobs", Some(new_job), [201, 403, 404]),
        case("POST", "/entities/{entity}/projects/{project}/code", Some(new_code), [200, 403, 404]),
        // Its one file is empty, and known.
        case("POST", "/entities/{entity}/projects/{project}/code/{id}/commit", None, [200, 403, 404]),
        case(
            "PATCH",
            "/entities/{entity}/projects/{project}/runs/{run}",
            Some(json!({ "notes": "n" })),
            [200, 403, 404],
        ),
        // It has no files to make a job of.
        case("POST", "/entities/{entity}/projects/{project}/runs/{run}/job", None, [422, 403, 404]),
        case("POST", "/entities/{entity}/projects/{project}/runs/{run}/stop", None, [200, 403, 404]),
        case("DELETE", "/entities/{entity}/projects/{project}/runs/{run}", None, [204, 403, 404]),
    ]);
    cases
}

pub(super) fn filled(template: &str, place: &Place) -> String {
    let id = match template {
        t if t.starts_with("/agents/") => &place.agent,
        t if t.starts_with("/artifacts/") => &place.tool,
        t if t.contains("/code/") => &place.pending,
        _ => &place.item,
    };
    let path = template
        .replace("{entity}", place.entity)
        .replace("{team}", place.entity)
        .replace("{queue}", place.queue)
        .replace("{username}", "otto")
        .replace("{agent}", &place.agent)
        .replace("{item}", &place.item)
        .replace("{project}", place.project)
        .replace("{run}", "r1")
        .replace("{type}", "job")
        .replace("{name}", "tool")
        .replace("{version}", "v0")
        .replace("{attempt}", "1")
        .replace("{phase}", "run?offset=0")
        .replace("/diff", "/diff?from=v0&to=v0")
        .replace("/search", "/search?q=x")
        .replace("/run-groups", "/run-groups?by=state")
        .replace("/run-series", "/run-series?runs=r1&keys=x")
        .replace("{id}", id);
    format!("/api/v1{path}")
}

#[tokio::test]
async fn a_jobs_token_reaches_on_every_route_what_its_run_needs_and_no_more() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for case in cases() {
        // At home last, since the deed is then done.
        for at in [2, 1, 0] {
            let path = filled(case.path, &world.places[at]);
            let body = case
                .body
                .as_ref()
                .map(|b| serde_json::from_str(&b.to_string().replace("{token}", &world.token)).expect("JSON"));
            let (status, answer) = world.ask(case.method, &path, body.as_ref()).await;
            if status.as_u16() != case.answers[at] {
                let place = ["at home", "beside", "away"][at];
                wrong.push(format!("{} {} {place}: {status} {answer}", case.method, case.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_route_has_its_case_of_a_token() {
    let document = serde_json::to_value(crate::rest::openapi()).expect("JSON");
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            routes.insert(format!("{} {}", method.to_uppercase(), path.trim_start_matches("/api/v1")));
        }
    }
    let tested: BTreeSet<String> = cases().iter().map(|c| format!("{} {}", c.method, c.path)).collect();
    assert_eq!(routes.difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new(), "routes without a case");
    assert_eq!(tested.difference(&routes).collect::<Vec<_>>(), Vec::<&String>::new(), "cases without a route");
}

#[tokio::test]
async fn what_lists_show_a_token_ends_at_its_entity_and_its_queue() {
    let world = World::new().await;
    let names = async |path: &str| -> Vec<String> {
        let (_, answer) = world.ask("GET", &format!("/api/v1{path}"), None).await;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|i| i["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names("/entities").await, ["vision"]);
    assert_eq!(names("/entities/vision/queues").await, ["q"]);
    assert_eq!(names("/entities/vision/queues?after=q").await, Vec::<String>::new());
    let (_, me) = world.ask("GET", "/api/v1/me", None).await;
    assert_eq!((&me["username"], &me["admin"], &me["entity"]), (&json!("otto"), &json!(false), &json!("vision")));
    assert_eq!(me["entities"].as_array().map(Vec::len), Some(1), "{me}");
    let (_, items) = world.ask("GET", "/api/v1/items", None).await;
    assert!(items["items"].as_array().is_some_and(|i| i.len() == 2 && i.iter().all(|i| i["queue"] == "q")), "{items}");
}

#[tokio::test]
async fn a_token_reads_what_its_item_was_given_and_launches_with_nothing_else() {
    let world = World::new().await;
    let status = async |path: String| world.ask("GET", &format!("/api/v1{path}"), None).await.0.as_u16();
    assert_eq!(status(format!("/artifacts/{}", world.shared)).await, 200);
    assert_eq!(status("/entities/speech/projects/open/artifacts/job/shared/v0/files".to_owned()).await, 200);
    assert_eq!(status("/entities/speech/projects/open/runs".to_owned()).await, 404, "the project stays out of sight");
    assert_eq!(status("/entities/speech/projects/p/artifacts/job/tool/v0".to_owned()).await, 404);

    let items = "/api/v1/entities/vision/queues/q/items";
    let push = async |body: Value| world.ask("POST", items, Some(&body)).await;
    let given = json!({ "job": "tool:v0", "overrides": { "artifacts": { "a": "speech/open/shared:v0" } } });
    let (status, answer) = push(given).await;
    assert_eq!((status.as_u16(), &answer["item"]["author"]), (201, &json!("otto")), "{answer}");
    assert_eq!(answer["item"]["project"], "p", "the project of the job, where none is named");
    for (spec, code) in [
        (json!({ "job": "tool:v0", "overrides": { "artifacts": { "a": "speech/p/tool:v0" } } }), "forbidden"),
        (json!({ "job": "tool:v0", "overrides": { "artifacts": { "a": "speech/p/not-yet:latest" } } }), "forbidden"),
        (json!({ "job": "tool:v0", "overrides": { "artifacts": { "a": world.places[2].tool } } }), "forbidden"),
        (json!({ "job": "tool:v0", "project": "elsewhere" }), "forbidden"),
        (json!({ "job": "tool:v0", "entity": "speech", "project": "p" }), "not_found"),
    ] {
        let (status, answer) = push(spec.clone()).await;
        assert!(status.is_client_error() && answer["code"] == code, "{spec}: {status} {answer}");
    }
    let (status, answer) = push(json!({ "job": "speech/p/tool:v0", "project": "p" })).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
    assert!(answer.to_string().contains("you may not see it"), "a job out of reach is none: {answer}");
}
