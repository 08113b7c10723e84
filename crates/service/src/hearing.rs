//! Since when this server has heard agents and runs without a break, and how its clock was set meanwhile.
//!
//! Silence of others counts from here at the earliest. A server that was stopped, whose machine slept, whose database was
//! away or whose clock has jumped ahead has heard nobody, however long the others have been silent by its clock: what
//! they hold is not lost for that. Nor do jobs get older by a jump: time that was skipped does not count against their
//! queue's limits.

use std::sync::atomic::{AtomicI64, Ordering};

use lanza_model::clock::{Clock, Time};
use parking_lot::Mutex;

use crate::{Result, Service};

/// Two looks lie a second apart. After a longer time than this without one the server was away.
const BREAK_MS: i64 = 30_000;
/// A clock that gained more than this between two looks was set. Less is drift, and the system's way to correct it.
const JUMP_MS: i64 = 2_000;
/// How many jumps are remembered.
const JUMPS: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Hearing {
    since: AtomicI64,
    looked_at: AtomicI64,
    looked_at_steady: AtomicI64,
    /// When the clock was set forward, by the new time, and by how many milliseconds.
    jumps: Mutex<Vec<(Time, i64)>>,
}

impl Hearing {
    pub(crate) fn from(clock: &dyn Clock) -> Self {
        let now = clock.now();
        Self {
            since: AtomicI64::new(now.0),
            looked_at: AtomicI64::new(now.0),
            looked_at_steady: AtomicI64::new(clock.steady_ms()),
            jumps: Mutex::default(),
        }
    }

    fn looked(&self, now: Time, steady_ms: i64) {
        self.looked_at.store(now.0, Ordering::Relaxed);
        self.looked_at_steady.store(steady_ms, Ordering::Relaxed);
    }
}

impl Service {
    /// Since when others could be heard.
    pub(crate) fn heard_since(&self) -> Time {
        Time(self.heard.since.load(Ordering::Relaxed))
    }

    /// How long something has gone on that began at `since`: without the time that the clock skipped.
    pub(crate) fn lasted_ms(&self, since: Time) -> i64 {
        let skipped: i64 = self.heard.jumps.lock().iter().filter(|(at, _)| *at > since).map(|(_, ms)| ms).sum();
        self.now().since_ms(since) - skipped
    }

    /// Looks after items ([`Service::items_reconcile`]). When the last look that succeeded is too long ago, the server
    /// was away, and silence begins to count anew.
    ///
    /// # Errors
    /// When the store fails; then this was no look.
    pub async fn items_look_after(&self) -> Result<()> {
        let (now, steady_ms) = (self.now(), self.clock.steady_ms());
        let away_ms = now.since_ms(Time(self.heard.looked_at.load(Ordering::Relaxed)));
        let skipped_ms = away_ms - (steady_ms - self.heard.looked_at_steady.load(Ordering::Relaxed));
        if skipped_ms > JUMP_MS {
            tracing::warn!(
                skipped_seconds = skipped_ms / 1000,
                "this server's clock was set forward, or its machine slept: that time does not count against jobs"
            );
            let mut jumps = self.heard.jumps.lock();
            if jumps.len() == JUMPS {
                jumps.remove(0);
            }
            jumps.push((now, skipped_ms));
        }
        if away_ms > BREAK_MS {
            tracing::warn!(
                away_seconds = away_ms / 1000,
                "this server was away, or its clock jumped: the silence of agents and runs counts from now on"
            );
            self.heard.since.store(now.0, Ordering::Relaxed);
        }
        if away_ms > BREAK_MS || skipped_ms > JUMP_MS {
            self.heard.looked(now, steady_ms);
        }
        self.items_reconcile().await?;
        self.heard.looked(now, steady_ms);
        Ok(())
    }
}
