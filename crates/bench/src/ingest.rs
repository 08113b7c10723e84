//! History rows a second over HTTP from 100 runs at once, and the processor time that they cost.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    report::Report,
    stage::{Server, cpu_seconds},
};

const RUNS: usize = 100;
const KEYS: usize = 5;

pub(crate) async fn measure(binary: &Path, rows: usize, batch: usize, report: &mut Report) -> Result<()> {
    let server = Server::start(binary, "ingest", None)?;
    let key = server.user("bench").await?;
    let door = Door { url: server.url.clone(), key, http: lanza_api::client::http_client()? };
    for run in 0..RUNS {
        door.graphql(
            "mutation U($p: String!, $n: String!) { upsertBucket(input: {modelName: $p, name: $n}) { bucket { id } } }",
            json!({"p": "bench", "n": name(run)}),
        )
        .await?;
    }
    // Made before the clock starts: the load generator shares the machine with the server.
    let bodies: Vec<Vec<Vec<u8>>> = (0..RUNS).map(|run| batches(run, rows, batch)).collect();
    let bytes: usize = bodies.iter().flatten().map(Vec::len).sum();

    let (server_cpu, own_cpu, begin) = (server.program.cpu_seconds()?, cpu_seconds("self")?, Instant::now());
    let mut tasks = JoinSet::new();
    for (run, bodies) in bodies.into_iter().enumerate() {
        let door = door.clone();
        tasks.spawn(async move {
            for body in bodies {
                door.post(&format!("/files/bench/bench/{}/file_stream", name(run)), body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let (ingest_cpu, own_cpu) = (server.program.cpu_seconds()? - server_cpu, cpu_seconds("self")? - own_cpu);
    let settled_cpu = settled(&server).await? - server_cpu;

    let begin = Instant::now();
    let mut counted = 0;
    for run in 0..RUNS {
        counted += door.count(run, rows).await?;
    }
    let read_seconds = begin.elapsed().as_secs_f64();
    let total = RUNS * rows;
    if counted != total {
        bail!("{counted} rows can be read back of {total}");
    }
    let rate = total as f64 / seconds;
    let million_values = (total * KEYS) as f64 / 1e6;
    let cpu = settled_cpu / million_values;
    report.add(
        &format!("history ingest, 100 runs, {KEYS} keys a row, {batch} rows a request"),
        format!("{rate:.0} rows/s"),
        ">= 150,000 rows/s",
        rate >= 150_000.0,
    );
    report.add(
        "server CPU per million values, background work included",
        format!("{cpu:.2} s"),
        "<= 0.5 s",
        cpu <= 0.5,
    );
    report
        .note("server CPU per million values, until the last answer", format!("{:.2} s", ingest_cpu / million_values));
    report.note(
        "processor time a second during ingest",
        format!("server {:.2}, load generator {:.2}", ingest_cpu / seconds, own_cpu / seconds),
    );
    report.note(
        "read back through the wandb door and counted",
        format!("{counted} rows of {total} ({:.0} MB), {:.0} rows/s", bytes as f64 / 1e6, total as f64 / read_seconds),
    );
    Ok(())
}

fn name(run: usize) -> String {
    format!("run{run:05}")
}

/// The requests of one run, as the wandb client makes them.
fn batches(run: usize, rows: usize, batch: usize) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let mut offset = 0;
    while offset < rows {
        let end = (offset + batch).min(rows);
        let lines: Vec<String> = (offset..end).map(|step| row(run, step)).collect();
        let body = json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}});
        bodies.push(body.to_string().into_bytes());
        offset = end;
    }
    bodies
}

fn row(run: usize, step: usize) -> String {
    let x = (step as f64).mul_add(0.001, run as f64);
    let mut line = String::with_capacity(160);
    let _ = write!(
        line,
        "{{\"_step\":{step},\"_timestamp\":{:.3},\"_runtime\":{:.3},\"loss\":{:.6},\"accuracy\":{:.6}}}",
        1.7e9 + step as f64 * 0.1,
        step as f64 * 0.1,
        (-x).exp(),
        1.0 - (-x).exp(),
    );
    line
}

/// Waits until the server has nothing left to do and returns its processor time.
async fn settled(server: &Server) -> Result<f64> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut before = server.program.cpu_seconds()?;
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = server.program.cpu_seconds()?;
        if now - before < 0.05 || Instant::now() > deadline {
            return Ok(now);
        }
        before = now;
    }
}

/// The wandb door.
#[derive(Clone)]
struct Door {
    url: String,
    key: String,
    http: reqwest::Client,
}

impl Door {
    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Value> {
        let answer = self
            .http
            .post(format!("{}{path}", self.url))
            .basic_auth("api", Some(&self.key))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    async fn graphql(&self, query: &str, variables: Value) -> Result<Value> {
        let answer =
            self.post("/graphql", json!({"query": query, "variables": variables}).to_string().into_bytes()).await?;
        if let Some(errors) = answer.get("errors").filter(|e| !e.is_null()) {
            bail!("GraphQL: {errors}");
        }
        Ok(answer["data"].clone())
    }

    /// Reads every row of a run, a page at a time, and counts those that are as they were sent.
    async fn count(&self, run: usize, rows: usize) -> Result<usize> {
        const PAGE: usize = 10_000;
        let query = "query H($p: String!, $e: String!, $r: String!, $min: Int64!, $max: Int64!, $n: Int!) { \
                     project(name: $p, entityName: $e) { run(name: $r) { history(minStep: $min, maxStep: $max, samples: $n) } } }";
        let mut good = 0;
        let mut from = 0;
        while from < rows {
            let to = (from + PAGE).min(rows);
            let variables = json!({"p": "bench", "e": "bench", "r": name(run), "min": from, "max": to, "n": PAGE});
            let data = self.graphql(query, variables).await?;
            let lines = data["project"]["run"]["history"].as_array().context("a list of rows")?;
            for (line, step) in lines.iter().zip(from..) {
                let read: Value = serde_json::from_str(line.as_str().context("a row is a text")?)?;
                let sent: Value = serde_json::from_str(&row(run, step))?;
                good += usize::from(read == sent);
            }
            from = to;
        }
        Ok(good)
    }
}
