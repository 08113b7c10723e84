//! Code from git, by the `git` command, which has the credentials that people have set up.
//!
//! Only https, ssh and `user@host:path`, and plain http where the agent's owner allows the host: other transports run
//! programs or read local files. Nothing that comes from a job is ever taken for an option.

use std::path::Path;

use lanza_model::{Reason, code};
use tokio::process::Command;
use url::Url;

use crate::command::{Commands, Ended};

/// Checks the address of a repository; `http_hosts` may be asked over plain http.
fn check_remote(remote: &str, http_hosts: &[String]) -> Result<(), Reason> {
    let refused = |why: &str| Reason::new(code::GIT_REFUSED, format!("the git address `{}` {why}", redact(remote)));
    if remote.starts_with('-') || remote.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused("is not an address"));
    }
    if remote.contains("::") {
        return Err(refused("names a transport that is not allowed"));
    }
    if let Ok(url) = Url::parse(remote)
        && remote.contains("://")
    {
        let host = url.host_str().unwrap_or_default();
        // Other readers of addresses take `https:///host` for one without a host.
        if host.is_empty() || remote.contains(":///") || host.starts_with('-') || url.username().starts_with('-') {
            return Err(refused("has no host"));
        }
        return match url.scheme() {
            "https" | "ssh" => Ok(()),
            "http" if http_hosts.iter().any(|h| h.eq_ignore_ascii_case(host)) => Ok(()),
            "http" => Err(refused("uses plain http, which this agent allows for no such host")),
            _ => Err(refused("uses a transport that is not allowed")),
        };
    }
    match remote.split_once(':') {
        Some((login, path)) if !path.is_empty() && !login.contains('/') && login.contains('@') => Ok(()),
        _ => Err(refused("is none of https://…, ssh://…, user@host:path")),
    }
}

/// Checks a commit, branch or tag.
fn check_reference(reference: &str) -> Result<(), Reason> {
    let plain = !reference.is_empty()
        && !reference.starts_with('-')
        && !reference.contains("..")
        && reference.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@".contains(c));
    if plain {
        return Ok(());
    }
    Err(Reason::new(code::GIT_REFUSED, format!("`{}` is not a commit, branch or tag", reference.escape_debug())))
}

/// Returns the address without a password.
fn redact(remote: &str) -> String {
    match Url::parse(remote) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => remote.to_owned(),
    }
}

/// Checks `reference` of `remote` out into `folder`; returns the commit's full id.
pub(crate) async fn checkout(
    commands: &Commands<'_>,
    http_hosts: &[String],
    remote: &str,
    reference: &str,
    folder: &Path,
) -> Result<String, Reason> {
    check_remote(remote, http_hosts)?;
    check_reference(reference)?;
    let shown = redact(remote);
    let failed = |why: String| Reason::new(code::FETCH_FAILED, why);
    let git = |args: &[&str]| command(folder, args);
    commands.say(&format!("fetching {reference} of {shown}"));
    std::fs::create_dir_all(folder).map_err(|e| failed(format!("cannot make the folder of the code: {e}")))?;
    run(commands, git(&["init", "--quiet"]), "git cannot be used").await?;
    let full = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let shallow = git(&["fetch", "--quiet", "--depth", "1", "--no-tags", "--end-of-options", remote, reference]);
    if !(full && run(commands, shallow, "").await.is_ok()) {
        let whole = git(&[
            "fetch",
            "--quiet",
            "--end-of-options",
            remote,
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*",
        ]);
        run(commands, whole, &format!("cannot fetch the repository {shown}")).await?;
    }
    for candidate in [format!("refs/remotes/origin/{reference}"), reference.to_owned(), "FETCH_HEAD".to_owned()] {
        if candidate == "FETCH_HEAD" && !full {
            break;
        }
        let asked = commands
            .output(&mut git(&[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &format!("{candidate}^{{commit}}"),
            ]))
            .await;
        if let Ok((status, out)) = asked
            && status.success()
        {
            let commit = out.lines().last().unwrap_or_default().trim().to_owned();
            run(commands, git(&["checkout", "--quiet", "--detach", &commit]), &format!("cannot check out {commit}"))
                .await?;
            let submodules = git(&["submodule", "update", "--quiet", "--init", "--recursive"]);
            run(commands, submodules, &format!("cannot fetch the submodules of {shown}")).await?;
            return Ok(commit);
        }
    }
    Err(failed(format!("the repository {shown} has no `{reference}`")))
}

/// Applies the uncommitted changes that the job was made with.
pub(crate) async fn apply(commands: &Commands<'_>, patch: &Path, folder: &Path) -> Result<(), Reason> {
    let patch = patch.to_string_lossy().into_owned();
    let command = command(folder, &["apply", "--whitespace=nowarn", &patch]);
    run(commands, command, "the job's diff.patch does not apply").await
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(["-c", "protocol.file.allow=never", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20");
    command
}

async fn run(commands: &Commands<'_>, mut command: Command, what: &str) -> Result<(), Reason> {
    let failed = |why: String| Reason::new(code::FETCH_FAILED, why);
    match commands.run(&mut command, None).await {
        Ok(Ended::Exit(status)) if status.success() => Ok(()),
        Ok(Ended::Exit(_)) => Err(failed(format!("{what}: {}", commands.last_lines(3)))),
        Ok(Ended::TimedOut) => Err(failed(format!("{what}: it took longer than {} s", commands.timeout.as_secs()))),
        Err(e) => Err(failed(format!("{what}: the command `git` cannot be run ({e})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_transports_and_plain_references() {
        let hosts = ["git.local".to_owned()];
        for good in ["https://h/r.git", "ssh://git@h:22/r", "git@h:acme/r.git", "http://git.local/r"] {
            assert!(check_remote(good, &hosts).is_ok(), "{good}");
        }
        for bad in [
            "http://h/r",
            "file:///etc",
            "ext::sh -c id",
            "--upload-pack=x",
            "/srv/r",
            "git://h/r",
            "ssh://-oProxyCommand=x/r",
            "h:r",
            "https:///r",
        ] {
            assert!(check_remote(bad, &hosts).is_err(), "{bad}");
        }
        for good in ["main", "v1.2", "feature/x", &"a".repeat(40)] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "a:b", "HEAD^{/x}"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        assert_eq!(redact("https://u:secret@h/r"), "https://u:***@h/r");
    }
}
