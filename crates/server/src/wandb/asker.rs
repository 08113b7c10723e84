//! Who calls, and as what they see this server.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use lanza_service::{Actor, Error};

use super::{Door, errors::Failed};
use crate::auth::{key_of, within_scope};

/// An authenticated client, whose key may do what the method of the request says.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) actor: Arc<Actor>,
    pub(super) base_url: String,
    /// The person whom a service account says it acts for.
    pub(super) on_behalf_of: Option<String>,
}

/// A client who asks in GraphQL. The method says nothing there, so the engine asks what the key may do.
#[derive(Debug)]
pub(super) struct Questioner(pub(super) Client);

impl FromRequestParts<Arc<Door>> for Questioner {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Failed> {
        let secret = key_of(&parts.headers)
            .ok_or_else(|| Error::Unauthenticated("no API key was sent; log in with `wandb login`".into()))?;
        let named = parts.headers.get("x-wandb-username").and_then(|v| v.to_str().ok()).map(str::trim);
        Ok(Self(Client {
            actor: door.service.authenticate(&secret).await?,
            base_url: base_url(&parts.headers),
            on_behalf_of: named.filter(|n| !n.is_empty()).map(str::to_owned),
        }))
    }
}

impl FromRequestParts<Arc<Door>> for Client {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Failed> {
        let Questioner(client) = Questioner::from_request_parts(parts, door).await?;
        let actor = within_scope(client.actor, &parts.method)?;
        Ok(Self { actor, ..client })
    }
}

/// Returns scheme, host and prefix as a proxy names them, else as the request does. One agent may reach the server under
/// another name than the job that it starts, so links are made for each request.
pub(crate) fn base_url(headers: &HeaderMap) -> String {
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
}
