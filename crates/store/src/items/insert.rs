//! New items, all that come at once in one statement.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lanza_model::id::QueueId;

use super::{
    Item,
    read::item,
    transitions::{json, trail},
};
use crate::{
    Error, Result, Store, Tx, WriteFuture,
    row::{Columns, batches, rows_of},
};

impl Store {
    /// Adds an item. With an idempotency key that the queue has seen, returns the item of that key instead, and false.
    ///
    /// # Errors
    /// [`Error::Moved`] when the queue is gone.
    pub async fn item_insert(&self, new: Item) -> Result<(Item, bool)> {
        let new = Arc::new(new);
        Ok(match self.item_counters.insert.write(self, new.clone()).await? {
            Some(old) => (old, false),
            None => (Arc::unwrap_or_clone(new), true),
        })
    }
}

/// Adds items; answers for each with the one that has its idempotency key already, if there is one.
pub(super) fn in_tx<'c>(tx: &'c mut Tx, items: &'c [Arc<Item>]) -> WriteFuture<'c, Vec<Result<Option<Item>>>> {
    Box::pin(async move {
        let mut queues: HashMap<&QueueId, bool> = HashMap::new();
        for new in items {
            if !queues.contains_key(&new.queue_id) {
                let found = sqlx::query("SELECT id FROM queues WHERE id = $1")
                    .bind(new.queue_id.as_str())
                    .fetch_optional(tx.connection())
                    .await?;
                queues.insert(&new.queue_id, found.is_some());
            }
        }
        let wanted: Vec<&Item> = items.iter().map(Arc::as_ref).filter(|new| queues[&new.queue_id]).collect();
        let mut added = HashSet::new();
        for batch in batches(&wanted) {
            insert_batch(tx, batch, &mut added).await?;
        }
        let mut results = Vec::with_capacity(items.len());
        for new in items {
            if added.contains(new.id.as_str()) {
                trail(tx, new, &new.author, "queued", new.created_at);
                results.push(Ok(None));
            } else {
                results.push(of_same_key(tx, new).await?.map(Some).ok_or(Error::Moved));
            }
        }
        Ok(results)
    })
}

async fn of_same_key(tx: &mut Tx, new: &Item) -> Result<Option<Item>> {
    let row = sqlx::query("SELECT * FROM items WHERE queue_id = $1 AND idempotency_key = $2")
        .bind(new.queue_id.as_str())
        .bind(new.idempotency_key.as_deref())
        .fetch_optional(tx.connection())
        .await?;
    row.as_ref().map(item).transpose()
}

const COLUMNS: usize = 31;

/// Adds rows whose idempotency key is new, and names them in `added`.
async fn insert_batch(tx: &mut Tx, batch: &[&Item], added: &mut HashSet<String>) -> Result<()> {
    let statement = format!(
        "INSERT INTO items (id, entity_id, queue_id, queue_name, target, max_attempts, priority, author_id, author, created_at, \
         warnings, spec, job, job_artifact, code_artifact, run_entity, run_project, planned_run, name, queue_config, item_config, \
         template_variables, resources, not_before, idempotency_key, state, attempt, losses, stock, deleted, runs) \
         VALUES {} ON CONFLICT (queue_id, idempotency_key) DO NOTHING RETURNING id",
        rows_of(batch.len(), COLUMNS)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
    for new in batch {
        query = query
            .bind(new.id.as_str())
            .bind(new.entity_id.as_str())
            .bind(new.queue_id.as_str())
            .bind(&new.queue_name)
            .bind(new.target.as_str())
            .bind(i64::from(new.max_attempts))
            .bind(new.priority.number())
            .bind(new.author_id.as_str())
            .bind(&new.author)
            .bind(new.created_at.0)
            .bind(json(&new.warnings))
            .bind(json(&new.spec))
            .bind(new.job.as_deref())
            .bind(new.job_artifact.as_deref())
            .bind(new.code_artifact.as_deref())
            .bind(&new.run_entity)
            .bind(&new.run_project)
            .bind(&new.planned_run)
            .bind(new.name.as_deref())
            .bind(json(&new.queue_config))
            .bind(json(&new.item_config))
            .bind(json(&new.template_variables))
            .bind(json(&new.resources))
            .bind(new.not_before.map(|t| t.0))
            .bind(new.idempotency_key.as_deref())
            .bind("queued")
            .bind(0_i64)
            .bind(0_i64)
            .bind(0_i16)
            .bind(0_i16)
            .bind("[]");
    }
    for row in query.fetch_all(tx.connection()).await? {
        added.insert(row.text("id")?);
    }
    Ok(())
}
