//! The native REST contract: request and response types of `/api/v1`, and the client that speaks it.
//!
//! Server, command line and agent share this crate so that they cannot drift apart. Field names are the JSON's; times
//! are RFC 3339 UTC.

pub mod agent;
pub mod artifact;
pub mod build;
pub mod client;
pub mod entity;
pub mod item;
pub mod job;
pub mod problem;
pub mod queue;
pub mod run;
pub mod usage;

pub use client::{Client, ClientError};
pub use problem::Problem;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list, whatever its noun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Pass it as `after` for the next page; null at the end.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Makes a list that has no further page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
