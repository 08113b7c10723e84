//! `lanza-bench`: measures a release binary as people run it, and prints the figures beside their budgets.
//!
//! It starts the processes itself, each on a port and in a folder of its own, and ends them. What it measures is what a
//! client sees over HTTP on the same machine, so the load and the server share its cores: the client's own processor
//! time is printed where it matters.
//!
//! ```text
//! cargo build --release --locked -p lanza --bin lanza
//! cargo run --release -p lanza-bench -- [--only SECTION,…] [--postgres URL] [--wandb PATH]
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures go to the terminal")]

mod builds;
mod decisions;
mod dispatch;
mod fleet;
mod idle;
mod ingest;
mod queue;
mod report;
mod screens;
mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::report::Report;

/// Measure the release binary.
#[derive(Debug, Parser)]
struct Args {
    /// The binary.
    #[arg(long, default_value = "target/release/lanza")]
    binary: PathBuf,
    /// Sections to run: size, idle, dispatch, queue, ingest; when named also charts and table, which fill servers first,
    /// decisions (claims against the length of a queue), beside and builds, which need a package index (builds Docker,
    /// too), and fleet; the last four take minutes.
    #[arg(long, value_delimiter = ',', default_value = "size,idle,dispatch,queue,ingest")]
    only: Vec<String>,
    /// Durable Postgres database for the sections queue, decisions and fleet; it gets tables.
    #[arg(long)]
    postgres: Option<String>,
    /// The `wandb` command, which makes the jobs of the sections dispatch and builds, and is the agent beside ours.
    #[arg(long, default_value = "wandb")]
    wandb: PathBuf,
    /// Launches of the dispatch section.
    #[arg(long, default_value_t = 100)]
    launches: usize,
    /// Launches by each agent in the beside section.
    #[arg(long, default_value_t = 20)]
    peer_launches: usize,
    /// Rounds of the builds section, each with a change of dependencies, of code, and none.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Items of each queue measurement.
    #[arg(long, default_value_t = 10_000)]
    items: usize,
    /// Items that wait in the queue while it is measured again.
    #[arg(long, default_value_t = 100_000)]
    backlog: usize,
    /// Agents of the fleet section.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Queues of the fleet section.
    #[arg(long, default_value_t = 100)]
    queues: usize,
    /// Rows of each of the 100 runs of the ingest section.
    #[arg(long, default_value_t = 20_000)]
    rows: usize,
    /// Rows in one request of the ingest section.
    #[arg(long, default_value_t = 500)]
    batch: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    // The one TLS provider of the process. Nothing here uses TLS, but the HTTP client wants one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    let binary = args.binary.canonicalize().with_context(|| {
        format!("{} is not there; build it with `cargo build --release -p lanza`", args.binary.display())
    })?;
    let mut report = Report::default();
    for section in &args.only {
        eprintln!("== {section}");
        match section.as_str() {
            "size" => {
                let bytes = std::fs::metadata(&binary)?.len();
                report.add("binary", format!("{:.1} MB", bytes as f64 / 1e6), "<= 40 MB", bytes <= 40_000_000);
            }
            "idle" => idle::measure(&binary, &mut report).await?,
            "dispatch" => dispatch::measure(&binary, &args.wandb, args.launches, &mut report).await?,
            "builds" => builds::measure(&binary, &args.wandb, args.rounds, &mut report).await?,
            "queue" => {
                queue::measure(&binary, None, args.items, args.backlog, &mut report).await?;
                if let Some(url) = &args.postgres {
                    queue::measure(&binary, Some(url), args.items, args.backlog, &mut report).await?;
                }
            }
            "beside" => builds::beside(&binary, &args.wandb, args.peer_launches, &mut report).await?,
            "decisions" => {
                decisions::measure(&binary, None, args.backlog, &mut report).await?;
                if let Some(url) = &args.postgres {
                    decisions::measure(&binary, Some(url), args.backlog, &mut report).await?;
                }
            }
            "fleet" => {
                let size = (args.agents, args.queues, args.backlog);
                fleet::measure(&binary, None, size, &mut report).await?;
                if let Some(url) = &args.postgres {
                    fleet::measure(&binary, Some(url), size, &mut report).await?;
                }
            }
            "ingest" => ingest::measure(&binary, args.rows, args.batch, &mut report).await?,
            "charts" => screens::charts(&binary, &mut report).await?,
            "table" => screens::table(&binary, &mut report).await?,
            other => bail!("there is no section `{other}`"),
        }
    }
    print!("{report}");
    Ok(())
}
