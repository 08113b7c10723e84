//! Programs that the agent calls for itself: `git`, `pip`, `uv`, `docker build`.
//!
//! They get a short safe environment, no terminal, a process group of their own and a log file. None may outlive the
//! agent, since a restarted agent begins the phase anew: they carry a mark by which the next agent on the same state
//! directory finds and kills what a killed one left behind.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Command;

use crate::target::proc;

/// Name of the mark in the environment.
const MARK: &str = "LANZA_AGENT_STATE";

/// How a program ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself.
    Exit(ExitStatus),
    /// It took too long and was killed.
    TimedOut,
}

/// Runs programs for one attempt and phase.
pub(crate) struct Commands<'a> {
    /// What the programs see of the agent's environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// The agent's own mark.
    pub(crate) state: &'a str,
    /// Where their output goes.
    pub(crate) log: PathBuf,
    /// Limit of each.
    pub(crate) timeout: Duration,
}

/// Kills the group of a program that was given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Commands<'_> {
    /// Runs a program to its end, its output appended to the log. `lock` is a file that counts as locked as long as the
    /// program or a child of it lives.
    pub(crate) async fn run(&self, command: &mut Command, lock: Option<&File>) -> io::Result<Ended> {
        let log = self.open_log()?;
        self.prepare(command)
            .stdin(match lock {
                Some(lock) => Stdio::from(lock.try_clone()?),
                None => Stdio::null(),
            })
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = command.spawn()?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
        let Ok(status) = tokio::time::timeout(self.timeout, child.wait()).await else {
            drop(group);
            let _ = child.wait().await;
            return Ok(Ended::TimedOut);
        };
        group.0 = None;
        Ok(Ended::Exit(status?))
    }

    /// Runs a program and returns its standard output; what it says on standard error goes to the log.
    pub(crate) async fn output(&self, command: &mut Command) -> io::Result<(ExitStatus, String)> {
        self.prepare(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.open_log()?);
        let child = command.spawn()?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
        let output = tokio::time::timeout(self.timeout, child.wait_with_output())
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it took too long"))??;
        group.0 = None;
        Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        // What the caller set on the command itself is kept.
        let own: Vec<_> =
            command.as_std().get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        command.env_clear().envs(&self.environment).envs(own).env(MARK, self.state).process_group(0).kill_on_drop(true)
    }

    fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log)
    }

    /// Adds a line of the agent's own to the log.
    pub(crate) fn say(&self, line: &str) {
        say(&self.log, line);
    }

    /// Returns how long the log is, in bytes.
    pub(crate) fn log_length(&self) -> u64 {
        self.log.metadata().map_or(0, |m| m.len())
    }

    /// Returns what the log got since it had this length, the last 64 KiB of it.
    pub(crate) fn log_since(&self, length: u64) -> String {
        let Ok(mut file) = File::open(&self.log) else { return String::new() };
        let _ = file.seek(SeekFrom::Start(length.max(self.log_length().saturating_sub(64 * 1024))));
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the last lines of the log, for a message.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let Ok(mut file) = File::open(&self.log) else { return String::new() };
        let length = file.metadata().map_or(0, |m| m.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(8192)));
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = VecDeque::new();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            if lines.len() == count {
                lines.pop_front();
            }
            lines.push_back(line.trim_end().to_owned());
        }
        lines.make_contiguous().join("\n")
    }
}

/// Adds a line to a log file of the attempt. A log that cannot be written does not stop the work.
pub(crate) fn say(log: &Path, line: &str) {
    use io::Write;
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).mode(0o600).open(log) {
        let _ = writeln!(file, "{line}");
    }
}

/// Kills the programs that an earlier agent on this state directory left behind. Called with the directory's lock
/// held, so there is no other such agent.
pub(crate) fn kill_leftovers(state: &str) {
    let mark = [format!("{MARK}={state}")];
    for process in proc::all() {
        if process.id.pid != std::process::id()
            && proc::has_environment(process.id.pid, &mark)
            && let Some(pid) = Pid::from_raw(process.id.pid as i32)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
