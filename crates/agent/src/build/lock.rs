//! One builder at a time for one key.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use crate::command::Commands;

/// Takes the lock of a key, however long that takes, and says so once in the log. The file is handed to the builder, so
/// the lock lasts until the builder of a killed agent is gone too.
pub(crate) async fn take(commands: &Commands<'_>, path: &Path) -> io::Result<File> {
    let file = open(path)?;
    let mut said = false;
    while let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if e != rustix::io::Errno::WOULDBLOCK {
            return Err(e.into());
        }
        if !said {
            commands.say("waiting for another build of the same environment");
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(file)
}

/// Takes the lock of a key if nobody has it.
pub(crate) fn take_if_free(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(e) if e == rustix::io::Errno::WOULDBLOCK => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}
