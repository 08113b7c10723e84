//! What the product does, whichever door asks for it.
//!
//! One file per noun. Each public function authorizes its [`Actor`], decides with the rules of `lanza_model`, stores
//! through `lanza_store`, and wakes who waits. No HTTP, no GraphQL: the doors translate.

pub mod accounts;
pub mod actor;
pub mod agent_logs;
pub mod agents;
pub mod artifacts;
mod blobs;
pub mod builds;
mod bus;
pub mod error;
pub mod events;
mod hearing;
pub mod history;
pub mod items;
pub mod jobs;
mod leases;
pub mod lenient;
pub mod links;
pub mod logs;
pub mod monitor;
pub mod needle;
mod picker;
pub mod projects;
pub mod queues;
pub mod run_changes;
pub mod run_files;
pub mod run_filter;
pub mod run_list;
mod run_table;
mod run_view;
pub mod runs;
mod seen_keys;
pub mod series;
pub mod stock_agents;
pub mod supervisor;
pub mod tasks;
pub mod usage;
pub mod waker;

use std::sync::Arc;

use lanza_model::clock::{Clock, Time};
use lanza_store::Store;

pub use actor::{Actor, JobScope};
pub use error::{Error, Result};
pub use supervisor::Supervisor;

/// Everything that the product's functions need. Shared by all doors and tasks of a server.
#[derive(Debug)]
pub struct Service {
    /// Where everything is kept. Not for the doors: what they may read depends on who asks, and is decided here.
    pub(crate) store: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Wakes long polls and streams of this server.
    pub wakers: waker::Wakers,
    heard: hearing::Hearing,
    links: links::Signer,
    actors: accounts::ActorCache,
    run_access: runs::AccessCache,
    history_keys: history::KeysCache,
    run_tables: run_table::Tables,
    series_backlog: series::Backlog,
    looks: items::Looks,
}

impl Service {
    /// Makes the service over an open store; reads or makes the secret that links are signed with.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(store: Store, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let secret = store.setting_or_insert("link_secret", lanza_model::name::new_secret()).await?;
        Ok(Arc::new(Self {
            links: links::Signer::new(secret.as_bytes()),
            heard: hearing::Hearing::from(&*clock),
            wakers: waker::Wakers::new(store.engine()),
            actors: accounts::ActorCache::default(),
            run_access: runs::AccessCache::default(),
            history_keys: history::KeysCache::default(),
            run_tables: run_table::Tables::default(),
            series_backlog: series::Backlog::default(),
            looks: items::Looks::default(),
            store,
            clock,
        }))
    }

    /// Whether what happens at other servers of the same database is heard at once. Without it waiters look often.
    pub fn hears_others(&self) -> bool {
        !self.wakers.outbox.is_deaf()
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }

    /// Returns the current time.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
