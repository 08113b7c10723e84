//! A server on a port of its own, with its data in a temporary folder.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use lanza_api::Client;
use lanza_model::clock::SystemClock;
use lanza_server::{Options, Server};
use lanza_service::{Service, accounts::UserRequest};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::Instant};

/// A running server. [`TestServer::stop`] says whether it ended well.
#[derive(Debug)]
pub struct TestServer {
    /// Base URL.
    pub url: String,
    server: Server,
    folder: TempDir,
}

impl TestServer {
    /// Token that may use the admin API.
    pub const ADMIN_TOKEN: &str = "admin-token-of-tests";

    /// Starts a server on an empty store.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn start() -> Result<Self> {
        // The one TLS provider of the process; a second test of the same binary finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let options = Options {
            store: lanza_store::Options::folder(folder.path().join("data")),
            admin_token: Some(Self::ADMIN_TOKEN.to_owned()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let server = lanza_server::start(options, listener, Arc::new(SystemClock)).await.context("a server")?;
        Ok(Self { url: format!("http://{}", server.address), server, folder })
    }

    /// The product, below its doors.
    pub fn service(&self) -> &Arc<Service> {
        &self.server.service
    }

    /// A temporary folder for the test, removed with the server.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Makes a user with a personal entity and returns a client with the user's key.
    ///
    /// # Errors
    /// When the name is taken or not allowed.
    pub async fn user(&self, name: &str) -> Result<Client> {
        let key = self.user_key(name, false).await?;
        Ok(Client::new(&self.url, Some(key))?)
    }

    /// Makes a user, an admin of the server or not, and returns the key.
    ///
    /// # Errors
    /// When the name is taken or not allowed.
    pub async fn user_key(&self, name: &str, admin: bool) -> Result<String> {
        let request = UserRequest { username: name.to_owned(), api_key: None, password: None, admin };
        Ok(self.service().user_create(request).await?.1)
    }

    /// Returns a client with the admin's token.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn admin(&self) -> Result<Client> {
        Ok(Client::new(&self.url, Some(Self::ADMIN_TOKEN.to_owned()))?)
    }

    /// Stops the server.
    ///
    /// # Errors
    /// Names the tasks that hung.
    pub async fn stop(self) -> Result<()> {
        let hung = self.server.stop().await;
        if hung.is_empty() { Ok(()) } else { bail!("tasks hung: {}", hung.join(", ")) }
    }
}

/// Looks until `look` finds something.
///
/// # Errors
/// After `timeout`, with what was seen last.
pub async fn wait_until<T, S: Debug, F: Future<Output = Result<Option<T>, S>>>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let seen = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::from("nothing"),
            Err(state) => format!("{state:?}"),
        };
        if Instant::now() > deadline {
            bail!("waited {timeout:?} for {what}; last seen: {seen}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
