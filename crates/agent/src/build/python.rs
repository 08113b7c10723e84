//! Python environments for target `process`.
//!
//! An environment belongs to a key: the digest of the Python version, the platform, the normalised requirements with
//! their index options, and the agent's variables that installers obey. It is made once, by `uv` where it is there and else by `venv` and `pip`, and used by every
//! attempt with that key. Virtual environments hold their own path, so one is built where it stays; it counts from the
//! moment when its record `ready.json` appears, and what a crash left without a record is removed by the next builder.
//! One that is built anew gets a second folder beside the first (`generations`).
//! One builder at a time: the lock is on a file that the installer inherits, so it lasts until the installer of a
//! killed agent is gone too.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lanza_model::{
    Reason,
    clock::{Clock, Time},
    code,
    job::python_minor,
};
use parking_lot::Mutex;
use rustix::fs::syncfs;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{
    broken, diagnose,
    generations::{self, READY, Ready},
    lock,
    requirements::{Origin, Requirements},
    turn::{self, Turn, Turns},
    variables,
};
use crate::{
    command::{Commands, Ended},
    source::artifact::hex,
    state_dir::{StateDir, make_dir, remove_dir},
    target::supervisor::write_file,
};

/// A Python of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its program.
    pub(crate) path: PathBuf,
    /// `3.11.7`.
    pub(crate) version: String,
    /// `linux-x86_64`.
    pub(crate) platform: String,
}

/// A finished environment.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Its key.
    pub(crate) digest: String,
    /// Folder of the virtual environment.
    pub(crate) folder: PathBuf,
    /// Whether it was there before.
    pub(crate) cached: bool,
    /// Installed packages, `name==version`.
    pub(crate) packages: Vec<String>,
    /// What did not install and need not.
    pub(crate) warnings: Vec<String>,
}

/// Makes and finds environments.
pub(crate) struct Pythons {
    environments: PathBuf,
    /// Folder of the attempts, whose journals say what is in use.
    attempts: PathBuf,
    clock: Arc<dyn Clock>,
    /// What the agent's environment says about Pythons and package indexes.
    agent: BTreeMap<String, String>,
    known: Mutex<HashMap<String, Interpreter>>,
}

impl Pythons {
    /// `agent` is the agent's own environment.
    ///
    /// Removes what an earlier life left half made, so nobody may build here yet.
    pub(crate) fn new(state: &StateDir, agent: BTreeMap<String, String>, clock: Arc<dyn Clock>) -> Self {
        let (environments, attempts) = (state.environments(), state.attempts());
        for entry in fs::read_dir(&environments).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.join(READY).exists() {
                let _ = remove_dir(&path);
            }
        }
        generations::remove_all_replaced(&environments, &attempts, clock.now());
        Self { environments, attempts, clock, agent, known: Mutex::default() }
    }

    /// Finds the Python of version `minor` (`3.11`; any when none is asked for).
    pub(crate) async fn interpreter(
        &self,
        commands: &Commands<'_>,
        minor: Option<&str>,
    ) -> Result<Interpreter, Reason> {
        let wanted = minor.unwrap_or("3");
        if let Some(known) = self.known.lock().get(wanted)
            && known.path.exists()
        {
            return Ok(known.clone());
        }
        let mut names: Vec<String> = minor.map(|m| format!("python{m}")).into_iter().collect();
        names.extend(["python3".to_owned(), "python".to_owned()]);
        let mut found = None;
        for program in names.iter().flat_map(|n| self.programs(n)) {
            if let Some(interpreter) = probe(commands, &program).await
                && fits(&interpreter, minor)
            {
                found = Some(interpreter);
                break;
            }
        }
        if found.is_none()
            && let Some(uv) = self.uv()
        {
            found = managed(commands, &uv, wanted).await.filter(|i| fits(i, minor));
        }
        let Some(found) = found else { return Err(self.missing(commands, wanted).await) };
        self.known.lock().insert(wanted.to_owned(), found.clone());
        Ok(found)
    }

    async fn missing(&self, commands: &Commands<'_>, wanted: &str) -> Reason {
        let mut versions = Vec::new();
        for name in std::iter::once("python3".to_owned()).chain((6..30).map(|n| format!("python3.{n}"))) {
            for program in self.programs(&name).into_iter().take(1) {
                if let Some(found) = probe(commands, &program).await
                    && !versions.contains(&found.version)
                {
                    versions.push(found.version);
                }
            }
        }
        let there = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
        let message = format!("the job needs Python {wanted}; this machine has {there}");
        commands.say(&message);
        Reason::new(code::PYTHON_MISSING, message)
    }

    /// Returns every program `name` on the agent's PATH.
    fn programs(&self, name: &str) -> Vec<PathBuf> {
        let path = self.agent.get("PATH").map(String::as_str).unwrap_or_default();
        std::env::split_paths(path).map(|d| d.join(name)).filter(|p| p.is_file()).collect()
    }

    fn uv(&self) -> Option<PathBuf> {
        self.programs("uv").into_iter().next()
    }

    /// Returns the key of an environment.
    fn key(&self, interpreter: &Interpreter, requirements: Option<&Requirements>, code: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("python {} {}\n", interpreter.version, interpreter.platform));
        if let Some(requirements) = requirements {
            digest.update(requirements.digest(code));
            digest.update(variables::lines(&self.agent));
        }
        hex(&digest.finalize())
    }

    /// Returns the environment if it is there. `since`: one whose build began earlier does not count.
    pub(crate) fn find(
        &self,
        interpreter: &Interpreter,
        requirements: Option<&Requirements>,
        code: &str,
        since: Option<Time>,
    ) -> Option<Environment> {
        self.ready(&self.key(interpreter, requirements, code), true, since)
    }

    fn ready(&self, key: &str, cached: bool, since: Option<Time>) -> Option<Environment> {
        let folder = self.environments.join(key);
        let ready = Ready::read(&folder).filter(|r| r.is_since(since))?;
        let folder = folder.join(&ready.venv);
        // The program is a link to the interpreter, which may have been removed.
        folder.join("bin").join("python").exists().then(|| Environment {
            digest: key.to_owned(),
            folder,
            cached,
            packages: ready.packages,
            warnings: ready.warnings,
        })
    }

    /// Makes the environment, unless somebody else does so first. `code` is the digest of the code, `source` its folder;
    /// `since` as in [`Pythons::find`].
    pub(crate) async fn build(
        &self,
        commands: &Commands<'_>,
        turns: &Turns<'_>,
        interpreter: &Interpreter,
        requirements: Option<&Requirements>,
        (code, source): (&str, &Path),
        since: Option<Time>,
    ) -> Result<Environment, Reason> {
        let key = self.key(interpreter, requirements, code);
        // Nobody else has the agent's folder, so only its own items wait for each other.
        let wanted = turn::Wanted { place: turns.own_place(), key: key.clone(), renew: since.is_some() };
        let mut missing = false;
        let leased = loop {
            match turns.take(commands, &wanted, missing).await {
                Turn::Build { leased, .. } => break leased,
                Turn::Use => {
                    if let Some(found) = self.ready(&key, true, since) {
                        return Ok(found);
                    }
                    missing = true;
                }
            }
        };
        turns.hold(&wanted, leased, self.make(commands, &key, interpreter, requirements, source, since)).await
    }

    async fn make(
        &self,
        commands: &Commands<'_>,
        key: &str,
        interpreter: &Interpreter,
        requirements: Option<&Requirements>,
        source: &Path,
        since: Option<Time>,
    ) -> Result<Environment, Reason> {
        let path = self.environments.join(format!("{key}.lock"));
        let lock = lock::take(commands, &path).await.map_err(|e| broken("lock the environment", &e))?;
        if let Some(found) = self.ready(key, true, since) {
            return Ok(found);
        }
        let folder = self.environments.join(key);
        // One that is good stays until the new one is, and as long as attempts run in it.
        let beside = self.ready(key, true, None).is_some();
        let cleared = if beside {
            generations::remove_replaced(&folder, &self.attempts, self.clock.now())
        } else {
            remove_dir(&folder)
        };
        cleared.and_then(|()| make_dir(&folder)).map_err(|e| broken("make the environment's folder", &e))?;
        let name = generations::next_name(&folder);
        let (venv, begun_at) = (folder.join(&name), self.clock.now());
        let build = Build { commands, lock: &lock, uv: self.uv(), venv: venv.clone(), anew: since.is_some(), source };
        // One limit for all of it: a list that is tried line by line is no longer a minute or two.
        let made = tokio::time::timeout(commands.timeout, async {
            let (packages, warnings) = build.make(interpreter, requirements, &folder).await?;
            let made_at = Some(self.clock.now());
            let replaced = generations::to_replace(&folder);
            let begun_at = Some(begun_at);
            finish(&folder, Ready { packages, warnings, venv: name, replaced, begun_at, made_at }).await
        })
        .await;
        let made = made.unwrap_or_else(|_| Err(build.too_long()));
        if let Err(reason) = made {
            if let Err(e) = remove_dir(if beside { &venv } else { &folder }) {
                commands.say(&format!("cannot remove the half-made environment: {e}"));
            }
            return Err(reason);
        }
        drop(lock);
        self.ready(key, false, None)
            .ok_or_else(|| Reason::new(code::AGENT_FAILED, "the environment vanished after it was made"))
    }
}

/// Writes the record of an environment, which must not reach the disk before the packages do.
async fn finish(folder: &Path, record: Ready) -> Result<(), Reason> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        syncfs(File::open(&folder)?)?;
        write_file(&folder.join(READY), &record, true)
    })
    .await
    .map_err(io::Error::other)
    .and_then(|r| r)
    .map_err(|e| broken("finish the environment", &e))
}

fn fits(interpreter: &Interpreter, minor: Option<&str>) -> bool {
    minor.is_none_or(|m| python_minor(&interpreter.version).as_deref() == Some(m))
}

async fn probe(commands: &Commands<'_>, program: &Path) -> Option<Interpreter> {
    let mut command = Command::new(program);
    command.args(["-I", "-c", "import sys, sysconfig\nprint('%d.%d.%d' % sys.version_info[:3])\nprint(sysconfig.get_platform())\nprint(sys.executable)"]);
    // Shims of version managers say at length what they do not have; that is no news of this job.
    let quiet = Commands { environment: commands.environment.clone(), log: "/dev/null".into(), ..*commands };
    let (status, out) = quiet.output(&mut command).await.ok()?;
    let mut lines = out.lines().map(|l| l.trim().to_owned()).filter(|_| status.success());
    let (version, platform, path) = (lines.next()?, lines.next()?, lines.next()?);
    Some(Interpreter { path: path.into(), version, platform })
}

/// Asks `uv` for a Python that is not on the PATH; it may bring one.
async fn managed(commands: &Commands<'_>, uv: &Path, wanted: &str) -> Option<Interpreter> {
    for attempt in 0..2 {
        let (status, out) = commands.output(Command::new(uv).args(["python", "find", wanted])).await.ok()?;
        if status.success() {
            return probe(commands, Path::new(out.trim())).await;
        }
        if attempt == 0 {
            commands.run(Command::new(uv).args(["python", "install", wanted]), None).await.ok()?;
        }
    }
    None
}

/// One build under its lock.
struct Build<'a> {
    commands: &'a Commands<'a>,
    lock: &'a File,
    uv: Option<PathBuf>,
    venv: PathBuf,
    /// What the installer remembers of the index does not count.
    anew: bool,
    source: &'a Path,
}

impl Build<'_> {
    fn python(&self) -> PathBuf {
        self.venv.join("bin").join("python")
    }

    async fn run(&self, command: &mut Command) -> Result<bool, Reason> {
        match self.commands.run(command.current_dir(self.source), Some(self.lock)).await {
            Ok(Ended::Exit(status)) => Ok(status.success()),
            Ok(Ended::TimedOut) => Err(self.too_long()),
            Err(e) => Err(broken("run the installer", &e)),
        }
    }

    fn too_long(&self) -> Reason {
        let limit = self.commands.timeout.as_secs();
        let last = self.commands.last_lines(1);
        Reason::new(
            code::BUILD_TIMEOUT,
            format!("the environment was not built within {limit} s; last it said: {last}"),
        )
    }

    /// Makes the virtual environment; returns its packages and what did not go well.
    async fn make(
        &self,
        interpreter: &Interpreter,
        requirements: Option<&Requirements>,
        folder: &Path,
    ) -> Result<(Vec<String>, Vec<String>), Reason> {
        self.create(interpreter).await?;
        let mut warnings = Vec::new();
        if let Some(requirements) = requirements {
            let list = folder.join("requirements.txt");
            let constraints = folder.join("constraints.txt");
            fs::write(&list, requirements.text())
                .and_then(|()| fs::write(&constraints, requirements.constraints.join("\n")))
                .map_err(|e| broken("write the requirements", &e))?;
            warnings = self.install(requirements, &list, &constraints).await?;
        }
        Ok((self.freeze().await, warnings))
    }

    async fn create(&self, interpreter: &Interpreter) -> Result<(), Reason> {
        let before = self.commands.log_length();
        self.commands.say(&format!("making an environment with Python {}", interpreter.version));
        let made = match &self.uv {
            Some(uv) => {
                self.run(Command::new(uv).args(["venv", "--quiet", "--python"]).arg(&interpreter.path).arg(&self.venv))
                    .await?
            }
            None => self.run(Command::new(&interpreter.path).args(["-m", "venv"]).arg(&self.venv)).await?,
        };
        if made {
            return Ok(());
        }
        let what = format!("Python {} cannot make a virtual environment", interpreter.version);
        let text = self.commands.log_since(before);
        Err(diagnose::reason(&what, diagnose::installer(&text), &text))
    }

    fn installer(&self) -> Command {
        if let Some(uv) = &self.uv {
            let mut command = Command::new(uv);
            command.args(["pip", "install", "--compile-bytecode", "--python"]).arg(self.python());
            if self.anew {
                command.arg("--refresh");
            }
            command
        } else {
            let mut command = Command::new(self.python());
            command.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
            command.args(["--progress-bar", "off"]);
            command
        }
    }

    /// Installs the list; returns what a frozen list asked for in vain.
    async fn install(
        &self,
        requirements: &Requirements,
        list: &Path,
        constraints: &Path,
    ) -> Result<Vec<String>, Reason> {
        let before = self.commands.log_length();
        if self.run(self.installer().arg("-r").arg(list).arg("-c").arg(constraints)).await? {
            return Ok(Vec::new());
        }
        let text = self.commands.log_since(before);
        let found = diagnose::installer(&text);
        if requirements.origin == Origin::Source || diagnose::is_of_all(found.0) {
            return Err(diagnose::reason("the requirements cannot be installed", found, &text));
        }
        self.commands.say("the list as a whole cannot be installed; trying its packages one by one");
        let mut failed = Vec::new();
        for line in &requirements.lines {
            let words = requirements.options.iter().flat_map(|o| o.split(' '));
            let before = self.commands.log_length();
            if self.run(self.installer().args(words).arg(line)).await? {
                continue;
            }
            let text = self.commands.log_since(before);
            let found = diagnose::installer(&text);
            if diagnose::is_of_all(found.0) {
                return Err(diagnose::reason("the requirements cannot be installed", found, &text));
            }
            failed.push(line.clone());
        }
        if failed.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![format!("packages of the job's frozen list that cannot be installed here: {}", failed.join(", "))])
    }

    async fn freeze(&self) -> Vec<String> {
        let mut command = if let Some(uv) = &self.uv {
            let mut command = Command::new(uv);
            command.args(["pip", "freeze", "--python"]).arg(self.python());
            command
        } else {
            let mut command = Command::new(self.python());
            command.args(["-m", "pip", "freeze", "--disable-pip-version-check"]);
            command
        };
        match self.commands.output(&mut command).await {
            Ok((status, out)) if status.success() => out.lines().map(str::to_owned).filter(|l| !l.is_empty()).collect(),
            _ => Vec::new(),
        }
    }
}
