//! Builds: which agent builds what, and who waits for it (`lanza_api::build` describes the protocol).

use std::time::Duration;

use lanza_api::{
    build::{BUILD_WAIT_MS, BuildAnswer, BuildEnd, BuildHolder, BuildRequest},
    item::Why,
};
use lanza_model::{Phase, clock::Time, item::StateName};
use lanza_store::{
    builds::{BuildClaim, BuildKey, BuildOwner, BuildTimes, BuildWish, Builder},
    items::Item,
};

use crate::{Actor, Error, Result, Service, agents::fence};

/// How long a build belongs to an agent that does not renew it, in milliseconds.
pub const BUILD_LEASE_MS: u32 = 30_000;
/// How long one counts as built for those who waited for it.
const BUILT_MS: i64 = 10 * 60_000;
/// How much later than promised an agent may ask again and still counts as one who waits.
const WAIT_SLACK_MS: i64 = 15_000;
/// Largest place, in bytes.
const PLACE_BYTES: usize = 1024;
/// Largest digest, in bytes.
const DIGEST_BYTES: usize = 128;

impl Service {
    /// Gives a build to an attempt, renews it, or waits up to `request.wait_ms` for it to be over.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`lanza_model::code::LEASE_LOST`] when the agent does not hold the attempt.
    pub async fn build_claim(
        &self,
        actor: &Actor,
        agent: &str,
        item: &str,
        attempt: u32,
        request: BuildRequest,
    ) -> Result<BuildAnswer> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let sized = |text: &str, most: usize| !text.is_empty() && text.len() <= most;
        if !sized(&request.place, PLACE_BYTES) || !sized(&request.digest, DIGEST_BYTES) {
            return Err(Error::invalid("place", "and digest are not empty, and not longer than 1024 and 128 bytes"));
        }
        let BuildRequest { place, digest, wait_ms, missing, renew } = request;
        let wait_ms = wait_ms.min(BUILD_WAIT_MS);
        let key = BuildKey { entity_id: agent.entity_id.clone(), place, digest };
        let builder = Builder { agent_id: agent.id, item_id: Self::parse_item(item)?, attempt };
        let deadline = tokio::time::Instant::now() + Duration::from_millis(wait_ms.into());
        loop {
            let woken = self.wakers.builds.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let now = self.now();
            let times = BuildTimes {
                now,
                expires_at: now.plus_ms(BUILD_LEASE_MS.into()),
                dead_before: self.builds_dead_before(now),
                waits_until: now.plus_ms(i64::from(BUILD_WAIT_MS) + WAIT_SLACK_MS),
            };
            let claim = self.store.build_claim(key.clone(), builder.clone(), BuildWish { missing, renew }, times).await;
            let owner = match claim.map_err(|e| fence(e, item, attempt))? {
                BuildClaim::Granted => return Ok(BuildAnswer::Granted { lease_ms: BUILD_LEASE_MS }),
                BuildClaim::Built => return Ok(BuildAnswer::Built),
                BuildClaim::Held(owner) => owner,
            };
            self.wakers.changed();
            // A claim writes, so one that cannot succeed only looks.
            let mut open = false;
            while !open {
                if tokio::time::Instant::now() >= deadline {
                    return Ok(BuildAnswer::Held { holder: self.build_holder(owner).await? });
                }
                let timer = (tokio::time::Instant::now() + self.poll_interval()).min(deadline);
                tokio::select! {
                    () = woken.as_mut() => woken.set(self.wakers.builds.notified()),
                    () = tokio::time::sleep_until(timer) => {}
                }
                woken.as_mut().enable();
                let now = self.now();
                open = self.store.build_open(&key, missing, now, self.builds_dead_before(now)).await?;
            }
        }
    }

    /// Returns the time before which leases have ended: an owner that could not reach the server while that was away is
    /// not dead.
    fn builds_dead_before(&self, now: Time) -> Time {
        if now.since_ms(self.started_at) < i64::from(BUILD_LEASE_MS) { Time(0) } else { now }
    }

    async fn build_holder(&self, owner: BuildOwner) -> Result<BuildHolder> {
        let BuildOwner { builder, started_at } = owner;
        let agent = self.store.agent_by_id(&builder.agent_id).await?;
        let (name, host) = agent.map(|a| (a.name, a.host)).unwrap_or_default();
        let (agent, item) = (builder.agent_id.to_string(), builder.item_id.to_string());
        Ok(BuildHolder { agent, name, host, item, since: started_at })
    }

    /// The attempt builds no more. Whoever waits goes on.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the agent is gone.
    pub async fn build_end(&self, actor: &Actor, agent: &str, item: &str, attempt: u32, end: &BuildEnd) -> Result<()> {
        let (_, agent) = self.agent_own(actor, agent).await?;
        let builder = Builder { agent_id: agent.id, item_id: Self::parse_item(item)?, attempt };
        let now = self.now();
        let had = self.store.build_end(builder, now, end.built.then(|| now.plus_ms(BUILT_MS))).await?;
        if had {
            metrics::counter!("lanza_builds_total", "built" => end.built.to_string()).increment(1);
        }
        self.wakers.build_ended();
        self.wakers.changed();
        Ok(())
    }

    /// Says whose build an item waits for, inside its phase `build`.
    pub(crate) async fn build_why(&self, item: &Item) -> Result<Option<Why>> {
        if item.state != StateName::Running || item.phase != Some(Phase::Build) {
            return Ok(None);
        }
        let Some((owner, digest)) = self.store.build_awaited(&item.id, item.attempt, self.now()).await? else {
            return Ok(None);
        };
        let holder = self.build_holder(owner).await?;
        let message = format!(
            "it waits for the build of {} by the agent {} on {} for item {}, begun at {}",
            digest.get(..12).unwrap_or(&digest),
            holder.name,
            holder.host,
            holder.item,
            holder.since
        );
        let rule = "build_in_progress".to_owned();
        Ok(Some(Why { position: None, ahead: 0, rule, message, estimated_start: None }))
    }

    /// Forgets builds and waits that are long over.
    pub(crate) async fn builds_forget(&self) -> Result<()> {
        let now = self.now();
        Ok(self.store.build_forget(now.plus_ms(-i64::from(BUILD_LEASE_MS)), now).await?)
    }
}
