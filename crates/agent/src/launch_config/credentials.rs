//! The parts of the block `lanza` that say what the agent may hand out: log-ins, secrets, the machine's resources.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lanza_model::resources::{self, Request};
use serde_json::{Map, Value};

use super::{Check, GitCredential, NamedSecret, RegistryCredential, Secret, join};
use crate::options::Declared;

impl Check {
    pub(super) fn resources(&mut self, value: Option<&Value>) -> Declared {
        const PATH: &str = "lanza.resources";
        let block = self.object(PATH, value);
        self.keys(PATH, &block, resources::KEYS);
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let given = |key: &str| block.get(key).filter(|v| !v.is_null());
        let mut declared = Declared::default();
        for key in ["cpus", "memory"] {
            let one: Map<String, Value> = given(key).map(|v| (key.to_owned(), v.clone())).into_iter().collect();
            match Request::parse(&one) {
                Err((_, why)) => self.problem(&join(PATH, key), why),
                Ok(_) if one.is_empty() => {}
                Ok(read) if key == "cpus" => declared.cpus = Some(read.cpus),
                Ok(read) => declared.memory_bytes = Some(read.memory_bytes),
            }
        }
        declared.gpus = match given("gpus") {
            None => None,
            Some(Value::Array(list)) => Some(list.iter().map(text).collect()),
            Some(value) => {
                let read = Declared::read_gpus(&text(value));
                if read.is_none() {
                    self.problem(
                        "lanza.resources.gpus",
                        format!("takes a number of GPUs or a list of their names, not `{value}`"),
                    );
                }
                read
            }
        };
        declared
    }

    pub(super) fn secrets(&mut self, value: Option<&Value>) -> BTreeMap<String, NamedSecret> {
        const KNOWN: &[&str] = &["value", "env", "file", "env_file", "docker", "queues", "submitters"];
        const PATH: &str = "lanza.secrets";
        let mut found = BTreeMap::new();
        for (name, value) in self.object(PATH, value) {
            let path = join(PATH, &name);
            if let Value::String(text) = value {
                found.insert(name, NamedSecret { value: Secret::Text(text), queues: None, submitters: false });
                continue;
            }
            let block = self.object(&path, Some(&value));
            self.keys(&path, &block, KNOWN);
            let mut text = |key: &str| self.text(&join(&path, key), block.get(key));
            let places = [
                text("value").map(Secret::Text),
                text("env").map(Secret::Variable),
                text("file").map(|f| Secret::File(f.into())),
                text("env_file").map(|f| Secret::Line(f.into(), name.clone())),
                text("docker").map(|n| Secret::File(Path::new("/run/secrets").join(n))),
            ];
            let mut places: Vec<Secret> = places.into_iter().flatten().collect();
            let queues = block.contains_key("queues").then(|| self.texts(&join(&path, "queues"), block.get("queues")));
            let submitters = self.boolean(&join(&path, "submitters"), block.get("submitters"));
            match (places.pop(), places.is_empty()) {
                (Some(value), true) => {
                    found.insert(name, NamedSecret { value, queues, submitters });
                }
                _ => self.problem(&path, "needs one of value, env, file, env_file, docker"),
            }
        }
        found
    }

    pub(super) fn git_credentials(&mut self, value: Option<&Value>) -> BTreeMap<String, GitCredential> {
        const KNOWN: &[&str] = &["username", "password", "password_env", "password_file", "ssh_key", "known_hosts"];
        const PATH: &str = "lanza.git.credentials";
        let mut found = BTreeMap::new();
        for (host, value) in self.object(PATH, value) {
            let path = join(PATH, &host);
            let block = self.object(&path, Some(&value));
            self.keys(&path, &block, KNOWN);
            let file = |check: &mut Self, key: &str| check.text(&join(&path, key), block.get(key)).map(PathBuf::from);
            let credential = GitCredential {
                username: self.text(&join(&path, "username"), block.get("username")),
                password: self.secret(&path, &block),
                ssh_key: file(self, "ssh_key"),
                known_hosts: file(self, "known_hosts"),
            };
            if credential.username.is_some() && credential.password.is_none() {
                self.problem(&path, "has a username and no password; give password, password_env or password_file");
            }
            found.insert(host.to_ascii_lowercase(), credential);
        }
        found
    }

    pub(super) fn registry_credentials(&mut self, value: Option<&Value>) -> BTreeMap<String, RegistryCredential> {
        const KNOWN: &[&str] = &["username", "password", "password_env", "password_file"];
        const PATH: &str = "lanza.registry.credentials";
        let mut found = BTreeMap::new();
        for (host, value) in self.object(PATH, value) {
            let path = join(PATH, &host);
            let block = self.object(&path, Some(&value));
            self.keys(&path, &block, KNOWN);
            let username = self.text(&join(&path, "username"), block.get("username"));
            match (username, self.secret(&path, &block)) {
                (Some(username), Some(password)) => {
                    found.insert(host, RegistryCredential { username, password });
                }
                _ => self.problem(&path, "needs a username and one of password, password_env, password_file"),
            }
        }
        found
    }

    /// One of `password`, `password_env` and `password_file`.
    pub(super) fn secret(&mut self, path: &str, block: &Map<String, Value>) -> Option<Secret> {
        let mut text = |key: &str| self.text(&join(path, key), block.get(key));
        let mut given = [
            text("password").map(Secret::Text),
            text("password_env").map(Secret::Variable),
            text("password_file").map(|f| Secret::File(f.into())),
        ]
        .into_iter()
        .flatten();
        let first = given.next();
        if given.next().is_some() {
            self.problem(path, "has more than one of password, password_env, password_file");
        }
        first
    }
}
