//! Runs: made and changed by their clients, stopped and deleted by people, ended by silence.

use std::{collections::HashMap, sync::Arc};

use lanza_model::{
    clock::Time,
    id::{ProjectId, RunId},
    name,
    run::{Event, State, next},
};
use lanza_store::{
    chunks::NewChunk,
    items::Item,
    projects::NewProject,
    runs::{Posted, Run, RunFields, RunPost, RunUpsert, Upserted},
};
use parking_lot::Mutex;

use crate::{Actor, Error, Result, Service, lenient, projects::DEFAULT_PROJECT};

/// How long a run may be silent before it counts as crashed.
pub const SILENCE_MS: i64 = 5 * 60_000;
/// How long a caller's right to write to a run is trusted without asking the database again.
const ACCESS_MS: i64 = 2_000;
const ACCESS_SIZE: usize = 10_000;

/// Who has lately been found to write to which run; file streams ask many times a second.
#[derive(Debug, Default)]
pub(crate) struct AccessCache(Mutex<HashMap<String, (Time, ProjectId, RunId)>>);

impl AccessCache {
    fn get(&self, key: &str, now: Time) -> Option<(ProjectId, RunId)> {
        let cache = self.0.lock();
        let (seen, project, run) = cache.get(key)?;
        (now.since_ms(*seen) < ACCESS_MS).then(|| (project.clone(), run.clone()))
    }

    fn put(&self, key: String, now: Time, (project, run): (ProjectId, RunId)) {
        let mut cache = self.0.lock();
        if cache.len() >= ACCESS_SIZE {
            cache.retain(|_, (seen, ..)| now.since_ms(*seen) < ACCESS_MS);
        }
        if cache.len() < ACCESS_SIZE {
            cache.insert(key, (now, project, run));
        }
    }

    fn clear(&self) {
        self.0.lock().clear();
    }
}

/// What a client says about a run.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Row id of a run that is known to be there.
    pub id: Option<String>,
    /// Entity; none means the caller's own.
    pub entity: Option<String>,
    /// Project.
    pub project: Option<String>,
    /// The id that people see; one is made up when it is missing.
    pub name: Option<String>,
    /// `pending` announces a run.
    pub state: Option<String>,
    /// User whom a service account acts for.
    pub on_behalf_of: Option<String>,
    /// The rest.
    pub fields: RunFields,
}

/// What one request of a file stream says.
#[derive(Debug, Clone)]
pub struct Post {
    /// Which of several processes writes; empty as a rule.
    pub writer: String,
    /// New lines.
    pub chunks: Vec<NewChunk>,
    /// The whole new summary.
    pub summary: Option<String>,
    /// What it says about the run's life.
    pub event: Event,
}

/// Returns the item that launched a run, as its config says.
fn trace_id_of(config: &str) -> Option<String> {
    if !config.contains("launch_trace_id") {
        return None;
    }
    let config = lenient::object(config);
    let id = config.get("_wandb")?.get("value")?.get("launch_trace_id")?.as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}

pub(crate) fn run_missing(name: &str) -> Error {
    Error::not_found("run", name)
}

impl Service {
    /// Makes a run, or changes the one that is meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names that are not legal, [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_upsert(&self, actor: &Actor, request: RunRequest) -> Result<Upserted> {
        let (entity, project, run) = match &request.id {
            Some(id) => {
                let run = self.run_by_row_id(actor, id).await?;
                (run.entity, run.project, run.name)
            }
            None => (
                self.entity_or_default(actor, request.entity.as_deref()).await?,
                request.project.filter(|p| !p.is_empty()).unwrap_or_else(|| DEFAULT_PROJECT.to_owned()),
                request.name.filter(|n| !n.is_empty()).unwrap_or_else(name::new_run_name),
            ),
        };
        let entity = self.project_writable(actor, &entity, &project).await?;
        name::check_project(&project).map_err(|e| Error::invalid("project", e.0))?;
        name::check_run(&run).map_err(|e| Error::invalid("run", e.0))?;
        let mut fields = request.fields;
        for (field, text) in [("config", &fields.config), ("summaryMetrics", &fields.summary)] {
            if let Some(text) = text {
                lenient::parse::<serde_json::Map<String, serde_json::Value>>(text)
                    .map_err(|e| Error::invalid(field, format!("is not a JSON object: {e}")))?;
            }
        }
        fields.trace_id = match fields.config.as_deref().and_then(trace_id_of) {
            Some(id) if self.trace_is_own(actor, &id, &entity.name, &project).await? => Some(id),
            _ => None,
        };
        fields.attempt =
            actor.job.as_ref().filter(|j| fields.trace_id.as_deref() == Some(&j.item)).map(|j| i64::from(j.attempt));
        let author = match &request.on_behalf_of {
            // A service account runs for a person who is a member too; its jobs are its own.
            Some(user) if actor.service && actor.job.is_none() => match self.store.user_by_name(user).await? {
                Some(user) if self.store.member_role(&entity.id, &user.id).await?.is_some() => user.username,
                _ => actor.username.clone(),
            },
            _ => actor.username.clone(),
        };
        let trace_id = fields.trace_id.clone();
        let upsert = RunUpsert {
            project: self.project_new(actor, &entity, &project, None),
            name: run,
            author,
            state: if request.state.as_deref() == Some("pending") { State::Pending } else { State::Running },
            fields,
        };
        let done = self.store.run_upsert(upsert, self.now()).await?;
        if let Some(trace_id) = trace_id
            && done.run.trace_id.as_deref() == Some(&trace_id)
        {
            self.item_run_seen(actor, &trace_id, &done.run.name).await?;
        }
        if done.inserted {
            self.wakers.changed();
        }
        self.wakers.run_changed(&done.run.project_id, &done.run.id);
        Ok(done)
    }

    /// Finds a run by the id that people see.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or is not visible.
    pub async fn run_find(&self, actor: &Actor, entity: Option<&str>, project: &str, run: &str) -> Result<Run> {
        let project = self.project_find(actor, entity, project).await?;
        self.store.run_by_name(&project.id, run).await?.ok_or_else(|| run_missing(run))
    }

    /// Finds a run by its row id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist or is not visible.
    pub async fn run_by_row_id(&self, actor: &Actor, id: &str) -> Result<Run> {
        let missing = || run_missing(id);
        let parsed: RunId = id.parse().map_err(|_| missing())?;
        let run = self.store.run_by_id(&parsed).await?.ok_or_else(missing)?;
        self.entity_seen(actor, &run.entity).await.map_err(|e| if is_missing(&e) { missing() } else { e })?;
        Ok(run)
    }

    /// Finds a run by its row id for a caller who may write into its project.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_writable(&self, actor: &Actor, id: &str) -> Result<Run> {
        let run = self.run_by_row_id(actor, id).await?;
        self.project_writable(actor, &run.entity, &run.project).await?;
        Ok(run)
    }

    /// Takes one request of a run's file stream. What it brings is durable when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the run is gone, [`Error::Forbidden`], [`Error::Unavailable`].
    pub async fn run_post(&self, actor: &Actor, path: (&str, &str, &str), post: Post) -> Result<Posted> {
        let now = self.now();
        let (entity, project, name) = path;
        let job = actor.job.as_ref().map_or(String::new(), |j| format!("{}#{}", j.item, j.attempt));
        let key = format!("{}|{job}|{entity}/{project}/{name}", actor.user_id);
        let (project_id, run) = if let Some(known) = self.run_access.get(&key, now) {
            known
        } else {
            let found = self.run_find(actor, Some(entity), project, name).await?;
            self.project_writable(actor, &found.entity, &found.project).await?;
            let known = (found.project_id, found.id);
            self.run_access.put(key, now, known.clone());
            known
        };
        let lines: i64 = post.chunks.iter().map(|c| c.line_count).sum();
        let history: i64 =
            post.chunks.iter().filter(|c| c.stream == lanza_store::chunks::Stream::History).map(|c| c.line_count).sum();
        let log_grew = post.chunks.iter().any(|c| c.stream == lanza_store::chunks::Stream::Console);
        let Post { writer, chunks, summary, event } = post;
        let post = RunPost { run: run.clone(), writer, chunks, summary, event, now };
        let posted = match self.store.run_post(Arc::new(post)).await {
            Err(lanza_store::Error::Moved) => {
                self.run_access.clear();
                return Err(run_missing(name));
            }
            done => done?,
        };
        metrics::counter!("lanza_file_stream_lines_total").increment(lines.unsigned_abs());
        if log_grew {
            self.wakers.log_grew();
        }
        self.wakers.run_changed(&project_id, &run);
        self.series_backlog.note(&run, history, posted.before != posted.state && posted.state.is_ended());
        if posted.before != posted.state {
            let exit_code = match event {
                Event::Completed { exit_code } => Some(exit_code as i32),
                _ => None,
            };
            self.run_state_changed(posted.trace_id.as_deref(), name, posted.state, exit_code).await?;
        }
        if matches!(event, Event::Completed { .. }) {
            self.run_completed(actor, entity, project, name).await;
        }
        Ok(posted)
    }

    /// The client has sent all that it has: the run may become a job. The run itself is safe by now, so a failure here is
    /// ours and not the client's.
    async fn run_completed(&self, actor: &Actor, entity: &str, project: &str, name: &str) {
        let made = match self.run_find(actor, Some(entity), project, name).await {
            // Once in the life of a run, and large: not a part of every post.
            Ok(run) => Box::pin(self.job_of_ended_run(actor, &run)).await,
            Err(e) => Err(e),
        };
        if let Err(e) = made {
            tracing::error!(run = name, error = ?e, "cannot make a job of a run");
        }
    }

    /// What follows when a run has changed its state: an item that a stock agent serves goes with it.
    async fn run_state_changed(
        &self,
        trace_id: Option<&str>,
        name: &str,
        state: State,
        exit_code: Option<i32>,
    ) -> Result<()> {
        self.wakers.changed();
        match trace_id {
            Some(trace_id) => self.item_run_changed(trace_id, name, state, exit_code).await,
            None => Ok(()),
        }
    }

    /// Changes what people say about a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] for texts that are too long, [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_change(&self, actor: &Actor, run: &Run, fields: RunFields) -> Result<Run> {
        let long = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|t| t.chars().count() > most);
        if long(&fields.display_name, 256) || fields.display_name.as_deref().is_some_and(|n| n.trim().is_empty()) {
            return Err(Error::invalid("name", "has 1 to 256 characters"));
        }
        if long(&fields.notes, 65_536) {
            return Err(Error::invalid("notes", "has at most 65536 characters"));
        }
        if fields
            .tags
            .as_ref()
            .is_some_and(|t| t.len() > 100 || t.iter().any(|t| t.is_empty() || t.chars().count() > 128))
        {
            return Err(Error::invalid("tags", "are at most 100, of 1 to 128 characters each"));
        }
        let request = RunRequest { id: Some(run.id.to_string()), fields, ..RunRequest::default() };
        Ok(self.run_upsert(actor, request).await?.run)
    }

    /// Asks a run to stop. Its client is told with its next post; the item that launched it stops too. Returns whether
    /// the run had not ended yet.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`], also where the caller may not stop the item that launched it.
    pub async fn run_stop(&self, actor: &Actor, run: &Run) -> Result<bool> {
        self.project_writable(actor, &run.entity, &run.project).await?;
        let item = match &run.trace_id {
            Some(trace_id) => self.item_to_stop(actor, trace_id).await?,
            None => None,
        };
        let asked = self.store.run_stop(&run.id).await?;
        if asked {
            self.wakers.run_changed(&run.project_id, &run.id);
            self.run_event(actor, run, "stopped").await?;
            if let Some(item) = item {
                self.item_stop_with_run(&item, &actor.username).await?;
            }
        }
        Ok(asked)
    }

    /// Sets a run's state by hand: `pending` to begin it again, `failed` to give it up.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its state does not allow it, [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_set_state(&self, actor: &Actor, id: &str, state: &str) -> Result<()> {
        let run = self.run_writable(actor, id).await?;
        let to: State = state
            .parse()
            .ok()
            .filter(|s| matches!(s, State::Pending | State::Failed))
            .ok_or_else(|| Error::invalid("state", format!("`{state}` cannot be set; set pending or failed")))?;
        if run.sweep.is_some() || !run.state.may_be_set_to(to) {
            return Err(Error::conflict(format!("run `{}` is {} and cannot be set to {to}", run.name, run.state)));
        }
        self.store.run_set_state(&run.id, run.state, to, self.now()).await?;
        self.wakers.run_changed(&run.project_id, &run.id);
        self.run_state_changed(run.trace_id.as_deref(), &run.name, to, None).await
    }

    /// Deletes a run with its history and files. Its artifacts stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_delete(&self, actor: &Actor, run: &Run) -> Result<()> {
        self.project_writable(actor, &run.entity, &run.project).await?;
        // A run is no way around the rule on items: without it a job cannot go on.
        if let Some(trace_id) = &run.trace_id {
            self.item_to_stop(actor, trace_id).await?;
        }
        let blobs = self.store.run_delete(&run.id).await?.ok_or_else(|| run_missing(&run.name))?;
        self.run_access.clear();
        self.wakers.run_changed(&run.project_id, &run.id);
        self.run_event(actor, run, "deleted").await?;
        if let Some(trace_id) = &run.trace_id {
            let by = format!("{}, who deleted its run", actor.username);
            self.item_run_deleted(trace_id, &run.name, &by).await?;
        }
        for blob in blobs {
            self.store.blobs().delete(&blob).await?;
        }
        Ok(())
    }

    /// Keeps an alert that a script raised.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn run_alert(&self, actor: &Actor, run: &Run, title: &str, text: &str) -> Result<()> {
        self.project_writable(actor, &run.entity, &run.project).await?;
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let object = format!("{}: {}: {}", run_object(run), cut(title, 200), cut(text, 2000));
        self.store.event_insert(self.now(), &run.entity_id, &actor.trail_name(), "alerted", "run", &object).await?;
        self.wakers.changed();
        Ok(())
    }

    async fn run_event(&self, actor: &Actor, run: &Run, verb: &'static str) -> Result<()> {
        let object = run_object(run);
        self.store.event_insert(self.now(), &run.entity_id, &actor.trail_name(), verb, "run", &object).await?;
        self.wakers.changed();
        Ok(())
    }

    /// Ends runs whose clients have fallen silent. Silence counts from this server's start at the earliest: while it was
    /// away nobody could be heard.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs_crash_silent(&self) -> Result<()> {
        let now = self.now();
        if now.since_ms(self.heard_since()) < SILENCE_MS {
            return Ok(());
        }
        let before = now.plus_ms(-SILENCE_MS);
        for run in self.store.runs_silent(before, 500).await? {
            let to = next(run.state, Event::Silent, run.stop_requested);
            if self.store.run_silence(&run.id, (run.state, to), before, now).await? {
                tracing::info!(run = run_object(&run), state = %to, "a run fell silent");
                self.wakers.run_changed(&run.project_id, &run.id);
                self.run_state_changed(run.trace_id.as_deref(), &run.name, to, None).await?;
            }
        }
        Ok(())
    }

    /// Sets the stop flag of an item's runs: their clients are told with their next posts.
    pub(crate) async fn run_stop_for_item(&self, item: &Item) -> Result<()> {
        if item.runs.is_empty() {
            self.run_announce(item).await?;
        }
        let Some(project) = self.item_project(item).await? else { return Ok(()) };
        let planned = if item.runs.is_empty() { std::slice::from_ref(&item.planned_run) } else { &item.runs[..] };
        for name in planned {
            if let Some(run) = self.store.run_by_name(&project.id, name).await?
                && !self.store.run_stop(&run.id).await?
                && crate::items::run_of_attempt(&run, item.attempt)
            {
                // What has ended by itself hears of no wish: the item does in its stead.
                Box::pin(self.item_run_changed(item.id.as_str(), name, run.state, run.exit_code.map(|c| c as i32)))
                    .await?;
            }
        }
        Ok(())
    }

    /// Announces the run that is planned for an item, so that there is one which can be told to stop: the client's own
    /// agent asks for nothing else, also while its job has not called `wandb.init` yet.
    async fn run_announce(&self, item: &Item) -> Result<()> {
        let Some(entity) = self.store.entity_by_name(&item.run_entity).await? else { return Ok(()) };
        let project = NewProject {
            entity_id: entity.id.clone(),
            name: item.run_project.clone(),
            description: String::new(),
            author: item.author.clone(),
            created_at: self.now(),
        };
        if let Some(project) = self.store.project_by_name(&entity.id, &item.run_project).await?
            && self.store.run_by_name(&project.id, &item.planned_run).await?.is_some()
        {
            return Ok(());
        }
        let fields =
            RunFields { display_name: item.name.clone(), trace_id: Some(item.id.to_string()), ..RunFields::default() };
        let (name, author) = (item.planned_run.clone(), item.author.clone());
        let announced = RunUpsert { project, name, author, state: State::Pending, fields };
        self.store.run_upsert(announced, self.now()).await?;
        Ok(())
    }

    /// Finds the run of an item.
    pub(crate) async fn item_run(&self, item: &Item) -> Result<Option<Run>> {
        let Some(name) = &item.run else { return Ok(None) };
        let Some(project) = self.item_project(item).await? else { return Ok(None) };
        Ok(self.store.run_by_name(&project.id, name).await?)
    }

    async fn item_project(&self, item: &Item) -> Result<Option<lanza_store::projects::Project>> {
        let Some(entity) = self.store.entity_by_name(&item.run_entity).await? else { return Ok(None) };
        Ok(self.store.project_by_name(&entity.id, &item.run_project).await?)
    }

    /// The end of an item has ended its runs, or made a record of one: whoever looks at them is told.
    pub(crate) async fn runs_changed_with_item(&self, item: &Item) -> Result<()> {
        let Some(project) = self.item_project(item).await? else { return Ok(()) };
        for name in &item.runs {
            if let Some(run) = self.store.run_by_name(&project.id, name).await? {
                self.wakers.run_changed(&run.project_id, &run.id);
            }
        }
        Ok(())
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}

/// How the audit trail names a run.
pub(crate) fn run_object(run: &Run) -> String {
    format!("{}/{}/{}", run.entity, run.project, run.name)
}
