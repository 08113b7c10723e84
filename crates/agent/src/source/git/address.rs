//! Addresses and references that may be handed to the `git` command.

use lanza_model::{Reason, code, git};
use percent_encoding::percent_decode_str;
use url::Url;

/// Checks the address of a repository; `http_hosts` may be asked over plain http.
pub(super) fn check_remote(remote: &str, http_hosts: &[String]) -> Result<(), Reason> {
    let refused =
        |why: git::Refused| Reason::new(code::GIT_REFUSED, format!("the git address `{}` {why}", git::shown(remote)));
    git::check_remote_allowing(remote, http_hosts).map_err(refused)?;
    if remote.contains("://") && parsed(remote).is_none() {
        return Err(refused(git::Refused("is not an address")));
    }
    Ok(())
}

/// Checks a commit, branch or tag.
pub(super) fn check_reference(reference: &str) -> Result<(), Reason> {
    let refused = |why| Reason::new(code::GIT_REFUSED, format!("`{}` {why}", reference.escape_debug()));
    git::check_reference(reference).map_err(refused)
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
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_address_without_its_password() {
        let refused = check_remote("http://u:secret@h/r", &[]).unwrap_err();
        assert_eq!(refused.code, code::GIT_REFUSED.word);
        assert!(refused.message.contains("`http://u:***@h/r`"), "{}", refused.message);
        assert!(check_remote("http://u:secret@h/r", &["h".to_owned()]).is_ok());
        // Whoever reads it next would take it for another address.
        assert!(check_remote("https://h:99999/r", &[]).is_err());
        assert!(check_reference("--upload-pack=x").unwrap_err().message.contains("`--upload-pack=x`"));
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
