//! What the client's own agent, `wandb launch-agent`, makes of a target's configuration: less than ours. Where such an
//! agent serves a queue, people are told at the launch what it would refuse or misread.

use serde_json::{Map, Value};

use super::{docker_option, submitter::DOCKER_FIELDS, values::NotAllowed};
use crate::target::Target;

/// Fields of a manifest that it refuses wherever they are.
const REFUSED: &[&str] = &["securitycontext", "hostpath", "serviceaccounttoken"];
/// Fields of a manifest that it refuses unless they say nothing or false.
const REFUSED_IF_SET: &[&str] = &[
    "hostpid",
    "hostipc",
    "hostnetwork",
    "shareprocessnamespace",
    "hostusers",
    "automountserviceaccounttoken",
    "hostport",
    "serviceaccount",
    "serviceaccountname",
];

/// Lists what a stock agent would refuse of an effective configuration, ignore, or take by its letters.
pub fn misread_by_stock_agents(target: Target, config: &Map<String, Value>) -> Vec<NotAllowed> {
    let mut found = Vec::new();
    for (key, value) in config.iter().filter(|(key, v)| !v.is_null() && docker_option(key) != "builder") {
        match target {
            Target::Docker => docker(key, value, &mut found),
            Target::Process => {
                found.push(NotAllowed::new(key, "is ignored by it: it runs processes without any configuration"));
            }
            Target::Kubernetes => manifest(key, key, value, &mut found),
            Target::Sagemaker | Target::Vertex | Target::Slurm => {}
        }
        if target != Target::Process {
            secrets(key, value, &mut found);
        }
    }
    if target == Target::Slurm {
        found.push(NotAllowed::new("resource", "`slurm` is a target that it does not have"));
    }
    found
}

fn docker(key: &str, value: &Value, found: &mut Vec<NotAllowed>) {
    let option = docker_option(key);
    let listed = ["e", "env", "ulimit"].contains(&option.as_str());
    if !DOCKER_FIELDS.contains(&option.as_str()) {
        return found.push(NotAllowed::new(key, "is refused by it, for queues as for launches"));
    }
    let scalar = |v: &Value| matches!(v, Value::String(_) | Value::Number(_));
    let why = match value {
        Value::Object(_) if listed => "is an object, which it refuses; write a list of NAME=VALUE texts",
        Value::Object(_) => "is an object, which it refuses; write one text or number",
        Value::Bool(_) => "is true or false, which it refuses; write one text or number",
        Value::Array(list) if !listed && !list.is_empty() => "is a list, which it refuses; write one text or number",
        Value::Array(list) if list.is_empty() => "is an empty list, which it refuses; leave the field out",
        Value::Array(list) if !list.iter().all(scalar) => {
            "has an entry that is no text and no number, which it refuses"
        }
        _ => return,
    };
    found.push(NotAllowed::new(key, why));
}

fn manifest(path: &str, key: &str, value: &Value, found: &mut Vec<NotAllowed>) {
    let name = key.to_ascii_lowercase();
    let says_nothing = match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    };
    let shared = name == "mountpropagation" && value.as_str().is_some_and(|v| v.eq_ignore_ascii_case("bidirectional"));
    if REFUSED.contains(&name.as_str()) || (REFUSED_IF_SET.contains(&name.as_str()) && !says_nothing) || shared {
        return found.push(NotAllowed::new(path, "is refused by it, for queues as for launches"));
    }
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                manifest(&format!("{path}.{key}"), key, inner, found);
            }
        }
        Value::Array(list) => {
            for (i, inner) in list.iter().enumerate() {
                manifest(&format!("{path}[{i}]"), "", inner, found);
            }
        }
        _ => {}
    }
}

/// A secret is for our agents to look up; to another one it is a text like any.
fn secrets(path: &str, value: &Value, found: &mut Vec<NotAllowed>) {
    match value {
        Value::String(text) => {
            let value = text.split_once('=').map_or(text.as_str(), |(_, value)| value);
            if value.starts_with("secret:") || text.starts_with("secret:") {
                let why =
                    "names a secret, which it hands to the job by its letters; let `lanza agent` alone serve the queue";
                found.push(NotAllowed::new(path, why));
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, inner)| secrets(&format!("{path}[{i}]"), inner, found));
        }
        Value::Object(object) => {
            object.iter().for_each(|(key, inner)| secrets(&format!("{path}.{key}"), inner, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn misread(target: Target, config: Value) -> Vec<String> {
        let found = misread_by_stock_agents(target, config.as_object().expect("an object"));
        found.iter().map(|n| n.field.clone()).collect()
    }

    #[test]
    fn options_that_it_refuses_or_misreads_are_named() {
        let good = json!({ "gpus": "all", "--shm_size": "1g", "e": ["A=1"], "env": "B=2", "cpus": 2, "memory": null,
                           "ulimit": ["nofile=1"], "builder": { "base_image": "x" } });
        assert_eq!(misread(Target::Docker, good), [""; 0]);
        let bad = json!({ "volume": ["/a:/b"], "env": { "A": "1" }, "gpus": true, "ulimit": [], "memory": ["1g"],
                          "e": ["TOKEN=secret:HF"] });
        let mut found = misread(Target::Docker, bad);
        found.sort();
        assert_eq!(found, ["e[0]", "env", "gpus", "memory", "ulimit", "volume"]);
        assert_eq!(misread(Target::Process, json!({ "env": ["A=1"], "cpus": 1 })), ["env", "cpus"]);
    }

    #[test]
    fn fields_of_a_manifest_that_it_refuses_are_found_at_any_depth() {
        let pod = json!({ "spec": { "template": { "spec": {
            "hostNetwork": true, "hostPID": false, "serviceAccountName": "", "serviceAccount": "me",
            "volumes": [{ "name": "a", "hostPath": { "path": "/" } }],
            "containers": [{ "env": [{ "name": "T", "value": "secret:T" }] }] } } } });
        let mut found = misread(Target::Kubernetes, pod);
        found.sort();
        assert_eq!(
            found,
            [
                "spec.template.spec.containers[0].env[0].value",
                "spec.template.spec.hostNetwork",
                "spec.template.spec.serviceAccount",
                "spec.template.spec.volumes[0].hostPath"
            ]
        );
    }
}
