//! The agent's config file, `launch-config.yaml`: the stock agent's keys, and our own in one block `lanza`.
//!
//! It is checked as a whole before anything starts: every problem is reported at once, each with the dotted path of
//! its field and, for a misspelt key, the known one that is nearest. Values stay as the stock agent reads them.

mod credentials;
mod secret;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use lanza_model::{name::nearest, resources};
use serde_json::{Map, Value};

pub use self::secret::{NamedSecret, Secret};
use crate::options::{Declared, Slots};

const TOP: &[&str] = &[
    "queues",
    "queue",
    "entity",
    "max_jobs",
    "max_schedulers",
    "secure_mode",
    "verbosity",
    "stopped_run_timeout",
    "registry",
    "environment",
    "builder",
    "lanza",
];
const LANZA: &[&str] = &["git", "registry", "build", "secrets", "resources", "cache", "timeouts"];

/// What a config file says. Parts that it leaves out are none or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaunchConfig {
    /// Entity whose queues are served.
    pub entity: Option<String>,
    /// Names of the queues.
    pub queues: Vec<String>,
    /// How many items at once.
    pub max_jobs: Option<Slots>,
    /// How many sweep schedulers at once.
    pub max_schedulers: Option<Slots>,
    /// Refuse launches that override the entry point.
    pub secure_mode: bool,
    /// 0, 1 or 2.
    pub verbosity: u8,
    /// Time between TERM and KILL when an item is stopped.
    pub stopped_run_timeout: Option<Duration>,
    /// The block `builder`, checked.
    pub builder: Map<String, Value>,
    /// The block `registry`; anything goes.
    pub registry: Map<String, Value>,
    /// The block `environment`.
    pub environment: Map<String, Value>,
    /// Our own block.
    pub lanza: LanzaConfig,
    /// What is strange and does no harm.
    pub warnings: Vec<String>,
}

/// The block `lanza` of the config file.
#[derive(Debug, Clone, PartialEq)]
pub struct LanzaConfig {
    /// Hosts that git may be asked over plain http.
    pub git_http_hosts: Vec<String>,
    /// Log-ins for git, by host or `host:port`.
    pub git_credentials: BTreeMap<String, GitCredential>,
    /// Log-ins for registries, by host or `host:port`.
    pub registry_credentials: BTreeMap<String, RegistryCredential>,
    /// Leave `# syntax=` lines out of Dockerfiles, for sites where the builder can fetch no frontend.
    pub drop_syntax_lines: bool,
    /// Secrets that queues may refer to, by name.
    pub secrets: BTreeMap<String, NamedSecret>,
    /// What the agent may hand out, where it is not to count the machine itself.
    pub resources: Declared,
    /// How large files of artifacts and environments may get together, in bytes.
    pub cache_max_size: Option<u64>,
    /// How many days what nobody uses is kept: files of artifacts, environments and images.
    pub cache_keep_days: Option<u64>,
    /// Limit of phase `build`.
    pub build_timeout: Duration,
    /// Limit of phase `fetch`.
    pub fetch_timeout: Duration,
}

impl Default for LanzaConfig {
    fn default() -> Self {
        Self {
            git_http_hosts: Vec::new(),
            git_credentials: BTreeMap::new(),
            registry_credentials: BTreeMap::new(),
            drop_syntax_lines: false,
            secrets: BTreeMap::new(),
            resources: Declared::default(),
            cache_max_size: None,
            cache_keep_days: None,
            build_timeout: Duration::from_secs(3600),
            fetch_timeout: Duration::from_secs(1800),
        }
    }
}

/// A log-in for a git host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GitCredential {
    /// User for https; `git` where only a password (a token) is given.
    pub username: Option<String>,
    /// Password or token for https.
    pub password: Option<Secret>,
    /// Private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// Known hosts for ssh; no other host is then accepted.
    pub known_hosts: Option<PathBuf>,
}

/// A log-in for a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryCredential {
    /// User.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// A config file is wrong: every problem, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// File, or what stands for it.
    pub file: String,
    /// Dotted path of a field, and what is wrong with it.
    pub problems: Vec<(String, String)>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a valid agent config:", self.file)?;
        for (path, why) in &self.problems {
            let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
            write!(f, "\n  {path}{why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl LaunchConfig {
    /// Reads and checks the file at `path` (YAML or JSON).
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            file: file.clone(),
            problems: vec![(String::new(), format!("the file cannot be read ({e})"))],
        })?;
        Self::parse(&file, &text)
    }

    /// Checks the text of a config file; `file` stands for it in messages.
    ///
    /// # Errors
    /// Every problem of the text at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let one = |why: String| ConfigError { file: file.to_owned(), problems: vec![(String::new(), why)] };
        let value: Value = serde_norway::from_str(text).map_err(|e| one(format!("is neither YAML nor JSON ({e})")))?;
        let top = match value {
            Value::Null => Map::new(),
            Value::Object(o) => o,
            _ => return Err(one("holds something else than keys and values".into())),
        };
        let mut check = Check::default();
        let config = check.top(&top);
        if check.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { file: file.to_owned(), problems: check.problems })
        }
    }
}

/// Collects problems while it reads.
#[derive(Default)]
struct Check {
    problems: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl Check {
    fn problem(&mut self, path: &str, why: impl Into<String>) {
        self.problems.push((path.to_owned(), why.into()));
    }

    fn keys(&mut self, path: &str, object: &Map<String, Value>, known: &[&str]) {
        for key in object.keys().filter(|k| !known.contains(&k.as_str())) {
            let hint = nearest(key, known.iter().copied())
                .map_or_else(|| format!("the keys are {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
            self.problem(&join(path, key), format!("is not a known key; {hint}"));
        }
    }

    fn top(&mut self, top: &Map<String, Value>) -> LaunchConfig {
        self.keys("", top, TOP);
        let mut queues = self.texts("queues", top.get("queues"));
        if top.contains_key("queues") && top.contains_key("queue") {
            self.problem("queue", "and `queues` exclude each other");
        } else if top.contains_key("queue") {
            queues = match top.get("queue") {
                Some(Value::String(q)) => vec![q.clone()],
                other => self.texts("queue", other),
            };
        }
        let builder = self.object("builder", top.get("builder"));
        self.builder(&builder);
        let environment = self.object("environment", top.get("environment"));
        for key in environment.keys().filter(|k| !["type", "region"].contains(&k.as_str())) {
            self.warnings.push(format!("environment.{key} is not a known key and is not used"));
        }
        self.choice("environment.type", environment.get("type"), &["aws", "gcp", "azure"]);
        let registry = self.object("registry", top.get("registry"));
        self.choice("registry.type", registry.get("type"), &["ecr", "acr", "gcr"]);
        if let (Some(a), Some(b)) = (builder.get("credentials"), registry.get("credentials"))
            && a != b
        {
            self.problem("builder.credentials", "differ from registry.credentials");
        }
        let lanza = self.object("lanza", top.get("lanza"));
        let lanza = self.lanza(&lanza);
        LaunchConfig {
            entity: self.text("entity", top.get("entity")),
            queues,
            max_jobs: self.slots("max_jobs", top.get("max_jobs")),
            max_schedulers: self.slots("max_schedulers", top.get("max_schedulers")),
            secure_mode: self.boolean("secure_mode", top.get("secure_mode")),
            verbosity: self.verbosity(top.get("verbosity")),
            stopped_run_timeout: self.duration("stopped_run_timeout", top.get("stopped_run_timeout")),
            builder,
            registry,
            environment,
            lanza,
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    fn builder(&mut self, builder: &Map<String, Value>) {
        const KNOWN: &[&str] = &[
            "type",
            "destination",
            "uri",
            "platform",
            "build-context-store",
            "build-job-name",
            "secret-name",
            "secret-key",
            "kaniko-image",
            "kaniko-config",
            "credentials",
            "base_image",
        ];
        for key in builder.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
            self.warnings.push(format!("builder.{key} is not a known key and is not used"));
        }
        self.choice("builder.type", builder.get("type"), &["docker", "kaniko", "noop"]);
        self.choice("builder.platform", builder.get("platform"), &["linux/amd64", "linux/arm64"]);
        for key in ["destination", "uri", "build-job-name", "secret-name", "secret-key", "kaniko-image", "base_image"] {
            self.text(&join("builder", key), builder.get(key));
        }
        for key in ["destination", "uri"] {
            if let Some(destination) = builder.get(key).and_then(Value::as_str) {
                self.destination(&join("builder", key), destination);
            }
        }
        if let Some(store) = self.text("builder.build-context-store", builder.get("build-context-store")) {
            let azure = store.starts_with("https://") && store.contains(".blob.core.windows.net/");
            let volume = store.starts_with('/');
            if !(store.starts_with("s3://") || store.starts_with("gs://") || azure || volume) {
                self.problem(
                    "builder.build-context-store",
                    "is none of s3://BUCKET/…, gs://BUCKET/…, https://ACCOUNT.blob.core.windows.net/CONTAINER/…",
                );
            }
        }
        if builder.contains_key("secret-name") != builder.contains_key("secret-key") {
            self.problem("builder.secret-name", "and builder.secret-key belong together; give both or none");
        }
    }

    /// No tag: that is the key of what is built. A known form of registry must name an image; whether an unknown one takes
    /// what is pushed is the user's business.
    fn destination(&mut self, field: &str, destination: &str) {
        let uri = destination.strip_prefix("https://").unwrap_or(destination);
        let (host, path) = uri.split_once('/').unwrap_or((uri, ""));
        if let Some((_, tag)) = path.rsplit_once(':') {
            self.problem(field, format!("must not have a tag, and ends in `:{tag}`"));
        }
        let google = host.ends_with("-docker.pkg.dev");
        let known =
            google || host.ends_with(".azurecr.io") || (host.contains(".dkr.ecr.") && host.contains(".amazonaws."));
        if !known {
            self.warnings
                .push(format!("{field} `{destination}` is of no known registry; make sure that pushing there works"));
            return;
        }
        let parts = path.split('/').filter(|p| !p.is_empty()).count();
        if parts < if google { 3 } else { 1 } {
            self.problem(field, "does not name an image in the registry");
        }
    }

    fn lanza(&mut self, block: &Map<String, Value>) -> LanzaConfig {
        self.keys("lanza", block, LANZA);
        let git = self.object("lanza.git", block.get("git"));
        self.keys("lanza.git", &git, &["allow_http_hosts", "credentials"]);
        let registry = self.object("lanza.registry", block.get("registry"));
        self.keys("lanza.registry", &registry, &["credentials"]);
        let build = self.object("lanza.build", block.get("build"));
        self.keys("lanza.build", &build, &["drop_syntax_lines"]);
        let cache = self.object("lanza.cache", block.get("cache"));
        self.keys("lanza.cache", &cache, &["max_size", "keep_days"]);
        let timeouts = self.object("lanza.timeouts", block.get("timeouts"));
        self.keys("lanza.timeouts", &timeouts, &["build", "fetch"]);
        let defaults = LanzaConfig::default();
        LanzaConfig {
            git_http_hosts: self.texts("lanza.git.allow_http_hosts", git.get("allow_http_hosts")),
            git_credentials: self.git_credentials(git.get("credentials")),
            registry_credentials: self.registry_credentials(registry.get("credentials")),
            drop_syntax_lines: self.boolean("lanza.build.drop_syntax_lines", build.get("drop_syntax_lines")),
            secrets: self.secrets(block.get("secrets")),
            resources: self.resources(block.get("resources")),
            cache_max_size: self.size("lanza.cache.max_size", cache.get("max_size")),
            cache_keep_days: self.whole("lanza.cache.keep_days", cache.get("keep_days")),
            build_timeout: self
                .duration("lanza.timeouts.build", timeouts.get("build"))
                .unwrap_or(defaults.build_timeout),
            fetch_timeout: self
                .duration("lanza.timeouts.fetch", timeouts.get("fetch"))
                .unwrap_or(defaults.fetch_timeout),
        }
    }

    fn text(&mut self, path: &str, value: Option<&Value>) -> Option<String> {
        match value {
            None | Some(Value::Null) => None,
            Some(Value::String(s)) if !s.trim().is_empty() => Some(s.clone()),
            Some(other) => {
                self.problem(path, format!("takes a text, not `{other}`"));
                None
            }
        }
    }

    fn texts(&mut self, path: &str, value: Option<&Value>) -> Vec<String> {
        let Some(value) = value.filter(|v| !v.is_null()) else { return Vec::new() };
        match value.as_array().map(|l| l.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()) {
            Some(Some(list)) if list.iter().all(|s| !s.trim().is_empty()) => list,
            _ => {
                self.problem(path, format!("takes a list of texts, not `{value}`"));
                Vec::new()
            }
        }
    }

    fn object(&mut self, path: &str, value: Option<&Value>) -> Map<String, Value> {
        match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(o)) => o.clone(),
            Some(other) => {
                self.problem(path, format!("takes keys and values, not `{other}`"));
                Map::new()
            }
        }
    }

    fn choice(&mut self, path: &str, value: Option<&Value>, words: &[&str]) {
        if let Some(value) = value.filter(|v| !v.is_null())
            && !value.as_str().is_some_and(|v| words.contains(&v))
        {
            self.problem(path, format!("is none of {}", words.join(", ")));
        }
    }

    fn boolean(&mut self, path: &str, value: Option<&Value>) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(b)) => *b,
            Some(other) => {
                self.problem(path, format!("takes true or false, not `{other}`"));
                false
            }
        }
    }

    fn whole(&mut self, path: &str, value: Option<&Value>) -> Option<u64> {
        let value = value.filter(|v| !v.is_null())?;
        if value.as_u64().is_none() {
            self.problem(path, format!("takes a whole number of 0 or more, not `{value}`"));
        }
        value.as_u64()
    }

    /// A number of bytes, or one with a unit.
    fn size(&mut self, path: &str, value: Option<&Value>) -> Option<u64> {
        let value = value.filter(|v| !v.is_null())?;
        let size = resources::bytes(value);
        if size.is_none() {
            self.problem(path, format!("takes a size such as `20g`, not `{value}`"));
        }
        size
    }

    fn verbosity(&mut self, value: Option<&Value>) -> u8 {
        match self.whole("verbosity", value) {
            None => 0,
            Some(n @ 0..=2) => n as u8,
            Some(n) => {
                self.problem("verbosity", format!("is 0, 1 or 2, not {n}"));
                0
            }
        }
    }

    fn slots(&mut self, path: &str, value: Option<&Value>) -> Option<Slots> {
        let value = value.filter(|v| !v.is_null())?;
        let slots = value.as_i64().and_then(Slots::from_number);
        if slots.is_none() {
            self.problem(path, format!("takes a whole number, or -1 for no limit, not `{value}`"));
        }
        slots
    }

    /// Seconds as a number, or a number with `s`, `m` or `h`.
    fn duration(&mut self, path: &str, value: Option<&Value>) -> Option<Duration> {
        let value = value.filter(|v| !v.is_null())?;
        let seconds = match value {
            Value::Number(n) => n.as_u64(),
            Value::String(s) => seconds(s),
            _ => None,
        };
        if seconds.is_none() {
            self.problem(path, format!("takes a number of seconds (or `90s`, `30m`, `2h`), not `{value}`"));
        }
        seconds.map(Duration::from_secs)
    }
}

fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_stock_agent_is_read() {
        let config = LaunchConfig::parse(
            "launch-config.yaml",
            "entity: acme\nqueues: [a, b]\nmax_jobs: -1\nstopped_run_timeout: 5\n\
             builder: {type: docker, destination: registry.example/x}\nenvironment: {type: aws, region: r, extra: 1}\n\
             lanza: {git: {allow_http_hosts: [git.local], credentials: {Git.Local: {username: u, password: hush}}},\n\
             \x20 registry: {credentials: {'r.local:5000': {username: u, password_env: P}}},\n\
             \x20 build: {drop_syntax_lines: true}, timeouts: {build: 10m}, cache: {max_size: 20g, keep_days: 14}}\n",
        )
        .expect("legal");
        assert_eq!(config.lanza.git_credentials["git.local"].password, Some(Secret::Text("hush".into())));
        assert_eq!(config.lanza.registry_credentials["r.local:5000"].password, Secret::Variable("P".into()));
        assert!(config.lanza.drop_syntax_lines && !format!("{config:?}").contains("hush"));
        assert_eq!(config.queues, ["a", "b"]);
        assert_eq!(config.max_jobs, Some(Slots::Unlimited));
        assert_eq!(config.stopped_run_timeout, Some(Duration::from_secs(5)));
        assert_eq!(config.lanza.git_http_hosts, ["git.local"]);
        assert_eq!(config.lanza.build_timeout, Duration::from_secs(600));
        assert_eq!((config.lanza.cache_max_size, config.lanza.cache_keep_days), (Some(20 << 30), Some(14)));
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
        assert_eq!(LaunchConfig::parse("f", "").expect("empty"), LaunchConfig::default());
    }

    #[test]
    fn a_builder_is_held_to_its_forms() {
        let paths = |builder: &str| match LaunchConfig::parse("f", &format!("builder: {builder}")) {
            Ok(config) => (config.warnings.len(), Vec::new()),
            Err(error) => {
                (0, error.problems.iter().map(|(p, _)| p.trim_start_matches("builder.").to_owned()).collect())
            }
        };
        let wrong = |field: &str| (0, vec![field.to_owned()]);
        for (builder, expected) in [
            ("{destination: 1.dkr.ecr.eu.amazonaws.com/team/x}", (0, Vec::new())),
            ("{destination: 'https://acme.azurecr.io/x'}", (0, Vec::new())),
            ("{destination: eu-docker.pkg.dev/project/repository/x}", (0, Vec::new())),
            ("{uri: eu-docker.pkg.dev/project/repository/x}", (0, Vec::new())),
            ("{destination: eu-docker.pkg.dev/project/repository}", wrong("destination")),
            ("{destination: 'acme.azurecr.io/x:v1'}", wrong("destination")),
            ("{uri: 'acme.azurecr.io/x:v1'}", wrong("uri")),
            ("{destination: 'registry.example:5000/team/x'}", (1, Vec::new())),
            ("{destination: 'registry.example:5000/team/x:v1'}", wrong("destination")),
            ("{platform: linux/arm64}", (0, Vec::new())),
            ("{platform: linux/s390x}", wrong("platform")),
            ("{build-context-store: 's3://bucket/x'}", (0, Vec::new())),
            ("{build-context-store: 'gs://bucket/x'}", (0, Vec::new())),
            ("{build-context-store: 'https://a.blob.core.windows.net/c/x'}", (0, Vec::new())),
            ("{build-context-store: 'ftp://host/x'}", wrong("build-context-store")),
            ("{secret-key: k}", wrong("secret-name")),
        ] {
            assert_eq!(paths(builder), expected, "{builder}");
        }
    }

    #[test]
    fn resources_and_secrets_are_read_or_refused_with_their_path() {
        let config = LaunchConfig::parse(
            "f",
            "lanza:\n  resources: {cpus: 7.5, memory: 64g, gpus: 2}\n  secrets:\n    A: plain\n\
             \x20   B: {env: HF_TOKEN, queues: [gpu], submitters: true}\n    C: {docker: db}\n    D: {env_file: /e}\n",
        )
        .expect("legal")
        .lanza;
        let gpus = Some(vec!["0".to_owned(), "1".to_owned()]);
        assert_eq!(config.resources, Declared { cpus: Some(7.5), memory_bytes: Some(64 << 30), gpus });
        assert_eq!(config.secrets["B"].value, Secret::Variable("HF_TOKEN".into()));
        assert!(config.secrets["B"].submitters && config.secrets["B"].queues.as_deref() == Some(&["gpu".to_owned()]));
        assert_eq!(config.secrets["C"].value, Secret::File("/run/secrets/db".into()));
        assert_eq!(config.secrets["D"].value, Secret::Line("/e".into(), "D".into()));
        let listed = LaunchConfig::parse("f", "lanza: {resources: {gpus: [3, GPU-a]}}").expect("legal");
        assert_eq!(listed.lanza.resources.gpus, Some(vec!["3".to_owned(), "GPU-a".to_owned()]));

        let error = LaunchConfig::parse(
            "f",
            "lanza: {resources: {cpus: lots, memory: 1x, gpus: some, gpu: 1}, secrets: {A: {}, B: {env: X, file: y}, C: {fil: z}}}",
        )
        .expect_err("wrong");
        let paths: Vec<&str> = error.problems.iter().map(|(p, _)| p.as_str()).collect();
        for path in ["cpus", "memory", "gpus", "gpu"].map(|k| format!("lanza.resources.{k}")) {
            assert!(paths.contains(&path.as_str()), "{path} is missing in {paths:?}");
        }
        for path in ["A", "B", "C", "C.fil"].map(|k| format!("lanza.secrets.{k}")) {
            assert!(paths.contains(&path.as_str()), "{path} is missing in {paths:?}");
        }
        assert!(error.to_string().contains("did you mean `file`?"), "{error}");
    }

    #[test]
    fn every_problem_is_reported_at_once_with_path_and_nearest_key() {
        let error = LaunchConfig::parse(
            "f.yaml",
            "entitty: acme\nmax_jobs: -2\nmax_schedulers: x\nverbosity: 7\nqueues: a\n\
             builder: {type: podman, destination: 1.dkr.ecr.eu.amazonaws.com/x:1, secret-name: s}\n\
             lanza: {git: {allow_http_host: [], credentials: {h: {username: u}}}, timeouts: {build: soon},\n\
             \x20 cache: {max_size: lots, keep_days: -1},\n\
             \x20 registry: {credentials: {r: {username: u, password: a, password_file: b}}}}\n",
        )
        .expect_err("wrong");
        let paths: Vec<&str> = error.problems.iter().map(|(p, _)| p.as_str()).collect();
        for path in [
            "entitty",
            "max_jobs",
            "max_schedulers",
            "verbosity",
            "queues",
            "builder.type",
            "builder.destination",
            "builder.secret-name",
            "lanza.git.allow_http_host",
            "lanza.git.credentials.h",
            "lanza.registry.credentials.r",
            "lanza.timeouts.build",
            "lanza.cache.max_size",
            "lanza.cache.keep_days",
        ] {
            assert!(paths.contains(&path), "{path} is missing in {paths:?}");
        }
        let text = error.to_string();
        assert!(text.contains("entitty: is not a known key; did you mean `entity`?"), "{text}");
        assert!(text.contains("did you mean `allow_http_hosts`?"), "{text}");
        assert_eq!(text.lines().count(), 1 + paths.len());
    }
}
