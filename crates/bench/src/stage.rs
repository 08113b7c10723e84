//! Processes under measurement: started, watched, ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lanza_api::{Client, entity::UserWithKey};
use serde_json::json;

const ADMIN_TOKEN: &str = "bench-admin-token";
/// Clock ticks of `/proc`, fixed by the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// A folder that is removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("lanza-bench-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running program. Ended by SIGTERM when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    /// When it was started.
    pub(crate) started: Instant,
}

impl Program {
    /// Starts `command` with stdout and stderr in files below `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Path, name: &str) -> Result<Self> {
        let log = folder.join(format!("{name}.err"));
        command
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join(format!("{name}.out")))?)
            .stderr(fs::File::create(&log)?);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, log, started })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of stderr that begins with `prefix` and returns its rest.
    pub(crate) fn line(&mut self, prefix: &str) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(&self.log)?;
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            if let Some(rest) = whole.lines().find_map(|l| l.strip_prefix(prefix)) {
                return Ok(rest.to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}):\n{text}");
            }
            if Instant::now() > deadline {
                bail!("it did not say `{prefix}`:\n{text}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Processor time used so far, in seconds, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.id().to_string())
    }

    /// Proportional set size in MB.
    pub(crate) fn pss_mb(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id()))?;
        let kib: f64 = text
            .lines()
            .find_map(|l| l.strip_prefix("Pss:"))
            .and_then(|l| l.trim().trim_end_matches(" kB").trim().parse().ok())
            .context("smaps_rollup has Pss")?;
        Ok(kib * 1024.0 / 1e6)
    }

    pub(crate) fn end(mut self) -> Result<()> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            Command::new("kill").arg(self.id().to_string()).status()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.terminate();
    }
}

/// Processor time of a process (`self` for this one), in seconds.
pub(crate) fn cpu_seconds(process: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold blanks; after it come fields 3 and later.
    let rest = text.rsplit_once(')').context("stat has a name")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// `lanza server` with its own data, or on a Postgres database.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) url: String,
    pub(crate) scratch: Scratch,
}

impl Server {
    pub(crate) fn start(binary: &Path, name: &str, postgres: Option<&str>) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let mut command = Command::new(binary);
        command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(scratch.path().join("data"));
        if let Some(url) = postgres {
            command.args(["--database-url", url]);
        }
        command.env("LANZA_ADMIN_TOKEN", ADMIN_TOKEN).env("HOME", scratch.path()).env("LANZA_LOG", "warn");
        let mut program = Program::start(&mut command, scratch.path(), "server")?;
        let url = program.line("listening on ")?;
        Ok(Self { program, url, scratch })
    }

    /// Makes a user and returns the key.
    pub(crate) async fn user(&self, name: &str) -> Result<String> {
        let admin = Client::new(&self.url, Some(ADMIN_TOKEN.to_owned()))?;
        let made: UserWithKey = admin.post("/admin/users", &json!({ "username": name })).await?;
        Ok(made.api_key)
    }

    pub(crate) fn client(&self, key: &str) -> Result<Client> {
        Ok(Client::new(&self.url, Some(key.to_owned()))?)
    }
}
