//! `lanza item …`.

use std::fmt::Write as _;

use lanza_api::{
    client::segment,
    item::{Item, ItemAnswer, Retry, Stop},
};
use lanza_model::clock::{Clock as _, SystemClock};

use super::{follow, item_replay, print_list};
use crate::{
    args::{ItemCommand, ItemList, ItemLogs, ItemStop, OneItem, Owner},
    config::Config,
    exit::{self, Failure, Outcome},
    output,
};

pub(crate) async fn run(command: ItemCommand, config: Config) -> Outcome {
    match &command {
        ItemCommand::List(_) => {}
        ItemCommand::Show(a) | ItemCommand::Wait(a) => owned(&a.item, &a.owner, &config).await?,
        ItemCommand::Retry(a) => owned(&a.item.item, &a.item.owner, &config).await?,
        ItemCommand::Logs(a) => owned(&a.item, &a.owner, &config).await?,
        ItemCommand::Stop(a) => owned(&a.item, &a.owner, &config).await?,
        ItemCommand::Replay(a) => owned(&a.item, &a.owner, &config).await?,
    }
    match command {
        ItemCommand::List(args) => list(args, &config).await,
        ItemCommand::Show(args) => {
            let answer: ItemAnswer = config.client()?.get(&path(&args)).await?;
            if args.print.json {
                output::json(&answer)?;
            } else {
                output::data(&output::item::show(&answer.item, SystemClock.now()))?;
            }
            Ok(exit::DONE)
        }
        ItemCommand::Logs(args) => logs(args, &config).await,
        ItemCommand::Stop(args) => stop(args, &config).await,
        ItemCommand::Retry(args) => {
            let (args, retry) = (args.item, Retry { rebuild: args.rebuild });
            let answer: ItemAnswer = config.client()?.post(&format!("{}/retry", path(&args)), &retry).await?;
            for warning in &answer.warnings {
                output::warn(warning);
            }
            if args.print.json {
                output::json(&answer)?;
            } else {
                output::line(&answer.item.id)?;
            }
            Ok(exit::DONE)
        }
        ItemCommand::Wait(args) => {
            let item = follow::to_the_end(&config.client()?, &args.item, false).await?;
            ended(item, args.print.json)
        }
        ItemCommand::Replay(args) => item_replay::run(args, &config).await,
    }
}

/// Refuses an item that is not of the entity which was said.
async fn owned(item: &str, owner: &Owner, config: &Config) -> Result<(), Failure> {
    let path = format!("/items/{}", segment(item));
    super::owned(config, owner, ("item", item), &path, |answer: &ItemAnswer| &answer.item.entity).await
}

fn path(item: &OneItem) -> String {
    format!("/items/{}", segment(&item.item))
}

/// Says how an item ended, by words and by exit code.
fn ended(item: Item, json: bool) -> Outcome {
    let code = follow::exit_code(&item);
    if json {
        output::json(&ItemAnswer { item, warnings: Vec::new() })?;
    } else {
        output::line(item.state.as_str())?;
        let reason = output::item::reason(&item);
        if !reason.is_empty() {
            output::say(&reason);
        }
    }
    Ok(code)
}

async fn list(args: ItemList, config: &Config) -> Outcome {
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.entity.as_deref()).await?;
    let mut path = format!("/items?entity={}", segment(&entity));
    let filters = [("queue", &args.queue), ("state", &args.state), ("job", &args.job), ("author", &args.author)];
    for (name, value) in filters {
        if let Some(value) = value {
            // `&` ends a value of a query, and `+` is a blank there.
            let value = segment(value).replace('&', "%26").replace('+', "%2B");
            let _ = write!(path, "&{name}={value}");
        }
    }
    let render = |items: &[Item]| output::item::list(items, SystemClock.now());
    print_list(&client, &path, args.limit, &args.scope.print, "there is no such item", render).await
}

async fn logs(args: ItemLogs, config: &Config) -> Outcome {
    let client = config.client()?;
    if args.follow {
        follow::follow_log(&client, &args.item, args.attempt, args.phase.as_deref(), |line| {
            if args.json { output::json_line(line) } else { output::line(&line.text) }
        })
        .await?;
        return Ok(exit::DONE);
    }
    let mut query = Vec::new();
    query.extend(args.attempt.map(|a| format!("attempt={a}")));
    query.extend(args.phase.as_deref().map(|p| format!("phase={}", segment(p))));
    let mut text = client.text(&format!("/items/{}/logs?{}", segment(&args.item), query.join("&"))).await?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    output::data(&text)?;
    Ok(exit::DONE)
}

async fn stop(args: ItemStop, config: &Config) -> Outcome {
    let client = config.client()?;
    let grace_seconds = args.grace.as_deref().map(seconds).transpose()?;
    let answer: ItemAnswer =
        client.post(&format!("/items/{}/stop", segment(&args.item)), &Stop { grace_seconds }).await?;
    if args.wait {
        let item = follow::to_the_end(&client, &args.item, false).await?;
        // Stopped is what was asked for.
        let code = if follow::exit_code(&item) == exit::STOPPED { exit::DONE } else { follow::exit_code(&item) };
        ended(item, args.print.json)?;
        return Ok(code);
    }
    if args.print.json {
        output::json(&answer)?;
    } else if answer.item.state.is_ended() {
        output::say(&format!("{}: {}", answer.item.id, answer.item.state.as_str()));
    } else {
        output::say(&format!("{}: asked to stop", answer.item.id));
    }
    Ok(exit::DONE)
}

/// Reads `5`, `5s`, `2m` or `1h` as seconds.
fn seconds(text: &str) -> Result<u32, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    factor
        .and_then(|f| digits.parse::<u32>().ok()?.checked_mul(f))
        .ok_or_else(|| Failure::usage(format!("`{text}` is not a length of time")).hint("Write 5s, 2m or 1h."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit_or_are_seconds() {
        assert_eq!(seconds("5"), Ok(5));
        assert_eq!(seconds("5s"), Ok(5));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(seconds("2d").expect_err("refused").exit, exit::USAGE);
        assert_eq!(seconds("").expect_err("refused").exit, exit::USAGE);
    }
}
