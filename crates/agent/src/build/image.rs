//! Images for target `docker`.
//!
//! An environment image holds a base image and the job's requirements, and no code: the code is laid over it when the
//! container is made, so a code-only edit builds nothing. A job with a Dockerfile of its own is built whole. Both go
//! through the `docker` command, which has the log-ins that people have set up: `docker buildx` where it is there, else
//! the classic builder. Where the agent's config names a destination, what is built is pushed there, and what is there
//! already is pulled instead of built.
//!
//! A launch may ask for an image that is built anew (`--rebuild`). It keeps its key and its name: the name moves to the new
//! image, and containers of the old one do not notice. One that somebody built since the launch was pushed counts.

mod base;
mod records;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bollard::models::ImageInspect;
use lanza_model::{Phase, Reason, clock::Time, code};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{
    broken,
    context::{self, Ignore},
    diagnose,
    dockerfile::{self, INDEX_VARIABLES, Plan},
    lock,
    registry::{Found, Registries},
    requirements::Requirements,
    turn::{self, Turn, Turns},
};
use crate::{
    attempt::Progress,
    command::{Commands, Ended},
    context::Context,
    prepare::commands,
    source::artifact::hex,
    state_dir::{make_dir, remove_dir},
    target::{
        Handle, Unanswered,
        docker::{Engine, REPLACEABLE},
    },
};

pub(crate) use self::records::{Record, touch};

/// An image that is here.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Name to run it by.
    pub(crate) name: String,
    /// Key of what was built; none for images that were made elsewhere.
    pub(crate) digest: Option<String>,
    /// Whether it was there before.
    pub(crate) cached: bool,
    /// Installed packages.
    pub(crate) packages: Vec<String>,
    /// What did not go well and did not matter.
    pub(crate) warnings: Vec<String>,
}

/// What an environment is made of.
pub(crate) struct Wanted<'a> {
    /// Image to build on.
    pub(crate) base: String,
    pub(crate) requirements: Option<&'a Requirements>,
    /// Digest of the code, for requirements that point into it.
    pub(crate) code: &'a str,
    /// Folder of the code.
    pub(crate) source: &'a Path,
    /// User and group that jobs run as.
    pub(crate) user: u64,
}

/// Makes and finds images for one attempt.
pub(crate) struct Images<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) handle: &'a Handle,
    pub(crate) engine: &'a Engine,
    /// The agent's id, a label of every container that is made on the way.
    pub(crate) agent: String,
    /// `linux/amd64`, where the config asks for one.
    pub(crate) platform: Option<String>,
    /// Repository that built images are pushed to.
    pub(crate) destination: Option<String>,
    /// Docker's config with the agent's own log-ins.
    docker_config: Option<PathBuf>,
}

impl<'a> Images<'a> {
    /// Prepares to make images; [`Images::close`] takes away what this lays down.
    pub(crate) fn new(
        ctx: &'a Context,
        handle: &'a Handle,
        engine: &'a Engine,
        agent: &str,
        platform: Option<String>,
        destination: Option<String>,
    ) -> Result<Self, Reason> {
        let mut images =
            Self { ctx, handle, engine, agent: agent.to_owned(), platform, destination, docker_config: None };
        let commands = images.commands(Phase::Build);
        images.docker_config = images
            .registries(&commands)
            .docker_config(&images.folder().join("docker"))
            .map_err(|why| Reason::new(code::REGISTRY_LOGIN_FAILED, why))?;
        Ok(images)
    }

    /// Removes log-ins and build contexts from the attempt's folder.
    pub(crate) fn close(&self) {
        if let Err(e) = remove_dir(&self.folder()) {
            tracing::warn!("cannot remove {}: {e}", self.folder().display());
        }
    }

    fn folder(&self) -> PathBuf {
        self.handle.dir.join("build")
    }

    fn commands(&self, phase: Phase) -> Commands<'a> {
        commands(self.ctx, self.handle.dir.join("logs").join(format!("{phase}.log")), phase)
    }

    fn registries<'c>(&'c self, commands: &'c Commands<'c>) -> Registries<'c> {
        let own = &self.ctx.options.config.lanza.registry_credentials;
        Registries { own, environment: &self.ctx.options.environment, commands }
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        if let Some(folder) = &self.docker_config {
            command.env("DOCKER_CONFIG", folder);
        }
        command
    }

    fn records(&self) -> PathBuf {
        self.ctx.state.environments()
    }

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

    /// Brings an image; an error says why that did not work. `missing` is the code for one that is not to be had.
    pub(crate) async fn pull(&self, name: &str, phase: Phase, missing: lanza_model::Code) -> Result<(), Reason> {
        dockerfile::check_base(name).map_err(|r| Reason::new(missing, r.message))?;
        let commands = self.commands(phase);
        commands.say(&format!("pulling {name}"));
        let mut command = self.docker();
        command.arg("pull");
        if let Some(platform) = &self.platform {
            command.args(["--platform", platform]);
        }
        let before = commands.log_length();
        let what = format!("the image `{name}` cannot be pulled");
        match commands.run(command.arg("--").arg(name), None).await {
            Ok(Ended::Exit(status)) if status.success() => Ok(()),
            Ok(Ended::Exit(_)) => {
                let text = commands.log_since(before);
                Err(diagnose::reason(&what, diagnose::pull(&text, missing), &text))
            }
            Ok(Ended::TimedOut) => {
                Err(Reason::new(missing, format!("{what}: it took longer than {} s", commands.timeout.as_secs())))
            }
            Err(e) => Err(Reason::new(missing, format!("{what}: the command `docker` cannot be run ({e})"))),
        }
    }

    /// Finds the environment image of a job, or makes it.
    pub(crate) async fn environment(&self, progress: &mut Progress, wanted: &Wanted<'_>) -> Result<Image, Reason> {
        let (base, begun) = self.base(progress, &wanted.base, Phase::Build).await?;
        let key = self.key(&base, wanted);
        let anew = progress.renew_since().map(|_| self.ctx.clock.now().0);
        let name = self.destination.as_ref().map_or_else(|| format!("lanza-env:{key}"), |d| format!("{d}:{key}"));
        self.provide(progress, &key, &name, begun, async |lock, commands| {
            let folder = self.folder().join("context");
            let prepared = remove_dir(&folder).and_then(|()| make_dir(&folder));
            prepared.map_err(|e| broken("make the folder of the build", &e))?;
            let buildx = self.has_buildx(commands).await;
            let plan = Plan {
                base: &wanted.base,
                requirements: wanted.requirements,
                user: wanted.user,
                key: &key,
                cache_mounts: buildx,
                anew,
            };
            context::write(&folder, &plan, wanted.source).map_err(|e| broken("write the build context", &e))?;
            commands.say(&format!("building the environment {key} on {}", wanted.base));
            let file = folder.join("Dockerfile");
            let build = Build {
                name: &name,
                key: &key,
                file: &file,
                context: &folder,
                buildx,
                environment: true,
                no_cache: false,
            };
            self.build(commands, build, lock).await
        })
        .await
    }

    /// Returns the digest of everything that decides what is in an environment.
    fn key(&self, base: &ImageInspect, wanted: &Wanted<'_>) -> String {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(format!(
            "image 3 {} {}/{} user {}\n",
            text(&base.id),
            text(&base.os),
            text(&base.architecture),
            wanted.user
        ));
        if let Some(requirements) = wanted.requirements {
            digest.update(requirements.digest(wanted.code));
            for name in INDEX_VARIABLES {
                if let Some(value) = self.ctx.options.environment.get(*name) {
                    digest.update(format!("\n{name}={value}"));
                }
            }
        }
        hex(&digest.finalize())
    }

    /// Returns the platform that builds are for: the config's, the variable's that Docker obeys, else the engine's own.
    /// Agents on machines of two kinds may share one destination.
    async fn platform_of_builds(&self) -> Result<String, Reason> {
        let said = self.ctx.options.environment.get("DOCKER_DEFAULT_PLATFORM").filter(|p| !p.is_empty());
        if let Some(platform) = self.platform.as_ref().or(said) {
            return Ok(base::usual_platform(platform));
        }
        let unavailable = |why: String| Reason::new(code::TARGET_UNAVAILABLE, why);
        let docker = self.engine.connect().await.map_err(|Unanswered(why)| unavailable(why))?;
        let engine =
            docker.version().await.map_err(|e| unavailable(format!("Docker does not describe itself: {e}")))?;
        let text = |part: Option<String>| part.unwrap_or_default();
        Ok(base::usual_platform(&format!("{}/{}", text(engine.os), text(engine.arch))))
    }

    /// Finds the image of a job that has a Dockerfile of its own, or builds it. `name` makes its name of the key.
    pub(crate) async fn whole(
        &self,
        progress: &mut Progress,
        file: &Path,
        context: &Path,
        tag: impl Fn(&str) -> String,
    ) -> Result<Image, Reason> {
        let text = fs::read_to_string(file).map_err(|e| broken("read the Dockerfile", &e))?;
        let text = if self.ctx.options.config.lanza.drop_syntax_lines {
            dockerfile::without_syntax_lines(&text)
        } else {
            text
        };
        let (ignore, ignore_file) = Ignore::of(context, file);
        let root = context.to_owned();
        let files = tokio::task::spawn_blocking(move || context::digest(&root, &ignore))
            .await
            .map_err(io::Error::other)
            .and_then(|r| r)
            .map_err(|e| broken("read the build context", &e))?;
        let platform = self.platform_of_builds().await?;
        let no_cache = progress.renew_since().is_some();
        let key = hex(&Sha256::digest(format!("whole 3 {platform}\n{files}\n{text}")));
        let name = self.destination.as_ref().map_or_else(|| tag(&key), |d| format!("{d}:{key}"));
        self.provide(progress, &key, &name, false, async |lock, commands| {
            let folder = self.folder().join("dockerfile");
            let copy = folder.join("Dockerfile");
            remove_dir(&folder)
                .and_then(|()| make_dir(&folder))
                .and_then(|()| fs::write(&copy, &text))
                .and_then(|()| match &ignore_file {
                    // Builders look for it beside the Dockerfile first.
                    Some(ignore) => fs::copy(ignore, folder.join("Dockerfile.dockerignore")).map(|_| ()),
                    None => Ok(()),
                })
                .map_err(|e| broken("write the Dockerfile", &e))?;
            let buildx = self.has_buildx(commands).await;
            commands.say(&format!("building {name}"));
            let build = Build { name: &name, key: &key, file: &copy, context, buildx, environment: false, no_cache };
            self.build(commands, build, lock).await
        })
        .await
    }

    /// Returns the image `name` for `key`: the one that is here, else that of the destination, else a new one.
    async fn provide(
        &self,
        progress: &mut Progress,
        key: &str,
        name: &str,
        begun: bool,
        build: impl AsyncFnOnce(&File, &Commands<'_>) -> Result<(), Reason>,
    ) -> Result<Image, Reason> {
        let since = progress.renew_since();
        if self.is_since(key, since)
            && let Some(found) = self.find(progress, key, name).await?
        {
            return Ok(found);
        }
        if !begun {
            progress.begin(Phase::Build).await;
        }
        let commands = self.commands(Phase::Build);
        let wanted = turn::Wanted { place: self.place(name).await, key: key.to_owned(), renew: since.is_some() };
        let turns = Turns::of(self.ctx, progress);
        let mut missing = false;
        let (leased, waited) = loop {
            match turns.take(&commands, &wanted, missing).await {
                Turn::Build { leased, waited } => break (leased, waited),
                Turn::Use => {
                    if let Some(found) = self.built_elsewhere(progress, key, name, since).await? {
                        return Ok(found);
                    }
                    missing = true;
                }
            }
        };
        let make = async {
            // Who had it may have got as far as the result, and no further.
            if waited
                && since.is_none()
                && let Some(found) = self.find(progress, key, name).await?
            {
                return Ok(found);
            }
            let path = self.records().join(format!("image-{key}.lock"));
            let lock = lock::take(&commands, &path).await.map_err(|e| broken("lock the image", &e))?;
            if self.is_since(key, since)
                && let Some(found) = self.ready(key, name, true).await?
            {
                return Ok(found);
            }
            let replaced = self.inspect(name).await?.and_then(|i| i.id);
            self.remember_id(key, replaced.as_deref());
            let begun_at = self.ctx.clock.now();
            build(&lock, &commands).await?;
            let made = self.ready(key, name, false).await?;
            self.remember(key, |r| (r.begun_at, r.renewed) = (Some(begun_at), since.is_some()));
            drop(lock);
            if let Some(old) = replaced {
                self.remove_replaced(key, &old).await;
            }
            if self.is_unpushed(key) {
                self.push(progress, key, name).await?;
            }
            made.ok_or_else(|| Reason::new(code::AGENT_FAILED, "the image vanished after it was built"))
        };
        turns.hold(&wanted, leased, make).await
    }

    /// Returns an image that the server says somebody has just built.
    async fn built_elsewhere(
        &self,
        progress: &mut Progress,
        key: &str,
        name: &str,
        since: Option<Time>,
    ) -> Result<Option<Image>, Reason> {
        if since.is_some() && self.destination.is_some() && self.is_in_destination(name).await? {
            // The one that is here may be the one that was replaced.
            progress.begin(Phase::Pull).await;
            self.pull(name, Phase::Pull, code::IMAGE_MISSING).await?;
            self.ready(key, name, true).await?;
            self.remember(key, |r| r.pushed = true);
        }
        let found = self.find(progress, key, name).await?;
        if found.is_some() && since.is_some() {
            self.remember(key, |r| r.begun_at = since);
        }
        Ok(found)
    }

    /// Returns the image that is here, or that of the destination.
    async fn find(&self, progress: &mut Progress, key: &str, name: &str) -> Result<Option<Image>, Reason> {
        if let Some(found) = self.ready(key, name, true).await? {
            if self.is_unpushed(key) {
                // An earlier push failed, or another agent of this machine built it for itself.
                let renewed = self.recorded(key).is_some_and(|r| r.renewed);
                if !renewed && self.is_in_destination(name).await? {
                    self.remember(key, |r| r.pushed = true);
                } else {
                    self.push(progress, key, name).await?;
                }
            }
            return Ok(Some(found));
        }
        if !self.is_in_destination(name).await? {
            return Ok(None);
        }
        progress.begin(Phase::Pull).await;
        self.pull(name, Phase::Pull, code::IMAGE_MISSING).await?;
        let found = self.ready(key, name, true).await?;
        if found.is_some() {
            self.remember(key, |r| r.pushed = true);
        }
        Ok(found)
    }

    /// Returns where an image will be.
    async fn place(&self, name: &str) -> String {
        match &self.destination {
            Some(destination) => format!("registry {destination}"),
            None => turn::engine_place(self.engine, &self.agent, name).await,
        }
    }

    /// Asks the registry before anything is built: a refused log-in is told at once.
    async fn is_in_destination(&self, name: &str) -> Result<bool, Reason> {
        if self.destination.is_none() {
            return Ok(false);
        }
        let commands = self.commands(Phase::Build);
        match self.registries(&commands).find(name).await {
            Found::Yes => Ok(true),
            Found::No => Ok(false),
            Found::Refused(why) => Err(Reason::new(code::REGISTRY_LOGIN_FAILED, why)),
            Found::Unknown(why) => {
                commands.say(&format!("cannot ask the registry for {name}: {why}"));
                self.ask_docker(&commands, name).await
            }
        }
    }

    /// Asks the `docker` command for a manifest. It accepts certificates that we do not, self-signed ones for instance.
    async fn ask_docker(&self, commands: &Commands<'_>, name: &str) -> Result<bool, Reason> {
        let before = commands.log_length();
        let mut command = self.docker();
        // Older versions of the command hide it.
        command.args(["manifest", "inspect", "--", name]).env("DOCKER_CLI_EXPERIMENTAL", "enabled");
        let asked = commands.output(&mut command).await;
        if asked.is_ok_and(|(status, _)| status.success()) {
            return Ok(true);
        }
        let text = commands.log_since(before);
        match diagnose::pull(&text, code::IMAGE_MISSING) {
            found if found.0 == code::REGISTRY_LOGIN_FAILED => {
                Err(diagnose::reason(&format!("the registry of `{name}` refused the log-in"), found, ""))
            }
            _ => Ok(false),
        }
    }

    fn is_unpushed(&self, key: &str) -> bool {
        self.destination.is_some() && !self.recorded(key).is_some_and(|r| r.pushed)
    }

    /// Pushes an image that the destination does not have.
    async fn push(&self, progress: &mut Progress, key: &str, name: &str) -> Result<(), Reason> {
        progress.begin(Phase::Push).await;
        let commands = self.commands(Phase::Push);
        commands.say(&format!("pushing {name}"));
        let before = commands.log_length();
        let what = format!("the image `{name}` cannot be pushed");
        match commands.run(self.docker().args(["push", "--", name]), None).await {
            Ok(Ended::Exit(status)) if status.success() => {}
            Ok(Ended::Exit(_)) => {
                let text = commands.log_since(before);
                return Err(diagnose::reason(&what, diagnose::push(&text), &text));
            }
            Ok(Ended::TimedOut) => {
                let limit = commands.timeout.as_secs();
                return Err(Reason::new(code::PUSH_FAILED, format!("{what}: it took longer than {limit} s")));
            }
            Err(e) => return Err(broken("run the command `docker`", &e)),
        }
        self.remember(key, |r| (r.pushed, r.renewed) = (true, false));
        Ok(())
    }

    async fn has_buildx(&self, commands: &Commands<'_>) -> bool {
        // Its absence is said at length, which is no news of this job.
        let quiet = Commands { environment: commands.environment.clone(), log: "/dev/null".into(), ..*commands };
        let asked = quiet.output(self.docker().args(["buildx", "version"])).await;
        // Older versions of the command answer an unknown word with their general help, and success.
        asked.is_ok_and(|(status, out)| status.success() && out.contains("buildx"))
    }

    /// Calls the builder.
    async fn build(&self, commands: &Commands<'_>, build: Build<'_>, lock: &File) -> Result<(), Reason> {
        let mut command = self.docker();
        if build.buildx {
            command.args(["buildx", "build", "--load", "--progress", "plain"]);
            if !commands.environment.contains_key("BUILDX_BUILDER") {
                // Another builder would not see the images of this engine.
                command.env("BUILDX_BUILDER", "default");
            }
        } else {
            command.args(["build", "--force-rm"]).env("DOCKER_BUILDKIT", "0");
        }
        command.args(["--tag", build.name, "--label", &format!("{REPLACEABLE}={}", build.key)]);
        if build.no_cache {
            command.arg("--no-cache");
        }
        if let Some(platform) = &self.platform {
            command.args(["--platform", platform]);
        }
        if build.environment {
            for name in INDEX_VARIABLES.iter().filter(|n| commands.environment.contains_key(**n)) {
                // Without a value, so that it is taken from the environment and not seen in the process list.
                command.args(["--build-arg", name]);
            }
        }
        for name in commands.environment.keys().filter(|n| n.to_ascii_lowercase().ends_with("_proxy")) {
            command.args(["--build-arg", name]);
        }
        command.arg("--file").arg(build.file).arg(build.context);
        let before = commands.log_length();
        let what = if build.environment { "the environment cannot be built" } else { "the image cannot be built" };
        match commands.run(&mut command, Some(lock)).await {
            Ok(Ended::Exit(status)) if status.success() => Ok(()),
            Ok(Ended::Exit(_)) => {
                let text = commands.log_since(before);
                Err(diagnose::reason(what, diagnose::build(&text, build.environment), &text))
            }
            Ok(Ended::TimedOut) => {
                let (limit, last) = (commands.timeout.as_secs(), commands.last_lines(1));
                let why = format!("the image was not built within {limit} s; last it said: {last}");
                Err(Reason::new(code::BUILD_TIMEOUT, why))
            }
            Err(e) => Err(broken("run the command `docker`", &e)),
        }
    }
}

/// One call of a builder.
struct Build<'a> {
    name: &'a str,
    key: &'a str,
    file: &'a Path,
    context: &'a Path,
    buildx: bool,
    environment: bool,
    no_cache: bool,
}
