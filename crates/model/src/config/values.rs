//! What the values of a configuration must be, whoever wrote them: what an agent could not use is told at the launch.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Layer, env_entries, merge, option_name};
use crate::{
    docker::{Flag, is_image_name},
    policy::unknown_key,
    target::Target,
};

/// Keys that the target `process` reads.
const PROCESS_KEYS: &[&str] = &["builder", "cpus", "env", "gpus", "memory"];

/// A field of a layer is not to be set, or not in this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct NotAllowed {
    /// Dotted path below the target's config.
    pub field: String,
    /// Why, as a clause.
    pub why: String,
}

impl NotAllowed {
    pub(crate) fn new(field: &str, why: impl Into<String>) -> Self {
        Self { field: field.to_owned(), why: why.into() }
    }

    /// Says all of a list in one sentence.
    pub fn list(refused: &[NotAllowed]) -> String {
        refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn of_admin(field: &str) -> Self {
        Self::new(field, "may only be set by the queue's admin")
    }
}

/// A value of the effective configuration that no agent can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Who wrote it: the queue or the launch.
    pub layer: Layer,
    /// Which, and why.
    pub what: NotAllowed,
}

/// Lists what an agent would refuse of a launch's configuration: the queue's layer, templates filled, and the launch's
/// over it. A value with a macro in it is the agent's to look at, who fills it.
pub fn check_layers(target: Target, queue: &Map<String, Value>, item: &Map<String, Value>) -> Vec<Unusable> {
    // By the names under which the agent lays one over the other.
    let mut effective: BTreeMap<String, (Layer, &str, Value)> = BTreeMap::new();
    for (layer, config) in [(Layer::Queue, queue), (Layer::Launch, item)] {
        for (key, value) in config.iter().filter(|(_, v)| !v.is_null()) {
            let option = option_name(key);
            let merged = match effective.get(&option) {
                Some((_, _, below)) => merge(below, value),
                None => value.clone(),
            };
            effective.insert(option, (layer, key, merged));
        }
    }
    effective
        .iter()
        .filter_map(|(option, (layer, key, value))| {
            check_value(target, (option, key), value, MACRO).map(|what| Unusable { layer: *layer, what })
        })
        .collect()
}

/// Lists what is wrong with a queue's layer as its admin writes it: what every launch would be refused for, and keys that
/// mean nothing to the target. A value with a template variable in it is looked at when that is filled.
pub fn check_queue(target: Target, config: &Map<String, Value>) -> Vec<NotAllowed> {
    let written = config.iter().filter(|(_, value)| !value.is_null());
    written
        .filter_map(|(key, value)| {
            let option = option_name(key);
            if target == Target::Process && !PROCESS_KEYS.contains(&option.as_str()) {
                return Some(NotAllowed::new(key, unknown_key("a key of the target `process`", &option, PROCESS_KEYS)));
            }
            let open = if has(value, VARIABLE) { VARIABLE } else { MACRO };
            check_value(target, (&option, key), value, open)
        })
        .collect()
}

/// Checks the value of an option, which is written as `key`; not one that has the mark `open` in it, and is filled later.
fn check_value(target: Target, (option, key): (&str, &str), value: &Value, open: &str) -> Option<NotAllowed> {
    let later = has(value, open);
    let read = match (target, option) {
        // A macro is part of a name.
        (_, "builder") if !later || open == MACRO => return check_builder(key, value),
        (Target::Docker, name) if later && name != "env" && name != "builder" => Flag { name, value }.known(),
        _ if later => Ok(()),
        (Target::Docker | Target::Process, "env") => env_entries(value).map(drop),
        (Target::Docker, name) => Flag { name, value }.check(),
        _ => Ok(()),
    };
    read.err().map(|why| NotAllowed::new(key, why))
}

/// The block `builder` of a target's config: images to build on.
fn check_builder(key: &str, value: &Value) -> Option<NotAllowed> {
    let Value::Object(block) = value else { return Some(NotAllowed::new(key, "takes keys and values")) };
    let image = |path: String, value: Option<&Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if name.is_empty() || name.contains("${") || is_image_name(name) => None,
        Some(Value::String(name)) => {
            Some(NotAllowed::new(&path, format!("`{}` is not the name of an image", name.escape_debug())))
        }
        Some(other) => Some(NotAllowed::new(&path, format!("takes the name of an image, not `{other}`"))),
    };
    image(format!("{key}.base_image"), block.get("base_image")).or_else(|| {
        ["accelerator", "cuda"].iter().find_map(|inner| match block.get(*inner) {
            None | Some(Value::Null) => None,
            Some(Value::Object(o)) => image(format!("{key}.{inner}.base_image"), o.get("base_image")),
            Some(_) => Some(NotAllowed::new(&format!("{key}.{inner}"), "takes keys and values")),
        })
    })
}

/// Begins what the agent fills.
const MACRO: &str = "${";
/// Begins what the launch fills.
const VARIABLE: &str = "{{";

/// Whether a text of the value has the mark.
fn has(value: &Value, mark: &str) -> bool {
    match value {
        Value::String(s) => s.contains(mark),
        Value::Array(list) => list.iter().any(|v| has(v, mark)),
        Value::Object(o) => o.values().any(|v| has(v, mark)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(target: Target, queue: Value, item: Value) -> Vec<(Layer, String)> {
        let map = |v: Value| v.as_object().expect("an object").clone();
        check_layers(target, &map(queue), &map(item)).into_iter().map(|u| (u.layer, u.what.field)).collect()
    }

    #[test]
    fn what_no_agent_can_use_is_named_with_its_layer() {
        let queue = json!({"volumme": "/a:/b", "memory": "lots", "cpus": "${CPUS}", "env": ["A", "B=1"], "x": null});
        let item = json!({"--Memory": "1g", "gpus": true, "env": 3});
        assert_eq!(
            found(Target::Docker, queue, item),
            [(Layer::Launch, "env".into()), (Layer::Launch, "gpus".into()), (Layer::Queue, "volumme".into())]
        );
        assert_eq!(
            found(Target::Process, json!({"env": true, "volumme": 1}), json!({})),
            [(Layer::Queue, "env".into())]
        );
        for wrong in [json!({"cpus": [1, 2]}), json!({"gpus": true}), json!({"env": [1]}), json!({"workdir": {}})] {
            assert_eq!(found(Target::Docker, json!({}), wrong.clone()).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_queue_says_which_keys_its_target_does_not_know() {
        let found = |target, config: Value| {
            let list = check_queue(target, config.as_object().expect("an object"));
            list.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let docker = json!({ "volumme": "{{place}}", "--shm_size": "{{size}}", "gpus": "{{gpus}}", "cpus": [1, 2],
            "env": { "A": "{{a}}" }, "builder": { "base_image": "{{image}}" }, "x": null });
        assert_eq!(
            found(Target::Docker, docker),
            [
                "volumme: is not an option of `docker run` that agents know; did you mean `volume`?",
                "cpus: takes one value, not a list"
            ]
        );
        assert_eq!(
            found(Target::Process, json!({ "e": ["A=1"], "Memory": "1g", "gpu": 1, "volume": ["/a:/b"] })),
            [
                "gpu: is not a key of the target `process`; did you mean `gpus`?",
                "volume: is not a key of the target `process`; known are builder, cpus, env, gpus, memory"
            ]
        );
        assert_eq!(found(Target::Kubernetes, json!({ "spec": {}, "anything": 1 })), Vec::<String>::new());
    }

    #[test]
    fn base_images_are_names() {
        for (builder, field) in [
            (json!({"base_image": 3}), "builder.base_image"),
            (json!({"base_image": ["a"]}), "builder.base_image"),
            (json!({"base_image": "a b"}), "builder.base_image"),
            (json!({"accelerator": {"base_image": true}}), "builder.accelerator.base_image"),
            (json!({"cuda": {"base_image": {}}}), "builder.cuda.base_image"),
            (json!({"cuda": "x"}), "builder.cuda"),
            (json!(["x"]), "builder"),
        ] {
            for target in [Target::Docker, Target::Kubernetes] {
                let builder = json!({ "builder": builder });
                assert_eq!(found(target, json!({}), builder.clone()), [(Layer::Launch, field.to_owned())], "{builder}");
            }
        }
        let good =
            json!({"builder": {"base_image": "${REGISTRY}/a:1", "cuda": null, "accelerator": {"base_image": ""}}});
        assert_eq!(found(Target::Docker, good, json!({})), []);
    }
}
