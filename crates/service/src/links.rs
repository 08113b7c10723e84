//! Signed links: uploads and downloads without a key.
//!
//! A link is a claim (what may be done to which bytes until when) and an HMAC over it, both in the path, so that it
//! works with every client that only knows a URL.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use lanza_model::{clock::Time, code};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Error, Result, Service};

/// How long links live: clients ask for thousands at once and then work through them.
pub const LIFE_MS: i64 = 24 * 3_600_000;

/// How long links live that an object store signs: each is made for one download that begins at once.
const STORE_LINK_LIFE: Duration = Duration::from_secs(15 * 60);

/// What the bearer of a link may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// Put a file of a run.
    #[serde(rename = "rp")]
    RunFilePut {
        /// Row id of the run.
        run: String,
        /// Path inside the run.
        name: String,
    },
    /// Get a file of a run.
    #[serde(rename = "rg")]
    RunFileGet {
        /// Row id of the run.
        run: String,
        /// Path inside the run.
        name: String,
    },
    /// Put a file of an artifact version.
    #[serde(rename = "ap")]
    ArtifactFilePut {
        /// Id of the artifact version.
        artifact: String,
        /// Path inside the artifact.
        name: String,
        /// Announced MD5, base64.
        md5: String,
    },
    /// Put the manifest of an artifact version.
    #[serde(rename = "mp")]
    ManifestPut {
        /// Id of the artifact version.
        artifact: String,
        /// Id of the manifest.
        manifest: String,
        /// Announced MD5, base64.
        md5: String,
    },
    /// Get a stored blob.
    #[serde(rename = "bg")]
    BlobGet {
        /// Name of the blob.
        blob: String,
        /// File name to offer.
        name: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Signed {
    #[serde(rename = "c")]
    claim: Claim,
    #[serde(rename = "x")]
    expires_at_ms: i64,
}

/// Signs claims and checks them.
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("an HMAC takes keys of any length"))
    }

    fn sign(&self, claim: Claim, expires_at: Time) -> String {
        let body = serde_json::to_vec(&Signed { claim, expires_at_ms: expires_at.0 }).expect("claims are plain data");
        let tag = self.0.clone().chain_update(&body).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(&tag[..16]))
    }

    fn check(&self, token: &str, now: Time) -> Option<Claim> {
        let (body, tag) = token.split_once('.')?;
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok().filter(|t| t.len() == 16)?;
        self.0.clone().chain_update(&body).verify_truncated_left(&tag).ok()?;
        let signed: Signed = serde_json::from_slice(&body).ok()?;
        (signed.expires_at_ms > now.0).then_some(signed.claim)
    }
}

impl Service {
    /// Returns the path of a link, to be joined to the server's address as the caller sees it: `/storage/…`.
    pub fn link(&self, claim: Claim) -> String {
        format!("/storage/{}", self.links.sign(claim, self.now().plus_ms(LIFE_MS)))
    }

    /// Returns a link with which a blob is read from the object store itself; none where its bytes go through this
    /// server.
    pub async fn blob_link(&self, blob: &str) -> Option<String> {
        // Some credentials cannot sign, or need the provider for it. The bytes can be had all the same.
        let signed = self.store.blobs().link(blob, STORE_LINK_LIFE).await;
        signed
            .inspect_err(|error| tracing::warn!(%error, "the object store signs no link"))
            .ok()
            .flatten()
            .map(Into::into)
    }

    /// Returns what the bearer of a link may do.
    ///
    /// # Errors
    /// [`Error::Conflict`] with [`code::LINK_EXPIRED`] when the link is old or not ours.
    pub fn link_check(&self, token: &str) -> Result<Claim> {
        self.links.check(token, self.now()).ok_or_else(|| Error::Conflict {
            message: "this link has expired or was not made by this server".into(),
            code: code::LINK_EXPIRED,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_until_it_expires_and_only_as_it_was_signed() {
        let signer = Signer::new(b"secret");
        let claim = Claim::RunFileGet { run: "r".into(), name: "a/ü.txt".into() };
        let token = signer.sign(claim.clone(), Time(1000));
        assert_eq!(signer.check(&token, Time(999)), Some(claim));
        assert_eq!(signer.check(&token, Time(1000)), None);
        assert_eq!(Signer::new(b"other").check(&token, Time(0)), None);
        let (body, tag) = token.split_once('.').expect("two parts");
        let forged = URL_SAFE_NO_PAD.encode(
            String::from_utf8(URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("JSON").replace("1000", "9999"),
        );
        assert_eq!(signer.check(&format!("{forged}.{tag}"), Time(0)), None);
        assert_eq!(signer.check("", Time(0)), None);
    }
}
