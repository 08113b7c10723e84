//! The audit trail: who did what to which object.

use lanza_model::{clock::Time, id::EntityId};
use sqlx::any::AnyRow;

use crate::{Result, Store, Tx, row::Columns};

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// Adds a line inside of the transaction that does the deed.
pub(crate) async fn event_insert_in_tx(
    tx: &mut Tx,
    time: Time,
    entity: &str,
    actor: &str,
    verb: &str,
    (kind, object): (&str, &str),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO events (seq, time, entity_id, actor, verb, kind, object) \
         SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6 FROM events",
    )
    .bind(time.0)
    .bind(entity)
    .bind(actor)
    .bind(verb)
    .bind(kind)
    .bind(object)
    .execute(tx.connection())
    .await?;
    Ok(())
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
    })
}

impl Store {
    /// Lists the trail after position `after`, over all entities, oldest first.
    pub async fn event_list(&self, after: i64, limit: i64) -> Result<Vec<Event>> {
        let rows = sqlx::query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(limit)
            .fetch_all(self.read_pool())
            .await?;
        rows.iter().map(event).collect()
    }

    /// Lists what happened to one object, newest first, before position `before`.
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
        rows.iter().map(event).collect()
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
            Box::pin(async move { event_insert_in_tx(tx, time, entity.as_str(), &actor, verb, (kind, &object)).await })
        })
        .await
    }
}
