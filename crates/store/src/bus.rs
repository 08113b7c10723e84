//! Words between the servers of one Postgres. A word may be lost: whoever waits for one also has a timer.

use sqlx::postgres::PgListener;

use crate::{Engine, Result, Store};

const CHANNEL: &str = "lanza";

/// Hears what the other servers say.
#[derive(Debug)]
pub struct Ears(PgListener);

impl Store {
    /// Says `words` to every server of this database, this one included; at most 7,999 bytes. On the embedded database
    /// there is nobody to hear it.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn say(&self, words: &str) -> Result<()> {
        if self.engine() == Engine::Postgres {
            sqlx::query("SELECT CAST(pg_notify($1, $2) AS TEXT)")
                .bind(CHANNEL)
                .bind(words)
                .execute(self.read_pool())
                .await?;
        }
        Ok(())
    }

    /// Begins to listen, with a connection of its own; none on the embedded database.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn listen(&self) -> Result<Option<Ears>> {
        let Some(url) = &self.shared_url else { return Ok(None) };
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Ears(listener)))
    }
}

impl Ears {
    /// Waits for the next words. None says that the connection was lost and made anew: words may have been missed.
    ///
    /// # Errors
    /// When the database cannot be reached any more.
    pub async fn hear(&mut self) -> Result<Option<String>> {
        Ok(self.0.try_recv().await?.map(|said| said.payload().to_owned()))
    }
}
