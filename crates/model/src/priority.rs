//! The order of a queue: critical before high before medium before low, first come first served within each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How urgent an item is. A word in REST and on the command line, 0 to 3 on the wandb wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// 0 on the wire.
    Critical,
    /// 1 on the wire.
    High,
    /// 2 on the wire; the default.
    #[default]
    Medium,
    /// 3 on the wire.
    Low,
}

impl Priority {
    /// All priorities, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }

    /// Returns the number that the wandb wire uses; lower is more urgent.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Reads the number that the wandb wire uses.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
