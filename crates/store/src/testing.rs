//! Stores for tests: a fresh SQLite file each, and a fresh schema of a Postgres where there is one.
//!
//! `LANZA_TEST_POSTGRES_URL` names the Postgres. Where it is missing the Postgres half is left out with a printed
//! reason, unless `LANZA_REQUIRE` names `postgres`.
#![allow(clippy::print_stderr, clippy::disallowed_methods, clippy::expect_used, clippy::missing_panics_doc)]

use lanza_model::{
    clock::Time,
    id::{KeyId, UserId},
};

use crate::{
    Options, Store,
    accounts::{NewKey, User},
};

/// Keeps the store's folder until the test ends, and knows how to open it again.
#[derive(Debug)]
pub struct Guard {
    folder: tempfile::TempDir,
    database_url: Option<String>,
}

impl Guard {
    /// The options that open the same store again.
    pub fn options(&self) -> Options {
        Options { database_url: self.database_url.clone(), ..Options::folder(self.folder.path().to_owned()) }
    }
}

/// Returns a person and a first key of theirs, whose hash is the name.
pub fn user(username: &str, created_at: Time) -> (User, NewKey) {
    let user = User {
        id: UserId::new(),
        username: username.into(),
        password_hash: None,
        admin: false,
        service: false,
        created_at,
    };
    let key = NewKey {
        id: KeyId::new(),
        user_id: user.id.clone(),
        hash: username.into(),
        prefix: "abcd".into(),
        description: String::new(),
        scope: None,
        read_only: false,
        created_at,
        expires_at: None,
    };
    (user, key)
}

/// Returns a fresh store on SQLite.
pub async fn sqlite() -> (Guard, Store) {
    let guard = Guard { folder: tempfile::tempdir().expect("a temporary folder"), database_url: None };
    let store = Store::open(&guard.options()).await.expect("a store on SQLite");
    (guard, store)
}

/// Returns a fresh store on Postgres, if there is one.
pub async fn postgres() -> Option<(Guard, Store)> {
    let required = std::env::var("LANZA_REQUIRE").is_ok_and(|r| r.split(',').any(|w| w.trim() == "postgres"));
    let Some(url) = std::env::var("LANZA_TEST_POSTGRES_URL").ok().filter(|u| !u.is_empty()) else {
        assert!(!required, "LANZA_REQUIRE names postgres, and LANZA_TEST_POSTGRES_URL is not set");
        eprintln!("skipped on Postgres: LANZA_TEST_POSTGRES_URL is not set");
        return None;
    };
    sqlx::any::install_default_drivers();
    let schema = format!("test_{}", lanza_model::id::EventId::new());
    let admin = sqlx::AnyPool::connect(&url).await.expect("the test Postgres");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&admin).await.expect("a schema");
    admin.close().await;
    let joint = if url.contains('?') { '&' } else { '?' };
    let guard = Guard {
        folder: tempfile::tempdir().expect("a temporary folder"),
        database_url: Some(format!("{url}{joint}options[search_path]={schema}")),
    };
    let store = Store::open(&guard.options()).await.expect("a store on Postgres");
    Some((guard, store))
}

/// Opens a second handle to a store, as a second server would.
pub async fn reopen(guard: &Guard) -> Store {
    Store::open(&guard.options()).await.expect("the same store again")
}

/// Returns a fresh store on each engine that there is.
pub async fn stores() -> Vec<(Guard, Store)> {
    let mut stores = vec![sqlite().await];
    stores.extend(postgres().await);
    stores
}
