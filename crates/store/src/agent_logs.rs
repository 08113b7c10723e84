//! What agents say of themselves: the newest lines of each.

use lanza_model::{clock::Time, id::AgentId};

use crate::{
    Error, Result, Store,
    lookups::Area,
    row::{Columns, batches, rows_of},
};

/// How many lines of an agent are kept.
pub const KEPT: i64 = 2_000;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number: to be stored, that of the agent's process; read, its place in the agent's whole log, from 1.
    pub number: i64,
    /// When, by the agent's clock.
    pub time: Time,
    /// Level in small letters.
    pub level: String,
    /// What was said.
    pub text: String,
}

/// Which lines to read.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// The last ones.
    End,
    /// Those after a place.
    After(i64),
}

impl Store {
    /// Adds lines of an agent's `process` that are not there yet, and removes the oldest ones beyond [`KEPT`].
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent is gone.
    pub async fn agent_log_add(&self, agent: &AgentId, process: String, lines: Vec<Line>) -> Result<()> {
        let agent = agent.clone();
        self.write_in(Area::Beside, move |tx| {
            let (agent, process, lines) = (agent.clone(), process.clone(), lines.clone());
            Box::pin(async move {
                let known = sqlx::query(
                    "SELECT (SELECT COALESCE(MAX(seq), 0) FROM agent_logs WHERE agent_id = $1) AS seq, \
                     (SELECT COALESCE(MAX(number), 0) FROM agent_logs WHERE agent_id = $1 AND process = $2) AS number \
                     FROM agents WHERE id = $1",
                )
                .bind(agent.as_str())
                .bind(&process)
                .fetch_optional(tx.connection())
                .await?
                .ok_or(Error::Moved)?;
                let (mut seq, known) = (known.int("seq")?, known.int("number")?);
                let new: Vec<&Line> = lines.iter().filter(|line| line.number > known).collect();
                for batch in batches(&new) {
                    let statement = format!(
                        "INSERT INTO agent_logs (agent_id, seq, process, number, time, level, text) VALUES {}",
                        rows_of(batch.len(), 7)
                    );
                    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
                    for line in batch {
                        seq += 1;
                        query = query
                            .bind(agent.as_str())
                            .bind(seq)
                            .bind(&process)
                            .bind(line.number)
                            .bind(line.time.0)
                            .bind(&line.level)
                            .bind(&line.text);
                    }
                    query.execute(tx.connection()).await?;
                }
                sqlx::query("DELETE FROM agent_logs WHERE agent_id = $1 AND seq <= $2")
                    .bind(agent.as_str())
                    .bind(seq - KEPT)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Reads up to `limit` lines of an agent's log, oldest first.
    pub async fn agent_log_read(&self, agent: &AgentId, part: Part, limit: i64) -> Result<Vec<Line>> {
        let (after, order) = match part {
            Part::End => (0, "DESC"),
            Part::After(place) => (place, "ASC"),
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT seq, time, level, text FROM agent_logs WHERE agent_id = $1 AND seq > $2 ORDER BY seq {order} LIMIT $3"
        )))
        .bind(agent.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        let line = |row: &sqlx::any::AnyRow| {
            Ok(Line {
                number: row.int("seq")?,
                time: row.time("time")?,
                level: row.text("level")?,
                text: row.text("text")?,
            })
        };
        let mut lines = rows.iter().map(line).collect::<Result<Vec<_>>>()?;
        lines.sort_by_key(|line| line.number);
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agents::Agent, testing};

    fn lines(numbers: std::ops::RangeInclusive<i64>) -> Vec<Line> {
        numbers.map(|n| Line { number: n, time: Time(n), level: "info".into(), text: format!("line {n}") }).collect()
    }

    #[tokio::test]
    async fn the_newest_lines_of_an_agent_are_kept_and_none_twice() {
        for (_guard, store) in testing::stores().await {
            let entity = store.team_insert("vision", Time(0)).await.expect("a team");
            let agent = Agent {
                id: AgentId::new(),
                entity_id: entity,
                name: "one".into(),
                state_key: "one".into(),
                stock: false,
                host: "h".into(),
                version: "lanza@0".into(),
                targets: Vec::new(),
                slots: None,
                resources: None,
                settings: serde_json::Value::Null,
                status: "polling".into(),
                command: "none".into(),
                created_by: "ana".into(),
                created_at: Time(0),
                last_seen: Time(0),
            };
            let agent = store.agent_register(agent, Vec::new()).await.expect("an agent");
            let add = async |process: &str, numbers| {
                store.agent_log_add(&agent, process.into(), lines(numbers)).await.expect("added");
            };
            add("first", 1..=3).await;
            // An answer was lost, and the lines come again with more.
            add("first", 2..=5).await;
            // The agent was started anew.
            add("second", 1..=2).await;
            let read = async |part, limit| {
                let lines = store.agent_log_read(&agent, part, limit).await.expect("lines");
                lines.into_iter().map(|line| (line.number, line.text)).collect::<Vec<_>>()
            };
            let texts = ["line 1", "line 2", "line 3", "line 4", "line 5", "line 1", "line 2"];
            let all: Vec<_> = (1..).zip(texts.map(str::to_owned)).collect();
            assert_eq!(read(Part::After(0), 100).await, all);
            assert_eq!(read(Part::End, 2).await, all[5..]);
            assert_eq!(read(Part::After(3), 2).await, all[3..5]);
            add("third", 1..=KEPT).await;
            let kept = read(Part::After(0), 10_000).await;
            assert_eq!((kept.len() as i64, kept[0].0), (KEPT, 8), "on {:?}", store.engine());
            let gone = store.agent_log_add(&AgentId::new(), "fourth".into(), lines(1..=1)).await;
            assert!(matches!(gone, Err(Error::Moved)));
        }
    }
}
