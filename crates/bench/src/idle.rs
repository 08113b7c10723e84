//! How soon the processes are ready, and what they use when nothing happens.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use lanza_api::queue::QueueAnswer;
use serde_json::json;

use crate::{
    report::{Report, percentile},
    stage::{Program, Scratch, Server},
};

const STARTS: usize = 10;
/// After this time everything that a start leaves behind has settled.
const SETTLE: Duration = Duration::from_secs(8);
const WATCH: Duration = Duration::from_secs(20);

pub(crate) async fn measure(binary: &Path, report: &mut Report) -> Result<()> {
    let mut fresh = Vec::new();
    for _ in 0..STARTS {
        let server = Server::start(binary, "ready", None)?;
        fresh.push(server.program.started.elapsed().as_secs_f64());
    }
    fresh.sort_by(f64::total_cmp);
    report.note(
        "`lanza server` listens, new store (median of 10 starts)",
        format!("{:.0} ms", percentile(&fresh, 50.0) * 1e3),
    );

    let mut again = Vec::new();
    let mut first = Vec::new();
    for _ in 0..STARTS {
        let scratch = Scratch::new("dev")?;
        first.push(dev(binary, &scratch)?.1);
        again.push(dev(binary, &scratch)?.1);
    }
    first.sort_by(f64::total_cmp);
    again.sort_by(f64::total_cmp);
    let median = percentile(&first, 50.0);
    report.add(
        "`lanza dev` ready, new store (median of 10 starts)",
        format!("{:.0} ms", median * 1e3),
        "<= 300 ms",
        median <= 0.3,
    );
    report.note("`lanza dev` ready, store of before", format!("{:.0} ms", percentile(&again, 50.0) * 1e3));

    let scratch = Scratch::new("dev")?;
    let (program, _) = dev(binary, &scratch)?;
    watch(&program, "`lanza dev` idle", Some(40.0), report).await?;
    program.end()?;

    let server = Server::start(binary, "idle", None)?;
    watch(&server.program, "`lanza server` alone, idle", Some(30.0), report).await?;
    let key = server.user("bench").await?;
    let client = server.client(&key)?;
    let _: QueueAnswer = client.post("/entities/bench/queues", &json!({"name": "q", "target": "process"})).await?;
    let mut command = Command::new(binary);
    command.args(["agent", "-q", "q", "--state"]).arg(server.scratch.path().join("agent"));
    command.env("WANDB_BASE_URL", &server.url).env("WANDB_API_KEY", &key).env("HOME", server.scratch.path());
    let agent = Program::start(&mut command, server.scratch.path(), "agent")?;
    watch(&agent, "`lanza agent` idle", Some(12.0), report).await?;
    let before = server.program.cpu_seconds()?;
    tokio::time::sleep(WATCH).await;
    let share = (server.program.cpu_seconds()? - before) / WATCH.as_secs_f64() * 100.0;
    report.add("`lanza server` with one idle agent, of one core", format!("{share:.2} %"), "<= 2 %", share <= 2.0);
    agent.end()
}

/// Starts `lanza dev` and waits for its third line.
fn dev(binary: &Path, scratch: &Scratch) -> Result<(Program, f64)> {
    let mut command = Command::new(binary);
    command.args(["dev", "--listen", "127.0.0.1:0", "--target", "process", "--data"]).arg(scratch.path().join("data"));
    command.env("HOME", scratch.path()).env("LANZA_LOG", "warn");
    let program = Program::start(&mut command, scratch.path(), "dev")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if fs::read_to_string(scratch.path().join("dev.out"))?.lines().count() == 3 {
            let ready = program.started.elapsed().as_secs_f64();
            return Ok((program, ready));
        }
        if Instant::now() > deadline {
            bail!("`lanza dev` is not ready: {}", fs::read_to_string(scratch.path().join("dev.err"))?);
        }
        tokio::task::block_in_place(|| std::thread::sleep(Duration::from_micros(500)));
    }
}

async fn watch(program: &Program, what: &str, budget_mb: Option<f64>, report: &mut Report) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    let before = program.cpu_seconds()?;
    tokio::time::sleep(WATCH).await;
    let share = (program.cpu_seconds()? - before) / WATCH.as_secs_f64() * 100.0;
    let pss = program.pss_mb()?;
    match budget_mb {
        Some(mb) => {
            report.add(&format!("{what}, memory (PSS)"), format!("{pss:.1} MB"), &format!("<= {mb:.0} MB"), pss <= mb);
        }
        None => report.note(&format!("{what}, memory (PSS)"), format!("{pss:.1} MB")),
    }
    report.add(&format!("{what}, of one core"), format!("{share:.2} %"), "<= 2 %", share <= 2.0);
    Ok(())
}
