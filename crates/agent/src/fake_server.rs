//! A scripted server for the tests: the agent's protocol over real HTTP, with a switch that takes it away.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use lanza_api::{
    Problem,
    agent::{
        Agent, AgentCommand, AgentLog, AgentLogLine, Claim, Heartbeat, HeartbeatAnswer, Held, Lease, Report,
        StopRequest,
    },
    item::Outcome,
};
use lanza_model::clock::Time;
use md5::{Digest, Md5};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// How long a test waits for what must come; a loaded machine may need most of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the server was told, and what it says.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) leases: VecDeque<Lease>,
    pub(crate) acknowledged: Vec<Held>,
    pub(crate) logs: HashMap<(String, String), Vec<u8>>,
    pub(crate) reports: HashMap<String, Report>,
    pub(crate) outcomes: Vec<(Held, Outcome)>,
    pub(crate) stop: Vec<StopRequest>,
    pub(crate) lost: Vec<Held>,
    /// Every connection is closed without an answer.
    pub(crate) away: bool,
    pub(crate) refuse: Option<(u16, Problem)>,
    pub(crate) artifacts: HashMap<String, Vec<(String, Vec<u8>)>>,
    pub(crate) left: bool,
    /// So many bytes are taken of each log.
    pub(crate) log_bytes: Option<usize>,
    /// The agent's entity is a team.
    pub(crate) team: bool,
    /// How many heartbeats came in.
    pub(crate) heartbeats: u32,
    /// A heartbeat without news is answered after ten minutes.
    pub(crate) patient: bool,
    /// How often an agent registered: a claim of an earlier one is dead.
    pub(crate) registered: u32,
    /// Every claim, oldest first.
    pub(crate) claims: Vec<Claim>,
    /// Answers to questions for a build, oldest first; without any it is granted.
    pub(crate) builds: VecDeque<Value>,
    /// Leases that were handed back.
    pub(crate) returned: Vec<Held>,
    /// Lines of the agents' own logs, and how many requests with some are refused first as if the server was starting.
    pub(crate) own_log: Vec<AgentLogLine>,
    pub(crate) own_logs_refused: u32,
}

pub(crate) struct FakeServer {
    pub(crate) base: String,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) news: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        // The binary does this first thing in `main`.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let news = Arc::<Notify>::default();
        let mut tasks = JoinSet::new();
        let (of_state, of_news, of_base) = (state.clone(), news.clone(), base.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, news, base) = (of_state.clone(), of_news.clone(), of_base.clone());
                connections.spawn(async move {
                    let _ = serve(stream, &state, &news, &base).await;
                });
            }
        });
        Self { base, state, news, _tasks: tasks }
    }

    pub(crate) fn push(&self, lease: Lease) {
        self.state.lock().leases.push_back(lease);
        self.news.notify_waiters();
    }

    /// Waits until `check` holds.
    pub(crate) async fn until(&self, what: &str, check: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if check(&self.state.lock()) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        let state = self.state.lock();
        panic!("{what} did not come; outcomes {:?}, acknowledged {:?}", state.outcomes, state.acknowledged);
    }

    /// Waits for the outcome of an item and returns it with the log of its phase `run`.
    pub(crate) async fn outcome(&self, item: &str) -> (Outcome, String) {
        self.until(&format!("the outcome of {item}"), |s| s.outcomes.iter().any(|(h, _)| h.item == item)).await;
        let state = self.state.lock();
        let outcomes: Vec<_> = state.outcomes.iter().filter(|(h, _)| h.item == item).collect();
        assert_eq!(outcomes.len(), 1, "an item ended twice");
        let log = state.logs.get(&(item.to_owned(), "run".to_owned())).cloned().unwrap_or_default();
        (outcomes[0].1.clone(), String::from_utf8(log).unwrap())
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, news: &Notify, base: &str) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(i) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break i + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let length: usize = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap()))
            .unwrap_or(0);
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if state.lock().away {
            return Ok(());
        }
        let (status, body) = answer(&target, &body, state, news, base).await;
        if state.lock().away {
            return Ok(());
        }
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
    }
}

async fn answer(target: &str, body: &[u8], state: &Mutex<State>, news: &Notify, base: &str) -> (u16, Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.trim_start_matches("/api/v1").split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["entities", entity, "agents"] => {
            if let Some((status, problem)) = &state.lock().refuse {
                return (*status, serde_json::to_vec(problem).unwrap());
            }
            state.lock().registered += 1;
            let agent = Agent {
                id: "agent".into(),
                name: "tall-tree-1".into(),
                entity: (*entity).into(),
                host: "h".into(),
                version: "v".into(),
                queues: vec![],
                status: "polling".into(),
                slots: None,
                resources: None,
                items: vec![],
                last_seen: Time(0),
                created_at: Time(0),
            };
            ok(&json!({"agent": agent}))
        }
        ["entities", entity] => {
            let kind = if state.lock().team { "team" } else { "user" };
            ok(&json!({"entity": {"name": entity, "kind": kind, "role": "member"}}))
        }
        ["agents", _, "claim"] => claim(body, state, news).await,
        ["agents", _, "heartbeat"] => heartbeat(body, state).await,
        ["agents", _, "log"] => {
            let mut s = state.lock();
            if s.own_logs_refused > 0 {
                s.own_logs_refused -= 1;
                return (503, json!({"code": "unavailable", "message": "starting"}).to_string().into_bytes());
            }
            s.own_log.extend(serde_json::from_slice::<AgentLog>(body).unwrap().lines);
            (204, Vec::new())
        }
        ["agents", _, "items", item, attempt, what @ ..] => {
            let held = Held { item: (*item).into(), attempt: attempt.parse().unwrap() };
            of_item(&held, what, query, body, &mut state.lock())
        }
        ["artifacts", id, "files"] => {
            let state = state.lock();
            let Some(files) = state.artifacts.get(*id) else {
                return (404, json!({"code": "not_found", "message": "no such artifact"}).to_string().into_bytes());
            };
            let files: Vec<Value> = files
                .iter()
                .map(|(path, content)| {
                    json!({"path": path, "size_bytes": content.len(), "digest": STANDARD.encode(Md5::digest(content)),
                           "url": format!("{base}/blob/{id}/{path}")})
                })
                .collect();
            ok(&json!({"items": files, "next": null}))
        }
        ["blob", id, path @ ..] => {
            let path = path.join("/");
            let state = state.lock();
            let content = state.artifacts[*id].iter().find(|(p, _)| *p == path).map(|(_, c)| c.clone());
            (200, content.unwrap())
        }
        _ => (404, json!({"code": "not_found", "message": path}).to_string().into_bytes()),
    }
}

fn ok(body: &Value) -> (u16, Vec<u8>) {
    (200, body.to_string().into_bytes())
}

/// Waits for a lease, five seconds at most.
async fn claim(body: &[u8], state: &Mutex<State>, news: &Notify) -> (u16, Vec<u8>) {
    let (registered, newest) = {
        let mut s = state.lock();
        s.claims.push(serde_json::from_slice(body).unwrap());
        (s.registered, s.claims.len())
    };
    for _ in 0..100 {
        let woken = news.notified();
        let lease = {
            let mut s = state.lock();
            // The agent has one claim at a time: an earlier one is dead.
            let alive = s.registered == registered && s.claims.len() == newest && !s.away;
            if alive { s.leases.pop_front() } else { None }
        };
        if let Some(lease) = lease {
            return ok(&json!({"leases": [lease], "command": AgentCommand::None}));
        }
        let _ = timeout(Duration::from_millis(50), woken).await;
    }
    ok(&json!({"leases": [], "command": AgentCommand::None}))
}

/// Hears an agent, and says what is wanted of it once something is, or after the time that it waits.
async fn heartbeat(body: &[u8], state: &Mutex<State>) -> (u16, Vec<u8>) {
    let beat: Heartbeat = serde_json::from_slice(body).unwrap();
    // As the real server says it: it speaks only of items that are named, and those must have been acknowledged.
    let (unknown, wait_ms) = {
        let mut s = state.lock();
        s.left |= beat.leaving;
        s.heartbeats += 1;
        let unknown: Vec<Held> = beat.items.iter().filter(|h| !s.acknowledged.contains(h)).cloned().collect();
        (unknown, if s.patient && beat.wait_ms > 0 { 600_000 } else { beat.wait_ms })
    };
    let named = |item: &str, attempt: u32| beat.items.iter().any(|h| h.item == item && h.attempt == attempt);
    let news = || {
        let s = state.lock();
        let stop: Vec<StopRequest> = s.stop.iter().filter(|r| named(&r.item, r.attempt)).cloned().collect();
        let lost: Vec<Held> = s.lost.iter().filter(|h| named(&h.item, h.attempt)).cloned().collect();
        (stop, lost)
    };
    for _ in 0..wait_ms / 50 {
        let (stop, lost) = news();
        if !stop.is_empty() || !lost.is_empty() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (stop, mut lost) = news();
    lost.extend(unknown);
    ok(&json!(HeartbeatAnswer { command: AgentCommand::None, stop, lost }))
}

fn of_item(held: &Held, what: &[&str], query: &str, body: &[u8], state: &mut State) -> (u16, Vec<u8>) {
    if state.lost.contains(held) {
        return (409, json!({"code": "lease_lost", "message": "lost"}).to_string().into_bytes());
    }
    match what {
        ["acknowledge"] => {
            if !state.acknowledged.contains(held) {
                state.acknowledged.push(held.clone());
            }
        }
        ["return"] => state.returned.push(held.clone()),
        ["build"] => {
            let answer = state.builds.pop_front().unwrap_or_else(|| json!({"state": "granted", "lease_ms": 30_000}));
            return (200, answer.to_string().into_bytes());
        }
        ["build", "end"] => {}
        ["report"] => {
            state.reports.insert(held.item.clone(), serde_json::from_slice(body).unwrap());
        }
        ["logs", phase] => {
            let offset: usize = query.strip_prefix("offset=").unwrap().parse().unwrap();
            if state.log_bytes.is_some_and(|most| offset >= most) {
                return (413, json!({"code": "too_large", "message": "enough"}).to_string().into_bytes());
            }
            let log = state.logs.entry((held.item.clone(), (*phase).to_owned())).or_default();
            if offset == log.len() {
                log.extend(body);
            }
            return (200, json!({"end": log.len()}).to_string().into_bytes());
        }
        ["outcome"] => {
            let report: Value = serde_json::from_slice(body).unwrap();
            let outcome: Outcome = serde_json::from_value(report["outcome"].clone()).unwrap();
            // Sending it again is fine.
            if !state.outcomes.iter().any(|(h, _)| h == held) {
                state.outcomes.push((held.clone(), outcome));
            }
        }
        _ => return (404, Vec::new()),
    }
    (200, b"{}".to_vec())
}
