//! Registries: names, log-ins, and the question whether an image is there.
//!
//! Log-ins come from the agent's config, else from where `docker login` and credential helpers keep them. The question
//! is one `HEAD` request for the manifest; pulls and pushes are the `docker` command's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Certificate, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{command::Commands, launch_config::RegistryCredential};

/// Limit of a question to a registry or a credential helper.
const QUICK: Duration = Duration::from_secs(30);
/// Where Docker looks for the certificates of registries.
const CERTIFICATES: &str = "/etc/docker/certs.d";
/// What Docker calls its own registry in its config.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// The parts of an image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Host, with the port if one is named; `docker.io` where none is.
    pub(crate) host: String,
    /// Repository.
    pub(crate) repository: String,
    /// Tag or digest.
    pub(crate) reference: String,
}

impl Name {
    /// Takes a name apart as Docker does.
    pub(crate) fn parse(name: &str) -> Self {
        let (name, digest) = name.split_once('@').map_or((name, None), |(n, d)| (n, Some(d)));
        let (rest, tag) = match name.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
            _ => (name, None),
        };
        let (host, repository) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), path.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), rest.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{rest}")),
        };
        let host = if host == "index.docker.io" { "docker.io".to_owned() } else { host };
        Self { host, repository, reference: digest.or(tag).unwrap_or("latest").to_owned() }
    }

    fn is_loopback(&self) -> bool {
        let host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(h, _)| h);
        host == "localhost" || host.starts_with("127.") || host == "[::1]"
    }

    /// Names under which Docker's config may keep the log-in.
    fn keys(&self) -> Vec<String> {
        if self.host == "docker.io" {
            return vec![DOCKER_HUB.to_owned(), "index.docker.io".into(), "docker.io".into()];
        }
        let host = &self.host;
        vec![host.clone(), format!("https://{host}"), format!("https://{host}/v1/"), format!("https://{host}/v2/")]
    }
}

/// A log-in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// User and password.
    Password(String, String),
    /// A token to be exchanged.
    Identity(String),
}

/// Whether an image is in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The registry refuses to say.
    Refused(String),
    /// The registry does not answer.
    Unknown(String),
}

/// The log-ins of this agent.
pub(crate) struct Registries<'a> {
    /// Of the agent's config, by host.
    pub(crate) own: &'a BTreeMap<String, RegistryCredential>,
    /// The agent's environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) commands: &'a Commands<'a>,
}

impl Registries<'_> {
    /// Returns the folder of Docker's config, whether or not it is there.
    fn folder(&self) -> Option<PathBuf> {
        let named = self.environment.get("DOCKER_CONFIG").filter(|d| !d.is_empty()).map(PathBuf::from);
        named.or_else(|| self.environment.get("HOME").map(|h| Path::new(h).join(".docker")))
    }

    fn config(&self) -> Map<String, Value> {
        self.folder()
            .and_then(|f| fs::read(f.join("config.json")).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Returns the log-in for the registry of an image.
    ///
    /// # Errors
    /// When a secret that the agent's config names cannot be read.
    async fn login(&self, name: &Name) -> Result<Option<Login>, String> {
        if let Some(own) = self.own.get(&name.host) {
            let password = own
                .password
                .read(self.environment)
                .map_err(|e| format!("the password for the registry `{}` cannot be read from {e}", name.host))?;
            return Ok(Some(Login::Password(own.username.clone(), password)));
        }
        let config = self.config();
        let of = |part: &str, key: &str| config.get(part).and_then(|p| p.get(key)).cloned();
        for key in name.keys() {
            if let Some(Value::String(helper)) = of("credHelpers", &key) {
                return Ok(self.ask(&helper, &key).await);
            }
        }
        if let Some(Value::String(store)) = config.get("credsStore") {
            for key in name.keys() {
                if let Some(found) = self.ask(store, &key).await {
                    return Ok(Some(found));
                }
            }
        }
        Ok(name.keys().iter().find_map(|key| login_of(&of("auths", key)?)))
    }

    /// Asks a credential helper, `docker-credential-NAME get`.
    async fn ask(&self, helper: &str, key: &str) -> Option<Login> {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .env_clear()
            .envs(&self.commands.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take()?;
        stdin.write_all(key.as_bytes()).await.ok()?;
        drop(stdin);
        let output = timeout(QUICK, child.wait_with_output()).await.ok()?.ok().filter(|o| o.status.success())?;
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        let (user, secret) = (answer["Username"].as_str()?, answer["Secret"].as_str()?);
        Some(if user == "<token>" {
            Login::Identity(secret.to_owned())
        } else {
            Login::Password(user.to_owned(), secret.to_owned())
        })
    }

    /// Makes a config folder for the `docker` command in `folder` that has the agent's own log-ins besides all that the
    /// usual one has; none when the agent has no log-ins of its own.
    ///
    /// # Errors
    /// When a secret cannot be read or the folder cannot be written.
    pub(crate) fn docker_config(&self, folder: &Path) -> Result<Option<PathBuf>, String> {
        if self.own.is_empty() {
            return Ok(None);
        }
        let broken = |e: std::io::Error| format!("the log-ins for Docker cannot be written: {e}");
        crate::state_dir::remove_dir(folder).and_then(|()| crate::state_dir::make_dir(folder)).map_err(broken)?;
        let mut config = self.config();
        let store = config.remove("credsStore").and_then(|s| s.as_str().map(str::to_owned));
        let known: Vec<String> =
            config.get("auths").and_then(Value::as_object).map(|a| a.keys().cloned().collect()).unwrap_or_default();
        // A store that is meant for everything would hide what is written out here; it goes on for what it knows.
        if let Some(store) = store {
            let helpers = config.entry("credHelpers").or_insert_with(|| json!({}));
            for host in known {
                if helpers.get(&host).is_none() {
                    helpers[host] = json!(store);
                }
            }
        }
        for (host, own) in self.own {
            let password = own.password.read(self.environment)?;
            let key = if host == "docker.io" { DOCKER_HUB } else { host };
            if let Some(helpers) = config.get_mut("credHelpers").and_then(Value::as_object_mut) {
                helpers.remove(key);
            }
            let auths = config.entry("auths").or_insert_with(|| json!({}));
            auths[key] = json!({"auth": STANDARD.encode(format!("{}:{password}", own.username))});
        }
        if let Some(usual) = self.folder() {
            for entry in fs::read_dir(&usual).into_iter().flatten().flatten() {
                if entry.file_name() != "config.json" {
                    // Plug-ins and contexts.
                    std::os::unix::fs::symlink(entry.path(), folder.join(entry.file_name())).map_err(broken)?;
                }
            }
        }
        crate::target::supervisor::write_file(&folder.join("config.json"), &config, false).map_err(broken)?;
        Ok(Some(folder.to_owned()))
    }

    /// Asks whether an image is in its registry, by one request for its manifest.
    pub(crate) async fn find(&self, image: &str) -> Found {
        let name = Name::parse(image);
        let login = match self.login(&name).await {
            Ok(login) => login,
            Err(why) => return Found::Refused(why),
        };
        let host = if name.host == "docker.io" { "registry-1.docker.io" } else { name.host.as_str() };
        let mut unknown = String::new();
        // Docker itself speaks plain http to registries of the loopback, and to no others.
        for scheme in if name.is_loopback() { &["https", "http"][..] } else { &["https"][..] } {
            let client = match client(&name) {
                Ok(client) => client,
                Err(e) => return Found::Unknown(e),
            };
            let url = format!("{scheme}://{host}/v2/{}/manifests/{}", name.repository, name.reference);
            match head(&client, &url, &name, login.as_ref()).await {
                Ok(found) => return found,
                Err(e) => unknown = e,
            }
        }
        Found::Unknown(unknown)
    }
}

fn login_of(entry: &Value) -> Option<Login> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    if let Some(token) = text("identitytoken") {
        return Some(Login::Identity(token.to_owned()));
    }
    if let Some(auth) = text("auth") {
        let decoded = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        return Some(Login::Password(user.to_owned(), password.trim_end_matches('\0').to_owned()));
    }
    Some(Login::Password(text("username")?.to_owned(), text("password")?.to_owned()))
}

fn client(name: &Name) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("lanza/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .timeout(QUICK)
        // As Docker does with registries of the loopback.
        .tls_danger_accept_invalid_certs(name.is_loopback());
    for entry in fs::read_dir(Path::new(CERTIFICATES).join(&name.host)).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|e| e == "crt")
            && let Ok(pem) = fs::read(entry.path())
            && let Ok(certificate) = Certificate::from_pem(&pem)
        {
            builder = builder.tls_certs_merge([certificate]);
        }
    }
    builder.build().map_err(|e| format!("cannot make a client for `{}`: {e}", name.host))
}

async fn head(client: &reqwest::Client, url: &str, name: &Name, login: Option<&Login>) -> Result<Found, String> {
    let ask = || client.head(url).header(header::ACCEPT, MANIFESTS);
    let first = match login {
        // Sent without being asked, so that one request is enough where the registry takes passwords itself.
        Some(Login::Password(user, password)) => ask().basic_auth(user, Some(password)),
        _ => ask(),
    };
    let mut answer = first.send().await.map_err(|e| crate::courier::chain(&e))?;
    if answer.status() == StatusCode::UNAUTHORIZED
        && let Some(challenge) = challenge(&answer)
        && let Some(token) = token(client, &challenge, login).await
    {
        answer = ask().bearer_auth(token).send().await.map_err(|e| crate::courier::chain(&e))?;
    }
    Ok(match answer.status() {
        status if status.is_success() => Found::Yes,
        StatusCode::NOT_FOUND => Found::No,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let with = match login {
                Some(Login::Password(user, _)) => format!("of the user `{user}`"),
                Some(Login::Identity(_)) => "by token".to_owned(),
                None => "without a user".to_owned(),
            };
            Found::Refused(format!("the registry `{}` refused the log-in {with}", name.host))
        }
        other => Found::Unknown(format!("the registry `{}` answered {other}", name.host)),
    })
}

/// Returns the parameters of `WWW-Authenticate: Bearer …`.
fn challenge(answer: &reqwest::Response) -> Option<BTreeMap<String, String>> {
    answer.headers().get_all(header::WWW_AUTHENTICATE).iter().find_map(|value| parameters(value.to_str().ok()?))
}

fn parameters(value: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, mut rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut found = BTreeMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim_matches([' ', ',']).to_ascii_lowercase(), value.to_owned());
        rest = next;
    }
    Some(found)
}

async fn token(
    client: &reqwest::Client,
    challenge: &BTreeMap<String, String>,
    login: Option<&Login>,
) -> Option<String> {
    let realm = challenge.get("realm")?;
    let pick = |key: &'static str| challenge.get(key).map(|v| (key, v.as_str()));
    let query: Vec<(&str, &str)> = ["service", "scope"].into_iter().filter_map(pick).collect();
    let request = match login {
        Some(Login::Identity(identity)) => {
            let mut form: Vec<(&str, &str)> = query;
            form.extend([("grant_type", "refresh_token"), ("refresh_token", identity), ("client_id", "lanza")]);
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            client.post(realm).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        }
        Some(Login::Password(user, password)) => client.get(realm).query(&query).basic_auth(user, Some(password)),
        None => client.get(realm).query(&query),
    };
    let answer: Value = request.send().await.ok()?.json().await.ok()?;
    ["token", "access_token"].iter().find_map(|k| answer.get(k)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart_as_docker_has_them() {
        let of = |n: &str| {
            let n = Name::parse(n);
            [n.host, n.repository, n.reference]
        };
        assert_eq!(of("python"), ["docker.io", "library/python", "latest"]);
        assert_eq!(of("acme/tool:1"), ["docker.io", "acme/tool", "1"]);
        assert_eq!(of("127.0.0.1:5000/a/b:tag"), ["127.0.0.1:5000", "a/b", "tag"]);
        assert_eq!(of("r.example:5000/a"), ["r.example:5000", "a", "latest"]);
        assert_eq!(of("localhost/a@sha256:12"), ["localhost", "a", "sha256:12"]);
        assert_eq!(of("r.example/a:1@sha256:12"), ["r.example", "a", "sha256:12"]);
        assert!(Name::parse("127.0.0.2:80/a").is_loopback() && !Name::parse("r.example/a").is_loopback());
    }

    #[test]
    fn challenges_and_entries_of_dockers_config() {
        let found = parameters(r#"Bearer realm="https://a/token",service="r",scope="repository:x:pull,push""#).unwrap();
        assert_eq!(found["realm"], "https://a/token");
        assert_eq!(found["scope"], "repository:x:pull,push");
        assert_eq!(parameters("Basic realm=\"x\""), None);
        assert!(login_of(&json!({"auth": "YW5uOmE6Yg=="})) == Some(Login::Password("ann".into(), "a:b".into())));
        assert!(login_of(&json!({"identitytoken": "t", "auth": "YW5uOmE6Yg=="})) == Some(Login::Identity("t".into())));
        assert!(login_of(&json!({})).is_none());
    }
}
