//! What daemons say on stderr.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal as _,
};

use lanza_agent::OwnLog;
use lanza_model::clock::{Clock as _, SystemClock};
use tracing::{Event, Subscriber, field};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::{
    environment::{Environment, LANZA_LOG, NO_COLOR},
    exit::Failure,
};

/// Starts logging to stderr. `LANZA_LOG` wins over `default`. What agents say is returned, too.
pub(crate) fn start(environment: &Environment, default: &str) -> Result<OwnLog, Failure> {
    let text = environment.get(LANZA_LOG).unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|e| {
        Failure::usage(format!("{LANZA_LOG}=`{text}` is not a log filter ({e})"))
            .hint("Write a level such as `debug`, or levels by crate such as `info,lanza_service=debug`.")
    })?;
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && environment.get(NO_COLOR).is_none())
        .with_target(false);
    let own = OwnLog::default();
    tracing_subscriber::registry().with(filter).with(terminal).with(OfAgents(own.clone())).init();
    Ok(own)
}

/// Hands on what agents log; `lanza dev` has a server in the same process.
struct OfAgents(OwnLog);

impl<S: Subscriber> Layer<S> for OfAgents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if about.target().starts_with("lanza_agent") {
            let mut words = Words::default();
            event.record(&mut words);
            let level = about.level().as_str().to_ascii_lowercase();
            self.0.push(SystemClock.now(), &level, &format!("{}{}", words.message, words.fields));
        }
    }
}

/// An event in one line, as the terminal shows it: what was said, then its fields.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl field::Visit for Words {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// What the server and agents log unless told otherwise.
pub(crate) const DEFAULT: &str = "warn,lanza=info";
/// What `-v` logs.
pub(crate) const VERBOSE: &str = "info,lanza=debug";
