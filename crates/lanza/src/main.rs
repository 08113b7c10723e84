//! `lanza`: server, agent and command line in one binary.
//!
//! This is the only crate that reads the environment, prints, or exits. It hides where settings come from and how
//! answers look in a terminal; everything else is behind `lanza_server`, `lanza_agent` and `lanza_api`.
//!
//! stdout is data, stderr is conversation.

mod args;
mod commands;
mod config;
mod docker;
mod environment;
mod exit;
mod log;
mod netrc;
mod output;
mod paths;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Args, config::Config, environment::Environment};

fn main() -> ExitCode {
    // Every TLS connection of the process uses this one provider; two would panic at the first connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Asking for help or the version is no mistake.
            let code = if e.use_stderr() { exit::USAGE } else { exit::DONE };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let config = Config::new(Environment::of_process());
    match commands::run(args, config) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit)
        }
    }
}
