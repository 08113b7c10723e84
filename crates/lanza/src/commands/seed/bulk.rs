//! The sizes of benchmarks: many runs with many keys, long histories, a long log.

use std::fmt::Write as _;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lanza_api::agent::Claim;
use lanza_model::{Phase, run::Event, spec::Door};
use lanza_service::{
    Error, Result,
    items::WirePush,
    runs::{Post, RunRequest},
};
use lanza_store::{
    chunks::{NewChunk, Stream},
    runs::RunFields,
};
use serde_json::{Map, Value, json};

use super::{TEAM, World};
use crate::args;

/// Writes under way at the same time: they share commits.
const AT_ONCE: usize = 64;
/// Lines of one post.
const LINES: i64 = 2_000;
/// Keys of a long history.
const KEYS: usize = 10;

impl World {
    pub(super) async fn bulk(&mut self, sizes: &args::Seed) -> Result<()> {
        self.many_runs(sizes.seed_runs, sizes.seed_keys).await?;
        for number in 0..if sizes.seed_steps > 0 { sizes.seed_long_runs } else { 0 } {
            self.long_history(&format!("long-{number}"), i64::from(sizes.seed_steps)).await?;
        }
        if sizes.seed_log_lines > 0 {
            self.long_logs(i64::from(sizes.seed_log_lines)).await?;
        }
        self.at(self.now);
        Ok(())
    }

    /// Runs of the project `many-runs`, each with so many summary keys.
    async fn many_runs(&mut self, runs: u32, keys: u32) -> Result<()> {
        let who = self.admin().clone();
        let mut requests = Vec::new();
        let first = self.now.plus_ms(-3_600_000 * 24);
        for number in 0..runs {
            let mut summary = Map::new();
            for key in 0..keys {
                summary.insert(format!("metric-{key:04}"), json!((self.dice.share() * 1e4).round() / 1e4));
            }
            let config = json!({
                "lr": { "value": self.dice.pick(&[0.1, 0.03, 0.01]) }, "seed": { "value": number },
                "model": { "value": { "width": self.dice.pick(&[64, 128, 256]) } } });
            requests.push(RunRequest {
                entity: Some(TEAM.into()),
                project: Some("many-runs".into()),
                name: Some(format!("many-{number:05}")),
                fields: RunFields {
                    config: Some(config.to_string()),
                    summary: Some(Value::Object(summary).to_string()),
                    tags: Some(vec![(*self.dice.pick(&["baseline", "ablation"])).to_owned()]),
                    ..RunFields::default()
                },
                ..RunRequest::default()
            });
            // A few hundred at a time: the documents need memory.
            if requests.len() == 512 || number + 1 == runs {
                self.at(first.plus_ms(i64::from(number) * 1000));
                let service = &self.service;
                let names: Vec<String> =
                    stream::iter(std::mem::take(&mut requests).into_iter().map(|r| service.run_upsert(&who, r)))
                        .buffer_unordered(AT_ONCE)
                        .map_ok(|done| done.run.name)
                        .try_collect()
                        .await?;
                let ends = names.iter().map(|name| {
                    let event = Event::Completed { exit_code: i64::from(name.ends_with('7')) };
                    let post = Post { writer: String::new(), chunks: Vec::new(), summary: None, event };
                    service.run_post(&who, (TEAM, "many-runs", name), post)
                });
                let _: Vec<_> = stream::iter(ends).buffer_unordered(AT_ONCE).try_collect().await?;
            }
        }
        Ok(())
    }

    /// A run of the project `long-runs` with so many steps of ten keys.
    async fn long_history(&mut self, name: &str, steps: i64) -> Result<()> {
        let who = self.admin().clone();
        self.at(self.now.plus_ms(-3_600_000 * 12));
        self.bulk_run("long-runs", name).await?;
        for first in (0..steps).step_by(LINES as usize) {
            let count = LINES.min(steps - first);
            let mut body = String::new();
            for step in first..first + count {
                let _ = write!(body, "{}{{\"_step\":{step},\"_runtime\":{step}", if step > first { "\n" } else { "" });
                for key in 0..KEYS {
                    let wave = (step as f64 / (500.0 * (key + 1) as f64)).sin() + self.dice.share() * 0.2;
                    let _ = write!(body, ",\"metric-{key}\":{wave:.6}");
                }
                body.push('}');
            }
            self.bulk_post("long-runs", name, chunk(Stream::History, first, count, body), Event::Posted).await?;
        }
        let done =
            Post { writer: String::new(), chunks: Vec::new(), summary: None, event: Event::Completed { exit_code: 0 } };
        self.service.run_post(&who, (TEAM, "long-runs", name), done).await?;
        let run = self.service.run_find(&who, Some(TEAM), "long-runs", name).await?;
        self.service.series_draw(&run, Stream::History).await
    }

    async fn bulk_run(&self, project: &str, name: &str) -> Result<()> {
        let request = RunRequest {
            entity: Some(TEAM.into()),
            project: Some(project.into()),
            name: Some(name.into()),
            fields: RunFields { config: Some("{}".into()), ..RunFields::default() },
            ..RunRequest::default()
        };
        self.service.run_upsert(self.admin(), request).await.map(|_| ())
    }

    async fn bulk_post(&self, project: &str, name: &str, chunk: NewChunk, event: Event) -> Result<()> {
        let post = Post { writer: String::new(), chunks: vec![chunk], summary: None, event };
        self.service.run_post(self.admin(), (TEAM, project, name), post).await.map(|_| ())
    }

    /// The run `long-log` of the project `long-runs` and an item of the queue `cpu`, each with so many lines.
    async fn long_logs(&mut self, lines: i64) -> Result<()> {
        self.at(self.now.plus_ms(-3_600_000 * 6));
        self.bulk_run("long-runs", "long-log").await?;
        let who = self.admin().clone();
        let spec =
            json!({ "docker": { "docker_image": "registry.example/team-a/long-log:1" }, "project": "long-runs" });
        let queue = serde_json::from_value(json!({ "name": "bulk", "target": "docker" })).expect("a queue of the seed");
        self.service.queue_create(&who, TEAM, queue).await?;
        let pushed = self.service.item_push(&who, TEAM, "bulk", spec, Door::Rest, WirePush::default());
        let item = pushed.await?.item.id.to_string();
        let agent = self.bulk_agent().await?;
        let claim = Claim { queues: vec!["bulk".into()], free: 1, wait_ms: 0, left: None, at_hand: None };
        let claimed = self.service.agent_claim(&who, &agent, &claim).await?;
        let attempt = claimed.leases.first().map(|l| l.attempt);
        let attempt = attempt.ok_or_else(|| Error::Internal("the item of the long log was not handed out".into()))?;
        self.service.attempt_acknowledge(&who, &agent, &item, attempt).await?;
        let mut offset = 0;
        for first in (0..lines).step_by(LINES as usize) {
            let (mut console, mut log) = (String::new(), String::new());
            let count = LINES.min(lines - first);
            for line in first..first + count {
                let text = format!("line {line:>8} of {lines}: everything is as it should be");
                let _ = write!(console, "{}{}", if line > first { "\n" } else { "" }, json!({ "content": text }));
                let _ = writeln!(log, "{text}");
            }
            self.bulk_post("long-runs", "long-log", chunk(Stream::Console, first, count, console), Event::Posted)
                .await?;
            let body = Bytes::from(log);
            offset = self.service.attempt_log(&who, &agent, &item, attempt, Phase::Run, offset, body).await?.end;
        }
        let done =
            Post { writer: String::new(), chunks: Vec::new(), summary: None, event: Event::Completed { exit_code: 0 } };
        self.service.run_post(&who, (TEAM, "long-runs", "long-log"), done).await.map(|_| ())
    }

    async fn bulk_agent(&mut self) -> Result<String> {
        let register = serde_json::from_value(json!({
            "state": self.dice.name(32), "host": "bulk.example", "version": "lanza@0.1.0", "queues": ["bulk"],
            "targets": ["docker"], "slots": 1 }))
        .expect("an agent of the seed");
        Ok(self.service.agent_register(self.admin(), TEAM, register).await?.1.id.to_string())
    }
}

fn chunk(stream: Stream, first_line: i64, line_count: i64, body: String) -> NewChunk {
    let steps = (stream == Stream::History).then_some((first_line, first_line + line_count - 1));
    NewChunk { stream, first_line, line_count, steps, body: body.into_bytes() }
}
