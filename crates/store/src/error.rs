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

    /// Whether a text holds what the database cannot keep: Postgres has no NUL character (22021, 22P05).
    pub fn is_unstorable(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(d)) => {
                d.code().is_some_and(|c| ["22021", "22P05"].contains(&c.as_ref()))
            }
            _ => false,
        }
    }

    /// Whether the disk that the database or the blobs lie on has no room left.
    pub fn is_full(&self) -> bool {
        let full = |e: &(dyn std::error::Error + 'static)| {
            e.downcast_ref::<std::io::Error>().is_some_and(|e| {
                matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            })
        };
        match self {
            // 13 full, 4874 no room for the index of the log (SQLite); 53100 disk full (Postgres).
            Self::Database(sqlx::Error::Database(d)) => {
                d.code().is_some_and(|c| ["13", "4874", "53100"].contains(&c.as_ref()))
            }
            Self::Disk { source, .. } => full(source),
            Self::Blobs(e) => {
                let mut next: Option<&(dyn std::error::Error + 'static)> = Some(e);
                while let Some(e) = next {
                    if full(e) {
                        return true;
                    }
                    next = e.source();
                }
                false
            }
            _ => false,
        }
    }

    /// Whether the database itself is unreachable, so that later may be better.
    pub fn is_temporary(&self) -> bool {
        self.is_serialization_failure()
            || match self {
                Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
                | Self::Closed => true,
                // A Postgres that is told to stop, or is just starting (57P01 to 57P03), and broken connections.
                Self::Database(sqlx::Error::Database(d)) => {
                    d.code().is_some_and(|c| c.starts_with("57P0") || c.starts_with("08"))
                }
                _ => false,
            }
    }
}
