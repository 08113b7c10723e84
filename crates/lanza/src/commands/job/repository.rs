//! One commit of a remote repository, looked at without a checkout.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use lanza_model::{code, git};

use crate::{
    environment::{Environment, GIT_ASKPASS, GIT_SSH, GIT_SSH_COMMAND},
    exit::Failure,
};

/// How ssh is told to ask nobody, and to give up on a host that does not answer.
const QUIET: &str = "-o BatchMode=yes -o ConnectTimeout=20";

/// A commit that was fetched.
#[derive(Debug)]
pub(super) struct Repository {
    /// Address without a password.
    pub(super) remote: String,
    /// The commit's full id.
    pub(super) commit: String,
    folder: tempfile::TempDir,
    /// What git gets besides the variables of this process.
    variables: Vec<(&'static str, String)>,
}

impl Repository {
    /// Fetches the commit that `reference` means now: a branch, a tag, a commit, or the remote's own default branch.
    pub(super) fn fetch(environment: &Environment, remote: &str, reference: Option<&str>) -> Result<Self, Failure> {
        let shown = git::shown(remote);
        let refused = |what: &str, why: git::Refused| Failure::refused(format!("{what} {why}")).code(code::GIT_REFUSED);
        git::check_remote(remote).map_err(|e| refused(&format!("the git address `{shown}`"), e))?;
        if let Some(reference) = reference {
            git::check_reference(reference).map_err(|e| refused(&format!("`{}`", reference.escape_debug()), e))?;
        }
        let folder =
            tempfile::tempdir().map_err(|e| Failure::failed(format!("cannot make a temporary folder: {e}")))?;
        let variables = silent(environment);
        let mut found = Self { remote: without_password(remote), commit: String::new(), folder, variables };
        found
            .git(&["init", "--quiet", "--bare"])
            .map_err(|why| Failure::failed(format!("git cannot be used: {why}")))?;
        let configured = found.git(&["config", "--get", "core.sshCommand"]).unwrap_or_default();
        found.variables.extend(ssh_command(environment, configured.trim()).map(|line| (GIT_SSH_COMMAND, line)));
        found.commit = found.resolve(remote, reference)?;
        Ok(found)
    }

    fn resolve(&self, remote: &str, reference: Option<&str>) -> Result<String, Failure> {
        let shown = git::shown(remote);
        let unreachable = |why: String| Failure::refused(format!("cannot read the repository {shown}: {why}"));
        if let Some(commit) = reference.filter(|r| git::is_commit(r)) {
            let commit = commit.to_ascii_lowercase();
            self.fetch_commit(remote, &commit).map_err(unreachable)?;
            return self.verify(&commit).ok_or_else(|| no_such(&shown, &commit));
        }
        let refs = self.git(&["ls-remote", "--end-of-options", remote]).map_err(unreachable)?;
        let id_of = |name: &str| {
            refs.lines()
                .filter_map(|l| l.split_once('\t'))
                .find(|(_, n)| *n == name)
                .map(|(id, _)| id.trim().to_owned())
        };
        let Some(reference) = reference else {
            let why = || Failure::refused(format!("the repository {shown} has no default branch; name one with -g"));
            let commit = id_of("HEAD").ok_or_else(why)?;
            self.fetch_commit(remote, &commit).map_err(unreachable)?;
            return Ok(commit);
        };
        let named = id_of(&format!("refs/heads/{reference}"))
            // An annotated tag is an object of its own; what it stands for is the commit.
            .or_else(|| id_of(&format!("refs/tags/{reference}^{{}}")))
            .or_else(|| id_of(&format!("refs/tags/{reference}")))
            .or_else(|| id_of(reference));
        if let Some(commit) = named {
            self.fetch_commit(remote, &commit).map_err(unreachable)?;
            return self.verify(&commit).ok_or_else(|| no_such(&shown, reference));
        }
        if reference.len() >= 4 && reference.bytes().all(|b| b.is_ascii_hexdigit()) {
            self.fetch_all(remote).map_err(unreachable)?;
            if let Some(commit) = self.verify(reference) {
                return Ok(commit);
            }
        }
        Err(no_such(&shown, reference))
    }

    /// Fetches one commit, or everything where the server gives no single ones.
    fn fetch_commit(&self, remote: &str, commit: &str) -> Result<(), String> {
        let one = self.git(&["fetch", "--quiet", "--depth", "1", "--no-tags", "--end-of-options", remote, commit]);
        if one.is_ok() && self.verify(commit).is_some() { Ok(()) } else { self.fetch_all(remote) }
    }

    fn fetch_all(&self, remote: &str) -> Result<(), String> {
        let refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        self.git(&["fetch", "--quiet", "--no-tags", "--end-of-options", remote, refs[0], refs[1]]).map(drop)
    }

    fn verify(&self, commit: &str) -> Option<String> {
        let name = format!("{commit}^{{commit}}");
        Some(self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).ok()?.trim().to_owned())
    }

    /// Reads a file of the commit; none when there is no such file.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        self.git(&["cat-file", "blob", &format!("{}:{path}", self.commit)]).ok()
    }

    /// Whether the commit has a file or folder at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.git(&["cat-file", "-e", &format!("{}:{path}", self.commit)]).is_ok()
    }

    /// Runs git in the temporary repository; returns what it printed, or the end of its complaint.
    fn git(&self, words: &[&str]) -> Result<String, String> {
        let done = Command::new("git")
            .args([
                "-c",
                "protocol.file.allow=never",
                "-c",
                "protocol.ext.allow=never",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(words)
            .current_dir(self.path())
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("the command `git` cannot be run ({e})"))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&done.stderr);
        let lines: Vec<&str> = complaint.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        Err(lines[lines.len().saturating_sub(2)..].join("; "))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Returns the variables that keep git from asking anybody: a prompt would wait for ever where nobody sits at the terminal
/// or in front of a desktop. A program of one's own that hands out a password stays.
fn silent(environment: &Environment) -> Vec<(&'static str, String)> {
    let mut variables: Vec<_> =
        [("GIT_TERMINAL_PROMPT", "0"), ("GCM_INTERACTIVE", "never"), ("SSH_ASKPASS_REQUIRE", "never")]
            .map(|(name, value)| (name, value.to_owned()))
            .into();
    if environment.get(GIT_ASKPASS).is_none() {
        // Else git falls back to the graphical prompt of a desktop.
        variables.push((GIT_ASKPASS, String::new()));
    }
    variables
}

/// Returns the command for ssh: the person's own, of the environment or of git's configuration, which then asks nobody.
/// None where it is a bare program, which takes no options.
fn ssh_command(environment: &Environment, configured: &str) -> Option<String> {
    let own = environment.get(GIT_SSH_COMMAND).filter(|c| !c.trim().is_empty());
    if own.is_none() && environment.get(GIT_SSH).is_some() {
        return None;
    }
    let own = own.or(Some(configured).filter(|c| !c.is_empty())).unwrap_or("ssh");
    Some(format!("{own} {QUIET}"))
}

fn no_such(remote: &str, reference: &str) -> Failure {
    Failure::refused(format!("the repository {remote} has no branch, tag or commit `{reference}`"))
}

/// A job is read by everybody in its project, so a password does not belong into it.
fn without_password(remote: &str) -> String {
    git::shown(remote).replace(":***@", "@")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_addresses_and_references_never_reach_git() {
        for (remote, reference) in [
            ("file:///etc", None),
            ("ext::sh -c id", None),
            ("http://h/r", None),
            ("https://h/r", Some("--upload-pack=touch x")),
            ("https://h/r", Some("-x")),
        ] {
            let failure = Repository::fetch(&Environment::default(), remote, reference).expect_err(remote);
            assert_eq!(failure.exit, crate::exit::REFUSED, "{remote}");
            assert_eq!(failure.help.as_deref(), Some(code::GIT_REFUSED.help));
        }
        assert_eq!(without_password("https://u:p@h/r"), "https://u@h/r");
    }

    #[test]
    fn ones_own_ssh_is_used_and_nothing_asks() {
        let quiet = |own: &str| Some(format!("{own} {QUIET}"));
        let none = Environment::default();
        let own = Environment::from([(GIT_SSH_COMMAND, "ssh -i key")]);
        let blank = Environment::from([(GIT_SSH_COMMAND, " ")]);
        let program = Environment::from([(GIT_SSH, "plink")]);
        let both = Environment::from([(GIT_SSH, "plink"), (GIT_SSH_COMMAND, "ssh -v")]);
        assert_eq!(ssh_command(&none, ""), quiet("ssh"));
        assert_eq!(ssh_command(&own, "ssh -i other"), quiet("ssh -i key"));
        assert_eq!(ssh_command(&blank, "ssh -i other"), quiet("ssh -i other"));
        assert_eq!(ssh_command(&program, ""), None);
        assert_eq!(ssh_command(&both, ""), quiet("ssh -v"));
        let hushed = |environment: &Environment| silent(environment).iter().any(|(name, _)| *name == GIT_ASKPASS);
        assert!(hushed(&none) && hushed(&Environment::from([("SSH_ASKPASS", "x")])));
        assert!(!hushed(&Environment::from([(GIT_ASKPASS, "hand-out-a-token")])));
    }
}
