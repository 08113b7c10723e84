//! The audit trail: who did what to which object.

use lanza_model::{clock::Time, config::Difference, id::EntityId};
use sqlx::any::AnyRow;

use crate::{
    Error, Result, Store, Tx,
    row::{Columns, batches, rows_of},
    write::serialization_failure,
};

/// One line of the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position; the order of positions is the order of the commits.
    pub seq: i64,
    /// When.
    pub time: Time,
    /// Entity that it belongs to.
    pub entity_id: EntityId,
    /// Who: a user name, `agent:ID` or `server`.
    pub actor: String,
    /// What.
    pub verb: String,
    /// Kind of object.
    pub kind: String,
    /// Its id or name.
    pub object: String,
    /// What was changed about it, where the trail keeps that: of queues.
    pub changes: Vec<Difference>,
}

/// A line that the transaction under way will write.
#[derive(Debug)]
pub(crate) struct NewEvent {
    time: Time,
    entity_id: String,
    actor: String,
    verb: String,
    kind: &'static str,
    object: String,
    changes: Option<String>,
}

/// Adds a line that says what was changed.
pub(crate) fn change_insert_in_tx(
    tx: &mut Tx,
    time: Time,
    entity: &str,
    actor: &str,
    verb: &str,
    object: (&'static str, &str),
    changes: &[Difference],
) {
    event_insert_in_tx(tx, time, entity, actor, verb, object);
    if let (Some(line), false) = (tx.trail.last_mut(), changes.is_empty()) {
        line.changes = Some(serde_json::to_string(changes).expect("JSON values serialize"));
    }
}

/// Adds a line to the transaction that does the deed.
pub(crate) fn event_insert_in_tx(
    tx: &mut Tx,
    time: Time,
    entity: &str,
    actor: &str,
    verb: &str,
    (kind, object): (&'static str, &str),
) {
    tx.trail.push(NewEvent {
        time,
        entity_id: entity.to_owned(),
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        kind,
        object: object.to_owned(),
        changes: None,
    });
}

impl Tx {
    /// Writes the lines of the transaction. Their positions follow the last one, so that the order of positions is the
    /// order of commits.
    pub(crate) async fn write_trail(&mut self) -> Result<()> {
        let lines = std::mem::take(&mut self.trail);
        if lines.is_empty() {
            return Ok(());
        }
        let mut seq = match self.trail_end {
            Some(seq) => seq,
            None => {
                let last = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS n FROM events");
                last.fetch_one(self.connection()).await?.int("n")?
            }
        };
        for batch in batches(&lines) {
            let statement = format!(
                "INSERT INTO events (seq, time, entity_id, actor, verb, kind, object, changes) VALUES {}",
                rows_of(batch.len(), 8)
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for line in batch {
                seq += 1;
                query = query
                    .bind(seq)
                    .bind(line.time.0)
                    .bind(&line.entity_id)
                    .bind(&line.actor)
                    .bind(&line.verb)
                    .bind(line.kind)
                    .bind(&line.object)
                    .bind(line.changes.as_deref());
            }
            query.execute(self.connection()).await.map_err(|e| match Error::from(e) {
                // Another server was faster with the same positions.
                Error::Exists => serialization_failure(),
                other => other,
            })?;
        }
        self.trail_end = Some(seq);
        Ok(())
    }
}

fn event(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        seq: row.int("seq")?,
        time: row.time("time")?,
        entity_id: row.parsed("entity_id")?,
        actor: row.text("actor")?,
        verb: row.text("verb")?,
        kind: row.text("kind")?,
        object: row.text("object")?,
        changes: Vec::new(),
    })
}

impl Store {
    /// Lists the trail after position `after`, over all entities, oldest first.
    pub async fn event_list(&self, after: i64, limit: i64) -> Result<Vec<Event>> {
        let rows = sqlx::query(
            "SELECT seq, time, entity_id, actor, verb, kind, object FROM events WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(event).collect()
    }

    /// Lists what happened to one object and what it changed, newest first, before position `before`.
    pub async fn event_of(
        &self,
        entity: &EntityId,
        (kind, object): (&'static str, &str),
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Event>> {
        let rows = sqlx::query(
            "SELECT * FROM events WHERE entity_id = $1 AND kind = $2 AND object = $3 AND seq < $4 ORDER BY seq DESC LIMIT $5",
        )
        .bind(entity.as_str())
        .bind(kind)
        .bind(object)
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter()
            .map(|row| Ok(Event { changes: row.maybe_json("changes")?.unwrap_or_default(), ..event(row)? }))
            .collect()
    }

    /// Returns the position of the newest line; 0 when the trail is empty.
    pub async fn event_last(&self) -> Result<i64> {
        sqlx::query("SELECT COALESCE(MAX(seq), 0) AS n FROM events").fetch_one(self.read_pool()).await?.int("n")
    }

    /// Adds a line by itself.
    pub async fn event_insert(
        &self,
        time: Time,
        entity: &EntityId,
        actor: &str,
        verb: &'static str,
        kind: &'static str,
        object: &str,
    ) -> Result<()> {
        let (entity, actor, object) = (entity.clone(), actor.to_owned(), object.to_owned());
        self.write(move |tx| {
            let (entity, actor, object) = (entity.clone(), actor.clone(), object.clone());
            Box::pin(async move {
                event_insert_in_tx(tx, time, entity.as_str(), &actor, verb, (kind, &object));
                Ok(())
            })
        })
        .await
    }
}
