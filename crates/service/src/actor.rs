//! Who asks.

use lanza_model::{Role, id::UserId};
use lanza_store::accounts::Entity;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Service};

/// The rights of a job's token: what its run needs and no more (contract, section 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobScope {
    /// Item.
    pub item: String,
    /// Attempt.
    pub attempt: u32,
    /// Queue: the token reads it and pushes to it.
    pub queue: String,
    /// Id of the queue's entity.
    pub queue_entity_id: String,
    /// Entity of the run: reads what the author may read.
    pub entity: String,
    /// Project of the run: the only one it writes to.
    pub project: String,
    /// Id of the item's job artifact.
    pub job_artifact: Option<String>,
    /// Id of the job's code artifact.
    pub code_artifact: Option<String>,
    /// Artifacts named by `overrides.artifacts`, as written.
    pub artifacts: Vec<String>,
}

/// An authenticated caller: a person, a service account, or a job's token (then `user` is the item's author).
#[derive(Debug, Clone)]
pub struct Actor {
    /// The user.
    pub user_id: UserId,
    /// The user's name.
    pub username: String,
    /// Whether the user administers the server. Never true for a job's token.
    pub admin: bool,
    /// Whether it is a service account.
    pub service: bool,
    /// Whether it came with a key, or a session of a key, that changes nothing.
    pub read_only: bool,
    /// The rights of a job's token.
    pub job: Option<JobScope>,
}

impl Actor {
    /// How the audit trail names the caller.
    pub fn trail_name(&self) -> String {
        match &self.job {
            Some(job) => format!("{} (item {})", self.username, job.item),
            None => self.username.clone(),
        }
    }

    /// Refuses job tokens where only people and service accounts may go.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_person(&self) -> Result<()> {
        if self.job.is_some() {
            return Err(Error::Forbidden("a job's token may not do this".into()));
        }
        Ok(())
    }

    /// Refuses who came with a key for reading. The doors ask before everything that changes something; what service
    /// functions ask again is what a request that reads could have them do.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn require_writable(&self) -> Result<()> {
        if self.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }
}

/// Refuses a role below the one that is needed.
///
/// # Errors
/// [`Error::Forbidden`].
pub(crate) fn require_role(entity: &Entity, have: Role, need: Role) -> Result<()> {
    if have < need {
        return Err(Error::Forbidden(format!("you are {have} of `{}`, and this needs the role {need}", entity.name)));
    }
    Ok(())
}

impl Service {
    /// Finds the entity `name` for a caller who needs at least `role` in it.
    ///
    /// A job's token gets [`Role::Viewer`] in its run's entity only (and its queue's); what it writes is checked by
    /// [`Service::project_writable`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or the caller is no member; [`Error::Forbidden`] when the role is too
    /// weak.
    pub async fn entity_for(&self, actor: &Actor, name: &str, role: Role) -> Result<Entity> {
        let (entity, have) = self.entity_seen(actor, name).await?;
        require_role(&entity, have, role)?;
        Ok(entity)
    }

    /// Finds the entity `name` and the caller's role in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or the caller is no member.
    pub async fn entity_seen(&self, actor: &Actor, name: &str) -> Result<(Entity, Role)> {
        let missing = || Error::not_found("entity", name);
        let entity = self.store.entity_by_name(name).await?.ok_or_else(missing)?;
        if let Some(job) = &actor.job
            && !job.entity.eq_ignore_ascii_case(&entity.name)
            && job.queue_entity_id != entity.id.as_str()
        {
            return Err(missing());
        }
        let role = self.store.member_role(&entity.id, &actor.user_id).await?;
        // An admin of the server reads and repairs everything.
        let role = role.or(actor.admin.then_some(Role::Admin)).ok_or_else(missing)?;
        let role = if actor.job.is_some() { Role::Viewer } else { role };
        Ok((entity, role))
    }

    /// Lists the entities that the caller belongs to, with the role in each; a job sees those of its run and its queue.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn entities_seen(&self, actor: &Actor) -> Result<Vec<(Entity, Role)>> {
        let mut found = self.store.entities_of_user(&actor.user_id).await?;
        if let Some(job) = &actor.job {
            found.retain(|(e, _)| job.entity.eq_ignore_ascii_case(&e.name) || job.queue_entity_id == e.id.as_str());
            for (_, role) in &mut found {
                *role = Role::Viewer;
            }
        }
        Ok(found)
    }

    /// Finds the entity of a project that the caller wants to write into (runs, files, artifacts).
    ///
    /// # Errors
    /// [`Error::NotFound`] when the entity is invisible; [`Error::Forbidden`] when the role is too weak or the caller is
    /// a job whose run lives in another project; [`Error::ReadOnly`] for a key that only reads, since older clients ask
    /// for links to upload by with a query.
    pub async fn project_writable(&self, actor: &Actor, entity: &str, project: &str) -> Result<Entity> {
        actor.require_writable()?;
        let (found, role) = self.entity_seen(actor, entity).await?;
        match &actor.job {
            Some(job) => {
                if !job.entity.eq_ignore_ascii_case(&found.name) || job.project.to_lowercase() != project.to_lowercase()
                {
                    return Err(Error::Forbidden(format!(
                        "this job's token writes into `{}/{}` only, not into `{}/{project}`",
                        job.entity, job.project, found.name
                    )));
                }
                // The author may have lost the right since.
                let author = self.store.member_role(&found.id, &actor.user_id).await?;
                if author.is_none_or(|r| r < Role::Member) {
                    return Err(Error::Forbidden(format!(
                        "`{}` may no longer write into `{}`",
                        actor.username, found.name
                    )));
                }
                Ok(found)
            }
            None => {
                require_role(&found, role, Role::Member)?;
                Ok(found)
            }
        }
    }
}
