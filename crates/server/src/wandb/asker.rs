//! Who calls, and as what they see this server.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use lanza_service::{Actor, Error};

use super::{Door, errors::Failed};

/// An authenticated client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) actor: Arc<Actor>,
    pub(super) base_url: String,
}

impl FromRequestParts<Arc<Door>> for Client {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Failed> {
        let secret = secret(&parts.headers)
            .ok_or_else(|| Error::Unauthenticated("no API key was sent; log in with `wandb login`".into()))?;
        Ok(Self { actor: door.service.authenticate(&secret).await?, base_url: base_url(&parts.headers) })
    }
}

/// The server's address as the caller sees it; needs no key.
#[derive(Debug)]
pub(super) struct BaseUrl(pub(super) String);

impl<S: Sync> FromRequestParts<S> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(base_url(&parts.headers)))
    }
}

/// Returns the key: the password of `Basic` (clients send different users), or a `Bearer` token.
fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, secret)| secret.to_owned())
}

/// Returns scheme, host and prefix as a proxy names them, else as the request does. One agent may reach the server under
/// another name than the job that it starts, so links are made for each request.
fn base_url(headers: &HeaderMap) -> String {
    let first = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let scheme = first("x-forwarded-proto").filter(|s| s == "https" || s == "http").unwrap_or_else(|| "http".into());
    let host = first("x-forwarded-host").or_else(|| first("host")).unwrap_or_else(|| "localhost".into());
    let prefix = first("x-forwarded-prefix").unwrap_or_default();
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}/{prefix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().expect("a name"), v.parse().expect("a value"))).collect()
    }

    #[test]
    fn links_name_the_server_as_the_caller_does() {
        assert_eq!(base_url(&headers(&[("host", "localhost:8080")])), "http://localhost:8080");
        let proxied = [("host", "inner"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "ml.example, b")];
        assert_eq!(base_url(&headers(&proxied)), "https://ml.example");
        assert_eq!(base_url(&headers(&[("host", "h"), ("x-forwarded-prefix", "/wb/")])), "http://h/wb");
    }

    #[test]
    fn the_user_of_a_basic_header_does_not_matter() {
        let basic = format!("Basic {}", STANDARD.encode("anyone:local-abc:d"));
        assert_eq!(secret(&headers(&[("authorization", &basic)])).as_deref(), Some("local-abc:d"));
        assert_eq!(secret(&headers(&[("authorization", "Bearer t")])).as_deref(), Some("t"));
        assert_eq!(secret(&headers(&[("authorization", "Basic %%%")])), None);
    }
}
