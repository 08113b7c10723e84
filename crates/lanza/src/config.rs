//! Which server, which key, which entity: settings of the person who calls, gathered from flags, environment and files.

use std::path::PathBuf;

use lanza_api::{Client, entity::Me};

use crate::{
    environment::{Environment, NETRC, WANDB_API_KEY, WANDB_BASE_URL, WANDB_ENTITY, WANDB_PROJECT},
    exit::Failure,
    netrc, paths,
};

/// The server's address when nobody names one.
const DEFAULT_URL: &str = "http://localhost:8080";

/// Settings of the person who calls.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) environment: Environment,
}

impl Config {
    pub(crate) fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Returns the server's address: `WANDB_BASE_URL`, else the wandb client's settings, else this machine.
    pub(crate) fn base_url(&self) -> String {
        let url = self.environment.get(WANDB_BASE_URL).map(str::to_owned).or_else(|| {
            let text = std::fs::read_to_string(paths::wandb_settings(&self.environment)?).ok()?;
            setting(&text, "base_url")
        });
        url.unwrap_or_else(|| DEFAULT_URL.to_owned()).trim_end_matches('/').to_owned()
    }

    /// Returns the file that `lanza login` and `wandb login` keep keys in.
    pub(crate) fn netrc(&self) -> Result<PathBuf, Failure> {
        match self.environment.get(NETRC) {
            Some(path) => Ok(PathBuf::from(path)),
            None => Ok(paths::home(&self.environment)?.join(".netrc")),
        }
    }

    /// Returns the key for the server: `WANDB_API_KEY`, else `.netrc`.
    pub(crate) fn key(&self) -> Option<String> {
        if let Some(key) = self.environment.get(WANDB_API_KEY) {
            return Some(key.to_owned());
        }
        let text = std::fs::read_to_string(self.netrc().ok()?).ok()?;
        netrc::password(&text, &self.base_url())
    }

    /// Returns the key, or says how to get one.
    pub(crate) fn key_needed(&self) -> Result<String, Failure> {
        self.key().ok_or_else(|| {
            Failure::refused(format!("there is no API key for {}", self.base_url()))
                .code(lanza_model::code::UNAUTHENTICATED)
        })
    }

    /// Returns a client with the caller's key.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.base_url(), Some(self.key_needed()?))?)
    }

    /// Returns the project that is meant when the command line names none.
    pub(crate) fn project(&self) -> Option<String> {
        self.environment.get(WANDB_PROJECT).map(str::to_owned)
    }

    /// Returns the entity: the flag, else `WANDB_ENTITY`, else the default one of the key's owner.
    pub(crate) async fn entity(&self, client: &Client, flag: Option<&str>) -> Result<String, Failure> {
        if let Some(entity) = flag.filter(|e| !e.is_empty()).or_else(|| self.environment.get(WANDB_ENTITY)) {
            return Ok(entity.to_owned());
        }
        let me: Me = client.get("/me").await?;
        Ok(me.entity)
    }
}

/// Reads a value of the block `[default]` of the wandb client's settings file.
fn setting(text: &str, name: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = section.trim() == "default";
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == name
            && !value.trim().is_empty()
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_in_the_order_variable_settings_default() {
        let home = tempfile::tempdir().expect("a folder");
        let text = home.path().display().to_string();
        let config = Config::new(Environment::from([("HOME", text.as_str())]));
        assert_eq!(config.base_url(), "http://localhost:8080");
        let folder = home.path().join(".config/wandb");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("settings"), "[other]\nbase_url = x\n[default]\nbase_url = https://l.example/\n")
            .expect("written");
        assert_eq!(config.base_url(), "https://l.example");
        let config = Config::new(Environment::from([("HOME", text.as_str()), ("WANDB_BASE_URL", "http://h:1/")]));
        assert_eq!(config.base_url(), "http://h:1");
    }

    #[test]
    fn the_key_is_found_in_the_variable_or_in_netrc() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join(".netrc"), "machine h:1\n login user\n password from-netrc\n")
            .expect("written");
        let text = home.path().display().to_string();
        let pairs = [("HOME", text.as_str()), ("WANDB_BASE_URL", "http://h:1")];
        assert_eq!(Config::new(Environment::from(pairs)).key().as_deref(), Some("from-netrc"));
        let with_key = [pairs[0], pairs[1], ("WANDB_API_KEY", "from-variable")];
        assert_eq!(Config::new(Environment::from(with_key)).key().as_deref(), Some("from-variable"));
        let other = [pairs[0], ("WANDB_BASE_URL", "http://other:1")];
        let failure = Config::new(Environment::from(other)).key_needed().expect_err("no key");
        assert_eq!(failure.exit, crate::exit::REFUSED);
    }
}
