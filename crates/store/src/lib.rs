//! Everything that is stored: SQL on two engines, and blobs.
//!
//! Callers see nouns and verbs (`queue_insert`, `item_claim`), not tables. One SQL text runs on SQLite and on Postgres
//! through `sqlx::Any`, which holds as long as columns have one of five types (TEXT, BIGINT, SMALLINT, DOUBLE
//! PRECISION, BYTEA): ids and JSON are TEXT, times are BIGINT milliseconds UTC, flags are SMALLINT 0/1. A statement
//! that must differ is a `match` on [`Engine`] with both arms next to each other.
//!
//! Answered means durable: [`Store::write`] returns after the commit, and SQLite commits with `synchronous=FULL`.

pub mod blobs;
mod bus;
mod error;
mod gather;
mod lookups;
mod open;
mod row;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod write;

pub mod accounts;
pub mod agent_logs;
pub mod agents;
pub mod artifacts;
pub mod builds;
pub mod chunks;
pub mod events;
pub mod files;
pub mod items;
pub mod members;
pub mod projects;
pub mod queues;
pub mod runs;
pub mod series;

pub use blobs::Blobs;
pub use bus::Ears;
pub use error::Error;
pub use open::{Engine, Options, ProviderSettings, Store};
pub use write::{Tx, WriteFuture};

/// What every store function returns.
pub type Result<T> = std::result::Result<T, Error>;
