//! Projects: folders of runs, jobs and artifacts.

use lanza_model::{
    clock::Time,
    id::{EntityId, ProjectId},
};
use sqlx::any::AnyRow;

use crate::{Result, Store, Tx, row::Columns};

/// A project with the name of its entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// A small number, unique on the server.
    pub number: i64,
    /// Owner.
    pub entity_id: EntityId,
    /// Name of the owner.
    pub entity: String,
    /// Name, in the spelling that was used first.
    pub name: String,
    /// What somebody wrote about it.
    pub description: String,
    /// Name of the user who made it.
    pub author: String,
    /// When it was made.
    pub created_at: Time,
}

/// What a new project is made of.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Owner.
    pub entity_id: EntityId,
    /// Name.
    pub name: String,
    /// What somebody wrote about it.
    pub description: String,
    /// Name of the user who makes it.
    pub author: String,
    /// When.
    pub created_at: Time,
}

const PROJECT: &str = "SELECT p.id, p.number, p.entity_id, e.name AS entity, p.name, p.description, p.author, p.created_at \
    FROM projects p JOIN entities e ON e.id = p.entity_id";

fn project(row: &AnyRow) -> Result<Project> {
    Ok(Project {
        id: row.parsed("id")?,
        number: row.int("number")?,
        entity_id: row.parsed("entity_id")?,
        entity: row.text("entity")?,
        name: row.text("name")?,
        description: row.text("description")?,
        author: row.text("author")?,
        created_at: row.time("created_at")?,
    })
}

fn select(tail: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{PROJECT} {tail}"))
}

impl Store {
    /// Finds a project of an entity, whatever its case.
    pub async fn project_by_name(&self, entity: &EntityId, name: &str) -> Result<Option<Project>> {
        let row = sqlx::query(select("WHERE p.entity_id = $1 AND p.name_key = $2"))
            .bind(entity.as_str())
            .bind(name.to_lowercase())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(project).transpose()
    }

    /// Finds a project by id.
    pub async fn project_by_id(&self, id: &ProjectId) -> Result<Option<Project>> {
        let row = sqlx::query(select("WHERE p.id = $1")).bind(id.as_str()).fetch_optional(self.read_pool()).await?;
        row.as_ref().map(project).transpose()
    }

    /// Lists the projects of an entity by name, after the name `after`; `hidden` is left out.
    pub async fn project_list(&self, entity: &EntityId, hidden: &str, after: &str, limit: i64) -> Result<Vec<Project>> {
        let rows = sqlx::query(select(
            "WHERE p.entity_id = $1 AND p.name_key > $2 AND p.name_key <> $3 ORDER BY p.name_key LIMIT $4",
        ))
        .bind(entity.as_str())
        .bind(after.to_lowercase())
        .bind(hidden)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(project).collect()
    }

    /// Finds a project, making it first if there is none. Returns it and whether it was made.
    pub async fn project_ensure(&self, new: NewProject) -> Result<(Project, bool)> {
        self.write(move |tx| {
            let new = new.clone();
            Box::pin(async move { project_ensure_in_tx(tx, &new).await })
        })
        .await
    }

    /// Changes a project's description.
    pub async fn project_describe(&self, id: &ProjectId, description: &str) -> Result<()> {
        let (id, description) = (id.clone(), description.to_owned());
        self.write(move |tx| {
            let (id, description) = (id.clone(), description.clone());
            Box::pin(async move {
                sqlx::query("UPDATE projects SET description = $2 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(description)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a project with all that it holds. Returns whether there was one.
    pub async fn project_delete(&self, id: &ProjectId) -> Result<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM projects WHERE id = $1")
                    .bind(id.as_str())
                    .execute(tx.connection())
                    .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }
}

const BY_NAME: &str = "WHERE p.entity_id = $1 AND p.name_key = $2";

pub(crate) async fn project_find_in_tx(tx: &mut Tx, entity: &EntityId, name: &str) -> Result<Option<Project>> {
    let row = sqlx::query(select(BY_NAME))
        .bind(entity.as_str())
        .bind(name.to_lowercase())
        .fetch_optional(tx.connection())
        .await?;
    row.as_ref().map(project).transpose()
}

pub(crate) async fn project_ensure_in_tx(tx: &mut Tx, new: &NewProject) -> Result<(Project, bool)> {
    if let Some(found) = project_find_in_tx(tx, &new.entity_id, &new.name).await? {
        return Ok((found, false));
    }
    let folded = new.name.to_lowercase();
    sqlx::query(
        "INSERT INTO projects (id, number, entity_id, name, name_key, description, author, runs_made, created_at) \
         SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6, 0, $7 FROM projects",
    )
    .bind(ProjectId::new().as_str())
    .bind(new.entity_id.as_str())
    .bind(&new.name)
    .bind(&folded)
    .bind(&new.description)
    .bind(&new.author)
    .bind(new.created_at.0)
    .execute(tx.connection())
    .await?;
    let row =
        sqlx::query(select(BY_NAME)).bind(new.entity_id.as_str()).bind(&folded).fetch_one(tx.connection()).await?;
    Ok((project(&row)?, true))
}
