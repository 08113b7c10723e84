//! What was launched, and what became of it.

use std::sync::Arc;

use bytes::Bytes;
use lanza_api::{
    agent::{Claim, Lease, OutcomeReport, PhaseReport, Report, Reserved},
    item::{ItemEnvironment, ItemSource, Outcome, Stop},
};
use lanza_model::{Code, Phase, Reason, clock::Time, code, item::Ending, spec::Door};
use lanza_service::{Actor, Error, Result, items::WirePush};
use serde_json::{Value, json};

use super::{
    HOUR_MS, Place, TEAM, World,
    runs::{Script, inputs},
};

/// How a launch goes.
#[derive(Clone, Copy)]
enum Fate {
    Finished,
    /// Fails in a phase, for a reason.
    Failed(Phase, Code, &'static str),
    /// The job's own exit code.
    Exited(i32),
    Stopped,
    /// Goes on.
    Runs,
}

const FAILURES: [(Phase, Code, &str); 6] = [
    (Phase::Fetch, code::GIT_NOT_FOUND, "the repository has no commit of that name"),
    (Phase::Build, code::PACKAGE_MISSING, "no package index has `torchh==2.1.0`"),
    (Phase::Build, code::IMAGE_BUILD_FAILED, "step 7 of the Dockerfile failed: `apt-get install libfoo`"),
    (Phase::Run, code::FILE_MISSING, "Python raised `FileNotFoundError: data/train.csv`"),
    (Phase::Run, code::GPU_OUT_OF_MEMORY, "CUDA out of memory: 2.50 GiB wanted, 1.21 GiB free"),
    (Phase::Run, code::OUT_OF_MEMORY, "the job used more memory than the 16 GiB it may"),
];

impl World {
    fn fate(&mut self) -> Fate {
        match self.dice.share() {
            n if n < 0.72 => Fate::Finished,
            n if n < 0.88 => {
                let (phase, code, message) = *self.dice.pick(&FAILURES);
                Fate::Failed(phase, code, message)
            }
            n if n < 0.95 => Fate::Exited(1),
            _ => Fate::Stopped,
        }
    }

    /// Launches something and sees it to its end.
    pub(super) async fn launch_and_end(&mut self, at: Time) -> Result<()> {
        let place = usize::from(self.dice.share() < 0.4);
        let fate = self.fate();
        let item = self.push(at, place).await?;
        let wait =
            self.dice.between(200, 5_000) + if self.dice.share() < 0.3 { self.dice.between(0, 40 * 60_000) } else { 0 };
        self.work(at.plus_ms(wait), place, &item, fate).await
    }

    /// The last hours: what runs, waits and was tried again.
    pub(super) async fn today(&mut self) -> Result<()> {
        let ago = |hours: i64, world: &Self| world.now.plus_ms(-hours * HOUR_MS);
        // Fails for the moment, and succeeds in its second attempt.
        let at = ago(3, self);
        let item = self.push(at, 0).await?;
        self.work(at.plus_ms(2_000), 0, &item, Fate::Exited(75)).await?;
        self.work(at.plus_ms(115 * 60_000), 0, &item, Fate::Finished).await?;
        for (hours, place) in [(2, 0), (1, 0), (1, 1)] {
            let at = ago(hours, self);
            let item = self.push(at, place).await?;
            self.work(at.plus_ms(3_000), place, &item, Fate::Runs).await?;
        }
        for minutes in [50, 31, 12, 7, 3] {
            self.push(self.now.plus_ms(-minutes * 60_000), 0).await?;
        }
        self.push(self.now.plus_ms(-40 * 60_000), 2).await?;
        self.push(self.now.plus_ms(-90 * 60_000), 3).await?;
        self.at(self.now);
        Ok(())
    }

    async fn push(&mut self, at: Time, place: usize) -> Result<String> {
        self.at(at);
        let who = self.dice.pick(&self.people[..5]).clone();
        let (project, job) = self.dice.pick(&self.jobs).clone();
        let place = &self.queues[place];
        let mut spec = json!({
            "job": format!("{TEAM}/{project}/{job}:latest"),
            "project": project,
            "overrides": { "run_config": inputs(&mut self.dice) },
            "priority": self.dice.pick(&["critical", "high", "medium", "medium", "medium", "low"]),
        });
        if place.gpus {
            spec["template_variables"] = json!({ "gpus": self.dice.between(1, 3) });
        }
        let pushed = self.service.item_push(&who, TEAM, place.queue, spec, Door::Rest, WirePush::default()).await?;
        Ok(pushed.item.id.to_string())
    }

    /// An agent takes the item and carries it out. What waits for another attempt comes first, and succeeds.
    async fn work(&mut self, at: Time, place: usize, item: &str, fate: Fate) -> Result<()> {
        for _ in 0..20 {
            self.at(at);
            let Place { queue, gpus, .. } = self.queues[place];
            let agent = self.dice.pick(&self.queues[place].agents).clone();
            let claim = Claim { queues: vec![queue.to_owned()], free: 1, wait_ms: 0, left: None, at_hand: None };
            let actor = self.admin().clone();
            let claimed = self.service.agent_claim(&actor, &agent, &claim).await?;
            let Some(lease) = claimed.leases.into_iter().next() else { break };
            let wanted = lease.item == item;
            self.service.attempt_acknowledge(&actor, &agent, &lease.item, lease.attempt).await?;
            let attempt = Attempt { actor, agent, lease, time: at, gpus, phases: Vec::new() };
            self.try_once(attempt, if wanted { fate } else { Fate::Finished }).await?;
            if wanted {
                return Ok(());
            }
        }
        Err(Error::Internal(format!("the item {item} of the seed was not handed out").into()))
    }

    async fn try_once(&mut self, mut attempt: Attempt, fate: Fate) -> Result<()> {
        self.prepare(&mut attempt, fate).await?;
        if let Fate::Failed(phase, ..) = fate
            && phase != Phase::Run
        {
            return self.end(&mut attempt, fate).await;
        }
        self.carry_out(&mut attempt, fate).await?;
        if matches!(fate, Fate::Runs) { Ok(()) } else { self.end(&mut attempt, fate).await }
    }

    async fn prepare(&mut self, attempt: &mut Attempt, fate: Fate) -> Result<()> {
        let until = match fate {
            Fate::Failed(phase, ..) => phase,
            _ => Phase::Run,
        };
        for (phase, least, most) in
            [(Phase::Fetch, 400, 2_500), (Phase::Build, 800, 90_000), (Phase::Start, 100, 1_500)]
        {
            if phase > until {
                break;
            }
            let begin = attempt.time;
            attempt.time = begin.plus_ms(self.dice.between(least, most));
            attempt.phases.push((phase, begin, Some(attempt.time)));
            let text = match phase {
                Phase::Fetch => "Cloning the repository\nreceived 214 objects\n".to_owned(),
                Phase::Build => (1..30).fold(String::new(), |t, n| t + &format!("#{n} step {n} of 29 done\n")),
                _ => "started\n".to_owned(),
            };
            self.log(attempt, phase, text).await?;
        }
        Ok(())
    }

    async fn log(&self, attempt: &Attempt, phase: Phase, text: String) -> Result<()> {
        self.at(attempt.time);
        let Attempt { actor, agent, lease, .. } = attempt;
        let body = Bytes::from(text);
        self.service.attempt_log(actor, agent, &lease.item, lease.attempt, phase, 0, body).await.map(|_| ())
    }

    /// The job itself: its run, and what it writes.
    async fn carry_out(&mut self, attempt: &mut Attempt, fate: Fate) -> Result<()> {
        let begin = attempt.time;
        let lease = attempt.lease.clone();
        let job = self.service.authenticate(&lease.token).await?;
        let steps = self.dice.between(100, 500);
        let step_ms = if matches!(fate, Fate::Runs) {
            self.now.since_ms(begin) / steps
        } else {
            // Not beyond now.
            self.dice.between(400, 12_000).min(self.now.since_ms(begin) / (steps + 1) / 2).max(1)
        };
        let config = lease.overrides.get("run_config").and_then(Value::as_object).cloned().unwrap_or_default();
        let exit_code = match fate {
            Fate::Runs => None,
            Fate::Finished => Some(0),
            Fate::Exited(code) => Some(i64::from(code)),
            _ => Some(1),
        };
        let script = Script {
            project: lease.run_project.clone(),
            name: lease.run_id.clone(),
            begin,
            steps,
            step_ms,
            config,
            exit_code,
            gpu: attempt.gpus,
            item: Some(lease.item.clone()),
        };
        self.run(&job, script).await?;
        attempt.time = begin.plus_ms(steps * step_ms);
        let text = (0..steps).fold(String::new(), |t, n| t + &format!("step {n:>5} of {steps}\n"));
        attempt.phases.push((Phase::Run, begin, None));
        self.log(attempt, Phase::Run, text).await?;
        self.report(attempt).await
    }

    async fn report(&mut self, attempt: &Attempt) -> Result<()> {
        let gpus = if attempt.gpus { self.dice.between(1, 3) } else { 0 };
        let first = self.dice.between(0, 3);
        let phases = attempt
            .phases
            .iter()
            .map(|(name, started_at, ended_at)| PhaseReport {
                name: *name,
                started_at: *started_at,
                ended_at: *ended_at,
            })
            .collect();
        let report = Report {
            phases,
            environment: Some(ItemEnvironment {
                digest: format!("{:064x}", u128::from(self.dice.next())),
                cached: self.dice.share() < 0.7,
                packages: vec!["torch==2.1.0".into(), "wandb==0.31.0".into()],
            }),
            source: Some(ItemSource {
                kind: "git".into(),
                commit: Some(format!("{:040x}", self.dice.next())),
                image: None,
            }),
            reserved: Some(Reserved {
                cpus: 4.0,
                memory_bytes: 16 << 30,
                gpus: (first..first + gpus).map(|n| n.to_string()).collect(),
            }),
            ..Report::default()
        };
        let Attempt { actor, agent, lease, .. } = attempt;
        self.service.attempt_report(actor, agent, &lease.item, lease.attempt, report).await
    }

    async fn end(&mut self, attempt: &mut Attempt, fate: Fate) -> Result<()> {
        self.at(attempt.time);
        if attempt.phases.iter().all(|(phase, ..)| *phase != Phase::Run) {
            self.report(attempt).await?;
        }
        let Attempt { actor, agent, lease, time, .. } = attempt;
        let (ending, exit_code, reason, phase) = match fate {
            Fate::Failed(phase, code, message) => {
                (Ending::Failed, (phase == Phase::Run).then_some(1), Some(Reason::new(code, message)), Some(phase))
            }
            Fate::Exited(n) => (
                Ending::Failed,
                Some(n),
                Some(Reason::new(code::EXIT_CODE, format!("the job ended with exit code {n}"))),
                None,
            ),
            Fate::Stopped => (Ending::Stopped, None, None, None),
            Fate::Finished | Fate::Runs => (Ending::Finished, Some(0), None, None),
        };
        if ending == Ending::Stopped {
            self.service.item_stop(actor, &lease.item, &Stop::default()).await?;
        }
        let outcome = Outcome { ending, exit_code, signal: None, reason, phase, ended_at: *time };
        self.service.attempt_outcome(actor, agent, &lease.item, lease.attempt, OutcomeReport { outcome }).await
    }
}

/// An attempt under way.
struct Attempt {
    actor: Arc<Actor>,
    agent: String,
    lease: Lease,
    time: Time,
    gpus: bool,
    phases: Vec<(Phase, Time, Option<Time>)>,
}
