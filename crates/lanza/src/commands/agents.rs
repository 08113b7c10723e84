//! `lanza agent list|show|logs|drain|stop|prune`: the agents of an entity.

use std::time::Duration;

use lanza_api::{
    List,
    agent::{Agent, AgentAnswer, AgentLogLine},
    client::segment,
};
use lanza_model::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{agent_prune, print_list};
use crate::{
    args::{AgentCommand, AgentLogs, OneAgent},
    config::Config,
    exit::{self, Failure, Outcome},
    output::{
        self,
        table::{ago, fields, or_dash, table},
    },
};

/// How often an agent's log is looked at when it is followed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: AgentCommand, config: Config) -> Outcome {
    if let AgentCommand::Show(agent)
    | AgentCommand::Logs(AgentLogs { one: agent, .. })
    | AgentCommand::Drain(agent)
    | AgentCommand::Stop(agent) = &command
    {
        owned(agent, &config).await?;
    }
    match command {
        AgentCommand::List { alive, scope } => {
            let client = config.client()?;
            let entity = config.entity(&client, scope.entity.as_deref()).await?;
            let path = format!("/entities/{}/agents", segment(&entity));
            let nothing = format!("`{entity}` has no agent; `lanza agent` runs one");
            print_list(&client, &path, usize::MAX, &scope.print, &nothing, |agents: &[Agent]| list(agents, alive)).await
        }
        AgentCommand::Show(agent) => {
            let answer: AgentAnswer = config.client()?.get(&path(&agent)).await?;
            if agent.print.json {
                output::json(&answer)?;
            } else {
                output::data(&show(&answer.agent))?;
            }
            Ok(exit::DONE)
        }
        AgentCommand::Logs(args) => logs(&args, &config).await,
        AgentCommand::Drain(agent) => steer(&agent, &config, "drain").await,
        AgentCommand::Stop(agent) => steer(&agent, &config, "stop").await,
        AgentCommand::Prune(args) => agent_prune::run(args, &config).await,
    }
}

/// Refuses an agent that is not of the entity which was said.
async fn owned(agent: &OneAgent, config: &Config) -> Result<(), Failure> {
    let what = ("agent", agent.agent.as_str());
    super::owned(config, &agent.owner, what, &path(agent), |answer: &AgentAnswer| &answer.agent.entity).await
}

fn path(agent: &OneAgent) -> String {
    format!("/agents/{}", segment(&agent.agent))
}

/// Prints the end of an agent's log, and with `--follow` what comes after it until the caller has enough.
async fn logs(args: &AgentLogs, config: &Config) -> Outcome {
    let client = config.client()?;
    let path = format!("{}/log", path(&args.one));
    let mut log: List<AgentLogLine> = client.get(&format!("{path}?limit={}", args.lines)).await?;
    if args.one.print.json && !args.follow {
        output::json(&log)?;
        return Ok(exit::DONE);
    }
    if log.items.is_empty() {
        output::say("The server has no line of its log; an agent of another program keeps it on its own machine.");
    }
    let mut seen = 0;
    loop {
        for line in &log.items {
            if args.one.print.json {
                output::json_line(line)?;
            } else {
                output::line(&format!("{} {:>5} {}", line.time, line.level.to_uppercase(), line.text))?;
            }
            seen = line.number;
        }
        if !args.follow {
            return Ok(exit::DONE);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        log = client.get(&format!("{path}?after={seen}&limit=1000")).await?;
    }
}

async fn steer(agent: &OneAgent, config: &Config, verb: &str) -> Outcome {
    let answer: AgentAnswer = config.client()?.post(&format!("{}/{verb}", path(agent)), &json!({})).await?;
    if agent.print.json {
        output::json(&answer)?;
    } else {
        output::say(&format!("agent {} ({}): asked to {verb}", answer.agent.id, answer.agent.name));
    }
    Ok(exit::DONE)
}

fn list(agents: &[Agent], alive: bool) -> String {
    let now = SystemClock.now();
    let rows = agents
        .iter()
        .filter(|a| !alive || ["polling", "running", "draining"].contains(&a.status.as_str()))
        .map(|a| {
            vec![
                a.id.clone(),
                a.name.clone(),
                a.status.clone(),
                a.version.clone(),
                a.host.clone(),
                a.queues.join(","),
                format!("{}/{}", a.items.len(), a.slots.map_or("∞".to_owned(), |s| s.to_string())),
                ago(a.last_seen, now),
            ]
        })
        .collect();
    table(&["agent", "name", "status", "version", "host", "queues", "items", "seen"], rows)
}

fn show(agent: &Agent) -> String {
    fields(&[
        ("agent", agent.id.clone()),
        ("name", agent.name.clone()),
        ("status", agent.status.clone()),
        ("version", agent.version.clone()),
        ("entity", agent.entity.clone()),
        ("host", agent.host.clone()),
        ("queues", agent.queues.join(", ")),
        ("slots", or_dash(agent.slots)),
        ("items", agent.items.join("\n")),
        ("seen", format!("{} ({})", agent.last_seen, ago(agent.last_seen, SystemClock.now()))),
        ("registered", agent.created_at.to_string()),
    ])
}
