//! The web app: the files of `ui/dist`, embedded in release builds and read from the source tree in debug builds.
//!
//! Browsers, and only they, ask for `text/html`: they get the app at each of its routes. Everything else keeps the plain
//! pages of [`crate::pages`] and JSON errors, so that scripts see no difference.

use std::borrow::Cow;

use axum::{
    extract::{Path, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::pages;

type Bytes = Cow<'static, [u8]>;

/// No inline scripts or styles, no other host. Files of users come from the storage routes, with a sandbox of their own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     media-src 'self'; font-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// Names with a content hash never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

#[cfg(not(debug_assertions))]
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

#[cfg(not(debug_assertions))]
fn read(name: &str) -> Option<Bytes> {
    let at = FILES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(Cow::Borrowed(FILES[at].1))
}

#[cfg(debug_assertions)]
fn read(name: &str) -> Option<Bytes> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    if !name.split('/').all(plain) {
        return None;
    }
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/dist")).join(name);
    std::fs::read(path).ok().map(Cow::Owned)
}

/// The app's page, when the caller is a browser and the app was built.
pub(crate) fn page(headers: &HeaderMap) -> Option<Response> {
    let wants_html = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|accept| accept.contains("text/html"));
    if !wants_html {
        return None;
    }
    file("index.html", headers).map(IntoResponse::into_response)
}

/// A file whose name has a content hash.
pub(crate) async fn asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    match file(&format!("assets/{name}"), &headers) {
        Some(found) => found.into_response(),
        None => pages::not_found(uri),
    }
}

/// The icon that browsers ask for by themselves.
pub(crate) async fn icon(uri: Uri, headers: HeaderMap) -> Response {
    match file("favicon.svg", &headers) {
        Some(found) => found.into_response(),
        None => pages::not_found(uri),
    }
}

/// Every route that is nobody else's: the app's page for browsers, an error in JSON for all others.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let page = if method == Method::GET || method == Method::HEAD { page(&headers) } else { None };
    match page {
        Some(page) => page,
        None => pages::not_found(uri),
    }
}

/// Takes the challenge out of refusals that the app gets: a browser would show a prompt of its own, above the app's
/// sign-in page. Plain http has no `Sec-Fetch-*`, so the app says who it is, and streams are known by what they accept.
pub(crate) async fn unprompted(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let streams = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/event-stream");
    let page = streams || headers.contains_key("x-lanza-app") || headers.contains_key("sec-fetch-mode");
    let mut response = next.run(request).await;
    if page {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response
}

type Found = (StatusCode, HeaderMap, Bytes);

/// Reads a file of the app, compressed where the caller takes that.
fn file(name: &str, headers: &HeaderMap) -> Option<Found> {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let takes = |coding: &str| {
        accepted.split(',').any(|part| {
            let (word, weight) = part.split_once(';').unwrap_or((part, ""));
            word.trim() == coding && !["q=0", "q=0.0"].contains(&weight.trim())
        })
    };
    let (coding, bytes) = match read(&format!("{name}.gz")) {
        Some(bytes) if takes("gzip") => (Some("gzip"), bytes),
        Some(bytes) => (None, unpacked(&bytes)?),
        None => (None, read(name)?),
    };
    let kept = if name.starts_with("assets/") { FOREVER } else { "no-cache" };
    let mut out = HeaderMap::new();
    let mut say = |header: HeaderName, value: &'static str| out.insert(header, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, media_type(name));
    say(header::CACHE_CONTROL, kept);
    say(header::VARY, "accept, accept-encoding");
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Some(coding) = coding {
        say(header::CONTENT_ENCODING, coding);
    }
    if matches!(name.rsplit_once('.'), Some((_, "html" | "svg"))) {
        say(header::CONTENT_SECURITY_POLICY, POLICY);
        say(header::REFERRER_POLICY, "same-origin");
        say(header::X_FRAME_OPTIONS, "DENY");
        say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    Some((StatusCode::OK, out, bytes))
}

/// The plain form of a gzipped file, for the rare caller that takes nothing else: release binaries have no other.
fn unpacked(gzipped: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzipped), &mut plain).ok()?;
    Some(Cow::Owned(plain))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn no_name_leads_out_of_the_app() {
        for name in ["../Cargo.toml", "assets/../../package.json", "/etc/passwd", ".env", "a//b", ""] {
            assert!(read(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_caller_that_takes_no_compression_gets_the_plain_file() {
        let mut gzipped = Vec::new();
        let mut packer = flate2::read::GzEncoder::new(b"plain words".as_slice(), flate2::Compression::best());
        std::io::Read::read_to_end(&mut packer, &mut gzipped).expect("packed");
        assert_eq!(unpacked(&gzipped).as_deref(), Some(b"plain words".as_slice()));
        assert!(unpacked(b"no archive").is_none());
    }

    #[tokio::test]
    async fn the_app_is_refused_without_a_prompt() {
        use tower::ServiceExt;
        let refuse = || async { (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"lanza\"")]) };
        let router =
            axum::Router::new().route("/", axum::routing::get(refuse)).layer(axum::middleware::from_fn(unprompted));
        for (name, value, prompted) in [
            ("accept", "*/*", true),
            ("accept", "text/event-stream", false),
            ("x-lanza-app", "1", false),
            ("sec-fetch-mode", "cors", false),
        ] {
            let request = Request::builder().uri("/").header(name, value).body(axum::body::Body::empty());
            let answer = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(answer.headers().contains_key(header::WWW_AUTHENTICATE), prompted, "{name}: {value}");
        }
    }

    #[tokio::test]
    async fn scripts_get_json_where_browsers_get_the_app() {
        let uri = Uri::from_static("/team-a/digits");
        let answer = fallback(Method::GET, uri.clone(), headers(&[(header::ACCEPT, "*/*")])).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        let browser =
            headers(&[(header::ACCEPT, "text/html,application/xhtml+xml"), (header::ACCEPT_ENCODING, "gzip, br")]);
        let posted = fallback(Method::POST, uri.clone(), browser.clone()).await;
        assert_eq!(posted.status(), StatusCode::NOT_FOUND, "only reads show the app");
        let shown = fallback(Method::GET, uri, browser).await;
        // Both kinds of build are tested: with the app and without.
        if read("index.html").is_some() {
            assert_eq!(shown.status(), StatusCode::OK);
            let policy = shown.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
            assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        } else {
            assert_eq!(shown.status(), StatusCode::NOT_FOUND);
        }
    }
}
