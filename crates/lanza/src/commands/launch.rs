//! `lanza launch`.

use lanza_api::{
    Client,
    client::segment,
    item::{ItemAnswer, PlanAnswer},
    queue::QueueAnswer,
};
use lanza_model::Target;
use serde_json::{Map, Value, json};

use super::{document, follow};
use crate::{
    args,
    config::Config,
    exit::{self, Failure, Outcome},
    output,
};

pub(crate) async fn run(args: args::Launch, config: Config) -> Outcome {
    let mut body = body(&args, &config)?;
    let client = config.client()?;
    let entity = config.entity(&client, args.scope.scope.entity.as_deref()).await?;
    let queue = format!("/entities/{}/queues/{}", segment(&entity), segment(&args.queue));
    if let Some(text) = &args.resource_args {
        let given = document::file_or_json(text, "--resource-args")?;
        body.insert("resource_args".to_owned(), resource_args(given, &body, &client, &queue).await?);
    }
    let path = format!("{queue}/items");
    let print = &args.scope.scope.print;
    if args.plan {
        let answer: PlanAnswer = client.post(&format!("{path}?plan=true"), &body).await?;
        for warning in &answer.plan.warnings {
            output::warn(warning);
        }
        if print.json {
            output::json(&answer)?;
        } else {
            output::data(&output::item::plan(&answer.plan))?;
        }
        return Ok(exit::DONE);
    }
    let answer: ItemAnswer = client.post(&path, &body).await?;
    for warning in &answer.warnings {
        output::warn(warning);
    }
    if args.wait {
        if !print.json {
            output::line(&answer.item.id)?;
        }
        let item = follow::to_the_end(&client, &answer.item.id, true).await?;
        if print.json {
            output::json(&ItemAnswer { item: item.clone(), warnings: answer.warnings })?;
        }
        return Ok(follow::exit_code(&item));
    }
    if print.json {
        output::json(&answer)?;
    } else {
        output::line(&answer.item.id)?;
    }
    Ok(exit::DONE)
}

/// Makes the body of the launch: the spec of `--config`, with the flags laid over it.
fn body(args: &args::Launch, config: &Config) -> Result<Map<String, Value>, Failure> {
    let mut spec = match &args.config {
        Some(text) => document::file_or_json(text, "--config")?,
        None => Map::new(),
    };
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            spec.insert(key.to_owned(), value);
        }
    };
    put("job", args.job.clone().map(Value::from));
    put("docker", args.image.clone().map(|image| json!({ "docker_image": image })));
    put("project", args.scope.project.clone().map(Value::from));
    put("name", args.name.clone().map(Value::from));
    put("priority", args.priority.clone().map(Value::from));
    put("not_before", args.not_before.clone().map(Value::from));
    put("idempotency_key", args.idempotency_key.clone().map(Value::from));
    put("rebuild", args.rebuild.then_some(Value::Bool(true)));
    if !spec.contains_key("project")
        && let Some(project) = config.project()
    {
        spec.insert("project".to_owned(), project.into());
    }
    if let Some(reference) = &args.git_hash {
        let mut git = part(&mut spec, "git")?;
        git.insert("version".to_owned(), reference.clone().into());
        spec.insert("git".to_owned(), git.into());
    }
    let mut overrides = part(&mut spec, "overrides")?;
    if let Some(command) = &args.entry_point {
        overrides.insert("entry_point".to_owned(), words(command)?.into());
    }
    if !args.args.is_empty() {
        overrides.insert("args".to_owned(), args.args.clone().into());
    }
    if !args.set.is_empty() {
        let mut run_config = part(&mut overrides, "run_config")?;
        for pair in &args.set {
            let (key, value) = typed_pair(pair, "--set")?;
            set(&mut run_config, key, value)?;
        }
        overrides.insert("run_config".to_owned(), run_config.into());
    }
    if !overrides.is_empty() {
        spec.insert("overrides".to_owned(), overrides.into());
    }
    if !args.set_var.is_empty() {
        let mut variables = part(&mut spec, "template_variables")?;
        for pair in &args.set_var {
            let (key, value) = typed_pair(pair, "--set-var")?;
            variables.insert(key.to_owned(), value);
        }
        spec.insert("template_variables".to_owned(), variables.into());
    }
    Ok(spec)
}

/// Files resource arguments under the name of their target: they may come with it (as the wandb client wants them);
/// else it is the one that the spec names, else the queue's.
async fn resource_args(
    given: Map<String, Value>,
    spec: &Map<String, Value>,
    client: &Client,
    queue: &str,
) -> Result<Value, Failure> {
    if given.len() == 1 && given.iter().all(|(k, v)| Target::parse(k).is_some() && v.is_object()) {
        return Ok(given.into());
    }
    if let Some(target) = spec.get("resource").and_then(Value::as_str) {
        return Ok(json!({ target: given }));
    }
    let answer: QueueAnswer = client.get(queue).await?;
    let target = answer.queue.target.ok_or_else(|| {
        Failure::usage(format!("the queue `{}` has no target of its own", answer.queue.name))
            .hint("Put the target's name around the resource arguments: {\"docker\": {…}}.")
    })?;
    Ok(json!({ target.as_str(): given }))
}

/// Takes an object out of a spec.
fn part(spec: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, Failure> {
    match spec.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Failure::usage(format!("`{key}` of the launch spec is not an object"))),
    }
}

/// Splits `KEY=VALUE`; a value that is JSON is taken as such, anything else is a text.
fn typed_pair<'a>(pair: &'a str, flag: &str) -> Result<(&'a str, Value), Failure> {
    let (key, value) = pair
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| Failure::usage(format!("{flag} takes KEY=VALUE, not `{pair}`")))?;
    Ok((key, serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Sets a value; dots in the key lead into objects.
fn set(object: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), Failure> {
    let Some((first, rest)) = key.split_once('.') else {
        object.insert(key.to_owned(), value);
        return Ok(());
    };
    let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
    match inner.as_object_mut() {
        Some(inner) => set(inner, rest, value),
        None => Err(Failure::usage(format!("`{first}` is not an object, so `{key}` cannot be set"))),
    }
}

/// Splits a command as a shell does: blanks, quotes, backslashes; no variables.
pub(super) fn words(command: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    let open = || Failure::usage(format!("the command `{command}` ends inside quotes"));
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(open)? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(open)? {
                        '"' => break,
                        '\\' => match chars.next().ok_or_else(open)? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(Failure::usage("the command is empty")) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{args::Command, environment::Environment};

    fn body_of(words: &[&str]) -> Result<Value, Failure> {
        let args = args::Args::try_parse_from(["lanza", "launch", "-q", "q"].iter().chain(words)).expect("parses");
        let Command::Launch(args) = args.command else { panic!("not a launch") };
        body(&args, &Config::new(Environment::from([("WANDB_PROJECT", "from-variable")]))).map(Value::Object)
    }

    #[test]
    fn flags_become_the_launch_body() {
        let body = body_of(&[
            "-j",
            "train",
            "-p",
            "p",
            "--set",
            "lr=0.1",
            "--set",
            "opt.name=adam",
            "--set",
            "big=1e3",
            "-v",
            "gpus=2",
            "-P",
            "high",
            "--rebuild",
            "--git-version",
            "v1.0",
            "-E",
            "python 'a b.py' --x=\"1 2\"",
            "--args",
            "--n",
            "3",
        ])
        .expect("a body");
        assert_eq!(
            body,
            json!({
                "job": "train", "project": "p", "priority": "high", "template_variables": {"gpus": 2}, "rebuild": true,
                "git": {"version": "v1.0"},
                "overrides": {
                    "entry_point": ["python", "a b.py", "--x=1 2"], "args": ["--n", "3"],
                    "run_config": {"lr": 0.1, "opt": {"name": "adam"}, "big": 1000.0},
                },
            })
        );
    }

    #[test]
    fn every_spelling_of_the_commit_is_taken() {
        for flag in ["-g", "--git-hash", "--git-version"] {
            let body = body_of(&["-j", "train", flag, "main"]).expect("a body");
            assert_eq!(body["git"], json!({"version": "main"}), "{flag}");
        }
    }

    #[test]
    fn flags_win_over_the_config_and_the_config_over_the_environment() {
        let spec = r#"{"job": "old", "project": "kept", "overrides": {"run_config": {"a": 1, "b": 2}}}"#;
        let body = body_of(&["-c", spec, "-j", "new", "--set", "b=x"]).expect("a body");
        assert_eq!(body, json!({"job": "new", "project": "kept", "overrides": {"run_config": {"a": 1, "b": "x"}}}));
        assert_eq!(body_of(&["-d", "image:1"]).expect("a body")["project"], "from-variable");
    }

    #[test]
    fn what_cannot_be_read_is_a_usage_error() {
        for words in [&["-j", "x", "--set", "novalue"][..], &["-j", "x", "-E", "a 'b"], &["-j", "x", "-E", " "]] {
            assert_eq!(body_of(words).expect_err("refused").exit, exit::USAGE, "{words:?}");
        }
        let clash = body_of(&["-j", "x", "--set", "a=1", "--set", "a.b=2"]).expect_err("refused");
        assert!(clash.message.contains("`a` is not an object"), "{clash:?}");
    }
}
