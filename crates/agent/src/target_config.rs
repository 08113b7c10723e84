//! The two layers of an item's target configuration, made one.
//!
//! The queue's layer is the admin's: macros of the agent's environment and variables without a value resolve there. The
//! item's layer is the submitter's and is checked against the target's allow-list again, whatever the server did.

use std::collections::BTreeMap;

use lanza_api::agent::Lease;
use lanza_model::{Reason, code, config};
use serde_json::{Map, Value};

use crate::workload_env::{EnvEntry, entries};

/// The effective configuration of one launch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effective {
    /// Options by normalised name, without `env` and `builder`.
    pub(crate) options: Map<String, Value>,
    /// Variables for the workload.
    pub(crate) environment: Vec<(String, String)>,
    /// The block `builder`.
    pub(crate) builder: Map<String, Value>,
}

/// Returns the effective configuration; `image` is what the macro `image_uri` stands for.
pub(crate) fn effective(
    lease: &Lease,
    agent: &BTreeMap<String, String>,
    image: Option<&str>,
) -> Result<Effective, Reason> {
    let refused = |why: String| Reason::new(code::CONFIG_REFUSED, why);
    config::check_submitter(lease.target, &lease.item_config)
        .map_err(|list| refused(list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
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
    let from_item = item.contains_key("env");
    let layer_env = if from_item { &item } else { &admin };
    for entry in entries(layer_env.get("env").unwrap_or(&Value::Null)).map_err(|e| refused(format!("env: {e}")))? {
        match entry {
            EnvEntry::Value(name, value) => environment.push((name, value)),
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
    Ok(Effective { options, environment, builder })
}

/// Normalises the option names of a layer and expands its macros.
fn layer(config: &Map<String, Value>, lookup: &dyn Fn(&str) -> Option<String>) -> Map<String, Value> {
    config
        .iter()
        .map(|(key, value)| {
            let name = match config::docker_option(key).as_str() {
                "e" => "env".to_owned(),
                other => other.to_owned(),
            };
            (name, config::expand_macros(value, lookup))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use lanza_model::Target;
    use serde_json::json;

    use super::*;
    use crate::journal::tests::lease;

    fn agent() -> BTreeMap<String, String> {
        [("TOKEN", "s3cret"), ("run_id", "mine")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn of(queue: Value, item: Value) -> Result<Effective, Reason> {
        let mut l = lease("i");
        l.target = Target::Docker;
        l.queue_config = queue.as_object().unwrap().clone();
        l.item_config = item.as_object().unwrap().clone();
        effective(&l, &agent(), None)
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
