//! The developers' commands: `cargo xtask demo` shows one real launch end to end, `cargo xtask test` is all that CI runs.
//!
//! Each step says what it does before it does it and how long it took after. Nothing here is part of the product.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program talks to a developer at a terminal and reads the developer's environment"
)]

mod checklist;
mod demo;
mod dependencies;
mod http;
mod licences;
mod postgres;
mod process;
mod python;
mod step;
mod suite;
mod ui;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo [--release] [--keep]   build, start a server and an agent, run examples/digits through a queue, print the results
                              --release  build with optimisations (slower to build)
                              --keep     leave the server up until Enter is pressed
  test                        everything that CI runs, from cheap to dear; or one part of it:
  test fmt                    formatting
  test lint                   clippy on all targets, warnings are errors; docs/checklist.md names tests that exist
  test doc                    rustdoc, warnings are errors
  test dependencies           allowed arrows between crates, unused dependencies, licences
  test unit [ARGS]            cargo test, with a private Postgres where one is installed
  test conformance [ARGS]     the pytest suite with the real wandb client; ARGS go to pytest
  test ui                     types, lints, tests and build of the web app; its browser tests where there is Chromium
  test kill [ARGS]            SIGKILL of server and agent at random moments; LANZA_KILL_LAUNCHES=100
                              LANZA_KILL_PER_PHASE=5 is the full size
  ui                          build the web app (needs Node 20); the next build of the server has it
  fmt                         format all sources
  lint                        same as `test lint`
  checklist                   write docs/checklist.md from docs/checklist/*.toml

LANZA_REQUIRE=docker,postgres makes a missing Docker or Postgres an error instead of a skip; so do node and chromium.
LANZA_PYTHON names the Python (3.11 or newer) to use.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "-h" | "--help", ..] => {
            println!("{HELP}");
            Ok(())
        }
        ["demo", options @ ..] => demo::run(&demo::Options::parse(options)?),
        ["test"] => suite::all(),
        ["test", "fmt"] => suite::fmt(),
        ["test", "lint"] | ["lint"] => suite::lint(),
        ["test", "doc"] => suite::doc(),
        ["test", "dependencies"] => suite::dependencies(),
        ["test", "unit", rest @ ..] => suite::unit(rest),
        ["test", "conformance", rest @ ..] => suite::conformance(rest),
        ["test", "kill", rest @ ..] => suite::kill(rest),
        ["test", "ui"] => ui::test(),
        ["ui"] => ui::build(),
        ["fmt"] => suite::format(),
        ["checklist"] => checklist::write(),
        other => bail!("there is no command `{}`\n\n{HELP}", other.join(" ")),
    }
}

/// The root of the repository, found from this package's own folder.
pub(crate) fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("xtask lies in the repository").to_path_buf()
}
