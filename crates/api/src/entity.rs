//! People, teams, keys and projects.

use lanza_model::{Role, clock::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who the caller is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// User name.
    pub username: String,
    /// Whether the user administers this server.
    pub admin: bool,
    /// Default entity.
    pub entity: String,
    /// Entities that the caller belongs to.
    pub entities: Vec<Entity>,
    /// What the key may do that the caller came, or signed in, with. A job's token, which has rights of its own, says
    /// `full`.
    #[serde(default)]
    pub scope: KeyScope,
}

/// A user's personal space or a team.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// Name, unique on the server.
    pub name: String,
    /// `user` or `team`.
    pub kind: String,
    /// The caller's role in it.
    #[schema(value_type = String)]
    pub role: Role,
    /// Members; only when one entity is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// A member of an entity.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// User name.
    pub username: String,
    /// Role.
    #[schema(value_type = String)]
    pub role: Role,
    /// Whether it is a service account.
    pub service: bool,
}

/// Answer of `/entities/{e}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntityAnswer {
    /// The entity.
    pub entity: Entity,
}

/// What a key may do of that which its owner may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// All of it.
    #[default]
    Full,
    /// Read it, and change nothing.
    Read,
}

/// An API key without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Id of the key.
    pub id: String,
    /// What the owner wrote about it.
    pub description: String,
    /// First letters of the secret, to tell keys apart.
    pub prefix: String,
    /// What it may do.
    pub scope: KeyScope,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// When it ends, if ever.
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Time>,
}

/// Body of `POST /me/keys`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What the key is for.
    #[serde(default)]
    pub description: String,
    /// Seconds until it ends; none means never.
    #[serde(default)]
    pub expires_in_seconds: Option<i64>,
    /// What it may do; without it, all that its owner may.
    #[serde(default)]
    pub scope: KeyScope,
}

/// A new key with its secret, which is shown once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyWithSecret {
    /// The secret: what goes into `WANDB_API_KEY`.
    pub api_key: String,
    /// The key.
    pub key: Key,
}

/// Body of `POST /session`: a password or an API key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// User name, with `password`.
    #[serde(default)]
    pub username: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<String>,
    /// An API key instead.
    #[serde(default)]
    pub api_key: Option<String>,
}

/// Body of `POST /admin/users`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// User name, also the name of the personal entity.
    pub username: String,
    /// Key to register; one is made when it is missing.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Password for the web page, at least 8 characters.
    #[serde(default)]
    pub password: Option<String>,
    /// Whether the user administers the server.
    #[serde(default)]
    pub admin: bool,
}

/// A new user or service account with its key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserWithKey {
    /// User name.
    pub username: String,
    /// The key, shown once.
    pub api_key: String,
}

/// A user, as the admin sees it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// User name.
    pub username: String,
    /// Whether the user administers the server.
    pub admin: bool,
    /// Whether it is a service account.
    pub service: bool,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
}

/// Body of `POST /admin/teams` and of a team's service accounts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// The name.
    pub name: String,
}

/// A team, as admins of the server see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Team {
    /// The name.
    pub name: String,
    /// How many members it has, service accounts with them.
    #[serde(default)]
    pub members: i64,
}

/// Body of `PUT /admin/teams/{t}/members/{u}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The role.
    #[schema(value_type = String)]
    pub role: Role,
}

/// A folder of runs, jobs and artifacts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Id.
    pub id: String,
    /// Owner.
    pub entity: String,
    /// Name, in the spelling that was used first.
    pub name: String,
    /// What somebody wrote about it.
    pub description: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Time,
    /// How many runs it has.
    pub runs: i64,
}

/// Answer with one project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectAnswer {
    /// The project.
    pub project: Project,
}
