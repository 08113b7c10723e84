//! Beginning a version: type and collection on the fly, and the same content only once.

use lanza_model::{
    clock::Time,
    id::{ArtifactId, ArtifactTypeId, CollectionId, ProjectId},
};

use super::{
    Artifact, Relation, State, artifact, artifact_select, commit::alias_put_in_tx, lineage::relation_put_in_tx,
};
use crate::{Result, Store, Tx, lookups::Area, row::Columns};

/// What a client says about a new version.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Project.
    pub project_id: ProjectId,
    /// Type; made when it is new.
    pub type_name: String,
    /// Collection; made when it is new.
    pub collection: String,
    /// Digest of the content.
    pub digest: String,
    /// `MANIFEST_MD5` or `MANIFEST_XXH128`.
    pub digest_algorithm: String,
    /// Aliases, `vN` left out.
    pub aliases: Vec<String>,
    /// Description; none leaves that of a repeat.
    pub description: Option<String>,
    /// Metadata, JSON; none leaves that of a repeat.
    pub metadata: Option<String>,
    /// History step of the run.
    pub history_step: Option<i64>,
    /// Time to live in seconds.
    pub ttl_seconds: Option<i64>,
    /// Tags to add.
    pub tags: Vec<String>,
    /// The client's own id of the version.
    pub client_id: Option<String>,
    /// The client's own id of the collection.
    pub sequence_client_id: Option<String>,
    /// Whether equal content is the same version.
    pub deduplicate: bool,
    /// Row id of the run.
    pub run: Option<String>,
    /// What it is to that run.
    pub relation: Relation,
    /// Id and name of the author.
    pub author: (String, String),
}

/// How the beginning of a version went.
#[derive(Debug, Clone)]
pub enum ArtifactCreation {
    /// There is such a version now.
    Done {
        /// It, new or found.
        artifact: Box<Artifact>,
        /// The newest committed version of the collection before this.
        latest: Option<Box<Artifact>>,
        /// Whether it is new.
        inserted: bool,
    },
    /// The collection exists and has this other type.
    OtherType(String),
    /// The name belongs to a portfolio.
    Portfolio,
}

impl Store {
    /// Begins a version, or finds the one with the same content, also one that is still pending: clients announce an
    /// artifact twice and write the first id into other files.
    pub async fn artifact_create(&self, new: NewArtifact, now: Time) -> Result<ArtifactCreation> {
        self.write_in(Area::Beside, move |tx| {
            let new = new.clone();
            Box::pin(async move { create_in_tx(tx, &new, now).await })
        })
        .await
    }

    /// Makes sure that a type exists.
    pub async fn artifact_type_ensure(
        &self,
        project: &ProjectId,
        name: &str,
        description: Option<String>,
        now: Time,
    ) -> Result<()> {
        let (project, name) = (project.clone(), name.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (project, name, description) = (project.clone(), name.clone(), description.clone());
            Box::pin(async move {
                let id = type_ensure_in_tx(tx, &project, &name, now).await?;
                if description.is_some() {
                    sqlx::query("UPDATE artifact_types SET description = $2 WHERE id = $1")
                        .bind(id)
                        .bind(description)
                        .execute(tx.connection())
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }
}

pub(super) async fn type_ensure_in_tx(tx: &mut Tx, project: &ProjectId, name: &str, now: Time) -> Result<String> {
    sqlx::query(
        "INSERT INTO artifact_types (id, project_id, name, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (project_id, name) DO NOTHING",
    )
    .bind(ArtifactTypeId::new().as_str())
    .bind(project.as_str())
    .bind(name)
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    sqlx::query("SELECT id FROM artifact_types WHERE project_id = $1 AND name = $2")
        .bind(project.as_str())
        .bind(name)
        .fetch_one(tx.connection())
        .await?
        .text("id")
}

/// Finds or makes a collection; returns its id, its type's name, and whether it is a portfolio.
pub(super) async fn collection_ensure_in_tx(
    tx: &mut Tx,
    project: &ProjectId,
    (name, type_name): (&str, &str),
    portfolio: bool,
    now: Time,
) -> Result<(String, String, bool)> {
    let found = "SELECT c.id, t.name AS type_name, c.portfolio FROM artifact_collections c \
                 JOIN artifact_types t ON t.id = c.type_id WHERE c.project_id = $1 AND c.name_key = $2";
    let row = sqlx::query(found).bind(project.as_str()).bind(name).fetch_optional(tx.connection()).await?;
    if let Some(row) = row {
        return Ok((row.text("id")?, row.text("type_name")?, row.flag("portfolio")?));
    }
    let type_id = type_ensure_in_tx(tx, project, type_name, now).await?;
    let id = CollectionId::new();
    sqlx::query(
        "INSERT INTO artifact_collections (id, project_id, type_id, name, name_key, portfolio, deleted, next_version, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $4, $5, 0, 0, $6, $6)",
    )
    .bind(id.as_str())
    .bind(project.as_str())
    .bind(type_id)
    .bind(name)
    .bind(i16::from(portfolio))
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    Ok((id.to_string(), type_name.to_owned(), portfolio))
}

async fn create_in_tx(tx: &mut Tx, new: &NewArtifact, now: Time) -> Result<ArtifactCreation> {
    let (collection_id, type_name, portfolio) =
        collection_ensure_in_tx(tx, &new.project_id, (&new.collection, &new.type_name), false, now).await?;
    if portfolio {
        return Ok(ArtifactCreation::Portfolio);
    }
    if type_name != new.type_name {
        return Ok(ArtifactCreation::OtherType(type_name));
    }
    let latest = sqlx::query(sqlx::AssertSqlSafe(artifact_select(
        "WHERE a.collection_id = $1 AND a.state = 'committed' ORDER BY a.version DESC LIMIT 1",
    )))
    .bind(&collection_id)
    .fetch_optional(tx.connection())
    .await?;
    let latest = latest.as_ref().map(artifact).transpose()?.map(Box::new);
    let known = if new.deduplicate {
        sqlx::query(
            "SELECT id, state FROM artifacts WHERE collection_id = $1 AND digest = $2 \
             AND state IN ('committed', 'pending') ORDER BY state, created_at LIMIT 1",
        )
        .bind(&collection_id)
        .bind(&new.digest)
        .fetch_optional(tx.connection())
        .await?
    } else {
        None
    };
    let inserted = known.is_none();
    let id = if let Some(row) = known {
        let id = row.text("id")?;
        repeat_in_tx(tx, &collection_id, &id, State::read(&row.text("state")?), new, now).await?;
        id
    } else {
        insert_in_tx(tx, &collection_id, new, now).await?
    };
    for tag in &new.tags {
        super::change::tag_put_in_tx(tx, &id, tag).await?;
    }
    if let Some(run) = &new.run {
        relation_put_in_tx(tx, &id, run, new.relation, None, now).await?;
    }
    client_ids_put_in_tx(tx, &id, &collection_id, new).await?;
    let row = sqlx::query(sqlx::AssertSqlSafe(artifact_select("WHERE a.id = $1")))
        .bind(&id)
        .fetch_one(tx.connection())
        .await?;
    Ok(ArtifactCreation::Done { artifact: Box::new(artifact(&row)?), latest, inserted })
}

async fn insert_in_tx(tx: &mut Tx, collection_id: &str, new: &NewArtifact, now: Time) -> Result<String> {
    let id = ArtifactId::new();
    sqlx::query(
        "INSERT INTO artifacts (id, collection_id, digest, digest_algorithm, state, description, metadata, history_step, \
         ttl_seconds, size_bytes, file_count, pending_aliases, run_id, author_id, author, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, 0, 0, $9, $10, $11, $12, $13, $13)",
    )
    .bind(id.as_str())
    .bind(collection_id)
    .bind(&new.digest)
    .bind(&new.digest_algorithm)
    .bind(new.description.as_deref())
    .bind(new.metadata.as_deref())
    .bind(new.history_step)
    .bind(new.ttl_seconds)
    .bind(serde_json::to_string(&new.aliases).expect("a list of texts is JSON"))
    .bind(new.run.as_deref())
    .bind(&new.author.0)
    .bind(&new.author.1)
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    Ok(id.to_string())
}

/// The same content again: what is said anew counts, what is left out stays.
async fn repeat_in_tx(
    tx: &mut Tx,
    collection_id: &str,
    id: &str,
    state: State,
    new: &NewArtifact,
    now: Time,
) -> Result<()> {
    sqlx::query(
        "UPDATE artifacts SET description = COALESCE($2, description), metadata = COALESCE($3, metadata), \
         history_step = COALESCE(history_step, $4), ttl_seconds = COALESCE($5, ttl_seconds), \
         run_id = COALESCE(run_id, $6), updated_at = $7 WHERE id = $1",
    )
    .bind(id)
    .bind(new.description.as_deref())
    .bind(new.metadata.as_deref())
    .bind(new.history_step)
    .bind(new.ttl_seconds)
    .bind(new.run.as_deref())
    .bind(now.0)
    .execute(tx.connection())
    .await?;
    if state == State::Committed {
        for alias in &new.aliases {
            alias_put_in_tx(tx, collection_id, alias, id).await?;
        }
        return Ok(());
    }
    let row =
        sqlx::query("SELECT pending_aliases FROM artifacts WHERE id = $1").bind(id).fetch_one(tx.connection()).await?;
    let mut aliases: Vec<String> = row.json("pending_aliases")?;
    for alias in &new.aliases {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    sqlx::query("UPDATE artifacts SET pending_aliases = $2 WHERE id = $1")
        .bind(id)
        .bind(serde_json::to_string(&aliases).expect("a list of texts is JSON"))
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn client_ids_put_in_tx(tx: &mut Tx, id: &str, collection_id: &str, new: &NewArtifact) -> Result<()> {
    // The first owner of a client's id keeps it: they are random, a second one is a repeat or a forgery.
    if let Some(client) = &new.client_id {
        sqlx::query(
            "INSERT INTO artifact_client_ids (client_id, artifact_id) VALUES ($1, $2) ON CONFLICT (client_id) DO NOTHING",
        )
        .bind(client)
        .bind(id)
        .execute(tx.connection())
        .await?;
    }
    if let Some(client) = &new.sequence_client_id {
        sqlx::query(
            "INSERT INTO artifact_client_ids (client_id, collection_id) VALUES ($1, $2) \
             ON CONFLICT (client_id) DO NOTHING",
        )
        .bind(client)
        .bind(collection_id)
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}
