//! Follows an item to its end.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use futures::StreamExt as _;
use lanza_api::{
    Client, ClientError,
    client::segment,
    item::{Item, ItemAnswer, LogLine},
    run::ConsoleLine,
};
use lanza_model::{Phase, item::StateName};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::sse::Events;
use crate::{
    exit::{self, Failure},
    output,
};

/// How often the item is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the server may be away before following it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the log may take to end after its item.
const LOG_TAIL: Duration = Duration::from_secs(5);

/// The exit code that tells how an item ended.
pub(crate) fn exit_code(item: &Item) -> u8 {
    match item.state {
        StateName::Finished => exit::DONE,
        StateName::Stopped => exit::STOPPED,
        _ => exit::FAILED,
    }
}

/// Waits until the item has ended. With `log`, tells on stderr why it waits, and then what it logs.
pub(crate) async fn to_the_end(client: &Client, id: &str, log: bool) -> Result<Item, Failure> {
    let lines = async {
        if log {
            let mut heading = None;
            follow_log(client, id, None, None, |line| {
                if heading != Some((line.attempt, line.phase)) {
                    heading = Some((line.attempt, line.phase));
                    output::say(&format!("[{}{}]", line.phase, attempt_suffix(line.attempt)));
                }
                output::say(&line.text);
                Ok(())
            })
            .await
        } else {
            std::future::pending().await
        }
    };
    tokio::pin!(lines);
    let mut lines_open = log;
    let mut told = String::new();
    let mut last_seen = Instant::now();
    loop {
        match client.get::<ItemAnswer>(&format!("/items/{}", segment(id))).await {
            Ok(answer) => {
                last_seen = Instant::now();
                let item = answer.item;
                if item.state.is_ended() {
                    if lines_open {
                        let _ = tokio::time::timeout(LOG_TAIL, &mut lines).await;
                    }
                    if log {
                        tell_end(&item);
                    }
                    return Ok(item);
                }
                let now = status(&item);
                if log && now != told {
                    output::say(&format!("{id}: {now}"));
                    told = now;
                }
            }
            Err(e) if e.is_temporary() && last_seen.elapsed() < PATIENCE => {}
            Err(e) => return Err(e.into()),
        }
        tokio::select! {
            ended = &mut lines, if lines_open => {
                lines_open = false;
                ended?;
            }
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

fn status(item: &Item) -> String {
    let state = output::item::state(item);
    match (&item.why, item.phase) {
        (Some(why), _) => format!("{state}, {}", why.message),
        (None, Some(phase)) => format!("{state}, {phase}{}", attempt_suffix(item.attempt)),
        (None, None) => state,
    }
}

fn attempt_suffix(attempt: u32) -> String {
    if attempt > 1 { format!(", attempt {attempt}") } else { String::new() }
}

fn tell_end(item: &Item) {
    let code = item.exit_code.map_or_else(String::new, |c| format!(", exit code {c}"));
    output::say(&format!("{}: {}{code}", item.id, item.state.as_str()));
    let reason = output::item::reason(item);
    if !reason.is_empty() {
        output::say(&reason);
    }
}

/// Hands over the lines of a run's console until it has ended, across a restart of the server. A line that is drawn again
/// comes again.
pub(crate) async fn follow_console(
    client: &Client,
    path: &str,
    mut each: impl FnMut(&ConsoleLine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last: Option<ConsoleLine> = None;
    follow_stream(client, path, |line: ConsoleLine| {
        // A stream that is opened again begins at the first line.
        let newest = last.as_ref().map_or(0, |l| l.line);
        if line.line > newest || (line.line == newest && last.as_ref() != Some(&line)) {
            each(&line)?;
            last = Some(line);
        }
        Ok(())
    })
    .await
}

/// Hands over the lines of an item's log until it has ended, across a restart of the server.
pub(crate) async fn follow_log(
    client: &Client,
    id: &str,
    attempt: Option<u32>,
    phase: Option<&str>,
    mut each: impl FnMut(&LogLine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut path = format!("/items/{}/logs?follow=true", segment(id));
    if let Some(attempt) = attempt {
        let _ = write!(path, "&attempt={attempt}");
    }
    if let Some(phase) = phase {
        let _ = write!(path, "&phase={}", segment(phase));
    }
    // A stream that is opened again begins at the first line.
    let mut seen: HashMap<(u32, Phase), u64> = HashMap::new();
    follow_stream(client, &path, |line: LogLine| {
        let newest = seen.entry((line.attempt, line.phase)).or_default();
        if line.line > *newest {
            *newest = line.line;
            each(&line)?;
        }
        Ok(())
    })
    .await
}

/// Reads a stream of lines until its event `end`, and opens it again while the server is away.
async fn follow_stream<L: DeserializeOwned>(
    client: &Client,
    path: &str,
    mut each: impl FnMut(L) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last_seen = Instant::now();
    loop {
        match client.stream(path).await {
            Ok(stream) => {
                let mut events = Events::new(stream.boxed());
                loop {
                    match events.next().await {
                        Ok(Some(event)) if event.name == "end" => return Ok(()),
                        Ok(Some(event)) => {
                            last_seen = Instant::now();
                            each(serde_json::from_str(&event.data).map_err(|e| ClientError::Malformed {
                                url: path.to_owned(),
                                why: format!("a log line: {e}"),
                            })?)?;
                        }
                        Ok(None) => break,
                        Err(e) if e.is_temporary() => break,
                        Err(e) => return Err(e.into()),
                    }
                }
            }
            Err(e) if e.is_temporary() && last_seen.elapsed() < PATIENCE => {}
            Err(e) => return Err(e.into()),
        }
        sleep(LOOK_EVERY).await;
    }
}
