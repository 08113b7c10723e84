//! Answers that come before the request's body was read: a wrong key, an unknown path, a body over its limit.
//!
//! Left alone, the HTTP library closes such a connection after the answer without having said so, and whatever the
//! client sends next on it is reset: a wrong key would break the request after it. So a small rest is read away before
//! the answer goes out, and where the rest is long or slow the answer says that the connection ends here.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

/// The rest of a body that is read away so that the connection can be used again.
const REST_BYTES: u64 = 4 << 20;
/// How long that may take.
const REST_LIMIT: Duration = Duration::from_secs(2);

/// Leaves no answered request half read.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (give, mut left) = oneshot::channel();
    let request = request.map(|inner| Body::new(Lent { inner: Some(inner), give: Some(give) }));
    let mut response = next.run(request).await;
    if let Ok(rest) = left.try_recv()
        && !read_away(rest).await
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body to its end; false when it is too long, too slow or broken.
async fn read_away(mut rest: Body) -> bool {
    let read = async {
        let mut bytes = 0_u64;
        while bytes.saturating_add(rest.size_hint().lower()) <= REST_BYTES {
            match rest.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            }
        }
        false
    };
    tokio::time::timeout(REST_LIMIT, read).await.unwrap_or(false)
}

/// A body that comes back when its reader lets go of it before its end.
struct Lent {
    inner: Option<Body>,
    give: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.as_ref().map_or_else(|| http_body::SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(inner), Some(give)) = (self.inner.take(), self.give.take())
            && !inner.is_end_stream()
        {
            // Nobody asks for it when the request itself was given up.
            let _ = give.send(inner);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_outlives_an_answer_that_came_before_the_body() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new()
            .fallback(|| async { axum::http::StatusCode::UNAUTHORIZED })
            .layer(axum::middleware::from_fn(layer));
        tokio::spawn(async move { axum::serve(listener, app).await });

        // The body comes in a packet of its own, as Python's clients send it.
        let mut wire = tokio::net::TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            wire.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            wire.write_all(b"{}").await.unwrap();
            let mut answer = [0; 1024];
            let n = wire.read(&mut answer).await.unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer[..n]));
        }

        // A body that nobody will wait for: the answer says that the connection ends.
        wire.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{}").await.unwrap();
        let mut answer = String::new();
        wire.read_to_string(&mut answer).await.unwrap();
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
}
