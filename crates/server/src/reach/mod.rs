//! What a job's token, and a key for reading, reaches, at every door: a new route, query or mutation without its cases
//! fails.

mod read_only;
mod rest;
pub(crate) mod wire;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, StatusCode, header},
};
use lanza_api::{
    agent::{Claim, Register},
    job::{CodeFile, NewJob, NewSource},
    queue::NewQueue,
};
use lanza_model::{
    Role, Target,
    clock::{ManualClock, Time},
    name,
    spec::Door,
};
use lanza_service::{
    Actor, Service,
    accounts::UserRequest,
    artifacts::{ArtifactRequest, ManifestRequest},
    items::WirePush,
    run_files::Announced,
    runs::RunRequest,
};
use lanza_store::{Store, testing};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{AppState, router};

/// MD5 of nothing, in base64.
const MD5_OF_NOTHING: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

/// A place where the job's author may do everything, with one of each thing in it.
pub(super) struct Place {
    pub(super) entity: &'static str,
    pub(super) project: &'static str,
    pub(super) queue: &'static str,
    pub(super) queue_id: String,
    /// A waiting item; at home that of the job itself.
    pub(super) item: String,
    /// An item of the same author that waits.
    pub(super) waiting: String,
    pub(super) agent: String,
    /// Row ids of the runs `r1` (running) and `r2` (pending).
    pub(super) runs: [String; 2],
    /// The file `kept.txt` of `r1`.
    pub(super) file: String,
    /// The version `tool:v0`, a job.
    pub(super) tool: String,
    pub(super) sequence: String,
    pub(super) portfolio: String,
    /// Code that waits for its files.
    pub(super) pending: String,
    pub(super) manifest: String,
    /// The client's own id of a version.
    pub(super) client_id: String,
}

/// A running job of `otto`, who administers the server and the teams `vision` and `speech`, and whose agent it is. It
/// came from the queue `q` of `vision`, runs in its project `p`, and was given `speech/open/shared:v0` as an input.
pub(super) struct World {
    router: Router,
    pub(super) store: Store,
    pub(super) service: Arc<Service>,
    pub(super) clock: ManualClock,
    pub(super) otto: Arc<Actor>,
    pub(super) key: String,
    pub(super) token: String,
    /// Home, another project and queue beside it, another entity.
    pub(super) places: [Place; 3],
    /// The version that the job was given.
    pub(super) shared: String,
    _guard: testing::Guard,
}

impl World {
    pub(super) async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let clock = ManualClock::at(Time(1_800_000_000_000));
        let service = Service::new(store.clone(), Arc::new(clock.clone())).await.expect("a service");
        let request = UserRequest { username: "otto".into(), admin: true, ..UserRequest::default() };
        let key = service.user_create(request).await.expect("a user").1;
        let otto = service.authenticate(&key).await.expect("otto");
        for team in ["vision", "speech"] {
            service.team_create(team, None).await.expect("a team");
            service.member_put(team, "otto", Role::Admin).await.expect("an admin");
        }
        let shared = tool(&service, &otto, ("speech", "open"), "shared").await.0;
        let home = place(&service, &otto, ("vision", "p", "q")).await;
        let beside = place(&service, &otto, ("vision", "elsewhere", "other")).await;
        let away = place(&service, &otto, ("speech", "p", "q")).await;
        let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
        let lease = service.agent_claim(&otto, &home.agent, &claim).await.expect("claimed").leases.remove(0);
        assert_eq!(lease.item, home.item);
        service.attempt_acknowledge(&otto, &home.agent, &lease.item, 1).await.expect("acknowledged");
        let router = router(AppState::for_tests(service.clone(), "admin-token-of-the-test"));
        let (token, places) = (lease.token, [home, beside, away]);
        Self { router, store, service, clock, otto, key, token, places, shared, _guard: guard }
    }

    /// Asks with the job's token.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let (status, bytes) =
            self.send(method, path, &self.token, body.map(Value::to_string).unwrap_or_default()).await;
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn send(&self, method: &str, path: &str, key: &str, body: String) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "lanza.test");
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
            // A stream without an end.
            return (status, Bytes::new());
        }
        (status, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default())
    }
}

/// Makes a job of an image; returns the ids of its version and its collection.
async fn tool(service: &Service, actor: &Actor, (entity, project): (&str, &str), name: &str) -> (String, String) {
    let new: NewJob = serde_json::from_value(json!({
        "name": name, "source": NewSource::Image(format!("{entity}-{project}-{name}:1"))
    }))
    .expect("a job");
    service.project_ensure(actor, Some(entity), project, None).await.expect("a project");
    let made = service.job_create(actor, (entity, project), new).await.expect("made").artifact;
    (made.id.to_string(), made.collection.id.to_string())
}

async fn place(
    service: &Service,
    otto: &Actor,
    (entity, project, queue): (&'static str, &'static str, &'static str),
) -> Place {
    let new = NewQueue { name: Some(queue.into()), target: Some("process".into()), ..NewQueue::default() };
    let queue_id = service.queue_create(otto, entity, new).await.expect("a queue").id.to_string();
    let register = Register {
        state: name::new_secret(),
        host: "h".into(),
        version: "lanza@0".into(),
        queues: vec![queue.into()],
        targets: vec![Target::Process],
        slots: Some(1),
        resources: None,
        settings: Value::Null,
    };
    let agent = service.agent_register(otto, entity, register).await.expect("an agent").1.id.to_string();
    let (tool, sequence) = tool(service, otto, (entity, project), "tool").await;
    let shelf = service.artifact_link(otto, &tool, (entity, project, "shelf"), Vec::new()).await.expect("linked");
    let mut items = Vec::new();
    for _ in 0..2 {
        let spec = json!({ "job": format!("{entity}/{project}/tool:v0"), "project": project,
            "overrides": { "artifacts": { "data": "speech/open/shared:v0" } } });
        let pushed =
            service.item_push(otto, entity, queue, spec, Door::Rest, WirePush::default()).await.expect("pushed");
        items.push(pushed.item.id.to_string());
    }
    let mut runs = Vec::new();
    for (name, state) in [("r1", None), ("r2", Some("pending".to_owned()))] {
        let (entity, project) = (Some(entity.to_owned()), Some(project.to_owned()));
        let run = RunRequest { entity, project, name: Some(name.into()), state, ..RunRequest::default() };
        runs.push(service.run_upsert(otto, run).await.expect("a run").run.id.to_string());
    }
    let body = futures::stream::iter([Ok(Bytes::from_static(b"kept"))]);
    let file = service.run_file_store(&runs[0], "kept.txt", Announced::default(), body).await.expect("a file");
    let code = vec![CodeFile { path: "a.py".into(), md5: MD5_OF_NOTHING.into(), size_bytes: 0 }];
    let pending =
        service.code_begin(otto, (entity, project), "code-x", code).await.expect("begun").artifact.id.to_string();
    let manifest =
        ManifestRequest { artifact: pending.clone(), name: "m".into(), kind: "FULL".into(), ..Default::default() };
    let manifest = service.manifest_create(otto, manifest).await.expect("a manifest").id.to_string();
    let client_id = format!("client-{entity}-{project}");
    let known = ArtifactRequest {
        entity: entity.into(),
        project: project.into(),
        type_name: "data".into(),
        collection: "known".into(),
        digest: "d".into(),
        digest_algorithm: "MANIFEST_MD5".into(),
        client_id: Some(client_id.clone()),
        ..ArtifactRequest::default()
    };
    service.artifact_create(otto, known).await.expect("begun");
    let waiting = items.pop().expect("two items");
    let item = items.pop().expect("two items");
    Place {
        entity,
        project,
        queue,
        queue_id,
        item,
        waiting,
        agent,
        runs: runs.try_into().expect("two runs"),
        file: file.id.to_string(),
        tool,
        sequence,
        portfolio: shelf.collection.id.to_string(),
        pending,
        manifest,
        client_id,
    }
}
