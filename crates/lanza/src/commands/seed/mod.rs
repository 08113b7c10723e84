//! `lanza dev --seed`: a month that never was, for tests, benchmarks and a first look.
//!
//! It is lived through before the server starts: a clock of its own goes from thirty days ago to now, and what people, agents
//! and jobs did goes through the same functions that the doors call.

mod bulk;
mod dice;
mod items;
mod runs;

use std::{path::Path, sync::Arc};

use lanza_api::{agent::Register, job::NewJob, queue::NewQueue};
use lanza_model::{
    Role, Target,
    clock::{Clock as _, ManualClock, SystemClock, Time},
};
use lanza_service::{Actor, Error, Result, Service, accounts::UserRequest};
use lanza_store::Store;
use serde_json::{Map, Value, json};

use self::dice::Dice;
use super::dev;
use crate::{args, exit::Failure, output};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How far the month goes back.
const DAYS: i64 = 30;
const TEAM: &str = "team-a";
const PEOPLE: [&str; 6] = ["user-1", "user-2", "user-3", "user-4", "user-5", "user-6"];
const PROJECTS: [&str; 3] = ["digits", "segmentation", "speech"];

/// The people and things of the month.
struct World {
    service: Arc<Service>,
    clock: ManualClock,
    dice: Dice,
    people: Vec<Arc<Actor>>,
    /// Queue, target, and the agents that serve it.
    queues: Vec<Place>,
    /// Project and job.
    jobs: Vec<(&'static str, String)>,
    now: Time,
}

/// A queue with its agents.
struct Place {
    queue: &'static str,
    agents: Vec<String>,
    gpus: bool,
}

/// Fills the data folder, unless it has been filled before.
pub(crate) async fn fill(data: &Path, args: &args::Seed) -> std::result::Result<(), Failure> {
    let Some(seed) = args.seed else { return Ok(()) };
    let cannot = |e: &(dyn std::error::Error + 'static)| Failure::caused("cannot fill the server", e);
    let options = lanza_store::Options::folder(data.to_owned());
    let store = Store::open(&options).await.map_err(|e| cannot(&e))?;
    if store.entity_by_name(TEAM).await.map_err(|e| cannot(&e))?.is_some() {
        output::warn("the data folder has been filled before and stays as it is");
        return Ok(());
    }
    let now = SystemClock.now();
    let clock = ManualClock::at(now.plus_ms(-DAYS * DAY_MS));
    let service = Service::new(store, Arc::new(clock.clone())).await.map_err(|e| cannot(&e))?;
    dev::user_ready(&service, data).await?;
    let mut world = World::found(service, clock, now, seed).await.map_err(|e| cannot(&e))?;
    let month = async {
        Box::pin(world.live()).await?;
        world.bulk(args).await
    };
    Box::pin(month).await.map_err(|e: Error| cannot(&e))?;
    output::say(&format!("filled {} with a month of {TEAM}", data.display()));
    Ok(())
}

impl World {
    async fn found(service: Arc<Service>, clock: ManualClock, now: Time, seed: u64) -> Result<Self> {
        let mut people = Vec::new();
        for name in PEOPLE {
            let request = UserRequest { username: name.to_owned(), ..UserRequest::default() };
            let (_, key) = service.user_create(request).await?;
            people.push(service.authenticate(&key).await?);
        }
        for team in [TEAM, "team-b"] {
            service.team_create(team, None).await?;
            service.member_put(team, dev::DEV, Role::Admin).await?;
            service.member_put(team, PEOPLE[0], Role::Admin).await?;
        }
        for (place, name) in PEOPLE.iter().enumerate().skip(1) {
            service.member_put(TEAM, name, if place == 5 { Role::Viewer } else { Role::Member }).await?;
        }
        let mut world =
            Self { service, clock, dice: Dice::new(seed), people, queues: Vec::new(), jobs: Vec::new(), now };
        world.queues_made().await?;
        world.jobs_made().await?;
        Ok(world)
    }

    /// Moves the clock, back as well.
    fn at(&self, time: Time) {
        self.clock.advance_ms(time.since_ms(self.clock.now()));
    }

    fn admin(&self) -> &Arc<Actor> {
        &self.people[0]
    }

    async fn queues_made(&mut self) -> Result<()> {
        let object = |value: Value| value.as_object().cloned();
        let retry = json!({ "max": 2, "on": ["lost", "infrastructure", "exit:75"], "backoff_seconds": 60 });
        let queues = [
            (
                "gpu",
                Target::Docker,
                json!({ "gpus": "{{gpus}}", "shm_size": "8g" }),
                json!({ "gpus": { "type": "integer", "minimum": 1, "maximum": 4, "default": 1 } }),
                json!({ "max_running": 8, "max_running_per_user": 4, "retry": retry, "lost_after_seconds": 2_592_000 }),
                2,
            ),
            (
                "cpu",
                Target::Process,
                json!({}),
                json!({}),
                json!({ "max_running": 6, "lost_after_seconds": 2_592_000 }),
                2,
            ),
            ("cluster", Target::Slurm, json!({ "partition": "long" }), json!({}), json!({}), 0),
            ("paused", Target::Process, json!({}), json!({}), json!({ "paused": true }), 1),
        ];
        for (name, target, config, templates, policy, agents) in queues {
            let new = NewQueue {
                name: Some(name.to_owned()),
                target: Some(target.as_str().to_owned()),
                config: object(config),
                templates: object(templates).filter(|t| !t.is_empty()),
                policy: object(policy),
                ..NewQueue::default()
            };
            self.service.queue_create(self.admin(), TEAM, new).await?;
            let mut ids = Vec::new();
            for number in 1..=agents {
                let register = Register {
                    state: self.dice.name(32),
                    host: format!("{name}-{number}.example"),
                    version: if name == "cpu" { "wandb@0.31.0".to_owned() } else { "lanza@0.1.0".to_owned() },
                    queues: vec![name.to_owned()],
                    targets: vec![target],
                    slots: Some(4),
                    resources: None,
                    settings: Value::Null,
                };
                ids.push(self.service.agent_register(self.admin(), TEAM, register).await?.1.id.to_string());
            }
            self.queues.push(Place { queue: name, agents: ids, gpus: name == "gpu" });
        }
        Ok(())
    }

    /// Two or three versions of each job, days apart.
    async fn jobs_made(&mut self) -> Result<()> {
        let schema = json!({ "type": "object", "properties": {
            "lr": { "type": "number", "minimum": 0, "maximum": 1, "description": "Learning rate" },
            "epochs": { "type": "integer", "minimum": 1, "maximum": 200 },
            "optimizer": { "type": "string", "enum": ["adam", "sgd", "lion"] } } });
        let begin = self.clock.now();
        for project in PROJECTS {
            for (kind, versions) in [("train", 3), ("evaluate", 2)] {
                let name = format!("{kind}-{project}");
                for version in 0..versions {
                    self.at(begin.plus_ms(version * DAY_MS / 4));
                    let source = if kind == "train" {
                        json!({ "git": { "remote": format!("https://git.example/{TEAM}/{project}.git"),
                            "commit": format!("{:040x}", self.dice.next()) } })
                    } else {
                        json!({ "image": format!("registry.example/{TEAM}/{name}:1.{version}") })
                    };
                    let is_git = kind == "train";
                    let new = json!({
                        "name": name,
                        "source": source,
                        "entrypoint": if is_git { vec!["python", "train.py"] } else { vec!["python", "-m", "evaluate"] },
                        "python": is_git.then_some("3.11"),
                        "requirements": if is_git { format!("torch==2.{version}.0\nwandb==0.31.0\n") } else { String::new() },
                        "description": format!("{kind} for {project}"),
                        "schema": schema,
                    });
                    let new: NewJob = serde_json::from_value(new).expect("a job of the seed");
                    let who = self.dice.pick(&self.people[..4]).clone();
                    self.service.job_create(&who, (TEAM, project), new).await?;
                }
                self.jobs.push((project, name));
            }
        }
        Ok(())
    }

    /// Lives through the month.
    async fn live(&mut self) -> Result<()> {
        let begin = self.now.plus_ms(-(DAYS - 1) * DAY_MS);
        for day in 0..DAYS - 1 {
            // Fewer on weekends.
            let launches = if day % 7 >= 5 { 2 } else { 7 };
            for _ in 0..launches {
                let at = begin.plus_ms(day * DAY_MS + self.dice.between(8 * HOUR_MS, 20 * HOUR_MS));
                if at < self.now.plus_ms(-4 * HOUR_MS) {
                    Box::pin(self.launch_and_end(at)).await?;
                }
            }
            for _ in 0..2 {
                let at = begin.plus_ms(day * DAY_MS + self.dice.between(8 * HOUR_MS, 20 * HOUR_MS));
                if at < self.now.plus_ms(-4 * HOUR_MS) {
                    self.tracked_run(at).await?;
                }
            }
        }
        Box::pin(self.today()).await
    }
}

/// Makes an object of pairs.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
