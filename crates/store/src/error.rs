//! What can go wrong while storing.

/// A store function did not succeed. A row that is not there is `None`, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with this name or key exists.
    #[error("it exists already")]
    Exists,
    /// A conditional update found its row in another state.
    #[error("it has moved on in the meantime")]
    Moved,
    /// The database refused or is gone.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema cannot be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The blob store refused or is gone.
    #[error("the blob store failed")]
    Blobs(#[source] object_store::Error),
    /// The local disk refused.
    #[error("cannot {action}")]
    Disk {
        /// What was attempted on what.
        action: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A stored document is not what this version wrote.
    #[error("the stored {what} cannot be read")]
    Corrupt {
        /// Which column or file.
        what: &'static str,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// Configuration of the store.
    #[error("{0}")]
    Config(String),
    /// The writer has stopped: the server shuts down.
    #[error("the store is closed")]
    Closed,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(d) if d.is_unique_violation() => Self::Exists,
            _ => Self::Database(error),
        }
    }
}

impl Error {
    /// Whether running the whole transaction again may succeed.
    pub(crate) fn is_serialization_failure(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(d)) => {
                // 40001 serialization failure, 40P01 deadlock (Postgres); 5 busy, 517 busy snapshot (SQLite).
                d.code().is_some_and(|c| ["40001", "40P01", "5", "517"].contains(&c.as_ref()))
            }
            _ => false,
        }
    }

    /// Whether the database itself is unreachable, so that later may be better.
    pub fn is_temporary(&self) -> bool {
        self.is_serialization_failure()
            || matches!(
                self,
                Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) | Self::Closed
            )
    }
}
