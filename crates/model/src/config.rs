//! Queue configuration in two layers of trust.
//!
//! The queue's config is the admin's layer and may say anything the target knows. An item's resource args are the
//! submitter's layer: template values and the fields of an allow-list. Both are kept apart; the effective config is the
//! second merged over the first.

mod env;
mod stock;
mod submitter;
mod values;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    env::{EnvEntry, env_entries, secret_names},
    stock::misread_by_stock_agents,
    submitter::{check_services, check_submitter_within},
    values::{NotAllowed, Unusable, check_layers, check_queue},
};

/// Merges `over` into `base`: objects by key, lists and scalars replace, null removes nothing and changes nothing.
pub fn merge(base: &Value, over: &Value) -> Value {
    match (base, over) {
        (_, Value::Null) => base.clone(),
        (Value::Object(b), Value::Object(o)) => {
            let mut merged = b.clone();
            for (key, value) in o {
                let entry = merged.get(key).map_or_else(|| value.clone(), |old| merge(old, value));
                merged.insert(key.clone(), entry);
            }
            Value::Object(merged)
        }
        _ => over.clone(),
    }
}

/// Who set a value of the effective configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The queue's admin.
    Queue,
    /// The queue's admin, through a template variable.
    Template,
    /// The launch.
    Launch,
}

/// One value of the effective configuration, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Dotted path.
    pub path: String,
    /// What holds; null when the launch took it away.
    pub value: Value,
    /// What the queue says, where the launch says otherwise; null when the queue says nothing.
    pub queue: Value,
    /// Who set it.
    pub set_by: Layer,
}

impl Setting {
    /// Whether the launch changes the queue's value.
    pub fn is_changed(&self) -> bool {
        self.set_by == Layer::Launch && self.value != self.queue
    }
}

/// Lists every value of the effective configuration with the layer that set it, by path. `written` is the queue's
/// configuration as its admin wrote it, `queue` the same with its template variables filled, `item` the launch's layer.
pub fn settings(written: &Map<String, Value>, queue: &Map<String, Value>, item: &Map<String, Value>) -> Vec<Setting> {
    let (queue, item) = (Value::Object(queue.clone()), Value::Object(item.clone()));
    let effective = merge(&queue, &item);
    let mut paths = Vec::new();
    leaves(&mut Vec::new(), &queue, &mut paths);
    leaves(&mut Vec::new(), &effective, &mut paths);
    paths.sort();
    paths.dedup();
    let at = |root: &Value, path: &[String]| -> Option<Value> {
        path.iter().try_fold(root, |v, key| v.as_object()?.get(key)).cloned()
    };
    let mut settings = Vec::new();
    for path in paths {
        let (now, before) = (at(&effective, &path), at(&queue, &path));
        // A path into an object that the launch replaced by something else, or into a value that was no object.
        if now.as_ref().is_some_and(|v| v.as_object().is_some_and(|o| !o.is_empty())) {
            continue;
        }
        // A null of the launch where the queue says nothing.
        if now.as_ref().is_none_or(Value::is_null) && before.as_ref().is_none_or(Value::is_null) {
            continue;
        }
        let launched = now != before || at(&item, &path).is_some_and(|v| !v.is_null());
        let set_by = if launched {
            Layer::Launch
        } else if at(&Value::Object(written.clone()), &path) != before {
            Layer::Template
        } else {
            Layer::Queue
        };
        settings.push(Setting {
            path: path.join("."),
            value: now.unwrap_or(Value::Null),
            queue: before.unwrap_or(Value::Null),
            set_by,
        });
    }
    settings
}

/// A value that differs between two objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Dotted path.
    pub path: String,
    /// Before; null when it was not there.
    pub from: Value,
    /// After; null when it is not there.
    pub to: Value,
}

/// Lists what differs between two objects, by path. What is null is not there.
pub fn differences(from: &Map<String, Value>, to: &Map<String, Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    differences_below("", from, to, &mut found);
    found
}

/// Words of names whose values are secrets.
const SECRET: [&str; 7] = ["key", "token", "secret", "password", "passwd", "credential", "credentials"];
/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Hides texts whose names say that they are secrets, at `path` and below: also in lists of assignments (`PASSWORD=…`) and
/// of objects with `name` and `value`. References (`secret:NAME`, `${NAME}`) and paths stay: they are none.
pub fn hide_secrets(path: &str, value: &mut Value) {
    match value {
        Value::String(text) if is_secret(path, text) => HIDDEN.clone_into(text),
        Value::String(text) => {
            if let Some((name, after)) = text.split_once('=')
                && is_secret(name, after)
            {
                *text = format!("{name}={HIDDEN}");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| hide_secrets(path, one)),
        Value::Object(map) => {
            let named = map.get("name").and_then(Value::as_str).map(str::to_owned);
            for (key, one) in map {
                hide_secrets(named.as_deref().filter(|_| key == "value").unwrap_or(key), one);
            }
        }
        _ => {}
    }
}

fn is_secret(path: &str, text: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    // A tokenizer is no token.
    let ends = |at: usize| !name[at..].starts_with(|c: char| c.is_ascii_alphabetic());
    let says = SECRET.iter().any(|word| name.match_indices(word).any(|(at, _)| ends(at + word.len())));
    let refers = text.is_empty() || text.starts_with("secret:") || text.starts_with('/') || text.starts_with("${");
    says && !refers
}

fn differences_below(path: &str, from: &Map<String, Value>, to: &Map<String, Value>, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (a, b) = (from.get(key).unwrap_or(&Value::Null), to.get(key).unwrap_or(&Value::Null));
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (a, b) {
            _ if a == b => {}
            (Value::Object(a), Value::Object(b)) => differences_below(&path, a, b, found),
            _ => found.push(Difference { path, from: a.clone(), to: b.clone() }),
        }
    }
}

/// Collects the paths of everything below `value` that is not an object with keys.
fn leaves(path: &mut Vec<String>, value: &Value, paths: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(o) if !o.is_empty() => {
            for (key, inner) in o {
                path.push(key.clone());
                leaves(path, inner, paths);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => paths.push(path.clone()),
    }
}

/// Returns the spelling under which an option of `docker run` is compared: no leading dashes, lower case, `-` for `_`.
pub fn docker_option(name: &str) -> String {
    name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-")
}

/// The same for the options of processes and containers, where `e` is short for `env`.
pub fn option_name(name: &str) -> String {
    let name = docker_option(name);
    if name == "e" { "env".to_owned() } else { name }
}

fn macro_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// Replaces `${name}` in every text of `value` (keys untouched) by what `lookup` knows; unknown names stay as written.
pub fn expand_macros(value: &Value, lookup: &dyn Fn(&str) -> Option<String>) -> Value {
    match value {
        Value::String(s) => {
            let mut out = String::with_capacity(s.len());
            let mut rest = s.as_str();
            while let Some(start) = rest.find("${") {
                let Some(length) = rest[start..].find('}') else { break };
                out.push_str(&rest[..start]);
                match lookup(&rest[start + 2..start + length]) {
                    Some(text) => out.push_str(&text),
                    None => out.push_str(&rest[start..=start + length]),
                }
                rest = &rest[start + length + 1..];
            }
            out.push_str(rest);
            Value::String(out)
        }
        Value::Array(list) => Value::Array(list.iter().map(|v| expand_macros(v, lookup)).collect()),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), expand_macros(v, lookup))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().expect("an object").clone()
    }

    #[test]
    fn objects_merge_and_lists_replace() {
        assert_eq!(
            merge(&json!({"a": {"x": 1, "y": [1, 2]}, "b": 1}), &json!({"a": {"y": [3]}, "c": 2, "b": null})),
            json!({"a": {"x": 1, "y": [3]}, "b": 1, "c": 2})
        );
    }

    #[test]
    fn secrets_are_hidden_and_what_refers_to_them_is_not() {
        let mut value = json!({
            "env": { "API_KEY": "abc", "HF_TOKEN": "secret:HF", "tokenizer": "bert", "keys": 3, "key_file": "/run/key" },
            "args": ["-e", "DB_PASSWORD=p=q", "MODE=fast"],
            "containers": [{ "env": [{ "name": "DB_SECRET", "value": "s" }, { "name": "MODE", "value": "fast" }] }],
        });
        hide_secrets("config", &mut value);
        assert_eq!(
            value,
            json!({
                "env": { "API_KEY": "***", "HF_TOKEN": "secret:HF", "tokenizer": "bert", "keys": 3, "key_file": "/run/key" },
                "args": ["-e", "DB_PASSWORD=***", "MODE=fast"],
                "containers": [{ "env": [{ "name": "DB_SECRET", "value": "***" }, { "name": "MODE", "value": "fast" }] }],
            })
        );
        let mut word = json!("abc");
        hide_secrets("config.env.WANDB_API_KEY", &mut word);
        assert_eq!(word, json!("***"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_and_the_second_layer_wins(a in any_json(), b in any_json()) {
            let once = merge(&a, &b);
            prop_assert_eq!(&merge(&once, &b), &once);
            prop_assert_eq!(&merge(&a, &Value::Null), &a);
            if let (Value::Object(_), Value::Object(o)) = (&a, &b) {
                for (k, v) in o {
                    if !v.is_object() {
                        prop_assert_eq!(&once[k], v);
                    }
                }
            }
        }
    }

    #[test]
    fn differences_are_named_by_path() {
        let (from, to) =
            (json!({"a": {"x": 1, "y": [1]}, "b": null, "c": 1}), json!({"a": {"x": 2, "y": [1]}, "d": {"e": 1}}));
        let found: Vec<_> = differences(&map(from), &map(to)).into_iter().map(|d| (d.path, d.from, d.to)).collect();
        assert_eq!(
            found,
            [
                ("a.x".to_owned(), json!(1), json!(2)),
                ("c".to_owned(), json!(1), json!(null)),
                ("d".to_owned(), json!(null), json!({"e": 1})),
            ]
        );
    }

    #[test]
    fn every_value_has_the_layer_that_set_it() {
        let written = map(json!({"image": "{{image}}", "env": {"A": "1", "B": "2"}, "memory": "8g", "x": {"y": 1}}));
        let queue = map(json!({"image": "base:1", "env": {"A": "1", "B": "2"}, "memory": "8g", "x": {"y": 1}}));
        let item = map(json!({"env": {"B": "3", "C": "4"}, "memory": "8g", "x": 2, "cpus": null}));
        let found: Vec<_> = settings(&written, &queue, &item)
            .into_iter()
            .map(|s| (s.is_changed(), s.path, s.value, s.queue, s.set_by))
            .collect();
        let expect = |changed: bool, path: &str, value: Value, queue: Value, by: Layer| {
            (changed, path.to_owned(), value, queue, by)
        };
        assert_eq!(
            found,
            [
                expect(false, "env.A", json!("1"), json!("1"), Layer::Queue),
                expect(true, "env.B", json!("3"), json!("2"), Layer::Launch),
                expect(true, "env.C", json!("4"), json!(null), Layer::Launch),
                expect(false, "image", json!("base:1"), json!("base:1"), Layer::Template),
                expect(false, "memory", json!("8g"), json!("8g"), Layer::Launch),
                expect(true, "x", json!(2), json!({"y": 1}), Layer::Launch),
                expect(true, "x.y", json!(null), json!(1), Layer::Launch),
            ]
        );
    }

    #[test]
    fn macros_are_expanded_once_and_unknown_ones_stay() {
        let lookup = |name: &str| (name == "run_id").then(|| "r1".to_owned());
        assert_eq!(
            expand_macros(&json!({"${run_id}": ["x-${run_id}-${nope}", 3, "${"]}), &lookup),
            json!({"${run_id}": ["x-r1-${nope}", 3, "${"]})
        );
    }
}
