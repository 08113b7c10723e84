//! `lanza item replay`: an item again, here and by hand.

use std::collections::BTreeMap;

use lanza_agent::{ReplayError, Replayed};
use lanza_api::{client::segment, item::ReplayAnswer};
use lanza_model::shell;
use serde_json::json;
use tokio::process::Command;

use super::agent;
use crate::{
    args::ItemReplay,
    config::Config,
    exit::{self, Failure, Outcome},
    log, output, paths,
};

/// The variable of the key, which does not stand in the command.
const KEY: &str = "WANDB_API_KEY";

pub(crate) async fn run(args: ItemReplay, config: &Config) -> Outcome {
    log::start(&config.environment, log::DEFAULT)?;
    let key = config.key_needed()?;
    let answer: ReplayAnswer =
        config.client()?.post(&format!("/items/{}/replay", segment(&args.item)), &json!({})).await?;
    let folder = match args.folder {
        Some(folder) => folder,
        None => paths::state(&config.environment)?.join("replay"),
    };
    let mut options = agent::options(config, config.base_url(), key.clone(), folder)?;
    // Log-ins and secrets of this machine, where it has an agent's config.
    options.config = agent::launch_config(None, config)?;
    output::say("Bringing code and environment …");
    let replayed = lanza_agent::replay(options, answer.replay).await.map_err(failure)?;
    for warning in &replayed.warnings {
        output::warn(warning);
    }
    let line = command_line(&replayed);
    if args.print.json {
        let environment: BTreeMap<_, _> = replayed.environment.iter().cloned().collect();
        output::json(&json!({"replay": {
            "folder": replayed.folder, "environment": environment, "command": replayed.command,
            "line": line, "warnings": replayed.warnings,
        }}))?;
    } else {
        output::line(&line)?;
    }
    if args.run { start(&replayed, &key).await } else { Ok(exit::DONE) }
}

fn failure(error: ReplayError) -> Failure {
    match error {
        ReplayError::Agent(e) => e.into(),
        ReplayError::Refused(reason) => {
            let mut failure = Failure::failed(reason.message);
            failure.hint = reason.hint;
            failure.help = Some(reason.help).filter(|h| !h.is_empty());
            failure
        }
    }
}

/// Returns a line for a shell.
fn command_line(replayed: &Replayed) -> String {
    let mut words = Vec::new();
    if let Some(folder) = &replayed.folder {
        words.push(format!("cd {} && env -i", shell::word(&folder.display().to_string())));
        words.push(format!("{KEY}=\"${KEY}\""));
        words.extend(replayed.environment.iter().map(|(name, value)| format!("{name}={}", shell::word(value))));
    }
    words.extend(replayed.command.iter().map(|word| shell::word(word).into_owned()));
    words.join(" ")
}

/// Runs the command in the foreground.
async fn start(replayed: &Replayed, key: &str) -> Outcome {
    // The shell looks for the program on the PATH of the environment, and becomes it.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\"", "sh"]).args(&replayed.command);
    if let Some(folder) = &replayed.folder {
        command.current_dir(folder).env_clear().envs(replayed.environment.iter().cloned());
    }
    let status = command.env(KEY, key).status().await.map_err(|e| Failure::caused("cannot start the command", &e))?;
    if status.success() {
        return Ok(exit::DONE);
    }
    output::say(&format!("The command ended with {status}."));
    Ok(exit::FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_for_a_shell_and_has_no_key() {
        let process = Replayed {
            folder: Some("/w/my code".into()),
            environment: vec![("A".into(), "it's".into()), ("PATH".into(), "/e/bin:/bin".into())],
            command: ["python", "t.py", "--lr", ""].map(str::to_owned).to_vec(),
            warnings: Vec::new(),
        };
        assert_eq!(
            command_line(&process),
            r#"cd '/w/my code' && env -i WANDB_API_KEY="$WANDB_API_KEY" A='it'\''s' PATH=/e/bin:/bin python t.py --lr ''"#
        );
        let container = Replayed {
            folder: None,
            environment: Vec::new(),
            command: ["docker", "run", "-e", "A=1 2", "img"].map(str::to_owned).to_vec(),
            warnings: Vec::new(),
        };
        assert_eq!(command_line(&container), "docker run -e 'A=1 2' img");
    }
}
