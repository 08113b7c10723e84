//! From the push of an item to the first instruction of its process.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lanza_api::{Client, item::ItemAnswer, queue::QueueAnswer};
use lanza_model::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::{
    report::{Report, percentile},
    stage::{Program, Server},
};

pub(crate) async fn measure(binary: &Path, wandb: &Path, launches: usize, report: &mut Report) -> Result<()> {
    let server = Server::start(binary, "dispatch", None)?;
    let folder = server.scratch.path().to_owned();
    let key = server.user("bench").await?;
    let client = server.client(&key)?;
    let _: QueueAnswer = client.post("/entities/bench/queues", &json!({"name": "q", "target": "process"})).await?;

    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    // Nothing to install: what is measured is the way to the process, not the environment's build.
    fs::write(source.join("requirements.txt"), "")?;
    let stamps = folder.join("stamps");
    fs::create_dir_all(&stamps)?;
    let path = format!("{}/", stamps.display());
    // The clock is read first; the name of the file is found after it.
    fs::write(
        source.join("train.py"),
        format!(
            "import time\nnow = time.time_ns()\nimport os\nopen({path:?} + os.environ['WANDB_LAUNCH_TRACE_ID'], 'w').write(str(now))\n"
        ),
    )?;
    let made = Command::new(wandb)
        .args(["job", "create", "code", ".", "-p", "bench", "-e", "bench", "-n", "stamp", "-E", "python train.py"])
        .current_dir(&source)
        .env("WANDB_BASE_URL", &server.url)
        .env("WANDB_API_KEY", &key)
        .env("HOME", &folder)
        .env("WANDB_DIR", &folder)
        .output()
        .with_context(|| format!("cannot run {}; name it with --wandb", wandb.display()))?;
    if !made.status.success() {
        bail!("the job cannot be made: {}", String::from_utf8_lossy(&made.stderr));
    }

    let mut command = Command::new(binary);
    command.args(["agent", "-q", "q", "--state"]).arg(folder.join("agent"));
    command.env("WANDB_BASE_URL", &server.url).env("WANDB_API_KEY", &key).env("HOME", &folder).env("LANZA_LOG", "warn");
    let agent = Program::start(&mut command, &folder, "agent")?;

    let shell = format!("date +%s%N > {path}$WANDB_LAUNCH_TRACE_ID");
    for (what, overrides, budget) in [
        ("push → first instruction of a shell", json!({"entry_point": ["sh", "-c", shell]}), true),
        ("push → first instruction of a Python script", json!({}), false),
    ] {
        let body = json!({"job": "bench/bench/stamp:latest", "project": "bench", "overrides": overrides});
        // The first builds the environment, the second finds everything warm.
        for _ in 0..2 {
            launch(&client, &body, &stamps).await?;
        }
        let mut times = Vec::with_capacity(launches);
        for _ in 0..launches {
            times.push(launch(&client, &body, &stamps).await?);
        }
        times.sort_by(f64::total_cmp);
        let (p50, p95) = (percentile(&times, 50.0), percentile(&times, 95.0));
        let figure = |ms: f64| format!("{ms:.1} ms");
        if budget {
            report.add(&format!("{what}, p50 of {launches}"), figure(p50), "<= 50 ms", p50 <= 50.0);
            report.add(&format!("{what}, p95"), figure(p95), "<= 200 ms", p95 <= 200.0);
        } else {
            report.note(&format!("{what}, p50 of {launches}"), figure(p50));
            report.note(&format!("{what}, p95"), figure(p95));
        }
    }
    agent.end()
}

/// Pushes an item and waits for its end; returns the milliseconds between the push and the job's clock.
async fn launch(client: &Client, body: &Value, stamps: &Path) -> Result<f64> {
    let pushed_ms = precise_now_ms();
    let answer: ItemAnswer = client.post("/entities/bench/queues/q/items", body).await?;
    let id = answer.item.id;
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let answer: ItemAnswer = client.get(&format!("/items/{id}")).await?;
        if answer.item.state.is_ended() {
            let text =
                fs::read_to_string(stamps.join(&id)).with_context(|| format!("item {id}: {:?}", answer.item.reason))?;
            let started_ns: f64 = text.trim().parse().context("a time in the stamp")?;
            return Ok(started_ns / 1e6 - pushed_ms);
        }
        if Instant::now() > deadline {
            bail!("item {id} does not end: {:?}", answer.item.attempts);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The time in milliseconds, finer than [`SystemClock`] tells it.
pub(crate) fn precise_now_ms() -> f64 {
    // Waits for the next whole millisecond, so that the clock's cut costs nothing.
    let begin = SystemClock.now();
    loop {
        let now = SystemClock.now();
        if now != begin {
            return now.0 as f64;
        }
        std::hint::spin_loop();
    }
}
