//! Target `process`: a workload as a process of this machine, below a supervisor of ours.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lanza_model::{
    Reason,
    clock::{Clock, SystemClock, Time},
    code,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    sync::Notify,
    task::JoinSet,
    time::sleep,
};
use tracing::warn;

use super::{
    ATTEMPT, EARLIER_GRACE, Exit, Handle, ITEM, Launch, StartError, Status, Stopped, Target, Unanswered, proc,
    supervisor::{BEGIN, Begin, EXIT, ExitRecord, FAILED, SPEC, STARTED, STOP, Spec, Started, StopOrder},
    supervisor::{read_file, take_begin, write_file},
};

/// How often the folder is looked at while a supervisor starts.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How the system puts it.
const NO_SPACE: &str = "No space left on device";

/// How long a supervisor may take to say that its workload runs.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long processes may take to end after KILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Runs workloads below a supervisor each.
pub(crate) struct ProcessTarget {
    supervisor: Vec<String>,
    changed: Arc<Notify>,
    /// Waits for the supervisors that this agent started, so that they do not stay as zombies.
    children: parking_lot::Mutex<JoinSet<()>>,
}

impl ProcessTarget {
    /// `supervisor` is the command that runs [`super::supervisor::supervise`]; `changed` hears when one has ended.
    pub(crate) fn new(supervisor: Vec<String>, changed: Arc<Notify>) -> Self {
        Self { supervisor, changed, children: parking_lot::Mutex::default() }
    }

    async fn spawn(&self, launch: &Launch) -> Result<(), String> {
        let dir = &launch.handle.dir;
        let (program, args) = self.supervisor.split_first().ok_or("no supervisor command")?;
        let mut command = Command::new(program);
        command
            .args(args)
            .arg(dir)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("cannot start the supervisor {program}: {e}"))?;
        let said = child.stdout.take();
        let changed = self.changed.clone();
        {
            let mut children = self.children.lock();
            while children.try_join_next().is_some() {}
            children.spawn(async move {
                let _ = child.wait().await;
                changed.notify_waiters();
            });
        }
        let mut failed = None;
        if let Some(said) = said {
            // One line when the workload runs; the end of the stream when it could not be started, or another
            // supervisor was there first.
            let mut lines = BufReader::new(said).lines();
            let started = async {
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some(why) = line.strip_prefix(FAILED) {
                        failed = Some(why.to_owned());
                    } else if line.ends_with("started") {
                        return;
                    }
                }
            };
            // The supervisor of a killed agent can begin while this one has not come so far.
            let begun = async {
                while !dir.join(BEGIN).exists() {
                    sleep(LOOK_EVERY).await;
                }
            };
            let either = async {
                tokio::select! {
                    () = started => {}
                    () = begun => {}
                }
            };
            let _ = tokio::time::timeout(START_PATIENCE, either).await;
        }
        if dir.join(BEGIN).exists() {
            return Ok(());
        }
        let why = failed.unwrap_or_default();
        Err(format!("the supervisor ended before it started the workload: {why}")
            .trim_end_matches([':', ' '])
            .to_owned())
    }
}

#[async_trait]
impl Target for ProcessTarget {
    async fn start(&self, launch: &Launch) -> Result<(), StartError> {
        let fail = |why: String| {
            let code = if why.contains(NO_SPACE) { code::NO_SPACE } else { code::SPAWN_FAILED };
            StartError::Failed(Box::new(Reason::new(code, why)))
        };
        let dir = &launch.handle.dir;
        if dir.join(BEGIN).exists() {
            return Ok(());
        }
        if launch.handle.attempt > 1 {
            end_earlier(&launch.handle).await.map_err(StartError::Unanswered)?;
        }
        let (program, args) =
            launch.command.split_first().ok_or_else(|| fail("there is no command to start".into()))?;
        let folder = launch.folder.clone().unwrap_or_else(|| dir.clone());
        let program = find_program(program, &folder, &launch.environment)
            .ok_or_else(|| fail(format!("the command `{program}` is not on this machine")))?;
        let spec = Spec {
            program,
            args: args.to_vec(),
            environment: launch.environment.clone(),
            folder,
            log: launch.handle.run_log(),
        };
        write_file(&dir.join(SPEC), &spec, false).map_err(|e| fail(format!("cannot write {SPEC}: {e}")))?;
        self.spawn(launch).await.map_err(fail)
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Status, Unanswered>> {
        handles.iter().map(look).collect()
    }

    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<Stopped, Unanswered> {
        let dir = &handle.dir;
        let unanswered = |e: std::io::Error| Unanswered(format!("cannot use {}: {e}", dir.display()));
        // It holds the environment of the workload.
        let _spec = RemovedAtEnd(dir.join(SPEC));
        if let Status::Ended(_) = look(handle)? {
            return Ok(Stopped::Clean);
        }
        // Whoever has not begun may not begin from here.
        if !dir.join(BEGIN).exists()
            && take_begin(dir, &Begin { supervisor: None, boot: proc::boot_id() }).map_err(unanswered)?
        {
            return Ok(Stopped::Clean);
        }
        let order = StopOrder { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) };
        if let Err(e) = write_file(&dir.join(STOP), &order, false) {
            // The disk may be full, and this workload may be what fills it: so the agent does what it cannot order.
            warn!(item.id = %handle.item, "cannot order the supervisor to stop the workload: {e}");
            end(|| proc::marked(&handle.marks()), grace).await;
        }
        let patience = Instant::now() + grace + Duration::from_secs(60);
        loop {
            match look(handle)? {
                Status::Absent | Status::Ended(_) => return Ok(Stopped::Clean),
                _ if Instant::now() > patience => {
                    return Err(Unanswered("the workload did not end after KILL".into()));
                }
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// A file that goes when the work with it is over.
struct RemovedAtEnd(PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ends what earlier attempts of the item left on this machine: an agent whose state folder is gone leaves processes that
/// nobody else looks after.
async fn end_earlier(handle: &Handle) -> Result<(), Unanswered> {
    let item = [format!("{ITEM}={}", handle.item)];
    let earlier = || {
        let found = proc::all().into_iter().filter(|p| !p.zombie && p.id.pid != std::process::id());
        let of_item = found.filter(|p| proc::is_own(p.id.pid) && proc::has_environment(p.id.pid, &item));
        of_item
            .filter(|p| {
                let attempt = proc::environment(p.id.pid, ATTEMPT).and_then(|a| a.parse::<u32>().ok());
                attempt.is_some_and(|a| a < handle.attempt)
            })
            .collect()
    };
    if end(earlier, EARLIER_GRACE).await {
        Ok(())
    } else {
        Err(Unanswered("processes of an earlier attempt do not end after KILL".into()))
    }
}

/// Ends the processes that `find` finds: TERM, after `grace` KILL. Returns whether there is none any more.
pub(super) async fn end(find: impl Fn() -> Vec<proc::Process>, grace: Duration) -> bool {
    let begun = Instant::now();
    let mut told = HashSet::new();
    loop {
        let left = find();
        if left.is_empty() {
            return true;
        }
        let waited = begun.elapsed();
        if waited > grace + KILL_PATIENCE {
            return false;
        }
        for process in left {
            let signal = if waited >= grace { Signal::KILL } else { Signal::TERM };
            if (signal == Signal::KILL || told.insert((process.id.pid, process.id.start)))
                && let Some(pid) = Pid::from_raw(process.id.pid as i32)
            {
                let _ = kill_process(pid, signal);
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn look(handle: &Handle) -> Result<Status, Unanswered> {
    let dir = &handle.dir;
    let unanswered = |e: std::io::Error| Unanswered(format!("cannot read {}: {e}", dir.display()));
    let Some(begin) = read_file::<Begin>(&dir.join(BEGIN)).map_err(unanswered)? else { return Ok(Status::Absent) };
    let Some(supervisor) = begin.supervisor else { return Ok(Status::Absent) };
    // Asked before the record is read: a supervisor that ends in between has written it.
    let alive = begin.boot == proc::boot_id() && proc::is_alive(supervisor);
    if let Some(exit) = read_file::<ExitRecord>(&dir.join(EXIT)).map_err(unanswered)? {
        let started = read_file::<Started>(&dir.join(STARTED)).map_err(unanswered)?;
        return Ok(Status::Ended(ended(exit, started.map(|s| s.at))));
    }
    let started = read_file::<Started>(&dir.join(STARTED)).map_err(unanswered)?;
    if alive {
        return Ok(started.map_or(Status::Starting, |s| Status::Running { since: s.at }));
    }
    let same_boot = begin.boot == proc::boot_id();
    if same_boot {
        kill_leftovers(handle, supervisor, started.as_ref());
    }
    let why = if same_boot {
        "the supervisor of the job was killed; what was left of the job was killed too"
    } else {
        "the machine was restarted while the job ran"
    };
    Ok(Status::Ended(Exit {
        code: None,
        signal: None,
        out_of_memory: false,
        failure: Some(Reason::new(code::SUPERVISOR_LOST, why)),
        since: started.map(|s| s.at),
        at: SystemClock.now(),
    }))
}

fn ended(exit: ExitRecord, since: Option<Time>) -> Exit {
    // KILL is what the kernel sends; a shell in front of the program tells it by this code.
    let killed = exit.signal == Some(9) || exit.code == Some(128 + 9);
    Exit {
        code: exit.code,
        signal: exit.signal,
        out_of_memory: exit.out_of_memory && killed,
        failure: exit
            .error
            .map(|e| Reason::new(code::SPAWN_FAILED, format!("the command of the job could not be started: {e}"))),
        since,
        at: exit.at,
    }
}

/// Kills what a killed supervisor left behind: the processes that carry the attempt's marks in their environment, and
/// those of its session and of the workload's group.
fn kill_leftovers(handle: &Handle, supervisor: proc::ProcessId, started: Option<&Started>) {
    let marks = handle.marks();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        // The kernel does not give out an id again while a session or group bears it, so a foreign process with the
        // supervisor's id means that its session is gone.
        let session_is_ours = proc::read(supervisor.pid).is_none_or(|p| p.id == supervisor);
        let group = started.filter(|s| proc::read(s.workload.pid).is_none_or(|p| p.id == s.workload));
        let left: Vec<_> = proc::all()
            .into_iter()
            .filter(|p| !p.zombie && p.id.pid != std::process::id())
            .filter(|p| {
                (session_is_ours && p.session == supervisor.pid)
                    || group.is_some_and(|s| p.group == s.workload.pid)
                    || proc::has_environment(p.id.pid, &marks)
            })
            .collect();
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for process in left {
            if let Some(pid) = Pid::from_raw(process.id.pid as i32) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Finds `program` as the workload would: a path below its working directory, or a name on its PATH.
fn find_program(program: &str, folder: &Path, environment: &[(String, String)]) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runnable = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        let path = folder.join(program);
        return runnable(&path).then_some(path);
    }
    let path = environment.iter().find(|(k, _)| k == "PATH").map(|(_, v)| v.as_str()).unwrap_or_default();
    std::env::split_paths(path).map(|d| folder.join(d).join(program)).find(|p| runnable(p))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// Not a test of its own: the supervisor that the tests below start is this test binary with this function's
    /// name and the attempt's folder as arguments.
    #[test]
    fn supervisor_entry() {
        let dir = PathBuf::from(std::env::args().next_back().unwrap_or_default());
        if dir.join(SPEC).is_file() {
            super::super::supervisor::supervise(&dir);
        }
    }

    fn supervisor() -> Vec<String> {
        let exe = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
        [&exe, "target::process::tests::supervisor_entry", "--exact", "--nocapture", "--test-threads=1"]
            .map(str::to_owned)
            .to_vec()
    }

    struct Fixture {
        folder: tempfile::TempDir,
        target: ProcessTarget,
        handle: Handle,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("attempt");
        fs::create_dir_all(dir.join("logs")).unwrap();
        let handle = Handle { item: uuid::Uuid::now_v7().simple().to_string(), attempt: 1, dir };
        Fixture { folder, target: ProcessTarget::new(supervisor(), Arc::default()), handle }
    }

    impl Fixture {
        fn launch(&self, script: &str) -> Launch {
            let environment = vec![
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("LANZA_ITEM".to_owned(), self.handle.item.clone()),
                ("LANZA_ATTEMPT".to_owned(), "1".to_owned()),
                ("OUT".to_owned(), self.folder.path().to_str().unwrap().to_owned()),
            ];
            Launch {
                handle: self.handle.clone(),
                command: ["sh", "-c", script].map(str::to_owned).to_vec(),
                environment,
                folder: Some(self.folder.path().to_owned()),
                container: None,
                fresh: true,
            }
        }

        async fn start(&self, script: &str) {
            if let Err(e) = self.target.start(&self.launch(script)).await {
                panic!("{e:?}");
            }
        }

        fn status(&self) -> Status {
            look(&self.handle).unwrap()
        }

        async fn end(&self) -> Exit {
            let mut last = None;
            for _ in 0..1500 {
                last = Some(self.status());
                if let Some(Status::Ended(exit)) = last {
                    return exit;
                }
                sleep(Duration::from_millis(10)).await;
            }
            panic!("it did not end: {last:?}")
        }

        /// Waits until the workload has written `name` and returns the content.
        async fn file(&self, name: &str) -> String {
            for _ in 0..1000 {
                if let Ok(text) = fs::read_to_string(self.folder.path().join(name))
                    && text.ends_with('\n')
                {
                    return text;
                }
                sleep(Duration::from_millis(10)).await;
            }
            panic!("{name} was not written")
        }

        fn marked(&self) -> Vec<u32> {
            let marks = self.handle.marks();
            proc::all()
                .iter()
                .filter(|p| !p.zombie && proc::has_environment(p.id.pid, &marks))
                .map(|p| p.id.pid)
                .collect()
        }
    }

    #[tokio::test]
    async fn exit_code_and_both_streams_are_kept_in_order() {
        let f = fixture();
        f.start("echo one; echo two >&2; echo three; printf four; exit 7").await;
        let exit = f.end().await;
        assert_eq!((exit.code, exit.signal, exit.failure), (Some(7), None, None));
        assert_eq!(fs::read_to_string(f.handle.run_log()).unwrap(), "one\ntwo\nthree\nfour");
        assert!(!f.handle.dir.join(SPEC).exists(), "the environment with its token stays behind");
    }

    #[tokio::test]
    async fn a_signal_is_told_from_an_exit_code() {
        let f = fixture();
        f.start("kill -9 $$").await;
        let exit = f.end().await;
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
    }

    #[tokio::test]
    async fn a_workload_starts_once_however_often_it_is_started() {
        let f = fixture();
        let launch = f.launch("echo x >> $OUT/witness; sleep 0.3");
        let again = ProcessTarget::new(supervisor(), Arc::default());
        // Two agents' worth of starts race each other, as after a crash between start and journal.
        let (a, b) = tokio::join!(f.target.start(&launch), again.start(&launch));
        assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
        f.end().await;
        assert!(f.target.start(&launch).await.is_ok());
        sleep(Duration::from_millis(200)).await;
        assert_eq!(f.file("witness").await, "x\n");
    }

    #[tokio::test]
    async fn stop_ends_children_that_ignore_term_and_daemons_that_left_the_session() {
        let f = fixture();
        f.start(
            "trap '' TERM; (trap '' TERM; sleep 300) & \
             setsid sh -c 'trap \"\" TERM; (sleep 300 & echo $! > $OUT/grandchild) ; sleep 300' & \
             echo ready > $OUT/ready; while :; do sleep 1; done",
        )
        .await;
        f.file("ready").await;
        f.file("grandchild").await;
        assert!(f.marked().len() >= 4, "{:?}", f.marked());
        let begun = Instant::now();
        f.target.stop(&f.handle, Duration::from_millis(300)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(f.marked(), Vec::<u32>::new());
        let exit = f.end().await;
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
    }

    #[tokio::test]
    async fn stop_lets_a_workload_end_by_itself_within_its_grace() {
        let f = fixture();
        f.start("trap 'echo saved > $OUT/saved; exit 0' TERM; echo r > $OUT/ready; while :; do sleep 0.05; done").await;
        f.file("ready").await;
        f.target.stop(&f.handle, Duration::from_secs(30)).await.unwrap();
        assert_eq!(f.file("saved").await, "saved\n");
        assert_eq!(f.end().await.code, Some(0));
    }

    #[tokio::test]
    async fn what_the_main_process_leaves_behind_is_ended_and_its_exit_code_kept() {
        let f = fixture();
        f.start("(setsid sleep 300 &) ; exit 4").await;
        let exit = f.end().await;
        assert_eq!(exit.code, Some(4));
        assert_eq!(f.marked(), Vec::<u32>::new());
    }

    #[tokio::test]
    async fn a_killed_supervisor_is_noticed_and_its_workload_killed() {
        let f = fixture();
        f.start("(setsid sleep 300 &); echo r > $OUT/ready; sleep 300").await;
        f.file("ready").await;
        let begin: Begin = read_file(&f.handle.dir.join(BEGIN)).unwrap().unwrap();
        let supervisor = begin.supervisor.unwrap();
        kill_process(Pid::from_raw(supervisor.pid as i32).unwrap(), Signal::KILL).unwrap();
        let exit = f.end().await;
        assert_eq!(exit.failure.unwrap().code, "supervisor_lost");
        assert_eq!(f.marked(), Vec::<u32>::new());
    }

    #[tokio::test]
    async fn what_an_earlier_attempt_left_on_the_machine_is_ended_before_the_next_one_starts() {
        let mut f = fixture();
        f.start(
            "(trap 'echo saved > $OUT/saved; exit' TERM; while :; do sleep 0.05; done) & \
             setsid sh -c \"trap '' TERM; echo r > $OUT/ready; while :; do sleep 0.1; done\"",
        )
        .await;
        f.file("ready").await;
        let first = f.handle.marks();
        // The folder of the agent that looked after it is gone.
        fs::remove_dir_all(&f.handle.dir).unwrap();
        f.handle.attempt = 2;
        f.handle.dir = f.folder.path().join("another-state");
        fs::create_dir_all(f.handle.dir.join("logs")).unwrap();
        let mut launch = f.launch("tr '\\0' '\\n' < /proc/self/environ | grep -c ATTEMPT=2; exit 3");
        launch.environment.retain(|(n, _)| n != ATTEMPT);
        launch.environment.push((ATTEMPT.to_owned(), "2".to_owned()));
        f.target.start(&launch).await.unwrap();
        let alive: Vec<_> = proc::all().into_iter().filter(|p| proc::has_environment(p.id.pid, &first)).collect();
        assert!(alive.iter().all(|p| p.zombie), "the earlier attempt runs beside the next one: {alive:?}");
        assert_eq!(f.end().await.code, Some(3));
        assert_eq!(f.file("saved").await, "saved\n", "KILL came without TERM");
    }

    #[tokio::test]
    async fn a_stop_before_the_start_means_that_nothing_ever_runs() {
        let f = fixture();
        f.target.stop(&f.handle, Duration::ZERO).await.unwrap();
        assert!(f.target.start(&f.launch("echo x > $OUT/witness")).await.is_ok());
        assert_eq!(f.status(), Status::Absent);
        sleep(Duration::from_millis(200)).await;
        assert!(!f.folder.path().join("witness").exists());
    }

    #[tokio::test]
    async fn a_missing_command_is_named() {
        let f = fixture();
        let mut launch = f.launch("");
        launch.command = vec!["no-such-command-here".into()];
        let Err(StartError::Failed(reason)) = f.target.start(&launch).await else { panic!("it started") };
        assert_eq!(reason.code, "spawn_failed");
        assert!(reason.message.contains("no-such-command-here"), "{}", reason.message);
    }
}
