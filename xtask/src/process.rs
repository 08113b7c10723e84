//! A program that runs beside us and is ended when its handle is dropped, whatever happens.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// A program in the background with its output in a file.
pub(crate) struct Background {
    name: &'static str,
    child: Child,
    log: PathBuf,
    signals: &'static [&'static str],
}

impl Background {
    /// Starts the command with stdout and stderr in `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_path_buf(), signals: &["TERM"] })
    }

    /// Says by which signals it is asked to end, each a moment after the one before.
    pub(crate) fn ended_by(mut self, signals: &'static [&'static str]) -> Self {
        self.signals = signals;
        self
    }

    /// Waits until a line of the output contains `text` and returns the rest of that line.
    pub(crate) fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let output = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some((_, rest)) = output.split_once(text)
                && let Some((line, _)) = rest.split_once('\n')
            {
                return Ok(line.trim().to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{output}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} did not say `{text}` within {limit:?}:\n{output}", self.name);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and kills it after 25 s. Returns an error in the second case.
    pub(crate) fn stop(&mut self) -> Result<()> {
        for signal in self.signals {
            if self.ends_within(Duration::from_millis(300), signal)? {
                return Ok(());
            }
        }
        if self.ends_within(Duration::from_secs(25), "0")? {
            return Ok(());
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("{} did not end within 25 s of {}:\n{}", self.name, self.signals.join(", "), self.output())
    }

    /// Sends a signal (0 sends none) and looks for its end.
    fn ends_within(&mut self, limit: Duration, signal: &str) -> Result<bool> {
        if self.child.try_wait()?.is_none() {
            // The standard library sends SIGKILL only.
            let id = self.child.id().to_string();
            Command::new("kill").args(["-s", signal, &id]).status().context("cannot start `kill`")?;
        }
        let deadline = Instant::now() + limit;
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            println!("    {error:#}");
        }
    }
}

/// A folder below the temporary folder that is removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder. `name` and our process id make it unique.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            println!("    cannot remove {}: {error}", self.0.display());
        }
    }
}
