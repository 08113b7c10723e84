//! The two layers of an item's target configuration, made one.
//!
//! The queue's layer is the admin's: macros of the agent's environment and variables without a value resolve there. The
//! item's layer is the submitter's and is checked against the target's allow-list again, whatever the server did.

use std::collections::BTreeMap;

use lanza_api::agent::Lease;
use lanza_model::{
    Reason, code,
    config::{self, EnvEntry, env_entries},
};
use serde_json::{Map, Value};

use crate::launch_config::NamedSecret;

/// Begins a reference to a secret, `secret:NAME`.
const SECRET: &str = "secret:";

/// The effective configuration of one launch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effective {
    /// Options by normalised name, without `env` and `builder`.
    pub(crate) options: Map<String, Value>,
    /// Variables for the workload.
    pub(crate) environment: Vec<(String, String)>,
    /// The values among them that are secret.
    pub(crate) secrets: Vec<String>,
    /// The block `builder`.
    pub(crate) builder: Map<String, Value>,
}

/// Returns the effective configuration; `image` is what the macro `image_uri` stands for.
pub(crate) fn effective(
    lease: &Lease,
    agent: &BTreeMap<String, String>,
    known: &BTreeMap<String, NamedSecret>,
    image: Option<&str>,
) -> Result<Effective, Reason> {
    let refused = |why: String| Reason::new(code::CONFIG_REFUSED, why);
    config::check_submitter_within(lease.target, lease.submitter_fields.as_deref(), &lease.item_config)
        .map_err(|list| refused(config::NotAllowed::list(&list)))?;
    let own = |name: &str| {
        Some(match name {
            "project_name" => lease.run_project.clone(),
            "entity_name" => lease.run_entity.clone(),
            "run_id" => lease.run_id.clone(),
            "run_name" => lease.run_name.clone().unwrap_or_default(),
            "image_uri" => image.unwrap_or_default().to_owned(),
            "author" => lease.author.clone(),
            _ => return None,
        })
    };
    let any = |name: &str| agent.get(name).cloned().or_else(|| own(name));
    let admin = layer(&lease.queue_config, &any);
    let item = layer(&lease.item_config, &own);

    let mut environment = Vec::new();
    let mut secrets = Vec::new();
    let from_item = item.contains_key("env");
    let layer_env = if from_item { &item } else { &admin };
    let written = layer_env.get("env").unwrap_or(&Value::Null);
    for entry in env_entries(written).map_err(|why| refused(format!("env: {why}")))? {
        match entry {
            EnvEntry::Value(name, value) => match value.strip_prefix(SECRET) {
                Some(secret) => {
                    let value = read(secret, known, &lease.queue, from_item, agent)
                        .map_err(|why| refused(format!("env: {name}: {why}")))?;
                    secrets.push(value.clone());
                    environment.push((name, value));
                }
                None => environment.push((name, value)),
            },
            EnvEntry::FromAgent(name) if from_item => {
                return Err(refused(format!(
                    "env: `{name}` has no value of its own, and the agent's is not handed out"
                )));
            }
            EnvEntry::FromAgent(name) => match agent.get(&name) {
                Some(value) => environment.push((name, value.clone())),
                None => return Err(refused(format!("env: the agent's environment has no `{name}`"))),
            },
        }
    }
    let merged = config::merge(&Value::Object(admin), &Value::Object(item));
    let mut options = merged.as_object().cloned().unwrap_or_default();
    options.remove("env");
    let builder = match options.remove("builder") {
        Some(Value::Object(builder)) => builder,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(refused("builder: takes keys and values".into())),
    };
    Ok(Effective { options, environment, secrets, builder })
}

/// Returns the value of the secret `name` for jobs of `queue`.
fn read(
    name: &str,
    known: &BTreeMap<String, NamedSecret>,
    queue: &str,
    from_item: bool,
    agent: &BTreeMap<String, String>,
) -> Result<String, String> {
    let secret = known.get(name).ok_or_else(|| {
        format!("this agent has no secret `{name}`; name it below `lanza.secrets` of its config, or use another queue")
    })?;
    if secret.queues.as_ref().is_some_and(|list| !list.iter().any(|q| q == queue)) {
        return Err(format!("this agent does not hand out the secret `{name}` to jobs of the queue `{queue}`"));
    }
    if from_item && !secret.submitters {
        return Err(format!("the secret `{name}` may only be named by the queue's admin"));
    }
    secret.value.read(agent).map_err(|place| format!("the secret `{name}` cannot be read from {place}"))
}

/// Normalises the option names of a layer and expands its macros.
fn layer(config: &Map<String, Value>, lookup: &dyn Fn(&str) -> Option<String>) -> Map<String, Value> {
    config.iter().map(|(key, value)| (config::option_name(key), config::expand_macros(value, lookup))).collect()
}

#[cfg(test)]
mod tests {
    use lanza_model::Target;
    use serde_json::json;

    use super::*;
    use crate::{journal::tests::lease, launch_config::Secret};

    fn agent() -> BTreeMap<String, String> {
        [("TOKEN", "s3cret"), ("run_id", "mine")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn of(queue: Value, item: Value) -> Result<Effective, Reason> {
        let mut l = lease("i");
        l.target = Target::Docker;
        l.queue_config = queue.as_object().unwrap().clone();
        l.item_config = item.as_object().unwrap().clone();
        let secret = |value: &str, queues: Option<&str>, submitters| NamedSecret {
            value: Secret::Variable(value.into()),
            queues: queues.map(|q| vec![q.to_owned()]),
            submitters,
        };
        let known = [
            ("HF", secret("TOKEN", None, false)),
            ("OPEN", secret("TOKEN", Some("default"), true)),
            ("ELSEWHERE", secret("TOKEN", Some("other"), true)),
            ("EMPTY", secret("NOT_THERE", None, true)),
        ]
        .map(|(n, s)| (n.to_owned(), s));
        effective(&l, &agent(), &known.into(), None)
    }

    #[test]
    fn secrets_are_for_those_whom_the_agent_trusts() {
        let e = of(json!({"env": {"A": "secret:HF", "B": "plain"}}), json!({})).unwrap();
        assert_eq!(e.environment, [("A".into(), "s3cret".into()), ("B".into(), "plain".into())]);
        assert_eq!(e.secrets, ["s3cret"]);
        assert_eq!(of(json!({}), json!({"env": ["A=secret:OPEN"]})).unwrap().secrets, ["s3cret"]);
        for (queue, item, words) in [
            (json!({"env": ["A=secret:NONE"]}), json!({}), "no secret `NONE`"),
            (json!({"env": ["A=secret:ELSEWHERE"]}), json!({}), "queue `default`"),
            (json!({"env": ["A=secret:EMPTY"]}), json!({}), "NOT_THERE"),
            (json!({}), json!({"env": ["A=secret:HF"]}), "admin"),
        ] {
            let reason = of(queue, item).expect_err(words);
            assert!(reason.message.contains(words) && !reason.message.contains("s3cret"), "{}", reason.message);
        }
    }

    #[test]
    fn the_agents_environment_is_for_the_admins_layer() {
        let e = of(json!({"env": ["TOKEN", "A=${TOKEN}"], "--Name": "x-${run_id}"}), json!({"memory": "1g"})).unwrap();
        assert_eq!(e.environment, [("TOKEN".into(), "s3cret".into()), ("A".into(), "s3cret".into())]);
        assert_eq!(e.options, *json!({"name": "x-mine", "memory": "1g"}).as_object().unwrap());

        for item in [json!({"env": ["TOKEN"]}), json!({"workdir": "${TOKEN}"}), json!({"privileged": "x"})] {
            let reason = of(json!({}), item.clone()).expect_err(&item.to_string());
            assert_eq!(reason.code, "config_refused");
        }
        assert!(of(json!({"env": ["NOT_THERE"]}), json!({})).expect_err("missing").message.contains("NOT_THERE"));
    }

    #[test]
    fn the_submitters_macros_are_the_six() {
        let e = of(json!({}), json!({"name": "${run_id}-${run_name}-${author}"})).unwrap();
        assert_eq!(e.options["name"], "ab12cd34--ann");
    }
}
