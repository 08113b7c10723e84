//! Typed identifiers.
//!
//! Every id is a time-ordered UUID in simple hexadecimal form: 32 lower-case characters. The same text goes over
//! REST, the command line and the wandb wire, where an id must also be valid base64 (it is: a multiple of four
//! characters of the base64 alphabet).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text is not an id: 32 lower-case hexadecimal characters are expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id (32 hexadecimal characters)")]
pub struct Malformed(pub String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns a fresh id; later ids sort after earlier ones.
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7().simple().to_string())
            }

            /// Returns the text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                if is_id(text) { Ok(Self(text.to_owned())) } else { Err(Malformed(text.chars().take(64).collect())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A user or a service account.
    UserId;
    /// A user's personal space or a team.
    EntityId;
    /// One API key or job token (not its secret).
    KeyId;
    /// A browser session (not its secret).
    SessionId;
    /// A project of an entity.
    ProjectId;
    /// A run's row; the eight-letter id that people see is a plain text, see [`crate::name::check_run`].
    RunId;
    /// A file of a run.
    RunFileId;
    /// An artifact collection.
    CollectionId;
    /// One artifact version.
    ArtifactId;
    /// A type of artifacts in a project.
    ArtifactTypeId;
    /// A manifest of an artifact version.
    ManifestId;
    /// A queue.
    QueueId;
    /// An item of a queue.
    ItemId;
    /// A launch agent.
    AgentId;
    /// One line of the audit trail.
    EventId;
}

/// Whether `text` has the shape of an id.
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<ItemId> = (0..100).map(|_| ItemId::new()).collect();
        assert!(ids.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_foreign_text_is_refused() {
        assert!("zz".parse::<ItemId>().is_err());
        assert!(serde_json::from_str::<ItemId>("\"../../etc\"").is_err());
        let id = ItemId::new();
        assert_eq!(id.as_str().parse::<ItemId>().expect("own text"), id);
    }
}
