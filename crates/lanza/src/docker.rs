//! Asks whether a Docker engine is there.

use std::{fmt, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::environment::{DOCKER_HOST, Environment};

/// Address of a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Path of a socket.
    Unix(String),
    /// HOST:PORT.
    Tcp(String),
    /// An address that only Docker's own tools can use (`ssh://…`).
    Other(String),
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Engine {
    /// Reads `DOCKER_HOST`.
    pub(crate) fn of(environment: &Environment) -> Self {
        let Some(text) = environment.get(DOCKER_HOST) else { return Self::Unix("/var/run/docker.sock".into()) };
        match text.split_once("://") {
            Some(("unix", path)) => Self::Unix(path.to_owned()),
            Some(("tcp" | "http", address)) => Self::Tcp(address.trim_end_matches('/').to_owned()),
            _ => Self::Other(text.to_owned()),
        }
    }

    /// Whether the engine answers in that time.
    pub(crate) async fn answers_within(&self, limit: Duration) -> bool {
        let asked = async {
            match self {
                Self::Unix(path) => pings(UnixStream::connect(path).await.ok()?).await,
                Self::Tcp(address) => pings(TcpStream::connect(address).await.ok()?).await,
                Self::Other(_) => None,
            }
        };
        matches!(timeout(limit, asked).await, Ok(Some(())))
    }
}

async fn pings(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await.ok()?;
    let mut answer = [0_u8; 64];
    let mut filled = 0;
    while filled < 12 {
        match stream.read(&mut answer[filled..]).await.ok()? {
            0 => return None,
            n => filled += n,
        }
    }
    let first = std::str::from_utf8(&answer[..12]).ok()?;
    (first.starts_with("HTTP/1.") && first.ends_with(" 200")).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_engine_that_answers_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let engine = Engine::of(&Environment::from([("DOCKER_HOST", format!("unix://{}", path.display()).as_str())]));
        assert!(!engine.answers_within(Duration::from_secs(1)).await, "nothing listens");
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let fake = async {
            let (mut stream, _) = listener.accept().await.expect("connected");
            let mut request = [0_u8; 256];
            let n = stream.read(&mut request).await.expect("read");
            assert!(request[..n].starts_with(b"GET /_ping "));
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nOK").await.expect("written");
        };
        let (answers, ()) = tokio::join!(engine.answers_within(Duration::from_secs(5)), fake);
        assert!(answers);
        assert!(!engine.answers_within(Duration::from_millis(50)).await, "it accepts and says nothing");
    }
}
