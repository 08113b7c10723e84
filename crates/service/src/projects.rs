//! Projects.

use lanza_model::{Role, name, name::LAUNCH_PROJECT};
use lanza_store::{
    accounts::Entity,
    projects::{NewProject, Project},
};

use crate::{Actor, Error, Result, Service};

/// The project of runs that name none.
pub const DEFAULT_PROJECT: &str = "uncategorized";

/// What the name of a project stands for.
#[derive(Debug)]
pub enum Named {
    /// A project that is stored.
    Project(Project),
    /// The launch project of an entity, where its queues are. Every entity has it, also while nothing is stored in it.
    LaunchProject(Entity),
}

pub(crate) fn project_missing(name: &str) -> Error {
    Error::not_found("project", name)
}

impl Service {
    /// Finds a project; the caller's default entity is meant when none is named.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or is not visible.
    pub async fn project_find(&self, actor: &Actor, entity: Option<&str>, project: &str) -> Result<Project> {
        let entity = self.entity_or_default(actor, entity).await?;
        let (entity, _) = self.entity_seen(actor, &entity).await?;
        self.store.project_by_name(&entity.id, project).await?.ok_or_else(|| project_missing(project))
    }

    /// Finds what the name of a project stands for, for callers that ask for what is below it; none when the caller sees
    /// nothing there. A job also finds the projects of its own job and inputs, of which it sees these alone.
    ///
    /// # Errors
    /// When the store fails, or the caller belongs to no entity and names none.
    pub async fn project_named(&self, actor: &Actor, entity: Option<&str>, project: &str) -> Result<Option<Named>> {
        match self.project_find(actor, entity, project).await {
            Ok(found) => return Ok(Some(Named::Project(found))),
            Err(Error::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
        let entity = self.entity_or_default(actor, entity).await?;
        if actor.job.is_some()
            && let Some(id) = self.artifact_project(actor, &entity, project).await?
            && let Some(found) = self.store.project_by_id(&id).await?
        {
            return Ok(Some(Named::Project(found)));
        }
        if project != LAUNCH_PROJECT {
            return Ok(None);
        }
        match self.entity_seen(actor, &entity).await {
            Ok((entity, _)) => Ok(Some(Named::LaunchProject(entity))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Finds a project by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or is not visible.
    pub async fn project_find_by_id(&self, actor: &Actor, id: &str) -> Result<Project> {
        let parsed = id.parse().map_err(|_| project_missing(id))?;
        let project = self.store.project_by_id(&parsed).await?.ok_or_else(|| project_missing(id))?;
        match self.entity_seen(actor, &project.entity).await {
            Ok(_) => Ok(project),
            Err(Error::NotFound { .. }) => Err(project_missing(id)),
            Err(e) => Err(e),
        }
    }

    /// Returns `entity`, or the caller's default one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller belongs to none.
    pub async fn entity_or_default(&self, actor: &Actor, entity: Option<&str>) -> Result<String> {
        match entity.filter(|e| !e.is_empty()) {
            Some(entity) => Ok(entity.to_owned()),
            None => self.default_entity(actor).await,
        }
    }

    /// Lists the projects of an entity by name, after the name `after`. The launch project is hidden.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the entity is not visible.
    pub async fn project_list(&self, actor: &Actor, entity: &str, after: &str, limit: i64) -> Result<Vec<Project>> {
        let entity = self.entity_for(actor, entity, Role::Viewer).await?;
        Ok(self.store.project_list(&entity.id, LAUNCH_PROJECT, after, limit).await?)
    }

    /// Finds a project, making it first if there is none; sets the description if one is given. Returns whether it was made.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not legal, [`Error::Forbidden`], [`Error::NotFound`] for the entity.
    pub async fn project_ensure(
        &self,
        actor: &Actor,
        entity: Option<&str>,
        project: &str,
        description: Option<&str>,
    ) -> Result<(Project, bool)> {
        let entity = self.entity_or_default(actor, entity).await?;
        let entity = self.project_writable(actor, &entity, project).await?;
        name::check_project(project).map_err(|e| Error::invalid("project", e.0))?;
        let new = self.project_new(actor, &entity, project, description);
        let (mut found, made) = self.store.project_ensure(new).await?;
        if let Some(description) = description
            && found.description != description
        {
            self.store.project_describe(&found.id, description).await?;
            description.clone_into(&mut found.description);
        }
        Ok((found, made))
    }

    pub(crate) fn project_new(
        &self,
        actor: &Actor,
        entity: &Entity,
        project: &str,
        description: Option<&str>,
    ) -> NewProject {
        NewProject {
            entity_id: entity.id.clone(),
            name: project.to_owned(),
            description: description.unwrap_or_default().to_owned(),
            author: actor.username.clone(),
            created_at: self.now(),
        }
    }

    /// Deletes a project with its runs, jobs and artifacts.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for others than admins of the entity; [`Error::NotFound`].
    pub async fn project_delete(&self, actor: &Actor, entity: &str, project: &str) -> Result<()> {
        actor.require_person()?;
        let entity = self.entity_for(actor, entity, Role::Admin).await?;
        let found = self.store.project_by_name(&entity.id, project).await?.ok_or_else(|| project_missing(project))?;
        self.store.project_delete(&found.id).await?;
        let object = format!("{}/{}", entity.name, found.name);
        self.store.event_insert(self.now(), &entity.id, &actor.trail_name(), "deleted", "project", &object).await?;
        let by = format!("{}, who deleted its project", actor.username);
        self.items_project_deleted(&entity.name, &found, &by).await?;
        self.wakers.changed();
        Ok(())
    }
}
