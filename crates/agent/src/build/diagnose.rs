//! What installers, builders and registries say when they fail, as a code and the line that tells the cause.

use lanza_model::{Code, Reason, code};

/// Lines of the log that go into the message after the cause.
const LAST_LINES: usize = 8;

type Rule = (Code, &'static [&'static str]);

/// The first rule that fits counts; within one, the first of its words that is there names the cause.
const SPACE: Rule = (code::NO_SPACE, &["no space left on device", "disk quota exceeded", "errno 28"]);

const INDEX: Rule = (
    code::INDEX_UNAVAILABLE,
    &[
        "retrying (retry(total=0",
        "max retries exceeded",
        "error: could not install packages due to an oserror: httpsconnectionpool",
        "could not fetch url",
        "401 error, credentials not correct",
        "401 client error",
        "403 client error",
        "error sending request",
        "failed to fetch: `",
        "request failed after",
        "credentials rejected",
        "an index url (",
    ],
);

/// What pip says before it asks an index once more. It says that it found no version at all when the index never
/// answers.
pub(super) const RETRYING: &str = "Retrying (Retry(";

/// What pip says of a package of which it found no version.
pub(super) const NOT_FOUND: [&str; 2] = ["no matching distribution found", "could not find a version that satisfies"];

const INSTALLER: &[Rule] = &[
    SPACE,
    INDEX,
    (
        code::PACKAGE_BUILD_FAILED,
        &[
            "failed building wheel",
            "failed to build installable wheels",
            "could not build wheels",
            "failed to build `",
            "failed to build '",
            "failed to download and build",
            "processing metadata for",
            "getting requirements to build wheel did not run successfully",
            "metadata-generation-failed",
            "subprocess-exited-with-error",
        ],
    ),
    (
        code::PACKAGE_MISSING,
        &[
            NOT_FOUND[0],
            NOT_FOUND[1],
            "was not found in the package registry",
            "was not found in the provided package locations",
            "there are no versions of",
            "there is no version of",
            "no wheels with a matching",
            "has no usable wheels",
            "is not a supported wheel on this platform",
            "requires a different python",
            "no solution found",
        ],
    ),
];

const REGISTRY: &[Rule] = &[
    SPACE,
    (
        code::REGISTRY_LOGIN_FAILED,
        &[
            "unauthorized",
            "no basic auth credentials",
            "denied: requested access",
            "authentication required",
            "incorrect username or password",
            "401 unauthorized",
            "403 forbidden",
        ],
    ),
];

const BASE: &[&str] = &[
    "pull access denied",
    "manifest unknown",
    "manifest for ",
    "failed to resolve source metadata",
    "repository does not exist",
    "invalid reference format",
    "name unknown",
    // The registry does not answer.
    "/v2/\": dial tcp",
    "/v2/\": net/http",
    "/v2/\": context deadline exceeded",
    "/v2/\": eof",
    "failed to do request: head",
];

/// Whether what an installer failed of concerns all packages: a full disk or an index that is away is no matter of one.
pub(crate) fn is_of_all(code: Code) -> bool {
    [SPACE.0, INDEX.0].contains(&code)
}

/// Returns the words of which each tells of something that concerns all packages, whatever the case of its letters.
pub(super) fn words_of_all() -> impl Iterator<Item = &'static str> {
    SPACE.1.iter().chain(INDEX.1).copied()
}

/// Says why an installer failed.
pub(crate) fn installer(text: &str) -> (Code, String) {
    match first(text, INSTALLER) {
        Some((found, _)) if found == code::PACKAGE_MISSING && text.contains(RETRYING) => {
            let retry = text.lines().rfind(|l| l.contains(RETRYING)).unwrap_or_default();
            (code::INDEX_UNAVAILABLE, tidy(retry))
        }
        // Where the metadata cannot be made, pip names the package at its beginning only.
        Some((found, cause)) if found == code::PACKAGE_BUILD_FAILED && !cause.contains(['`', '\'']) => {
            let package = text.lines().rev().find_map(|l| Some(tidy(l).strip_prefix("Collecting ")?.to_owned()));
            (found, package.map_or_else(|| cause.clone(), |p| format!("{p}: {cause}")))
        }
        Some(found) => found,
        None => (code::INSTALL_FAILED, last_error(text)),
    }
}

/// Says why an image was not built. `environment` is one of the agent's own, where all that can fail is an installer.
pub(crate) fn build(text: &str, environment: bool) -> (Code, String) {
    if let Some(line) = engine_away(text) {
        return (code::TARGET_UNAVAILABLE, line);
    }
    if let Some(found) = first(text, REGISTRY).filter(|(c, _)| *c == code::NO_SPACE) {
        return found;
    }
    // A step of an image for another processor.
    if let Some(line) = text.lines().find(|l| holds(l, &["exec format error"])) {
        return (code::WRONG_PLATFORM, tidy(line));
    }
    // What the installer of an environment says is not about the base image.
    let step = text.lines().find(|l| {
        l.contains("returned a non-zero code")
            || l.contains("did not complete successfully")
            || l.contains("exit code:")
    });
    if step.is_none() {
        if let Some(line) = text.lines().find(|l| holds(l, BASE)) {
            return (code::BASE_IMAGE_MISSING, tidy(line));
        }
        if let Some(found) = first(text, REGISTRY) {
            return found;
        }
    }
    if environment {
        return installer(text);
    }
    let cause = first(text, INSTALLER).map(|(_, line)| line);
    let step = step.map_or_else(|| last_error(text), tidy);
    (code::IMAGE_BUILD_FAILED, cause.map_or_else(|| step.clone(), |c| format!("{c} ({step})")))
}

/// Says why an image could not be pulled, with `missing` when it is none of the known ways.
pub(crate) fn pull(text: &str, missing: Code) -> (Code, String) {
    if let Some(line) = engine_away(text) {
        return (code::TARGET_UNAVAILABLE, line);
    }
    match text.lines().find(|l| holds(l, &["pull access denied", "manifest unknown", "not found"])) {
        Some(line) => (missing, tidy(line)),
        None => first(text, REGISTRY).unwrap_or_else(|| (missing, last_error(text))),
    }
}

/// Says why an image could not be pushed.
pub(crate) fn push(text: &str) -> (Code, String) {
    if let Some(line) = engine_away(text) {
        return (code::TARGET_UNAVAILABLE, line);
    }
    first(text, REGISTRY).unwrap_or_else(|| (code::PUSH_FAILED, last_error(text)))
}

/// Makes a reason of the cause and the end of the log.
pub(crate) fn reason(what: &str, (code, cause): (Code, String), text: &str) -> Reason {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.trim().is_empty()).collect();
    let end = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    Reason::new(code, if end.is_empty() { format!("{what}: {cause}") } else { format!("{what}: {cause}\n\n{end}") })
}

fn engine_away(text: &str) -> Option<String> {
    text.lines().find(|l| l.contains("Cannot connect to the Docker daemon")).map(tidy)
}

fn holds(line: &str, words: &[&str]) -> bool {
    let line = line.to_ascii_lowercase();
    words.iter().any(|w| line.contains(w))
}

fn first(text: &str, rules: &[Rule]) -> Option<(Code, String)> {
    // The words of a rule stand in the order of what they tell.
    let line = |words: &[&str]| words.iter().find_map(|w| text.lines().find(|l| holds(l, &[w])));
    rules.iter().find_map(|(code, words)| line(words).map(|l| (*code, tidy(l))))
}

/// The last line that looks like an error, else the last line.
fn last_error(text: &str) -> String {
    let lines = || text.lines().filter(|l| !l.trim().is_empty());
    let error = lines().rfind(|l| {
        let l = l.to_ascii_lowercase();
        (l.contains("error") || l.contains("failed")) && !l.contains("deprecated")
    });
    error.or_else(|| lines().next_back()).map_or_else(|| "it said nothing".into(), tidy)
}

/// A line without the marks of builders and installers.
fn tidy(line: &str) -> String {
    let mut line = line.trim();
    // BuildKit: `#9 2.345 text`.
    if let Some(rest) = line.strip_prefix('#')
        && let Some((number, rest)) = rest.split_once(' ')
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        line = rest.trim_start();
        if let Some((seconds, rest)) = line.split_once(' ')
            && seconds.contains('.')
            && seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            line = rest;
        }
    }
    for mark in ["×", "╰─▶", "├─▶", "ERROR:", "error:", "Error response from daemon:"] {
        line = line.trim_start().strip_prefix(mark).unwrap_or(line);
    }
    let line = line.trim();
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installers() {
        for (text, word) in [
            (
                "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\n\
                 ERROR: No matching distribution found for nope",
                "package_missing",
            ),
            (
                "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError'\n\
                 ERROR: Could not find a version that satisfies the requirement a (from versions: none)",
                "index_unavailable",
            ),
            ("  × No solution found when resolving dependencies:\n  ╰─▶ Because nope was not", "package_missing"),
            ("error: Failed to fetch: `https://h/simple/a/`\n  Caused by: dns error", "index_unavailable"),
            ("  error: command 'gcc' failed\nERROR: Failed building wheel for x", "package_build_failed"),
            ("  × Failed to build `x==1`\n  ├─▶ The build backend returned an error", "package_build_failed"),
            ("OSError: [Errno 28] No space left on device", "no_space"),
            ("ERROR: ResolutionImpossible: see", "install_failed"),
        ] {
            assert_eq!(installer(text).0.word, word, "{text}");
        }
        let uv = "  × No solution found when resolving dependencies:\n  ╰─▶ Because nope was not found in the package registry";
        assert_eq!(installer(uv).1, "Because nope was not found in the package registry");
        let pip = "Collecting a\nCollecting gravel==1 (from -r r.txt)\n  error: x\nerror: metadata-generation-failed\n";
        assert_eq!(installer(pip).1, "gravel==1 (from -r r.txt): metadata-generation-failed");
        let (_, cause) = installer("x\nERROR: No matching distribution found for nope==1\n");
        assert_eq!(cause, "No matching distribution found for nope==1");
    }

    #[test]
    fn builders_and_registries() {
        for (text, environment, word) in [
            (
                "pull access denied for nope, repository does not exist or may require 'docker login'",
                false,
                "base_image_missing",
            ),
            ("Get \"https://r/v2/\": dial tcp: lookup r: no such host", false, "base_image_missing"),
            ("manifest for python:9 not found: manifest unknown: manifest unknown", true, "base_image_missing"),
            ("#2 ERROR: failed to authorize: 401 Unauthorized", false, "registry_login_failed"),
            ("The command '/bin/sh -c false' returned a non-zero code: 1", false, "image_build_failed"),
            (
                "#5 ERROR: process \"/bin/sh -c false\" did not complete successfully: exit code: 1",
                false,
                "image_build_failed",
            ),
            (
                "#9 2.3 ERROR: No matching distribution found for nope\n#9 ERROR: process \"x\" did not complete \
                 successfully: exit code: 1",
                true,
                "package_missing",
            ),
            ("write /x: no space left on device", false, "no_space"),
            (
                "#5 0.1 exec /bin/sh: exec format error\n#5 ERROR: process \"/bin/sh -c x\" did not complete \
                 successfully: exit code: 255",
                true,
                "wrong_platform",
            ),
            ("ERROR: Cannot connect to the Docker daemon at unix:///x", true, "target_unavailable"),
        ] {
            assert_eq!(build(text, environment).0.word, word, "{text}");
        }
        assert_eq!(
            build("#9 2.3 ERROR: No matching distribution found for a", true).1,
            "No matching distribution found for a"
        );
        let missing = code::IMAGE_MISSING;
        assert_eq!(pull("unauthorized: authentication required", missing).0.word, "registry_login_failed");
        assert_eq!(
            pull("Error response from daemon: manifest for a:b not found: manifest unknown", missing).0,
            missing
        );
        assert_eq!(push("denied: requested access to the resource is denied").0.word, "registry_login_failed");
        assert_eq!(push("received unexpected HTTP status: 500").0.word, "push_failed");
    }
}
