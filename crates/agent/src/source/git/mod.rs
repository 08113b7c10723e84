//! Code from git, by the `git` command, which has the credentials that people have set up.
//!
//! Only https, ssh and `user@host:path`, and plain http where the agent's owner allows the host: other transports run
//! programs or read local files. Nothing that comes from a job is ever taken for an option, and nothing ever waits for
//! a person.

mod access;
mod address;
mod failure;

use std::{path::Path, time::Duration};

use lanza_model::{Reason, code, git};
use tokio::process::Command;

pub(crate) use self::access::Access;
use self::{
    address::{Address, check_reference, check_remote},
    failure::Kind,
};
use crate::{
    command::{Commands, Ended},
    state_dir::remove_dir,
};

/// Waits before another try when the way to the host is broken.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10)];
/// How deep submodules are followed.
const SUBMODULE_DEPTH: u32 = 8;

/// What was checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// Full id of the commit.
    pub(crate) commit: String,
    /// The address without secrets.
    pub(crate) remote: String,
}

/// A git command failed.
struct Failure {
    kind: Kind,
    why: String,
}

impl Failure {
    fn reason(self, what: &str) -> Reason {
        Reason::new(self.kind.code(), format!("{what}: {}", self.why))
    }
}

/// Checks `reference` of `remote` out into `folder`. `HEAD` is the remote's own default branch.
pub(crate) async fn checkout(
    commands: &Commands<'_>,
    access: &Access<'_>,
    remote: &str,
    reference: &str,
    folder: &Path,
) -> Result<Checkout, Reason> {
    check_remote(remote, access.http_hosts)?;
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    check_reference(reference)?;
    let address = Address::of(remote);
    let git = Git { commands, access, address: &address, folder };
    commands.say(&format!("fetching {reference} of {}", address.plain));
    let commit = git.fetch(reference).await?;
    git.submodules(0).await?;
    commands.say(&format!("checked out {commit}"));
    Ok(Checkout { commit, remote: address.plain })
}

/// Applies the uncommitted changes that the job was made with.
pub(crate) async fn apply(commands: &Commands<'_>, patch: &Path, folder: &Path) -> Result<(), Reason> {
    let mut command = Command::new("git");
    // The patch may be of a folder that is no repository of its own; git then does not look above it.
    command.args(["apply", "--whitespace=nowarn"]).arg(patch).current_dir(folder).env("LC_ALL", "C");
    if let Some(above) = folder.parent() {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    run(commands, command)
        .await
        .map_err(|f| Reason::new(code::PATCH_FAILED, format!("the job's diff.patch does not apply: {}", f.why)))
}

/// One repository and its remote.
struct Git<'a> {
    commands: &'a Commands<'a>,
    access: &'a Access<'a>,
    address: &'a Address,
    folder: &'a Path,
}

impl Git<'_> {
    async fn local(&self, args: &[&str]) -> Result<(), Failure> {
        let mut command = self.command(None)?;
        command.args(args);
        run(self.commands, command).await
    }

    async fn remote(&self, args: &[&str]) -> Result<(), Failure> {
        let mut command = self.command(Some(self.address))?;
        command.args(args);
        run(self.commands, command).await
    }

    async fn ask(&self, args: &[&str], remote: bool) -> Result<String, Failure> {
        let mut command = self.command(remote.then_some(self.address))?;
        command.args(args);
        output(self.commands, command).await
    }

    fn command(&self, address: Option<&Address>) -> Result<Command, Failure> {
        self.access.command(self.folder, address).map_err(|why| Failure { kind: Kind::Login, why })
    }

    /// Fetches and checks out, again when the way breaks.
    async fn fetch(&self, reference: &str) -> Result<String, Reason> {
        let what = format!("cannot fetch `{reference}` of {}", self.address.plain);
        let broken =
            |e: std::io::Error| Reason::new(code::FETCH_FAILED, format!("cannot make the folder of the code: {e}"));
        let mut waits = RETRY_AFTER.iter();
        loop {
            // From an empty folder: a fetch that was cut may have left locks.
            remove_dir(self.folder).and_then(|()| crate::state_dir::make_dir(self.folder)).map_err(broken)?;
            match self.fetch_once(reference).await {
                Ok(commit) => return Ok(commit),
                Err(failure) if failure.kind == Kind::Broken => match waits.next() {
                    Some(wait) => {
                        self.commands.say(&format!("the connection broke; trying again in {} s", wait.as_secs()));
                        tokio::time::sleep(*wait).await;
                    }
                    None => return Err(failure.reason(&what)),
                },
                Err(failure) => return Err(failure.reason(&what)),
            }
        }
    }

    async fn fetch_once(&self, reference: &str) -> Result<String, Failure> {
        self.local(&["init", "--quiet"]).await?;
        self.local(&["remote", "add", "origin", &self.address.plain]).await?;
        let full = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let name = if full { Some(reference.to_owned()) } else { self.named(reference).await? };
        let commit = match name {
            Some(name) => match self.shallow(&name).await {
                Err(f) if matches!(f.kind, Kind::NotByItself | Kind::Other) => {
                    self.commands.say("the server does not give it out by itself; fetching everything");
                    self.everything(&name).await?
                }
                other => other?,
            },
            None => self.everything(reference).await?,
        };
        self.local(&["checkout", "--quiet", "--force", "--detach", &commit]).await?;
        Ok(commit)
    }

    /// Returns the remote's full name of a branch or tag, in this order; none when it has neither.
    async fn named(&self, reference: &str) -> Result<Option<String>, Failure> {
        if reference == "HEAD" {
            return Ok(Some(reference.to_owned()));
        }
        let short = reference.strip_prefix("origin/").unwrap_or(reference);
        let names = [
            format!("refs/heads/{reference}"),
            format!("refs/heads/{short}"),
            format!("refs/tags/{reference}"),
            reference.to_owned(),
        ];
        let mut args = vec!["ls-remote", "--quiet", "origin"];
        args.extend(names.iter().map(String::as_str));
        let listed = self.ask(&args, true).await?;
        let there: Vec<&str> = listed.lines().filter_map(|l| l.split_once('\t').map(|(_, n)| n)).collect();
        Ok(names.into_iter().find(|n| n.starts_with("refs/") && there.contains(&n.as_str())))
    }

    /// Fetches one commit without its past.
    async fn shallow(&self, name: &str) -> Result<String, Failure> {
        self.remote(&["fetch", "--quiet", "--depth", "1", "--no-tags", "--end-of-options", "origin", name]).await?;
        self.commit("FETCH_HEAD").await
    }

    /// Fetches all branches and tags, and looks for the commit among them.
    async fn everything(&self, reference: &str) -> Result<String, Failure> {
        let fetch = ["fetch", "--quiet", "--no-tags", "--end-of-options", "origin"];
        let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        self.remote(&[fetch.as_slice(), all.as_slice()].concat()).await?;
        for candidate in [format!("refs/remotes/origin/{reference}"), reference.to_owned()] {
            if let Ok(commit) = self.commit(&candidate).await {
                return Ok(commit);
            }
        }
        Err(Failure { kind: Kind::Missing, why: format!("the repository has no branch, tag or commit `{reference}`") })
    }

    async fn commit(&self, name: &str) -> Result<String, Failure> {
        let name = format!("{name}^{{commit}}");
        let out = self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name], false).await?;
        // Older versions repeat the option in their answer.
        Ok(out.lines().last().unwrap_or_default().trim().to_owned())
    }

    /// Brings the submodules, each with an address that is checked like the job's own.
    async fn submodules(&self, depth: u32) -> Result<(), Reason> {
        if !self.folder.join(".gitmodules").is_file() {
            return Ok(());
        }
        let what = format!("cannot fetch the submodules of {}", self.address.plain);
        if depth >= SUBMODULE_DEPTH {
            return Err(Reason::new(code::FETCH_FAILED, format!("{what}: they are nested too deep")));
        }
        self.local(&["submodule", "--quiet", "init"]).await.map_err(|f| f.reason(&what))?;
        let listed =
            self.ask(&["config", "--null", "--get-regexp", r"^submodule\..*\.url$"], false).await.unwrap_or_default();
        for entry in listed.split('\0').filter(|e| !e.is_empty()) {
            let Some((key, url)) = entry.split_once('\n') else { continue };
            let name = key.trim_start_matches("submodule.").trim_end_matches(".url");
            check_remote(url, self.access.http_hosts)?;
            let address = Address::of(url);
            let path = self
                .ask(&["config", "--file", ".gitmodules", "--get", &format!("submodule.{name}.path")], false)
                .await
                .map_err(|f| f.reason(&what))?;
            let path = path.trim_end_matches('\n');
            let folder = super::inside(self.folder, path).ok_or_else(|| {
                Reason::new(code::ARCHIVE_HOSTILE, format!("the submodule `{name}` leads out of the job's code"))
            })?;
            let remote = Git { address: &address, ..*self };
            let update = async |options: &[&str]| {
                let fixed = ["submodule", "--quiet", "update", "--checkout"];
                remote.remote(&[fixed.as_slice(), options, &["--", path]].concat()).await
            };
            let what = format!("cannot fetch the submodule `{name}` from {}", git::shown(url));
            let mut waits = RETRY_AFTER.iter();
            loop {
                let mut done = update(&["--depth", "1"]).await;
                if done.as_ref().is_err_and(|f| matches!(f.kind, Kind::NotByItself | Kind::Other)) {
                    done = update(&[]).await;
                }
                match done {
                    Ok(()) => break,
                    Err(f) if f.kind == Kind::Broken => match waits.next() {
                        Some(wait) => tokio::time::sleep(*wait).await,
                        None => return Err(f.reason(&what)),
                    },
                    Err(f) => return Err(f.reason(&what)),
                }
            }
            Box::pin(Git { folder: &folder, ..remote }.submodules(depth + 1)).await?;
        }
        Ok(())
    }
}

/// Runs a command, what it says in the log; an error holds the line that says why.
async fn run(commands: &Commands<'_>, mut command: Command) -> Result<(), Failure> {
    let before = commands.log_length();
    let other = |why: String| Failure { kind: Kind::Other, why };
    match commands.run(&mut command, None).await {
        Ok(Ended::Exit(status)) if status.success() => Ok(()),
        Ok(Ended::Exit(_)) => {
            let (kind, why) = failure::sort(&commands.log_since(before));
            Err(Failure { kind, why })
        }
        Ok(Ended::TimedOut) => Err(other(format!("it took longer than {} s", commands.timeout.as_secs()))),
        Err(e) => Err(other(format!("the command `git` cannot be run ({e})"))),
    }
}

async fn output(commands: &Commands<'_>, mut command: Command) -> Result<String, Failure> {
    let before = commands.log_length();
    match commands.output(&mut command).await {
        Ok((status, out)) if status.success() => Ok(out),
        Ok(_) => {
            let (kind, why) = failure::sort(&commands.log_since(before));
            Err(Failure { kind, why })
        }
        Err(e) => Err(Failure { kind: Kind::Other, why: format!("the command `git` cannot be run ({e})") }),
    }
}
