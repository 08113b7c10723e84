//! Artifacts on the wire: sequences, portfolios, memberships, manifests, files.
//!
//! | the client says | we say |
//! |---|---|
//! | artifact sequence | collection |
//! | artifact portfolio | collection that holds links |
//! | membership | how a collection shows a version |
//! | state `PENDING` | begun, not committed |

mod change;
mod files;
mod find;
mod render;
mod storage;
mod upload;

use super::graphql::Resolvers;

pub(super) use storage::{get_v1, get_v2};

/// The interface `ArtifactCollection` and the types that implement it share their resolvers.
const COLLECTIONS: [&str; 2] = ["ArtifactSequence", "ArtifactPortfolio"];

pub(super) fn register(r: &mut Resolvers) {
    find::register(r);
    files::register(r);
    upload::register(r);
    change::register(r);
}
