//! `lanza events`.

use std::time::Duration;

use futures::StreamExt as _;
use lanza_api::{Client, client::segment, item::Event};
use tokio::time::{Instant, sleep};

use super::sse::Events;
use crate::{
    args,
    config::Config,
    exit::{self, Failure, Outcome},
    output::{self, table::table},
};

/// How long the server may be away before following it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(args: args::Events, config: Config) -> Outcome {
    let client = config.client()?;
    if args.follow {
        return follow(&client, args.entity.as_deref(), args.after, args.json).await;
    }
    let events: Vec<Event> = client.list(&path(args.entity.as_deref(), Some(args.after.unwrap_or(0)))).await?;
    if args.json {
        for event in &events {
            output::json_line(event)?;
        }
    } else {
        let rows = events
            .iter()
            .map(|e| {
                let words = [&e.actor, &e.verb, &e.kind, &e.object];
                let mut row = vec![e.id.to_string(), e.time.to_string()];
                row.extend(words.into_iter().cloned());
                row
            })
            .collect();
        output::data(&table(&["event", "time", "who", "what", "kind", "object"], rows))?;
    }
    Ok(exit::DONE)
}

fn path(entity: Option<&str>, after: Option<i64>) -> String {
    let mut query = Vec::new();
    query.extend(entity.map(|e| format!("entity={}", segment(e))));
    query.extend(after.map(|id| format!("after={id}")));
    format!("/events?{}", query.join("&"))
}

async fn follow(client: &Client, entity: Option<&str>, after: Option<i64>, json: bool) -> Outcome {
    let mut position = after;
    let mut last_seen = Instant::now();
    loop {
        match client.stream(&path(entity, position)).await {
            Ok(stream) => {
                let mut events = Events::new(stream.boxed());
                loop {
                    match events.next().await {
                        Ok(Some(event)) => {
                            last_seen = Instant::now();
                            let event: Event = serde_json::from_str(&event.data)
                                .map_err(|e| Failure::failed(format!("the server sent an event that is none: {e}")))?;
                            position = Some(event.id);
                            if json {
                                output::json_line(&event)?;
                            } else {
                                output::line(&format!(
                                    "{} {} {} {} {}",
                                    event.time, event.actor, event.verb, event.kind, event.object
                                ))?;
                            }
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
        sleep(Duration::from_secs(1)).await;
    }
}
