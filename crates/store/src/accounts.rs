//! Users, entities, memberships, keys, browser sessions, and the server's own settings.

use lanza_model::{
    Role,
    clock::Time,
    id::{EntityId, KeyId, SessionId, UserId},
};
use sqlx::any::AnyRow;

use crate::{
    Error, Result, Store, Tx,
    lookups::Area,
    row::{Columns, batches, rows_of},
};

/// A user or service account.
#[derive(Debug, Clone)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Name, in the spelling that was used first.
    pub username: String,
    /// Argon2 hash, if a password is set.
    pub password_hash: Option<String>,
    /// Whether the user administers the server.
    pub admin: bool,
    /// Whether it is a service account.
    pub service: bool,
    /// When it was made.
    pub created_at: Time,
}

/// A personal space or a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Id.
    pub id: EntityId,
    /// Name, in the spelling that was used first.
    pub name: String,
    /// Whether it is a team.
    pub team: bool,
}

/// An API key or job token, without its secret.
#[derive(Debug, Clone)]
pub struct Key {
    /// Id.
    pub id: KeyId,
    /// Owner.
    pub user_id: UserId,
    /// First letters of the secret.
    pub prefix: String,
    /// What it is for.
    pub description: String,
    /// JSON of a job's rights, for job tokens.
    pub scope: Option<String>,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Option<Time>,
}

/// What is needed to store a key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Id.
    pub id: KeyId,
    /// Owner.
    pub user_id: UserId,
    /// Hash of the secret.
    pub hash: String,
    /// First letters of the secret.
    pub prefix: String,
    /// What it is for.
    pub description: String,
    /// JSON of a job's rights.
    pub scope: Option<String>,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// When it is made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Option<Time>,
}

fn user(row: &AnyRow) -> Result<User> {
    Ok(User {
        id: row.parsed("id")?,
        username: row.text("username")?,
        password_hash: row.maybe_text("password_hash")?,
        admin: row.flag("admin")?,
        service: row.flag("service")?,
        created_at: row.time("created_at")?,
    })
}

pub(crate) fn entity(row: &AnyRow) -> Result<Entity> {
    Ok(Entity { id: row.parsed("id")?, name: row.text("name")?, team: row.text("kind")? == "team" })
}

fn key(row: &AnyRow) -> Result<Key> {
    Ok(Key {
        id: row.parsed("id")?,
        user_id: row.parsed("user_id")?,
        prefix: row.text("prefix")?,
        description: row.text("description")?,
        scope: row.maybe_text("scope")?,
        read_only: row.flag("read_only")?,
        created_at: row.time("created_at")?,
        expires_at: row.maybe_time("expires_at")?,
    })
}

const USER: &str = "id, username, password_hash, admin, service, created_at";

impl Store {
    /// Adds a user with a personal entity of the same name (service accounts have none) and a first key.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name or the key is taken.
    pub async fn user_insert(&self, user: User, team: Option<EntityId>, key: NewKey) -> Result<()> {
        self.write(move |tx| {
            let (user, team, key) = (user.clone(), team.clone(), key.clone());
            Box::pin(async move {
                let folded = user.username.to_lowercase();
                sqlx::query(
                    "INSERT INTO users (id, username, username_key, password_hash, admin, service, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(user.id.as_str())
                .bind(&user.username)
                .bind(&folded)
                .bind(user.password_hash.as_deref())
                .bind(i16::from(user.admin))
                .bind(i16::from(user.service))
                .bind(user.created_at.0)
                .execute(tx.connection())
                .await?;
                let entity_id = match team {
                    Some(team) => team,
                    None => entity_insert_in_tx(tx, &user.username, false, user.created_at).await?,
                };
                let role = if user.service { Role::Member } else { Role::Admin };
                member_put_in_tx(tx, &entity_id, &user.id, role).await?;
                keys_insert_in_tx(tx, std::slice::from_ref(&key)).await
            })
        })
        .await
    }

    /// Finds a user by name, whatever its case.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<User>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {USER} FROM users WHERE username_key = $1")))
            .bind(username.to_lowercase())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(user).transpose()
    }

    /// Finds a user by id.
    pub async fn user_by_id(&self, id: &UserId) -> Result<Option<User>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {USER} FROM users WHERE id = $1")))
            .bind(id.as_str())
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(user).transpose()
    }

    /// Lists users by name, after `after`.
    pub async fn user_list(&self, after: &str, limit: i64) -> Result<Vec<User>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {USER} FROM users WHERE username_key > $1 ORDER BY username_key LIMIT $2"
        )))
        .bind(after.to_lowercase())
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(user).collect()
    }

    /// Counts the users that are people.
    pub async fn user_count(&self) -> Result<i64> {
        sqlx::query("SELECT COUNT(*) AS n FROM users WHERE service = 0").fetch_one(self.read_pool()).await?.int("n")
    }

    /// Sets or clears a user's password hash.
    pub async fn user_set_password(&self, id: &UserId, hash: Option<String>) -> Result<()> {
        let id = id.clone();
        self.write(move |tx| {
            let (id, hash) = (id.clone(), hash.clone());
            Box::pin(async move {
                sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(hash)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a user with keys, memberships, and the personal entity with all that it owns; what the user has waiting in
    /// teams' queues is stopped for `reason`. Returns whether there was one.
    pub async fn user_delete(
        &self,
        id: &UserId,
        personal: Option<EntityId>,
        reason: &lanza_model::Reason,
        now: Time,
    ) -> Result<bool> {
        let (id, reason) = (id.clone(), serde_json::to_string(reason).expect("a reason serializes"));
        self.write(move |tx| {
            let (id, personal, reason) = (id.clone(), personal.clone(), reason.clone());
            Box::pin(async move {
                // Nobody may run them any more: their token would be the deleted user's.
                crate::members::stop_waiting_in_tx(tx, &id, None, &reason, now).await?;
                if let Some(entity) = personal {
                    sqlx::query("DELETE FROM entities WHERE id = $1")
                        .bind(entity.as_str())
                        .execute(tx.connection())
                        .await?;
                }
                let done =
                    sqlx::query("DELETE FROM users WHERE id = $1").bind(id.as_str()).execute(tx.connection()).await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Adds a team.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken.
    pub async fn team_insert(&self, name: &str, now: Time) -> Result<EntityId> {
        let name = name.to_owned();
        self.write(move |tx| {
            let name = name.clone();
            Box::pin(async move { entity_insert_in_tx(tx, &name, true, now).await })
        })
        .await
    }

    /// Finds an entity by name, whatever its case.
    pub async fn entity_by_name(&self, name: &str) -> Result<Option<Entity>> {
        let key = name.to_lowercase();
        self.look_up((Area::Any, |l| &l.entity_by_name), key.clone(), async {
            let row = sqlx::query("SELECT id, name, kind FROM entities WHERE name_key = $1")
                .bind(key)
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(entity).transpose()
        })
        .await
    }

    /// Finds an entity by id.
    pub async fn entity_by_id(&self, id: &EntityId) -> Result<Option<Entity>> {
        self.look_up((Area::Any, |l| &l.entity_by_id), id.clone(), async {
            let row = sqlx::query("SELECT id, name, kind FROM entities WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(entity).transpose()
        })
        .await
    }

    /// Lists the entities of a user with the user's role, personal ones first, then by name.
    pub async fn entities_of_user(&self, user: &UserId) -> Result<Vec<(Entity, Role)>> {
        let rows = sqlx::query(
            "SELECT e.id, e.name, e.kind, m.role FROM members m JOIN entities e ON e.id = m.entity_id \
             WHERE m.user_id = $1 ORDER BY e.kind DESC, e.name_key",
        )
        .bind(user.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((entity(r)?, role(r)?))).collect()
    }

    /// Returns a user's role in an entity.
    pub async fn member_role(&self, entity: &EntityId, user: &UserId) -> Result<Option<Role>> {
        self.look_up((Area::Any, |l| &l.member_role), (entity.clone(), user.clone()), async {
            let row = sqlx::query("SELECT role FROM members WHERE entity_id = $1 AND user_id = $2")
                .bind(entity.as_str())
                .bind(user.as_str())
                .fetch_optional(self.read_pool())
                .await?;
            row.as_ref().map(role).transpose()
        })
        .await
    }

    /// Adds a member or changes its role. Returns false, and changes nothing, where the entity would be left without an
    /// admin.
    pub async fn member_put(&self, entity: &EntityId, user: &UserId, role: Role) -> Result<bool> {
        let (entity, user) = (entity.clone(), user.clone());
        self.write(move |tx| {
            let (entity, user) = (entity.clone(), user.clone());
            Box::pin(async move { member_put_in_tx(tx, &entity, &user, role).await })
        })
        .await
    }

    /// Lists the members of an entity by name.
    pub async fn member_list(&self, entity: &EntityId) -> Result<Vec<(User, Role)>> {
        let rows = sqlx::query(
            "SELECT u.id, u.username, u.password_hash, u.admin, u.service, u.created_at, m.role \
             FROM members m JOIN users u ON u.id = m.user_id WHERE m.entity_id = $1 ORDER BY u.username_key",
        )
        .bind(entity.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(|r| Ok((user(r)?, role(r)?))).collect()
    }

    /// Returns how many bytes of files an entity keeps: the content of its artifacts, each once, and the files of its
    /// runs.
    pub async fn entity_bytes(&self, entity: &EntityId) -> Result<i64> {
        // The engines disagree about the type of a sum, so it is cast.
        let row = sqlx::query(
            "SELECT CAST(COALESCE((SELECT SUM(size_bytes) FROM entity_blobs WHERE entity_id = $1), 0) + \
             COALESCE((SELECT SUM(f.size_bytes) FROM projects p JOIN runs r ON r.project_id = p.id \
             JOIN run_files f ON f.run_id = r.id WHERE p.entity_id = $1), 0) AS BIGINT) AS bytes",
        )
        .bind(entity.as_str())
        .fetch_one(self.read_pool())
        .await?;
        row.int("bytes")
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::Exists`] when the same secret is registered already.
    pub async fn key_insert(&self, key: NewKey) -> Result<()> {
        self.write(move |tx| {
            let key = key.clone();
            Box::pin(async move { keys_insert_in_tx(tx, std::slice::from_ref(&key)).await })
        })
        .await
    }

    /// Finds a key and its owner by the hash of its secret; expired keys are not found.
    pub async fn key_by_hash(&self, hash: &str, now: Time) -> Result<Option<(Key, User)>> {
        let row = sqlx::query(
            "SELECT k.id, k.user_id, k.prefix, k.description, k.scope, k.read_only, k.created_at, k.expires_at, \
             u.id AS owner, u.username, u.password_hash, u.admin, u.service, u.created_at AS owner_since \
             FROM api_keys k JOIN users u ON u.id = k.user_id \
             WHERE k.hash = $1 AND (k.expires_at IS NULL OR k.expires_at > $2)",
        )
        .bind(hash)
        .bind(now.0)
        .fetch_optional(self.read_pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let owner = User {
            id: row.parsed("owner")?,
            username: row.text("username")?,
            password_hash: row.maybe_text("password_hash")?,
            admin: row.flag("admin")?,
            service: row.flag("service")?,
            created_at: row.time("owner_since")?,
        };
        Ok(Some((key(&row)?, owner)))
    }

    /// Lists a user's own keys, job tokens left out, oldest first.
    pub async fn key_list(&self, user: &UserId) -> Result<Vec<Key>> {
        let rows = sqlx::query(
            "SELECT id, user_id, prefix, description, scope, read_only, created_at, expires_at FROM api_keys \
             WHERE user_id = $1 AND scope IS NULL ORDER BY id",
        )
        .bind(user.as_str())
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(key).collect()
    }

    /// Deletes a key of a user. Returns whether there was one.
    pub async fn key_delete(&self, user: &UserId, id: &KeyId) -> Result<bool> {
        let (user, id) = (user.clone(), id.clone());
        self.write(move |tx| {
            let (user, id) = (user.clone(), id.clone());
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM api_keys WHERE user_id = $1 AND id = $2")
                    .bind(user.as_str())
                    .bind(id.as_str())
                    .execute(tx.connection())
                    .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Deletes keys and sessions that ended before `now`. A job's token whose run posted after `posted_since` is given
    /// until `extended`.
    pub async fn expired_delete(&self, now: Time, posted_since: Time, extended: Time) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE api_keys SET expires_at = $2 WHERE scope IS NOT NULL AND expires_at < $2 AND id IN \
                     (SELECT a.token_id FROM attempts a JOIN runs r ON r.trace_id = a.item_id \
                     WHERE r.heartbeat_at > $1 AND r.state = 'running')",
                )
                .bind(posted_since.0)
                .bind(extended.0)
                .execute(tx.connection())
                .await?;
                for statement in
                    ["DELETE FROM api_keys WHERE expires_at < $1", "DELETE FROM sessions WHERE expires_at < $1"]
                {
                    sqlx::query(statement).bind(now.0).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Adds a browser session, which was opened with the key of hash `key` unless with a password.
    pub async fn session_insert(
        &self,
        user: &UserId,
        hash: String,
        key: Option<String>,
        now: Time,
        expires_at: Time,
    ) -> Result<()> {
        let user = user.clone();
        self.write(move |tx| {
            let (user, hash, key) = (user.clone(), hash.clone(), key.clone());
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO sessions (id, user_id, hash, created_at, expires_at, key_id) \
                     VALUES ($1, $2, $3, $4, $5, (SELECT id FROM api_keys WHERE hash = $6))",
                )
                .bind(SessionId::new().as_str())
                .bind(user.as_str())
                .bind(hash)
                .bind(now.0)
                .bind(expires_at.0)
                .bind(key)
                .execute(tx.connection())
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Finds the user of a browser session, and whether the session changes nothing. With the key that opened it ends
    /// the session, too.
    pub async fn session_user(&self, hash: &str, now: Time) -> Result<Option<(User, bool)>> {
        let row = sqlx::query(
            "SELECT u.id, u.username, u.password_hash, u.admin, u.service, u.created_at, \
             COALESCE(k.read_only, 0) AS read_only \
             FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN api_keys k ON k.id = s.key_id \
             WHERE s.hash = $1 AND s.expires_at > $2 \
             AND (s.key_id IS NULL OR (k.id IS NOT NULL AND (k.expires_at IS NULL OR k.expires_at > $2)))",
        )
        .bind(hash)
        .bind(now.0)
        .fetch_optional(self.read_pool())
        .await?;
        row.map(|row| Ok((user(&row)?, row.flag("read_only")?))).transpose()
    }

    /// Ends a browser session.
    pub async fn session_delete(&self, hash: &str) -> Result<()> {
        let hash = hash.to_owned();
        self.write(move |tx| {
            let hash = hash.clone();
            Box::pin(async move {
                sqlx::query("DELETE FROM sessions WHERE hash = $1").bind(hash).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// Returns the setting `name`, storing `value` first if there is none: every server of a store gets the same.
    pub async fn setting_or_insert(&self, name: &'static str, value: String) -> Result<String> {
        self.write(move |tx| {
            let value = value.clone();
            Box::pin(async move {
                sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                    .bind(name)
                    .bind(value)
                    .execute(tx.connection())
                    .await?;
                sqlx::query("SELECT value FROM settings WHERE name = $1")
                    .bind(name)
                    .fetch_one(tx.connection())
                    .await?
                    .text("value")
            })
        })
        .await
    }
}

fn role(row: &AnyRow) -> Result<Role> {
    let word = row.text("role")?;
    Role::parse(&word).ok_or_else(|| Error::Config(format!("the stored role `{word}` is not legal")))
}

async fn entity_insert_in_tx(tx: &mut Tx, name: &str, team: bool, now: Time) -> Result<EntityId> {
    let id = EntityId::new();
    sqlx::query("INSERT INTO entities (id, name, name_key, kind, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(id.as_str())
        .bind(name)
        .bind(name.to_lowercase())
        .bind(if team { "team" } else { "user" })
        .bind(now.0)
        .execute(tx.connection())
        .await?;
    Ok(id)
}

async fn member_put_in_tx(tx: &mut Tx, entity: &EntityId, user: &UserId, role: Role) -> Result<bool> {
    // One statement looks and changes, so that two admins who demote each other leave one.
    let done = sqlx::query(
        "INSERT INTO members (entity_id, user_id, role) VALUES ($1, $2, $3) \
         ON CONFLICT (entity_id, user_id) DO UPDATE SET role = excluded.role \
         WHERE members.role <> 'admin' OR excluded.role = 'admin' OR \
         EXISTS (SELECT 1 FROM members o WHERE o.entity_id = $1 AND o.user_id <> $2 AND o.role = 'admin')",
    )
    .bind(entity.as_str())
    .bind(user.as_str())
    .bind(role.as_str())
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn keys_insert_in_tx(tx: &mut Tx, keys: &[NewKey]) -> Result<()> {
    for batch in batches(keys) {
        let statement = format!(
            "INSERT INTO api_keys (id, user_id, hash, prefix, description, scope, read_only, created_at, expires_at) \
             VALUES {}",
            rows_of(batch.len(), 9)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
        for key in batch {
            query = query
                .bind(key.id.as_str())
                .bind(key.user_id.as_str())
                .bind(&key.hash)
                .bind(&key.prefix)
                .bind(&key.description)
                .bind(key.scope.as_deref())
                .bind(i16::from(key.read_only))
                .bind(key.created_at.0)
                .bind(key.expires_at.map(|t| t.0));
        }
        query.execute(tx.connection()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn a_session_may_do_what_its_key_may_and_ends_with_it() {
        for (_guard, store) in testing::stores().await {
            let (user, full) = testing::user("full", Time(1));
            let read = NewKey {
                id: KeyId::new(),
                hash: "read".into(),
                read_only: true,
                expires_at: Some(Time(50)),
                ..full.clone()
            };
            store.user_insert(user.clone(), None, full.clone()).await.expect("a user");
            store.key_insert(read).await.expect("a key");
            for opened_by in [Some("full"), Some("read"), None] {
                let hash = format!("session of {opened_by:?}");
                let by = opened_by.map(str::to_owned);
                store.session_insert(&user.id, hash, by, Time(1), Time(90)).await.expect("a session");
            }
            let open = async |now| {
                let mut all = Vec::new();
                for opened_by in [Some("full"), Some("read"), None] {
                    let found =
                        store.session_user(&format!("session of {opened_by:?}"), Time(now)).await.expect("read");
                    all.push(found.map(|(_, read_only)| read_only));
                }
                all
            };
            assert_eq!(open(2).await, [Some(false), Some(true), Some(false)]);
            assert_eq!(open(50).await, [Some(false), None, Some(false)], "its key has run out");
            assert!(store.key_delete(&user.id, &full.id).await.expect("deleted"));
            assert_eq!(open(2).await, [None, Some(true), Some(false)]);
            assert_eq!(open(90).await, [None; 3]);
        }
    }
}
