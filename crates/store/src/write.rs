//! The one way to write.
//!
//! All writes of a server go through one writer task. It takes what is waiting, runs it inside one transaction, commits,
//! and answers: many concurrent writers share one `fsync` (group commit), and SQLite never meets a second writer. A
//! closure that fails takes nothing else down with it: the batch is then rolled back and runs once more with a savepoint
//! around each closure, which would cost two statements a write were it done always. On Postgres the transaction is
//! SERIALIZABLE and the whole batch runs again after a serialization failure, which only another server can cause.
//! Closures therefore have no side effects but SQL.

use std::{future::Future, pin::Pin, sync::Arc};

use sqlx::{AnyConnection, AnyPool, Executor};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Engine, Error, Result, Store,
    events::NewEvent,
    lookups::{Area, Lookups},
};

/// The future that a write closure returns.
pub type WriteFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// An open transaction.
#[derive(Debug)]
pub struct Tx {
    pub(crate) connection: sqlx::pool::PoolConnection<sqlx::Any>,
    engine: Engine,
    /// Lines of the audit trail, which are written together before the commit.
    pub(crate) trail: Vec<NewEvent>,
    /// Position of the trail's last line, where nobody else can have added one since it was learned.
    pub(crate) trail_end: Option<i64>,
}

impl Tx {
    /// The connection that carries the transaction: every statement of a write goes here.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }

    /// The engine below.
    pub fn engine(&self) -> Engine {
        self.engine
    }
}

/// A write that waits for its turn.
pub(crate) trait Job: Send {
    fn run<'c>(&'c mut self, tx: &'c mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 'c>>;
    /// Answers the caller: with what the closure returned, or with why the transaction failed.
    fn answer(self: Box<Self>, failed: Option<Error>);
    /// Which of the looked-up rows it may touch.
    fn area(&self) -> Area;
}

/// How a closure ended inside of the transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Kept,
    Undone,
    Again,
    /// Several callers' parts failed together, and will run one by one.
    Apart,
}

struct Waiting<T, F> {
    work: F,
    area: Area,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Waiting<T, F>
where
    T: Send,
    F: for<'c> Fn(&'c mut Tx) -> WriteFuture<'c, T> + Send,
{
    fn run<'c>(&'c mut self, tx: &'c mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 'c>> {
        Box::pin(async move {
            let result = (self.work)(tx).await;
            let ran = match &result {
                Ok(_) => Ran::Kept,
                Err(e) if e.is_serialization_failure() => Ran::Again,
                Err(_) => Ran::Undone,
            };
            self.result = Some(result);
            ran
        })
    }

    fn area(&self) -> Area {
        self.area
    }

    fn answer(self: Box<Self>, failed: Option<Error>) {
        // A caller that went away does not want to know.
        let _ = self.reply.send(answer_of(failed, self.result));
    }
}

impl Store {
    /// Runs `work` inside a transaction and returns after its commit. `work` may run more than once.
    ///
    /// # Errors
    /// What `work` returned (its statements are then undone), or why the commit failed.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Tx) -> WriteFuture<'c, T> + Send + 'static,
    {
        self.write_in(Area::Any, work).await
    }

    /// As [`Store::write`], for a write that touches no more of the looked-up rows than `area` says.
    pub(crate) async fn write_in<T, F>(&self, area: Area, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Tx) -> WriteFuture<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting { work, area, result: None, reply });
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// How many writes share a transaction at most; bounds how long the first of them waits.
const BATCH: usize = 256;
/// How often a batch runs again after serialization failures before its callers are told.
const TRIES: u32 = 20;
/// How long it runs again: a database that another program has locked makes each try wait for it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(8);
/// How many batches have savepoints from the start after one in which a closure failed: who fails once is likely to be
/// followed by others.
const GUARDED: u32 = 16;

/// Why a transaction was not committed.
enum Halt {
    /// A closure failed, and there is no savepoint to go back to.
    Unguarded,
    /// A job wants to run once more, in smaller parts.
    Apart,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs until every [`Store`] is dropped.
pub(crate) async fn writer(
    engine: Engine,
    pool: AnyPool,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    lookups: Arc<Lookups>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut guarded = 0u32;
    let mut trail_end = None;
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut tries = 0;
        let begun = std::time::Instant::now();
        let failed = loop {
            match transact(engine, &pool, &mut batch, guarded > 0, &mut trail_end).await {
                Ok(()) => break None,
                Err(Halt::Unguarded | Halt::Apart) => guarded = GUARDED,
                Err(Halt::Failed(e)) if e.is_serialization_failure() && tries < TRIES && begun.elapsed() < PATIENCE => {
                    tries += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(u64::from(tries) * 3)).await;
                }
                Err(Halt::Failed(e)) => break Some(e),
            }
        };
        guarded = guarded.saturating_sub(1);
        // Also after a failure: a commit whose answer was lost may have happened.
        lookups.committed(batch.iter().map(|job| job.area()).max().unwrap_or(Area::Beside));
        if let Some(e) = &failed {
            tracing::warn!(writes = batch.len(), error = ?e, "a transaction was rolled back");
        }
        for job in batch.drain(..) {
            job.answer(failed.as_ref().map(again_of));
        }
    }
    pool.close().await;
}

/// What a caller is told: what failed by itself keeps its own error; what was kept did not happen after all when the
/// transaction failed.
pub(crate) fn answer_of<T>(failed: Option<Error>, result: Option<Result<T>>) -> Result<T> {
    match (failed, result) {
        (Some(failed), Some(Ok(_)) | None) => Err(failed),
        (_, Some(result)) => result,
        (None, None) => Err(Error::Closed),
    }
}

/// One failure is told to every caller of the batch; the database's error itself cannot be copied.
pub(crate) fn again_of(error: &Error) -> Error {
    if error.is_full() {
        let source = std::io::ErrorKind::StorageFull.into();
        Error::Disk { action: "write to the database".to_owned(), source }
    } else if error.is_temporary() {
        Error::Database(sqlx::Error::PoolTimedOut)
    } else {
        Error::Config(format!("the transaction failed: {error:?}"))
    }
}

async fn transact(
    engine: Engine,
    pool: &AnyPool,
    batch: &mut [Box<dyn Job>],
    guarded: bool,
    trail_end: &mut Option<i64>,
) -> std::result::Result<(), Halt> {
    let connection = pool.acquire().await?;
    // Learned anew after whatever did not end well.
    let mut tx = Tx { connection, engine, trail: Vec::new(), trail_end: trail_end.take() };
    let begin = match engine {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
    };
    tx.connection.execute(begin).await?;
    let ran = if guarded { run_guarded(&mut tx, batch).await } else { run_all(&mut tx, batch).await };
    match ran {
        Ok(()) => {
            if let Err(e) = tx.connection.execute("COMMIT").await {
                roll_back(tx).await;
                return Err(e.into());
            }
            // Only the embedded database has no other writer.
            *trail_end = tx.trail_end.filter(|_| engine == Engine::Sqlite);
            Ok(())
        }
        // The whole transaction was this one closure's, which keeps its own error.
        Err(Halt::Unguarded) if batch.len() == 1 => {
            roll_back(tx).await;
            Ok(())
        }
        Err(halt) => {
            roll_back(tx).await;
            Err(halt)
        }
    }
}

async fn roll_back(mut tx: Tx) {
    if let Err(e) = tx.connection.execute("ROLLBACK").await {
        // A connection in an unknown state is not given back to the pool.
        tracing::debug!(error = ?e, "rollback failed, the connection is closed");
        tx.connection.detach();
    }
}

async fn run_all(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), Halt> {
    for job in batch.iter_mut() {
        match job.run(tx).await {
            Ran::Kept => {}
            Ran::Undone => return Err(Halt::Unguarded),
            Ran::Apart => return Err(Halt::Apart),
            Ran::Again => return Err(Halt::Failed(serialization_failure())),
        }
    }
    Ok(tx.write_trail().await?)
}

async fn run_guarded(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), Halt> {
    for job in batch.iter_mut() {
        tx.connection.execute("SAVEPOINT job").await?;
        let lines = tx.trail.len();
        match job.run(tx).await {
            Ran::Kept => {}
            Ran::Undone => {
                tx.connection.execute("ROLLBACK TO SAVEPOINT job").await?;
                tx.trail.truncate(lines);
            }
            Ran::Apart => return Err(Halt::Apart),
            Ran::Again => return Err(Halt::Failed(serialization_failure())),
        }
        tx.connection.execute("RELEASE SAVEPOINT job").await?;
    }
    Ok(tx.write_trail().await?)
}

/// Stands for "run the batch again"; made up because the closure owns the database's own error.
pub(crate) fn serialization_failure() -> Error {
    #[derive(Debug, thiserror::Error)]
    #[error("the transaction has to run again")]
    struct Again;
    impl sqlx::error::DatabaseError for Again {
        fn message(&self) -> &'static str {
            "the transaction has to run again"
        }
        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some("40001".into())
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }
    Error::Database(sqlx::Error::Database(Box::new(Again)))
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use crate::testing;

    #[tokio::test]
    async fn concurrent_increments_are_all_counted_and_a_failure_takes_nothing_else_down() {
        for (_guard, store) in testing::stores().await {
            store
                .write(|tx| {
                    Box::pin(async move {
                        sqlx::query("CREATE TABLE counter (n BIGINT NOT NULL)").execute(tx.connection()).await?;
                        sqlx::query("INSERT INTO counter (n) VALUES (0)").execute(tx.connection()).await?;
                        Ok(())
                    })
                })
                .await
                .expect("a table");
            let mut tasks = tokio::task::JoinSet::new();
            for i in 0..120 {
                let store = store.clone();
                tasks.spawn(async move {
                    store
                        .write(move |tx| {
                            Box::pin(async move {
                                let row = sqlx::query("SELECT n FROM counter").fetch_one(tx.connection()).await?;
                                let n: i64 = row.try_get("n")?;
                                sqlx::query("UPDATE counter SET n = $1").bind(n + 1).execute(tx.connection()).await?;
                                if i % 6 == 5 { Err(crate::Error::Moved) } else { Ok(()) }
                            })
                        })
                        .await
                });
            }
            let results = tasks.join_all().await;
            let failed = results.iter().filter(|r| matches!(r, Err(crate::Error::Moved))).count();
            assert_eq!((failed, results.iter().filter(|r| r.is_ok()).count()), (20, 100));
            let n: i64 =
                sqlx::query("SELECT n FROM counter").fetch_one(store.read_pool()).await.expect("a row").get("n");
            assert_eq!(n, 100, "on {:?}", store.engine());
        }
    }

    #[tokio::test]
    async fn two_servers_on_one_postgres_lose_no_update() {
        let Some((guard, a)) = testing::postgres().await else { return };
        let b = testing::reopen(&guard).await;
        a.write(|tx| {
            Box::pin(async move {
                sqlx::query("CREATE TABLE counter (n BIGINT NOT NULL)").execute(tx.connection()).await?;
                sqlx::query("INSERT INTO counter (n) VALUES (0)").execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
        .expect("a table");
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..60 {
            let store = if i % 2 == 0 { a.clone() } else { b.clone() };
            tasks.spawn(async move {
                store
                    .write(|tx| {
                        Box::pin(async move {
                            let row = sqlx::query("SELECT n FROM counter").fetch_one(tx.connection()).await?;
                            let n: i64 = row.try_get("n")?;
                            sqlx::query("UPDATE counter SET n = $1").bind(n + 1).execute(tx.connection()).await?;
                            Ok(())
                        })
                    })
                    .await
            });
        }
        let done = tasks.join_all().await.iter().filter(|r| r.is_ok()).count() as i64;
        let n: i64 = sqlx::query("SELECT n FROM counter").fetch_one(a.read_pool()).await.expect("a row").get("n");
        assert_eq!(n, done, "an update was lost or answered wrongly");
        assert_eq!(done, 60);
    }
}
