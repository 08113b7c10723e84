//! Users, teams, keys, sign-in.

use std::{collections::HashMap, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use lanza_model::{
    Reason, Role,
    clock::Time,
    code,
    id::{KeyId, UserId},
    name,
};
use lanza_store::{
    accounts::{Entity, Key, NewKey, User},
    members::Removal,
};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::{Actor, Error, JobScope, Result, Service};

/// How long a browser session lasts.
pub const SESSION_MS: i64 = 14 * 24 * 3_600_000;
/// How long a looked-up key is trusted without asking the database again; bounds how long a key that another server
/// revoked still works here.
const CACHE_MS: i64 = 2_000;
const CACHE_SIZE: usize = 10_000;

/// Recently seen keys.
#[derive(Debug, Default)]
pub(crate) struct ActorCache(Mutex<HashMap<String, (Time, Arc<Actor>)>>);

impl ActorCache {
    fn get(&self, hash: &str, now: Time) -> Option<Arc<Actor>> {
        let cache = self.0.lock();
        let (seen, actor) = cache.get(hash)?;
        (now.since_ms(*seen) < CACHE_MS).then(|| actor.clone())
    }

    fn put(&self, hash: String, now: Time, actor: Arc<Actor>) {
        let mut cache = self.0.lock();
        if cache.len() >= CACHE_SIZE {
            cache.retain(|_, (seen, _)| now.since_ms(*seen) < CACHE_MS);
        }
        if cache.len() < CACHE_SIZE {
            cache.insert(hash, (now, actor));
        }
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Returns the text under which a secret is stored. Keys are 238 random bits, so a plain hash is enough.
pub fn secret_hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Hashes a password. Takes some 20 ms of processor time by intent.
async fn password_hash(password: String) -> Result<String> {
    tokio::task::spawn_blocking(move || Argon2::default().hash_password(password.as_bytes()).map(|h| h.to_string()))
        .await
        .map_err(|e| Error::Internal(Box::new(e)))?
        .map_err(|e| Error::Internal(e.to_string().into()))
}

/// Returns a key of a person or service account that may do all that its owner may, and never ends.
fn new_key(user: &UserId, secret: &str, description: &str, now: Time) -> NewKey {
    NewKey {
        id: KeyId::new(),
        user_id: user.clone(),
        hash: secret_hash(secret),
        prefix: secret.chars().take(4).collect(),
        description: description.to_owned(),
        scope: None,
        read_only: false,
        created_at: now,
        expires_at: None,
    }
}

/// What the admin says about a new user.
#[derive(Debug, Clone, Default)]
pub struct UserRequest {
    /// Name of the user and of the personal entity.
    pub username: String,
    /// Key to register; one is made when it is missing.
    pub api_key: Option<String>,
    /// Password for the web page.
    pub password: Option<String>,
    /// Whether the user administers the server.
    pub admin: bool,
}

/// What a person says about a further key.
#[derive(Debug, Clone, Default)]
pub struct KeyRequest {
    /// What it is for.
    pub description: String,
    /// Milliseconds until it ends; none means never.
    pub expires_in_ms: Option<i64>,
    /// Whether it changes nothing.
    pub read_only: bool,
}

impl KeyRequest {
    /// A key that may do all that its owner may, and never ends.
    pub fn full(description: &str) -> Self {
        Self { description: description.to_owned(), ..Self::default() }
    }
}

impl Service {
    /// Finds who owns an API key or job token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody does.
    pub async fn authenticate(&self, secret: &str) -> Result<Arc<Actor>> {
        let (hash, now) = (secret_hash(secret), self.now());
        if let Some(actor) = self.actors.get(&hash, now) {
            return Ok(actor);
        }
        let Some((key, user)) = self.store.key_by_hash(&hash, now).await? else {
            return Err(Error::Unauthenticated("the API key is not known to this server".into()));
        };
        let job: Option<JobScope> = match &key.scope {
            Some(scope) => Some(serde_json::from_str(scope).map_err(|e| Error::Internal(Box::new(e)))?),
            None => None,
        };
        let actor = Arc::new(Actor {
            admin: user.admin && job.is_none(),
            user_id: user.id,
            username: user.username,
            service: user.service,
            read_only: key.read_only,
            job,
        });
        self.actors.put(hash, now, actor.clone());
        Ok(actor)
    }

    /// Signs in with a name and password, or a key; returns the secret of a new browser session. That of a key may do what
    /// the key may, and ends with it.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when they are wrong.
    pub async fn sign_in(&self, username: Option<&str>, password: Option<&str>, key: Option<&str>) -> Result<String> {
        let wrong = || Error::Unauthenticated("the user name and password, or the key, are wrong".into());
        let user_id = if let Some(key) = key {
            let actor = self.authenticate(key).await?;
            actor.require_person().map_err(|_| wrong())?;
            actor.user_id.clone()
        } else {
            let (Some(username), Some(password)) = (username, password) else {
                return Err(Error::invalid("username", "is missing; give username and password, or api_key"));
            };
            let user = self.store.user_by_name(username).await?;
            // The same work for unknown users, so that time does not tell who exists.
            const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                                  RdescudvJCsgt3ub+b+dWRWJTmaaVObG6iXVgmi0oFU";
            let hash = user.as_ref().and_then(|u| u.password_hash.clone()).unwrap_or_else(|| NOBODY.to_owned());
            let password = password.to_owned();
            let good = tokio::task::spawn_blocking(move || {
                PasswordHash::new(&hash)
                    .is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok())
            })
            .await
            .map_err(|e| Error::Internal(Box::new(e)))?;
            user.filter(|u| good && u.password_hash.is_some()).ok_or_else(wrong)?.id
        };
        let secret = name::new_secret();
        let now = self.now();
        let until = now.plus_ms(SESSION_MS);
        self.store.session_insert(&user_id, secret_hash(&secret), key.map(secret_hash), now, until).await?;
        Ok(secret)
    }

    /// Finds the user of a browser session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the session has ended.
    pub async fn session_actor(&self, secret: &str) -> Result<Arc<Actor>> {
        let found = self.store.session_user(&secret_hash(secret), self.now()).await?;
        let (user, read_only) =
            found.ok_or_else(|| Error::Unauthenticated("the session has ended, sign in again".into()))?;
        Ok(Arc::new(Actor {
            user_id: user.id,
            username: user.username,
            admin: user.admin,
            service: user.service,
            read_only,
            job: None,
        }))
    }

    /// Ends a browser session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_out(&self, secret: &str) -> Result<()> {
        Ok(self.store.session_delete(&secret_hash(secret)).await?)
    }

    /// Makes a user with a personal entity of the same name; returns the name and the key. The caller has checked that
    /// an admin asks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name, key or password; [`Error::AlreadyExists`] when name or key are taken.
    pub async fn user_create(&self, request: UserRequest) -> Result<(String, String)> {
        name::check_entity(&request.username).map_err(|e| Error::invalid("username", e.0))?;
        let secret = match request.api_key {
            Some(key) => {
                name::check_api_key(&key).map_err(|e| Error::invalid("api_key", e.0))?;
                key
            }
            None => name::new_secret(),
        };
        if request.password.as_ref().is_some_and(|p| p.chars().count() < 8 || p.len() > 1024) {
            return Err(Error::invalid("password", "has 8 characters or more"));
        }
        let password_hash = match request.password {
            Some(p) => Some(password_hash(p).await?),
            None => None,
        };
        let now = self.now();
        let user = User {
            id: UserId::new(),
            username: request.username.clone(),
            password_hash,
            admin: request.admin,
            service: false,
            created_at: now,
        };
        let key = new_key(&user.id, &secret, "first key", now);
        self.store
            .user_insert(user, None, key)
            .await
            .map_err(|e| taken(e, "the user name or key", &request.username))?;
        Ok((request.username, secret))
    }

    /// Finds a user for an admin.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user_find(&self, username: &str) -> Result<User> {
        self.store.user_by_name(username).await?.ok_or_else(|| Error::not_found("user", username))
    }

    /// Whether nobody has an account yet, as after the first start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_unused(&self) -> Result<bool> {
        Ok(self.store.user_count().await? == 0)
    }

    /// Lists users by name, after the name `after`. The caller has checked that an admin asks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_list(&self, after: &str, limit: i64) -> Result<Vec<User>> {
        Ok(self.store.user_list(after, limit).await?)
    }

    /// Deletes a user, the keys and the personal entity with its data.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user_delete(&self, username: &str) -> Result<()> {
        let user = self.user_find(username).await?;
        let personal =
            if user.service { None } else { self.store.entity_by_name(&user.username).await?.filter(|e| !e.team) };
        let reason = Reason::new(code::STOPPED, format!("the author `{}` was deleted", user.username));
        self.store.user_delete(&user.id, personal.map(|e| e.id), &reason, self.now()).await?;
        self.actors.clear();
        Ok(())
    }

    /// Sets a user's password.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too short.
    pub async fn user_set_password(&self, username: &str, password: String) -> Result<()> {
        if password.chars().count() < 8 || password.len() > 1024 {
            return Err(Error::invalid("password", "has 8 characters or more"));
        }
        let user = self.user_find(username).await?;
        let hash = password_hash(password).await?;
        Ok(self.store.user_set_password(&user.id, Some(hash)).await?)
    }

    /// Makes a team; `founder`, if given, becomes its admin.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name, [`Error::AlreadyExists`] when it is taken.
    pub async fn team_create(&self, team: &str, founder: Option<&UserId>) -> Result<()> {
        name::check_entity(team)?;
        let id = self.store.team_insert(team, self.now()).await.map_err(|e| taken(e, "the entity", team))?;
        if let Some(user) = founder {
            self.store.member_put(&id, user, Role::Admin).await?;
        }
        Ok(())
    }

    /// Finds a team for an admin.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no team of that name.
    pub async fn team_find(&self, team: &str) -> Result<Entity> {
        self.store.entity_by_name(team).await?.filter(|e| e.team).ok_or_else(|| Error::not_found("team", team))
    }

    /// Lists teams by name with the number of their members, after the name `after`. The caller has checked that an admin
    /// asks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn team_list(&self, after: &str, limit: i64) -> Result<Vec<(Entity, i64)>> {
        Ok(self.store.team_list(after, limit).await?)
    }

    /// Lists the members of an entity that [`Service::entity_seen`] has found, with the role of each. Whoever sees an
    /// entity sees who else belongs to it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_list(&self, entity: &Entity) -> Result<Vec<(User, Role)>> {
        Ok(self.store.member_list(&entity.id).await?)
    }

    /// Adds a member to a team or changes its role.
    ///
    /// # Errors
    /// [`Error::NotFound`] when team or user do not exist, [`Error::Conflict`] when the team would have no admin left.
    pub async fn member_put(&self, team: &str, username: &str, role: Role) -> Result<()> {
        let (team, user) = (self.team_find(team).await?, self.user_find(username).await?);
        if !self.store.member_put(&team.id, &user.id, role).await? {
            return Err(last_admin(&user, &team));
        }
        Ok(())
    }

    /// Takes a member out of a team; what it has waiting there is stopped. A service account whose last team it was is
    /// deleted with its keys: it would belong nowhere.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such member, [`Error::Conflict`] when the team would have no admin left.
    pub async fn member_remove(&self, team: &str, username: &str) -> Result<()> {
        let missing = || Error::not_found("member", username);
        let team = self.team_find(team).await?;
        let user = self.store.user_by_name(username).await?.ok_or_else(missing)?;
        let reason =
            Reason::new(code::STOPPED, format!("the author `{}` was removed from `{}`", user.username, team.name));
        match self.store.member_remove(&team.id, &user.id, &reason, self.now()).await? {
            Removal::Done => {}
            Removal::NoMember => return Err(missing()),
            Removal::LastAdmin => return Err(last_admin(&user, &team)),
        }
        if user.service && self.store.entities_of_user(&user.id).await?.is_empty() {
            self.user_delete(&user.username).await?;
        }
        self.actors.clear();
        self.wakers.changed();
        Ok(())
    }

    /// Makes a service account of a team: a member that has a key and no personal entity.
    ///
    /// # Errors
    /// As for users and teams.
    pub async fn service_account_create(&self, team: &str, account: &str) -> Result<(String, String)> {
        name::check_entity(account)?;
        let team = self.team_find(team).await?;
        let (secret, now) = (name::new_secret(), self.now());
        let user = User {
            id: UserId::new(),
            username: account.to_owned(),
            password_hash: None,
            admin: false,
            service: true,
            created_at: now,
        };
        let key = new_key(&user.id, &secret, "service account", now);
        self.store.user_insert(user, Some(team.id), key).await.map_err(|e| taken(e, "the user name", account))?;
        Ok((account.to_owned(), secret))
    }

    /// Makes a further key for the caller; returns the secret and the key.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a job's token, [`Error::ReadOnly`] for a key that only reads.
    pub async fn key_create(&self, actor: &Actor, request: KeyRequest) -> Result<(String, Key)> {
        actor.require_person()?;
        actor.require_writable()?;
        if request.description.chars().count() > 200 {
            return Err(Error::invalid("description", "is longer than 200 characters"));
        }
        if request.expires_in_ms.is_some_and(|ms| ms <= 0) {
            return Err(Error::invalid("expires_in_seconds", "is a positive number of seconds"));
        }
        let (secret, now) = (name::new_secret(), self.now());
        let new = NewKey {
            read_only: request.read_only,
            expires_at: request.expires_in_ms.map(|ms| now.plus_ms(ms)),
            ..new_key(&actor.user_id, &secret, &request.description, now)
        };
        let key = Key {
            id: new.id.clone(),
            user_id: new.user_id.clone(),
            prefix: new.prefix.clone(),
            description: new.description.clone(),
            scope: None,
            read_only: new.read_only,
            created_at: now,
            expires_at: new.expires_at,
        };
        self.store.key_insert(new).await?;
        Ok((secret, key))
    }

    /// Finds a user by name: oneself, or somebody with whom one shares a team; for an admin anybody. A job finds its
    /// author only.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_seen(&self, actor: &Actor, username: &str) -> Result<Option<User>> {
        let Some(user) = self.store.user_by_name(username).await? else { return Ok(None) };
        let known = actor.admin || user.id == actor.user_id || !self.shared(actor, &user.id).await?.is_empty();
        Ok(known.then_some(user))
    }

    /// Lists the entities that a user belongs to, as far as the caller knows them: all one's own, of others the
    /// shared teams.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn entities_of(&self, actor: &Actor, username: &str) -> Result<Vec<Entity>> {
        if let Some(job) = &actor.job {
            let own = self.store.entity_by_name(&job.entity).await?.filter(|_| username == actor.username);
            return Ok(own.into_iter().collect());
        }
        let Some(user) = self.user_seen(actor, username).await? else { return Ok(Vec::new()) };
        if actor.admin || user.id == actor.user_id {
            return Ok(self.store.entities_of_user(&user.id).await?.into_iter().map(|(e, _)| e).collect());
        }
        self.shared(actor, &user.id).await
    }

    /// Lists the entities that the caller shares with another user; a job shares none.
    async fn shared(&self, actor: &Actor, user: &UserId) -> Result<Vec<Entity>> {
        let mut shared = Vec::new();
        if actor.job.is_none() {
            for (entity, _) in self.store.entities_of_user(&actor.user_id).await? {
                if self.store.member_role(&entity.id, user).await?.is_some() {
                    shared.push(entity);
                }
            }
        }
        Ok(shared)
    }

    /// Lists the caller's keys, without their secrets.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a job's token.
    pub async fn key_list(&self, actor: &Actor) -> Result<Vec<Key>> {
        actor.require_person()?;
        Ok(self.store.key_list(&actor.user_id).await?)
    }

    /// Lists a user's keys, without their secrets, for the owner or an admin; none where they are nobody's business.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys_seen(&self, actor: &Actor, username: &str) -> Result<Option<Vec<Key>>> {
        if actor.job.is_some() || !(actor.admin || actor.username == username) {
            return Ok(None);
        }
        let Some(user) = self.store.user_by_name(username).await? else { return Ok(None) };
        Ok(Some(self.store.key_list(&user.id).await?))
    }

    /// Returns how many bytes of files an entity keeps.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller does not see it.
    pub async fn entity_bytes(&self, actor: &Actor, name: &str) -> Result<i64> {
        let (entity, _) = self.entity_seen(actor, name).await?;
        Ok(self.store.entity_bytes(&entity.id).await?)
    }

    /// Revokes a key of the caller.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller has no such key.
    pub async fn key_revoke(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.require_person()?;
        let missing = || Error::not_found("API key", id);
        let key: KeyId = id.parse().map_err(|_| missing())?;
        if !self.store.key_delete(&actor.user_id, &key).await? {
            return Err(missing());
        }
        self.actors.clear();
        Ok(())
    }

    /// Returns the entity that is meant when none is named: the personal one, or a service account's first team.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller belongs to none.
    pub async fn default_entity(&self, actor: &Actor) -> Result<String> {
        if let Some(job) = &actor.job {
            return Ok(job.entity.clone());
        }
        let entities = self.store.entities_of_user(&actor.user_id).await?;
        entities.into_iter().next().map(|(e, _)| e.name).ok_or_else(|| Error::not_found("entity of", &actor.username))
    }
}

fn last_admin(user: &User, team: &Entity) -> Error {
    Error::conflict(format!(
        "`{}` is the last admin of `{}`; make somebody else an admin first",
        user.username, team.name
    ))
}

fn taken(error: lanza_store::Error, what: &'static str, id: &str) -> Error {
    match error {
        lanza_store::Error::Exists => Error::AlreadyExists { what, id: id.to_owned() },
        other => other.into(),
    }
}
