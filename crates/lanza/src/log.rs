//! What daemons say on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::{
    environment::{Environment, LANZA_LOG, NO_COLOR},
    exit::Failure,
};

/// Starts logging to stderr. `LANZA_LOG` wins over `default`.
pub(crate) fn start(environment: &Environment, default: &str) -> Result<(), Failure> {
    let text = environment.get(LANZA_LOG).unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|e| {
        Failure::usage(format!("{LANZA_LOG}=`{text}` is not a log filter ({e})"))
            .hint("Write a level such as `debug`, or levels by crate such as `info,lanza_service=debug`.")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && environment.get(NO_COLOR).is_none())
        .with_target(false)
        .init();
    Ok(())
}

/// What the server and agents log unless told otherwise.
pub(crate) const DEFAULT: &str = "warn,lanza=info";
/// What `-v` logs.
pub(crate) const VERBOSE: &str = "info,lanza=debug";
