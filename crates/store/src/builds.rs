//! Builds: which attempt builds what, and which attempts wait for it.
//!
//! A build belongs to an attempt that an agent holds, until the lease ends, the attempt does, or the agent says that the
//! build is over. One that succeeded is remembered for a while, so that all who waited for it go on at once instead of
//! one after the other.

use lanza_model::{
    clock::Time,
    id::{AgentId, EntityId, ItemId},
};
use sqlx::any::AnyRow;

use crate::{Error, Result, Store, Tx, lookups::Area, row::Columns};

/// What is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildKey {
    /// Owner of the queue that it is built for.
    pub entity_id: EntityId,
    /// Where the result will be.
    pub place: String,
    /// Digest of all that decides what it is.
    pub digest: String,
}

/// An attempt that builds or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// The agent that holds it.
    pub agent_id: AgentId,
    /// Item.
    pub item_id: ItemId,
    /// Attempt.
    pub attempt: u32,
}

/// What the claimer knows better than the row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildWish {
    /// A build that counts as built is not there.
    pub missing: bool,
    /// One that began before the claimer's item was pushed does not count.
    pub renew: bool,
}

/// The times of a claim.
#[derive(Debug, Clone, Copy)]
pub struct BuildTimes {
    /// Now.
    pub now: Time,
    /// When the lease ends that is given.
    pub expires_at: Time,
    /// Leases that ended before count as ended.
    pub dead_before: Time,
    /// How long the claimer counts as one who waits.
    pub waits_until: Time,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildClaim {
    /// It builds.
    Granted,
    /// It was built.
    Built,
    /// Somebody else builds it.
    Held(BuildOwner),
}

/// Who builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOwner {
    /// The attempt.
    pub builder: Builder,
    /// When it began.
    pub started_at: Time,
}

/// A build that is over for whoever asks: ended unfinished, without an owner, or built and yet `$missing`. `$now` and
/// `$dead` are times.
fn is_free(now: &str, dead: &str, missing: &str) -> String {
    format!(
        "((builds.built_at IS NOT NULL AND ({missing} = 1 OR builds.expires_at <= {now})) \
         OR (builds.built_at IS NULL AND (builds.expires_at <= {dead} OR NOT EXISTS \
         (SELECT 1 FROM items i WHERE i.id = builds.item_id AND i.attempt = builds.attempt \
         AND i.agent_id = builds.agent_id AND i.state = 'running'))))"
    )
}

fn owner(row: &AnyRow) -> Result<BuildOwner> {
    Ok(BuildOwner {
        builder: Builder {
            agent_id: row.parsed("agent_id")?,
            item_id: row.parsed("item_id")?,
            attempt: row.int("attempt")? as u32,
        },
        started_at: row.time("started_at")?,
    })
}

impl Store {
    /// Gives a build to an attempt unless somebody else has it; renews it for the attempt that has it. One that has to wait
    /// is noted as such.
    ///
    /// # Errors
    /// [`Error::Moved`] when the agent does not hold the attempt.
    pub async fn build_claim(
        &self,
        key: BuildKey,
        builder: Builder,
        wish: BuildWish,
        times: BuildTimes,
    ) -> Result<BuildClaim> {
        self.write_in(Area::Beside, move |tx| {
            let (key, builder) = (key.clone(), builder.clone());
            Box::pin(async move { claim_in_tx(tx, &key, &builder, wish, times).await })
        })
        .await
    }

    /// Whether a claim of `builder` may fare better than to wait.
    pub async fn build_open(&self, key: &BuildKey, missing: bool, now: Time, dead_before: Time) -> Result<bool> {
        let free = is_free("$4", "$5", "$6");
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT 1 AS held FROM builds WHERE entity_id = $1 AND place = $2 AND digest = $3 \
             AND builds.built_at IS NULL AND NOT {free}"
        )))
        .bind(key.entity_id.as_str())
        .bind(&key.place)
        .bind(&key.digest)
        .bind(now.0)
        .bind(dead_before.0)
        .bind(i16::from(missing))
        .fetch_optional(self.read_pool())
        .await?;
        Ok(row.is_none())
    }

    /// Ends what an attempt builds; `remember_until`: it is built, and counts as that for so long. Returns whether it had
    /// a build.
    pub async fn build_end(&self, builder: Builder, now: Time, remember_until: Option<Time>) -> Result<bool> {
        self.write_in(Area::Beside, move |tx| {
            let builder = builder.clone();
            Box::pin(async move {
                let set = match remember_until {
                    Some(_) => "UPDATE builds SET built_at = $4, expires_at = $5",
                    None => "DELETE FROM builds",
                };
                let text = format!("{set} WHERE item_id = $1 AND attempt = $2 AND agent_id = $3 AND built_at IS NULL");
                let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
                    .bind(builder.item_id.as_str())
                    .bind(i64::from(builder.attempt))
                    .bind(builder.agent_id.as_str());
                if let Some(until) = remember_until {
                    query = query.bind(now.0).bind(until.0);
                }
                let done = query.execute(tx.connection()).await?;
                sqlx::query("DELETE FROM build_waits WHERE item_id = $1 AND attempt = $2")
                    .bind(builder.item_id.as_str())
                    .bind(i64::from(builder.attempt))
                    .execute(tx.connection())
                    .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Returns whose build an attempt waits for, and its digest.
    pub async fn build_awaited(&self, item: &ItemId, attempt: u32, now: Time) -> Result<Option<(BuildOwner, String)>> {
        let row = sqlx::query(
            "SELECT b.agent_id, b.item_id, b.attempt, b.started_at, b.digest FROM build_waits w \
             JOIN items i ON i.id = w.item_id \
             JOIN builds b ON b.entity_id = i.entity_id AND b.place = w.place AND b.digest = w.digest \
             WHERE w.item_id = $1 AND w.attempt = $2 AND w.expires_at > $3 AND b.built_at IS NULL",
        )
        .bind(item.as_str())
        .bind(i64::from(attempt))
        .bind(now.0)
        .fetch_optional(self.read_pool())
        .await?;
        row.as_ref().map(|r| Ok((owner(r)?, r.text("digest")?))).transpose()
    }

    /// Forgets builds that ended before `builds`, and waits that ended before `waits`.
    pub async fn build_forget(&self, builds: Time, waits: Time) -> Result<()> {
        self.write_in(Area::Beside, move |tx| {
            Box::pin(async move {
                for (statement, before) in [
                    ("DELETE FROM builds WHERE expires_at < $1", builds),
                    ("DELETE FROM build_waits WHERE expires_at < $1", waits),
                ] {
                    sqlx::query(statement).bind(before.0).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn claim_in_tx(
    tx: &mut Tx,
    key: &BuildKey,
    builder: &Builder,
    wish: BuildWish,
    times: BuildTimes,
) -> Result<BuildClaim> {
    let held = sqlx::query(
        "SELECT created_at FROM items WHERE id = $1 AND attempt = $2 AND agent_id = $3 AND state = 'running'",
    )
    .bind(builder.item_id.as_str())
    .bind(i64::from(builder.attempt))
    .bind(builder.agent_id.as_str())
    .fetch_optional(tx.connection())
    .await?;
    let Some(item) = held else { return Err(Error::Moved) };
    // Everything began after the beginning of time.
    let renew_after = if wish.renew { item.time("created_at")? } else { Time(0) };
    let free = is_free("$7", "$9", "$10");
    let own = "builds.built_at IS NULL AND builds.item_id = excluded.item_id AND builds.attempt = excluded.attempt \
               AND builds.agent_id = excluded.agent_id";
    let granted = sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO builds (entity_id, place, digest, agent_id, item_id, attempt, started_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (entity_id, place, digest) DO UPDATE SET \
         started_at = CASE WHEN {own} THEN builds.started_at ELSE excluded.started_at END, \
         agent_id = excluded.agent_id, item_id = excluded.item_id, attempt = excluded.attempt, \
         expires_at = excluded.expires_at, built_at = NULL WHERE ({own}) OR {free} \
         OR (builds.built_at IS NOT NULL AND builds.started_at < $11) RETURNING 1 AS granted"
    )))
    .bind(key.entity_id.as_str())
    .bind(&key.place)
    .bind(&key.digest)
    .bind(builder.agent_id.as_str())
    .bind(builder.item_id.as_str())
    .bind(i64::from(builder.attempt))
    .bind(times.now.0)
    .bind(times.expires_at.0)
    .bind(times.dead_before.0)
    .bind(i16::from(wish.missing))
    .bind(renew_after.0)
    .fetch_optional(tx.connection())
    .await?;
    if granted.is_some() {
        sqlx::query("DELETE FROM build_waits WHERE item_id = $1")
            .bind(builder.item_id.as_str())
            .execute(tx.connection())
            .await?;
        return Ok(BuildClaim::Granted);
    }
    let row = sqlx::query("SELECT * FROM builds WHERE entity_id = $1 AND place = $2 AND digest = $3")
        .bind(key.entity_id.as_str())
        .bind(&key.place)
        .bind(&key.digest)
        .fetch_one(tx.connection())
        .await?;
    if row.maybe_int("built_at")?.is_some() {
        sqlx::query("DELETE FROM build_waits WHERE item_id = $1")
            .bind(builder.item_id.as_str())
            .execute(tx.connection())
            .await?;
        return Ok(BuildClaim::Built);
    }
    sqlx::query(
        "INSERT INTO build_waits (item_id, attempt, place, digest, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (item_id) DO UPDATE SET attempt = excluded.attempt, place = excluded.place, \
         digest = excluded.digest, expires_at = excluded.expires_at",
    )
    .bind(builder.item_id.as_str())
    .bind(i64::from(builder.attempt))
    .bind(&key.place)
    .bind(&key.digest)
    .bind(times.waits_until.0)
    .execute(tx.connection())
    .await?;
    Ok(BuildClaim::Held(owner(&row)?))
}

#[cfg(test)]
mod tests {
    use lanza_model::item::Ending;

    use super::*;
    use crate::items::tests::{NOW, Place, ended};

    const LEASE_MS: i64 = 30_000;

    /// Two attempts on two agents, and a build that both want.
    async fn two(place: &Place) -> (BuildKey, [Builder; 2]) {
        let mut builders = Vec::new();
        for agent in [0, 1] {
            place.push().await;
            let item = place.claim(agent, 1).await.remove(0);
            let agent_id = place.agents[agent].clone();
            place.store.item_acknowledge(&item.id, 1, &agent_id, NOW).await.expect("acknowledged");
            builders.push(Builder { agent_id, item_id: item.id, attempt: 1 });
        }
        let key = BuildKey { entity_id: place.entity.clone(), place: "docker:x".into(), digest: "d".into() };
        (key, [builders[0].clone(), builders[1].clone()])
    }

    impl Place {
        async fn build(&self, key: &BuildKey, builder: &Builder, missing: bool, after_ms: i64) -> BuildClaim {
            self.build_as(key, builder, BuildWish { missing, renew: false }, after_ms).await
        }

        async fn build_as(&self, key: &BuildKey, builder: &Builder, wish: BuildWish, after_ms: i64) -> BuildClaim {
            let now = NOW.plus_ms(after_ms);
            let expires_at = now.plus_ms(LEASE_MS);
            let times = BuildTimes { now, expires_at, dead_before: now, waits_until: now.plus_ms(LEASE_MS) };
            self.store.build_claim(key.clone(), builder.clone(), wish, times).await.expect("claimed")
        }
    }

    fn builds(claim: &BuildClaim) -> Option<&ItemId> {
        match claim {
            BuildClaim::Held(owner) => Some(&owner.builder.item_id),
            _ => None,
        }
    }

    #[tokio::test]
    async fn one_attempt_builds_and_the_other_waits_until_it_is_built() {
        for place in Place::all().await {
            let (key, [a, b]) = two(&place).await;
            assert_eq!(place.build(&key, &a, false, 0).await, BuildClaim::Granted);
            assert_eq!(builds(&place.build(&key, &b, false, 1).await), Some(&a.item_id));
            let (owner, digest) =
                place.store.build_awaited(&b.item_id, 1, NOW.plus_ms(2)).await.expect("read").expect("it waits");
            assert_eq!((owner.builder, owner.started_at, digest.as_str()), (a.clone(), NOW, "d"));
            assert!(place.store.build_awaited(&a.item_id, 1, NOW).await.expect("read").is_none());
            // Other places, digests and entities are other builds.
            for other in
                [BuildKey { place: "docker:y".into(), ..key.clone() }, BuildKey { digest: "e".into(), ..key.clone() }]
            {
                assert_eq!(place.build(&other, &b, false, 1).await, BuildClaim::Granted);
            }
            assert!(place.store.build_end(b.clone(), NOW, None).await.expect("ended"));
            assert_eq!(builds(&place.build(&key, &b, false, 1).await), Some(&a.item_id));

            // Renewed, the lease keeps its beginning and outlives its first end.
            assert_eq!(place.build(&key, &a, false, LEASE_MS - 1).await, BuildClaim::Granted);
            let BuildClaim::Held(owner) = place.build(&key, &b, false, LEASE_MS + 1).await else { panic!("held") };
            assert_eq!(owner.started_at, NOW);
            let open = async |missing, ms| {
                let now = NOW.plus_ms(ms);
                place.store.build_open(&key, missing, now, now).await.expect("read")
            };
            assert!(!open(false, LEASE_MS).await);

            let until = NOW.plus_ms(100_000);
            assert!(place.store.build_end(a.clone(), NOW.plus_ms(40_000), Some(until)).await.expect("ended"));
            assert!(open(false, 40_001).await);
            assert_eq!(place.build(&key, &b, false, 40_001).await, BuildClaim::Built);
            assert!(place.store.build_awaited(&b.item_id, 1, NOW.plus_ms(40_002)).await.expect("read").is_none());
            // It was removed meanwhile: one of those who miss it makes it again.
            assert_eq!(place.build(&key, &b, true, 40_003).await, BuildClaim::Granted);
            assert_eq!(builds(&place.build(&key, &a, true, 40_004).await), Some(&b.item_id));
        }
    }

    #[tokio::test]
    async fn what_was_built_before_the_push_does_not_count_for_one_who_wants_it_anew() {
        for place in Place::all().await {
            let (key, [a, b]) = two(&place).await;
            let anew = BuildWish { missing: false, renew: true };
            let until = NOW.plus_ms(100_000);
            let end = async |builder: &Builder, ms| {
                place.store.build_end(builder.clone(), NOW.plus_ms(ms), Some(until)).await.expect("ended")
            };
            // A build that began a second before the items were pushed.
            assert_eq!(place.build(&key, &a, false, -1000).await, BuildClaim::Granted);
            assert_eq!(builds(&place.build_as(&key, &b, anew, 1).await), Some(&a.item_id), "it is waited for");
            assert!(end(&a, 2).await);
            assert_eq!(place.build(&key, &b, false, 3).await, BuildClaim::Built);
            assert_eq!(place.build_as(&key, &b, anew, 4).await, BuildClaim::Granted);
            // Of two who want it anew, one builds.
            assert_eq!(builds(&place.build_as(&key, &a, anew, 5).await), Some(&b.item_id));
            assert!(end(&b, 6).await);
            assert_eq!(place.build_as(&key, &a, anew, 7).await, BuildClaim::Built);
        }
    }

    #[tokio::test]
    async fn a_build_without_an_owner_goes_to_whoever_asks() {
        for place in Place::all().await {
            let (key, [a, b]) = two(&place).await;
            // The owner says nothing more.
            assert_eq!(place.build(&key, &a, false, 0).await, BuildClaim::Granted);
            assert_eq!(place.build(&key, &b, false, LEASE_MS).await, BuildClaim::Granted);
            assert_eq!(builds(&place.build(&key, &a, false, LEASE_MS + 1).await), Some(&b.item_id));
            // What the old owner says now changes nothing.
            assert!(!place.store.build_end(a.clone(), NOW, None).await.expect("ended"));
            assert_eq!(builds(&place.build(&key, &a, false, LEASE_MS + 1).await), Some(&b.item_id));
            // It failed.
            assert!(place.store.build_end(b.clone(), NOW, None).await.expect("ended"));
            assert_eq!(place.build(&key, &a, false, LEASE_MS + 2).await, BuildClaim::Granted);
            // Its attempt ended, however that came.
            assert_eq!(builds(&place.build(&key, &b, false, LEASE_MS + 3).await), Some(&a.item_id));
            let (at, ending) = (NOW.plus_ms(5), ended(Ending::Stopped));
            place.store.item_end(&a.item_id, 1, Some(&a.agent_id), ending, at).await.expect("ended");
            assert_eq!(place.build(&key, &b, false, LEASE_MS + 4).await, BuildClaim::Granted);
            let times = BuildTimes { now: NOW, expires_at: NOW, dead_before: NOW, waits_until: NOW };
            let late = place.store.build_claim(key.clone(), a.clone(), BuildWish::default(), times).await;
            assert!(matches!(late, Err(Error::Moved)), "an attempt that is over builds nothing");
            // What nobody has touched for long is forgotten.
            let later = NOW.plus_ms(10 * LEASE_MS);
            place.store.build_forget(later, later).await.expect("forgotten");
            assert!(place.store.build_open(&key, false, NOW, NOW).await.expect("read"));
        }
    }

    #[tokio::test]
    async fn of_many_who_ask_at_once_one_builds() {
        for place in Place::all().await {
            let (key, builders) = two(&place).await;
            let all = futures::future::join_all((0..40).map(|i| place.build(&key, &builders[i % 2], false, 0))).await;
            let granted = all.iter().filter(|c| **c == BuildClaim::Granted).count();
            assert_eq!(granted, 20, "the one that came first, each time that it asked");
        }
    }
}
