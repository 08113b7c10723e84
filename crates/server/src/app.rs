//! The whole server: wiring, start, stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use lanza_model::clock::Clock;
use lanza_service::{Service, Supervisor, supervisor::OnEnd, tasks};
use lanza_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{pages, request_id, rest, ui, unread, wandb};

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Database and blobs.
    pub store: lanza_store::Options,
    /// Token that may use the admin API before there is an admin.
    pub admin_token: Option<String>,
}

/// What the handlers of the native door share.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The product.
    pub service: Arc<Service>,
    /// Token that may use the admin API.
    pub(crate) admin_token: Option<Arc<str>>,
    /// Renders `/metrics`.
    pub(crate) metrics: metrics_exporter_prometheus::PrometheusHandle,
    /// Cancelled when the server stops: streams and long polls end then.
    pub(crate) stopping: CancellationToken,
}

#[cfg(test)]
impl AppState {
    /// The state of a server that tests ask in process.
    pub(crate) fn for_tests(service: Arc<Service>, admin_token: &str) -> Self {
        Self {
            service,
            admin_token: Some(admin_token.into()),
            metrics: metrics_handle(),
            stopping: CancellationToken::new(),
        }
    }
}

/// A server cannot start or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] lanza_store::Error),
    /// The product cannot start.
    #[error("the server cannot start")]
    Service(#[from] lanza_service::Error),
    /// The socket failed.
    #[error("the server cannot listen")]
    Listen(#[source] std::io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The product, for tests and for `lanza dev`.
    pub service: Arc<Service>,
    supervisor: Arc<Supervisor>,
}

/// How long a stop may take in all.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Opens the store and serves on `listener` until [`Server::stop`].
///
/// # Errors
/// When the store cannot be opened or the listener is not usable.
pub async fn start(options: Options, listener: TcpListener, clock: Arc<dyn Clock>) -> Result<Server, Error> {
    let store = Store::open(&options.store).await?;
    let service = Service::new(store, clock).await?;
    let address = listener.local_addr().map_err(Error::Listen)?;
    let supervisor = Arc::new(Supervisor::default());
    let state = AppState {
        service: service.clone(),
        admin_token: options.admin_token.map(Into::into),
        metrics: metrics_handle(),
        stopping: supervisor.stopping(),
    };
    let app = router(state);
    tasks::start(&service, &supervisor);
    supervisor.spawn("http", OnEnd::Stop, |stop| async move {
        let served = axum::serve(listener, app.into_make_service())
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        if let Err(e) = served {
            tracing::error!(error = %e, "the listener failed");
        }
    });
    Ok(Server { address, service, supervisor })
}

impl Server {
    /// Waits until a task that the server cannot do without has ended.
    pub async fn failed(&self) {
        self.supervisor.stopping().cancelled().await;
    }

    /// Stops accepting, finishes requests, stops the tasks; names those that hung.
    pub async fn stop(self) -> Vec<String> {
        self.supervisor.stop(STOP_LIMIT).await
    }
}

/// All routes of the server.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .merge(rest::router(state.clone()))
        .merge(wandb::router(state.service.clone()))
        .merge(pages::router(state))
        .fallback(ui::fallback)
        .method_not_allowed_fallback(pages::method_not_allowed)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(pages::panicked))
        .layer(middleware::from_fn(ui::unprompted))
        .layer(middleware::from_fn(unread::layer))
        .layer(middleware::from_fn(request_id::layer))
}

fn metrics_handle() -> metrics_exporter_prometheus::PrometheusHandle {
    use std::sync::OnceLock;
    static HANDLE: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // A second server in the same process (tests) shares the first one's registry.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}
