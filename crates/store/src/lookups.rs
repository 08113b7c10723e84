//! Rows that nearly every request looks up and that seldom change, kept in memory: entities, roles, queues, agents.
//!
//! Only on the embedded database, whose one writer is this process. A kept value carries the generation that stood
//! before its read began, and every write raises the generation between its commit and its answer, so what a caller
//! was told is never contradicted by what it looks up next. Writes raise it unless they are declared to touch none of
//! these rows ([`Area`]): a forgotten declaration costs reads, never truth.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lanza_model::{
    Role,
    id::{AgentId, EntityId, QueueId, UserId},
};
use parking_lot::Mutex;

use crate::{Result, Store, accounts::Entity, agents::Agent, queues::Queue};

/// How many values of a kind are kept.
const SIZE: usize = 10_000;

/// Which of the kept rows a write may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    /// None of them.
    Beside,
    /// Agents and the queues that they serve.
    Agents,
    /// Any.
    Any,
}

/// Values of one kind by their keys, each with the generation that it was read in.
#[derive(Debug)]
pub(crate) struct Shelf<K, V>(Mutex<HashMap<K, (u64, V)>>);

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Where values of one kind are kept.
type Place<K, V> = fn(&Lookups) -> &Shelf<K, V>;

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Lookups {
    on: bool,
    any: AtomicU64,
    agents: AtomicU64,
    pub(crate) entity_by_name: Shelf<String, Option<Entity>>,
    pub(crate) entity_by_id: Shelf<EntityId, Option<Entity>>,
    pub(crate) member_role: Shelf<(EntityId, UserId), Option<Role>>,
    pub(crate) queue_by_name: Shelf<(EntityId, String), Option<Queue>>,
    pub(crate) queue_by_id: Shelf<QueueId, Option<Queue>>,
    pub(crate) agent_by_id: Shelf<AgentId, Option<Agent>>,
    pub(crate) agents_of_queue: Shelf<QueueId, Arc<[Agent]>>,
}

impl Lookups {
    /// Keeps values only when this process is the only one that writes.
    pub(crate) fn new(only_writer: bool) -> Self {
        Self {
            on: only_writer,
            any: AtomicU64::new(0),
            agents: AtomicU64::new(0),
            entity_by_name: Shelf::default(),
            entity_by_id: Shelf::default(),
            member_role: Shelf::default(),
            queue_by_name: Shelf::default(),
            queue_by_id: Shelf::default(),
            agent_by_id: Shelf::default(),
            agents_of_queue: Shelf::default(),
        }
    }

    /// A transaction with writes up to `area` has been committed and not yet been answered.
    pub(crate) fn committed(&self, area: Area) {
        if area >= Area::Agents {
            self.agents.fetch_add(1, Ordering::SeqCst);
        }
        if area == Area::Any {
            self.any.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The generation of an area; it only grows.
    fn generation(&self, area: Area) -> u64 {
        match area {
            Area::Agents => self.agents.load(Ordering::SeqCst),
            _ => self.any.load(Ordering::SeqCst),
        }
    }
}

impl Store {
    /// Returns the kept value of `key`, or reads it and keeps it. `area` says which writes end its life.
    pub(crate) async fn look_up<K, V>(
        &self,
        (area, shelf): (Area, Place<K, V>),
        key: K,
        read: impl Future<Output = Result<V>>,
    ) -> Result<V>
    where
        K: Hash + Eq,
        V: Clone,
    {
        let lookups = &*self.lookups;
        if !lookups.on {
            return read.await;
        }
        let generation = lookups.generation(area);
        if let Some((kept_in, value)) = shelf(lookups).0.lock().get(&key)
            && *kept_in == generation
        {
            return Ok(value.clone());
        }
        let value = read.await?;
        let mut kept = shelf(lookups).0.lock();
        if kept.len() >= SIZE {
            kept.retain(|_, (kept_in, _)| *kept_in == generation);
            if kept.len() >= SIZE {
                kept.clear();
            }
        }
        kept.insert(key, (generation, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use lanza_model::{Role, clock::Time};

    use crate::testing;

    #[tokio::test]
    async fn a_lookup_after_a_write_sees_the_write() {
        for (_guard, store) in testing::stores().await {
            for round in 0..50 {
                let name = format!("team{round}");
                assert!(store.entity_by_name(&name).await.unwrap().is_none());
                let id = store.team_insert(&name, Time(round)).await.unwrap();
                assert_eq!(store.entity_by_name(&name).await.unwrap().unwrap().id, id);
                let (person, key) = testing::user(&format!("user{round}"), Time(0));
                let user = person.id.clone();
                assert_eq!(store.member_role(&id, &user).await.unwrap(), None);
                store.user_insert(person, None, key).await.unwrap();
                for role in [Role::Viewer, Role::Admin] {
                    store.member_put(&id, &user, role).await.unwrap();
                    assert_eq!(store.member_role(&id, &user).await.unwrap(), Some(role));
                }
            }
        }
    }
}
