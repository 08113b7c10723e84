//! Stories of whole agents against a scripted server, with real processes.

use std::{collections::BTreeMap, fs, path::Path};

use lanza_api::{
    Problem,
    agent::{Lease, StopRequest},
};
use lanza_model::{Phase, item::Ending as Ended};
use serde_json::json;

use super::*;
use crate::{
    Declared, LaunchConfig, Slots, fake_server::FakeServer, journal::tests::lease as plain_lease, state_dir::StateDir,
    target::proc,
};

#[expect(clippy::disallowed_methods, reason = "the test's agent sees what the test sees")]
fn environment() -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = std::env::vars().collect();
    environment.insert("AGENT_SECRET".into(), "s3cret".into());
    // Tests of this file are about processes.
    environment.insert("DOCKER_HOST".into(), "unix:///nonexistent".into());
    environment
}

pub(super) fn options(server: &FakeServer, state: &Path) -> Options {
    let exe = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let supervisor = [&exe, "target::process::tests::supervisor_entry", "--exact", "--nocapture", "--test-threads=1"]
        .map(str::to_owned);
    let mut options = Options::new(&server.base, "k".repeat(40), state, environment(), supervisor.to_vec());
    options.entity = Some("acme".into());
    options.max_jobs = Slots::AtMost(4);
    // The items of these stories have the shape of schedulers. One that ended, and that its agent did not live to close,
    // would keep the next one out for a minute.
    options.max_schedulers = Slots::Unlimited;
    options
}

pub(super) struct Running {
    state: std::path::PathBuf,
    control: mpsc::UnboundedSender<Control>,
    task: JoinSet<Result<(), Error>>,
}

impl Running {
    pub(super) fn start(options: Options) -> Self {
        let (control, orders) = mpsc::unbounded_channel();
        let state = options.state_dir.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let ended = run(options, orders).await;
            if let Err(e) = &ended {
                eprintln!("the agent ended: {e}");
            }
            ended
        });
        Self { state, control, task }
    }

    /// Ends the agent between two instants, as SIGKILL would.
    pub(super) async fn kill(mut self) {
        self.task.shutdown().await;
        // Its tasks are dropped a moment later, and with the last of them the lock.
        for _ in 0..1000 {
            match StateDir::open(&self.state) {
                Ok(_) => return,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
        panic!("the agent did not end");
    }

    pub(super) async fn end(mut self, how: Control) {
        self.control.send(how).unwrap();
        timeout(Duration::from_secs(30), self.task.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    }
}

/// A lease of something that runs without code: the shape of a sweep's scheduler.
pub(super) fn lease(item: &str, script: &str) -> Lease {
    let mut lease = plain_lease(item);
    lease.job_artifact = None;
    lease.spec = json!({"uri": "placeholder-uri-scheduler"}).as_object().unwrap().clone();
    lease.overrides = json!({"entry_point": ["sh", "-c", script]}).as_object().unwrap().clone();
    lease
}

/// Returns the name of an item that no other story has, nor one of another process of tests on this machine.
pub(super) fn own(item: &str) -> String {
    format!("{item}-{}", std::process::id())
}

/// Counts the live processes of an item on this whole machine, where stories run side by side: see [`own`].
fn marked(item: &str) -> usize {
    let mark = [format!("LANZA_ITEM={item}")];
    proc::all().iter().filter(|p| !p.zombie && proc::has_environment(p.id.pid, &mark)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_job_is_fetched_built_run_and_reported() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let code = "import os, sys\nprint(os.environ['WANDB_LAUNCH_TRACE_ID'], sys.argv[1:], 'AGENT_SECRET' in os.environ)\n\
                print(os.environ['VIRTUAL_ENV'] == sys.prefix, file=sys.stderr)\nsys.exit(3)\n";
    let job = json!({"source_type": "artifact", "runtime": "",
        "source": {"artifact": "wandb-artifact://_id/code1", "entrypoint": ["python", "pkg/train.py"]}});
    {
        let mut s = server.state.lock();
        s.artifacts.insert("job1".into(), vec![("wandb-job.json".into(), job.to_string().into_bytes())]);
        s.artifacts.insert("code1".into(), vec![("pkg/train.py".into(), code.as_bytes().to_vec())]);
    }
    let agent = Running::start(options(&server, state.path()));
    for (item, cached) in [("one", false), ("two", true)] {
        let mut l = plain_lease(item);
        l.job_artifact = Some("job1".into());
        l.overrides = json!({"args": ["--lr", 0.1]}).as_object().unwrap().clone();
        server.push(l);
        let (outcome, log) = server.outcome(item).await;
        assert_eq!(log, format!("{item} ['--lr', '0.1'] False\nTrue\n"));
        assert_eq!((outcome.ending, outcome.exit_code), (Ended::Failed, Some(3)));
        assert_eq!(outcome.reason.unwrap().code, "exit_code");
        let s = server.state.lock();
        let report = &s.reports[item];
        let phases: Vec<&str> = report.phases.iter().map(|p| p.name.as_str()).collect();
        let build: &[&str] =
            if cached { &["fetch", "start", "run", "upload"] } else { &["fetch", "build", "start", "run", "upload"] };
        assert_eq!(phases, build);
        assert!(report.phases.iter().all(|p| p.ended_at.is_some_and(|e| e >= p.started_at)), "{:?}", report.phases);
        assert_eq!(report.environment.as_ref().unwrap().cached, cached);
        assert_eq!(report.source.as_ref().unwrap().kind, "code");
    }
    agent.end(Control::Drain).await;
    assert!(server.state.lock().left);
    assert!(!fs::read_dir(state.path().join("attempts")).unwrap().any(|e| e.unwrap().path().join("work").exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_moment_is_taken_up_by_the_next() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let witness = state.path().join("witness");
    for (i, delay_ms) in [0u64, 2, 5, 10, 20, 35, 50, 80, 120, 200, 400, 600].into_iter().enumerate() {
        let item = own(&format!("item{i}"));
        let script = format!(
            "echo begin {item} >> {w}; for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done; echo end {item} >> {w}; exit 4",
            w = witness.display()
        );
        let before = server.state.lock().registered;
        let first = Running::start(options(&server, state.path()));
        server.until("the registration", |s| s.registered > before).await;
        server.push(lease(&item, &script));
        server.until("the claim", |s| s.leases.is_empty()).await;
        sleep(Duration::from_millis(delay_ms)).await;
        first.kill().await;
        let acknowledged = server.state.lock().acknowledged.iter().any(|h| h.item == item);
        let second = Running::start(options(&server, state.path()));
        if !acknowledged && !state.path().join(format!("attempts/{item}-1/journal.jsonl")).exists() {
            // The lease never reached the journal: the server offers it again.
            server.push(lease(&item, &script));
        }
        let (outcome, log) = server.outcome(&item).await;
        assert_eq!((outcome.ending, outcome.exit_code), (Ended::Failed, Some(4)), "{item}");
        assert_eq!(log, "line 1\nline 2\nline 3\nline 4\nline 5\n", "{item}");
        second.end(Control::Leave).await;
        let text = fs::read_to_string(&witness).unwrap();
        assert_eq!(
            text.lines().filter(|l| *l == format!("begin {item}")).count(),
            1,
            "{item} ran twice after {delay_ms} ms"
        );
        assert_eq!(marked(&item), 0);
    }
}

/// A supervisor that has been spawned and gets no further until the file `gate` is there; `gate.at` says that it waits.
fn gated(options: &mut Options, gate: &Path) {
    let script = format!(
        "touch {g}.at; while [ ! -e {g} ]; do sleep 0.02; done; exec \"$@\" 3>&1 > /dev/null",
        g = gate.display()
    );
    let mut command = vec!["/bin/sh".to_owned(), "-c".into(), script, "sh".into()];
    command.append(&mut options.supervisor);
    options.supervisor = command;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_never_begins_to_run_has_failed_when_its_time_is_up() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let (gate, witness) = (state.path().join("gate"), state.path().join("witness"));
    let mut options = options(&server, state.path());
    gated(&mut options, &gate);
    options.start_timeout = Some(Duration::from_secs(1));
    let agent = Running::start(options);
    let item = own("slow");
    server.push(lease(&item, &format!("touch {}", witness.display())));
    let (outcome, _) = server.outcome(&item).await;
    let reason = outcome.reason.unwrap();
    assert_eq!(
        (outcome.ending, outcome.phase, reason.code.as_str()),
        (Ended::Failed, Some(Phase::Start), "start_timeout")
    );
    assert!(reason.message.contains("1 s"), "{}", reason.message);
    // What is let go now must not run any more.
    fs::write(&gate, "").unwrap();
    agent.end(Control::Drain).await;
    assert!(!witness.exists() && marked(&item) == 0);
}

async fn there_is(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} did not come", path.display());
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agents_slow_supervisor_and_the_next_agents_run_the_workload_once_whoever_is_first() {
    for winner in ["first", "second"] {
        let server = FakeServer::start().await;
        let state = tempfile::tempdir().unwrap();
        let (one, two) = (state.path().join("first"), state.path().join("second"));
        let item = own(winner);
        let witness = state.path().join("witness");
        let script = format!("echo begin >> {}; cat code || exit 9; sleep 0.5; exit 4", witness.display());

        let mut settings = options(&server, state.path());
        gated(&mut settings, &one);
        let first = Running::start(settings);
        server.push(lease(&item, &script));
        there_is(&one.with_extension("at")).await;
        first.kill().await;
        // As good as fetched: what the first supervisor may begin with at any moment.
        fs::write(state.path().join(format!("attempts/{item}-1/work/code")), "kept\n").unwrap();

        let mut settings = options(&server, state.path());
        gated(&mut settings, &two);
        let second = Running::start(settings);
        there_is(&two.with_extension("at")).await;
        let (winner, loser) = if winner == "first" { (&one, &two) } else { (&two, &one) };
        fs::write(winner, "").unwrap();
        there_is(&witness).await;
        fs::write(loser, "").unwrap();

        let (outcome, log) = server.outcome(&item).await;
        assert_eq!((outcome.exit_code, log.as_str()), (Some(4), "kept\n"), "{outcome:?}");
        let attempt = state.path().join(format!("attempts/{item}-1"));
        second.end(Control::Drain).await;
        assert_eq!(fs::read_to_string(&witness).unwrap(), "begin\n");
        assert!(!attempt.join("launch.json").exists() && !attempt.join("spec.json").exists(), "secrets stay behind");
        assert_eq!(marked(&item), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_agent_and_server_are_away_is_reported_whole() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(
        &own("away"),
        "echo a; sleep 0.4; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 7",
    ));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"a\n"))).await;
    server.state.lock().away = true;
    agent.kill().await;
    sleep(Duration::from_millis(900)).await;
    let agent = Running::start(options(&server, state.path()));
    sleep(Duration::from_millis(500)).await;
    server.state.lock().away = false;
    let (outcome, log) = server.outcome(&own("away")).await;
    assert_eq!(outcome.exit_code, Some(7));
    assert_eq!(log.lines().count(), 20_001);
    assert!(log.ends_with("line 19999\n"));
    agent.end(Control::Leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_workload_and_says_so() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("stopped"), "trap '' TERM; echo up; sleep 300 & while :; do sleep 1; done"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    server.state.lock().stop.push(StopRequest { item: own("stopped"), attempt: 1, grace_seconds: Some(1) });
    let (outcome, _) = server.outcome(&own("stopped")).await;
    assert_eq!((outcome.ending, outcome.exit_code), (Ended::Stopped, None));
    assert_eq!(marked(&own("stopped")), 0);
    agent.end(Control::Leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_heard_though_the_heartbeat_under_way_does_not_name_the_item() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    server.state.lock().patient = true;
    let agent = Running::start(options(&server, state.path()));
    // It names nothing, and waits for longer than this test.
    server.until("a heartbeat", |s| s.heartbeats > 0).await;
    let item = own("told");
    server.push(lease(&item, "echo up; sleep 300"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    server.state.lock().stop.push(StopRequest { item: item.clone(), attempt: 1, grace_seconds: Some(1) });
    assert_eq!(server.outcome(&item).await.0.ending, Ended::Stopped);
    agent.end(Control::Leave).await;
}

/// Jumps an hour ahead, and back again, each time it is asked.
#[derive(Debug, Default)]
struct Jumping(std::sync::atomic::AtomicBool);

impl lanza_model::clock::Clock for Jumping {
    fn now(&self) -> lanza_model::clock::Time {
        let ahead = !self.0.fetch_xor(true, Ordering::SeqCst);
        lanza_model::clock::SystemClock.now().plus_ms(if ahead { 3_600_000 } else { 0 })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_loses_nothing() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut settings = options(&server, state.path());
    settings.clock = Arc::new(Jumping::default());
    let agent = Running::start(settings);
    let (one, two) = (own("jumped"), own("jumped-and-stopped"));
    server.push(lease(&one, "echo up; sleep 0.5; exit 6"));
    server.push(lease(&two, "echo up; sleep 300"));
    let (outcome, log) = server.outcome(&one).await;
    assert_eq!((outcome.exit_code, log.as_str()), (Some(6), "up\n"));
    server.until("the first line", |s| s.logs.contains_key(&(two.clone(), "run".to_owned()))).await;
    server.state.lock().stop.push(StopRequest { item: two.clone(), attempt: 1, grace_seconds: Some(1) });
    assert_eq!(server.outcome(&two).await.0.ending, Ended::Stopped);
    for item in [&one, &two] {
        let phases = server.state.lock().reports[item].phases.clone();
        assert!(phases.iter().all(|p| p.ended_at.is_some_and(|e| e >= p.started_at)), "{phases:?}");
        assert_eq!(phases.last().map(|p| p.name.as_str()), Some("upload"));
    }
    agent.end(Control::Drain).await;
    assert_eq!((marked(&one), marked(&two)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_finished_by_the_next_agent() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("handed-over"), "trap '' TERM; echo up; while :; do sleep 1; done"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    server.state.lock().stop.push(StopRequest { item: own("handed-over"), attempt: 1, grace_seconds: Some(2) });
    let order = state.path().join(format!("attempts/{}-1/stop.json", own("handed-over")));
    for _ in 0..500 {
        if order.exists() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(order.exists(), "the order was not given");
    agent.kill().await;
    server.state.lock().stop.clear();
    let agent = Running::start(options(&server, state.path()));
    let (outcome, _) = server.outcome(&own("handed-over")).await;
    assert_eq!(outcome.ending, Ended::Stopped);
    assert_eq!(marked(&own("handed-over")), 0);
    agent.end(Control::Leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_stopped_and_not_reported() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("lost"), "echo up; sleep 300"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    assert!(marked(&own("lost")) > 0);
    server.state.lock().lost.push(Held { item: own("lost"), attempt: 1 });
    for _ in 0..1000 {
        if marked(&own("lost")) == 0 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(marked(&own("lost")), 0, "the orphan lives");
    agent.end(Control::Drain).await;
    assert!(server.state.lock().outcomes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_can_leave_drain_and_stop() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("owned"), "echo up; sleep 300"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    agent.end(Control::Leave).await;
    assert!(marked(&own("owned")) > 0, "the workload did not outlive its agent");
    assert!(server.state.lock().outcomes.is_empty());
    let agent = Running::start(options(&server, state.path()));
    agent.end(Control::Stop).await;
    assert_eq!(server.outcome(&own("owned")).await.0.ending, Ended::Stopped);
    assert_eq!(marked(&own("owned")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_begin_says_why() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let problem = Problem::new(code::AGENT_QUEUE_MISSING, "there is no queue `x`; it has `default`");
    server.state.lock().refuse = Some((404, problem));
    let (_control, orders) = mpsc::unbounded_channel();
    let error = run(options(&server, state.path()), orders).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("`default`"));
    server.state.lock().refuse = None;
    server.state.lock().away = true;
    let (_control, orders) = mpsc::unbounded_channel();
    let error = run(options(&server, state.path()), orders).await.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    server.state.lock().away = false;
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("begun"), "true"));
    server.outcome(&own("begun")).await;
    let (_control, orders) = mpsc::unbounded_channel();
    let error = run(options(&server, state.path()), orders).await.unwrap_err();
    assert!(matches!(error, Error::StateInUse { .. }), "{error}");
    agent.end(Control::Leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gpus_are_set_aside_and_kept_across_a_kill() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut settings = options(&server, state.path());
    settings.resources = Declared { gpus: Declared::read_gpus("3,5,7"), ..Declared::default() };
    let agent = Running::start(settings.clone());
    let asking = |item: &str, gpus: u32, script: &str| {
        let mut lease = lease(&own(item), script);
        lease.resources = json!({"gpus": gpus}).as_object().unwrap().clone();
        lease
    };
    let go = state.path().join("go");
    let waits = format!("echo sees=$CUDA_VISIBLE_DEVICES; while [ ! -e {} ]; do sleep 0.05; done", go.display());
    server.push(asking("two-gpus", 2, &waits));
    server.push(asking("no-gpu", 0, "echo sees=$CUDA_VISIBLE_DEVICES"));
    assert_eq!(server.outcome(&own("no-gpu")).await.1, "sees=\n", "it asked for none");
    let two = own("two-gpus");
    server.until("the log", |s| s.logs.get(&(two.clone(), "run".into())).is_some_and(|l| l == b"sees=3,5\n")).await;

    // What a killed agent had set aside is not given to another item by the next one.
    agent.kill().await;
    let agent = Running::start(settings);
    server.until("the next agent", |s| s.registered == 2).await;
    server.push(asking("one-gpu", 1, "echo sees=$CUDA_VISIBLE_DEVICES"));
    assert_eq!(server.outcome(&own("one-gpu")).await.1, "sees=7\n");
    // What was given back is said by a new claim; an answer to the one before it would be lost.
    server
        .until("the next claim", |s| s.claims.last().is_some_and(|c| c.left.is_some_and(|l| l.gpus == Some(1))))
        .await;
    // There is no room for it: it goes back, and nothing of it begins.
    server.push(asking("too-many", 2, "echo never"));
    server.until("the return", |s| s.returned.iter().any(|h| h.item == own("too-many"))).await;
    fs::write(&go, "").unwrap();
    server.outcome(&two).await;
    server
        .until("the next claim", |s| s.claims.last().is_some_and(|c| c.left.is_some_and(|l| l.gpus == Some(3))))
        .await;
    server.push(asking("after", 3, "echo sees=$CUDA_VISIBLE_DEVICES"));
    assert_eq!(server.outcome(&own("after")).await.1, "sees=3,5,7\n");
    let reserved = server.state.lock().reports[&own("after")].reserved.clone().expect("told");
    assert_eq!(reserved.gpus, ["3", "5", "7"]);
    let all_left = |c: &lanza_api::agent::Claim| c.left.is_some_and(|l| l.gpus == Some(3) && l.memory_bytes.is_some());
    server.until("a claim with all of them", |s| s.claims.last().is_some_and(all_left)).await;
    agent.end(Control::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_its_job_and_no_log() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut settings = options(&server, state.path());
    settings.environment.insert("HF_AGENT_TOKEN".into(), "hf-0123456789".into());
    let file = state.path().join("deploy key");
    fs::write(&file, "first line\nsecond line\n").unwrap();
    let config = format!(
        "lanza: {{secrets: {{HF: {{env: HF_AGENT_TOKEN}}, DEPLOY: {{file: {:?}}}, UNUSED: 'never-shown-1'}}}}",
        file.display().to_string()
    );
    settings.config = LaunchConfig::parse("f", &config).unwrap();
    let agent = Running::start(settings);
    let item = own("secret");
    // It says its secrets in pieces, with a pause in between in which what is there is sent.
    let script = "printf %s ${#HF}:${HF%89}; sleep 1; printf '89\\n'; echo \"$DEPLOY\"; echo $WANDB_API_KEY never-shown-1; \
                  env | grep -c HF_AGENT_TOKEN; echo $LANZA_NOTHING end; exit 3";
    let mut secret = lease(&item, script);
    secret.token = "tokentokentokentokentokentokentokentoken".into();
    secret.queue_config = json!({"env": {"HF": "secret:HF", "DEPLOY": "secret:DEPLOY"}}).as_object().unwrap().clone();
    server.push(secret);
    let (outcome, log) = server.outcome(&item).await;
    assert_eq!(outcome.exit_code, Some(3));
    let stars = |n: usize| "*".repeat(n);
    let wanted = format!("13:{}\n{}\n{}\n{} {}\n0\nend\n", stars(13), stars(10), stars(11), stars(40), stars(13));
    assert_eq!(log, wanted);
    let kept = fs::read(state.path().join(format!("attempts/{item}-1/journal.jsonl"))).unwrap();
    assert!(!String::from_utf8(kept).unwrap().contains("hf-0123456789"), "the journal has the secret");

    let missing = own("no-such-secret");
    let mut lease = lease(&missing, "true");
    lease.queue_config = json!({"env": {"A": "secret:NOBODY"}}).as_object().unwrap().clone();
    server.push(lease);
    let reason = server.outcome(&missing).await.0.reason.expect("a reason");
    assert_eq!(reason.code, "config_refused");
    assert!(reason.message.contains("`NOBODY`"), "{}", reason.message);
    agent.end(Control::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_the_agent_says_what_is_at_hand() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    server.push(lease(&own("at-hand"), "echo up; sleep 300"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"up"))).await;
    // The server takes the claim, leases an item, and its answer is lost.
    server.state.lock().away = true;
    sleep(Duration::from_millis(300)).await;
    let claims = server.state.lock().claims.len();
    server.state.lock().away = false;
    server.until("a claim", |s| s.claims.len() > claims).await;
    let held = server.state.lock().claims.last().and_then(|c| c.at_hand.clone()).expect("what is at hand");
    assert_eq!(held, [Held { item: own("at-hand"), attempt: 1 }]);
    agent.end(Control::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_log_is_the_reason() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    let item = own("explained");
    server.push(lease(&item, "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1"));
    let reason = server.outcome(&item).await.0.reason.expect("a reason");
    assert_eq!(reason.code, "module_missing");
    assert!(reason.message.contains("`torch`") && reason.hint.is_some(), "{reason:?}");
    agent.end(Control::Leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_the_server_takes_no_more_of_fills_no_disk_and_its_end_still_tells_the_cause() {
    let server = FakeServer::start().await;
    server.state.lock().log_bytes = Some(1 << 20);
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(options(&server, state.path()));
    let item = own("talkative");
    let go = state.path().join("go");
    let script = format!(
        "head -c 120000000 /dev/zero; while [ ! -e {} ]; do sleep 0.05; done; echo; echo 'MemoryError' >&2; exit 1",
        go.display()
    );
    server.push(lease(&item, &script));
    let log = state.path().join(format!("attempts/{item}-1/logs/run.log"));
    let taken = || fs::metadata(&log).map_or(0, |m| std::os::unix::fs::MetadataExt::blocks(&m) * 512);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(fs::metadata(&log).is_ok_and(|m| m.len() == 120_000_000) && taken() < 50_000_000) {
        assert!(Instant::now() < deadline, "the log takes {} bytes", taken());
        sleep(Duration::from_millis(50)).await;
    }
    fs::write(&go, "").unwrap();
    let (outcome, _) = server.outcome(&item).await;
    assert_eq!(outcome.reason.unwrap().code, "out_of_memory");
    agent.end(Control::Leave).await;
}
