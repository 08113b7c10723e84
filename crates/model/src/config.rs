//! Queue configuration in two layers of trust.
//!
//! The queue's config is the admin's layer and may say anything the target knows. An item's resource args are the
//! submitter's layer: template values and the fields of an allow-list. Both are kept apart; the effective config is the
//! second merged over the first.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::target::Target;

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
    let says = |word: &&str| {
        name.match_indices(*word).any(|(at, _)| !name[at + word.len()..].starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    let refers = text.is_empty() || text.starts_with("secret:") || text.starts_with('/') || text.starts_with("${");
    !refers && SECRET.iter().any(|word| says(&word))
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

/// Options of `docker run` that a submitter may set, as the stock agent allows them (0.28.2 and later).
pub const DOCKER_FIELDS: &[&str] = &[
    "command",
    "cpu",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "e",
    "env",
    "gpus",
    "m",
    "memory",
    "memory-reservation",
    "memory-swap",
    "name",
    "pids-limit",
    "platform",
    "shm-size",
    "ulimit",
    "w",
    "workdir",
    "builder",
];

/// Fields and annotations that a submitter's manifest may not hold at any depth.
const KUBERNETES_REFUSED: &[&str] = &[
    "securitycontext",
    "hostpath",
    "serviceaccounttoken",
    "hostpid",
    "hostipc",
    "hostnetwork",
    "shareprocessnamespace",
    "hostusers",
    "automountserviceaccounttoken",
    "hostport",
    "serviceaccount",
    "serviceaccountname",
    "mountpropagation",
    "privileged",
    "capabilities",
];

/// A submitter set what only the queue's admin may set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct NotAllowed {
    /// Dotted path below the target's config.
    pub field: String,
    /// Why, as a clause.
    pub why: String,
}

/// Returns the spelling under which an option of `docker run` is compared: no leading dashes, lower case, `-` for `_`.
pub fn docker_option(name: &str) -> String {
    name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-")
}

/// Checks the submitter's layer against the allow-list of `target`.
///
/// # Errors
/// Every field that is refused.
pub fn check_submitter(target: Target, args: &Map<String, Value>) -> Result<(), Vec<NotAllowed>> {
    let mut refused = Vec::new();
    match target {
        Target::Docker => {
            for (key, value) in args {
                let option = docker_option(key);
                if !DOCKER_FIELDS.contains(&option.as_str()) {
                    refused.push(NotAllowed { field: key.clone(), why: "may only be set by the queue's admin".into() });
                    continue;
                }
                check_docker_value(key, &option, value, &mut refused);
            }
        }
        Target::Process => {
            for (key, value) in args {
                match docker_option(key).as_str() {
                    "env" | "e" => check_env(key, value, &mut refused),
                    "cpus" | "memory" | "gpus" => {}
                    _ => refused
                        .push(NotAllowed { field: key.clone(), why: "may only be set by the queue's admin".into() }),
                }
            }
        }
        Target::Kubernetes => walk_manifest("", &Value::Object(args.clone()), &mut refused),
        Target::Sagemaker => {
            for key in
                args.keys().filter(|k| ["rolearn", "role_arn", "vpcconfig"].contains(&k.to_ascii_lowercase().as_str()))
            {
                refused.push(NotAllowed { field: key.clone(), why: "may only be set by the queue's admin".into() });
            }
        }
        Target::Vertex => {
            if let Some(run) = args.get("run").and_then(Value::as_object) {
                for key in run.keys().filter(|k| ["service_account", "network"].contains(&k.as_str())) {
                    refused.push(NotAllowed {
                        field: format!("run.{key}"),
                        why: "may only be set by the queue's admin".into(),
                    });
                }
            }
        }
        Target::Slurm => {
            const FIELDS: &[&str] = &[
                "cpus",
                "cpus-per-task",
                "mem",
                "memory",
                "time",
                "gres",
                "gpus",
                "nodes",
                "ntasks",
                "job-name",
                "env",
            ];
            for key in args.keys().filter(|k| !FIELDS.contains(&docker_option(k).as_str())) {
                refused.push(NotAllowed { field: key.clone(), why: "may only be set by the queue's admin".into() });
            }
        }
    }
    find_macros("", &Value::Object(args.clone()), &mut refused);
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Checks the submitter's layer against the queue's own list of fields, where its policy has one (`submitter_fields`),
/// else against the allow-list of `target`. The agent's environment stays out of reach either way.
///
/// # Errors
/// Every field that is refused.
pub fn check_submitter_within(
    target: Target,
    fields: Option<&[String]>,
    args: &Map<String, Value>,
) -> Result<(), Vec<NotAllowed>> {
    let Some(fields) = fields else { return check_submitter(target, args) };
    let spelled = |path: &str| -> String { path.split('.').map(docker_option).collect::<Vec<_>>().join(".") };
    let fields: Vec<String> = fields.iter().map(|f| spelled(f)).collect();
    let args_value = Value::Object(args.clone());
    let (mut paths, mut refused) = (Vec::new(), Vec::new());
    leaves(&mut Vec::new(), &args_value, &mut paths);
    for path in paths {
        let (path, plain) = (path.join("."), spelled(&path.join(".")));
        let within = |f: &String| plain == *f || plain.strip_prefix(f.as_str()).is_some_and(|r| r.starts_with('.'));
        if !fields.iter().any(within) {
            let known = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            refused.push(NotAllowed {
                field: path,
                why: format!("may only be set by the queue's admin, who left to others: {known}"),
            });
        }
    }
    match target {
        Target::Docker | Target::Process => {
            for (key, value) in args.iter().filter(|(k, _)| ["env", "e"].contains(&docker_option(k).as_str())) {
                check_env(key, value, &mut refused);
            }
        }
        // A list that names a whole block does not mean what reaches the machine from within it.
        Target::Kubernetes => {
            let mut dangerous = Vec::new();
            walk_manifest("", &args_value, &mut dangerous);
            refused.extend(dangerous.into_iter().filter(|d| !fields.contains(&spelled(&d.field))));
        }
        _ => {}
    }
    find_macros("", &args_value, &mut refused);
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

fn check_docker_value(key: &str, option: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    let mut no = |why: &str| refused.push(NotAllowed { field: key.to_owned(), why: why.into() });
    match (option, value) {
        ("env" | "e", _) => check_env(key, value, refused),
        ("builder", Value::Object(_)) | (_, Value::String(_) | Value::Number(_)) => {}
        ("ulimit", Value::Array(list)) if !list.is_empty() && list.iter().all(Value::is_string) => {}
        (_, Value::Array(_)) => no("does not take a list"),
        (_, Value::Bool(_)) => no("does not take true or false"),
        _ => no("takes a text or a number"),
    }
}

/// An `env` without a value would hand over the agent's own environment.
fn check_env(key: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    let entries: Vec<String> = match value {
        Value::String(s) => vec![s.clone()],
        Value::Array(list) => list.iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect(),
        Value::Object(o) if o.values().all(|v| v.is_string() || v.is_number() || v.is_boolean()) => Vec::new(),
        _ => vec![String::new()],
    };
    for entry in entries {
        if !entry.contains('=') || entry.starts_with('=') {
            refused.push(NotAllowed {
                field: key.to_owned(),
                why: format!(
                    "`{entry}` has no value of its own; write NAME=VALUE (the agent's environment is not handed out)"
                ),
            });
        }
    }
}

fn walk_manifest(path: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    match value {
        Value::Object(o) => {
            for (key, inner) in o {
                let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if KUBERNETES_REFUSED.contains(&key.to_ascii_lowercase().as_str()) && *inner != Value::Bool(false) {
                    refused
                        .push(NotAllowed { field: here.clone(), why: "may only be set by the queue's admin".into() });
                }
                walk_manifest(&here, inner, refused);
            }
        }
        Value::Array(list) => {
            for (i, inner) in list.iter().enumerate() {
                walk_manifest(&format!("{path}[{i}]"), inner, refused);
            }
        }
        _ => {}
    }
}

/// The macros that every layer may use; any other `${NAME}` would read the agent's environment.
pub const MACROS: &[&str] = &["project_name", "entity_name", "run_id", "run_name", "image_uri", "author"];

fn find_macros(path: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    match value {
        Value::String(s) => {
            for name in macro_names(s).filter(|n| !MACROS.contains(n)) {
                refused.push(NotAllowed {
                    field: path.to_owned(),
                    why: format!(
                        "`${{{name}}}` would read the agent's environment, which only the queue's admin may do"
                    ),
                });
            }
        }
        Value::Array(list) => list.iter().for_each(|v| find_macros(path, v, refused)),
        Value::Object(o) => {
            for (key, inner) in o {
                find_macros(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, inner, refused);
            }
        }
        _ => {}
    }
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
    fn a_submitter_cannot_reach_the_machine() {
        for bad in [
            json!({"volume": "/:/host"}),
            json!({"v": ["/:/host"]}),
            json!({"privileged": true}),
            json!({"--network": "host"}),
            json!({"env": ["AWS_SECRET_ACCESS_KEY"]}),
            json!({"env": "TOKEN"}),
            json!({"workdir": "${HOME}"}),
            json!({"cap_add": "ALL"}),
            json!({"gpus": true}),
            json!({"cpus": []}),
        ] {
            assert!(check_submitter(Target::Docker, &map(bad.clone())).is_err(), "{bad} was accepted");
        }
        assert!(
            check_submitter(
                Target::Docker,
                &map(json!({"env": ["A=1"], "gpus": "all", "shm_size": "1g", "name": "${run_id}"}))
            )
            .is_ok()
        );
        let e =
            check_submitter(Target::Kubernetes, &map(json!({"spec": {"template": {"spec": {"hostNetwork": true}}}})));
        assert_eq!(e.expect_err("host network")[0].field, "spec.template.spec.hostNetwork");
        assert!(check_submitter(Target::Process, &map(json!({"command": "rm"}))).is_err());
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
    fn an_admin_narrows_and_widens_what_submitters_set() {
        let fields = ["memory".to_owned(), "--shm_size".to_owned(), "volume".to_owned(), "env".to_owned()];
        let check = |args: Value| check_submitter_within(Target::Docker, Some(&fields), &map(args));
        assert!(check(json!({"memory": "1g", "shm-size": "1g", "volume": "/data:/data", "env": ["A=1"]})).is_ok());
        let refused = check(json!({"gpus": "all"})).expect_err("narrowed");
        assert!(refused[0].to_string().contains("gpus: may only be set by the queue's admin"), "{}", refused[0]);
        assert!(check(json!({"env": ["SECRET"]})).is_err(), "the agent's environment stays out of reach");
        assert!(check(json!({"volume": "${HOME}:/home"})).is_err());
        assert!(check_submitter_within(Target::Docker, None, &map(json!({"gpus": "all"}))).is_ok());
        let pod = |field: &str| json!({"spec": {"template": {"spec": {field: true}}}});
        let block = ["spec".to_owned()];
        let check =
            |fields: &[String], args: Value| check_submitter_within(Target::Kubernetes, Some(fields), &map(args));
        assert!(check(&block, pod("activeDeadlineSeconds")).is_ok());
        assert!(check(&block, pod("hostNetwork")).is_err(), "a block does not mean what is dangerous in it");
        assert!(check(&["spec.template.spec.hostNetwork".to_owned()], pod("hostNetwork")).is_ok());
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
