//! Where files live on this machine (XDG base directories).

use std::path::{Path, PathBuf};

use crate::{
    environment::{Environment, HOME, WANDB_CONFIG_DIR, XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME},
    exit::Failure,
};

/// Returns the user's home folder.
pub(crate) fn home(environment: &Environment) -> Result<PathBuf, Failure> {
    environment.get(HOME).map(PathBuf::from).ok_or_else(|| {
        Failure::failed("there is no home folder: HOME is not set").hint("Set HOME, or name the folder yourself.")
    })
}

/// Returns the folder that `variable` names, or `default` below the home folder. Relative ones do not count (XDG).
fn base(environment: &Environment, variable: &str, default: &str) -> Result<PathBuf, Failure> {
    match environment.get(variable).map(Path::new).filter(|p| p.is_absolute()) {
        Some(path) => Ok(path.to_owned()),
        None => Ok(home(environment)?.join(default)),
    }
}

/// Returns the folder of our data.
pub(crate) fn data(environment: &Environment) -> Result<PathBuf, Failure> {
    base(environment, XDG_DATA_HOME, ".local/share")
}

/// Returns the folder of agents' state.
pub(crate) fn state(environment: &Environment) -> Result<PathBuf, Failure> {
    Ok(base(environment, XDG_STATE_HOME, ".local/state")?.join("lanza"))
}

/// Returns the folder with the memories of this user's agents, as far as nobody names another one.
pub(crate) fn agents_folder(environment: &Environment) -> Result<PathBuf, Failure> {
    Ok(state(environment)?.join("agents"))
}

/// Returns the memories that are there.
pub(crate) fn agents(environment: &Environment) -> Result<Vec<PathBuf>, Failure> {
    let folder = agents_folder(environment)?;
    let mut found: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    found.sort();
    Ok(found)
}

/// Returns where `launch-config.yaml` is when nobody says otherwise.
pub(crate) fn launch_config(environment: &Environment) -> Result<PathBuf, Failure> {
    Ok(base(environment, XDG_CONFIG_HOME, ".config")?.join("wandb").join("launch-config.yaml"))
}

/// Returns the settings file of the wandb client, if there is a place for it.
pub(crate) fn wandb_settings(environment: &Environment) -> Option<PathBuf> {
    let folder = match environment.get(WANDB_CONFIG_DIR) {
        Some(folder) => PathBuf::from(folder),
        None => home(environment).ok()?.join(".config").join("wandb"),
    };
    Some(folder.join("settings"))
}
