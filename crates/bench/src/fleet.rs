//! A thousand agents on a hundred queues with a long backlog: how long a claim takes, and what the server costs.
//!
//! Each agent is a client with a connection of its own that does what `lanza agent` does over HTTP: it claims one item,
//! acknowledges it, reports its phase, holds it for a while, reports its end, and sends heartbeats all the time. No
//! workload runs. First the agents wait at empty queues, then there is more to do than they can take.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lanza_api::{
    Client,
    agent::{Claim, Heartbeat, Held, OutcomeReport, PhaseReport, Register, Report as AttemptReport},
    item::{ItemAnswer, Outcome},
    queue::QueueAnswer,
};
use lanza_model::{
    Phase, Target,
    clock::{Clock, SystemClock},
    item::Ending,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    report::{Report, percentile},
    stage::{Server, cpu_seconds},
};

/// How long an agent holds an item: 5 s to 15 s, each another time.
const HOLD_MS: std::ops::Range<u64> = 5_000..15_000;
/// Heartbeats of one agent.
const BEAT: Duration = Duration::from_secs(10);
/// How long a claim waits at an empty queue.
const WAIT_MS: u32 = 30_000;
/// How long the idle and the busy fleet are measured.
const MEASURED: Duration = Duration::from_secs(60);
/// Requests in flight that push the backlog.
const PUSHERS: usize = 16;

struct Fleet {
    client: Client,
    user: String,
    /// Seconds of claims that were answered with an item, begun after the measurement began.
    claims: Mutex<Vec<f64>>,
    items: AtomicU32,
    requests: AtomicU32,
}

pub(crate) async fn measure(
    binary: &Path,
    postgres: Option<&str>,
    (agents, queues, backlog): (usize, usize, usize),
    report: &mut Report,
) -> Result<()> {
    let engine = if postgres.is_some() { "Postgres" } else { "SQLite" };
    let server = Server::start(binary, "fleet", postgres)?;
    let user = format!("fleet{}", std::process::id());
    let client = server.client(&server.user(&user).await?)?;
    for number in 0..queues {
        let body = json!({"name": format!("q{number}"), "target": "docker"});
        let _: QueueAnswer = client.post(&format!("/entities/{user}/queues"), &body).await?;
    }
    let fleet = Arc::new(Fleet {
        client,
        user: user.clone(),
        claims: Mutex::default(),
        items: AtomicU32::new(0),
        requests: AtomicU32::new(0),
    });
    let mut tasks = JoinSet::new();
    for number in 0..agents {
        let fleet = fleet.clone();
        tasks.spawn(async move { fleet.serve(number, queues).await });
    }
    // All have registered and wait.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let what = format!("{agents} agents on {queues} empty queues, {engine}");
    let idle = cost(&server, &fleet, &what, report).await?;

    let begin = Instant::now();
    push(&fleet, queues, backlog).await?;
    report.note(
        &format!("push to {queues} queues while {agents} agents take, {engine}"),
        format!("{:.0} items/s", backlog as f64 / begin.elapsed().as_secs_f64()),
    );
    fleet.claims.lock().clear();
    fleet.items.store(0, Ordering::Relaxed);
    let what = format!("{agents} agents, {backlog} items in {queues} queues, {engine}");
    let busy = cost(&server, &fleet, &what, report).await?;
    report.note(
        &format!("server processor time a request, {engine}"),
        format!("{:.2} ms busy, {:.2} ms idle", busy * 1e3, idle * 1e3),
    );
    let mut claims = std::mem::take(&mut *fleet.claims.lock());
    claims.sort_by(f64::total_cmp);
    if claims.is_empty() {
        bail!("no agent got an item");
    }
    report.note(
        &format!("claim, p50, p95 and p99 of {}, {engine}", claims.len()),
        format!(
            "{:.1} ms, {:.1} ms, {:.1} ms",
            percentile(&claims, 50.0) * 1e3,
            percentile(&claims, 95.0) * 1e3,
            percentile(&claims, 99.0) * 1e3
        ),
    );
    report.note(
        &format!("items through their whole life, {engine}"),
        format!("{:.0} items/s", f64::from(fleet.items.load(Ordering::Relaxed)) / MEASURED.as_secs_f64()),
    );
    tasks.abort_all();
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(e)) = ended {
            return Err(e).context("an agent was refused");
        }
    }
    Ok(())
}

/// Measures for a minute; returns the server's processor seconds a request.
async fn cost(server: &Server, fleet: &Fleet, what: &str, report: &mut Report) -> Result<f64> {
    let (before, own_before) = (server.program.cpu_seconds()?, cpu_seconds("self")?);
    let requests = fleet.requests.load(Ordering::Relaxed);
    tokio::time::sleep(MEASURED).await;
    let seconds = MEASURED.as_secs_f64();
    let requests = f64::from(fleet.requests.load(Ordering::Relaxed) - requests);
    let (cpu, own) = (server.program.cpu_seconds()? - before, cpu_seconds("self")? - own_before);
    report.note(
        what,
        format!(
            "server {:.0} % of a core, {:.0} MB (PSS), {:.0} requests/s; load generator {:.0} %",
            cpu / seconds * 100.0,
            server.program.pss_mb()?,
            requests / seconds,
            own / seconds * 100.0
        ),
    );
    Ok(cpu / requests.max(1.0))
}

async fn push(fleet: &Arc<Fleet>, queues: usize, items: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for pusher in 0..PUSHERS {
        let fleet = fleet.clone();
        tasks.spawn(async move {
            let body = json!({"docker": {"docker_image": "bench:1"}, "project": "bench"});
            for number in (pusher..items).step_by(PUSHERS) {
                let path = format!("/entities/{}/queues/q{}/items", fleet.user, number % queues);
                let _: ItemAnswer = fleet.client.post(&path, &body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

impl Fleet {
    fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    async fn serve(self: Arc<Self>, number: usize, queues: usize) -> Result<()> {
        let queue = format!("q{}", number % queues);
        let register = Register {
            state: format!("fleet-{}-agent-number-{number:05}", self.user),
            host: "bench".into(),
            version: "bench@0".into(),
            queues: vec![queue.clone()],
            targets: vec![Target::Docker],
            slots: Some(1),
            resources: None,
            settings: Value::Null,
        };
        let agent = self.client.agent_register(&self.user, &register).await?.id;
        let held = Arc::new(Mutex::new(Vec::<Held>::new()));
        let beats = async {
            loop {
                tokio::time::sleep(BEAT).await;
                let items = held.lock().clone();
                let beat = Heartbeat { items, draining: false, leaving: false, wait_ms: 0 };
                self.asked();
                self.client.agent_heartbeat(&agent, &beat).await?;
            }
        };
        let work = async {
            let claim = Claim { queues: vec![queue], free: 1, wait_ms: WAIT_MS, left: None, at_hand: None };
            loop {
                let begin = Instant::now();
                self.asked();
                let claimed = self.client.agent_claim(&agent, &claim).await?;
                let Some(lease) = claimed.leases.first() else { continue };
                self.claims.lock().push(begin.elapsed().as_secs_f64());
                let (item, attempt) = (lease.item.clone(), lease.attempt);
                self.asked();
                self.client.attempt_acknowledge(&agent, &item, attempt).await?;
                held.lock().push(Held { item: item.clone(), attempt });
                let phases = vec![PhaseReport { name: Phase::Run, started_at: SystemClock.now(), ended_at: None }];
                self.asked();
                let begun = AttemptReport { phases, ..AttemptReport::default() };
                self.client.attempt_report(&agent, &item, attempt, &begun).await?;
                // Spread without a generator: the nanoseconds of now are as good.
                let spread = HOLD_MS.end - HOLD_MS.start;
                let hold =
                    HOLD_MS.start + (begin.elapsed().as_nanos() as u64).wrapping_add(number as u64 * 7919) % spread;
                tokio::time::sleep(Duration::from_millis(hold)).await;
                let outcome = Outcome {
                    ending: Ending::Finished,
                    exit_code: Some(0),
                    signal: None,
                    reason: None,
                    phase: None,
                    ended_at: SystemClock.now(),
                };
                held.lock().clear();
                self.asked();
                self.client.attempt_outcome(&agent, &item, attempt, &OutcomeReport { outcome }).await?;
                self.items.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! {
            failed = work => failed,
            failed = beats => failed,
        }
    }
}
