//! Streams end with the key or the session that opened them.

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use futures::{Stream, StreamExt, stream, stream::BoxStream};

use crate::{app::AppState, auth::authenticate};

/// How often a stream that has nothing to say asks whether its caller is still known.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How many events are said on one asking at most: a log says thousands of lines at once.
const AT_ONCE: usize = 500;

/// Passes on what `live` has to say while whoever sent `headers` is known: until the key is revoked or runs out, the session
/// ends, or the user is deleted, be it by another server on the same database. It is asked as for a request, before what is
/// there to be said at once, and while there is nothing.
pub(super) fn while_known<S, T>(state: AppState, headers: HeaderMap, live: S) -> BoxStream<'static, T>
where
    S: Stream<Item = T> + Send + 'static,
    T: Send + 'static,
{
    let known =
        stream::unfold((state, headers, live.ready_chunks(AT_ONCE).boxed()), |(state, headers, mut live)| async move {
            loop {
                let next = tokio::select! {
                    next = live.next() => Some(next?),
                    () = tokio::time::sleep(ASK_EVERY) => None,
                };
                // A stream that was cut off by a database that is away is opened again, and asked then.
                authenticate(&state, &headers, &Method::GET).await.ok()?;
                if let Some(events) = next {
                    return Some((stream::iter(events), (state, headers, live)));
                }
            }
        });
    known.flatten().boxed()
}
