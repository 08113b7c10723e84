//! The door of the wandb client: GraphQL, the file stream, files, links.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{MD5_OF_NOTHING, Place, World};

/// Root fields of the schema that nothing answers yet.
pub(crate) const NOT_BUILT: &[&str] = &[
    "Query.organization",
    "Mutation.rewindRun",
    "Mutation.createCustomChart",
    "Mutation.upsertSweep",
    "Mutation.createAgent",
    "Mutation.agentHeartbeat",
    "Mutation.enqueueSweepRun",
    "Mutation.createTeam",
    "Mutation.createUser",
    "Mutation.generateApiKey",
    "Mutation.deleteApiKey",
    "Mutation.createInvite",
    "Mutation.deleteInvite",
    "Mutation.createServiceAccount",
    "Mutation.renameProject",
];

/// What the token is answered at home, beside it, and in another entity: `ok`, `null`, or the code of the refusal.
pub(super) struct Case {
    pub(super) field: &'static str,
    pub(super) document: String,
    pub(super) input: fn(&Place) -> Value,
    answers: [&'static str; 3],
}

const WRITES: [&str; 3] = ["ok", "forbidden", "not_found"];
const CLOSED: [&str; 3] = ["forbidden"; 3];

fn mutation(field: &'static str, selection: &str, input: fn(&Place) -> Value, answers: [&'static str; 3]) -> Case {
    let mut input_type = field.to_owned();
    input_type[..1].make_ascii_uppercase();
    let document = format!("mutation M($input: {input_type}Input!) {{ {field}(input: $input) {{ {selection} }} }}");
    Case { field, document, input, answers }
}

fn query(field: &'static str, document: &str, variables: fn(&Place) -> Value, answers: [&'static str; 3]) -> Case {
    Case { field, document: document.to_owned(), input: variables, answers }
}

pub(super) fn queries() -> Vec<Case> {
    let name = |p: &Place| json!({ "name": p.project, "entity": p.entity });
    vec![
        query("viewer", "{ viewer { id } }", |_| json!({}), ["ok"; 3]),
        query("serverInfo", "{ serverInfo { exposesExplicitRunQueueAckPath } }", |_| json!({}), ["ok"; 3]),
        query(
            "entity",
            "query Q($name: String) { entity(name: $name) { id } }",
            |p| json!({ "name": p.entity }),
            ["ok", "ok", "null"],
        ),
        query(
            "project",
            "query Q($name: String, $entity: String) { project(name: $name, entityName: $entity) { id } }",
            name,
            ["ok", "ok", "null"],
        ),
        query(
            "model",
            "query Q($name: String, $entity: String) { model(name: $name, entityName: $entity) { id } }",
            name,
            ["ok", "ok", "null"],
        ),
        query(
            "models",
            "query Q($entity: String) { models(entityName: $entity) { edges { node { id } } } }",
            |p| json!({ "entity": p.entity }),
            ["ok", "ok", "null"],
        ),
        // Nobody but the author is found.
        query("users", "{ users(query: \"otto\") { edges { node { id } } } }", |_| json!({}), ["ok"; 3]),
        query(
            "artifact",
            "query Q($id: ID!) { artifact(id: $id) { id } }",
            |p| json!({ "id": p.tool }),
            ["ok", "ok", "null"],
        ),
        query(
            "artifactCollection",
            "query Q($id: ID!) { artifactCollection(id: $id) { id } }",
            |p| json!({ "id": p.sequence }),
            ["ok", "ok", "null"],
        ),
        query(
            "clientIDMapping",
            "query Q($id: ID!) { clientIDMapping(clientID: $id) { serverID } }",
            |p| json!({ "id": p.client_id }),
            ["ok", "ok", "null"],
        ),
        query("launchAgent", "query Q($id: ID!) { launchAgent(id: $id) { id } }", |p| json!({ "id": p.agent }), CLOSED),
    ]
}

fn of_runs() -> Vec<Case> {
    vec![
        mutation(
            "upsertBucket",
            "bucket { id }",
            |p| json!({ "entityName": p.entity, "modelName": p.project, "name": "r9" }),
            WRITES,
        ),
        mutation(
            "upsertModel",
            "project { id }",
            |p| json!({ "entityName": p.entity, "name": p.project, "description": "d" }),
            WRITES,
        ),
        mutation("updateRunState", "success", |p| json!({ "id": p.runs[1], "state": "failed" }), WRITES),
        mutation("stopRun", "success", |p| json!({ "id": p.runs[0] }), WRITES),
        mutation(
            "createRunFiles",
            "runID",
            |p| json!({ "entityName": p.entity, "projectName": p.project, "runName": "r1", "files": ["a"] }),
            WRITES,
        ),
        mutation(
            "markRunFilesUploaded",
            "success",
            |p| json!({ "entityName": p.entity, "projectName": p.project, "runName": "r1", "files": ["kept.txt"] }),
            WRITES,
        ),
        mutation("deleteFiles", "success", |p| json!({ "files": [p.file] }), WRITES),
        mutation(
            "notifyScriptableRunAlert",
            "success",
            |p| json!({ "entityName": p.entity, "projectName": p.project, "runName": "r1", "title": "t", "text": "x" }),
            WRITES,
        ),
    ]
}

/// From the announcement of a version to its commit, and its use.
fn of_uploads() -> Vec<Case> {
    vec![
        mutation(
            "createArtifactType",
            "artifactType { id }",
            |p| json!({ "entityName": p.entity, "projectName": p.project, "name": "kind" }),
            WRITES,
        ),
        mutation(
            "createArtifact",
            "artifact { id }",
            |p| {
                json!({ "entityName": p.entity, "projectName": p.project, "artifactTypeName": "data",
                    "artifactCollectionName": "new", "digest": "d", "digestAlgorithm": "MANIFEST_MD5" })
            },
            WRITES,
        ),
        mutation(
            "updateArtifactManifest",
            "artifactManifest { id }",
            |p| json!({ "artifactManifestID": p.manifest, "digest": MD5_OF_NOTHING }),
            WRITES,
        ),
        mutation(
            "createArtifactManifest",
            "artifactManifest { id }",
            |p| {
                json!({ "artifactID": p.pending, "name": "m", "digest": "", "entityName": p.entity,
                    "projectName": p.project, "runName": "r1", "type": "FULL" })
            },
            WRITES,
        ),
        mutation(
            "createArtifactFiles",
            "files { edges { node { id } } }",
            |p| json!({ "artifactFiles": [{ "artifactID": p.pending, "name": "a", "md5": MD5_OF_NOTHING }] }),
            WRITES,
        ),
        // No upload has parts here.
        mutation(
            "completeMultipartUploadArtifact",
            "digest",
            |p| {
                json!({ "completeMultipartAction": "Complete", "completedParts": [], "artifactID": p.pending,
                    "storagePath": "s", "uploadID": "u" })
            },
            ["invalid"; 3],
        ),
        mutation(
            "commitArtifact",
            "artifact { id }",
            |p| json!({ "artifactID": p.pending }),
            ["artifact_incomplete", "forbidden", "not_found"],
        ),
        mutation(
            "useArtifact",
            "artifact { id }",
            |p| json!({ "entityName": p.entity, "projectName": p.project, "runName": "r1", "artifactID": p.tool }),
            WRITES,
        ),
    ]
}

/// What is changed about a version.
fn of_versions() -> Vec<Case> {
    let alias = |p: &Place| {
        json!({ "artifactID": p.tool, "aliases": [{ "entityName": p.entity, "projectName": p.project,
            "artifactCollectionName": "tool", "alias": "best" }] })
    };
    vec![
        mutation("updateArtifact", "artifact { id }", |p| json!({ "artifactID": p.tool, "description": "d" }), WRITES),
        mutation("addAliases", "success", alias, WRITES),
        mutation("deleteAliases", "success", alias, WRITES),
        mutation(
            "linkArtifact",
            "versionIndex",
            |p| {
                json!({ "artifactID": p.tool, "artifactPortfolioName": "other-shelf", "entityName": p.entity,
                    "projectName": p.project })
            },
            WRITES,
        ),
        mutation(
            "unlinkArtifact",
            "success",
            |p| json!({ "artifactID": p.tool, "artifactPortfolioID": p.portfolio }),
            WRITES,
        ),
    ]
}

/// What is changed about collections, and what is deleted, which comes last.
fn of_collections() -> Vec<Case> {
    let tag = |p: &Place| {
        json!({ "entityName": p.entity, "projectName": p.project, "artifactCollectionName": "tool",
            "tags": [{ "tagName": "t" }] })
    };
    vec![
        mutation(
            "updateArtifactSequence",
            "artifactCollection { id }",
            |p| json!({ "artifactSequenceID": p.sequence, "description": "d" }),
            WRITES,
        ),
        mutation(
            "updateArtifactPortfolio",
            "artifactCollection { id }",
            |p| json!({ "artifactPortfolioID": p.portfolio, "description": "d" }),
            WRITES,
        ),
        mutation("createArtifactCollectionTagAssignments", "tags { id }", tag, WRITES),
        mutation("deleteArtifactCollectionTagAssignments", "success", tag, WRITES),
        mutation(
            "deleteArtifactPortfolio",
            "artifactCollection { id }",
            |p| json!({ "artifactPortfolioID": p.portfolio }),
            WRITES,
        ),
        mutation(
            "deleteArtifact",
            "artifact { id }",
            |p| json!({ "artifactID": p.tool, "deleteAliases": true }),
            WRITES,
        ),
        mutation(
            "moveArtifactSequence",
            "artifactCollection { id }",
            |p| json!({ "artifactSequenceID": p.sequence, "destinationArtifactTypeName": "kind" }),
            WRITES,
        ),
        mutation(
            "deleteArtifactSequence",
            "artifactCollection { id }",
            |p| json!({ "artifactSequenceID": p.sequence }),
            WRITES,
        ),
    ]
}

fn of_queues() -> Vec<Case> {
    vec![
        mutation(
            "pushToRunQueueByName",
            "runQueueItemId",
            |p| {
                json!({ "entityName": p.entity, "projectName": "model-registry", "queueName": p.queue,
                    "runSpec": json!({ "job": "tool:v0", "project": p.project }).to_string() })
            },
            ["ok", "null", "not_found"],
        ),
        mutation(
            "pushToRunQueue",
            "runQueueItemId",
            |p| {
                json!({ "queueID": p.queue_id,
                    "runSpec": json!({ "job": "tool:v0", "project": p.project }).to_string() })
            },
            ["ok", "queue_not_found", "not_found"],
        ),
        mutation(
            "createDefaultResourceConfig",
            "success",
            |p| json!({ "entityName": p.entity, "resource": "local-process", "config": "{}" }),
            CLOSED,
        ),
        mutation(
            "createRunQueue",
            "success",
            |p| json!({ "entityName": p.entity, "projectName": "model-registry", "queueName": "new", "access": "PROJECT" }),
            CLOSED,
        ),
        mutation(
            "upsertRunQueue",
            "success",
            |p| {
                json!({ "entityName": p.entity, "projectName": "model-registry", "queueName": p.queue,
                    "resourceType": "local-process", "resourceConfig": "{}" })
            },
            // It looks for the queue first.
            ["forbidden", "forbidden", "forbidden"],
        ),
        mutation(
            "deleteRunQueues",
            "success",
            |p| json!({ "queueIDs": [p.queue_id] }),
            ["forbidden", "forbidden", "not_found"],
        ),
        mutation(
            "popFromRunQueue",
            "runQueueItemId",
            |p| {
                json!({ "entityName": p.entity, "projectName": "model-registry", "queueName": p.queue,
                    "launchAgentId": p.agent })
            },
            CLOSED,
        ),
        mutation("ackRunQueueItem", "success", |p| json!({ "runQueueItemId": p.waiting, "runName": "r1" }), CLOSED),
        mutation("failRunQueueItem", "success", |p| json!({ "runQueueItemId": p.item, "message": "m" }), CLOSED),
        mutation(
            "updateRunQueueItemWarning",
            "success",
            |p| json!({ "runQueueItemId": p.item, "message": "m", "stage": "run" }),
            CLOSED,
        ),
        mutation(
            "deleteFromRunQueue",
            "success",
            |p| json!({ "queueID": p.queue_id, "runQueueItemId": p.waiting }),
            ["forbidden", "not_found", "not_found"],
        ),
        mutation(
            "createLaunchAgent",
            "launchAgentId",
            |p| {
                json!({ "entityName": p.entity, "projectName": "model-registry", "runQueues": [p.queue_id],
                    "hostname": "h" })
            },
            CLOSED,
        ),
        mutation(
            "updateLaunchAgent",
            "success",
            |p| json!({ "launchAgentId": p.agent, "agentStatus": "KILLED" }),
            CLOSED,
        ),
    ]
}

pub(super) fn mutations() -> Vec<Case> {
    let mut cases = of_runs();
    cases.extend(of_queues());
    cases.extend(of_uploads().into_iter().chain(of_versions()).chain(of_collections()));
    cases.push(mutation(
        "deleteModel",
        "success",
        |p| json!({ "entityName": p.entity, "modelName": p.project }),
        CLOSED,
    ));
    cases.push(mutation("deleteRun", "success", |p| json!({ "id": p.runs[0] }), WRITES));
    cases
}

/// Asks, and says in a word what came of it.
async fn outcome(world: &World, case: &Case, variables: Value) -> (String, Value) {
    let (status, answer) =
        world.ask("POST", "/graphql", Some(&json!({ "query": case.document, "variables": variables }))).await;
    let found = &answer["data"][case.field];
    let word = match answer["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None if !answer["errors"].is_null() || status != StatusCode::OK => "malformed".to_owned(),
        None if found.is_null() => "null".to_owned(),
        None if found["success"] == false => "no".to_owned(),
        None => "ok".to_owned(),
    };
    (word, answer)
}

async fn check(world: &World, cases: Vec<Case>, variables: fn(Value) -> Value) {
    let mut wrong = Vec::new();
    for case in cases {
        // At home last, since the deed is then done.
        for at in [2, 1, 0] {
            let (word, answer) = outcome(world, &case, variables((case.input)(&world.places[at]))).await;
            if word != case.answers[at] {
                wrong.push(format!("{} {}: {word} {answer}", case.field, ["at home", "beside", "away"][at]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_jobs_token_reaches_with_every_query_what_its_run_needs_and_no_more() {
    check(&World::new().await, queries(), |variables| variables).await;
}

#[tokio::test]
async fn a_jobs_token_changes_with_every_mutation_its_own_project_and_no_other() {
    check(&World::new().await, mutations(), |input| json!({ "input": input })).await;
}

#[test]
fn every_root_field_has_its_case_of_a_token() {
    let schema = include_str!("../wandb/schema.graphql");
    let roots: BTreeSet<String> = ["Query", "Mutation"]
        .into_iter()
        .flat_map(|root| {
            let begin = schema.find(&format!("type {root} {{")).expect("a root");
            let body = &schema[begin..begin + schema[begin..].find("\n}").expect("its end")];
            body.lines()
                .skip(1)
                .filter_map(|line| {
                    Some(format!("{root}.{}", line.trim().split(['(', ':']).next().filter(|w| !w.is_empty())?))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut tested: BTreeSet<String> = queries().iter().map(|c| format!("Query.{}", c.field)).collect();
    tested.extend(mutations().iter().map(|c| format!("Mutation.{}", c.field)));
    let built: BTreeSet<String> = crate::wandb::answered();
    let built: BTreeSet<&String> =
        built.iter().filter(|f| f.starts_with("Query.") || f.starts_with("Mutation.")).collect();
    assert_eq!(built, tested.iter().collect(), "what is answered, and what has a case");
    tested.extend(NOT_BUILT.iter().map(|f| (*f).to_owned()));
    assert_eq!(roots, tested, "the schema, and what has a case or is not built");
}

#[tokio::test]
async fn what_a_token_finds_below_a_project_ends_at_its_queue() {
    let world = World::new().await;
    let ask = async |query: &str, variables: Value| {
        world.ask("POST", "/graphql", Some(&json!({ "query": query, "variables": variables }))).await.1
    };
    let launch = "project(name: \"model-registry\", entityName: \"vision\")";
    let queues = ask(&format!("{{ {launch} {{ runQueues {{ name }} }} }}"), json!({})).await;
    assert_eq!(queues["data"]["project"]["runQueues"], json!([{ "name": "q" }]), "{queues}");
    let other = ask(&format!("{{ {launch} {{ runQueue(name: \"other\") {{ id }} }} }}"), json!({})).await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "queue_not_found", "{other}");
    let config = "query Q($id: ID!) { entity(name: \"vision\") { defaultResourceConfig(id: $id) { config } } }";
    let [home, beside, _] = &world.places;
    let own = ask(config, json!({ "id": home.queue_id })).await;
    assert!(own["data"]["entity"]["defaultResourceConfig"]["config"].is_object(), "{own}");
    let others = ask(config, json!({ "id": beside.queue_id })).await;
    assert_eq!(others["data"]["entity"]["defaultResourceConfig"], Value::Null, "{others}");
    let item = "query Q($id: ID!) { project(name: \"model-registry\", entityName: \"vision\") { runQueue(name: \"q\") \
                { runQueueItem(id: $id) { id } runQueueItems { edges { node { id } } } } } }";
    let own = ask(item, json!({ "id": home.item })).await;
    assert_eq!(own["data"]["project"]["runQueue"]["runQueueItem"]["id"], json!(home.item), "{own}");
    assert_eq!(own["data"]["project"]["runQueue"]["runQueueItems"]["edges"].as_array().map(Vec::len), Some(2), "{own}");
    let others = ask(item, json!({ "id": beside.item })).await;
    assert_eq!(others["data"]["project"]["runQueue"]["runQueueItem"], Value::Null, "{others}");
}

#[tokio::test]
async fn files_streams_and_content_end_where_the_token_does() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for (at, [stream, file, content]) in [[200, 200, 200], [403, 200, 200], [404, 404, 404]].into_iter().enumerate() {
        let Place { entity, project, tool, .. } = &world.places[at];
        let lines = json!({ "files": { "wandb-history.jsonl": { "offset": 0, "content": ["{\"a\": 1}"] } } });
        let listed = world.store.artifact_file(&tool.parse().expect("an id"), "wandb-job.json").await;
        let md5 = listed.expect("read").expect("a file").digest;
        let hex = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, md5).expect("base64");
        let hex = hex.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        for (method, path, body, expected) in [
            ("POST", format!("/files/{entity}/{project}/r1/file_stream"), Some(&lines), stream),
            ("GET", format!("/files/{entity}/{project}/r1/kept.txt"), None, file),
            ("GET", format!("/artifacts/{entity}/{hex}"), None, content),
            ("GET", format!("/artifactsV2/gcp-us/{entity}/{hex}/x"), None, content),
        ] {
            let (status, answer) = world.ask(method, &path, body).await;
            if status.as_u16() != expected {
                wrong.push(format!("{method} {path}: {status} {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_link_is_for_what_it_was_made_for_and_no_key_comes_of_a_token() {
    let world = World::new().await;
    let files = "/api/v1/entities/vision/projects/p/runs/r1/files";
    let (_, list) = world.ask("GET", files, None).await;
    let url = list["items"][0]["url"].as_str().expect("a link").to_owned();
    let path = url[url.find("/storage/").expect("a signed one")..].to_owned();
    let (status, bytes) = world.send("GET", &path, "", String::new()).await;
    assert_eq!((status.as_u16(), &bytes[..]), (200, &b"kept"[..]));
    let (status, _) = world.send("PUT", &path, &world.token, "other".to_owned()).await;
    assert_eq!(status.as_u16(), 403, "a link for reading writes nothing");
    let (status, _) = world.ask("POST", "/authorize", None).await;
    assert!(status.is_redirection() || status.is_client_error(), "{status}");
    let before = world.service.key_list(&world.otto).await.expect("keys").len();
    assert_eq!(before, 1, "only the key of the set-up");
}

#[tokio::test]
async fn a_token_ends_five_minutes_after_its_attempt_and_not_while_its_run_posts() {
    let world = World::new().await;
    let home = &world.places[0];
    let known = async || world.ask("GET", "/api/v1/me", None).await.0.as_u16() == 200;
    let trace = json!({ "_wandb": { "value": { "launch_trace_id": home.item } } }).to_string();
    let upsert = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id } } }";
    let input = json!({ "entityName": "vision", "modelName": "p", "name": "own", "config": trace });
    let (status, answer) =
        world.ask("POST", "/graphql", Some(&json!({ "query": upsert, "variables": { "input": input } }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let outcome = json!({ "outcome": { "ending": "finished", "exit_code": 0, "ended_at": "2026-01-01T00:00:00Z" } });
    let path = format!("/api/v1/agents/{}/items/{}/1/outcome", home.agent, home.item);
    let (status, _) = world.send("POST", &path, &world.key, outcome.to_string()).await;
    assert_eq!(status.as_u16(), 204);
    // Its client still sends what it has, for twenty minutes.
    for minute in 0..20 {
        world.clock.advance_ms(60_000);
        let lines = json!({ "files": { "wandb-history.jsonl": { "offset": minute, "content": ["{\"a\": 1}"] } } });
        let (status, answer) = world.ask("POST", "/files/vision/p/own/file_stream", Some(&lines)).await;
        assert_eq!(status, StatusCode::OK, "minute {minute}: {answer}");
        world.service.expired_remove().await.expect("removed");
    }
    for minute in 0..5 {
        assert!(known().await, "{minute} minutes after the last post");
        world.clock.advance_ms(60_000);
        world.service.expired_remove().await.expect("removed");
    }
    world.clock.advance_ms(120_000);
    world.service.expired_remove().await.expect("removed");
    assert!(!known().await, "it lives on");
}
