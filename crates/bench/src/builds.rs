//! From a push to the first instruction of the job, after nothing, the code, or the dependencies changed; ours beside the
//! unmodified `wandb launch-agent`, on plain processes and on Docker.
//!
//! All four pairs of agent and target serve queues of one server and run the same job versions one after the other, so what
//! else the machine does meets all of them alike. A job tells the time of its first instruction over a socket.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lanza_api::{Client, item::ItemAnswer, queue::QueueAnswer};
use lanza_model::clock::{Clock as _, SystemClock};
use serde_json::json;

use crate::{
    dispatch::precise_now_ms,
    report::{Report, percentile},
    stage::{Program, Server},
};

/// A build with packages from an index may take this long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Small packages without needs of their own, and their versions; each round takes the next pair.
const EDITS: &[&str] =
    &["six==1.16.0", "six==1.15.0", "six==1.14.0", "toml==0.10.2", "toml==0.10.1", "idna==3.7", "idna==3.6"];
/// The stock agent looks for work every ten seconds. Pushes are spread over that time, so that no look is met or missed
/// more often than chance has it.
const SPREAD_SECONDS: f64 = 10.0;
const STEP_SECONDS: f64 = 3.7;

const CASES: [&str; 3] = ["dependency edit", "code-only edit", "unchanged"];
const PAIRS: [(&str, &str); 4] = [("lanza", "process"), ("wandb", "process"), ("lanza", "docker"), ("wandb", "docker")];

/// Milliseconds of one launch: from the push, and from the lease, to the first instruction.
type Times = (f64, f64);

pub(crate) async fn measure(binary: &Path, wandb: &Path, rounds: usize, report: &mut Report) -> Result<()> {
    if rounds >= EDITS.len() {
        bail!("at most {} rounds: each has packages of its own", EDITS.len() - 1);
    }
    let wandb = wandb_program(wandb)?;
    let server = Server::start(binary, "builds", None)?;
    let folder = server.scratch.path().to_owned();
    let key = server.user("bench").await?;
    let client = server.client(&key)?;
    // Containers of both agents take the host's network where the server is called so.
    let url = server.url.replace("127.0.0.1", "localhost");
    for (agent, target) in PAIRS {
        let queue = json!({"name": format!("{agent}-{target}"), "target": target});
        let _: QueueAnswer = client.post("/entities/bench/queues", &queue).await?;
    }
    let starts = Starts::listen()?;
    let maker = Maker::new(wandb, &folder, url, key);
    maker.write_code(starts.port, 0)?;
    let _agents = maker.agents(binary, &["lanza-process", "lanza-docker"], &["wandb-process", "wandb-docker"])?;

    let mut times: HashMap<(usize, usize), Vec<Times>> = HashMap::new();
    let mut pushes = 0;
    // The first round makes everything warm that is made once: base images, caches of packages, the interpreters.
    for (round, needs) in EDITS.iter().enumerate().take(rounds + 1) {
        for (case, what) in CASES.iter().enumerate() {
            match *what {
                "dependency edit" => maker.write_needs(needs)?,
                "code-only edit" => maker.write_code(starts.port, round + 1)?,
                _ => {}
            }
            if *what != "unchanged" {
                maker.make()?;
            }
            for (pair, (agent, target)) in PAIRS.iter().enumerate() {
                let wait = (f64::from(pushes) * STEP_SECONDS) % SPREAD_SECONDS;
                tokio::time::sleep(Duration::from_secs_f64(wait)).await;
                pushes += 1;
                let took = launch(&client, &format!("{agent}-{target}"), &maker.name(), &starts).await?;
                eprintln!("   round {round}, {what}, {agent} on {target}: {:.0} ms, {:.0} ms", took.0, took.1);
                if round > 0 {
                    times.entry((case, pair)).or_default().push(took);
                }
            }
        }
    }
    for (case, what) in CASES.iter().enumerate() {
        for target in ["process", "docker"] {
            let row: Vec<String> = PAIRS
                .iter()
                .enumerate()
                .filter(|(_, (_, t))| *t == target)
                .map(|(pair, (agent, _))| figure(agent, &times[&(case, pair)]))
                .collect();
            report.note(&format!("{what}, {target}, push → process started"), row.join("; "));
        }
    }
    Ok(())
}

/// An unchanged job on plain processes, by our agent and by the client's in turn: from the push to its first instruction.
pub(crate) async fn beside(binary: &Path, wandb: &Path, launches: usize, report: &mut Report) -> Result<()> {
    let wandb = wandb_program(wandb)?;
    let server = Server::start(binary, "beside", None)?;
    let folder = server.scratch.path().to_owned();
    let key = server.user("bench").await?;
    let client = server.client(&key)?;
    let queues = ["lanza-process", "wandb-process"];
    for queue in queues {
        let queue = json!({"name": queue, "target": "process"});
        let _: QueueAnswer = client.post("/entities/bench/queues", &queue).await?;
    }
    let starts = Starts::listen()?;
    let maker = Maker::new(wandb, &folder, server.url.replace("127.0.0.1", "localhost"), key);
    maker.write_needs(EDITS[0])?;
    maker.write_code(starts.port, 0)?;
    maker.make()?;
    let _agents = maker.agents(binary, &queues[..1], &queues[1..])?;
    let mut times: [Vec<Times>; 2] = Default::default();
    // The first launch of each makes its environment and is not counted.
    for number in 0..=launches {
        for (agent, queue) in queues.iter().enumerate() {
            let wait = (number as f64 * STEP_SECONDS) % SPREAD_SECONDS;
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            let took = launch(&client, queue, &maker.name(), &starts).await?;
            if number > 0 {
                times[agent].push(took);
            }
        }
    }
    for (agent, times) in ["`lanza agent`", "`wandb launch-agent`"].iter().zip(times) {
        let of = |of: fn(&Times) -> f64, percent: f64| {
            let mut all: Vec<f64> = times.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            percentile(&all, percent) / 1e3
        };
        report.note(
            &format!("push → first instruction, {agent}, p50 and p95 of {launches}; from the lease"),
            format!(
                "{:.2} s, {:.2} s; {:.2} s, {:.2} s",
                of(|t| t.0, 50.0),
                of(|t| t.0, 95.0),
                of(|t| t.1, 50.0),
                of(|t| t.1, 95.0)
            ),
        );
    }
    Ok(())
}

/// Median, least and greatest from the push, and the median from the lease.
fn figure(agent: &str, times: &[Times]) -> String {
    let sorted = |of: fn(&Times) -> f64| {
        let mut all: Vec<f64> = times.iter().map(|t| of(t) / 1e3).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (push, lease) = (sorted(|t| t.0), sorted(|t| t.1));
    let middle = |all: &[f64]| all[all.len() / 2];
    format!(
        "{agent} {:.2} s ({:.2} to {:.2}; from the lease {:.2})",
        middle(&push),
        push[0],
        push[push.len() - 1],
        middle(&lease)
    )
}

/// The path of the `wandb` command, which may be given by name.
fn wandb_program(given: &Path) -> Result<PathBuf> {
    if given.components().count() > 1 {
        return given.canonicalize().with_context(|| format!("{} is not there", given.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(given)).find(|file| file.is_file());
    found.with_context(|| format!("{} is not on the PATH; name it with --wandb", given.display()))
}

/// Makes versions of the one job.
struct Maker {
    wandb: PathBuf,
    folder: PathBuf,
    url: String,
    key: String,
    /// The job's name and its requirements carry it.
    mark: i64,
}

impl Maker {
    fn new(wandb: PathBuf, folder: &Path, url: String, key: String) -> Self {
        Self { wandb, folder: folder.to_owned(), url, key, mark: SystemClock.now().0 }
    }

    /// Starts our agent and the client's, each for its queues.
    fn agents(&self, binary: &Path, ours: &[&str], theirs: &[&str]) -> Result<[Program; 2]> {
        let mut lanza = Command::new(binary);
        lanza.args(["agent", "--state"]).arg(self.folder.join("agent")).env("LANZA_LOG", "warn");
        let mut wandb = Command::new(&self.wandb);
        wandb.args(["launch-agent", "-e", "bench"]);
        for (command, queues) in [(&mut lanza, ours), (&mut wandb, theirs)] {
            command.args(queues.iter().flat_map(|queue| ["-q", queue]));
            self.environment(command);
        }
        Ok([
            Program::start(&mut lanza, &self.folder, "lanza-agent")?,
            Program::start(&mut wandb, &self.folder, "wandb-agent")?,
        ])
    }

    fn environment(&self, command: &mut Command) {
        // The stock agent runs plain processes in its own Python.
        let mut path = self.wandb.parent().expect("a program lies in a folder").as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .env("PATH", path)
            .env("WANDB_BASE_URL", &self.url)
            .env("WANDB_API_KEY", &self.key)
            .env("HOME", &self.folder)
            .env("WANDB_DIR", &self.folder)
            .env("WANDB_ERROR_REPORTING", "false");
    }

    fn source(&self) -> Result<PathBuf> {
        let source = self.folder.join("source");
        fs::create_dir_all(&source)?;
        Ok(source)
    }

    fn write_needs(&self, edit: &str) -> Result<()> {
        // A condition that is always met and that no earlier run had, so that nothing of one is found again.
        let text = format!("wandb==0.31.0\n{edit}; python_full_version != '9.{}'\n", self.mark);
        Ok(fs::write(self.source()?.join("requirements.txt"), text)?)
    }

    fn write_code(&self, port: u16, edit: usize) -> Result<()> {
        // The clock is read first. The stock agent takes a job that never calls `init` for a failure and waits for a minute.
        let code = format!(
            "import time\nnow = time.time_ns()\nimport os, socket\n\
             s = socket.create_connection(('127.0.0.1', {port}))\n\
             s.sendall((os.environ['WANDB_LAUNCH_TRACE_ID'] + ' ' + str(now)).encode())\ns.close()\n\
             import wandb\nwandb.init(config={{'edit': {edit}}}).finish()\n"
        );
        Ok(fs::write(self.source()?.join("train.py"), code)?)
    }

    fn name(&self) -> String {
        format!("edited-{}", self.mark)
    }

    fn make(&self) -> Result<()> {
        let mut command = Command::new(&self.wandb);
        command.args(["job", "create", "code", ".", "-p", "bench", "-e", "bench", "-E", "python train.py", "-n"]);
        command.arg(self.name());
        self.environment(&mut command);
        let made = command.current_dir(self.source()?).output()?;
        if !made.status.success() {
            bail!("the job cannot be made: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(())
    }
}

/// Takes the times that jobs tell.
struct Starts {
    port: u16,
    told: Arc<Mutex<HashMap<String, f64>>>,
}

impl Starts {
    fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let told = Arc::new(Mutex::new(HashMap::new()));
        let write = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut text = String::new();
                let read = stream.and_then(|mut stream| stream.read_to_string(&mut text));
                if let (Ok(_), Some((item, ns))) = (read, text.split_once(' ')) {
                    let ms = ns.parse::<f64>().unwrap_or(f64::NAN) / 1e6;
                    write.lock().expect("nobody panics with it").insert(item.to_owned(), ms);
                }
            }
        });
        Ok(Self { port, told })
    }

    fn of(&self, item: &str) -> Option<f64> {
        self.told.lock().expect("nobody panics with it").get(item).copied()
    }
}

/// Pushes an item and waits for its good end.
async fn launch(client: &Client, queue: &str, job: &str, starts: &Starts) -> Result<Times> {
    let body = json!({"job": format!("bench/bench/{job}:latest"), "project": "bench"});
    let pushed_ms = precise_now_ms();
    let answer: ItemAnswer = client.post(&format!("/entities/bench/queues/{queue}/items"), &body).await?;
    let id = answer.item.id;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let item = client.get::<ItemAnswer>(&format!("/items/{id}")).await?.item;
        if item.state.is_ended() {
            let started_ms = starts.of(&id).with_context(|| format!("{id} on {queue}: {:?}", item.reason))?;
            if item.exit_code.is_some_and(|code| code != 0) {
                bail!("{id} on {queue} failed: {:?}", item.reason);
            }
            let leased_ms = item.leased_at.context("it was leased")?.0 as f64;
            return Ok((started_ms - pushed_ms, started_ms - leased_ms));
        }
        if Instant::now() > deadline {
            bail!("{id} on {queue} does not end: {:?}", item.attempts);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
