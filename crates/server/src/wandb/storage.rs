//! Bytes: uploads and downloads by signed links (`/storage/…`), and run files by name (`/files/…`).

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use futures::TryStreamExt;
use lanza_model::code;
use lanza_service::{
    Error, Result,
    links::Claim,
    run_files::{Announced, mimetype},
};
use serde_json::json;

use super::{Door, asker::Client, errors::Failed};

type Answer = std::result::Result<Response, Failed>;

/// `PUT /storage/{token}`: the bearer of the link stores what it is for.
pub(super) async fn put(
    State(door): State<Arc<Door>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let claim = door.service.link_check(&token)?;
    let announced = announced(&headers);
    let length = announced.size_bytes;
    // What breaks off on the way is not stored; the client sends it again.
    let body = Box::pin(body.into_data_stream().map_err(|e| Error::Invalid {
        field: "body".into(),
        why: format!("broke off: {e}"),
        code: code::UPLOAD_TRUNCATED,
    }));
    match claim {
        Claim::RunFilePut { run, name } => {
            door.service.run_file_store(&run, &name, announced, body).await?;
        }
        Claim::ArtifactFilePut { artifact, md5, .. } => {
            door.service.artifact_file_put(&artifact, &md5, length, body).await?;
        }
        Claim::ManifestPut { artifact, manifest, md5 } => {
            door.service.manifest_put((&artifact, &manifest), &md5, length, body).await?;
        }
        Claim::RunFileGet { .. } | Claim::BlobGet { .. } => {
            return Err(Error::Forbidden("this link is for downloads".into()).into());
        }
    }
    Ok(Json(json!({})).into_response())
}

/// `GET /storage/{token}`.
pub(super) async fn get(State(door): State<Arc<Door>>, Path(token): Path<String>, asked: Parts) -> Answer {
    match door.service.link_check(&token)? {
        Claim::RunFileGet { run, name } => {
            let file = door.service.run_file_of_link(&run, &name).await?;
            Ok(send(&door, &file.blob, &file.name, &asked).await?)
        }
        Claim::BlobGet { blob, name } => Ok(send(&door, &blob, &name, &asked).await?),
        _ => Err(Error::Forbidden("this link is for an upload".into()).into()),
    }
}

/// `GET /files/{entity}/{project}/{run}/{path}`: a run's file by name, for those who may read the run.
pub(super) async fn get_by_name(
    State(door): State<Arc<Door>>,
    Path((entity, project, run, path)): Path<(String, String, String, String)>,
    client: Client,
    asked: Parts,
) -> Answer {
    let file = door.service.run_file_find(&client.actor, (&entity, &project, &run), &path).await?;
    Ok(send(&door, &file.blob, &file.name, &asked).await?)
}

/// `OPTIONS`: pages of other origins may read, as the client's own check expects.
pub(super) async fn options() -> impl IntoResponse {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, content-md5, range"),
    ];
    (StatusCode::NO_CONTENT, headers)
}

fn announced(headers: &HeaderMap) -> Announced {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    Announced {
        size_bytes: text("content-length").and_then(|n| n.parse().ok()),
        md5: text("content-md5").map(str::to_owned),
    }
}

/// Uploaded pages must not act as pages of this server, and whoever looks at one tells no other host of it: the client writes a
/// link to its vendor's style sheet into every `wandb.Html`.
const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data: blob:";

/// Answers with a blob, or with the part of it that is asked for: from here, or from the object store itself.
pub(super) async fn send(door: &Door, blob: &str, name: &str, asked: &Parts) -> Result<Response> {
    let headers = &asked.headers;
    // Browsers get everything from here: the app speaks with no other host, and pages from elsewhere are not sandboxed.
    let browser = headers.contains_key("sec-fetch-mode") || headers.contains_key(header::ORIGIN);
    // A link is signed for one method.
    if !browser
        && asked.method == Method::GET
        && let Some(link) = door.service.blob_link(blob).await
    {
        return Ok(Redirect::temporary(&link).into_response());
    }
    let missing = || Error::not_found("file", name);
    let range = match headers.get(header::RANGE).and_then(|v| v.to_str().ok()) {
        Some(asked) => {
            let size = door.service.blob_size(blob).await?.ok_or_else(missing)?;
            range(asked, size)
        }
        None => None,
    };
    let found = door.service.blob_open(blob, range.clone()).await?;
    let (size, bytes) = found.ok_or_else(missing)?;
    let mut response = Body::from_stream(bytes).into_response();
    let length = range.as_ref().map_or(size, |r| r.end - r.start);
    let out = response.headers_mut();
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(mimetype(name)));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        out.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits are a legal header"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`; anything else, and what lies outside, is answered whole.
fn range(asked: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let (from, to) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.trim(), to.trim()) {
        ("", last) => size.saturating_sub(last.parse().ok()?)..size,
        (from, "") => from.parse().ok()?..size,
        (from, to) => from.parse().ok()?..to.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_cut_to_the_file() {
        assert_eq!(range("bytes=0-3", 10), Some(0..4));
        assert_eq!(range("bytes=4-", 10), Some(4..10));
        assert_eq!(range("bytes=-3", 10), Some(7..10));
        assert_eq!(range("bytes=5-99", 10), Some(5..10));
        for whole in ["bytes=10-", "bytes=3-1", "lines=1-2", "bytes=0-1,4-5"] {
            assert_eq!(range(whole, 10), None, "{whole}");
        }
    }
}
