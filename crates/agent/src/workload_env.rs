//! The environment variables of a workload: those of the stock agent, and our few.

use std::collections::BTreeMap;

use lanza_api::agent::Lease;
use serde_json::{Map, Value};

/// Longest value that the stock agent puts into one variable; a longer one is cut into `NAME_0`, `NAME_1`, ….
const LONGEST_CHARS: usize = 32_670;

/// Variables of the agent that a local process gets as well: what it takes to find programs, speak a language and
/// reach the network. Nothing that is ever a secret, and no prefix match.
const SAFE: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TERM",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "XDG_CACHE_HOME",
    "no_proxy",
    "NO_PROXY",
];

/// Proxies may carry a password, which is the agent's and not the job's: those go without.
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Returns what a process of this machine may see of the agent's environment.
pub(crate) fn safe(agent: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    agent
        .iter()
        .filter(|(name, value)| {
            SAFE.contains(&name.as_str()) || (PROXIES.contains(&name.as_str()) && !value.contains('@'))
        })
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Returns the variables that every workload gets, whatever its target.
pub(crate) fn launch(lease: &Lease, base_url: &str, image: Option<&str>, scratch: &str) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("WANDB_BASE_URL", base_url);
    set("WANDB_API_KEY", &lease.token);
    set("WANDB_PROJECT", &lease.run_project);
    set("WANDB_ENTITY", &lease.run_entity);
    set("WANDB_LAUNCH", "True");
    set("WANDB_RUN_ID", &lease.run_id);
    if let Some(image) = image {
        set("WANDB_DOCKER", image);
    }
    if let Some(name) = &lease.run_name {
        set("WANDB_NAME", name);
    }
    // No WANDB_USERNAME: it says for whom a shared key acts, and the job's own token is of its author.
    if let Some(sweep) = &lease.sweep_id {
        set("WANDB_SWEEP_ID", sweep);
    }
    if lease.resume || lease.attempt > 1 {
        set("WANDB_RESUME", "allow");
    }
    set("WANDB_LAUNCH_QUEUE_NAME", &lease.queue);
    set("WANDB_LAUNCH_QUEUE_ENTITY", &lease.entity);
    set("WANDB_LAUNCH_TRACE_ID", &lease.item);
    set("LANZA_ITEM", &lease.item);
    set("LANZA_ATTEMPT", &lease.attempt.to_string());
    set("LANZA_SCRATCH", scratch);

    let object = |key: &str| lease.overrides.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut artifacts = Map::new();
    if let Some(job) = &lease.job {
        artifacts.insert("_wandb_job".into(), Value::String(job.clone()));
    }
    artifacts.extend(object("artifacts"));
    env.insert("WANDB_ARTIFACTS".into(), Value::Object(artifacts).to_string());
    in_chunks(&mut env, "WANDB_CONFIG", &Value::Object(object("run_config")).to_string());
    in_chunks(&mut env, "WANDB_LAUNCH_FILE_OVERRIDES", &Value::Object(object("files")).to_string());
    env
}

fn in_chunks(env: &mut BTreeMap<String, String>, name: &str, text: &str) {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= LONGEST_CHARS {
        env.insert(name.to_owned(), text.to_owned());
        return;
    }
    for (i, chunk) in characters.chunks(LONGEST_CHARS).enumerate() {
        env.insert(format!("{name}_{i}"), chunk.iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::tests::lease;

    #[test]
    fn a_workload_gets_the_stock_agents_variables_and_no_others() {
        let mut l = lease("item");
        l.run_name = Some("tall-tree-1".into());
        l.overrides =
            json!({"run_config": {"lr": 0.1}, "artifacts": {"data": "e/p/d:v0"}}).as_object().unwrap().clone();
        let env = launch(&l, "http://localhost:1", None, "/s");
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "LANZA_ATTEMPT",
                "LANZA_ITEM",
                "LANZA_SCRATCH",
                "WANDB_API_KEY",
                "WANDB_ARTIFACTS",
                "WANDB_BASE_URL",
                "WANDB_CONFIG",
                "WANDB_ENTITY",
                "WANDB_LAUNCH",
                "WANDB_LAUNCH_FILE_OVERRIDES",
                "WANDB_LAUNCH_QUEUE_ENTITY",
                "WANDB_LAUNCH_QUEUE_NAME",
                "WANDB_LAUNCH_TRACE_ID",
                "WANDB_NAME",
                "WANDB_PROJECT",
                "WANDB_RUN_ID",
            ]
        );
        assert_eq!(env["WANDB_CONFIG"], r#"{"lr":0.1}"#);
        assert_eq!(env["WANDB_ARTIFACTS"], r#"{"_wandb_job":"acme/digits/train:v0","data":"e/p/d:v0"}"#);
        assert_eq!(env["WANDB_API_KEY"], l.token);
        l.attempt = 2;
        assert_eq!(launch(&l, "", None, "")["WANDB_RESUME"], "allow");
    }

    #[test]
    fn a_long_config_is_cut_and_the_plain_name_is_absent() {
        let mut l = lease("item");
        l.overrides = json!({"run_config": {"text": "ä".repeat(70_000)}}).as_object().unwrap().clone();
        let env = launch(&l, "", None, "");
        assert!(!env.contains_key("WANDB_CONFIG"));
        let whole: String = (0..3).map(|i| env[&format!("WANDB_CONFIG_{i}")].clone()).collect();
        assert_eq!(env["WANDB_CONFIG_0"].chars().count(), LONGEST_CHARS);
        assert!(!env.contains_key("WANDB_CONFIG_3"));
        assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), l.overrides["run_config"]);
    }

    #[test]
    fn the_agents_secrets_stay_with_the_agent() {
        let agent: BTreeMap<String, String> = [
            ("WANDB_API_KEY", "k"),
            ("AWS_SECRET_ACCESS_KEY", "k"),
            ("PIP_INDEX_URL", "https://u:p@host"),
            ("https_proxy", "http://u:p@proxy"),
            ("http_proxy", "http://proxy"),
            ("PATH", "/bin"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        assert_eq!(safe(&agent).into_keys().collect::<Vec<_>>(), ["PATH", "http_proxy"]);
    }
}
