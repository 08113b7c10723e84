//! The environment variables that `lanza` reads, and the only place that reads them.
//!
//! `docs/cli.md` lists them; a test keeps the two equal.

use std::collections::BTreeMap;

/// Address of the server. Without it the wandb client's settings file is asked, then `http://localhost:8080` is used.
pub(crate) const WANDB_BASE_URL: &str = "WANDB_BASE_URL";
/// API key. Without it `.netrc` is asked.
pub(crate) const WANDB_API_KEY: &str = "WANDB_API_KEY";
/// Entity, when `-e` does not name one; without it the one of the key's owner.
pub(crate) const WANDB_ENTITY: &str = "WANDB_ENTITY";
/// Project, when `-p` does not name one.
pub(crate) const WANDB_PROJECT: &str = "WANDB_PROJECT";
/// Folder of the wandb client's settings file, `~/.config/wandb` unless it is set.
pub(crate) const WANDB_CONFIG_DIR: &str = "WANDB_CONFIG_DIR";
/// How many items an agent runs at once; -1 for no limit. `-j` wins, the config file loses.
pub(crate) const WANDB_LAUNCH_MAX_JOBS: &str = "WANDB_LAUNCH_MAX_JOBS";
/// How many seconds an agent gives a job from being started to running, 1800 unless it is set; 0 or less is no limit.
pub(crate) const WANDB_LAUNCH_START_TIMEOUT: &str = "WANDB_LAUNCH_START_TIMEOUT";
/// Token that may use the admin API of `lanza server`, before and after there is an admin.
pub(crate) const LANZA_ADMIN_TOKEN: &str = "LANZA_ADMIN_TOKEN";
/// What is logged, for instance `info`, `debug` or `lanza_service=debug`. `warn,lanza=info` unless it is set.
pub(crate) const LANZA_LOG: &str = "LANZA_LOG";
/// File with passwords by machine, `~/.netrc` unless it is set.
pub(crate) const NETRC: &str = "NETRC";
/// The user's home folder.
pub(crate) const HOME: &str = "HOME";
/// Where data lives, `~/.local/share` unless it is set.
pub(crate) const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// Where the agent's state lives, `~/.local/state` unless it is set.
pub(crate) const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// Where `launch-config.yaml` is looked for, `~/.config` unless it is set.
pub(crate) const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Address of the Docker engine, `unix:///var/run/docker.sock` unless it is set.
pub(crate) const DOCKER_HOST: &str = "DOCKER_HOST";
/// Folders of programs; `lanza doctor` looks for Python, uv, git and docker there.
pub(crate) const PATH: &str = "PATH";
/// Program that hands out git's passwords; without it git asks nobody.
pub(crate) const GIT_ASKPASS: &str = "GIT_ASKPASS";
/// Program that git uses for ssh.
pub(crate) const GIT_SSH: &str = "GIT_SSH";
/// Command that git uses for ssh; it wins over `GIT_SSH`.
pub(crate) const GIT_SSH_COMMAND: &str = "GIT_SSH_COMMAND";
/// Set to anything, it switches colours off.
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// Beginnings of the names that the tools of object stores read: what `lanza server --blobs` needs to reach one.
const PROVIDERS: &[&str] = &["AWS_", "GOOGLE_", "AZURE_"];

/// All of them.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    WANDB_BASE_URL,
    WANDB_API_KEY,
    WANDB_ENTITY,
    WANDB_PROJECT,
    WANDB_CONFIG_DIR,
    WANDB_LAUNCH_MAX_JOBS,
    WANDB_LAUNCH_START_TIMEOUT,
    LANZA_ADMIN_TOKEN,
    LANZA_LOG,
    NETRC,
    HOME,
    XDG_DATA_HOME,
    XDG_STATE_HOME,
    XDG_CONFIG_HOME,
    DOCKER_HOST,
    PATH,
    GIT_ASKPASS,
    GIT_SSH,
    GIT_SSH_COMMAND,
    NO_COLOR,
];

/// The variables of the process, as they were at its start.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the environment of the process. What is not Unicode is left out: nothing of ours can be.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Returns what the providers of object stores are told by variables. The names are whole: a `TOKEN` or `REGION`
    /// that somebody else's program reads is no setting of theirs.
    pub(crate) fn of_providers(&self) -> lanza_store::ProviderSettings {
        let theirs = |name: &str| PROVIDERS.iter().any(|beginning| name.starts_with(beginning));
        self.0.iter().filter(|(name, _)| theirs(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Returns all variables, for the agent.
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_documented() {
        let page = include_str!("../../../docs/cli.md");
        for name in ALL {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is missing in docs/cli.md");
        }
        for beginning in PROVIDERS {
            assert!(page.contains(&format!("`{beginning}…`")), "{beginning} is missing in docs/cli.md");
        }
    }

    #[test]
    fn a_provider_is_told_what_is_meant_for_it() {
        let environment = Environment::from([("AWS_REGION", "r"), ("TOKEN", "t"), ("WANDB_API_KEY", "k")]);
        assert_eq!(format!("{:?}", environment.of_providers()), r#"{"AWS_REGION"}"#);
    }
}
