//! What the web app asks for, at the sizes that hurt: charts, run tables, the end of a long log.
//!
//! A seeded `lanza dev` is asked over HTTP as the app does. Each figure is the median of several answers after the first one,
//! which is told beside it.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lanza_api::Client;
use serde_json::Value;

use crate::{
    report::Report,
    stage::{Program, Scratch},
};

/// How long filling a server may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Answers that the median is of.
const ROUNDS: usize = 11;

/// A `lanza dev` that was filled before.
struct Seeded {
    program: Program,
    client: Client,
    _scratch: Scratch,
}

impl Seeded {
    fn start(binary: &Path, name: &str, sizes: &[&str]) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let mut command = Command::new(binary);
        command.args(["dev", "--seed", "--target", "process", "--agents", "0", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(scratch.path().join("data")).args(sizes).env("HOME", scratch.path()).env("LANZA_LOG", "warn");
        let program = Program::start(&mut command, scratch.path(), "dev")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It fills the store first, and then says three lines.
            let said = fs::read_to_string(scratch.path().join("dev.out"))?;
            let word = |name: &str| {
                said.lines().find_map(|l| l.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='))
            };
            if let (3, Some(url), Some(key)) = (said.lines().count(), word("WANDB_BASE_URL"), word("WANDB_API_KEY")) {
                let client = Client::new(url, Some(key.to_owned()))?;
                return Ok(Self { program, client, _scratch: scratch });
            }
            if Instant::now() > deadline {
                bail!("the seeded server is not ready: {}", fs::read_to_string(scratch.path().join("dev.err"))?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks several times; returns the first answer's time, the median of the others, both in milliseconds, and an answer.
    async fn timed(&self, path: &str) -> Result<(f64, f64, String)> {
        let (mut first, mut times, mut last) = (0.0, Vec::new(), String::new());
        for round in 0..=ROUNDS {
            let begin = Instant::now();
            last = self.client.text(path).await?;
            let ms = begin.elapsed().as_secs_f64() * 1000.0;
            if round == 0 {
                first = ms;
            } else {
                times.push(ms);
            }
        }
        times.sort_by(f64::total_cmp);
        Ok((first, times[times.len() / 2], last))
    }

    async fn figure(&self, report: &mut Report, what: &str, path: &str, budget_ms: f64) -> Result<Value> {
        let (first, median, answer) = self.timed(path).await?;
        report.add(
            what,
            format!("{median:.1} ms (first {first:.0} ms)"),
            &format!("<= {budget_ms:.0} ms"),
            median <= budget_ms,
        );
        Ok(serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }
}

pub(crate) async fn charts(binary: &Path, report: &mut Report) -> Result<()> {
    let sizes = ["--seed-steps", "1000000", "--seed-log-lines", "1000000"];
    let long = Seeded::start(binary, "charts", &sizes)?;
    let project = "/entities/team-a/projects/long-runs";
    let path = format!("{project}/runs/long-0/history?keys=metric-3&points=1000");
    let answer = long.figure(report, "chart: 1,000 points of one key from 1 M steps", &path, 50.0).await?;
    let points = answer["series"]["metric-3"].as_array().map_or(0, Vec::len);
    if points != 1000 {
        bail!("the chart has {points} points and not 1,000");
    }
    let path = format!("{project}/runs/long-log/log?tail=1000");
    let answer = long.figure(report, "the last 1,000 lines of a run's log of 1 M lines", &path, 500.0).await?;
    lines(&answer, 1000)?;
    let items: Value = serde_json::from_str(&long.client.text("/items?entity=team-a&queue=bulk").await?)?;
    let item = items["items"][0]["id"].as_str().context("the item with the long log")?;
    let path = format!("/items/{item}/logs?tail=1000");
    let answer = long.figure(report, "the last 1,000 lines of an item's log of 1 M lines", &path, 500.0).await?;
    lines(&answer, 1000)?;
    long.program.end()?;

    let twenty = Seeded::start(binary, "twenty", &["--seed-steps", "100000", "--seed-long-runs", "20"])?;
    let runs: Vec<String> = (0..20).map(|n| format!("long-{n}")).collect();
    let keys: Vec<String> = (0..10).map(|n| format!("metric-{n}")).collect();
    let path = format!("{project}/run-series?runs={}&keys={}&points=500", runs.join(","), keys.join(","));
    let what = "20 runs x 10 charts of 100,000 steps, one request";
    let answer = twenty.figure(report, what, &path, 1000.0).await?;
    let series = answer["runs"]
        .as_object()
        .map_or(0, |runs| runs.values().map(|r| r.as_object().map_or(0, serde_json::Map::len)).sum());
    if series != 200 {
        bail!("there are {series} series and not 200");
    }
    twenty.program.end()
}

fn lines(answer: &Value, expected: usize) -> Result<()> {
    let found = answer.as_str().map_or(0, |text| text.lines().count());
    if found != expected {
        bail!("the end of the log has {found} lines and not {expected}");
    }
    Ok(())
}

pub(crate) async fn table(binary: &Path, report: &mut Report) -> Result<()> {
    for (keys, budget) in [(100, 20.0), (1000, 100.0)] {
        let sizes = ["--seed-runs", "10000", "--seed-keys", &keys.to_string()];
        let many = Seeded::start(binary, &format!("table-{keys}"), &sizes)?;
        let project = "/entities/team-a/projects/many-runs";
        // `config.lr` is 0.01, and a metric is above a half.
        let filter = "%7B%22config.lr%22%3A0.01%2C%22summary.metric-0042%22%3A%7B%22%24gt%22%3A0.5%7D%7D";
        let chosen = "config.lr,summary.metric-0000,summary.metric-0007,summary.metric-0042";
        let path = format!("{project}/runs?limit=100&filter={filter}&order=-summary.metric-0007&keys={chosen}");
        let what = format!("run table, 10,000 runs of {keys} summary keys, first 100 filtered and sorted");
        let answer = many.figure(report, &what, &path, budget).await?;
        if answer["items"].as_array().map(Vec::len) != Some(100) {
            bail!("the table has not 100 runs: {answer}");
        }
        let path = format!("{project}/run-groups?by=config.lr&metrics=summary.metric-0007");
        many.figure(report, &format!("the same in groups, {keys} keys"), &path, budget).await?;
        let (first, median, _) = many.timed(&format!("{project}/run-keys")).await?;
        report.note(&format!("list of all keys, {keys} keys"), format!("{median:.1} ms (first {first:.0} ms)"));
        let (first, median, _) = many.timed(&format!("{project}/runs?limit=100")).await?;
        report.note(
            &format!("first 100 with all their keys, {keys} keys"),
            format!("{median:.1} ms (first {first:.0} ms)"),
        );
        many.program.end()?;
    }
    Ok(())
}
