//! Reading the logs of items: all attempts and phases in order, from the first byte to the last.

use bytes::Bytes;
use lanza_api::item::LogLine;
use lanza_model::{Phase, clock::Time, id::ItemId};

use crate::{Actor, Result, Service};

/// Where a reader of an item's log is.
#[derive(Debug)]
pub struct LogCursor {
    item: ItemId,
    attempt: Option<u32>,
    phase: Option<Phase>,
    /// The part being read, and how far.
    at: Option<(u32, Phase, u64)>,
    /// Bytes of a line that has not ended yet, and the lines before it.
    open_line: Vec<u8>,
    line: u64,
    time: Time,
}

/// Bytes of a log that follow each other.
#[derive(Debug)]
pub struct LogPiece {
    /// Attempt.
    pub attempt: u32,
    /// Phase.
    pub phase: Phase,
    /// When they were received.
    pub time: Time,
    /// The bytes.
    pub body: Bytes,
    /// Whether they begin a new part, so that what came before is whole.
    begins: bool,
}

impl LogCursor {
    /// Cuts a piece into lines; an unfinished last one waits for the next piece.
    pub fn lines(&mut self, piece: &LogPiece) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if piece.begins {
            lines.extend(self.rest());
            self.line = 0;
        }
        self.time = piece.time;
        let mut rest: &[u8] = &piece.body;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.open_line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            lines.push(self.close_line(piece.attempt, piece.phase));
        }
        self.open_line.extend_from_slice(rest);
        lines
    }

    /// Returns the unfinished last line, once nothing more will come.
    pub fn rest(&mut self) -> Option<LogLine> {
        if self.open_line.is_empty() {
            return None;
        }
        let (attempt, phase, _) = self.at?;
        Some(self.close_line(attempt, phase))
    }

    fn close_line(&mut self, attempt: u32, phase: Phase) -> LogLine {
        self.line += 1;
        let text = String::from_utf8_lossy(&self.open_line).into_owned();
        self.open_line.clear();
        LogLine { attempt, phase, line: self.line, time: self.time, text }
    }
}

impl Service {
    /// Opens an item's log, all of it or one attempt or phase.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`].
    pub async fn log_open(
        &self,
        actor: &Actor,
        id: &str,
        attempt: Option<u32>,
        phase: Option<Phase>,
    ) -> Result<LogCursor> {
        let (_, _, item) = self.item_find(actor, id).await?;
        Ok(LogCursor { item: item.id, attempt, phase, at: None, open_line: Vec::new(), line: 0, time: Time(0) })
    }

    /// Whether nothing more will be added to the log that `cursor` reads.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the caller may not see the item any more.
    pub async fn log_ended(&self, actor: &Actor, cursor: &LogCursor) -> Result<bool> {
        let (_, _, item) = self.item_find(actor, cursor.item.as_str()).await?;
        Ok(item.state.is_ended() || cursor.attempt.is_some_and(|a| a < item.attempt))
    }

    /// Reads the next bytes; none when there are none yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_next(&self, cursor: &mut LogCursor) -> Result<Option<LogPiece>> {
        let mut begins = false;
        loop {
            if let Some((attempt, phase, offset)) = cursor.at {
                let found = self.store.log_pieces(&cursor.item, attempt, phase, Some(offset), 1).await?;
                if let Some(piece) = found.into_iter().next() {
                    cursor.at = Some((attempt, phase, piece.start + piece.body.len() as u64));
                    let (time, body) = (piece.time, Bytes::from(piece.body));
                    return Ok(Some(LogPiece { attempt, phase, time, body, begins }));
                }
            }
            // The next part, if there is one. A part that was left gets nothing more: phases follow each other.
            let here = cursor.at.map(|(attempt, phase, _)| (attempt, phase));
            let parts = self.store.log_parts(&cursor.item).await?;
            let next = parts
                .into_iter()
                .filter(|(attempt, phase)| {
                    cursor.attempt.is_none_or(|a| a == *attempt) && cursor.phase.is_none_or(|p| p == *phase)
                })
                .find(|part| here.is_none_or(|h| *part > h));
            let Some((attempt, phase)) = next else { return Ok(None) };
            cursor.at = Some((attempt, phase, 0));
            begins = true;
        }
    }
}
