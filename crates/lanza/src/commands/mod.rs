//! What the verbs do, one file per group.

mod account;
mod admin;
mod agent;
mod agent_prune;
mod agents;
mod dev;
mod doctor;
mod document;
mod events;
mod explain;
mod follow;
mod item;
mod item_replay;
mod job;
mod launch;
mod project;
mod queue;
mod queue_file;
mod run;
mod seed;
mod server;
mod signals;
mod sse;
mod usage;

use std::{fmt::Write as _, future::Future};

use clap::CommandFactory as _;
use lanza_api::{Client, List, client::segment};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    args::{Args, Command, Owner, Print},
    config::Config,
    exit::{self, Failure, Outcome},
    output,
};

/// Does what the command line says.
pub(crate) fn run(args: Args, config: Config) -> Outcome {
    match args.command {
        // A supervisor is one per running job and stays as small as it can be: no runtime.
        Command::Supervise { folder } => Ok(u8::try_from(lanza_agent::supervise(&folder)).unwrap_or(exit::FAILED)),
        Command::Version => {
            output::line(concat!("lanza ", env!("CARGO_PKG_VERSION")))?;
            Ok(exit::DONE)
        }
        Command::Completion { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "lanza", &mut text);
            output::data(&String::from_utf8_lossy(&text))?;
            Ok(exit::DONE)
        }
        Command::Explain { code } => explain::run(code.as_deref()),
        Command::Server(args) => many_threads(server::run(args, config)),
        Command::Dev(args) => many_threads(dev::run(args, config)),
        Command::Agent(mut args) => match args.command.take() {
            Some(command) => one_thread(agents::run(command, config)),
            None => one_thread(agent::run(args, config)),
        },
        Command::Login(args) => one_thread(account::login(args, config)),
        Command::Whoami(args) => one_thread(account::whoami(args, config)),
        Command::Launch(args) => one_thread(launch::run(args, config)),
        Command::Queue(command) => one_thread(queue::run(command, config)),
        Command::Item(command) => one_thread(item::run(command, config)),
        Command::Run(command) => one_thread(run::run(command, config)),
        Command::Job(command) => one_thread(job::run(command, config)),
        Command::List(args) => one_thread(project::list(args, config)),
        Command::Admin(command) => one_thread(admin::run(command, config)),
        Command::Usage(args) => one_thread(usage::run(args, config)),
        Command::Events(args) => one_thread(events::run(args, config)),
        Command::Doctor => one_thread(doctor::run(config)),
    }
}

/// Runs a command that serves many at once.
fn many_threads(command: impl Future<Output = Outcome>) -> Outcome {
    on(tokio::runtime::Builder::new_multi_thread(), command)
}

/// Runs a command that mostly waits: one thread keeps it small.
fn one_thread(command: impl Future<Output = Outcome>) -> Outcome {
    on(tokio::runtime::Builder::new_current_thread(), command)
}

fn on(mut builder: tokio::runtime::Builder, command: impl Future<Output = Outcome>) -> Outcome {
    let runtime =
        builder.enable_all().build().map_err(|e| Failure::failed(format!("the runtime cannot start: {e}")))?;
    // On the heap: some commands are large, and a small stack is part of a small process.
    let outcome = runtime.block_on(Box::pin(command));
    // A blocking call that hangs (a name that is being looked up) must not hold the end.
    runtime.shutdown_background();
    outcome
}

/// Prints up to `limit` objects of a list: as JSON in the envelope that the server uses, else by `render`. `nothing` is
/// said when there are none.
async fn print_list<T: Serialize + DeserializeOwned>(
    client: &Client,
    path: &str,
    limit: usize,
    print: &Print,
    nothing: &str,
    render: impl Fn(&[T]) -> String,
) -> Outcome {
    let list = list_up_to::<T>(client, path, limit).await?;
    if print.json {
        output::json(&list)?;
    } else if list.items.is_empty() {
        output::say(nothing);
    } else {
        output::data(&render(&list.items))?;
        if list.next.is_some() {
            output::say("There are more; --limit shows them.");
        }
    }
    Ok(exit::DONE)
}

/// Reads pages until there are `limit` objects.
async fn list_up_to<T: DeserializeOwned>(client: &Client, path: &str, limit: usize) -> Result<List<T>, Failure> {
    /// What the server gives on a page at most.
    const PAGE: usize = 1000;
    let mut all: List<T> = List { items: Vec::new(), next: None };
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let size = (limit - all.items.len()).min(PAGE);
        let mut address = format!("{path}{joint}limit={size}");
        if let Some(after) = &all.next {
            let _ = write!(address, "&after={}", segment(after));
        }
        let page: List<T> = client.get(&address).await?;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() || all.items.len() >= limit {
            all.items.truncate(limit);
            return Ok(all);
        }
    }
}

/// Refuses an object, asked for by `(kind, id)` at `path`, that is not of the entity which was said.
async fn owned<T: DeserializeOwned>(
    config: &Config,
    owner: &Owner,
    (kind, id): (&str, &str),
    path: &str,
    entity_of: impl Fn(&T) -> &String,
) -> Result<(), Failure> {
    let Some(said) = &owner.entity else { return Ok(()) };
    let answer: T = config.client()?.get(path).await?;
    let entity = entity_of(&answer);
    if !entity.eq_ignore_ascii_case(said) {
        return Err(Failure::refused(format!("`{said}` has no {kind} {id}; it is one of `{entity}`")));
    }
    Ok(())
}

/// Says that something is gone.
fn deleted(what: &str) -> u8 {
    output::say(&format!("{what}: deleted"));
    exit::DONE
}
