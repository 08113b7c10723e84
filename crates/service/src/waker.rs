//! Wakes long polls and streams inside one server. A missed wake-up costs latency, never correctness: who waits also
//! has a timer.

use std::sync::Arc;

use tokio::sync::Notify;

/// The things that callers wait for.
#[derive(Debug, Clone, Default)]
pub struct Wakers {
    /// An item may be claimable.
    pub items: Arc<Notify>,
    /// Something is wanted of an agent.
    pub agents: Arc<Notify>,
    /// A line was added to the audit trail, or an item changed.
    pub events: Arc<Notify>,
    /// Bytes were added to a log.
    pub logs: Arc<Notify>,
}

impl Wakers {
    /// An item was queued, or a rule that held one back is gone.
    pub fn item_queued(&self) {
        self.items.notify_waiters();
        self.events.notify_waiters();
    }

    /// Something about an item, queue or agent has changed.
    pub fn changed(&self) {
        self.events.notify_waiters();
    }

    /// Somebody wants something of an agent: its next heartbeat will tell it.
    pub fn agent_wanted(&self) {
        self.agents.notify_waiters();
    }

    /// A log has grown.
    pub fn log_grew(&self) {
        self.logs.notify_waiters();
    }
}
