//! Images for target `docker`.
//!
//! An environment image `lanza-env:DIGEST` holds a base image and the job's requirements, and no code: the code is laid
//! over it when the container is made, so a code-only edit builds nothing. A job with a Dockerfile of its own is built
//! whole. Both go through the `docker` command, which has the log-ins that people have set up.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::models::ImageInspect;
use lanza_model::{Reason, code};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::requirements::{Origin, Requirements};
use crate::{
    command::{Commands, Ended},
    source::artifact::hex,
    state_dir::{make_dir, remove_dir},
    target::{
        Unanswered,
        docker::{AGENT, BUILD, Engine},
        supervisor::{read_file, write_file},
    },
};

/// Home of the user that jobs run as in environment images; the code lies below it.
pub(crate) const HOME: &str = "/home/lanza";
/// User and group that jobs run as in environment images.
pub(crate) const USER: u64 = 1000;

const LAST_LINES: usize = 12;

/// Variables of the agent that say where packages come from and mean the same inside of a build.
const INDEX_VARIABLES: &[&str] = &["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PRE"];

/// An image that is here.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Name to run it by.
    pub(crate) name: String,
    /// Digest of the environment, for environment images.
    pub(crate) digest: Option<String>,
    /// Whether it was there before.
    pub(crate) cached: bool,
    /// Installed packages.
    pub(crate) packages: Vec<String>,
    /// What did not go well and did not matter.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    packages: Vec<String>,
    #[serde(default)]
    failed: Vec<String>,
}

/// Makes and finds images.
pub(crate) struct Images<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) commands: &'a Commands<'a>,
    /// Where records of environments are kept.
    pub(crate) records: &'a Path,
    /// The agent's id, a label of every container that is made on the way.
    pub(crate) agent: &'a str,
    /// `linux/amd64`, where the config asks for one.
    pub(crate) platform: Option<&'a str>,
}

impl Images<'_> {
    /// Returns what the engine knows of an image that is here.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<ImageInspect>, Reason> {
        let unavailable = |Unanswered(why): Unanswered| Reason::new(code::TARGET_UNAVAILABLE, why);
        let docker = self.engine.connect().await.map_err(unavailable)?;
        match docker.inspect_image(name).await {
            Ok(found) => Ok(Some(found)),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(bollard::errors::Error::DockerResponseServerError { message, .. }) => {
                Err(Reason::new(code::IMAGE_MISSING, format!("the image name `{name}` cannot be used: {message}")))
            }
            Err(e) => Err(Reason::new(code::TARGET_UNAVAILABLE, format!("Docker does not describe the image: {e}"))),
        }
    }

    /// Brings an image; returns whether that worked.
    pub(crate) async fn pull(&self, name: &str) -> Result<bool, Reason> {
        if name.starts_with('-') {
            return Err(Reason::new(code::IMAGE_MISSING, format!("`{name}` is not the name of an image")));
        }
        self.commands.say(&format!("pulling {name}"));
        let mut command = Command::new("docker");
        command.arg("pull");
        if let Some(platform) = self.platform {
            command.args(["--platform", platform]);
        }
        match self.commands.run(command.arg("--").arg(name), None).await {
            Ok(Ended::Exit(status)) => Ok(status.success()),
            Ok(Ended::TimedOut) => {
                self.commands.say("the pull took too long");
                Ok(false)
            }
            Err(e) => {
                self.commands.say(&format!("the command `docker` cannot be run: {e}"));
                Ok(false)
            }
        }
    }

    /// Returns an image that is here, or brings it.
    async fn here_or_pull(&self, name: &str) -> Result<ImageInspect, Reason> {
        if let Some(found) = self.inspect(name).await? {
            return Ok(found);
        }
        let pulled = self.pull(name).await?;
        match self.inspect(name).await? {
            Some(found) if pulled => Ok(found),
            _ => Err(self.missing(name)),
        }
    }

    /// The image is neither here nor to be had.
    pub(crate) fn missing(&self, name: &str) -> Reason {
        let lines = self.commands.last_lines(3);
        Reason::new(code::IMAGE_MISSING, format!("the image `{name}` can neither be pulled nor is it here:\n{lines}"))
    }

    /// Returns the key of an environment and the inspected base; none when the base is not here.
    async fn key(&self, base: &str, requirements: Option<&Requirements>, code: &str) -> Result<Option<String>, Reason> {
        let Some(found) = self.inspect(base).await? else { return Ok(None) };
        let mut digest = Sha256::new();
        digest.update(format!(
            "image 1 {} {}/{}\n",
            found.id.unwrap_or_default(),
            found.os.unwrap_or_default(),
            found.architecture.unwrap_or_default()
        ));
        if let Some(requirements) = requirements {
            digest.update(requirements.digest(code));
            for name in INDEX_VARIABLES {
                if let Some(value) = self.commands.environment.get(*name) {
                    digest.update(format!("\n{name}={value}"));
                }
            }
        }
        Ok(Some(hex(&digest.finalize())))
    }

    /// Returns the environment image if it is here.
    pub(crate) async fn find(
        &self,
        base: &str,
        requirements: Option<&Requirements>,
        code: &str,
    ) -> Result<Option<Image>, Reason> {
        match self.key(base, requirements, code).await? {
            Some(key) => self.ready(&key, true).await,
            None => Ok(None),
        }
    }

    async fn ready(&self, key: &str, cached: bool) -> Result<Option<Image>, Reason> {
        let name = format!("lanza-env:{key}");
        if self.inspect(&name).await?.is_none() {
            return Ok(None);
        }
        let path = self.records.join(format!("image-{key}.json"));
        let record = if let Some(record) = read_file::<Record>(&path).ok().flatten() {
            record
        } else {
            // Another agent built it, or this one was killed before it could ask.
            let record = self.look_inside(&name, key).await;
            let _ = write_file(&path, &record, false);
            record
        };
        let warnings = if record.failed.is_empty() {
            Vec::new()
        } else {
            let failed = record.failed.join(", ");
            vec![format!("packages of the job's frozen list that cannot be installed here: {failed}")]
        };
        Ok(Some(Image { name, digest: Some(key.to_owned()), cached, packages: record.packages, warnings }))
    }

    async fn look_inside(&self, image: &str, key: &str) -> Record {
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--network", "none"]);
        // An agent that is killed between "make" and "start" leaves the container; the next one knows it by these.
        command.args(["--label", &format!("{AGENT}={}", self.agent), "--label", &format!("{BUILD}={key}")]);
        command.args(["--entrypoint", "cat", image, "/opt/lanza/report.txt"]);
        let text = match self.commands.output(&mut command).await {
            Ok((status, text)) if status.success() => text,
            _ => String::new(),
        };
        let lines = |prefix: &str| {
            text.lines().filter_map(|l| l.strip_prefix(prefix)).map(|l| l.trim().to_owned()).collect::<Vec<_>>()
        };
        Record { packages: lines("package "), failed: lines("failed ") }
    }

    /// Makes the environment image, unless somebody else does so first.
    pub(crate) async fn build(
        &self,
        base: &str,
        requirements: Option<&Requirements>,
        code: &str,
        source: &Path,
        folder: &Path,
    ) -> Result<Image, Reason> {
        self.here_or_pull(base).await?;
        let key = self.key(base, requirements, code).await?.ok_or_else(|| self.missing(base))?;
        let broken = |e: io::Error| Reason::new(code::AGENT_FAILED, format!("cannot prepare the build: {e}"));
        let lock = self.lock(&key).await.map_err(broken)?;
        if let Some(found) = self.ready(&key, true).await? {
            return Ok(found);
        }
        remove_dir(folder).and_then(|()| make_dir(folder)).map_err(broken)?;
        let local = requirements.is_some_and(|r| r.local);
        write_context(folder, base, requirements, local).map_err(broken)?;
        if local {
            copy_tree(source, &folder.join("code")).map_err(broken)?;
        }
        self.commands.say(&format!("building the environment {key} on {base}"));
        let tag = format!("lanza-env:{key}");
        let mut command = Command::new("docker");
        command.args(["build", "--force-rm", "--tag", &tag]);
        for name in INDEX_VARIABLES {
            if self.commands.environment.contains_key(*name) {
                // Without a value, so that it is taken from the environment and not seen in the process list.
                command.args(["--build-arg", name]);
            }
        }
        self.docker_build(&mut command, folder, &lock).await?;
        drop(lock);
        self.ready(&key, false)
            .await?
            .ok_or_else(|| Reason::new(code::AGENT_FAILED, "the image vanished after it was built"))
    }

    /// Builds a job that has its own Dockerfile.
    pub(crate) async fn build_whole(&self, tag: &str, dockerfile: &Path, context: &Path) -> Result<Image, Reason> {
        let cached = self.inspect(tag).await?.is_some();
        if !cached {
            let key = hex(&Sha256::digest(tag));
            let broken = |e: io::Error| Reason::new(code::AGENT_FAILED, format!("cannot prepare the build: {e}"));
            let lock = self.lock(&key).await.map_err(broken)?;
            if self.inspect(tag).await?.is_none() {
                self.commands.say(&format!("building {tag}"));
                let mut command = Command::new("docker");
                command.args(["build", "--force-rm", "--tag", tag, "--file"]).arg(dockerfile);
                self.docker_build(&mut command, context, &lock).await?;
            }
        }
        Ok(Image { name: tag.to_owned(), digest: None, cached, packages: Vec::new(), warnings: Vec::new() })
    }

    async fn docker_build(&self, command: &mut Command, context: &Path, lock: &File) -> Result<(), Reason> {
        if let Some(platform) = self.platform {
            command.args(["--platform", platform]);
        }
        match self.commands.run(command.arg(context), Some(lock)).await {
            Ok(Ended::Exit(status)) if status.success() => Ok(()),
            Ok(Ended::Exit(_)) => {
                let lines = self.commands.last_lines(LAST_LINES);
                Err(Reason::new(code::INSTALL_FAILED, format!("the image cannot be built:\n{lines}")))
            }
            Ok(Ended::TimedOut) => Err(Reason::new(
                code::BUILD_TIMEOUT,
                format!("the image was not built within {} s", self.commands.timeout.as_secs()),
            )),
            Err(e) => Err(Reason::new(code::AGENT_FAILED, format!("the command `docker` cannot be run: {e}"))),
        }
    }

    async fn lock(&self, key: &str) -> io::Result<File> {
        let path = self.records.join(format!("image-{key}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        let mut said = false;
        while let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Err(e.into());
            }
            if !said {
                self.commands.say("waiting for another build of the same image");
                said = true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(file)
    }
}

fn write_context(folder: &Path, base: &str, requirements: Option<&Requirements>, local: bool) -> io::Result<()> {
    let (text, lines, constraints) = match requirements {
        Some(r) => (r.text(), r.lines.join("\n") + "\n", r.constraints.join("\n")),
        None => (String::new(), String::new(), String::new()),
    };
    fs::write(folder.join("requirements.txt"), text)?;
    fs::write(folder.join("lines.txt"), lines)?;
    fs::write(folder.join("constraints.txt"), constraints)?;
    fs::write(folder.join("Dockerfile"), dockerfile(base, requirements, local))
}

/// Returns the Dockerfile of an environment. No line is specific to a builder, so the classic one and BuildKit both take
/// it.
fn dockerfile(base: &str, requirements: Option<&Requirements>, local: bool) -> String {
    use std::fmt::Write;
    const PIP: &str = "python -m pip install --no-cache-dir --no-input --disable-pip-version-check --progress-bar off";
    let mut text = format!("FROM {base}\nUSER root\n");
    for name in INDEX_VARIABLES {
        let _ = writeln!(text, "ARG {name}");
    }
    let _ = writeln!(
        text,
        "RUN mkdir -p {HOME} /opt/lanza && chown {USER}:{USER} {HOME} && touch /opt/lanza/report.txt && \
         {{ grep -q ':{USER}:' /etc/passwd || echo 'lanza:x:{USER}:{USER}::{HOME}:/bin/sh' >> /etc/passwd; }}"
    );
    if let Some(requirements) = requirements {
        text.push_str("COPY requirements.txt lines.txt constraints.txt /opt/lanza/\n");
        if local {
            text.push_str("COPY code /opt/lanza/code\nWORKDIR /opt/lanza/code\n");
        }
        let whole = format!("{PIP} -r /opt/lanza/requirements.txt -c /opt/lanza/constraints.txt");
        if requirements.origin == Origin::Frozen {
            let options = requirements.options.join(" ");
            let _ = writeln!(
                text,
                "RUN {whole} || while IFS= read -r line; do {PIP} {options} \"$line\" || \
                 echo \"failed $line\" >> /opt/lanza/report.txt; done < /opt/lanza/lines.txt"
            );
        } else {
            let _ = writeln!(text, "RUN {whole}");
        }
        text.push_str(
            "RUN python -m pip freeze --disable-pip-version-check | sed 's/^/package /' >> /opt/lanza/report.txt\n",
        );
    }
    let _ = writeln!(text, "ENV HOME={HOME} PYTHONUNBUFFERED=1\nUSER {USER}\nWORKDIR {HOME}");
    text
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Returns the tag of a job that is built whole: one repository per job, one tag per content.
pub(crate) fn whole_tag(entity: &str, project: &str, job: &str, digest: &str) -> String {
    let part = |text: &str| {
        let text: String =
            text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let text = text.split('-').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-");
        if text.is_empty() { "x".to_owned() } else { text }
    };
    format!("{}/{}/{}:{digest}", part(entity), part(project), part(job))
}

/// Returns the Dockerfile and the build context of a job that is built whole; none when an environment will do.
pub(crate) fn dockerfile_of(
    root: &Path,
    given: Option<&str>,
    of_job: Option<&str>,
    command: &[String],
) -> Result<Option<(PathBuf, PathBuf)>, Reason> {
    if let Some(name) = given.or(of_job) {
        let path = crate::source::below(root, name).filter(|p| p.is_file());
        let path = path.ok_or_else(|| {
            Reason::new(code::SOURCE_MISSING, format!("the Dockerfile `{name}` is not in the job's code"))
        })?;
        return Ok(Some((path, root.to_owned())));
    }
    let beside = command.iter().filter_map(|w| crate::source::below(root, w)).find(|p| p.is_file());
    let folder = beside.as_deref().and_then(Path::parent).unwrap_or(root);
    let path = folder.join("Dockerfile.wandb");
    Ok(path.is_file().then(|| (path, folder.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_of_the_job_is_found_in_the_documented_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/train.py"), "").unwrap();
        let command = ["python".to_owned(), "sub/train.py".to_owned()];
        let of = |given, job| dockerfile_of(root, given, job, &command);
        assert_eq!(of(None, None).unwrap(), None);
        fs::write(root.join("sub/Dockerfile.wandb"), "").unwrap();
        assert_eq!(of(None, None).unwrap(), Some((root.join("sub/Dockerfile.wandb"), root.join("sub"))));
        fs::write(root.join("D"), "").unwrap();
        assert_eq!(of(None, Some("D")).unwrap(), Some((root.join("D"), root.to_owned())));
        assert!(of(Some("E"), Some("D")).unwrap_err().message.contains("`E`"));
        assert!(of(Some("../D"), None).is_err());
    }

    #[test]
    fn tags_are_legal_names() {
        assert_eq!(whole_tag("Acme_X", "my proj", "job-https___h_r.git_", "ab"), "acme-x/my-proj/job-https-h-r-git:ab");
    }
}
