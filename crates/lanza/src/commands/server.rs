//! `lanza server`.

use std::{fs::File, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc};

use lanza_model::{clock::SystemClock, name};
use lanza_server::{Options, Server};
use lanza_service::accounts::UserRequest;
use tokio::net::TcpListener;

use super::signals::Signals;
use crate::{
    args,
    config::Config,
    environment::LANZA_ADMIN_TOKEN,
    exit::{self, Failure, Outcome},
    log, output, paths,
};

/// The user that the first start makes, an admin of the server. (`admin` is a route of the web page, so no user.)
const FIRST_USER: &str = "owner";

pub(crate) async fn run(args: args::Server, config: Config) -> Outcome {
    log::start(&config.environment, log::DEFAULT)?;
    let mut signals = Signals::new()?;
    let data = match args.data {
        Some(data) => data,
        None => paths::data(&config.environment)?.join("lanza"),
    };
    let admin_token = config.environment.get(LANZA_ADMIN_TOKEN).map(str::to_owned);
    // Several servers may share a Postgres database, but an SQLite file has one.
    let _lock = if args.database_url.is_none() { Some(lock(&data)?) } else { None };
    let listener = listen(&args.listen).await?;
    let options = Options {
        store: lanza_store::Options {
            data,
            database_url: args.database_url,
            blobs: args.blobs,
            provider: config.environment.of_providers(),
            blob_links: !args.no_blob_links,
        },
        admin_token: admin_token.clone(),
    };
    let server = start(options, listener).await?;
    if admin_token.is_none() {
        welcome(&server).await?;
    }
    output::say(&format!("listening on http://{}", server.address));
    tokio::select! {
        wish = signals.next() => tracing::info!(?wish, "stopping"),
        () = server.failed() => {
            server.stop().await;
            return Err(Failure::failed("the server failed; its log says why"));
        }
    }
    tokio::select! {
        hung = server.stop() => report(&hung),
        _ = signals.next() => return Err(Failure::failed("ended by a second signal before everything had stopped")),
    }
    Ok(exit::DONE)
}

/// Names the tasks that did not end in time.
pub(crate) fn report(hung: &[String]) {
    if !hung.is_empty() {
        output::warn(&format!("these tasks did not end in time and were cut off: {}", hung.join(", ")));
    }
}

/// Takes the one right to use a data folder.
pub(crate) fn lock(data: &Path) -> Result<File, Failure> {
    let cannot = |e: std::io::Error| Failure::failed(format!("cannot use the data folder {}: {e}", data.display()));
    // What jobs logged and what their keys were hashed to is nobody else's business on this machine.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(cannot)?;
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Failure::failed(format!("another server uses the data folder {}", data.display()))
                .hint("Stop it, or give this one its own folder with --data."))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(cannot(e)),
    }
}

/// Opens the socket.
pub(crate) async fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        let failure = Failure::failed(format!("cannot listen on {address}: {e}"));
        match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.hint("Choose another port with --listen; port 0 picks a free one.")
            }
            std::io::ErrorKind::InvalidInput => failure.hint("An address is HOST:PORT, for instance 0.0.0.0:8080."),
            _ => failure,
        }
    })
}

/// Starts the server on an open socket.
pub(crate) async fn start(options: Options, listener: TcpListener) -> Result<Server, Failure> {
    lanza_server::start(options, listener, Arc::new(SystemClock))
        .await
        .map_err(|e| Failure::caused("the server cannot start", &e))
}

/// Makes the first user of an empty store and says once how to log in.
async fn welcome(server: &Server) -> Result<(), Failure> {
    let failed = |e: &(dyn std::error::Error + 'static)| Failure::caused("cannot make the first user", e);
    if !server.service.is_unused().await.map_err(|e| failed(&e))? {
        return Ok(());
    }
    let password: String = name::new_secret().chars().take(20).collect();
    let request =
        UserRequest { username: FIRST_USER.to_owned(), api_key: None, password: Some(password.clone()), admin: true };
    match server.service.user_create(request).await {
        Ok((user, key)) => {
            output::say(&format!(
                "The store is new, so the user `{user}` was made. This is shown once:\n\
                 \x20 web       http://{}/login   user {user}   password {password}\n\
                 \x20 API key   export WANDB_API_KEY={key}",
                server.address
            ));
            Ok(())
        }
        // Another server on the same database was first.
        Err(lanza_service::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(failed(&e)),
    }
}
