//! `lanza login` and `lanza whoami`.

use std::io::{BufRead as _, IsTerminal as _};

use lanza_api::{
    Client,
    entity::{KeyScope, Me},
};
use lanza_model::name;

use crate::{
    args::{Login, Whoami},
    config::Config,
    environment::WANDB_API_KEY,
    exit::{self, Failure, Outcome},
    netrc,
    output::{self, table},
};

pub(crate) async fn login(args: Login, config: Config) -> Outcome {
    let url = args.host.map_or_else(|| config.base_url(), |host| host.trim_end_matches('/').to_owned());
    let key = match args.key {
        Some(key) => key,
        None => ask(&url)?,
    };
    name::check_api_key(&key).map_err(|e| {
        Failure::refused(format!("this is not an API key, which {}", e.0))
            .hint(format!("Make one at {url}/authorize and paste the whole of it."))
    })?;
    let client = Client::new(&url, Some(key.clone()))?;
    let me: Me = client.get("/me").await?;
    let path = config.netrc()?;
    netrc::write(&path, &url, &key).map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
    output::say(&format!("logged in at {url} as `{}`; the key is in {}", me.username, path.display()));
    if me.scope == KeyScope::Read {
        output::warn("this key only reads: launches, runs and agents are refused with it");
    }
    if config.environment.get(WANDB_API_KEY).is_some_and(|other| other != key) {
        output::warn("WANDB_API_KEY is set to another key, and it wins over this one");
    }
    if config.base_url() != url {
        output::say(&format!("To use this server, set WANDB_BASE_URL={url}"));
    }
    Ok(exit::DONE)
}

/// Reads a key from stdin, after a question if a person is there.
fn ask(url: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        output::say(&format!("Paste an API key from {url}/authorize and press Enter:"));
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(|e| Failure::failed(format!("cannot read the key: {e}")))?;
    let key = line.trim();
    if key.is_empty() {
        return Err(Failure::usage("no key was given").hint("Give it as argument, or on stdin."));
    }
    Ok(key.to_owned())
}

pub(crate) async fn whoami(args: Whoami, config: Config) -> Outcome {
    let client = config.client()?;
    let me: Me = client.get("/me").await?;
    if args.print.json {
        output::json(&me)?;
        return Ok(exit::DONE);
    }
    output::data(&table::fields(&[
        ("user", me.username.clone()),
        ("server", client.base().to_owned()),
        ("entity", me.entity.clone()),
        ("admin", if me.admin { "of the server" } else { "" }.to_owned()),
        ("key", if me.scope == KeyScope::Read { "only reads" } else { "" }.to_owned()),
    ]))?;
    let rows = me.entities.iter().map(|e| vec![e.name.clone(), e.kind.clone(), e.role.to_string()]).collect();
    output::data(&format!("\n{}", table::table(&["entity", "kind", "role"], rows)))?;
    Ok(exit::DONE)
}
