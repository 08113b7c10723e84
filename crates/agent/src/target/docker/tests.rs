//! The target against a real engine, with whatever `python:…-slim` image is here.

use std::{fs, path::PathBuf};

use bollard::models::ContainerCreateBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    engine: Engine,
    image: String,
    handle: Handle,
}

/// Returns none, with the reason on standard error, where these tests cannot run and nobody requires them.
#[expect(clippy::disallowed_methods, reason = "where the engine is, is what the test is told")]
async fn fixture() -> Option<Fixture> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let required = environment.get("LANZA_REQUIRE").is_some_and(|r| r.split([',', ' ']).any(|w| w == "docker"));
    let skip = |why: &str| {
        assert!(!required, "docker is required: {why}");
        eprintln!("skipped: {why}");
    };
    let Some(engine) = Engine::of_environment(&environment) else {
        skip("DOCKER_HOST is no local socket");
        return None;
    };
    let docker = match engine.connect().await {
        Ok(docker) => docker,
        Err(e) => {
            skip(&e.to_string());
            return None;
        }
    };
    for image in ["python:3.11-slim", "python:3.12-slim", "python:3.13-slim"] {
        if docker.inspect_image(image).await.is_ok() {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("attempt");
            fs::create_dir_all(dir.join("logs")).unwrap();
            fs::create_dir(folder.path().join("code")).unwrap();
            let handle = Handle { item: uuid::Uuid::now_v7().simple().to_string(), attempt: 1, dir };
            return Some(Fixture { folder, engine, image: image.to_owned(), handle });
        }
    }
    skip("there is no image python:3.11-slim");
    None
}

impl Fixture {
    fn launch(&self, script: &str) -> Launch {
        let labels = HashMap::from([
            (ITEM.to_owned(), self.handle.item.clone()),
            (ATTEMPT.to_owned(), "1".to_owned()),
            (AGENT.to_owned(), format!("agent-{}", self.handle.item)),
        ]);
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(vec!["sh".into()]),
            cmd: Some(vec!["-c".into(), script.into()]),
            user: Some("1000:1000".into()),
            working_dir: Some("/srv/code".into()),
            labels: Some(labels),
            ..Default::default()
        };
        let code = super::super::docker_tar::Code {
            from: self.folder.path().join("code"),
            to: PathBuf::from("/srv/code"),
            owner: Some((1000, 1000)),
        };
        Launch {
            handle: self.handle.clone(),
            command: Vec::new(),
            environment: vec![("GREETING".into(), "hello".into())],
            folder: None,
            container: Some(Container { body: Box::new(body), name: None, platform: None, code: Some(code) }),
            fresh: true,
        }
    }

    fn target(&self) -> DockerTarget {
        DockerTarget::new(self.engine.clone(), Arc::default())
    }

    async fn end(&self, target: &DockerTarget) -> Exit {
        for _ in 0..600 {
            if let Status::Ended(exit) =
                target.observe(std::slice::from_ref(&self.handle)).await.pop().unwrap().unwrap()
            {
                return exit;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("it did not end")
    }

    async fn is_gone(&self, target: &DockerTarget) -> bool {
        target.find(&self.handle).await.unwrap().is_none()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.handle.run_log()).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_writable_and_exit_code_and_log_are_whole_after_a_new_agent() {
    let Some(f) = fixture().await else { return };
    fs::write(f.folder.path().join("code/a.txt"), "from the code\n").unwrap();
    let target = f.target();
    let script = "echo $GREETING; cat a.txt; touch new && echo wrote >&2; i=0; \
                  while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 1; echo last; exit 9";
    target.start(&f.launch(script)).await.unwrap();
    for _ in 0..400 {
        if f.log().contains("line 10") {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    // The agent is killed in the middle of a log; a line is half written.
    drop(target);
    // The copying task ends at its next await, a moment later.
    sleep(Duration::from_millis(200)).await;
    let text = f.log();
    fs::write(f.handle.run_log(), &text[..text.len() - 3]).unwrap();
    let next = f.target();
    // Starting again finds the container and starts nothing.
    next.start(&f.launch(script)).await.unwrap();
    let exit = f.end(&next).await;
    assert_eq!((exit.code, exit.signal, exit.failure), (Some(9), None, None));
    next.stop(&f.handle, Duration::ZERO).await.unwrap();
    assert!(f.is_gone(&next).await);
    let expected = (0..3000).map(|i| format!("line {i}")).collect::<Vec<_>>().join("\n") + "\n";
    let log = f.log();
    // The engine reads the two streams apart, so only each by itself has an order.
    assert_eq!(log.matches("wrote\n").count(), 1);
    assert_eq!(log.replacen("wrote\n", "", 1), format!("hello\nfrom the code\n{expected}last\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_kills_what_ignores_term_and_removes_it_with_its_log_kept() {
    let Some(f) = fixture().await else { return };
    let target = f.target();
    target.start(&f.launch("trap '' TERM; echo up; while :; do sleep 1; done")).await.unwrap();
    target.stop(&f.handle, Duration::from_millis(500)).await.unwrap();
    assert!(f.is_gone(&target).await);
    assert_eq!(f.log(), "up\n");
    // Again is fine.
    target.stop(&f.handle, Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_made_and_not_started_is_taken_up_or_removed() {
    let Some(f) = fixture().await else { return };
    let target = f.target();
    let launch = f.launch("exit 5");
    target.create(&launch, launch.container.as_ref().unwrap()).await.unwrap();
    assert_eq!(target.observe(std::slice::from_ref(&f.handle)).await.pop().unwrap().unwrap(), Status::Starting);
    target.start(&launch).await.unwrap();
    assert_eq!(f.end(&target).await.code, Some(5));
    let none = HashSet::new();
    target.sweep(&format!("agent-{}", f.handle.item), &none).await.unwrap();
    assert!(f.is_gone(&target).await, "the sweeper left it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_an_earlier_attempt_is_ended_before_the_next_one_starts() {
    let Some(mut f) = fixture().await else { return };
    let target = f.target();
    fs::create_dir(f.folder.path().join("saved")).unwrap();
    let mut launch = f.launch("trap 'echo saved > /saved/term; exit' TERM; echo up; while :; do sleep 0.1; done");
    let host = launch.container.as_mut().unwrap().body.host_config.get_or_insert_default();
    host.binds = Some(vec![format!("{}:/saved", f.folder.path().join("saved").display())]);
    launch.container.as_mut().unwrap().body.user = None;
    target.start(&launch).await.unwrap();
    for _ in 0..600 {
        if f.log().contains("up") {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let first = f.handle.clone();
    f.handle.attempt = 2;
    let mut launch = f.launch("exit 3");
    let labels = launch.container.as_mut().unwrap().body.labels.as_mut().unwrap();
    labels.insert(ATTEMPT.to_owned(), "2".to_owned());
    // Another agent, that knows nothing of the first attempt.
    let next = f.target();
    next.start(&launch).await.unwrap();
    assert!(next.find(&first).await.unwrap().is_none());
    assert_eq!(fs::read_to_string(f.folder.path().join("saved/term")).unwrap(), "saved\n", "KILL came without TERM");
    assert_eq!(f.end(&next).await.code, Some(3));
    next.stop(&f.handle, Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_needs_more_than_its_memory_ran_out_of_it() {
    let Some(mut f) = fixture().await else { return };
    let target = f.target();
    // Whether the job itself is killed, or a child of it whose end it tells as its own.
    for (attempt, script) in ["exec python3 -c 'b\"x\" * (256 << 20)'", "python3 -c 'b\"x\" * (256 << 20)' || exit 1"]
        .into_iter()
        .enumerate()
    {
        f.handle.attempt = u32::try_from(attempt).unwrap() + 1;
        let mut launch = f.launch(script);
        let body = &mut launch.container.as_mut().unwrap().body;
        body.labels.as_mut().unwrap().insert(ATTEMPT.to_owned(), f.handle.attempt.to_string());
        let host = body.host_config.get_or_insert_default();
        (host.memory, host.memory_swap) = (Some(64 << 20), Some(64 << 20));
        target.start(&launch).await.unwrap();
        let exit = f.end(&target).await;
        assert!(exit.out_of_memory, "{exit:?} {}", f.log());
        target.stop(&f.handle, Duration::ZERO).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_is_a_failed_start() {
    let Some(f) = fixture().await else { return };
    let target = f.target();
    let mut launch = f.launch("");
    launch.container.as_mut().unwrap().body.entrypoint = Some(vec!["no-such-command".into()]);
    let Err(StartError::Failed(reason)) = target.start(&launch).await else { panic!("it started") };
    assert!(reason.message.contains("no-such-command"), "{}", reason.message);
    target.stop(&f.handle, Duration::ZERO).await.unwrap();
    assert!(f.is_gone(&target).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_build_left_is_removed_and_what_another_agent_builds_is_not() {
    let Some(f) = fixture().await else { return };
    let target = f.target();
    let docker = f.engine.connect().await.unwrap();
    let mut made = Vec::new();
    for agent in ["mine", "other"] {
        let body = ContainerCreateBody {
            image: Some(f.image.clone()),
            labels: Some(HashMap::from([
                (AGENT.to_owned(), format!("{agent}-{}", f.handle.item)),
                (BUILD.to_owned(), "key".to_owned()),
            ])),
            ..Default::default()
        };
        made.push(docker.create_container(None, body).await.unwrap().id);
    }
    target.sweep(&format!("mine-{}", f.handle.item), &HashSet::new()).await.unwrap();
    assert!(target.inspect(&made[0]).await.unwrap().is_none());
    assert!(target.inspect(&made[1]).await.unwrap().is_some());
    target.remove(&made[1]).await.unwrap();
}

#[test]
fn an_exit_that_the_engine_did_not_see_is_none_of_the_jobs() {
    let exit = |code| Exit {
        code: Some(code),
        signal: None,
        out_of_memory: false,
        failure: None,
        since: Some(Time(1_000)),
        at: Time(9_000),
    };
    for (code, away_at, unknown) in [(255, 0, false), (255, 999, false), (255, 2_000, true), (1, 2_000, false)] {
        let told = exit_of(exit(code), Time(away_at));
        assert_eq!(told.code.is_none() && told.failure.is_some(), unknown, "{code} {away_at}");
        assert_eq!(told.at, Time(9_000));
    }
}

/// An engine that has one container, made and not started, and breaks off the first request to start it, as an engine
/// does that is killed then.
struct Killed {
    engine: Engine,
    /// The first lines of what it was asked.
    asked: Arc<parking_lot::Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Killed {
    fn while_starting(folder: &Path, handle: &Handle, remembers: bool) -> Self {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
        let (seen, labels) =
            (asked.clone(), serde_json::json!({ ITEM: handle.item, ATTEMPT: handle.attempt.to_string() }));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.windows(4).any(|w| w == b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.unwrap_or(0) > 0
                {}
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                let body = match &line {
                    _ if line.contains("/version") => r#"{"ApiVersion":"1.44"}"#.to_owned(),
                    _ if line.contains("/containers/json") => {
                        serde_json::json!([{ "Id": "c1", "State": "created", "Labels": labels }]).to_string()
                    }
                    _ if line.contains("/c1/json") => r#"{"Id":"c1","State":{"Status":"created"}}"#.to_owned(),
                    _ if line.contains("/events") && remembers => {
                        r#"{"Type":"container","Action":"create"}"#.to_owned()
                    }
                    _ => String::new(),
                };
                let starts = line.contains("/c1/start");
                let broken = starts && !seen.lock().iter().any(|l| l.contains("/c1/start"));
                seen.lock().push(line);
                if !broken {
                    let status = if starts { "204 No Content" } else { "200 OK" };
                    let length = if starts { String::new() } else { format!("content-length: {}\r\n", body.len()) };
                    let head = format!("HTTP/1.1 {status}\r\n{length}connection: close\r\n\r\n");
                    let _ = stream.write_all((head + &body).as_bytes()).await;
                }
            }
        });
        let environment = BTreeMap::from([("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()))]);
        Self { engine: Engine::of_environment(&environment).unwrap(), asked, _task: task }
    }

    fn starts(&self) -> usize {
        self.asked.lock().iter().filter(|l| l.contains("/c1/start")).count()
    }
}

#[tokio::test]
async fn what_an_engine_was_killed_over_is_started_again_only_if_it_remembers() {
    for (remembers, starts) in [(true, 2), (false, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let handle = Handle { item: uuid::Uuid::now_v7().simple().to_string(), attempt: 1, dir: folder.path().into() };
        let killed = Killed::while_starting(folder.path(), &handle, remembers);
        let target = DockerTarget::new(killed.engine.clone(), Arc::default());
        let container = Container { body: Box::default(), name: None, platform: None, code: None };
        let launch = Launch {
            handle,
            command: Vec::new(),
            environment: Vec::new(),
            folder: None,
            container: Some(container),
            fresh: true,
        };
        let broken = target.start(&launch).await.expect_err("it was killed");
        assert!(matches!(broken, StartError::Unanswered(_)), "{broken:?}");
        match target.start(&launch).await {
            Ok(()) => assert!(remembers),
            Err(StartError::Failed(reason)) => {
                assert!(!remembers && reason.code == code::TARGET_UNAVAILABLE.word, "{reason:?}");
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(killed.starts(), starts, "{:?}", killed.asked.lock());
    }
}
