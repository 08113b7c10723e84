//! Addresses and references of git that may be handed to the `git` command.
//!
//! Only https, ssh and `user@host:path`: other transports run programs or read local files, and plain http shows
//! passwords. Nothing may be taken for an option.

/// Why an address or a reference is refused, a clause that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// Checks the address of a repository.
///
/// # Errors
/// Says why it is refused.
pub fn check_remote(remote: &str) -> Result<(), Refused> {
    check_remote_allowing(remote, &[])
}

/// Checks the address of a repository where the hosts of `http_hosts` (`host` or `host:port`) may be asked over plain http.
///
/// # Errors
/// Says why it is refused.
pub fn check_remote_allowing(remote: &str, http_hosts: &[String]) -> Result<(), Refused> {
    if remote.is_empty() || remote.starts_with('-') || remote.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refused("is not an address"));
    }
    // How git tells that a helper program is meant; elsewhere the two are part of an IPv6 address or a path.
    let helper = |prefix: &str| prefix.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if remote.split_once("::").is_some_and(|(prefix, _)| helper(prefix)) {
        return Err(Refused("names a transport that is not allowed"));
    }
    if let Some((scheme, rest)) = remote.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        // Escapes that git would undo could hide an option.
        let is_plain = place.chars().all(|c| c.is_alphanumeric() || "._-:[]".contains(c));
        if place.is_empty() || place.starts_with([':', '-']) || !is_plain || login.starts_with('-') {
            return Err(Refused("has no host"));
        }
        let host = place.rsplit_once(':').filter(|(_, p)| !p.contains(']')).map_or(place, |(h, _)| h);
        return match scheme.to_ascii_lowercase().as_str() {
            "https" | "ssh" => Ok(()),
            "http" if http_hosts.iter().any(|h| h.eq_ignore_ascii_case(host) || h.eq_ignore_ascii_case(place)) => {
                Ok(())
            }
            "http" => Err(Refused("uses plain http, which is not allowed for its host; use https or ssh")),
            _ => Err(Refused("uses a transport that is not allowed; use https or ssh")),
        };
    }
    if remote.split(':').next().is_some_and(|s| s.eq_ignore_ascii_case("file") || s.eq_ignore_ascii_case("ext")) {
        return Err(Refused("uses a transport that is not allowed; use https or ssh"));
    }
    match remote.split_once(':') {
        Some((login, path))
            if !path.is_empty()
                && !path.starts_with('-')
                && !login.contains('/')
                && login
                    .split_once('@')
                    .is_some_and(|(u, h)| !u.is_empty() && !h.is_empty() && !h.starts_with('-')) =>
        {
            Ok(())
        }
        _ => Err(Refused("is none of https://…, ssh://…, user@host:path")),
    }
}

/// Checks the name of a commit, branch or tag.
///
/// # Errors
/// Says why it is refused.
pub fn check_reference(reference: &str) -> Result<(), Refused> {
    if reference.starts_with('-') {
        return Err(Refused("begins with `-`, which git would take for an option"));
    }
    let plain = !reference.is_empty()
        && !reference.contains("..")
        && reference.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@#".contains(c));
    if plain { Ok(()) } else { Err(Refused("is not the name of a commit, branch or tag")) }
}

/// Whether `text` is a full commit id.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns the address without a password, for people to see.
pub fn shown(remote: &str) -> String {
    let Some((scheme, rest)) = remote.split_once("://") else { return remote.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:***@{host}{}", &rest[end..]),
        None => remote.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_transports_and_plain_references() {
        for good in ["https://h/r.git", "ssh://git@[::1]:22/r", "git@h:acme/r.git", "HTTPS://u:p@h/r"] {
            assert_eq!(check_remote(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "http://h/r",
            "file:///etc",
            "file:/etc",
            "ext::sh -c id",
            "ext:x",
            "--upload-pack=x",
            "/srv/r",
            "git://h/r",
            "ssh://-oProxyCommand=x/r",
            "ssh://-x@h/r",
            "h:r",
            "https:///r",
            "@h:r",
            "u@:r",
            "u@-x:r",
            "u@h:-x",
            "https://h/a b",
            "https://h/r\n",
            "FILE:///etc",
            "git@-oProxyCommand=x:r",
            "ssh://%2doProxyCommand=x/r",
            "http://git.local/r",
        ] {
            assert!(check_remote(bad).is_err(), "{bad}");
        }
        let hosts = ["git.local".to_owned(), "127.0.0.1:8080".to_owned(), "[::1]".to_owned()];
        for good in ["http://git.local/r", "http://u@GIT.local:81/r", "http://127.0.0.1:8080/r", "http://[::1]:8080/r"]
        {
            assert_eq!(check_remote_allowing(good, &hosts), Ok(()), "{good}");
        }
        for bad in ["http://h/r", "http://127.0.0.1:8081/r", "http://git.local@h/r", "http://h/git.local", "ext::x"] {
            assert!(check_remote_allowing(bad, &hosts).is_err(), "{bad}");
        }
        for good in ["main", "v1.2", "feature/x", &"a".repeat(40)] {
            assert_eq!(check_reference(good), Ok(()), "{good}");
        }
        for bad in ["", "-x", "--upload-pack=touch", "a..b", "a b", "a:b", "HEAD^{/x}", "a~1", "$(id)"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        assert!(is_commit(&"a1".repeat(20)) && !is_commit("a1b2"));
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://u:secret@h/r"), "https://u:***@h/r");
        assert_eq!(shown("https://u:se@cret@h/r"), "https://u:***@h/r");
        assert_eq!(shown("https://h/r@x"), "https://h/r@x");
        assert_eq!(shown("git@h:r"), "git@h:r");
    }
}
