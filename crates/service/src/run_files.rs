//! Files of runs.

use bytes::Bytes;
use futures::Stream;
use lanza_model::{code, id::RunFileId};
use lanza_store::{files::RunFile, runs::Run};
use md5::{Digest, Md5};

use crate::{Actor, Error, Result, Service, links::Claim, runs::run_missing};

/// Largest file, in bytes.
pub const FILE_LIMIT: u64 = 64 << 30;

/// What the uploader says about a file beforehand.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// Size in bytes.
    pub size_bytes: Option<u64>,
    /// MD5 in base64.
    pub md5: Option<String>,
}

/// Writes a file's path inside a run in one way: no `./`, no empty parts.
///
/// # Errors
/// [`Error::Invalid`] when it is empty, climbs up, or is longer than 1,000 bytes.
pub fn clean_name(name: &str) -> Result<String> {
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let bad = parts.is_empty() || parts.contains(&"..") || name.len() > 1000 || name.contains(['\0', '\n', '\r']);
    if bad {
        return Err(Error::invalid("files", format!("`{}` is not a path of a file", name.escape_debug())));
    }
    Ok(parts.join("/"))
}

/// The content type of a file by its name.
pub fn mimetype(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "json" => "application/json",
        "jsonl" | "txt" | "log" | "py" | "patch" | "md" | "csv" | "sh" => "text/plain",
        "yaml" | "yml" => "application/yaml",
        "html" => "text/html",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "mp4" => "video/mp4",
        "wav" => "audio/wav",
        _ => "application/octet-stream",
    }
}

impl Service {
    /// Returns paths of links under which files of a run can be put, in the order of the names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is no path, [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_file_uploads(&self, actor: &Actor, run: &Run, names: &[String]) -> Result<Vec<String>> {
        self.project_writable(actor, &run.entity, &run.project).await?;
        names
            .iter()
            .map(|n| Ok(self.link(Claim::RunFilePut { run: run.id.to_string(), name: clean_name(n)? })))
            .collect()
    }

    /// Returns the path of a link under which a file can be fetched.
    pub fn run_file_link(&self, file: &RunFile) -> String {
        self.link(Claim::RunFileGet { run: file.run_id.to_string(), name: file.name.clone() })
    }

    /// Finds a file by its path in a run that the caller sees.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the run or the file.
    pub async fn run_file_find(
        &self,
        actor: &Actor,
        (entity, project, run): (&str, &str, &str),
        path: &str,
    ) -> Result<RunFile> {
        let missing = || Error::not_found("file", path);
        let run = self.run_find(actor, Some(entity), project, run).await?;
        let name = clean_name(path).map_err(|_| missing())?;
        self.store.run_file_by_name(&run.id, &name).await?.ok_or_else(missing)
    }

    /// Finds the file that a link for reading names; the bearer of the link may read it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was deleted since.
    pub async fn run_file_of_link(&self, run: &str, name: &str) -> Result<RunFile> {
        let missing = || Error::not_found("file", name);
        let run = run.parse().map_err(|_| missing())?;
        self.store.run_file_by_name(&run, name).await?.ok_or_else(missing)
    }

    /// Counts the files of a run that the caller was found to see.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_file_count(&self, run: &Run) -> Result<i64> {
        Ok(self.store.run_file_count(&run.id).await?)
    }

    /// Stores a file of a run; the bearer of a link does this. The file is listed when this returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] when size or MD5 are not as announced; nothing is stored then.
    pub async fn run_file_store(
        &self,
        run: &str,
        name: &str,
        announced: Announced,
        body: impl Stream<Item = Result<Bytes>> + Send + Unpin,
    ) -> Result<RunFile> {
        let run_id = run.parse().map_err(|_| run_missing(run))?;
        let run = self.store.run_by_id(&run_id).await?.ok_or_else(|| run_missing(run))?;
        let id = RunFileId::new();
        // A name of its own for each upload: who reads the old content reads it to its end.
        let blob = format!("runs/{}/{id}", run.id);
        let (size_bytes, md5) = self.blob_receive(&blob, name, announced, body).await?;
        let file = RunFile {
            id,
            run_id: run.id,
            name: name.to_owned(),
            blob,
            size_bytes: size_bytes as i64,
            md5,
            updated_at: self.now(),
        };
        match self.store.run_file_put(file.clone()).await {
            Ok(Some(old)) => self.store.blobs().delete(&old).await?,
            Ok(None) => {}
            Err(e) => {
                self.store.blobs().delete(&file.blob).await?;
                return Err(if matches!(e, lanza_store::Error::Moved) { run_missing(&run.name) } else { e.into() });
            }
        }
        Ok(file)
    }

    /// Stores a stream under `blob` if it is what was announced; returns its size and its MD5 in base64.
    async fn blob_receive(
        &self,
        blob: &str,
        name: &str,
        announced: Announced,
        body: impl Stream<Item = Result<Bytes>> + Send + Unpin,
    ) -> Result<(u64, String)> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let too_large = || Error::TooLarge { what: format!("the file `{name}`"), limit: "64 GiB".into() };
        if announced.size_bytes.is_some_and(|s| s > FILE_LIMIT) {
            return Err(too_large());
        }
        // Shared by the two callbacks, which run one after the other.
        let seen = parking_lot::Mutex::new((0_u64, Md5::new(), String::new()));
        self.store
            .blobs()
            .put_stream(
                blob,
                body,
                |bytes| {
                    let mut seen = seen.lock();
                    seen.0 += bytes.len() as u64;
                    seen.1.update(bytes);
                },
                || {
                    let mut seen = seen.lock();
                    let md5 = STANDARD.encode(std::mem::take(&mut seen.1).finalize());
                    if seen.0 > FILE_LIMIT {
                        return Err(too_large());
                    }
                    if let Some(size) = announced.size_bytes
                        && size != seen.0
                    {
                        return Err(Error::Invalid {
                            field: name.to_owned(),
                            why: format!("{} of {size} bytes arrived", seen.0),
                            code: code::UPLOAD_TRUNCATED,
                        });
                    }
                    if let Some(expected) = &announced.md5
                        && *expected != md5
                    {
                        return Err(Error::Invalid {
                            field: name.to_owned(),
                            why: format!("the MD5 of what arrived is {md5}, announced was {expected}"),
                            code: code::DIGEST_MISMATCH,
                        });
                    }
                    seen.2 = md5;
                    Ok(())
                },
            )
            .await?;
        let (size, _, md5) = seen.into_inner();
        Ok((size, md5))
    }

    /// Lists files of a run by path, after the path `after`: those named, or those like `pattern`, or all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_file_list(
        &self,
        run: &Run,
        names: &[String],
        pattern: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<RunFile>> {
        if names.is_empty() {
            return Ok(self.store.run_file_list(&run.id, pattern, after, limit).await?);
        }
        let mut names: Vec<String> = names.iter().filter_map(|n| clean_name(n).ok()).collect();
        names.sort();
        names.dedup();
        let mut found = Vec::new();
        for name in names.iter().filter(|n| n.as_str() > after) {
            found.extend(self.store.run_file_by_name(&run.id, name).await?);
            if found.len() as i64 >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// Deletes files by their ids.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_files_delete(&self, actor: &Actor, ids: &[String]) -> Result<()> {
        for id in ids {
            let missing = || Error::not_found("file", id);
            let parsed: RunFileId = id.parse().map_err(|_| missing())?;
            let file = self.store.run_file_by_id(&parsed).await?.ok_or_else(missing)?;
            self.run_writable(actor, file.run_id.as_str()).await?;
            if let Some(blob) = self.store.run_file_delete(&parsed).await? {
                self.store.blobs().delete(&blob).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_one_way_and_never_climb() {
        assert_eq!(clean_name("./media//a b=ü.png").expect("a path"), "media/a b=ü.png");
        for bad in ["", "/", "../x", "a/../../b", "."] {
            assert!(clean_name(bad).is_err(), "{bad}");
        }
    }
}
