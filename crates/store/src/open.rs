//! Opening a store: which engine, how it is tuned, and the migrations.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use sqlx::{
    AnyPool, Connection, Executor,
    any::{AnyPoolOptions, install_default_drivers},
};
use tokio::sync::mpsc;

use crate::{
    Blobs, Error, Result, items,
    lookups::Lookups,
    write::{Job, writer},
};

/// Which database runs below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, one server.
    Sqlite,
    /// Any number of servers.
    Postgres,
}

/// Where things are stored.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the SQLite file, the blobs and the server's secret; made when it is missing.
    pub data: PathBuf,
    /// `postgres://…`; none means SQLite in `data`.
    pub database_url: Option<String>,
    /// URL of an object store; none means the folder `blobs` in `data`.
    pub blobs: Option<String>,
    /// How to reach that object store, as its provider's own tools name it: `AWS_REGION`, `GOOGLE_SERVICE_ACCOUNT`, ….
    pub provider: ProviderSettings,
    /// Whether [`Blobs::link`] makes links that lead to that object store.
    pub blob_links: bool,
}

impl Options {
    /// Everything in one folder: the database, too.
    #[must_use]
    pub fn folder(data: PathBuf) -> Self {
        Self { data, database_url: None, blobs: None, provider: ProviderSettings::default(), blob_links: false }
    }
}

/// Settings of an object store's provider by name. Some are secret, so only their names can be printed.
#[derive(Clone, Default)]
pub struct ProviderSettings(BTreeMap<String, String>);

impl ProviderSettings {
    /// Returns them in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for ProviderSettings {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(settings: T) -> Self {
        Self(settings.into_iter().collect())
    }
}

impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Open handles to the database and the blobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    readers: AnyPool,
    pub(crate) jobs: mpsc::Sender<Box<dyn Job>>,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) item_counters: items::Counters,
    blobs: Blobs,
    /// Address of a database that other servers use too.
    pub(crate) shared_url: Option<Arc<str>>,
}

/// How many writes may wait before callers do.
const WRITE_QUEUE: usize = 4096;

impl Store {
    /// Opens the store, bringing its schema up to date, and starts its writer.
    ///
    /// # Errors
    /// When the folder, the database or the blob store cannot be opened, or the schema is of a later version.
    pub async fn open(options: &Options) -> Result<Self> {
        install_default_drivers();
        tokio::fs::create_dir_all(&options.data).await.map_err(|source| Error::Disk {
            action: format!("make the data folder {}", options.data.display()),
            source,
        })?;
        let (engine, url) = match &options.database_url {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                (Engine::Postgres, url.clone())
            }
            Some(url) => {
                return Err(Error::Config(format!(
                    "`{}` is not a postgres:// address; leave --database-url out for the embedded database",
                    url.split('@').next_back().unwrap_or_default()
                )));
            }
            None => (Engine::Sqlite, sqlite_url(&options.data.join("lanza.db"))),
        };
        let blobs = Blobs::open(options).await?;
        let (most_readers, of_reader, of_writer) = match engine {
            Engine::Sqlite => (4, SQLITE, SQLITE),
            Engine::Postgres => (8, "", POSTGRES_WRITER),
        };
        let readers = pool(engine, most_readers, of_reader).connect(&url).await?;
        sqlx::migrate!("./migrations").run(&readers).await.map_err(Error::Migration)?;
        let writers = pool(engine, 1, of_writer).connect(&url).await?;
        let shared_url = (engine == Engine::Postgres).then(|| url.into());
        let (jobs, queue) = mpsc::channel(WRITE_QUEUE);
        let lookups = Arc::new(Lookups::new(engine == Engine::Sqlite));
        start_writer(engine, writer(engine, writers, queue, lookups.clone()))?;
        Ok(Self { engine, readers, jobs, lookups, item_counters: items::Counters::default(), blobs, shared_url })
    }

    /// The pool for reads. Statements that change anything go through [`Store::write`].
    pub fn read_pool(&self) -> &AnyPool {
        &self.readers
    }

    /// The engine below.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The blob store.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }
}

/// Starts the writer, which lives exactly as long as the store's handles.
///
/// That of the embedded database goes back and forth with the database's own thread for each statement. On a thread of
/// its own it never waits behind requests for that, which a quarter more writes a second were measured for.
fn start_writer(engine: Engine, writer: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    if engine == Engine::Postgres {
        #[expect(clippy::disallowed_methods, reason = "it ends with the store's handles, and nobody has to stop it")]
        tokio::spawn(writer);
        return Ok(());
    }
    let refused = |source| Error::Disk { action: "start the thread that writes".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(refused)?;
    let thread = std::thread::Builder::new().name("store-writer".to_owned());
    thread.spawn(move || runtime.block_on(writer)).map_err(refused)?;
    Ok(())
}

fn sqlite_url(path: &std::path::Path) -> String {
    // `?`, `#` and `%` would end or escape the path.
    let path = path.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}?mode=rwc")
}

/// FULL: a commit is on the disk. WAL: readers never wait. 8 MiB of page cache a connection.
const SQLITE: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000; PRAGMA foreign_keys=ON; \
     PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;";
/// Writes find their rows by indexes. Postgres keeps a plan that it made while the table was small, which reads all of
/// it, until it next takes statistics: a minute in which each claim from a queue that has grown takes 20 ms.
const POSTGRES_WRITER: &str = "SET enable_seqscan = off; SET jit = off";
/// A connection that was not used for so long may be broken, and is asked before it is used again.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(1);

/// Connections; `settings` are told to each when it is made.
fn pool(engine: Engine, connections: u32, settings: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(move |connection, state| {
            Box::pin(async move {
                // An error closes the connection, and another is taken.
                if engine == Engine::Postgres && state.idle_for > DOUBTFUL_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if !settings.is_empty() {
                    connection.execute(settings).await?;
                }
                Ok(())
            })
        })
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor, Row};

    use crate::testing;

    #[tokio::test]
    async fn a_write_finds_its_rows_by_an_index_in_a_small_table_too() {
        let Some((_guard, store)) = testing::postgres().await else { return };
        let plan = store
            .write(|tx| {
                Box::pin(async move {
                    let small = "CREATE TABLE small (id TEXT PRIMARY KEY, n BIGINT); INSERT INTO small VALUES ('a', 0); \
                                 ANALYZE small";
                    tx.connection().execute(small).await?;
                    let update = "EXPLAIN UPDATE small SET n = 1 WHERE id = 'a'";
                    Ok(sqlx::query(update).fetch_all(tx.connection()).await?)
                })
            })
            .await
            .expect("a plan");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{plan:#?}");
    }
}
