//! The small process of ours around a local workload: `lanza supervise DIR`.
//!
//! It outlives the agent, so that a workload's exit code and log are complete whatever happens to the agent. It is one
//! thread without a runtime. Everything it says and hears is a file of the attempt's folder:
//!
//! | file | written by | meaning |
//! |---|---|---|
//! | `spec.json` | agent | what to run |
//! | `begin.json` | supervisor, or agent | made once, by hard link, so exactly one wins: a supervisor that may run the workload, or the agent's word that none may |
//! | `started.json` | supervisor | the workload's process |
//! | `stop.json` | agent | order to stop, with its grace |
//! | `exit.json` | supervisor | how the workload ended; nothing of it is left |
//!
//! As *child subreaper* it inherits every descendant whose parent ended, also those that left the process group, so
//! "nothing is left" can be known: it has no child any more.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt, fs::OpenOptionsExt, process::CommandExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use lanza_model::clock::{Clock, SystemClock, Time};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, kill_process_group, pidfd_open,
        set_child_subreaper, setsid, wait,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::proc::{self, ProcessId};

/// What to run. Holds the workload's environment, so it is removed once the workload has ended.
pub(crate) const SPEC: &str = "spec.json";
/// The one right to run the workload of this folder, taken.
pub(crate) const BEGIN: &str = "begin.json";
/// The workload's process.
pub(crate) const STARTED: &str = "started.json";
/// Order to stop.
pub(crate) const STOP: &str = "stop.json";
/// How it ended.
pub(crate) const EXIT: &str = "exit.json";

/// Begins the line by which a supervisor tells the agent why it gives up before it has begun.
pub(crate) const FAILED: &str = "failed: ";

/// How long descendants may take to end by themselves after the workload's main process, before TERM.
const LINGER: Duration = Duration::from_millis(500);
/// Time between TERM and KILL for those that did not.
const LEFTOVER_GRACE: Duration = Duration::from_secs(5);
/// A process that KILL does not end within this time hangs in the kernel; the outcome does not wait for it.
const UNKILLABLE_AFTER: Duration = Duration::from_secs(30);
/// How often orphans are collected while the workload runs.
const REAP_EVERY: Duration = Duration::from_secs(2);

/// Content of [`SPEC`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
}

/// Content of [`BEGIN`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// The supervisor; none when the agent took the right so that nothing runs.
    pub(crate) supervisor: Option<ProcessId>,
    pub(crate) boot: String,
}

/// Content of [`STARTED`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) workload: ProcessId,
    pub(crate) at: Time,
}

/// Content of [`STOP`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StopOrder {
    pub(crate) grace_ms: u64,
}

/// Content of [`EXIT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// The kernel killed a process of this machine for memory while the workload ran.
    #[serde(default)]
    pub(crate) out_of_memory: bool,
    /// The workload could not be started.
    pub(crate) error: Option<String>,
    /// When the main process ended.
    pub(crate) at: Time,
}

/// Reads a JSON file; none when there is no such file.
pub(crate) fn read_file<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a JSON file whole or not at all, readable by its owner only.
pub(crate) fn write_file<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = private(&temporary)?;
    file.write_all(&serde_json::to_vec(value).map_err(io::Error::other)?)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&temporary, path)?;
    if durable && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Space on the disk for the record of how the workload ended, taken while there is some: what is known then must not be
/// lost to a disk that the workload has filled.
struct Reserve {
    file: File,
    path: PathBuf,
}

impl Reserve {
    /// Length of the record with its padding, which JSON ignores, bytes.
    const LENGTH: usize = 4096;

    fn take(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("exit.tmp{}", std::process::id()));
        let mut file = private(&path)?;
        let taken = file.write_all(&[b' '; Self::LENGTH]).and_then(|()| file.sync_all());
        if let Err(e) = taken {
            let _ = fs::remove_file(&path);
            return Err(e);
        }
        Ok(Self { file, path })
    }

    fn give_back(self) {
        let _ = fs::remove_file(self.path);
    }

    /// Writes the record whole or not at all.
    fn write(self, to: &Path, record: &ExitRecord) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_all()?;
        fs::rename(&self.path, to)?;
        if let Some(folder) = to.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

/// Takes the one right to run the workload of `dir`; false when somebody else has it.
pub(crate) fn take_begin(dir: &Path, begin: &Begin) -> io::Result<bool> {
    let temporary = dir.join(format!("begin.tmp{}", std::process::id()));
    let bytes = serde_json::to_vec(begin).map_err(io::Error::other)?;
    let linked = private(&temporary)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| fs::hard_link(&temporary, dir.join(BEGIN)));
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Runs the supervisor of the attempt folder `dir` until the workload and all its descendants are gone; returns its
/// exit code. Blocks the thread, which must be the only one of its process.
pub fn supervise(dir: &Path) -> i32 {
    match run(dir) {
        Ok(()) => 0,
        Err(e) => {
            // For the agent that started it.
            let _ = io::stdout().write_all(format!("\n{FAILED}{e}\n").as_bytes()).and_then(|()| io::stdout().flush());
            1
        }
    }
}

fn run(dir: &Path) -> io::Result<()> {
    // Fails only for a group leader, and then nobody's terminal reaches it either.
    let _ = setsid();
    set_child_subreaper(Some(getpid()))?;
    let Some(spec) = read_file::<Spec>(&dir.join(SPEC))? else { return Ok(()) };
    let me = proc::read(std::process::id()).ok_or_else(|| io::Error::other("no entry of its own in /proc"))?;
    let reserve = Reserve::take(dir)?;
    match take_begin(dir, &Begin { supervisor: Some(me.id), boot: proc::boot_id() }) {
        Ok(true) => {}
        other => {
            reserve.give_back();
            return other.map(|_| ());
        }
    }
    // Before the workload starts, so that no order is missed.
    let orders = watch(dir);
    let kills_before = proc::memory_kills();
    let status = match spawn(&spec) {
        Ok(child) => {
            let pid = child.id();
            let workload = proc::read(pid).map_or(ProcessId { pid, start: 0 }, |p| p.id);
            // The workload runs whether or not this can be written; the agent that started us may be gone already.
            let _ = write_file(&dir.join(STARTED), &Started { workload, at: SystemClock.now() }, false);
            let _ = io::stdout().write_all(b"started\n").and_then(|()| io::stdout().flush());
            Ok(Workload { dir, pid: Pid::from_child(&child), orders, order: None, ended: None }.wait())
        }
        Err(e) => Err(e),
    };
    let record = match status {
        Ok((status, at)) => {
            let out_of_memory = proc::memory_kills() > kills_before;
            ExitRecord { code: status.code(), signal: status.signal(), out_of_memory, error: None, at }
        }
        Err(e) => {
            let (code, signal, out_of_memory) = (None, None, false);
            ExitRecord { code, signal, out_of_memory, error: Some(e.to_string()), at: SystemClock.now() }
        }
    };
    let _ = fs::remove_file(dir.join(SPEC));
    reserve.write(&dir.join(EXIT), &record)
}

/// Standard output and error are one open file in append mode, so their bytes stand in the order in which they were
/// written, and every byte is in the file when the workload ends.
fn spawn(spec: &Spec) -> io::Result<std::process::Child> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&spec.log)?;
    Command::new(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(spec.environment.iter().map(|(k, v)| (k, v)))
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

fn watch(dir: &Path) -> Option<OwnedFd> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
    inotify::add_watch(&fd, dir, inotify::WatchFlags::MOVED_TO).ok()?;
    Some(fd)
}

struct Workload<'a> {
    dir: &'a Path,
    pid: Pid,
    /// Becomes readable when a file appears in the folder; without it the folder is looked at every now and then.
    orders: Option<OwnedFd>,
    /// When to KILL, once there is an order to stop.
    order: Option<(u64, Instant)>,
    ended: Option<(ExitStatus, Time)>,
}

impl Workload<'_> {
    /// Waits until the workload's main process has ended and nothing of it is left.
    fn wait(mut self) -> (ExitStatus, Time) {
        let main = pidfd_open(self.pid, PidfdFlags::empty()).ok();
        let (status, at) = loop {
            self.reap();
            if let Some(ended) = self.ended {
                break ended;
            }
            self.obey();
            let mut timeout = REAP_EVERY;
            if let Some((_, kill_at)) = self.order {
                let left = kill_at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.signal(Signal::KILL);
                }
                timeout = left.clamp(Duration::from_millis(20), REAP_EVERY);
            }
            if main.is_none() || self.orders.is_none() {
                timeout = timeout.min(Duration::from_millis(50));
            }
            sleep_until_event(main.as_ref(), self.orders.as_ref(), timeout);
            self.forget_events();
        };
        self.sweep();
        (status, at)
    }

    /// Waits for every child that has ended. Returns false when there is none left.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.pid {
                        self.ended = Some((ExitStatus::from_raw(status.as_raw()), SystemClock.now()));
                    }
                }
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Reads the order to stop. A newer order with another grace counts from the time it is seen.
    fn obey(&mut self) {
        let Ok(Some(order)) = read_file::<StopOrder>(&self.dir.join(STOP)) else { return };
        if self.order.is_some_and(|(grace, _)| grace == order.grace_ms) {
            return;
        }
        self.order = Some((order.grace_ms, Instant::now() + Duration::from_millis(order.grace_ms)));
        self.signal(Signal::TERM);
    }

    /// Signals the workload's group and every descendant, also those that left the group.
    fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, signal);
        }
        for process in proc::descendants(std::process::id()) {
            let signalled = self.ended.is_none() && process.group == self.pid.as_raw_pid() as u32;
            if !signalled && let Some(pid) = Pid::from_raw(process.id.pid as i32) {
                // A descendant's id cannot be used again before this process, its reaper, has waited for it.
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Ends what the main process left behind.
    fn sweep(&mut self) {
        let begun = Instant::now();
        let stopping = self.order.is_some();
        let mut term_sent = stopping;
        loop {
            if !self.reap() || begun.elapsed() > UNKILLABLE_AFTER {
                return;
            }
            self.obey();
            let kill_at = match self.order {
                Some((_, at)) => at.min(begun + LEFTOVER_GRACE),
                None => begun + LINGER + LEFTOVER_GRACE,
            };
            if Instant::now() >= kill_at {
                self.signal(Signal::KILL);
            } else if !term_sent && begun.elapsed() >= LINGER {
                self.signal(Signal::TERM);
                term_sent = true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn forget_events(&self) {
        if let Some(fd) = &self.orders {
            let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 1024];
            let mut reader = inotify::Reader::new(fd, &mut buffer);
            while reader.next().is_ok() {}
        }
    }
}

fn sleep_until_event(main: Option<&OwnedFd>, orders: Option<&OwnedFd>, timeout: Duration) {
    let mut fds: Vec<PollFd<'_>> =
        [main, orders].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).ok();
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, timeout.as_ref());
}
