//! What runs logged.

use bytes::Bytes;
use futures::stream;
use lanza_model::{clock::Time, run::Event};
use lanza_service::{
    Actor, Result,
    run_files::Announced,
    runs::{Post, RunRequest},
};
use lanza_store::{
    chunks::{NewChunk, Stream},
    runs::{Run, RunFields},
};
use serde_json::{Map, Value, json};

use super::{PROJECTS, TEAM, World, dice::Dice, object};

/// A run and how it will go.
pub(super) struct Script {
    pub(super) project: String,
    pub(super) name: String,
    pub(super) begin: Time,
    pub(super) steps: i64,
    pub(super) step_ms: i64,
    pub(super) config: Map<String, Value>,
    /// None while it goes on.
    pub(super) exit_code: Option<i64>,
    pub(super) gpu: bool,
    /// Item that launched it.
    pub(super) item: Option<String>,
}

/// The inputs of a training.
pub(super) fn inputs(dice: &mut Dice) -> Map<String, Value> {
    object(json!({
        "lr": dice.pick(&[0.1, 0.03, 0.01, 0.003, 0.001]),
        "epochs": dice.pick(&[5, 10, 20]),
        "optimizer": dice.pick(&["adam", "sgd", "lion"]),
        "model": { "width": dice.pick(&[64, 128, 256]), "depth": dice.between(2, 9) },
        "augment": dice.share() < 0.5,
    }))
}

fn chunk(stream: Stream, first_line: i64, lines: &[String]) -> NewChunk {
    let count = lines.len() as i64;
    NewChunk {
        stream,
        first_line,
        line_count: count,
        steps: (stream == Stream::History).then_some((first_line, first_line + count - 1)),
        body: lines.join("\n").into_bytes(),
    }
}

impl World {
    /// A run that somebody started at a desk, without a queue.
    pub(super) async fn tracked_run(&mut self, begin: Time) -> Result<()> {
        let who = self.dice.pick(&self.people[..5]).clone();
        let fate = self.dice.share();
        let script = Script {
            project: (*self.dice.pick(&PROJECTS)).to_owned(),
            name: self.dice.name(8),
            begin,
            steps: self.dice.between(150, 600),
            step_ms: self.dice.between(500, 4_000),
            config: inputs(&mut self.dice),
            exit_code: Some(i64::from(fate >= 0.8)),
            gpu: fate < 0.5,
            item: None,
        };
        self.run(&who, script).await.map(|_| ())
    }

    /// Makes a run and lets it log to its end.
    pub(super) async fn run(&mut self, who: &Actor, script: Script) -> Result<Run> {
        self.at(script.begin);
        let mut config: Map<String, Value> =
            script.config.iter().map(|(key, value)| (key.clone(), json!({ "value": value }))).collect();
        if let Some(item) = &script.item {
            config.insert("_wandb".into(), json!({ "value": { "launch_trace_id": item } }));
        }
        let tags: Vec<String> = ["baseline", "ablation", "keep"]
            .iter()
            .filter(|_| self.dice.share() < 0.25)
            .map(|t| (*t).to_owned())
            .collect();
        let request = RunRequest {
            entity: Some(TEAM.into()),
            project: Some(script.project.clone()),
            name: Some(script.name.clone()),
            fields: RunFields {
                config: Some(Value::Object(config).to_string()),
                tags: Some(tags),
                group: (self.dice.share() < 0.4).then(|| format!("sweep-{}", self.dice.between(1, 6))),
                job_type: Some(if script.item.is_some() { "launch".into() } else { "train".into() }),
                host: Some(format!("host-{}.example", self.dice.between(1, 5))),
                program: Some("train.py".into()),
                git_remote: Some(format!("https://git.example/{TEAM}/{}.git", script.project)),
                git_commit: Some(format!("{:040x}", self.dice.next())),
                ..RunFields::default()
            },
            ..RunRequest::default()
        };
        let run = self.service.run_upsert(who, request).await?.run;
        self.lines(who, &script).await?;
        self.files(&run, &script).await?;
        Ok(run)
    }

    async fn lines(&mut self, who: &Actor, script: &Script) -> Result<()> {
        let lr = script.config.get("lr").and_then(Value::as_f64).unwrap_or(0.01);
        let noise = 0.02 + self.dice.share() * 0.05;
        let speed = 0.5 + lr.sqrt() * 3.0;
        let (mut history, mut system, mut console) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = (1.0, 0.0);
        for step in 0..script.steps {
            let done = step as f64 / script.steps as f64;
            let loss = 2.3 * (-speed * 4.0 * done).exp() + noise * self.dice.share() + 0.05;
            let accuracy = (1.0 - loss / 2.6).clamp(0.0, 0.995);
            last = (loss, accuracy);
            let seconds = step * script.step_ms / 1000;
            let time = script.begin.0 as f64 / 1000.0 + seconds as f64;
            history.push(
                json!({ "_step": step, "_runtime": seconds, "_timestamp": time, "train/loss": loss,
                    "train/accuracy": accuracy, "val/loss": loss * 1.1 + noise * self.dice.share(),
                    "val/accuracy": accuracy * 0.97,
                    "lr": lr * (1.0 - done), "epoch": (done * 10.0).floor(), "grad_norm": 1.0 / (0.2 + loss) })
                .to_string(),
            );
            if step % 10 == 0 {
                let mut row = object(json!({ "_runtime": seconds, "_timestamp": time, "_wandb": true,
                    "system.cpu": 30.0 + 40.0 * self.dice.share(), "system.memory_percent": 20.0 + 20.0 * done,
                    "system.proc.memory.rssMB": 900.0 + 1200.0 * done, "system.network.recv": 1_000 * step }));
                if script.gpu {
                    row.insert("system.gpu.0.gpu".into(), json!(60.0 + 39.0 * self.dice.share()));
                    row.insert("system.gpu.0.memoryAllocated".into(), json!(40.0 + 30.0 * done));
                }
                system.push(Value::Object(row).to_string());
                let text = format!("\u{1b}[32mstep {step:>5}\u{1b}[0m loss {loss:.4} accuracy {accuracy:.3}");
                let at = script.begin.plus_ms(step * script.step_ms);
                console.push(json!({ "ts": at.to_string(), "content": text }).to_string());
            }
        }
        if script.exit_code.is_some_and(|code| code != 0) {
            for text in [
                "Traceback (most recent call last):",
                "  File \"train.py\", line 88, in <module>",
                "RuntimeError: loss is not finite",
            ] {
                console.push(json!({ "ts": script.begin.to_string(), "content": text, "level": "error" }).to_string());
            }
        }
        let summary = json!({ "_step": script.steps - 1, "_runtime": script.steps * script.step_ms / 1000, "train/loss": last.0,
            "train/accuracy": last.1, "val/loss": last.0 * 1.1, "val/accuracy": last.1 * 0.97,
            "lr": lr / script.steps as f64, "epoch": 9, "grad_norm": 1.0 / (0.2 + last.0),
            "best": { "val/loss": last.0 * 1.05, "epoch": 9 } });
        self.at(script.begin.plus_ms(script.steps * script.step_ms));
        let post = Post {
            writer: String::new(),
            chunks: vec![
                chunk(Stream::History, 0, &history),
                chunk(Stream::Events, 0, &system),
                chunk(Stream::Console, 0, &console),
            ],
            summary: Some(summary.to_string()),
            event: script.exit_code.map_or(Event::Posted, |exit_code| Event::Completed { exit_code }),
        };
        self.service.run_post(who, (TEAM, &script.project, &script.name), post).await?;
        Ok(())
    }

    async fn files(&mut self, run: &Run, script: &Script) -> Result<()> {
        let metadata = json!({ "python": "CPython 3.11.9", "program": "train.py", "host": run.host,
            "gpu_count": i32::from(script.gpu), "args": ["--lr", script.config.get("lr")] });
        let table = json!({ "columns": ["epoch", "loss"], "data": [[0, 2.1], [1, 1.2], [2, 0.7]] });
        for (name, text) in [
            ("wandb-metadata.json", metadata.to_string()),
            ("requirements.txt", "torch==2.1.0\nwandb==0.31.0\n".to_owned()),
            ("media/table/losses.table.json", table.to_string()),
        ] {
            let body = stream::iter([Ok(Bytes::from(text))]);
            self.service.run_file_store(run.id.as_str(), name, Announced::default(), body).await?;
        }
        Ok(())
    }
}
