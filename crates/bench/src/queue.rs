//! Items a second through push, claim and acknowledgement, with an empty queue and with a long one.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use lanza_api::{
    Client,
    agent::{Claim, Register},
    item::ItemAnswer,
    queue::QueueAnswer,
};
use lanza_model::Target;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    report::Report,
    stage::{Server, cpu_seconds},
};

/// Requests in flight that push, and agents that claim.
const PUSHERS: usize = 16;
const AGENTS: usize = 8;
/// Items that an agent claims at once and acknowledges one by one, all in flight together.
const CLAIM: u32 = 16;

pub(crate) async fn measure(
    binary: &Path,
    postgres: Option<&str>,
    items: usize,
    backlog: usize,
    report: &mut Report,
) -> Result<()> {
    let engine = if postgres.is_some() { "Postgres" } else { "SQLite" };
    let server = Server::start(binary, "queue", postgres)?;
    let user = format!("bench{}", std::process::id());
    let key = server.user(&user).await?;
    let client = server.client(&key)?;
    let _: QueueAnswer =
        client.post(&format!("/entities/{user}/queues"), &json!({"name": "q", "target": "docker"})).await?;
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let register = Register {
            state: format!("bench-{user}-agent-number-{number}"),
            host: "bench".into(),
            version: "bench@0".into(),
            queues: vec!["q".into()],
            targets: vec![Target::Docker],
            slots: None,
            resources: None,
            settings: Value::Null,
        };
        agents.push(client.agent_register(&user, &register).await?.id);
    }
    // Warm: connections, caches, the first pages.
    round(&client, &user, &agents, items / 10).await?;

    let empty = timed(&server, &client, &user, &agents, items, report, &format!("{engine}, empty queue")).await?;
    report.add(
        &format!("push + claim + acknowledge, {engine}, empty queue"),
        format!("{empty:.0} items/s"),
        if postgres.is_some() { "-" } else { ">= 2,000 items/s" },
        postgres.is_some() || empty >= 2000.0,
    );
    let begin = Instant::now();
    push(&client, &user, backlog).await?;
    report.note(
        &format!("push alone, {engine}"),
        format!("{:.0} items/s ({backlog} items)", backlog as f64 / begin.elapsed().as_secs_f64()),
    );
    let full = timed(&server, &client, &user, &agents, items, report, &format!("{engine}, long queue")).await?;
    let change = (full / empty - 1.0) * 100.0;
    report.add(
        &format!("the same with {backlog} items queued, {engine}"),
        format!("{full:.0} items/s ({change:+.0} %)"),
        "< 20 % less",
        change > -20.0,
    );
    Ok(())
}

async fn timed(
    server: &Server,
    client: &Client,
    user: &str,
    agents: &[String],
    items: usize,
    report: &mut Report,
    what: &str,
) -> Result<f64> {
    let (server_cpu, own_cpu, begin) = (server.program.cpu_seconds()?, cpu_seconds("self")?, Instant::now());
    round(client, user, agents, items).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let (server_cpu, own_cpu) = (server.program.cpu_seconds()? - server_cpu, cpu_seconds("self")? - own_cpu);
    report.note(
        &format!("processor time a second, {what}"),
        format!("server {:.2}, load generator {:.2}", server_cpu / seconds, own_cpu / seconds),
    );
    Ok(items as f64 / seconds)
}

/// Pushes `items` and claims as many, at the same time.
async fn round(client: &Client, user: &str, agents: &[String], items: usize) -> Result<()> {
    let left = Arc::new(AtomicUsize::new(items));
    let mut tasks = JoinSet::new();
    for agent in agents {
        let (client, agent, left) = (client.clone(), agent.clone(), left.clone());
        tasks.spawn(async move { claim(&client, &agent, &left).await });
    }
    push(client, user, items).await?;
    let deadline = Duration::from_secs(300);
    tokio::time::timeout(deadline, async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    })
    .await??;
    match left.load(Ordering::SeqCst) {
        0 => Ok(()),
        n => bail!("{n} items were not claimed"),
    }
}

async fn push(client: &Client, user: &str, items: usize) -> Result<()> {
    let left = Arc::new(AtomicUsize::new(items));
    let path = format!("/entities/{user}/queues/q/items");
    let mut tasks = JoinSet::new();
    for _ in 0..PUSHERS {
        let (client, left, path) = (client.clone(), left.clone(), path.clone());
        let body = json!({"docker": {"docker_image": "bench:1"}, "project": "bench", "overrides": {"run_config": {"lr": 0.1}}});
        tasks.spawn(async move {
            while take(&left, 1) == 1 {
                let _: ItemAnswer = client.post(&path, &body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Takes up to `most` from a counter.
fn take(left: &AtomicUsize, most: usize) -> usize {
    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n > 0).then(|| n - n.min(most)));
    before.map_or(0, |n| n.min(most))
}

async fn claim(client: &Client, agent: &str, left: &Arc<AtomicUsize>) -> Result<()> {
    loop {
        let wanted = take(left, CLAIM as usize);
        if wanted == 0 {
            return Ok(());
        }
        let mut missing = wanted;
        while missing > 0 {
            let claim =
                Claim { queues: vec!["q".into()], free: missing as u32, wait_ms: 10_000, left: None, at_hand: None };
            let claimed = client.agent_claim(agent, &claim).await?;
            missing -= claimed.leases.len();
            let acknowledged = claimed.leases.iter().map(|l| client.attempt_acknowledge(agent, &l.item, l.attempt));
            futures::future::try_join_all(acknowledged).await?;
        }
    }
}
