//! What a submitter may set: the allow-list of a target, or the queue's own.

use serde_json::{Map, Value};

use super::{EnvEntry, docker_option, env_entries, leaves, macro_names, option_name, values::NotAllowed};
use crate::target::Target;

/// Options of `docker run` that a submitter may set, as the stock agent allows them (0.28.2 and later).
pub(super) const DOCKER_FIELDS: &[&str] = &[
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

/// Fields that a submitter's manifest may not hold at any depth, whatever they say but false.
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
    "privileged",
    "capabilities",
];

/// Checks the submitter's layer against the allow-list of `target`.
///
/// # Errors
/// Every field that is refused.
fn check_submitter(target: Target, args: &Map<String, Value>) -> Result<(), Vec<NotAllowed>> {
    let mut refused = Vec::new();
    match target {
        Target::Docker => {
            for (key, value) in args {
                match option_name(key).as_str() {
                    "env" => check_env(key, value, &mut refused),
                    option if DOCKER_FIELDS.contains(&option) => {}
                    _ => refused.push(NotAllowed::of_admin(key)),
                }
            }
        }
        Target::Process => {
            for (key, value) in args {
                match option_name(key).as_str() {
                    "env" => check_env(key, value, &mut refused),
                    "cpus" | "memory" | "gpus" => {}
                    _ => refused.push(NotAllowed::of_admin(key)),
                }
            }
        }
        Target::Kubernetes => walk_manifest("", &Value::Object(args.clone()), &mut refused),
        Target::Sagemaker => {
            for key in
                args.keys().filter(|k| ["rolearn", "role_arn", "vpcconfig"].contains(&k.to_ascii_lowercase().as_str()))
            {
                refused.push(NotAllowed::of_admin(key));
            }
        }
        Target::Vertex => {
            if let Some(run) = args.get("run").and_then(Value::as_object) {
                for key in run.keys().filter(|k| ["service_account", "network"].contains(&k.as_str())) {
                    refused.push(NotAllowed::of_admin(&format!("run.{key}")));
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
                refused.push(NotAllowed::of_admin(key));
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
    let word: fn(&str) -> String = match target {
        Target::Docker | Target::Process => option_name,
        _ => docker_option,
    };
    let spelled = |path: &str| -> String { path.split('.').map(word).collect::<Vec<_>>().join(".") };
    let fields: Vec<String> = fields.iter().map(|f| spelled(f)).collect();
    let args_value = Value::Object(args.clone());
    let (mut paths, mut refused) = (Vec::new(), Vec::new());
    leaves(&mut Vec::new(), &args_value, &mut paths);
    for path in paths {
        let (path, plain) = (path.join("."), spelled(&path.join(".")));
        let within = |f: &String| plain == *f || plain.strip_prefix(f.as_str()).is_some_and(|r| r.starts_with('.'));
        if !fields.iter().any(within) {
            let known = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            let why = format!("may only be set by the queue's admin, who left to others: {known}");
            refused.push(NotAllowed::new(&path, why));
        }
    }
    match target {
        Target::Docker | Target::Process => {
            for (key, value) in args.iter().filter(|(k, _)| option_name(k) == "env") {
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

/// Checks the further objects that a launch brings along (`additional_services`), which belong to Kubernetes: the same
/// must not be in them as in the launch's own manifest.
///
/// # Errors
/// Every field that is refused.
pub fn check_services(fields: Option<&[String]>, services: &Value) -> Result<(), Vec<NotAllowed>> {
    let key = "additional_services";
    let args = Map::from_iter([(key.to_owned(), services.clone())]);
    let mut refused = Vec::new();
    if fields.is_some_and(|list| !list.iter().any(|f| f == key)) {
        refused.push(NotAllowed::of_admin(key));
    } else if !services.as_array().is_some_and(|l| l.iter().all(Value::is_object)) {
        refused.push(NotAllowed::new(key, "takes a list of objects"));
    }
    walk_manifest("", &Value::Object(args.clone()), &mut refused);
    find_macros("", &Value::Object(args), &mut refused);
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// An `env` without a value would hand over the agent's own environment.
fn check_env(key: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    // What cannot be read at all is told with the other forms.
    for entry in env_entries(value).unwrap_or_default() {
        if let EnvEntry::FromAgent(name) = entry {
            let why = "has no value of its own; write NAME=VALUE (the agent's environment is not handed out)";
            refused.push(NotAllowed::new(key, format!("`{name}` {why}")));
        }
    }
}

fn walk_manifest(path: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    match value {
        Value::Object(o) => {
            let annotations = path.ends_with("annotations");
            for (key, inner) in o {
                let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if is_dangerous(key, inner) || (annotations && is_unconfined(key, inner)) {
                    refused.push(NotAllowed::of_admin(&here));
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

/// Whether a field of a manifest reaches out of its pod.
fn is_dangerous(key: &str, value: &Value) -> bool {
    match key.to_ascii_lowercase().as_str() {
        // An empty name is the namespace's own account.
        "serviceaccount" | "serviceaccountname" => !value.is_null() && value.as_str() != Some(""),
        // The other ways take mounts in and hand none out.
        "mountpropagation" => {
            !value.as_str().is_some_and(|v| ["none", "hosttocontainer"].contains(&v.to_ascii_lowercase().as_str()))
        }
        key => KUBERNETES_REFUSED.contains(&key) && *value != Value::Bool(false),
    }
}

/// Whether an annotation takes a confinement away, as older clusters read it there.
fn is_unconfined(key: &str, value: &Value) -> bool {
    let (key, value) = (key.to_ascii_lowercase(), value.as_str().unwrap_or_default().to_ascii_lowercase());
    (key.contains("apparmor") || key.contains("seccomp")) && value.contains("unconfined")
}

/// The macros that every layer may use; any other `${NAME}` would read the agent's environment.
const MACROS: &[&str] = &["project_name", "entity_name", "run_id", "run_name", "image_uri", "author"];

fn find_macros(path: &str, value: &Value, refused: &mut Vec<NotAllowed>) {
    match value {
        Value::String(s) => {
            for name in macro_names(s).filter(|n| !MACROS.contains(n)) {
                let why =
                    format!("`${{{name}}}` would read the agent's environment, which only the queue's admin may do");
                refused.push(NotAllowed::new(path, why));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().expect("an object").clone()
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
            json!({"env": {"A": null}}),
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
        for good in [
            json!({"env": {"A": 1, "B": true, "C": "x"}}),
            json!({"env": []}),
            json!({"env": null, "memory": null}),
            json!({"ulimit": [], "cpus": []}),
            json!({"command": ["python", "a.py"]}),
            json!({"builder": {"base_image": "a/b:1", "accelerator": {"base_image": "c:2"}}}),
        ] {
            assert_eq!(check_submitter(Target::Docker, &map(good.clone())), Ok(()), "{good}");
        }
        let e =
            check_submitter(Target::Kubernetes, &map(json!({"spec": {"template": {"spec": {"hostNetwork": true}}}})));
        assert_eq!(e.expect_err("host network")[0].field, "spec.template.spec.hostNetwork");
        assert!(check_submitter(Target::Process, &map(json!({"command": "rm"}))).is_err());
    }

    #[test]
    fn a_manifest_keeps_its_confinement() {
        let pod = |spec: Value, annotations: Value| {
            let template = json!({"metadata": {"annotations": annotations}, "spec": spec});
            check_submitter(Target::Kubernetes, &map(json!({"spec": {"template": template}})))
        };
        let refused = |spec: Value, annotations: Value| pod(spec, annotations).expect_err("refused")[0].field.clone();
        let (app, sec) =
            ("container.apparmor.security.beta.kubernetes.io/a", "seccomp.security.alpha.kubernetes.io/pod");
        assert_eq!(refused(json!({}), json!({app: "Unconfined"})), format!("spec.template.metadata.annotations.{app}"));
        assert_eq!(refused(json!({}), json!({sec: "unconfined"})), format!("spec.template.metadata.annotations.{sec}"));
        assert!(pod(json!({}), json!({app: "runtime/default", "team": "unconfined"})).is_ok());
        assert!(pod(json!({"serviceAccountName": "", "hostNetwork": false}), json!({})).is_ok());
        let mount = |way: &str| json!({"containers": [{"volumeMounts": [{"mountPropagation": way}]}]});
        assert!(pod(mount("HostToContainer"), json!({})).is_ok());
        assert_eq!(
            refused(mount("Bidirectional"), json!({})),
            "spec.template.spec.containers[0].volumeMounts[0].mountPropagation"
        );
    }

    #[test]
    fn additional_services_are_held_to_the_same() {
        let of = |service: Value| check_services(None, &json!([{"config": service}]));
        assert!(of(json!({"kind": "Service", "spec": {"ports": [{"port": 80}]}})).is_ok());
        let refused = of(json!({"kind": "Pod", "spec": {"volumes": [{"hostPath": {"path": "/"}}]}})).expect_err("path");
        assert_eq!(refused[0].field, "additional_services[0].config.spec.volumes[0].hostPath");
        assert!(of(json!({"metadata": {"name": "x-${run_id}"}})).is_ok());
        assert!(of(json!({"metadata": {"name": "${HOME}"}})).is_err());
        assert!(check_services(None, &json!("x")).is_err());
        assert!(check_services(Some(&["memory".to_owned()]), &json!([])).is_err());
        assert!(check_services(Some(&["additional_services".to_owned()]), &json!([])).is_ok());
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
}
