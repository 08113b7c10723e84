//! Phase `build`: environments and images, made once and shared by their key.

pub(crate) mod context;
pub(crate) mod diagnose;
pub(crate) mod dockerfile;
pub(crate) mod generations;
pub(crate) mod image;
pub(crate) mod lock;
pub(crate) mod prune;
mod pyproject;
pub(crate) mod python;
pub(crate) mod registry;
pub(crate) mod requirements;
pub(crate) mod turn;
mod variables;

use std::io;

use lanza_model::{Reason, code};

pub(crate) use self::generations::READY;

/// The agent itself failed at a file. A full disk is told apart, since a person can help there.
pub(crate) fn broken(what: &str, error: &io::Error) -> Reason {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { code::NO_SPACE } else { code::AGENT_FAILED };
    Reason::new(code, format!("the agent cannot {what}: {error}"))
}
