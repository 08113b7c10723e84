//! What tests share: a whole server of their own, in a few lines.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! let server = lanza_testkit::TestServer::start().await?;
//! let ada = server.user("ada").await?;
//! let me: lanza_api::entity::Me = ada.get("/me").await?;
//! server.stop().await
//! # }
//! ```
//!
//! A dev-dependency only.

pub mod redact;
mod server;

pub use redact::redact;
pub use server::{TestServer, wait_until};
