//! How long the server takes to decide which item an agent gets, against the length of the queue.
//!
//! One claim at a time on a server that does nothing else, so each figure is a decision with the way there and back. Half
//! of the claims come from an agent whose machine is counted and half from one that takes anything, which are two ways
//! through the scheduler. The items wait in one queue, in four priorities.

use std::{path::Path, time::Instant};

use anyhow::{Result, bail};
use lanza_api::{
    Client,
    agent::{Claim, Register},
    item::ItemAnswer,
    queue::QueueAnswer,
};
use lanza_model::{Target, resources::Capacity};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    report::{Report, percentile},
    stage::Server,
};

/// Lengths of the queue.
const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// Claims of each kind at each length.
const CLAIMS: usize = 40;
/// Requests in flight that fill the queue.
const PUSHERS: usize = 16;
const MACHINE: Capacity = Capacity { cpus: Some(64.0), memory_bytes: Some(256 << 30), gpus: Some(8) };

pub(crate) async fn measure(binary: &Path, postgres: Option<&str>, longest: usize, report: &mut Report) -> Result<()> {
    let engine = if postgres.is_some() { "Postgres" } else { "SQLite" };
    let server = Server::start(binary, "decisions", postgres)?;
    let user = format!("decide{}", std::process::id());
    let client = server.client(&server.user(&user).await?)?;
    let _: QueueAnswer =
        client.post(&format!("/entities/{user}/queues"), &json!({"name": "q", "target": "docker"})).await?;
    let kinds = [("an agent that takes anything", None), ("an agent whose machine is counted", Some(MACHINE))];
    let mut agents = Vec::new();
    for (what, resources) in kinds {
        let register = Register {
            state: format!("decide-{user}-{what}"),
            host: "bench".into(),
            version: "bench@0".into(),
            queues: vec!["q".into()],
            targets: vec![Target::Docker],
            slots: None,
            resources,
            settings: Value::Null,
        };
        agents.push((what, resources, client.agent_register(&user, &register).await?.id));
    }
    let mut waiting = 0;
    for length in LENGTHS.into_iter().filter(|length| *length <= longest) {
        // What the claims of this length take comes on top.
        push(&client, &user, waiting..length + CLAIMS * agents.len()).await?;
        waiting = length;
        for (what, left, agent) in &agents {
            let mut times = Vec::with_capacity(CLAIMS);
            for _ in 0..CLAIMS {
                let claim = Claim { queues: vec!["q".into()], free: 1, wait_ms: 0, left: *left, at_hand: None };
                let begin = Instant::now();
                let claimed = client.agent_claim(agent, &claim).await?;
                times.push(begin.elapsed().as_secs_f64() * 1e3);
                let Some(lease) = claimed.leases.first() else { bail!("{what} got nothing of {length} items") };
                client.attempt_acknowledge(agent, &lease.item, lease.attempt).await?;
            }
            times.sort_by(f64::total_cmp);
            report.note(
                &format!("a claim by {what}, {length} items wait, {engine}, p50 and p95 of {CLAIMS}"),
                format!("{:.1} ms, {:.1} ms", percentile(&times, 50.0), percentile(&times, 95.0)),
            );
        }
    }
    Ok(())
}

/// Pushes an item for each number.
async fn push(client: &Client, user: &str, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for pusher in 0..PUSHERS {
        let (client, numbers) = (client.clone(), numbers.clone());
        let path = format!("/entities/{user}/queues/q/items");
        tasks.spawn(async move {
            for number in numbers.skip(pusher).step_by(PUSHERS) {
                let priority = ["critical", "high", "medium", "low"][number % 4];
                let body = json!({"docker": {"docker_image": "bench:1"}, "project": "bench", "priority": priority,
                    "resources": {"cpus": 0.1}});
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
