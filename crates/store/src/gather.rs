//! The same write by many callers at once, as one.
//!
//! Who writes leaves what it wants at a counter. The first one to do so queues one job with the writer, and when that
//! job's turn comes it takes everything that lies there by then: under load a few statements serve dozens of callers,
//! and nobody ever waits for company. The work says of each part how it went. Should the work itself fail, each part is
//! done again by itself under a savepoint, so that one bad part fails alone.

use std::{future::Future, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use sqlx::Executor;
use tokio::sync::oneshot;

use crate::{
    Error, Result, Store, Tx,
    lookups::Area,
    write::{Job, Ran, WriteFuture, again_of, answer_of},
};

/// How many parts are done together at most.
const MOST: usize = 256;

/// Does all parts in one transaction. Parts with an error inside of the answer have changed nothing.
pub(crate) type Work<P, T> = for<'c> fn(&'c mut Tx, &'c [P]) -> WriteFuture<'c, Vec<Result<T>>>;

struct Left<P, T> {
    part: P,
    reply: oneshot::Sender<Result<T>>,
}

/// Where callers leave their parts.
pub(crate) struct Counter<P, T> {
    waiting: Arc<Mutex<Vec<Left<P, T>>>>,
    work: Work<P, T>,
}

impl<P, T> Clone for Counter<P, T> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone(), work: self.work }
    }
}

impl<P, T> std::fmt::Debug for Counter<P, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl<P: Send + Sync + 'static, T: Send + 'static> Counter<P, T> {
    /// A counter for writes that touch none of the looked-up rows.
    pub(crate) fn new(work: Work<P, T>) -> Self {
        Self { waiting: Arc::default(), work }
    }

    /// Does `part`, together with what others want at the same time, and returns after the commit.
    pub(crate) async fn write(&self, store: &Store, part: P) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        // Before the part lies there: whoever finds the counter empty must be able to queue the job.
        let place = store.jobs.reserve().await.map_err(|_| Error::Closed)?;
        let first = {
            let mut waiting = self.waiting.lock();
            waiting.push(Left { part, reply });
            waiting.len() % MOST == 1
        };
        if first {
            place.send(Box::new(Together {
                waiting: self.waiting.clone(),
                work: self.work,
                parts: Vec::new(),
                replies: Vec::new(),
                results: Vec::new(),
                taken: false,
                alone: false,
            }));
        } else {
            drop(place);
        }
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// The job that does everything that lies at a counter.
struct Together<P, T> {
    waiting: Arc<Mutex<Vec<Left<P, T>>>>,
    work: Work<P, T>,
    parts: Vec<P>,
    replies: Vec<oneshot::Sender<Result<T>>>,
    results: Vec<Result<T>>,
    taken: bool,
    /// The parts failed together: from now on each has a savepoint.
    alone: bool,
}

impl<P, T> Together<P, T> {
    /// Takes its share, once.
    fn take(&mut self) {
        if self.taken {
            return;
        }
        self.taken = true;
        let mut waiting = self.waiting.lock();
        let most = waiting.len().min(MOST);
        (self.parts, self.replies) = waiting.drain(..most).map(|left| (left.part, left.reply)).unzip();
    }
}

impl<P, T> Drop for Together<P, T> {
    fn drop(&mut self) {
        // A writer that is gone takes its callers' hope with it: they are told instead of waiting for ever.
        self.take();
    }
}

impl<P: Send + Sync, T: Send> Together<P, T> {
    async fn one_by_one(&mut self, tx: &mut Tx) -> Result<()> {
        for part in self.parts.chunks(1) {
            let lines = tx.trail.len();
            tx.connection().execute("SAVEPOINT part").await?;
            let result = match (self.work)(tx, part).await {
                Ok(mut results) => results.pop().unwrap_or(Err(Error::Moved)),
                Err(e) if e.is_serialization_failure() => return Err(e),
                Err(e) => {
                    tx.connection().execute("ROLLBACK TO SAVEPOINT part").await?;
                    tx.trail.truncate(lines);
                    Err(e)
                }
            };
            tx.connection().execute("RELEASE SAVEPOINT part").await?;
            self.results.push(result);
        }
        Ok(())
    }
}

impl<P: Send + Sync, T: Send> Job for Together<P, T> {
    fn run<'c>(&'c mut self, tx: &'c mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 'c>> {
        Box::pin(async move {
            self.take();
            self.results.clear();
            let done = if self.alone {
                self.one_by_one(tx).await
            } else {
                (self.work)(tx, &self.parts).await.map(|results| self.results = results)
            };
            match done {
                Ok(()) => Ran::Kept,
                Err(e) if e.is_serialization_failure() => Ran::Again,
                Err(e) => {
                    tracing::debug!(error = ?e, parts = self.parts.len(), "parts of a write failed together");
                    self.alone = true;
                    Ran::Apart
                }
            }
        })
    }

    fn area(&self) -> Area {
        Area::Beside
    }

    fn answer(mut self: Box<Self>, failed: Option<Error>) {
        let mut results = std::mem::take(&mut self.results).into_iter();
        for reply in std::mem::take(&mut self.replies) {
            // A caller that went away does not want to know.
            let _ = reply.send(answer_of(failed.as_ref().map(again_of), results.next()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn add<'c>(tx: &'c mut Tx, numbers: &'c [i64]) -> WriteFuture<'c, Vec<Result<usize>>> {
        Box::pin(async move {
            let mut results = Vec::new();
            for n in numbers {
                if *n % 7 == 6 {
                    results.push(Err(Error::Moved));
                    continue;
                }
                sqlx::query("INSERT INTO numbers (n) VALUES ($1)").bind(n).execute(tx.connection()).await?;
                results.push(Ok(numbers.len()));
            }
            Ok(results)
        })
    }

    #[tokio::test]
    async fn what_comes_together_is_done_together_and_fails_alone() {
        for (_guard, store) in testing::stores().await {
            store
                .write(|tx| {
                    Box::pin(async move {
                        sqlx::query("CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY)")
                            .execute(tx.connection())
                            .await?;
                        Ok(())
                    })
                })
                .await
                .unwrap();
            let counter = Counter::new(add);
            let round = async |numbers: Vec<i64>| {
                let all = numbers.into_iter().map(|n| counter.write(&store, n));
                futures::future::join_all(all).await
            };
            // More than one job's share, every seventh refused by the work itself.
            let results = round((0..600).collect()).await;
            for (n, result) in results.iter().enumerate() {
                assert_eq!(result.is_err(), n % 7 == 6, "{n}: {result:?}");
            }
            assert!(results.iter().flatten().any(|together| *together > 100), "{results:?}");
            // Two of these are there already: the database refuses the statement, and the others still get in.
            let results = round(vec![1001, 1, 1002, 2, 1003]).await;
            let kept: Vec<bool> = results.iter().map(Result::is_ok).collect();
            assert_eq!(kept, [true, false, true, false, true], "{results:?}");
            let n: i64 = sqlx::Row::get(
                &sqlx::query("SELECT COUNT(*) FROM numbers").fetch_one(store.read_pool()).await.unwrap(),
                0,
            );
            assert_eq!(n, 600 - 85 + 3);
        }
    }
}
