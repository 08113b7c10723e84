//! One real job over the whole path: tracked, turned into a job, launched through a queue, and its metrics read back.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    http::Rest,
    process::{Background, Scratch},
    python::Environment,
    root,
    step::{call, skip, step},
};

const USER: &str = "demo";
const PROJECT: &str = "digits";

/// What the command line asked for.
pub(crate) struct Options {
    release: bool,
    keep: bool,
}

impl Options {
    /// Reads the words after `demo`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { release: false, keep: false };
        for word in words {
            match *word {
                "--release" => options.release = true,
                "--keep" => options.keep = true,
                other => bail!("`demo` has no option `{other}`"),
            }
        }
        Ok(options)
    }
}

/// Runs the demo. All that it starts is ended and all that it writes is removed, but for `target/` and `.cache/`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let binary = root().join("target").join(if options.release { "release" } else { "debug" }).join("lanza");
    step("build lanza", || {
        let mut command = Command::new("cargo");
        command.args(["build", "--locked", "-p", "lanza"]).current_dir(root());
        if options.release {
            command.arg("--release");
        }
        call(&mut command, "the compiler says why")
    })?;
    let source = root().join("examples").join("digits");
    let python = step("Python environment of examples/digits", || {
        Environment::ready("digits", &[&source.join("requirements.txt"), &root().join("xtask/requirements.txt")])
    })?;
    let scratch = Scratch::new("lanza-demo")?;
    let stage = step("start `lanza server` and `lanza agent`", || Stage::open(&binary, &python, &scratch))?;

    let job_folder = scratch.path().join("digits");
    copy(&source, &job_folder)?;
    step("1. run the script directly, tracked by wandb", || {
        let mut command = stage.client("python", &job_folder);
        command.arg("train.py").env("WANDB_PROJECT", PROJECT).env("WANDB_NAME", "direct");
        call(&mut command, "the script's own output says why")
    })?;
    step("2. make a job of the folder with `wandb job create code`", || {
        let arguments =
            ["job", "create", "code", ".", "-p", PROJECT, "-e", USER, "-n", "digits", "-E", "python train.py"];
        call(stage.client("wandb", &job_folder).args(arguments), "the client's own output says why")
    })?;
    step("3. launch it through the queues, with other learning rates", || {
        stage.launch("process", "process-1", 0.003)?;
        stage.launch("process", "process-2", 0.01)?;
        if stage.docker {
            stage.launch("docker", "docker-1", 0.03)?;
        }
        Ok(())
    })?;
    step("4. read the results from the server", || stage.table())?;
    if options.keep {
        println!("\nThe server is up at {} (user {USER}). Enter ends it.", stage.url());
        io::stdin().read_line(&mut String::new())?;
    }
    step("stop agent and server", || stage.close())
}

/// A server, an agent and the environment that a person at this server has.
struct Stage<'a> {
    // In this order: the agent ends before its server.
    agent: Background,
    server: Background,
    python: &'a Environment,
    home: &'a Path,
    port: u16,
    key: String,
    docker: bool,
}

impl<'a> Stage<'a> {
    fn open(binary: &Path, python: &'a Environment, scratch: &'a Scratch) -> Result<Self> {
        let home = scratch.path();
        let token = format!("demo-{}", std::process::id());
        let begin = Instant::now();
        let mut command = Command::new(binary);
        command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(home.join("data"));
        command.env("LANZA_ADMIN_TOKEN", &token).env("HOME", home);
        let mut server = Background::start("lanza server", &mut command, &home.join("server.log"))?;
        let address = server.wait_for("listening on http://", Duration::from_secs(30))?;
        println!("    the server listens on {address} after {} ms", begin.elapsed().as_millis());
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).context("the address has a port")?;

        let made = Rest::new(port, &token).post("/admin/users", &json!({"username": USER}))?;
        let key = made["api_key"].as_str().context("a new user has a key")?.to_owned();
        let rest = Rest::new(port, &key);
        let docker = docker_answers()?;
        rest.post(&format!("/entities/{USER}/queues"), &json!({"name": "process", "target": "process"}))?;
        let mut queues = vec!["-q", "process"];
        if docker {
            rest.post(&format!("/entities/{USER}/queues"), &json!({"name": "docker", "target": "docker"}))?;
            queues.extend(["-q", "docker"]);
        }
        let mut command = Command::new(binary);
        command.arg("agent").args(["-e", USER, "--state"]).arg(home.join("agent")).args(queues);
        for (name, value) in environment(python, home, port, &key) {
            command.env(name, value);
        }
        // The second interrupt stops its jobs too: nothing must live on when the demo breaks off.
        let agent = Background::start("lanza agent", &mut command, &home.join("agent.log"))?.ended_by(&["INT", "INT"]);
        let stage = Self { agent, server, python, home, port, key, docker };
        stage.wait("the agent to poll", Duration::from_secs(20), || {
            let agents = rest.list(&format!("/entities/{USER}/agents"))?;
            Ok((!agents.is_empty()).then_some(()))
        })?;
        Ok(stage)
    }

    fn url(&self) -> String {
        // A container reaches a server on this machine under this name.
        format!("http://localhost:{}", self.port)
    }

    fn rest(&self) -> Rest {
        Rest::new(self.port, &self.key)
    }

    /// A program of the Python environment, as the person who owns the key.
    fn client(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.python.program(program));
        command.current_dir(folder).stdin(Stdio::null());
        for (name, value) in environment(self.python, self.home, self.port, &self.key) {
            command.env(name, value);
        }
        command
    }

    /// Pushes one launch with the client's command and waits for its end.
    fn launch(&self, queue: &str, name: &str, learning_rate: f64) -> Result<()> {
        let before = self.items(queue)?.len();
        let config = json!({"overrides": {"run_config": {"learning_rate": learning_rate}}}).to_string();
        let job = format!("{USER}/{PROJECT}/digits:latest");
        let arguments = ["launch", "-q", queue, "-j", &job, "-p", PROJECT, "-e", USER, "--name", name, "-c", &config];
        call(self.client("wandb", self.home).args(arguments), "the client's own output says why")?;
        let item = self.wait("the item to end", Duration::from_secs(600), || {
            if let Some(reason) = self.gone() {
                bail!(reason);
            }
            let items = self.items(queue)?;
            if items.len() <= before {
                bail!("`wandb launch` pushed nothing to the queue `{queue}`");
            }
            let newest = items.into_iter().max_by_key(|item| item["created_at"].to_string());
            Ok(newest.filter(|item| matches!(item["state"].as_str(), Some("finished" | "failed" | "stopped"))))
        })?;
        let id = item["id"].as_str().unwrap_or_default();
        // Lists leave the attempts out.
        let item = self.rest().get(&format!("/items/{id}"))?["item"].clone();
        println!("    item {id} on `{queue}`: {}, {}", word(&item["state"]), phases(&item));
        if item["state"] != "finished" {
            bail!("item {id} has not finished: {}\n{}", item["reason"], self.agent.output());
        }
        Ok(())
    }

    fn items(&self, queue: &str) -> Result<Vec<Value>> {
        self.rest().list(&format!("/items?entity={USER}&queue={queue}"))
    }

    /// The reason why nothing will happen any more, if there is one.
    fn gone(&self) -> Option<String> {
        let text = self.server.output();
        text.contains("panicked at").then(|| format!("the server has failed:\n{text}"))
    }

    /// Prints the runs. Every figure comes from the native API.
    fn table(&self) -> Result<()> {
        let rest = self.rest();
        let mut runs = rest.list(&format!("/entities/{USER}/projects/{PROJECT}/runs"))?;
        runs.sort_by_key(|run| run["created_at"].to_string());
        let expected = if self.docker { 4 } else { 3 };
        if runs.len() != expected {
            bail!("the server has {} runs, {expected} were started", runs.len());
        }
        let mut rows = vec![
            ["run", "name", "target", "learning_rate", "loss", "accuracy", "state", "push to start"].map(str::to_owned),
        ];
        for run in &runs {
            let item = match run["item"].as_str() {
                Some(id) => rest.get(&format!("/items/{id}"))?["item"].clone(),
                None => Value::Null,
            };
            let accuracy = run["summary"]["accuracy"].as_f64().context("each run has an accuracy")?;
            rows.push([
                word(&run["id"]),
                word(&run["name"]),
                item["target"].as_str().unwrap_or("direct").to_owned(),
                word(&run["config"]["learning_rate"]),
                run["summary"]["loss"].as_f64().map_or_else(String::new, |loss| format!("{loss:.4}")),
                format!("{accuracy:.4}"),
                word(&run["state"]),
                start_delay(&item).unwrap_or_default(),
            ]);
        }
        print_rows(&rows);
        println!("\n    {}/{USER}/{PROJECT}", self.url());
        Ok(())
    }

    fn close(mut self) -> Result<()> {
        self.agent.stop()?;
        self.server.stop()
    }

    fn wait<T>(&self, what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!(
                    "waited {limit:?} for {what}\nagent:\n{}\nserver:\n{}",
                    self.agent.output(),
                    self.server.output()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What the demo's programs see. Downloaded packages stay in `.cache/`, so that the next demo is quick.
fn environment(python: &Environment, home: &Path, port: u16, key: &str) -> Vec<(&'static str, String)> {
    let inside = |name: &str| home.join(name).display().to_string();
    let cache = |name: &str| root().join(".cache").join(name).display().to_string();
    vec![
        ("WANDB_BASE_URL", format!("http://localhost:{port}")),
        ("WANDB_API_KEY", key.to_owned()),
        ("WANDB_DIR", inside("")),
        ("WANDB_CONFIG_DIR", inside("config")),
        ("WANDB_CACHE_DIR", inside("cache")),
        ("WANDB_DATA_DIR", inside("staging")),
        ("WANDB_ERROR_REPORTING", "false".to_owned()),
        ("HOME", inside("")),
        ("XDG_CACHE_HOME", inside("cache")),
        ("UV_CACHE_DIR", std::env::var("UV_CACHE_DIR").unwrap_or_else(|_| cache("uv"))),
        ("PIP_CACHE_DIR", std::env::var("PIP_CACHE_DIR").unwrap_or_else(|_| cache("pip"))),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("NO_PROXY", "localhost,127.0.0.1".to_owned()),
        ("PATH", python.search_path()),
    ]
}

/// The milliseconds between the push and the begin of phase `run`, both by the server's records.
fn start_delay(item: &Value) -> Option<String> {
    let run = item["attempts"].as_array()?.last()?["phases"].as_array()?.iter().find(|phase| phase["name"] == "run")?;
    let delay = millis(run["started_at"].as_str()?)? - millis(item["created_at"].as_str()?)?;
    let built = item["environment"]["cached"].as_bool() == Some(false);
    Some(format!("{delay} ms{}", if built { " (environment built)" } else { "" }))
}

/// Milliseconds of a time like `2026-01-31T12:34:56.789Z` since the year 0, by the civil calendar.
fn millis(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Years begin in March here, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let seconds = (days * 24 + number(11..13)?) * 3600 + number(14..16)? * 60 + number(17..19)?;
    Some(seconds * 1000 + number(20..23).unwrap_or(0))
}

fn phases(item: &Value) -> String {
    let attempts = item["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let phases =
        attempts.last().and_then(|attempt| attempt["phases"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let spent = phases.iter().filter_map(|phase| {
        let spent = millis(phase["ended_at"].as_str()?)? - millis(phase["started_at"].as_str()?)?;
        Some(format!("{} {spent} ms", word(&phase["name"])))
    });
    spent.collect::<Vec<_>>().join(", ")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn print_rows<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) {
    let widths: Vec<usize> =
        (0..COLUMNS).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("    {}", cells.join("  ").trim_end());
    }
}

fn docker_answers() -> Result<bool> {
    let quiet = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let answers = quiet.is_ok_and(|status| status.success());
    if !answers {
        skip("docker", "no Docker engine answers here")?;
    }
    Ok(answers)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn times_differ_by_the_calendar() {
        let between = |a, b| millis(b).expect("a time") - millis(a).expect("a time");
        assert_eq!(between("2026-01-31T23:59:59.900Z", "2026-02-01T00:00:00.100Z"), 200);
        assert_eq!(between("2024-02-28T00:00:00.000Z", "2024-03-01T00:00:00.000Z"), 2 * 86_400_000);
        assert_eq!(between("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"), 1000);
        assert!(millis("yesterday").is_none());
    }
}
