//! The code of a job as a tar stream, owned by the user who will run it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
};

use bytes::Bytes;
use futures::Stream;
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

/// Code to be laid into a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    /// Folder on this machine.
    pub(crate) from: PathBuf,
    /// Folder in the container, absolute.
    pub(crate) to: PathBuf,
    /// User and group; none when only a name is known, and then everybody may write.
    pub(crate) owner: Option<(u64, u64)>,
}

/// Passes what is written on to a stream.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the archive of the code, made on another thread as it is read.
pub(crate) fn stream(code: Code) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, mut receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let out = io::BufWriter::with_capacity(256 * 1024, Pieces(sender.clone()));
        if let Err(e) = write(&code, out) {
            let _ = sender.blocking_send(Err(e));
        }
    });
    let poll = move |cx: &mut std::task::Context<'_>| receiver.poll_recv(cx);
    Box::pin(futures::stream::poll_fn(poll)) as Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>
}

fn write(code: &Code, out: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(out);
    let to = code.to.strip_prefix("/").unwrap_or(&code.to).to_owned();
    add(&mut archive, code, &code.from, &to)?;
    archive.into_inner()?.flush()
}

fn add(archive: &mut Builder<impl Write>, code: &Code, from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let mut header = Header::new_gnu();
    let (uid, gid) = code.owner.unwrap_or((0, 0));
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    let execute = metadata.permissions().mode() & 0o111;
    let open = if code.owner.is_none() { 0o022 } else { 0 };
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755 | open);
        header.set_size(0);
        archive.append_data(&mut header, to, io::empty())?;
        let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            add(archive, code, &entry.path(), &to.join(entry.file_name()))?;
        }
    } else if metadata.is_file() {
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644 | execute | open);
        header.set_size(metadata.len());
        archive.append_data(&mut header, to, File::open(from)?)?;
    } else if metadata.is_symlink() {
        // Only git makes these; where one points to is looked up inside the container.
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        archive.append_link(&mut header, to, fs::read_link(from)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_jobs_user() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pkg")).unwrap();
        fs::write(folder.path().join("pkg/a.py"), "x = 1\n").unwrap();
        fs::write(folder.path().join("run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        let code = Code { from: folder.path().into(), to: "/home/lanza/src".into(), owner: Some((1000, 1000)) };
        let mut bytes = Vec::new();
        write(&code, &mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                let h = e.header();
                (e.path().unwrap().display().to_string(), h.uid().unwrap(), h.mode().unwrap())
            })
            .collect();
        assert_eq!(
            entries,
            [
                ("home/lanza/src".into(), 1000, 0o755),
                ("home/lanza/src/pkg".into(), 1000, 0o755),
                ("home/lanza/src/pkg/a.py".into(), 1000, 0o644),
                ("home/lanza/src/run.sh".into(), 1000, 0o744),
            ]
        );
    }
}
