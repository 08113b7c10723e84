//! Addresses and references that may be handed to the `git` command.

use lanza_model::{Reason, code};
use url::Url;

/// Checks the address of a repository; `http_hosts` may be asked over plain http.
pub(super) fn check_remote(remote: &str, http_hosts: &[String]) -> Result<(), Reason> {
    let refused = |why: &str| Reason::new(code::GIT_REFUSED, format!("the git address `{}` {why}", redact(remote)));
    if remote.starts_with('-') || remote.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused("is not an address"));
    }
    if remote.contains("::") {
        return Err(refused("names a transport that is not allowed"));
    }
    if let Some(url) = parsed(remote) {
        let host = url.host_str().unwrap_or_default();
        // Other readers of addresses take `https:///host` for one without a host.
        if host.is_empty() || remote.contains(":///") || host.starts_with('-') || url.username().starts_with('-') {
            return Err(refused("has no host"));
        }
        return match url.scheme() {
            "https" | "ssh" => Ok(()),
            "http"
                if http_hosts.iter().any(|h| h.eq_ignore_ascii_case(host) || h.eq_ignore_ascii_case(&place(&url))) =>
            {
                Ok(())
            }
            "http" => Err(refused("uses plain http, which this agent allows for no such host")),
            _ => Err(refused("uses a transport that is not allowed")),
        };
    }
    if remote.contains("://") {
        return Err(refused("is not an address"));
    }
    match remote.split_once(':') {
        Some((login, path))
            if !path.is_empty()
                && !path.starts_with('-')
                && !login.contains('/')
                && login.split_once('@').is_some_and(|(_, host)| !host.is_empty() && !host.starts_with('-')) =>
        {
            Ok(())
        }
        _ => Err(refused("is none of https://…, ssh://…, user@host:path")),
    }
}

/// Checks a commit, branch or tag.
pub(super) fn check_reference(reference: &str) -> Result<(), Reason> {
    let plain = !reference.is_empty()
        && !reference.starts_with('-')
        && !reference.contains("..")
        && reference.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@#".contains(c));
    if plain {
        return Ok(());
    }
    Err(Reason::new(code::GIT_REFUSED, format!("`{}` is not a commit, branch or tag", reference.escape_debug())))
}

/// Returns the address without a password.
pub(crate) fn redact(remote: &str) -> String {
    match parsed(remote) {
        Some(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => remote.to_owned(),
    }
}

/// An address without secrets, and what was taken out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// To be shown, stored and handed to `git`.
    pub(super) plain: String,
    /// Host with the port, if one is named.
    pub(super) place: String,
    /// Host alone.
    pub(super) host: String,
    /// `https`, `http` or `ssh`.
    pub(super) scheme: String,
    /// User and password of an https address.
    pub(super) login: Option<(String, String)>,
}

impl Address {
    /// Takes a checked address apart.
    pub(super) fn of(remote: &str) -> Self {
        let Some(mut url) = parsed(remote) else {
            let place = remote.split_once(':').map_or(remote, |(l, _)| l);
            let host = place.rsplit_once('@').map_or(place, |(_, h)| h).to_owned();
            return Self { plain: remote.to_owned(), place: host.clone(), host, scheme: "ssh".into(), login: None };
        };
        let (place, host, scheme) =
            (place(&url), url.host_str().unwrap_or_default().to_owned(), url.scheme().to_owned());
        let mut login = None;
        if scheme == "ssh" {
            let _ = url.set_password(None);
        } else {
            if !url.username().is_empty() || url.password().is_some() {
                login = Some((decoded(url.username()), decoded(url.password().unwrap_or_default())));
            }
            let _ = url.set_password(None);
            let _ = url.set_username("");
        }
        // `Url` may add a slash at the end of a bare host; git does not mind.
        Self { plain: url.to_string(), place, host, scheme, login }
    }
}

fn parsed(remote: &str) -> Option<Url> {
    if remote.contains("://") { Url::parse(remote).ok() } else { None }
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |p| format!("{host}:{p}"))
}

/// Undoes percent encoding.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok()))
            .flatten();
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_transports_and_plain_references() {
        let hosts = ["git.local".to_owned(), "127.0.0.1:8080".to_owned()];
        for good in [
            "https://h/r.git",
            "ssh://git@h:22/r",
            "git@h:acme/r.git",
            "http://git.local/r",
            "http://GIT.local:81/r",
            "http://127.0.0.1:8080/r",
        ] {
            assert!(check_remote(good, &hosts).is_ok(), "{good}");
        }
        for bad in [
            "http://h/r",
            "http://127.0.0.1:8081/r",
            "file:///etc",
            "FILE:///etc",
            "ext::sh -c id",
            "--upload-pack=x",
            "/srv/r",
            "git://h/r",
            "ssh://-oProxyCommand=x/r",
            "git@-oProxyCommand=x:r",
            "git@h:-x",
            "h:r",
            "https:///r",
            "https://h/r\n",
            "",
        ] {
            assert!(check_remote(bad, &hosts).is_err(), "{bad}");
        }
        for good in ["main", "v1.2", "feature/x", "HEAD", &"a".repeat(40)] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "--upload-pack=touch", "a..b", "a b", "a:b", "HEAD^{/x}", "a~1", "$(id)"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        assert_eq!(redact("https://u:secret@h/r"), "https://u:***@h/r");
    }

    #[test]
    fn secrets_leave_the_address() {
        let a = Address::of("https://ann:p%40ss@h.example:8443/r.git");
        assert_eq!((a.plain.as_str(), a.place.as_str()), ("https://h.example:8443/r.git", "h.example:8443"));
        assert_eq!(a.login, Some(("ann".into(), "p@ss".into())));
        let a = Address::of("ssh://git@h:2222/r.git");
        assert_eq!((a.plain.as_str(), a.host.as_str(), a.scheme.as_str()), ("ssh://git@h:2222/r.git", "h", "ssh"));
        let a = Address::of("git@h.example:acme/r.git");
        assert_eq!((a.plain.as_str(), a.host.as_str(), a.login), ("git@h.example:acme/r.git", "h.example", None));
    }
}
