//! Bytes by the name of their blob, for callers who hold a link or have found what the blob belongs to.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Result, Service};

impl Service {
    /// Returns the size of a blob in bytes; none when there is no such blob.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn blob_size(&self, blob: &str) -> Result<Option<u64>> {
        Ok(self.store.blobs().size(blob).await?)
    }

    /// Opens a blob, or a range of its bytes; returns the size of the whole with what is asked for. None when there is no
    /// such blob.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn blob_open(
        &self,
        blob: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<(u64, BoxStream<'static, lanza_store::Result<Bytes>>)>> {
        Ok(self.store.blobs().get_stream(blob, range).await?)
    }
}
