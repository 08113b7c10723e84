//! What the agents of this process say, so that those who cannot look at this machine can read it at the server.
//!
//! The owner of the process hands in what it logs ([`OwnLog::push`]); each agent sends it on. While the server is away the
//! newest lines are kept, and their numbers show what is missing.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use lanza_api::{
    Client, ClientError,
    agent::{AgentLog, AgentLogLine},
};
use lanza_model::{clock::Time, id::KeyId};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

use crate::redact::Redactor;

/// How many lines are kept for a server that is away.
const KEPT: usize = 1_000;
/// How many lines one request brings; the server takes no more.
const LINES: usize = 200;
/// Longest line, in bytes; the server takes no longer one.
const LINE_BYTES: usize = 4_096;
/// How long lines are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(500);
/// Wait before what could not be sent is sent again.
const RETRY: Duration = Duration::from_secs(5);

/// The last lines of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OwnLog(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    /// Tells the lines of this process from those of an earlier one.
    process: String,
    lines: parking_lot::Mutex<VecDeque<AgentLogLine>>,
    /// Number of the newest line.
    newest: watch::Sender<u64>,
}

impl Default for OwnLog {
    fn default() -> Self {
        let newest = watch::Sender::new(0);
        Self(Arc::new(Kept { process: KeyId::new().to_string(), lines: parking_lot::Mutex::default(), newest }))
    }
}

impl OwnLog {
    /// Adds a line. `level` is `error warn info debug trace`.
    pub fn push(&self, time: Time, level: &str, text: &str) {
        let mut lines = self.0.lines.lock();
        let number = *self.0.newest.borrow() + 1;
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(AgentLogLine { number, time, level: level.to_owned(), text: text.to_owned() });
        self.0.newest.send_replace(number);
    }

    /// The first lines after a number, at most as many as one request brings.
    fn after(&self, number: u64) -> Vec<AgentLogLine> {
        self.0.lines.lock().iter().filter(|line| line.number > number).take(LINES).cloned().collect()
    }
}

/// Sends an agent's log on.
#[derive(Clone)]
pub(crate) struct Teller {
    log: OwnLog,
    client: Client,
    redactor: Redactor,
    /// Number of the last line that the server has. Locked while lines are on their way: the last words of an agent wait
    /// for those that are.
    told: Arc<Mutex<u64>>,
}

impl Teller {
    pub(crate) fn new(log: OwnLog, client: Client, redactor: Redactor) -> Self {
        Self { log, client, redactor, told: Arc::default() }
    }

    /// Sends what comes, for ever. Says nothing of what fails: that would be one more line to send.
    pub(crate) async fn run(self, agent: String) {
        let mut newest = self.log.0.newest.subscribe();
        loop {
            let told = *self.told.lock().await;
            if newest.wait_for(|newest| *newest > told).await.is_err() {
                return;
            }
            sleep(GATHER).await;
            if self.tell(&agent).await.is_err() {
                sleep(RETRY).await;
            }
        }
    }

    /// Sends everything that the server does not have yet.
    pub(crate) async fn tell(&self, agent: &str) -> Result<(), ClientError> {
        let mut told = self.told.lock().await;
        loop {
            let mut lines = self.log.after(*told);
            let Some(last) = lines.last().map(|line| line.number) else { return Ok(()) };
            for line in &mut lines {
                line.text = cut(self.redactor.text(&line.text));
            }
            match self.client.agent_log(agent, &AgentLog { process: self.log.0.process.clone(), lines }).await {
                // What the server does not want (an older one knows no such log) is not offered again.
                Ok(()) | Err(ClientError::Refused { status: 400 | 404 | 405 | 413 | 422, .. }) => {
                    *told = last;
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// Cuts a line to what the server takes.
fn cut(mut text: String) -> String {
    if text.len() > LINE_BYTES {
        text.truncate(text.floor_char_boundary(LINE_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_under_their_numbers() {
        let log = OwnLog::default();
        for n in 1..=KEPT as i64 + 7 {
            log.push(Time(n), "info", &format!("line {n}"));
        }
        let first = log.after(0);
        assert_eq!((first.len(), first[0].number, first[0].text.as_str()), (LINES, 8, "line 8"));
        assert_eq!(log.after(1_004).iter().map(|line| line.number).collect::<Vec<_>>(), [1_005, 1_006, 1_007]);
        assert!(log.after(1_007).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let cut = cut("é".repeat(3_000));
        assert!(cut.len() <= LINE_BYTES && cut.ends_with("é…"), "{}", cut.len());
    }
}
