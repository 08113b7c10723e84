//! What a member of an entity may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user's role in an entity, weakest first. In a personal entity its owner is [`Role::Admin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also launches, makes projects, runs and jobs, runs agents, stops own items.
    Member,
    /// Also queues, any item, members.
    Admin,
}

impl Role {
    /// Returns the word for the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// Parses the word for a role.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Member, Self::Admin].into_iter().find(|r| r.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
