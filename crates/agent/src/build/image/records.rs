//! What the agent remembers of images, and what it does with those that were replaced.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bollard::query_parameters::RemoveImageOptionsBuilder;
use lanza_model::{Phase, Reason, clock::Time};
use serde::{Deserialize, Serialize};

use super::{Image, Images};
use crate::{
    context::Context,
    target::{
        docker::{AGENT, BUILD},
        supervisor::{read_file, write_file},
    },
};

/// What the agent remembers of an image that it built or found. Its time is that of the last use.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Name of the image.
    #[serde(default)]
    pub(crate) image: String,
    packages: Vec<String>,
    #[serde(default)]
    failed: Vec<String>,
    #[serde(default)]
    no_python: bool,
    /// The destination has it.
    #[serde(default)]
    pub(super) pushed: bool,
    /// It was built anew and not pushed since: the destination may have an older one under its name.
    #[serde(default)]
    pub(super) renewed: bool,
    /// The engine's id of the image that this is about; empty in records of earlier versions.
    #[serde(default)]
    id: String,
    /// It is known to have been built after this, by this machine's clock.
    #[serde(default)]
    pub(super) begun_at: Option<Time>,
}

impl Images<'_> {
    fn record_path(&self, key: &str) -> PathBuf {
        self.records().join(format!("image-{key}.json"))
    }

    /// Whether an image that is here may be used: it was built since then, as far as this machine knows.
    pub(super) fn is_since(&self, key: &str, since: Option<Time>) -> bool {
        since.is_none_or(|since| self.recorded(key).is_some_and(|r| r.begun_at.is_some_and(|b| b >= since)))
    }

    pub(super) fn recorded(&self, key: &str) -> Option<Record> {
        read_file(&self.record_path(key)).ok().flatten()
    }

    /// Changes the record of an image. It can be made again from the image, so a failure does no harm.
    pub(super) fn remember(&self, key: &str, change: impl FnOnce(&mut Record)) {
        let mut record = self.recorded(key).unwrap_or_default();
        change(&mut record);
        let _ = write_file(&self.record_path(key), &record, false);
    }

    /// Writes down which image the record of an earlier version is about, before the name moves to another one.
    pub(super) fn remember_id(&self, key: &str, id: Option<&str>) {
        if let Some(id) = id
            && self.recorded(key).is_some_and(|r| r.id.is_empty())
        {
            self.remember(key, |r| id.clone_into(&mut r.id));
        }
    }

    pub(super) async fn ready(&self, key: &str, name: &str, cached: bool) -> Result<Option<Image>, Reason> {
        let Some(found) = self.inspect(name).await? else { return Ok(None) };
        let path = self.record_path(key);
        let id = found.id.unwrap_or_default();
        let environment = found.config.and_then(|c| c.labels).is_some_and(|l| l.get(BUILD).is_some_and(|k| k == key));
        let record = match self.recorded(key) {
            Some(record) if record.image == name && (record.id == id || record.id.is_empty()) => record,
            _ => {
                // Another agent built it, or it was built anew, or this agent was killed before it could ask.
                let mut record = if environment { self.look_inside(name, key).await } else { Record::default() };
                name.clone_into(&mut record.image);
                record.id = id;
                let _ = write_file(&path, &record, false);
                record
            }
        };
        touch(&path, self.ctx);
        let mut warnings = Vec::new();
        if !record.failed.is_empty() {
            let failed = record.failed.join(", ");
            warnings.push(format!("packages of the job's frozen list that cannot be installed here: {failed}"));
        }
        if record.no_python {
            warnings.push("the base image has no Python, so the job's packages are not installed".into());
        }
        Ok(Some(Image {
            name: name.to_owned(),
            digest: Some(key.to_owned()),
            cached,
            packages: record.packages,
            warnings,
        }))
    }

    async fn look_inside(&self, image: &str, key: &str) -> Record {
        let commands = self.commands(Phase::Build);
        let mut command = self.docker();
        command.args(["run", "--rm", "--network", "none"]);
        // An agent that is killed between "make" and "start" leaves the container; the next one knows it by these.
        command.args(["--label", &format!("{AGENT}={}", self.agent), "--label", &format!("{BUILD}={key}")]);
        command.args(["--entrypoint", "cat", image, "/opt/lanza/report.txt"]);
        let text = match commands.output(&mut command).await {
            Ok((status, text)) if status.success() => text,
            _ => String::new(),
        };
        let lines = |prefix: &str| {
            text.lines().filter_map(|l| l.strip_prefix(prefix)).map(|l| l.trim().to_owned()).collect::<Vec<_>>()
        };
        Record {
            packages: lines("package "),
            failed: lines("failed "),
            no_python: text.lines().any(|l| l == "no-python"),
            ..Record::default()
        }
    }

    /// Removes an image whose name went to a newer one. Docker keeps one that a container has, or that has another name;
    /// `prune` takes it away when its last container is gone.
    pub(super) async fn remove_replaced(&self, key: &str, id: &str) {
        if self.recorded(key).is_some_and(|r| r.id == id) {
            // The new one is equal to it.
            return;
        }
        let Ok(docker) = self.engine.connect().await else { return };
        let gently = RemoveImageOptionsBuilder::default().force(false).build();
        if let Err(e) = docker.remove_image(id, Some(gently), None).await {
            tracing::debug!("the replaced image {id} stays: {e}");
        }
    }
}

/// Notes that something is used now.
pub(crate) fn touch(path: &Path, ctx: &Context) {
    let now = UNIX_EPOCH + std::time::Duration::from_millis(u64::try_from(ctx.clock.now().0).unwrap_or(0));
    let touched = File::options().append(true).open(path).and_then(|f| f.set_modified(now));
    if let Err(e) = touched {
        tracing::warn!("cannot note the use of {}: {e}", path.display());
    }
}
