//! The command line: every type that clap reads. Their comments are the help texts.

mod job;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use job::{JobCommand, JobCreate, JobDescribe, JobDiff, JobKind, OneJob};

/// Run ML jobs on your own machines: server, agent and command line in one.
#[derive(Debug, Parser)]
#[command(name = "lanza", version, propagate_version = false, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Server(Server),
    /// Run server and agent together on this machine, ready to use.
    Dev(Dev),
    /// Run an agent, or look after the agents of an entity.
    #[command(args_conflicts_with_subcommands = true)]
    Agent(Agent),
    /// Check a key with the server and keep it in `.netrc`.
    Login(Login),
    /// Say who you are to the server.
    Whoami(Whoami),
    /// Put a job or an image on a queue.
    Launch(Launch),
    /// Look after queues.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look after items: what was launched and what became of it.
    #[command(subcommand)]
    Item(ItemCommand),
    /// Look at runs.
    #[command(subcommand)]
    Run(RunCommand),
    /// Make jobs and look at them.
    #[command(subcommand)]
    Job(JobCommand),
    /// List the projects of an entity.
    List(List),
    /// Look after users and teams, as an admin of the server.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Print what was used: wall, CPU and GPU hours by user, queue, project or job.
    Usage(Usage),
    /// Print what happened: who did what to which object.
    Events(Events),
    /// Explain an error code, a word or an LZ number; without one, list all.
    Explain {
        /// `queue_not_found` or `LZ0012`, for instance.
        code: Option<String>,
    },
    /// Look for what is wrong with this machine and the server, and say what to do.
    Doctor,
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  lanza completion bash > ~/.local/share/bash-completion/completions/lanza")]
    Completion {
        /// Shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
    /// The process around one local workload; agents start it.
    #[command(hide = true)]
    Supervise {
        /// Folder of the attempt.
        folder: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  lanza server
  lanza server --listen 0.0.0.0:8080 --data /srv/lanza
  lanza server --database-url postgres://lanza@db/lanza --blobs s3://bucket/lanza

The first start of an empty store makes the user `owner` and says once how to log in, unless
LANZA_ADMIN_TOKEN is set: then that token may use the admin API.")]
pub(crate) struct Server {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Folder of the database and the files [default: lanza in the XDG data folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Postgres database, postgres://…; without it SQLite in the data folder.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Object store for files, s3://…, gs://… or az://…; without it the data folder.
    #[arg(long, value_name = "URL")]
    pub(crate) blobs: Option<String>,
    /// Send downloads through this server, for clients that cannot reach the object store.
    #[arg(long, requires = "blobs")]
    pub(crate) no_blob_links: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example:
  lanza dev > env.sh & sleep 1; source env.sh
  python train.py
  wandb launch -q default -j dev/uncategorized/my-job

stdout is three `export` lines and nothing else.")]
pub(crate) struct Dev {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Folder of the data [default: lanza-dev in the XDG data folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where jobs run.
    #[arg(long, value_enum, default_value_t = DevTarget::Both)]
    pub(crate) target: DevTarget,
    /// How many agents to run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=64))]
    pub(crate) agents: u16,
    #[command(flatten)]
    pub(crate) seed: Seed,
}

/// What `lanza dev` is filled with.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Seed {
    /// Fill a new data folder with a month of a made-up team; the same number gives the same month.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) seed: Option<u64>,
    /// Runs of the project `many-runs` that the seed adds.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "seed", hide_default_value = true)]
    pub(crate) seed_runs: u32,
    /// Summary keys of each of them.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "seed")]
    pub(crate) seed_keys: u32,
    /// Steps of each run of the project `long-runs` that the seed adds, with ten keys each.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "seed", hide_default_value = true)]
    pub(crate) seed_steps: u32,
    /// How many runs of `long-runs`.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "seed")]
    pub(crate) seed_long_runs: u32,
    /// Lines of the log of a run `long-log` and of an item of the queue `bulk` that the seed adds.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "seed", hide_default_value = true)]
    pub(crate) seed_log_lines: u32,
}

/// Targets of `lanza dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DevTarget {
    /// Processes of this machine, on queue `default`.
    Process,
    /// Containers, on queue `default`.
    Docker,
    /// Processes on queue `default`, and containers on queue `docker` where Docker answers.
    Both,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  lanza agent -q gpu -j 4
  lanza agent -e acme -q gpu -q cpu -c launch-config.yaml

Queues and entity may come from the file. Flags win over WANDB_ENTITY and WANDB_LAUNCH_MAX_JOBS, and
those over the file. SIGTERM ends the agent and leaves its jobs to the next one; the first Ctrl-C waits
for the jobs, the second stops them.")]
pub(crate) struct Agent {
    #[command(subcommand)]
    pub(crate) command: Option<AgentCommand>,
    /// Queue to serve; may be repeated [default: default].
    #[arg(short, long = "queue", value_name = "QUEUE")]
    pub(crate) queues: Vec<String>,
    /// Entity whose queues it serves [default: that of the key's owner].
    #[arg(short, long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    /// Taken since instructions name it; queues belong to an entity, so it changes nothing.
    #[arg(short, long, value_name = "PROJECT", hide = true)]
    pub(crate) project: Option<String>,
    /// How many items at once; -1 for no limit [default: 1].
    #[arg(short = 'j', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_jobs: Option<i64>,
    /// Agent config [default: wandb/launch-config.yaml in the XDG config folder, if it is there].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the agent's memory; one agent at a time [default: one per server and entity].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// CPUs that it hands out [default: those of the machine].
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<f64>,
    /// Memory that it hands out, for instance 64g [default: that of the machine].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// How many GPUs it hands out, or which (0,1) [default: those that nvidia-smi or rocm-smi shows].
    #[arg(long, value_name = "N|LIST")]
    pub(crate) gpus: Option<String>,
    /// Say more.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// List the agents of an entity, newest first.
    List {
        /// Only those that are alive.
        #[arg(long)]
        alive: bool,
        #[command(flatten)]
        scope: Scope,
    },
    /// Show an agent.
    Show(OneAgent),
    /// Print what an agent says of itself, its last lines.
    Logs(AgentLogs),
    /// Let an agent finish its items, take nothing new, and end.
    Drain(OneAgent),
    /// Let an agent stop its items and end.
    Stop(OneAgent),
    /// Remove environments and images of this machine that no job used lately.
    Prune(AgentPrune),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AgentPrune {
    /// Keep what was used within so many days.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) days: u32,
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Folder of an agent's memory; may be repeated [default: those of all agents of this user].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) print: Print,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AgentLogs {
    #[command(flatten)]
    pub(crate) one: OneAgent,
    /// So many lines at most, up to 1,000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(crate) lines: u16,
    /// Go on with what it says from here.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneAgent {
    /// Id of the agent.
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) owner: Owner,
    #[command(flatten)]
    pub(crate) print: Print,
}

/// Whose an object is that is named by its id. The id says it alone; the entity may be given as everywhere, and is then
/// checked.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Owner {
    /// User or team that it belongs to; the id alone is enough.
    #[arg(short, long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
}

/// How an answer is printed.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Print {
    /// Print the server's answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose things are meant, and how the answer is printed.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Scope {
    /// User or team [default: WANDB_ENTITY, else that of the key's owner].
    #[arg(short, long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    #[command(flatten)]
    pub(crate) print: Print,
}

/// Entity and project.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ProjectScope {
    /// Project [default: WANDB_PROJECT].
    #[arg(short, long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  lanza login                                  asks for the key, or reads it from a pipe
  lanza login --host https://lanza.example.com

Keys are made on the page /authorize of the server.")]
pub(crate) struct Login {
    /// The key; without it one is asked for, or read from stdin.
    pub(crate) key: Option<String>,
    /// Address of the server [default: WANDB_BASE_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Whoami {
    #[command(flatten)]
    pub(crate) print: Print,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  lanza launch -q gpu -j digits/train:latest --set lr=0.01 --wait
  lanza launch -q docker -d python:3.12-slim -p scratch -E \"python -c 'print(1)'\"
  lanza launch -q gpu -j train -R '{\"gpus\": \"all\"}' -P high
  lanza launch -q gpu -j train --plan

stdout is the id of the item. With --wait the exit code tells how it ended: 0 finished, 1 failed,
5 stopped.")]
pub(crate) struct Launch {
    /// Queue.
    #[arg(short, long)]
    pub(crate) queue: String,
    /// Job: NAME, PROJECT/NAME or ENTITY/PROJECT/NAME, with `:ALIAS` or not.
    #[arg(short, long, conflicts_with = "image", required_unless_present_any = ["image", "config"])]
    pub(crate) job: Option<String>,
    /// Image to run, without a job.
    #[arg(short = 'd', long = "docker-image", value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    #[command(flatten)]
    pub(crate) scope: ProjectScope,
    /// Display name of the run.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Command instead of the job's, as a shell would read it.
    #[arg(short = 'E', long, value_name = "COMMAND")]
    pub(crate) entry_point: Option<String>,
    /// For a job of a repository: branch, tag or commit instead of the job's.
    #[arg(short, long, alias = "git-version", value_name = "REF", conflicts_with = "image")]
    pub(crate) git_hash: Option<String>,
    /// Launch spec to begin with: a file or JSON, keys as in the launch API (`overrides`, `resource_args` …).
    #[arg(short, long, value_name = "FILE|JSON")]
    pub(crate) config: Option<String>,
    /// Value for `wandb.config`; JSON if it reads as such, else text. Dots lead into objects.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Value for a template variable of the queue.
    #[arg(short = 'v', long, value_name = "KEY=VALUE")]
    pub(crate) set_var: Vec<String>,
    /// How urgent it is.
    #[arg(short = 'P', long, value_parser = ["critical", "high", "medium", "low"])]
    pub(crate) priority: Option<String>,
    /// Resource arguments of the queue's target: a file or JSON.
    #[arg(short = 'R', long, value_name = "FILE|JSON")]
    pub(crate) resource_args: Option<String>,
    /// Arguments instead of the job's; everything up to the end.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "ARG")]
    pub(crate) args: Vec<String>,
    /// Not to start before this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) not_before: Option<String>,
    /// A second launch with the same key is the same item.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Build the environment anew: requirements without a version get the newest release.
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Only say what would be launched.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Follow the item to its end.
    #[arg(long, conflicts_with = "plan")]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the queues of an entity.
    List {
        #[command(flatten)]
        scope: Scope,
    },
    /// Show a queue.
    Show(OneQueue),
    /// Make a queue.
    #[command(after_help = "\
Examples:
  lanza queue create gpu --target docker --config gpu.yaml
  echo '{\"gpus\": \"all\"}' | lanza queue create gpu -e acme --target docker --config -")]
    Create(QueueSettings),
    /// Change a queue; what is not named stays.
    Update(QueueSettings),
    /// Make the queues of an entity what a file says, which may live in git; nothing else is touched.
    #[command(after_help = "\
Examples:
  lanza queue export > queues.yaml
  lanza queue apply -f queues.yaml --plan      says what would change
  lanza queue apply -f queues.yaml --check     the same, and exits 1 if anything would
  lanza queue apply -f queues.yaml             changes it
  lanza queue apply -f queues.yaml --prune     also deletes the queues that the file does not name

The file is a list of queues with the keys name, target, config, templates, priority, external_links and policy. A queue
that is paused or draining stays so unless its policy says otherwise.")]
    Apply(QueueApply),
    /// Print queues as the file that `apply` takes.
    Export(QueueExport),
    /// Delete a queue; its waiting items end as stopped.
    Delete(OneQueue),
    /// Hand out no items; launches are still taken.
    Pause(OneQueue),
    /// Go on after a pause or a drain.
    Resume(OneQueue),
    /// Take no launches; what waits still runs.
    Drain(OneQueue),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneQueue {
    /// Name of the queue.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QueueApply {
    /// List of queues, YAML or JSON; - reads stdin.
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) file: String,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Only say what would be done, and exit 1 if there is anything to do.
    #[arg(long)]
    pub(crate) check: bool,
    /// Delete the queues that the file does not name; what waits there ends as stopped.
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QueueExport {
    /// Names of queues [default: all].
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QueueSettings {
    /// Name of the queue.
    pub(crate) name: String,
    /// Where its items run: process, docker, kubernetes, sagemaker, vertex or slurm.
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// The target's settings (what stands below `resource_args.<target>`), YAML or JSON; - reads stdin.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) config: Option<String>,
    /// Template variables, YAML or JSON; - reads stdin.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) templates: Option<String>,
    /// Limits and retries, YAML or JSON; - reads stdin.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) policy: Option<String>,
    /// Whether items have a priority.
    #[arg(long, value_enum)]
    pub(crate) priority: Option<Switch>,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ItemCommand {
    /// List items, newest first.
    List(ItemList),
    /// Show an item: its state, attempts, and why it waits or failed.
    Show(OneItem),
    /// Print an item's log, all phases.
    Logs(ItemLogs),
    /// Stop an item.
    Stop(ItemStop),
    /// Launch an ended item's request again, as a new item.
    Retry(ItemRetry),
    /// Wait until an item has ended; the exit code tells how: 0 finished, 1 failed, 5 stopped.
    Wait(OneItem),
    /// Bring the code and environment of an item here, and print the command that runs it as a run of its own.
    Replay(ItemReplay),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ItemReplay {
    /// Id of the item.
    pub(crate) item: String,
    #[command(flatten)]
    pub(crate) owner: Owner,
    /// Run the command as well.
    #[arg(long)]
    pub(crate) run: bool,
    /// Folder for code and environments [default: lanza/replay in the XDG state folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) print: Print,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ItemList {
    /// Queue.
    #[arg(short, long)]
    pub(crate) queue: Option<String>,
    /// State, or several with commas: queued, leased, running, finished, failed, stopped.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Job.
    #[arg(short, long)]
    pub(crate) job: Option<String>,
    /// Who launched it.
    #[arg(long)]
    pub(crate) author: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneItem {
    /// Id of the item.
    pub(crate) item: String,
    #[command(flatten)]
    pub(crate) owner: Owner,
    #[command(flatten)]
    pub(crate) print: Print,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ItemRetry {
    #[command(flatten)]
    pub(crate) item: OneItem,
    /// Build the environment anew: requirements without a version get the newest release.
    #[arg(long)]
    pub(crate) rebuild: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ItemLogs {
    /// Id of the item.
    pub(crate) item: String,
    #[command(flatten)]
    pub(crate) owner: Owner,
    /// Go on until the item has ended.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// One phase only: fetch, build, push, pull, schedule, start, run or upload.
    #[arg(long)]
    pub(crate) phase: Option<String>,
    /// One attempt only.
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Print each line as JSON with attempt, phase and time (needs --follow).
    #[arg(long, requires = "follow")]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ItemStop {
    /// Id of the item.
    pub(crate) item: String,
    #[command(flatten)]
    pub(crate) owner: Owner,
    /// Time between TERM and KILL, for instance 5s or 2m [default: the agent's].
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<String>,
    /// Wait until it has ended.
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) print: Print,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List the runs of a project, newest first.
    List {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        scope: ProjectScope,
    },
    /// Show a run with its config and summary.
    Show(OneRun),
    /// Print a run's log.
    Log {
        #[command(flatten)]
        run: OneRun,
        /// Keep printing until the run has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// List a run's files.
    Files(OneRun),
    /// Ask a run to stop.
    Stop(OneRun),
    /// Delete a run with its data.
    Delete(OneRun),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OneRun {
    /// Id of the run, or ENTITY/PROJECT/RUN.
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) scope: ProjectScope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "The key is LANZA_ADMIN_TOKEN if it is set, else your own.")]
pub(crate) enum AdminCommand {
    /// Look after users.
    #[command(subcommand)]
    Users(UserCommand),
    /// Look after teams.
    #[command(subcommand)]
    Teams(TeamCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List users.
    List {
        #[command(flatten)]
        print: Print,
    },
    /// Make a user and print the key, which is shown once.
    Create {
        /// User name, also the name of the personal entity.
        name: String,
        /// Make an admin of the server.
        #[arg(long)]
        admin: bool,
        /// Read a password for the web page from stdin.
        #[arg(long)]
        password: bool,
        #[command(flatten)]
        print: Print,
    },
    /// Delete a user, the keys, and the personal entity with its data.
    Delete {
        /// User name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamCommand {
    /// Make a team.
    Create {
        /// Name.
        name: String,
        #[command(flatten)]
        print: Print,
    },
    /// Add a member to a team, or change the role.
    Member {
        /// Team.
        team: String,
        /// User name.
        user: String,
        /// What the member may do.
        #[arg(long, value_parser = ["viewer", "member", "admin"], default_value = "member")]
        role: String,
        #[command(flatten)]
        print: Print,
    },
    /// Make a service account and print the key, which is shown once.
    ServiceAccount {
        /// Team.
        team: String,
        /// Name of the account.
        name: String,
        #[command(flatten)]
        print: Print,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  lanza usage
  lanza usage --by job --since 30d -e acme
  lanza usage --by queue --since 2026-11-01T00:00:00Z --json

Hours are those of all attempts, failed ones too, from the lease to the end. GPU hours are wall hours times the GPUs that
were set aside or asked for; an item that asks for no CPUs counts one.")]
pub(crate) struct Usage {
    /// What to sum up by.
    #[arg(long, value_parser = ["user", "queue", "project", "job"], default_value = "user")]
    pub(crate) by: String,
    /// From when on: an age such as 7d, 12h or 30m, or a time, RFC 3339.
    #[arg(long, value_name = "AGE|TIME", default_value = "7d")]
    pub(crate) since: String,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Events {
    /// Go on with what happens from now.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what happened in this user's or team's space [default: all that you belong to].
    #[arg(short, long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    /// Only what came after the event with this number.
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<i64>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}
