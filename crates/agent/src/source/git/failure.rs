//! What `git` says when it fails, sorted by what can be done about it.

use lanza_model::{Code, code};

/// How to go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host refused the log-in.
    Login,
    /// The host cannot be verified.
    Host,
    /// The repository or the reference is not there.
    Missing,
    /// The host does not give out this commit by its id; a fetch of everything may bring it.
    NotByItself,
    /// The way to the host is broken; it may work later.
    Broken,
    /// The disk is full.
    NoSpace,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn code(self) -> Code {
        match self {
            Self::Login => code::GIT_LOGIN_FAILED,
            Self::Host => code::GIT_HOST_UNKNOWN,
            Self::Missing | Self::NotByItself => code::GIT_NOT_FOUND,
            Self::NoSpace => code::NO_SPACE,
            Self::Broken | Self::Other => code::FETCH_FAILED,
        }
    }
}

/// Words of `git`, `ssh` and libcurl in the C locale. The first that fits counts, so what is certain comes first.
const WORDS: &[(Kind, &[&str])] = &[
    (Kind::NoSpace, &["no space left on device", "disk quota exceeded"]),
    (
        Kind::Host,
        &[
            "host key verification failed",
            "ssl certificate problem",
            "server certificate verification failed",
            "certificate subject name",
            "no alternative certificate subject name",
        ],
    ),
    (
        Kind::Login,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "permission denied (",
            "too many authentication failures",
            "returned error: 401",
            "returned error: 403",
            "invalid username or password",
            "identity file",
            "access denied",
        ],
    ),
    (
        Kind::NotByItself,
        &[
            "not our ref",
            "unadvertised object",
            "does not support shallow",
            "no such remote ref",
            "couldn't find remote ref",
            "could not find remote ref",
        ],
    ),
    (
        Kind::Missing,
        &[
            "repository not found",
            "does not appear to be a git repository",
            "returned error: 404",
            "returned error: 410",
            "no such file or directory",
            "does not exist",
            "' not found",
        ],
    ),
    (
        Kind::Broken,
        &[
            "could not resolve host",
            "could not resolve hostname",
            "failed to connect",
            "couldn't connect to server",
            "connection refused",
            "connection reset",
            "connection timed out",
            "connection closed",
            "connection to",
            "timed out",
            "early eof",
            "hung up unexpectedly",
            "unexpected disconnect",
            "rpc failed",
            "gnutls",
            "network is unreachable",
            "no route to host",
            "empty reply from server",
            "returned error: 5",
            "returned error: 429",
            "bytes of body are still expected",
            "invalid index-pack output",
        ],
    ),
];

/// Sorts what `git` said; returns the line that says it, too.
pub(super) fn sort(text: &str) -> (Kind, String) {
    for (kind, words) in WORDS {
        let found = text.lines().find(|line| {
            let line = line.to_ascii_lowercase();
            words.iter().any(|w| line.contains(w))
        });
        if let Some(line) = found {
            return (*kind, tidy(line));
        }
    }
    let last = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default();
    (Kind::Other, tidy(last))
}

fn tidy(line: &str) -> String {
    let line = line.trim();
    ["fatal: ", "error: ", "remote: "].iter().fold(line, |l, p| l.strip_prefix(p).unwrap_or(l)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says() {
        for (text, kind) in [
            ("remote: Denied\nfatal: Authentication failed for 'https://h/r.git/'\n", Kind::Login),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Kind::Login),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", Kind::Login),
            ("Host key verification failed.\nfatal: Could not read from remote repository.", Kind::Host),
            ("fatal: unable to access 'x': SSL certificate problem: self-signed certificate", Kind::Host),
            ("fatal: repository 'https://h/r.git/' not found", Kind::Missing),
            ("fatal: 'nope.git' does not appear to be a git repository", Kind::Missing),
            ("fatal: remote error: upload-pack: not our ref 0123", Kind::NotByItself),
            ("fatal: unable to access 'x': Failed to connect to h port 443: Connection refused", Kind::Broken),
            ("error: RPC failed; curl 18 transfer closed\nfatal: early EOF", Kind::Broken),
            ("fatal: write error: No space left on device", Kind::NoSpace),
            ("fatal: something new", Kind::Other),
        ] {
            assert_eq!(sort(text).0, kind, "{text}");
        }
        assert_eq!(sort("x\nfatal: early EOF\n").1, "early EOF");
    }
}
