//! What a job may launch: it hands on what it reaches itself, and no more. Its item's author reaches more, and the new
//! item's token would be the author's, too.

use lanza_model::spec::{JobReference, LaunchSpec};

use crate::{Actor, Error, JobScope, Result, Service, leases::artifact_reference};

impl Service {
    /// Whether the submitter's layer of a launch may count as that of a personal space's owner: a job passes on the one
    /// that it was given, and is a submitter like others with every other.
    pub(super) async fn layer_is_owners(&self, actor: &Actor, spec: &LaunchSpec) -> Result<bool> {
        let Some(job) = &actor.job else { return Ok(true) };
        let Ok(id) = job.item.parse() else { return Ok(false) };
        Ok(self.store.item_by_id(&id).await?.is_some_and(|own| own.item_config == spec.resource_args))
    }

    /// Refuses to let a job name inputs for a launch that its own token does not read.
    pub(super) async fn handed_on_check(&self, actor: &Actor, spec: &LaunchSpec) -> Result<()> {
        let Some(scope) = &actor.job else { return Ok(()) };
        for (key, value) in &spec.overrides.artifacts {
            let Some(written) = artifact_reference(value) else { continue };
            if !self.is_in_reach(actor, scope, &written).await? {
                return Err(Error::Forbidden(format!(
                    "this job's token does not read the artifact `{written}`, so it cannot launch with it \
                     (overrides.artifacts.{key})"
                )));
            }
        }
        Ok(())
    }

    async fn is_in_reach(&self, actor: &Actor, scope: &JobScope, written: &str) -> Result<bool> {
        if let Some(found) = self.artifact_written(written, scope).await? {
            return self.artifact_readable(actor, &found).await;
        }
        // What is yet to be made elsewhere would be read by the launched job as soon as it is there.
        let text = written.strip_prefix("wandb-artifact://").unwrap_or(written);
        let entity = JobReference::parse(text).ok().and_then(|r| r.entity);
        Ok(entity.is_none_or(|e| e.eq_ignore_ascii_case(&scope.entity)))
    }
}
