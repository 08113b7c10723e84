//! How `git` is called: what it may speak, and the log-ins that the agent's config gives it.
//!
//! Credential helpers, `~/.netrc` and the keys of the agent's user work because git itself uses them. Log-ins of the
//! agent's config and of an address go through a helper that reads them from the environment, so that they are seen in
//! no process list and written to no file.

use std::{collections::BTreeMap, path::Path};

use tokio::process::Command;

use super::address::Address;
use crate::launch_config::{GitCredential, LanzaConfig};

/// What the agent's owner says about git.
pub(crate) struct Access<'a> {
    /// Hosts that may be asked over plain http.
    pub(crate) http_hosts: &'a [String],
    /// Log-ins, by host or `host:port`.
    pub(crate) credentials: &'a BTreeMap<String, GitCredential>,
    /// The agent's environment, where secrets may be.
    pub(crate) environment: &'a BTreeMap<String, String>,
}

impl<'a> Access<'a> {
    /// Returns what the agent's config says.
    pub(crate) fn of(config: &'a LanzaConfig, environment: &'a BTreeMap<String, String>) -> Self {
        Self { http_hosts: &config.git_http_hosts, credentials: &config.git_credentials, environment }
    }

    fn credential(&self, address: &Address) -> Option<&GitCredential> {
        self.credentials.get(&address.place).or_else(|| self.credentials.get(&address.host))
    }

    /// Returns the `git` command in `folder`, for a talk with `address` if there is one.
    ///
    /// # Errors
    /// When a secret that the config names cannot be read.
    pub(super) fn command(&self, folder: &Path, address: Option<&Address>) -> Result<Command, String> {
        let mut command = Command::new("git");
        command
            .current_dir(folder)
            // Hooks of a template folder are not this job's business.
            .args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"])
            .args(["-c", "fetch.recurseSubmodules=false", "-c", "gc.auto=0"])
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("SSH_ASKPASS_REQUIRE", "never");
        if !self.environment.contains_key("GIT_ASKPASS") {
            // Else git falls back to the graphical prompt of a desktop.
            command.env("GIT_ASKPASS", "");
        }
        let plain = address.is_some_and(|a| a.scheme == "http");
        // This variable wins over every configuration, and submodules have it as well.
        command.env("GIT_ALLOW_PROTOCOL", if plain { "http:https:ssh" } else { "https:ssh" });
        let Some(address) = address else { return Ok(command) };
        let credential = self.credential(address);
        if address.scheme == "ssh" {
            self.ssh(&mut command, credential);
        } else if let Some((user, password)) = self.login(address, credential)? {
            let key = format!("credential.{}://{}.helper", address.scheme, address.place);
            let helper = "!f() { if test \"$1\" = get; then printf 'username=%s\\npassword=%s\\n' \
                          \"$LANZA_GIT_USERNAME\" \"$LANZA_GIT_PASSWORD\"; fi; }; f";
            command
                // An empty value drops the helpers that are configured elsewhere.
                .args(["-c", &format!("{key}="), "-c", &format!("{key}={helper}")])
                .env("LANZA_GIT_USERNAME", user)
                .env("LANZA_GIT_PASSWORD", password);
        }
        Ok(command)
    }

    fn login(&self, address: &Address, credential: Option<&GitCredential>) -> Result<Option<(String, String)>, String> {
        if let Some(credential) = credential
            && let Some(secret) = &credential.password
        {
            let password = secret
                .read(self.environment)
                .map_err(|e| format!("the password for git at `{}` cannot be read from {e}", address.place))?;
            return Ok(Some((credential.username.clone().unwrap_or_else(|| "git".into()), password)));
        }
        // A user alone is for git's own helpers to complete.
        Ok(address.login.clone().filter(|(_, p)| !p.is_empty()))
    }

    fn ssh(&self, command: &mut Command, credential: Option<&GitCredential>) {
        let own = self.environment.get("GIT_SSH_COMMAND").filter(|c| !c.trim().is_empty());
        if own.is_none() && self.environment.contains_key("GIT_SSH") {
            return;
        }
        let mut line = own.cloned().unwrap_or_else(|| "ssh".to_owned());
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        if let Some(key) = credential.and_then(|c| c.ssh_key.as_deref()) {
            line.push_str(&format!(" -i {} -o IdentitiesOnly=yes", quoted(key)));
        }
        if let Some(hosts) = credential.and_then(|c| c.known_hosts.as_deref()) {
            line.push_str(&format!(" -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes", quoted(hosts)));
        }
        line.push_str(" -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15");
        command.env("GIT_SSH_COMMAND", line);
    }
}
