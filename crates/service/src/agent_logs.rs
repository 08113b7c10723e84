//! What agents say of themselves, for those who cannot look at their machine.

use lanza_api::agent::{AgentLog, AgentLogLine};
use lanza_store::agent_logs::{Line, Part};

use crate::{Actor, Error, Result, Service};

/// How many lines one request brings at most.
const LINES: usize = 200;
/// Longest line, in bytes.
const LINE_BYTES: usize = 4_096;
/// The words for how grave a line is.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl Service {
    /// Adds lines to the log of an agent that the caller runs. What is there already is left as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`]; [`Error::Invalid`] and [`Error::TooLarge`] for lines that no agent sends.
    pub async fn agent_log_add(&self, actor: &Actor, id: &str, log: AgentLog) -> Result<()> {
        let (_, agent) = self.agent_own(actor, id).await?;
        if log.process.len() < 8 || log.process.len() > 64 {
            return Err(Error::invalid("process", "has 8 to 64 characters"));
        }
        if log.lines.len() > LINES {
            return Err(Error::TooLarge { what: "the list of lines".into(), limit: format!("{LINES} lines") });
        }
        let mut lines = Vec::with_capacity(log.lines.len());
        for line in log.lines {
            if line.text.len() > LINE_BYTES {
                return Err(Error::TooLarge { what: "a line of the log".into(), limit: format!("{LINE_BYTES} bytes") });
            }
            if !LEVELS.contains(&line.level.as_str()) {
                return Err(Error::invalid("level", format!("`{}` is none of {}", line.level, LEVELS.join(", "))));
            }
            let number = i64::try_from(line.number)
                .ok()
                .filter(|n| *n > lines.last().map_or(0, |last: &Line| last.number))
                .ok_or_else(|| Error::invalid("number", "is a whole number from 1 that grows from line to line"))?;
            // Postgres has no room for a zero in a text.
            let text = line.text.replace('\0', "\u{fffd}");
            lines.push(Line { number, time: line.time, level: line.level, text });
        }
        Ok(self.store.agent_log_add(&agent.id, log.process, lines).await?)
    }

    /// Reads the end of an agent's log, or up to `limit` lines after a place.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the agent does not exist or is of an entity that the caller does not belong to;
    /// [`Error::Forbidden`] for a job.
    pub async fn agent_log(
        &self,
        actor: &Actor,
        id: &str,
        after: Option<u64>,
        limit: i64,
    ) -> Result<Vec<AgentLogLine>> {
        actor.require_person()?;
        let (_, _, agent) = self.agent_find(actor, id).await?;
        let part = after.map_or(Part::End, |place| Part::After(i64::try_from(place).unwrap_or(i64::MAX)));
        let lines = self.store.agent_log_read(&agent.id, part, limit).await?;
        let line = |line: Line| AgentLogLine {
            number: line.number.unsigned_abs(),
            time: line.time,
            level: line.level,
            text: line.text,
        };
        Ok(lines.into_iter().map(line).collect())
    }
}
