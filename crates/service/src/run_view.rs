//! Projects and runs as the native API shows them.

use lanza_api::{entity as api, run as api_run};
use lanza_store::{projects::Project, runs::Run};
use serde_json::{Map, Value, json};

use crate::{Result, Service, lenient, run_table::picked};

impl Service {
    /// Shows projects.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn project_views(&self, projects: &[Project]) -> Result<Vec<api::Project>> {
        let mut views = Vec::with_capacity(projects.len());
        for project in projects {
            views.push(api::Project {
                id: project.id.to_string(),
                entity: project.entity.clone(),
                name: project.name.clone(),
                description: project.description.clone(),
                created_at: project.created_at,
                runs: self.store.run_count(&project.id, &[]).await?,
            });
        }
        Ok(views)
    }

    /// Shows a run with only some keys of its config and summary (`config.…`, `summary.…`), under their dotted names.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_view_of(&self, run: &Run, keys: &[String]) -> Result<api_run::Run> {
        let mut view = self.run_view(run).await?;
        let paths = |prefix: &str| keys.iter().filter_map(|k| k.strip_prefix(prefix)).collect::<Vec<&str>>();
        view.config = picked(&view.config, &paths("config."));
        view.summary = picked(&view.summary, &paths("summary."));
        Ok(view)
    }

    /// Shows a run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_view(&self, run: &Run) -> Result<api_run::Run> {
        let config = lenient::object(&run.config);
        let item = match run.trace_id.as_deref().and_then(|id| id.parse().ok()) {
            Some(id) => self.store.item_by_id(&id).await?,
            None => None,
        };
        Ok(api_run::Run {
            id: run.name.clone(),
            name: run.display_name.clone(),
            entity: run.entity.clone(),
            project: run.project.clone(),
            state: run.state.as_str().to_owned(),
            git: git(run, &config),
            config: values(config),
            summary: summary(&run.summary),
            author: run.author.clone(),
            job: run.job.clone().or_else(|| item.as_ref().and_then(|i| i.job.clone())),
            attempt: item.as_ref().and(run.attempt).map(|a| a.unsigned_abs() as u32),
            item: item.map(|i| i.id.to_string()),
            tags: run.tags.clone(),
            created_at: run.created_at,
            ended_at: run.ended_at,
            exit_code: run.exit_code.map(|c| c as i32),
            notes: run.notes.clone(),
            group: run.group.clone(),
            job_type: run.job_type.clone(),
            host: run.host.clone(),
            heartbeat_at: Some(run.heartbeat_at),
            history_rows: run.history_rows,
            number: run.number,
            stop_requested: run.stop_requested,
        })
    }
}

/// The config without the client's wrapping and its own section.
fn values(config: Map<String, Value>) -> Map<String, Value> {
    config
        .into_iter()
        .filter(|(key, _)| key != "_wandb")
        .map(|(key, value)| match value {
            Value::Object(mut wrapped) if wrapped.contains_key("value") => {
                let value = wrapped.remove("value").unwrap_or_default();
                (key, value)
            }
            value => (key, value),
        })
        .collect()
}

fn summary(text: &str) -> Map<String, Value> {
    let mut summary = lenient::object(text);
    summary.remove("_wandb");
    summary
}

/// Remote and commit: as the run said when it began, else as its environment says.
fn git(run: &Run, config: &Map<String, Value>) -> Option<Value> {
    let environments = config.get("_wandb").and_then(|w| w.get("value")?.get("e")?.as_object());
    let told = environments.and_then(|e| e.values().find_map(|writer| writer.get("git")));
    let part = |own: &Option<String>, key: &str| own.clone().or_else(|| Some(told?.get(key)?.as_str()?.to_owned()));
    let (remote, commit) = (part(&run.git_remote, "remote"), part(&run.git_commit, "commit"));
    (remote.is_some() || commit.is_some()).then(|| json!({ "remote": remote, "commit": commit }))
}
