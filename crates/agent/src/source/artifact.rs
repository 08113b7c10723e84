//! Files of artifacts, through a cache that is addressed by their digests.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lanza_api::{
    Client, ClientError,
    artifact::{ArtifactAnswer, ArtifactFile},
    client::segment,
};
use lanza_model::{
    Code, Reason,
    clock::{Clock, Time},
    code,
    job::PYTHON_CHOSEN,
};
use md5::{Digest, Md5};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::below;
use crate::{courier::chain, state_dir::make_dir};

/// How many files are downloaded at once.
const PARALLEL: usize = 8;
/// How often a request that may succeed later is tried.
const TRIES: u32 = 8;
/// How many files an artifact may have.
const MOST_FILES: usize = 200_000;
/// How deep references to other artifacts are followed.
const REFERENCE_PREFIX: &str = "wandb-artifact://";

/// An artifact cannot be brought.
#[derive(Debug)]
pub(crate) struct Failed {
    code: Code,
    why: String,
    missing: bool,
}

impl Failed {
    fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), missing: false }
    }

    /// Says which artifact it was, in the words of its role.
    pub(crate) fn named(self, role: &str, name: &str) -> Reason {
        match (self.missing, role) {
            (true, "job") => Reason::new(code::JOB_NOT_FOUND, format!("the job `{name}` does not exist")),
            (true, _) => Reason::new(
                code::SOURCE_MISSING,
                format!("the job refers to the code artifact `{name}`, which was deleted or never was"),
            ),
            _ => Reason::new(self.code, format!("cannot fetch the {role} `{name}`: {}", self.why)),
        }
    }
}

/// Reads artifacts with the token of one item.
pub(crate) struct Artifacts<'a> {
    /// Client with the item's token.
    pub(crate) client: &'a Client,
    /// Folder of the cache.
    pub(crate) blobs: &'a Path,
    /// Says when a file of the cache was used.
    pub(crate) clock: &'a dyn Clock,
}

/// Held while a file of the cache is looked at, to be used or to be removed: what is removed was not just found.
static LOOKED_AT: Mutex<()> = Mutex::new(());

/// Returns when a file of the cache was used last, and its length.
pub(crate) fn last_use(blob: &Path) -> Option<(Time, u64)> {
    let found = blob.metadata().ok().filter(fs::Metadata::is_file)?;
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((Time(i64::try_from(since.as_millis()).ok()?), found.len()))
}

/// Removes a file of the cache, unless it was used after `before`. Returns whether it is gone.
pub(crate) fn remove_unused(blob: &Path, before: Time) -> io::Result<bool> {
    let _held = LOOKED_AT.lock();
    if last_use(blob).is_some_and(|(used, _)| used > before) {
        return Ok(false);
    }
    match fs::remove_file(blob) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(true),
    }
}

impl Artifacts<'_> {
    /// Puts all files of the artifact `id` into `folder`; returns a digest of names and contents.
    pub(crate) async fn unpack(&self, id: &str, folder: &Path) -> Result<String, Failed> {
        let mut files = self.list(id).await?;
        if files.len() > MOST_FILES {
            return Err(Failed::new(
                code::ARCHIVE_HOSTILE,
                format!("it has {} files, and at most {MOST_FILES} are taken", files.len()),
            ));
        }
        self.resolve(&mut files).await?;
        fits_on_disk(folder, &files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut plan = Vec::with_capacity(files.len());
        let mut digest = Sha256::new();
        for file in &files {
            let target = below(folder, &file.path).ok_or_else(|| {
                Failed::new(
                    code::ARCHIVE_HOSTILE,
                    format!("the file name `{}` leads out of its folder", file.path.escape_debug()),
                )
            })?;
            let md5 = md5_of(file)?;
            digest.update(format!("{}\0{md5}\n", file.path));
            plan.push((file, self.blobs.join(&md5), md5, target));
        }
        // Boxed: the compiler cannot show a stream over borrowing closures to be `Send`.
        let downloads: Vec<_> = plan.iter().map(|(file, blob, md5, _)| self.provide(file, blob, md5).boxed()).collect();
        stream::iter(downloads).buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await?;
        let copies: Vec<(PathBuf, PathBuf)> = plan.into_iter().map(|(_, blob, _, target)| (blob, target)).collect();
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || copy_all(&folder, &copies))
            .await
            .map_err(io::Error::other)
            .and_then(|r| r)
            .map_err(|e| unwritable("the files", &e))?;
        Ok(hex(&digest.finalize()))
    }

    async fn list(&self, id: &str) -> Result<Vec<ArtifactFile>, Failed> {
        let mut tries = 0;
        loop {
            match self.client.artifact_files(id).await {
                Ok(files) => return Ok(files),
                Err(ClientError::Refused { status: 404 | 410, problem }) => {
                    return Err(Failed { missing: true, ..Failed::new(code::SOURCE_MISSING, problem.message) });
                }
                Err(e) => self.wait(&mut tries, &e).await?,
            }
        }
    }

    /// Whether somebody chose the Python version of the job `id` with a flag of a client that cannot write that into the
    /// job's file: the server notes it in the metadata.
    pub(crate) async fn is_python_chosen(&self, id: &str) -> Result<bool, Failed> {
        let mut tries = 0;
        loop {
            match self.client.get::<ArtifactAnswer>(&format!("/artifacts/{}", segment(id))).await {
                Ok(found) => return Ok(found.artifact.metadata[PYTHON_CHOSEN].as_bool().unwrap_or(false)),
                Err(ClientError::Refused { status: 404 | 410, .. }) => return Ok(false),
                Err(e) => self.wait(&mut tries, &e).await?,
            }
        }
    }

    /// Waits before the next try, or gives up.
    async fn wait(&self, tries: &mut u32, error: &ClientError) -> Result<(), Failed> {
        *tries += 1;
        if !error.is_temporary() || *tries >= TRIES {
            return Err(Failed::new(code::FETCH_FAILED, chain(error)));
        }
        tokio::time::sleep(Duration::from_millis(200 << *tries)).await;
        Ok(())
    }

    /// Replaces references to files of other artifacts by those files.
    async fn resolve(&self, files: &mut [ArtifactFile]) -> Result<(), Failed> {
        let mut known: HashMap<String, Vec<ArtifactFile>> = HashMap::new();
        for file in files.iter_mut() {
            for _ in 0..4 {
                let Some(reference) = file.reference.clone() else { break };
                let Some((id, path)) = reference.strip_prefix(REFERENCE_PREFIX).and_then(|r| r.split_once('/')) else {
                    return Err(Failed::new(
                        code::FETCH_FAILED,
                        format!("`{}` is a reference to {reference}, which only a job can read", file.path),
                    ));
                };
                if !known.contains_key(id) {
                    known.insert(id.to_owned(), self.list(id).await?);
                }
                let found = known[id].iter().find(|f| f.path == path).cloned().ok_or_else(|| {
                    Failed::new(code::SOURCE_MISSING, format!("`{}` refers to {reference}, which is gone", file.path))
                })?;
                *file = ArtifactFile { path: std::mem::take(&mut file.path), ..found };
            }
        }
        Ok(())
    }

    /// Makes sure that the cache has the file's content.
    async fn provide(&self, file: &ArtifactFile, blob: &Path, md5: &str) -> Result<(), Failed> {
        if self.find(blob, file.size_bytes) {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            match self.download(file, blob, md5).await {
                Ok(()) => return Ok(()),
                Err(Download::Client(e)) => self.wait(&mut tries, &e).await?,
                Err(Download::Failed(e)) => return Err(e),
            }
        }
    }

    /// Whether the cache has a file of this length, which is then in use for as long as a fetch may take.
    fn find(&self, blob: &Path, size_bytes: i64) -> bool {
        let _held = LOOKED_AT.lock();
        let there = blob.metadata().is_ok_and(|m| i64::try_from(m.len()) == Ok(size_bytes));
        if there {
            let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.clock.now().0).unwrap_or(0));
            if let Err(e) = fs::File::open(blob).and_then(|f| f.set_modified(now)) {
                tracing::warn!("cannot note the use of {}: {e}", blob.display());
            }
        }
        there
    }

    async fn download(&self, file: &ArtifactFile, blob: &Path, md5: &str) -> Result<(), Download> {
        let local = |e: io::Error| Download::Failed(unwritable("the cache", &e));
        let url =
            if file.url.starts_with('/') { format!("{}{}", self.client.base(), file.url) } else { file.url.clone() };
        let mut stream = self.client.download(&url).await.map_err(Download::Client)?;
        let temporary = Temporary(blob.with_extension(format!("tmp-{}", Uuid::new_v4().simple())));
        let mut out = tokio::fs::File::create(&temporary.0).await.map_err(local)?;
        let mut hash = Md5::new();
        let mut left = u64::try_from(file.size_bytes).unwrap_or(0);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(Download::Client)?;
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                Download::Failed(Failed::new(code::FETCH_FAILED, format!("`{}` is longer than it says", file.path)))
            })?;
            hash.update(&bytes);
            out.write_all(&bytes).await.map_err(local)?;
        }
        out.flush().await.map_err(local)?;
        let found = hex(&hash.finalize());
        if found != md5 {
            return Err(Download::Failed(Failed::new(
                code::FETCH_FAILED,
                format!("the content of `{}` does not match its digest", file.path),
            )));
        }
        // A blob is checked by its length when it is used, so a power cut may not leave a hole of the right size.
        out.sync_all().await.map_err(local)?;
        tokio::fs::rename(&temporary.0, blob).await.map_err(local)
    }
}

enum Download {
    Client(ClientError),
    Failed(Failed),
}

/// Removes a file that did not get its final name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn unwritable(what: &str, error: &io::Error) -> Failed {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Failed::new(if full { code::NO_SPACE } else { code::FETCH_FAILED }, format!("cannot write {what}: {error}"))
}

/// Checks before anything is written that all of it has room: one content may be listed under many names.
fn fits_on_disk(folder: &Path, files: &[ArtifactFile]) -> Result<(), Failed> {
    let wanted: u64 = files.iter().map(|f| u64::try_from(f.size_bytes).unwrap_or(0)).fold(0, u64::saturating_add);
    let there = folder.ancestors().find(|p| p.exists()).unwrap_or(folder);
    let Ok(disk) = rustix::fs::statvfs(there) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if wanted <= free {
        return Ok(());
    }
    Err(Failed::new(
        code::NO_SPACE,
        format!("its {} files have {} MiB, and {} MiB are free", files.len(), wanted >> 20, free >> 20),
    ))
}

fn md5_of(file: &ArtifactFile) -> Result<String, Failed> {
    let digest = STANDARD.decode(&file.digest).ok().filter(|d| d.len() == 16);
    digest.map(|d| hex(&d)).ok_or_else(|| {
        Failed::new(code::FETCH_FAILED, format!("the digest of `{}` is no MD5: `{}`", file.path, file.digest))
    })
}

fn copy_all(folder: &Path, copies: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    make_dir(folder)?;
    for (blob, target) in copies {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        // A name that is there already is another file of the same artifact, a folder in the place of a file say.
        let mut out = OpenOptions::new().create_new(true).write(true).mode(0o644).open(target)?;
        io::copy(&mut fs::File::open(blob)?, &mut out)?;
    }
    Ok(())
}

/// Returns bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use lanza_model::clock::SystemClock;

    use super::*;
    use crate::fake_server::FakeServer;

    #[tokio::test]
    async fn what_is_hostile_is_refused_before_a_byte_is_written() {
        let server = FakeServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("blobs");
        fs::create_dir(&blobs).unwrap();
        let client = Client::new(&server.base, Some("k".repeat(40))).unwrap();
        let artifacts = Artifacts { client: &client, blobs: &blobs, clock: &SystemClock };
        let hostile = ["../out", "/etc/out", "a/../../out", "..\\out", "a/..", "a\0b"];
        for name in hostile {
            let files = vec![("good.py".to_owned(), b"1".to_vec()), (name.to_owned(), b"2".to_vec())];
            server.state.lock().artifacts.insert("evil".into(), files);
            let code = folder.path().join("code");
            let reason = artifacts.unpack("evil", &code).await.unwrap_err().named("code", "evil");
            assert_eq!(reason.code, "archive_hostile", "{name:?}");
            assert!(!code.exists() && fs::read_dir(&blobs).unwrap().next().is_none(), "{name:?}");
        }
        assert!(!folder.path().join("out").exists());

        // A file in the place of a folder: an error, and no file outside.
        let files = vec![("a".to_owned(), b"1".to_vec()), ("a/b".to_owned(), b"2".to_vec())];
        server.state.lock().artifacts.insert("clash".into(), files);
        let reason = artifacts.unpack("clash", &folder.path().join("clash")).await.unwrap_err().named("code", "clash");
        assert_eq!(reason.code, "fetch_failed");
    }

    #[tokio::test]
    async fn a_bomb_does_not_fill_the_disk() {
        let server = FakeServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let content = vec![b'x'; 1 << 20];
        server.state.lock().artifacts.insert("a".into(), vec![("x".into(), content.clone())]);
        let client = Client::new(&server.base, Some("k".repeat(40))).unwrap();
        let artifacts = Artifacts { client: &client, blobs: folder.path(), clock: &SystemClock };
        let honest = artifacts.list("a").await.unwrap().remove(0);

        // One content under so many names that no disk has room for them.
        let many: Vec<_> = (0..1000)
            .map(|n| ArtifactFile { path: n.to_string(), size_bytes: i64::MAX / 2, ..honest.clone() })
            .collect();
        let Err(failed) = fits_on_disk(folder.path(), &many) else { panic!("it fits") };
        assert_eq!(failed.named("code", "a").code, "no_space");
        assert!(fits_on_disk(&folder.path().join("not/there/yet"), std::slice::from_ref(&honest)).is_ok());

        // More than was said is cut off, and leaves no blob.
        let small = ArtifactFile { size_bytes: 1000, ..honest };
        let md5 = md5_of(&small).unwrap();
        assert!(artifacts.provide(&small, &folder.path().join(&md5), &md5).await.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    #[tokio::test]
    async fn what_is_fetched_is_in_use() {
        let server = FakeServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("blobs");
        fs::create_dir(&blobs).unwrap();
        server.state.lock().artifacts.insert("a".into(), vec![("x".into(), b"1".to_vec())]);
        let client = Client::new(&server.base, Some("k".repeat(40))).unwrap();
        let artifacts = Artifacts { client: &client, blobs: &blobs, clock: &SystemClock };
        artifacts.unpack("a", &folder.path().join("one")).await.unwrap();
        let blob = fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
        let before = SystemClock.now().plus_ms(-1000);
        assert!(!remove_unused(&blob, before).unwrap(), "it was brought just now");
        let age = || fs::File::open(&blob).unwrap().set_modified(UNIX_EPOCH).unwrap();
        age();
        artifacts.unpack("a", &folder.path().join("two")).await.unwrap();
        assert!(!remove_unused(&blob, before).unwrap(), "it was used just now");
        age();
        assert!(remove_unused(&blob, before).unwrap() && !blob.exists());
        assert!(remove_unused(&blob, before).unwrap(), "it is gone");
    }
}
