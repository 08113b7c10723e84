//! Just enough HTTP to read JSON from a server on loopback, so that this package stays quick to build.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The native API of one server, as one caller.
pub(crate) struct Rest {
    port: u16,
    key: String,
}

impl Rest {
    /// A caller with a key or the admin token.
    pub(crate) fn new(port: u16, key: &str) -> Self {
        Self { port, key: key.to_owned() }
    }

    /// Reads one object or page.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.call("GET", path, None)
    }

    /// Sends an object.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("POST", path, Some(body))
    }

    /// Reads a list to its end.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut page = self.get(path)?;
        loop {
            found.extend(page["items"].as_array().context("a list has `items`")?.iter().cloned());
            let Some(next) = page["next"].as_str() else { return Ok(found) };
            let joint = if path.contains('?') { '&' } else { '?' };
            page = self.get(&format!("{path}{joint}after={next}"))?;
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let what = format!("{method} {path}");
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).with_context(|| what.clone())?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        // Version 1.0 has no chunks: the answer ends where the connection does.
        write!(
            connection,
            "{method} /api/v1{path} HTTP/1.0\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            self.key,
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).with_context(|| what.clone())?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{what}: no HTTP answer"))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            bail!("{what}: {status} {body}");
        }
        if body.is_empty() { Ok(Value::Null) } else { serde_json::from_str(body).with_context(|| what) }
    }
}
