//! Bytes by name: run files, artifact files, manifests, log archives.
//!
//! A folder by default, S3, Google or Azure by URL. A blob is on the disk before its row is written. Uploads stream;
//! nothing holds a file in memory.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload, WriteMultipart,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
    path::Path,
    signer::{Method, Signer},
};
// Only for its features: the TLS without a provider that the object store's client needs.
use reqwest as _;
use url::Url;

use crate::{Error, Options, Result, open::ProviderSettings};

/// An open blob store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Root of the folder, if it is one: its files are synced by us.
    folder: Option<PathBuf>,
    /// Makes links that lead to the store past this server.
    signer: Option<Arc<dyn Signer>>,
}

/// A provider's store, which keeps objects and signs links to them.
trait Provider: ObjectStore + Signer {}
impl<T: ObjectStore + Signer> Provider for T {}

/// Part size of uploads to an object store, in bytes.
const PART: usize = 8 << 20;

impl Blobs {
    pub(crate) async fn open(options: &Options) -> Result<Self> {
        let Some(url) = &options.blobs else {
            return Self::folder(options.data.join("blobs")).await;
        };
        let provider = &options.provider;
        let parsed = Url::parse(url).map_err(|e| Error::Config(format!("--blobs `{url}` is not a URL ({e})")))?;
        if parsed.scheme() == "file" {
            let path = parsed.to_file_path().map_err(|()| Error::Config(format!("--blobs `{url}` is not a path")))?;
            return Self::folder(path).await;
        }
        let unknown = || Error::Config(format!("--blobs `{url}` is none of s3://…, gs://…, az://… and file:///…"));
        let (scheme, path) = ObjectStoreScheme::parse(&parsed).map_err(|_| unknown())?;
        let store: Arc<dyn Provider> = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::new().with_url(url);
                Arc::new(set(builder, provider, |b, k, v| b.with_config(k, v)).build().map_err(Error::Blobs)?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::new().with_url(url);
                Arc::new(set(builder, provider, |b, k, v| b.with_config(k, v)).build().map_err(Error::Blobs)?)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::new().with_url(url);
                Arc::new(set(builder, provider, |b, k, v| b.with_config(k, v)).build().map_err(Error::Blobs)?)
            }
            _ => return Err(unknown()),
        };
        let prefix = Path::parse(path).map_err(|e| Error::Blobs(e.into()))?;
        Ok(Self { store: store.clone(), prefix, folder: None, signer: options.blob_links.then_some(store as _) })
    }

    async fn folder(root: PathBuf) -> Result<Self> {
        tokio::fs::create_dir_all(&root)
            .await
            .map_err(|source| Error::Disk { action: format!("make the blob folder {}", root.display()), source })?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(Error::Blobs)?;
        Ok(Self { store: Arc::new(store), prefix: Path::default(), folder: Some(root), signer: None })
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Stores a small blob.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(name);
        self.store.put(&path, PutPayload::from_bytes(bytes)).await.map_err(Error::Blobs)?;
        self.sync(&path).await
    }

    /// Stores a stream. When the stream fails or `check` refuses what arrived, nothing is left behind.
    ///
    /// # Errors
    /// The first error of the stream, of the store, or of `check`.
    pub async fn put_stream<E>(
        &self,
        name: &str,
        stream: impl Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        mut seen: impl FnMut(&[u8]) + Send,
        check: impl FnOnce() -> std::result::Result<(), E> + Send,
    ) -> std::result::Result<(), E>
    where
        E: From<Error> + Send,
    {
        let path = self.path(name);
        let failed = |e| E::from(Error::Blobs(e));
        let upload = self.store.put_multipart(&path).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut stream = stream;
        while let Some(part) = stream.next().await {
            match part {
                Ok(bytes) => {
                    seen(&bytes);
                    if let Err(e) = upload.wait_for_capacity(4).await {
                        let _ = upload.abort().await;
                        return Err(failed(e));
                    }
                    upload.put(bytes);
                }
                Err(e) => {
                    let _ = upload.abort().await;
                    return Err(e);
                }
            }
        }
        if let Err(e) = check() {
            let _ = upload.abort().await;
            return Err(e);
        }
        upload.finish().await.map_err(failed)?;
        self.sync(&path).await.map_err(E::from)
    }

    /// Reads a whole small blob; none when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(Error::Blobs),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::Blobs(e)),
        }
    }

    /// Reads a blob as a stream, from `range` of its bytes if one is given, with its whole size; none when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get_stream(
        &self,
        name: &str,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Option<(u64, BoxStream<'static, Result<Bytes>>)>> {
        let options = object_store::GetOptions { range: range.map(Into::into), ..Default::default() };
        match self.store.get_opts(&self.path(name), options).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok(Some((size, found.into_stream().map_err(Error::Blobs).boxed())))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::Blobs(e)),
        }
    }

    /// Returns a link to a blob that leads to the store past this server and lives for `life`; none for a folder, and
    /// where [`Options::blob_links`] is off.
    ///
    /// # Errors
    /// When the store's credentials cannot sign.
    pub async fn link(&self, name: &str, life: Duration) -> Result<Option<Url>> {
        let Some(signer) = &self.signer else { return Ok(None) };
        signer.signed_url(Method::GET, &self.path(name), life).await.map(Some).map_err(Error::Blobs)
    }

    /// Returns the size of a blob in bytes; none when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn size(&self, name: &str) -> Result<Option<u64>> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::Blobs(e)),
        }
    }

    /// Deletes a blob; one that is not there is fine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(Error::Blobs(e)),
        }
    }

    /// Makes a file of the folder durable: the file, and the folders that name it.
    async fn sync(&self, path: &Path) -> Result<()> {
        let Some(root) = self.folder.clone() else { return Ok(()) };
        let file = path.parts().fold(root.clone(), |p, part| p.join(part.as_ref()));
        let done = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            std::fs::File::open(&file)?.sync_all()?;
            let mut folder = file.parent();
            while let Some(f) = folder {
                std::fs::File::open(f)?.sync_all()?;
                if f == root {
                    break;
                }
                folder = f.parent();
            }
            Ok(())
        })
        .await;
        done.map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| Error::Disk { action: format!("sync the blob {path}"), source })
    }
}

/// Gives the builder of a store those of the settings that it knows.
fn set<B, K: FromStr>(builder: B, settings: &ProviderSettings, with: impl Fn(B, K, &str) -> B) -> B {
    settings.iter().fold(builder, |builder, (name, value)| match name.to_ascii_lowercase().parse() {
        Ok(key) => with(builder, key, value),
        Err(_) => builder,
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_refused_upload_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Options::folder(folder.path().to_owned())).await.expect("blobs");
        let part = || stream::iter([Ok::<_, Error>(Bytes::from_static(b"abc"))]);
        let mut size = 0;
        blobs.put_stream("a/b c/ü", part(), |b| size += b.len(), || Ok(())).await.expect("stored");
        assert_eq!((size, blobs.get("a/b c/ü").await.expect("read").as_deref()), (3, Some(&b"abc"[..])));
        let refused = blobs.put_stream("x", part(), |_| (), || Err(Error::Moved)).await;
        assert!(matches!(refused, Err(Error::Moved)));
        assert_eq!(blobs.size("x").await.expect("head"), None);
        let broken = stream::iter([Ok(Bytes::from_static(b"abc")), Err(Error::Closed)]);
        assert!(blobs.put_stream("y", broken, |_| (), || Ok(())).await.is_err());
        assert_eq!(blobs.get("y").await.expect("read"), None);
        let left: Vec<_> = std::fs::read_dir(folder.path().join("blobs")).expect("folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
