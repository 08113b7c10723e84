//! Virtual environments below `.cache/`, made once for each text of requirements.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    root,
    step::{call, capture},
};

/// A virtual environment with packages in it.
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Finds the environment `name` or makes it. It is made anew when the requirements or the Python have changed.
    pub(crate) fn ready(name: &str, requirements: &[&Path]) -> Result<Self> {
        let python = interpreter()?;
        let folder = root().join(".cache").join(name);
        let mut wanted = format!("{}\n", python.version);
        for file in requirements {
            wanted += &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        let stamp = folder.join("lanza-requirements.txt");
        let environment = Self { folder };
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && environment.program("python").exists() {
            println!("    .cache/{name} is up to date ({})", python.version);
            return Ok(environment);
        }
        if environment.folder.exists() {
            fs::remove_dir_all(&environment.folder).context("cannot remove the old environment")?;
        }
        environment.install(&python.command, requirements)?;
        fs::write(&stamp, wanted)?;
        Ok(environment)
    }

    fn install(&self, python: &str, requirements: &[&Path]) -> Result<()> {
        let hint = "look at the lines above; a package index must be reachable";
        let mut install = if answers("uv") {
            call(Command::new("uv").args(["venv", "--quiet", "--python", python]).arg(&self.folder), hint)?;
            let mut command = Command::new("uv");
            command.args(["pip", "install", "--quiet", "--python"]).arg(self.program("python"));
            command
        } else {
            let hint = "on Debian: apt-get install python3-venv";
            call(Command::new(python).args(["-m", "venv"]).arg(&self.folder), hint)?;
            let mut command = Command::new(self.program("python"));
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            command
        };
        for file in requirements {
            install.arg("-r").arg(file);
        }
        call(&mut install, hint)
    }

    /// Path of a program in it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The search path with its programs first.
    pub(crate) fn search_path(&self) -> String {
        let before = std::env::var("PATH").unwrap_or_default();
        format!("{}:{before}", self.folder.join("bin").display())
    }
}

struct Interpreter {
    command: String,
    version: String,
}

/// The first Python of 3.11 or newer. Version 3.11 comes first: it is what most base images have.
fn interpreter() -> Result<Interpreter> {
    let named = std::env::var("LANZA_PYTHON").ok();
    let known = ["python3.11", "python3.12", "python3.13", "python3"].map(str::to_owned);
    let candidates = named.clone().map_or_else(|| known.to_vec(), |name| vec![name]);
    for command in candidates {
        // A shim may be on the path and still have nothing behind it, so each one is asked.
        let Ok(version) = capture(Command::new(&command).arg("--version").stderr(Stdio::null())) else { continue };
        if minor(&version).is_some_and(|minor| minor >= 11) {
            return Ok(Interpreter { command, version: version.trim().to_owned() });
        }
    }
    match named {
        Some(name) => bail!("LANZA_PYTHON is `{name}`, which is not a Python of 3.11 or newer"),
        None => bail!("no Python of 3.11 or newer is on the PATH; on Debian: apt-get install python3 python3-venv"),
    }
}

fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("Python 3.")?.split('.').next()?.parse().ok()
}

/// Whether a command can be started at all.
pub(crate) fn answers(command: &str) -> bool {
    let quiet = Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
