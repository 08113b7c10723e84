//! Since when this server has heard agents and runs without a break.
//!
//! Silence of others counts from here at the earliest. A server that was stopped, whose machine slept, whose database was
//! away or whose clock has jumped ahead has heard nobody, however long the others have been silent by its clock: what
//! they hold is not lost for that.

use std::sync::atomic::{AtomicI64, Ordering};

use lanza_model::clock::Time;

use crate::{Result, Service};

/// Two looks lie a second apart. After a longer time than this without one the server was away.
const BREAK_MS: i64 = 30_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Hearing {
    since: AtomicI64,
    looked_at: AtomicI64,
}

impl Hearing {
    pub(crate) fn from(now: Time) -> Self {
        Self { since: AtomicI64::new(now.0), looked_at: AtomicI64::new(now.0) }
    }
}

impl Service {
    /// Since when others could be heard.
    pub(crate) fn heard_since(&self) -> Time {
        Time(self.heard.since.load(Ordering::Relaxed))
    }

    /// Looks after items ([`Service::items_reconcile`]). When the last look that succeeded is too long ago, the server
    /// was away, and silence begins to count anew.
    ///
    /// # Errors
    /// When the store fails; then this was no look.
    pub async fn items_look_after(&self) -> Result<()> {
        let now = self.now();
        let away_ms = now.since_ms(Time(self.heard.looked_at.load(Ordering::Relaxed)));
        if away_ms > BREAK_MS {
            tracing::warn!(
                away_seconds = away_ms / 1000,
                "this server was away, or its clock jumped: the silence of agents and runs counts from now on"
            );
            self.heard.since.store(now.0, Ordering::Relaxed);
            self.heard.looked_at.store(now.0, Ordering::Relaxed);
        }
        self.items_reconcile().await?;
        self.heard.looked_at.store(now.0, Ordering::Relaxed);
        Ok(())
    }
}
