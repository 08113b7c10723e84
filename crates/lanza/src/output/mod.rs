//! What commands print: data on stdout, conversation on stderr.

pub(crate) mod item;
pub(crate) mod table;

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Writes data to stdout. A reader that went away (`| head`) is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!("cannot write to stdout: {e}"))),
        _ => Ok(()),
    }
}

/// Writes a line of data to stdout.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    data(&format!("{text}\n"))
}

/// Writes an object as JSON to stdout.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::failed(format!("cannot write JSON: {e}")))?;
    line(&text)
}

/// Writes an object as JSON to stdout, in one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&serde_json::to_string(value).map_err(|e| Failure::failed(format!("cannot write JSON: {e}")))?)
}

/// Says something to the person at the terminal.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Warns the person at the terminal.
pub(crate) fn warn(text: &str) {
    say(&format!("lanza: warning: {text}"));
}
