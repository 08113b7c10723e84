//! Server-sent events, as the server's streams send them.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lanza_api::ClientError;

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name, empty for the usual one.
    pub(crate) name: String,
    /// Its content.
    pub(crate) data: String,
}

/// Cuts a stream of bytes into events.
pub(crate) struct Events<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Stream<Item = Result<Bytes, ClientError>> + Unpin> Events<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Waits for the next event; none when the server closed the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|w| w == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(event));
                }
            }
            match self.stream.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes?),
                None => return Ok(None),
            }
        }
    }
}

/// Reads one event; none for a block of comments only.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut any = false;
    for line in block.lines() {
        let Some((field, value)) = line.split_once(':').filter(|(field, _)| !field.is_empty()) else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => {
                if any {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                any = true;
            }
            _ => {}
        }
    }
    (any || !event.name.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_cut_wherever_the_bytes_break() {
        let text = ": ping\n\nid: 1\ndata: {\"a\":\ndata: 1}\n\nevent: end\ndata: {}\n\n";
        for size in 1..text.len() {
            let pieces: Vec<Result<Bytes, ClientError>> =
                text.as_bytes().chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let mut events = Events::new(futures::stream::iter(pieces));
            let first = events.next().await.expect("no error").expect("an event");
            assert_eq!(first, Event { name: String::new(), data: "{\"a\":\n1}".into() });
            assert_eq!(events.next().await.expect("no error").expect("an event").name, "end");
            assert_eq!(events.next().await.expect("no error"), None);
        }
    }
}
