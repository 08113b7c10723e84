//! What an agent is handed with an item: the lease, and the rights of the job's token.

use lanza_api::{agent::Lease, item::Replay};
use lanza_model::{Role, id::KeyId, item::StateName, name, policy::Policy};
use lanza_store::{
    accounts::Entity,
    items::{Item, NewToken},
};
use serde_json::{Map, Value};

use crate::{Actor, JobScope, Result, Service, accounts::secret_hash, actor::require_role, queues::effective};

/// How one value of `overrides.artifacts` names a version: a text, or the object that a run's config has for an artifact
/// that it used (`_type: artifactVersion`).
fn artifact_reference(value: &Value) -> Option<String> {
    let part = |key: &str| value.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => part("id").map(str::to_owned).or_else(|| {
            let version = part("version").unwrap_or("latest");
            part("name")
                .or_else(|| part("sequenceName"))
                .map(|n| if n.contains(':') { n.to_owned() } else { format!("{n}:{version}") })
        }),
        _ => None,
    }
}

/// The rights of an item's token.
fn job_scope(item: &Item) -> String {
    let overrides = Service::item_overrides(item);
    let artifacts = overrides
        .get("artifacts")
        .and_then(Value::as_object)
        .map(|o| o.values().filter_map(artifact_reference).collect())
        .unwrap_or_default();
    let scope = JobScope {
        item: item.id.to_string(),
        attempt: item.attempt,
        queue: item.queue_name.clone(),
        queue_entity_id: item.entity_id.to_string(),
        entity: item.run_entity.clone(),
        project: item.run_project.clone(),
        job_artifact: item.job_artifact.clone(),
        code_artifact: item.code_artifact.clone(),
        artifacts,
    };
    serde_json::to_string(&scope).expect("a scope serializes")
}

impl Service {
    /// Returns what an item's agent was handed, for a run by hand.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]; [`crate::Error::Forbidden`] for a role below member and for a job's token.
    pub async fn item_replay(&self, actor: &Actor, id: &str) -> Result<Replay> {
        actor.require_person()?;
        let (entity, role, item) = self.item_find(actor, id).await?;
        require_role(&entity, role, Role::Member)?;
        let view = self.item_view_short(&entity, &item);
        // What it ran in is there; to build that anew would show something else.
        let lease =
            Lease { stop: false, rebuild_asked_ms: None, ..self.lease_of(&entity, &item, String::new()).await? };
        Ok(Replay { lease, environment: view.environment, source: view.source })
    }
}

impl Service {
    /// Renders a lease; `token` is the secret of the job's key.
    pub(crate) async fn lease_of(&self, entity: &Entity, item: &Item, token: String) -> Result<Lease> {
        let mut lease = lease(entity, item, token);
        if item.spec.get("rebuild") == Some(&Value::Bool(true)) {
            lease.rebuild_asked_ms = Some(self.now().since_ms(item.created_at).try_into().unwrap_or(0));
        }
        if !lease.item_config.is_empty() {
            let queue = self.store.queue_by_id(&item.queue_id).await?;
            lease.submitter_fields = queue.and_then(|q| Policy::lenient(&q.policy).submitter_fields);
        }
        Ok(lease)
    }
}

/// Makes the token of an item's next attempt.
pub(crate) fn job_token(item: &Item) -> NewToken {
    let secret = name::new_secret();
    NewToken {
        id: KeyId::new(),
        hash: secret_hash(&secret),
        prefix: secret.chars().take(4).collect(),
        scope: job_scope(item),
        secret,
    }
}

fn lease(entity: &Entity, item: &Item, token: String) -> Lease {
    // In a personal space both layers are the owner's, and macros resolve in both.
    let (queue_config, item_config) = if entity.team {
        (item.queue_config.clone(), item.item_config.clone())
    } else {
        (effective(&item.queue_config, &item.item_config), Map::new())
    };
    let text = |key: &str| item.spec.get(key).and_then(Value::as_str).map(str::to_owned);
    let image = item
        .spec
        .get("docker")
        .and_then(|d| d.get("docker_image"))
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| text("image_uri"));
    let resumed = item.spec.get("_resume_count").and_then(Value::as_u64).unwrap_or(0) > 0;
    Lease {
        item: item.id.to_string(),
        attempt: item.attempt,
        entity: entity.name.clone(),
        queue: item.queue_name.clone(),
        target: item.target,
        author: item.author.clone(),
        run_entity: item.run_entity.clone(),
        run_project: item.run_project.clone(),
        run_id: item.planned_run.clone(),
        run_name: item.name.clone(),
        resume: item.attempt > 1 || resumed,
        sweep_id: text("sweep_id"),
        job: item.job.clone(),
        job_artifact: item.job_artifact.clone(),
        image,
        token,
        overrides: Service::item_overrides(item),
        queue_config,
        item_config,
        spec: item.spec.clone(),
        resources: item.resources.clone(),
        submitter_fields: None,
        stop: item.stop_requested_at.is_some() && item.state == StateName::Leased,
        rebuild_asked_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_artifact_is_named_by_text_or_by_what_a_runs_config_has_for_it() {
        for (value, named) in [
            (json!("ana/digits/data:v3"), Some("ana/digits/data:v3")),
            (json!({"_type": "artifactVersion", "id": "QXJ0", "version": "v1", "sequenceName": "d"}), Some("QXJ0")),
            (json!({"id": "", "version": "v1", "sequenceName": "data"}), Some("data:v1")),
            (json!({"name": "data:best"}), Some("data:best")),
            (json!({"_type": "artifactVersion"}), None),
            (json!(7), None),
        ] {
            assert_eq!(artifact_reference(&value).as_deref(), named, "{value}");
        }
    }
}
