//! What a manifest says, and what it may not say.

use base64::{Engine, engine::general_purpose::STANDARD};
use lanza_model::code;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Largest manifest in bytes: room for about half a million entries.
pub(super) const MANIFEST_LIMIT: u64 = 256 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: i64,
    contents: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    digest: String,
    #[serde(default)]
    size: Option<i64>,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default, rename = "birthArtifactID")]
    birth_artifact_id: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) digest: String,
    pub(super) size_bytes: i64,
    pub(super) reference: Option<String>,
    pub(super) birth_artifact_id: Option<String>,
}

/// Reads a manifest and checks its paths.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|e| Error::invalid("manifest", format!("cannot be read: {e}")))?;
    if document.version != 1 {
        return Err(Error::invalid("manifest.version", format!("is {}, and this server reads 1", document.version)));
    }
    document
        .contents
        .into_iter()
        .map(|(path, raw)| {
            check_path(&path)?;
            let raw: RawEntry = serde_json::from_value(raw)
                .map_err(|e| Error::invalid(format!("manifest.contents.{path}"), format!("cannot be read: {e}")))?;
            Ok(Entry {
                path,
                digest: raw.digest,
                size_bytes: raw.size.unwrap_or(0).max(0),
                reference: raw.reference.filter(|r| !r.is_empty()),
                birth_artifact_id: raw.birth_artifact_id,
            })
        })
        .collect()
}

/// Refuses paths that would leave the folder that an artifact is downloaded to.
pub(super) fn check_path(path: &str) -> Result<()> {
    let hostile = |why: &str| {
        let shown: String = path.chars().take(200).collect();
        Error::Invalid {
            field: "path".into(),
            why: format!("`{}` {why}", shown.escape_debug()),
            code: code::ARCHIVE_HOSTILE,
        }
    };
    if path.is_empty() || path.len() > 4096 {
        return Err(hostile("has 1 to 4096 bytes"));
    }
    if path.contains('\0') {
        return Err(hostile("contains a NUL"));
    }
    if path.starts_with('/') {
        return Err(hostile("is absolute"));
    }
    // Windows reads both slashes, and a drive letter.
    if path.split(['/', '\\']).any(|part| part == "..") {
        return Err(hostile("leads out of the artifact"));
    }
    let bytes = path.as_bytes();
    if path.starts_with('\\') || (bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":\\") {
        return Err(hostile("is absolute"));
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(hostile("is not in its shortest form"));
    }
    Ok(())
}

/// Returns the MD5 in hexadecimal that a base64 digest stands for.
pub(super) fn md5_hex(digest: &str) -> Result<String> {
    let bytes = STANDARD.decode(digest).ok().filter(|b| b.len() == 16);
    let bytes = bytes.ok_or_else(|| {
        Error::invalid("md5", format!("`{}` is not an MD5 in base64", digest.chars().take(64).collect::<String>()))
    })?;
    Ok(hex(&bytes))
}

/// Writes bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_artifact_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/./b",
            "a\\..\\..\\b",
            "C:\\x",
            "\\x",
            "a\0b",
            "a/",
        ] {
            let e = check_path(bad).expect_err(bad);
            assert_eq!(e.code(), code::ARCHIVE_HOSTILE, "{bad}");
        }
        for good in ["a", "deep/b b.bin", "ü/…", "a..b", "..a/b..", "C:/x", "-x"] {
            check_path(good).expect(good);
        }
        assert!(check_path(&"x".repeat(4097)).is_err());
    }

    #[test]
    fn a_manifest_is_read_as_clients_write_it() {
        let entries = parse(
            br#"{"version":1,"storagePolicy":"p","storagePolicyConfig":{"storageLayout":"V2"},"contents":{
                "train.py":{"digest":"W79aUjKOdDmubnGd/nEiAA==","size":4,"birthArtifactID":"b","local_path":"/home/me","skip_cache":false},
                "big":{"digest":"etag","ref":"s3://b/k","size":1,"extra":{"etag":"etag"}}}}"#,
        )
        .expect("legal");
        assert_eq!(entries[0].path, "train.py");
        assert_eq!(entries[0].size_bytes, 4);
        assert_eq!(entries[1].reference.as_deref(), Some("s3://b/k"));
        assert!(parse(br#"{"version":2,"contents":{}}"#).is_err());
        assert!(parse(br#"{"version":1,"contents":{"../x":{"digest":"a"}}}"#).is_err());
        assert!(parse(br#"{"version":1,"contents":{"x":{}}}"#).is_err());
        assert!(parse(b"[").is_err());
    }

    #[test]
    fn digests() {
        assert_eq!(md5_hex("1B2M2Y8AsgTpgAmY7PhCfg==").expect("legal"), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(md5_hex("W79a").is_err());
        assert!(md5_hex("../../x").is_err());
    }
}
