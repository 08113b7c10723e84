//! Reading the logs of items: all attempts and phases in order, whole or a range of their lines. A range in a long log is
//! found by how many lines each stored piece has, without reading what lies before.

use bytes::Bytes;
use lanza_api::item::{LogLine, LogMatch};
use lanza_model::{Phase, clock::Time, id::ItemId};
use lanza_store::items::LogExtent;

use crate::{Actor, Error, Result, Service, needle::Needle};

/// Lines that one request may ask for.
pub const LINES_MOST: u64 = 100_000;
/// Matches that one search answers.
pub const MATCHES_MOST: usize = 1_000;
/// Bytes that one search reads before it answers what it has.
const SEARCH_BYTES: usize = 32 << 20;
/// Longest text of a match, in characters.
const MATCH_CHARS: usize = 1_000;

/// Which lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRange {
    /// All.
    All,
    /// So many at the end.
    Tail(u64),
    /// From this one on, counted from 1 over all that is read; at most so many.
    From(u64, Option<u64>),
}

impl LogRange {
    /// Reads the range of a query.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it asks for too much, or for two things.
    pub fn of(tail: Option<u64>, from_line: Option<u64>, lines: Option<u64>) -> Result<Self> {
        let check = |field: &'static str, n: Option<u64>, least: u64, most: u64| match n {
            Some(n) if n < least || n > most => Err(Error::invalid(field, format!("is {least} to {most}"))),
            _ => Ok(()),
        };
        check("tail", tail, 0, LINES_MOST)?;
        check("lines", lines, 1, LINES_MOST)?;
        check("from_line", from_line, 1, i64::MAX as u64)?;
        match (tail, from_line) {
            (Some(_), Some(_)) => Err(Error::invalid("tail", "and `from_line` exclude each other")),
            (Some(tail), None) => Ok(Self::Tail(tail)),
            (None, None) if lines.is_none() => Ok(Self::All),
            (None, from) => Ok(Self::From(from.unwrap_or(1), lines)),
        }
    }

    /// Returns the first line, counted from 0, and how many at most, of `total`.
    pub fn bounds(self, total: u64) -> (u64, Option<u64>) {
        match self {
            Self::All => (0, None),
            Self::Tail(n) => (total.saturating_sub(n), None),
            Self::From(line, lines) => (line - 1, lines),
        }
    }
}

/// Where a reader of an item's log is.
#[derive(Debug)]
pub struct LogCursor {
    item: ItemId,
    attempt: Option<u32>,
    phase: Option<Phase>,
    /// The part being read, and how far.
    at: Option<(u32, Phase, u64)>,
    /// Line ends to be left out of the next piece.
    skip: u64,
    /// How many lines are still wanted; none means all.
    left: Option<u64>,
    /// Whether the last byte that was read did not end its line.
    open: bool,
    /// Bytes of a line that has not ended yet, and the lines before it.
    open_line: Vec<u8>,
    line: u64,
    time: Time,
}

/// An opened log.
#[derive(Debug)]
pub struct LogOpened {
    /// Reads it.
    pub cursor: LogCursor,
    /// How many lines there are now.
    pub lines: u64,
    /// Number of the first line that the cursor gives, from 1.
    pub first_line: u64,
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
    /// Whether the part before ended in the middle of a line.
    pub breaks: bool,
    /// Whether they begin a new part, so that what came before is whole.
    begins: bool,
}

/// One attempt's phase, and the pieces of its log.
struct LogPart {
    attempt: u32,
    phase: Phase,
    extents: Vec<LogExtent>,
    lines: u64,
}

impl LogPart {
    /// Finds where a line begins: the offset of its piece, and how many line ends of that piece come before it.
    fn place(&self, line: u64) -> (u64, u64) {
        let mut before = 0;
        for extent in &self.extents {
            if line == 0 || before + extent.line_ends >= line {
                return (extent.start, line.saturating_sub(before));
            }
            before += extent.line_ends;
        }
        (self.extents.last().map_or(0, |e| e.start + e.size), 0)
    }
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

    /// Leaves out what comes before the range and behind it.
    fn trim(&mut self, body: Bytes) -> Bytes {
        let mut body = body;
        while self.skip > 0 {
            let Some(end) = body.iter().position(|b| *b == b'\n') else { return Bytes::new() };
            body = body.slice(end + 1..);
            self.skip -= 1;
        }
        if let Some(left) = &mut self.left {
            let mut end = 0;
            while *left > 0 {
                let Some(at) = body[end..].iter().position(|b| *b == b'\n') else {
                    end = body.len();
                    break;
                };
                end += at + 1;
                *left -= 1;
            }
            body.truncate(end);
        }
        body
    }
}

impl Service {
    /// Opens an item's log, all of it or one attempt or phase, at the begin of a range.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`].
    pub async fn log_open(
        &self,
        actor: &Actor,
        id: &str,
        (attempt, phase): (Option<u32>, Option<Phase>),
        range: LogRange,
    ) -> Result<LogOpened> {
        let (_, _, item) = self.item_find(actor, id).await?;
        let mut cursor = LogCursor {
            item: item.id,
            attempt,
            phase,
            at: None,
            skip: 0,
            left: None,
            open: false,
            open_line: Vec::new(),
            line: 0,
            time: Time(0),
        };
        let parts = self.log_parts(&cursor).await?;
        let lines = parts.iter().map(|p| p.lines).sum();
        let (first, left) = range.bounds(lines);
        cursor.left = left;
        let mut before = 0;
        for (index, part) in parts.iter().enumerate() {
            // Behind the end is where the last part goes on, not a next one.
            if first > 0 && (first < before + part.lines || index + 1 == parts.len()) {
                let line = (first - before).min(part.lines);
                let (offset, skip) = part.place(line);
                (cursor.at, cursor.skip, cursor.line) = (Some((part.attempt, part.phase, offset)), skip, line);
                break;
            }
            before += part.lines;
        }
        Ok(LogOpened { cursor, lines, first_line: first + 1 })
    }

    async fn log_parts(&self, cursor: &LogCursor) -> Result<Vec<LogPart>> {
        let mut parts = Vec::new();
        for (attempt, phase) in self.store.log_parts(&cursor.item).await? {
            if cursor.attempt.is_some_and(|a| a != attempt) || cursor.phase.is_some_and(|p| p != phase) {
                continue;
            }
            let extents = self.store.log_extents(&cursor.item, attempt, phase).await?;
            let mut lines = extents.iter().map(|e| e.line_ends).sum();
            if let Some(last) = extents.last() {
                let last = self.store.log_pieces(&cursor.item, attempt, phase, Some(last.start), 1).await?;
                lines += u64::from(last.first().and_then(|p| p.body.last()).is_some_and(|b| *b != b'\n'));
            }
            parts.push(LogPart { attempt, phase, extents, lines });
        }
        Ok(parts)
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
        let (mut begins, mut breaks) = (false, false);
        loop {
            if cursor.left == Some(0) {
                return Ok(None);
            }
            if let Some((attempt, phase, offset)) = cursor.at {
                let found = self.store.log_pieces(&cursor.item, attempt, phase, Some(offset), 1).await?;
                if let Some(piece) = found.into_iter().next() {
                    cursor.at = Some((attempt, phase, piece.start + piece.body.len() as u64));
                    let body = cursor.trim(Bytes::from(piece.body));
                    let Some(last) = body.last() else { continue };
                    cursor.open = *last != b'\n';
                    return Ok(Some(LogPiece { attempt, phase, time: piece.time, body, breaks, begins }));
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
            if std::mem::take(&mut cursor.open) {
                breaks = true;
                cursor.left = cursor.left.map(|n| n.saturating_sub(1));
            }
            (cursor.at, cursor.skip) = (Some((attempt, phase, 0)), 0);
            begins = true;
        }
    }

    /// Looks for a text in the lines that `opened` gives. Answers what it found, at most `limit`, and where to go on when
    /// it has not seen everything: the number of a line, counted over all that is read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_search(
        &self,
        opened: LogOpened,
        needle: &Needle,
        limit: usize,
    ) -> Result<(Vec<LogMatch>, Option<u64>)> {
        let (mut cursor, mut number) = (opened.cursor, opened.first_line);
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut see = |line: LogLine, found: &mut Vec<LogMatch>| {
            if needle.is_in(&line.text) {
                let text = line.text.chars().take(MATCH_CHARS).collect();
                found.push(LogMatch { attempt: line.attempt, phase: line.phase, line: line.line, number, text });
            }
            number += 1;
            found.len() >= limit
        };
        while let Some(piece) = self.log_next(&mut cursor).await? {
            bytes += piece.body.len();
            for line in cursor.lines(&piece) {
                if see(line, &mut found) {
                    return Ok((found, Some(number)));
                }
            }
            if bytes >= SEARCH_BYTES {
                return Ok((found, Some(number)));
            }
            tokio::task::yield_now().await;
        }
        if let Some(line) = cursor.rest() {
            see(line, &mut found);
        }
        Ok((found, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(line_ends: &[u64]) -> LogPart {
        let extent = |(i, n): (usize, &u64)| LogExtent { start: i as u64 * 10, size: 10, line_ends: *n };
        LogPart {
            attempt: 1,
            phase: Phase::Run,
            extents: line_ends.iter().enumerate().map(extent).collect(),
            lines: line_ends.iter().sum(),
        }
    }

    #[test]
    fn a_line_begins_behind_the_end_of_the_one_before() {
        let part = part(&[2, 0, 3]);
        assert_eq!(part.place(0), (0, 0));
        assert_eq!(part.place(1), (0, 1));
        assert_eq!(part.place(2), (0, 2), "the rest of the first piece may hold its first bytes");
        assert_eq!(part.place(3), (20, 1));
        assert_eq!(part.place(9), (30, 0));
    }

    #[test]
    fn ranges_are_checked_and_counted_from_the_end() {
        assert_eq!(LogRange::of(None, None, None).unwrap(), LogRange::All);
        assert_eq!(LogRange::of(Some(10), None, None).unwrap().bounds(25), (15, None));
        assert_eq!(LogRange::of(Some(10), None, None).unwrap().bounds(5), (0, None));
        assert_eq!(LogRange::of(None, Some(3), Some(2)).unwrap().bounds(25), (2, Some(2)));
        assert_eq!(LogRange::of(None, None, Some(2)).unwrap().bounds(25), (0, Some(2)));
        for (tail, from, lines) in [(Some(1), Some(1), None), (None, Some(0), None), (Some(LINES_MOST + 1), None, None)]
        {
            assert!(LogRange::of(tail, from, lines).is_err());
        }
    }
}
