//! The log of a container, copied into its attempt's folder while the container runs.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use tokio::{sync::Notify, time::sleep};
use tracing::{debug, warn};

use super::{Engine, status_code};

/// Copies a container's log to the end of `log`, from where it stands: the engine gives out the same bytes in the same
/// order every time, so the file's length says how many to skip.
pub(super) async fn copy(engine: &Engine, id: &str, log: &Path, changed: &Notify) {
    let mut failures = 0;
    loop {
        let ended = async {
            copy_from_here(engine, id, log, true).await?;
            // The followed stream may end a moment before the last bytes are in; what is there now is all.
            copy_from_here(engine, id, log, false).await
        };
        match ended.await {
            Ok(()) => match is_running(engine, id).await {
                Ok(true) => {}
                Ok(false) => {
                    changed.notify_waiters();
                    return;
                }
                Err(e) => debug!("cannot ask about the container {id}: {e}"),
            },
            Err(CopyError::Gone) => return,
            Err(CopyError::Later(e)) => {
                failures += 1;
                if failures == 1 || failures % 60 == 0 {
                    warn!("cannot read the log of the container {id}: {e}");
                }
                // Nothing reads a log driver that does not store; the outcome does not wait for it for ever.
                if failures > 30 && matches!(is_running(engine, id).await, Ok(false)) {
                    return;
                }
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

enum CopyError {
    Gone,
    Later(String),
}

async fn is_running(engine: &Engine, id: &str) -> Result<bool, String> {
    let docker = engine.connect().await.map_err(|e| e.to_string())?;
    match docker.inspect_container(id, None).await {
        Ok(found) => Ok(found.state.and_then(|s| s.running).unwrap_or(false)),
        Err(e) if status_code(&e) == Some(404) => Ok(false),
        Err(e) => {
            if status_code(&e).is_none() {
                engine.found_away();
            }
            Err(e.to_string())
        }
    }
}

async fn copy_from_here(engine: &Engine, id: &str, log: &Path, follow: bool) -> Result<(), CopyError> {
    let later = |e: io::Error| CopyError::Later(e.to_string());
    let docker = engine.connect().await.map_err(|e| CopyError::Later(e.to_string()))?;
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(later)?;
    let mut skip = file.metadata().map_err(later)?.len();
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).build();
    let mut stream = std::pin::pin!(docker.logs(id, Some(options)));
    while let Some(piece) = stream.next().await {
        let bytes = match piece {
            Ok(piece) => piece.into_bytes(),
            Err(e) if status_code(&e) == Some(404) => return Err(CopyError::Gone),
            Err(e) => {
                if status_code(&e).is_none() {
                    engine.found_away();
                }
                return Err(CopyError::Later(e.to_string()));
            }
        };
        let known = usize::try_from(skip.min(bytes.len() as u64)).unwrap_or(bytes.len());
        skip -= known as u64;
        io::Write::write_all(&mut file, &bytes[known..]).map_err(later)?;
    }
    Ok(())
}
