//! Runs: one execution each, with the documents that its client sends.

mod again;
mod filter;
mod table;

use lanza_model::{
    clock::Time,
    id::{EntityId, ProjectId, RunId},
    run::{Event, State, next},
};
use sqlx::any::AnyRow;

use crate::{
    Error, Result, Store, Tx,
    chunks::{NewChunk, Stream, chunk_insert_in_tx, writer_lines_in_tx},
    lookups::Area,
    projects::{NewProject, Project, project_ensure_in_tx},
    row::{Columns, batches},
};
use again::{goes_on_in_tx, run_anew_in_tx};
use filter::{Bound, bind_all, conditions_sql};

pub use filter::{Column, Comparison, Condition};
pub use table::{Cell, LeanRun, Parts, Stamp};

/// A run with the names of what it belongs to.
#[derive(Debug, Clone)]
pub struct Run {
    /// Row id.
    pub id: RunId,
    /// Project.
    pub project_id: ProjectId,
    /// The project's number.
    pub project_number: i64,
    /// The project's name.
    pub project: String,
    /// Entity.
    pub entity_id: EntityId,
    /// The entity's name.
    pub entity: String,
    /// Which run of its project it is, counted from 1 as they are made.
    pub number: i64,
    /// The id that people see, unique in the project.
    pub name: String,
    /// The name that people give it.
    pub display_name: String,
    /// Where it stands.
    pub state: State,
    /// Whether somebody asked it to stop.
    pub stop_requested: bool,
    /// Name of the user who ran it.
    pub author: String,
    /// Config, the client's JSON document.
    pub config: String,
    /// Summary, the client's document; may hold bare `NaN`.
    pub summary: String,
    /// Notes.
    pub notes: String,
    /// Description.
    pub description: Option<String>,
    /// Tags, in the order given.
    pub tags: Vec<String>,
    /// Group.
    pub group: Option<String>,
    /// Kind of run.
    pub job_type: Option<String>,
    /// Machine.
    pub host: Option<String>,
    /// Script.
    pub program: Option<String>,
    /// Git remote.
    pub git_remote: Option<String>,
    /// Git commit.
    pub git_commit: Option<String>,
    /// Sweep that it is part of.
    pub sweep: Option<String>,
    /// Item that launched it, as its config says.
    pub trace_id: Option<String>,
    /// Attempt of that item, as its token says.
    pub attempt: Option<i64>,
    /// Job that it ran, or that was made of it.
    pub job: Option<String>,
    /// Exit code of its process.
    pub exit_code: Option<i64>,
    /// How many history lines there are.
    pub history_rows: i64,
    /// How many lines of system metrics there are.
    pub event_rows: i64,
    /// How many console lines there are.
    pub console_rows: i64,
    /// When it was made.
    pub created_at: Time,
    /// When its documents were changed last.
    pub updated_at: Time,
    /// When its client was heard of last.
    pub heartbeat_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

const COLUMNS: &str = "r.id, r.project_id, p.number AS project_number, p.name AS project, p.entity_id, e.name AS entity, \
    r.name, r.display_name, r.state, r.stop_requested, r.author, r.config, r.summary, r.notes, r.description, r.tags, \
    r.group_name, r.job_type, r.host, r.program, r.git_remote, r.git_commit, r.sweep, r.trace_id, r.attempt, r.job, \
    r.exit_code, r.history_rows, r.event_rows, r.console_rows, r.created_at, r.updated_at, r.heartbeat_at, r.ended_at, r.number";
const FROM: &str = "FROM runs r JOIN projects p ON p.id = r.project_id JOIN entities e ON e.id = p.entity_id";

fn select(tail: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} {FROM} {tail}"))
}

fn state(row: &AnyRow) -> Result<State> {
    let word = row.text("state")?;
    word.parse().map_err(|()| Error::Config(format!("the stored state `{word}` is not legal")))
}

fn run(row: &AnyRow) -> Result<Run> {
    Ok(Run {
        id: row.parsed("id")?,
        project_id: row.parsed("project_id")?,
        project_number: row.int("project_number")?,
        project: row.text("project")?,
        entity_id: row.parsed("entity_id")?,
        entity: row.text("entity")?,
        number: row.int("number")?,
        name: row.text("name")?,
        display_name: row.text("display_name")?,
        state: state(row)?,
        stop_requested: row.flag("stop_requested")?,
        author: row.text("author")?,
        config: row.text("config")?,
        summary: row.text("summary")?,
        notes: row.text("notes")?,
        description: row.maybe_text("description")?,
        tags: row.json("tags")?,
        group: row.maybe_text("group_name")?,
        job_type: row.maybe_text("job_type")?,
        host: row.maybe_text("host")?,
        program: row.maybe_text("program")?,
        git_remote: row.maybe_text("git_remote")?,
        git_commit: row.maybe_text("git_commit")?,
        sweep: row.maybe_text("sweep")?,
        trace_id: row.maybe_text("trace_id")?,
        attempt: row.maybe_int("attempt")?,
        job: row.maybe_text("job")?,
        exit_code: row.maybe_int("exit_code")?,
        history_rows: row.int("history_rows")?,
        event_rows: row.int("event_rows")?,
        console_rows: row.int("console_rows")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        heartbeat_at: row.time("heartbeat_at")?,
        ended_at: row.maybe_time("ended_at")?,
    })
}

/// What changes about a run, without its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunBrief {
    /// Row id.
    pub id: RunId,
    /// The id that people see.
    pub name: String,
    /// The name that people give it.
    pub display_name: String,
    /// Where it stands.
    pub state: State,
    /// How many history lines there are.
    pub history_rows: i64,
    /// How many lines of system metrics there are.
    pub event_rows: i64,
    /// How many console lines there are.
    pub console_rows: i64,
    /// When its documents were changed last.
    pub updated_at: Time,
    /// When its client was heard of last.
    pub heartbeat_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// What is said about a run when it is made or changed. None leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct RunFields {
    /// Display name; made up when a run is made without.
    pub display_name: Option<String>,
    /// Config document.
    pub config: Option<String>,
    /// Summary document.
    pub summary: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Tags, as a whole.
    pub tags: Option<Vec<String>>,
    /// Group.
    pub group: Option<String>,
    /// Kind of run.
    pub job_type: Option<String>,
    /// Machine.
    pub host: Option<String>,
    /// Script.
    pub program: Option<String>,
    /// Git remote.
    pub git_remote: Option<String>,
    /// Git commit.
    pub git_commit: Option<String>,
    /// Sweep.
    pub sweep: Option<String>,
    /// Item that launched it; the first one stays.
    pub trace_id: Option<String>,
    /// Attempt of that item.
    pub attempt: Option<i64>,
}

/// A run to be made, or changed if it is there.
#[derive(Debug, Clone)]
pub struct RunUpsert {
    /// Its project, made when it is missing.
    pub project: NewProject,
    /// The id that people see.
    pub name: String,
    /// Name of the user, for a new run.
    pub author: String,
    /// State of a new run.
    pub state: State,
    /// What is said about it.
    pub fields: RunFields,
}

/// What [`Store::run_upsert`] did.
#[derive(Debug, Clone)]
pub struct Upserted {
    /// The run after it.
    pub run: Run,
    /// Whether it was made.
    pub inserted: bool,
    /// Whether its project was made too.
    pub project_made: bool,
}

/// One request of a run's file stream.
#[derive(Debug, Clone)]
pub struct RunPost {
    /// Row id of the run.
    pub run: RunId,
    /// Which of several processes writes; empty as a rule.
    pub writer: String,
    /// New lines.
    pub chunks: Vec<NewChunk>,
    /// The whole new summary.
    pub summary: Option<String>,
    /// What it says about the run's life.
    pub event: Event,
    /// Now.
    pub now: Time,
}

/// What a post has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The state before.
    pub before: State,
    /// The state now.
    pub state: State,
    /// Whether somebody asked the run to stop.
    pub stop_requested: bool,
    /// Item that launched it.
    pub trace_id: Option<String>,
}

impl Store {
    /// Makes a run, or changes the one of that name. The project is made when it is missing.
    pub async fn run_upsert(&self, upsert: RunUpsert, now: Time) -> Result<Upserted> {
        self.write_in(Area::Beside, move |tx| {
            let upsert = upsert.clone();
            Box::pin(async move {
                let (project, project_made) = project_ensure_in_tx(tx, &upsert.project).await?;
                let found =
                    sqlx::query("SELECT id, state, trace_id, attempt FROM runs WHERE project_id = $1 AND name = $2")
                        .bind(project.id.as_str())
                        .bind(&upsert.name)
                        .fetch_optional(tx.connection())
                        .await?;
                let (id, inserted) = match found {
                    Some(row) => {
                        let id: RunId = row.parsed("id")?;
                        let before = if goes_on_in_tx(tx, &row, &upsert).await? {
                            run_anew_in_tx(tx, &id, &upsert.fields, now).await?;
                            State::Running
                        } else {
                            state(&row)?
                        };
                        run_change_in_tx(tx, &id, &upsert.fields, before, now).await?;
                        (id, false)
                    }
                    None => (run_insert_in_tx(tx, &project, &upsert, now).await?, true),
                };
                let row = sqlx::query(select("WHERE r.id = $1")).bind(id.as_str()).fetch_one(tx.connection()).await?;
                Ok(Upserted { run: run(&row)?, inserted, project_made })
            })
        })
        .await
    }

    /// Finds a run by the id that people see.
    pub async fn run_by_name(&self, project: &ProjectId, name: &str) -> Result<Option<Run>> {
        let row = sqlx::query(select("WHERE r.project_id = $1 AND r.name = $2"))
            .bind(project.as_str())
            .bind(name)
            .fetch_optional(self.read_pool())
            .await?;
        row.as_ref().map(run).transpose()
    }

    /// Finds a run by its row id.
    pub async fn run_by_id(&self, id: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query(select("WHERE r.id = $1")).bind(id.as_str()).fetch_optional(self.read_pool()).await?;
        row.as_ref().map(run).transpose()
    }

    /// Finds some runs by their row ids, in no order. Those that are gone are left out.
    pub async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<Run>> {
        let mut runs = Vec::with_capacity(ids.len());
        for ids in batches(ids) {
            let places = (1..=ids.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let query = sqlx::query(select(&format!("WHERE r.id IN ({places})")));
            let query = ids.iter().fold(query, |q, id| q.bind(id.as_str()));
            for row in query.fetch_all(self.read_pool()).await? {
                runs.push(run(&row)?);
            }
        }
        Ok(runs)
    }

    /// Finds some runs by their row ids, without their documents. Those that are gone are left out.
    pub async fn runs_brief(&self, ids: &[RunId]) -> Result<Vec<RunBrief>> {
        let mut runs = Vec::with_capacity(ids.len());
        for ids in batches(ids) {
            let places = (1..=ids.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT id, name, display_name, state, history_rows, event_rows, console_rows, updated_at, heartbeat_at, \
                 ended_at FROM runs WHERE id IN ({places})"
            );
            let query = ids.iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), |q, id| q.bind(id.as_str()));
            for row in query.fetch_all(self.read_pool()).await? {
                runs.push(RunBrief {
                    id: row.parsed("id")?,
                    name: row.text("name")?,
                    display_name: row.text("display_name")?,
                    state: state(&row)?,
                    history_rows: row.int("history_rows")?,
                    event_rows: row.int("event_rows")?,
                    console_rows: row.int("console_rows")?,
                    updated_at: row.time("updated_at")?,
                    heartbeat_at: row.time("heartbeat_at")?,
                    ended_at: row.maybe_time("ended_at")?,
                });
            }
        }
        Ok(runs)
    }

    /// Lists runs of a project in the order of a column that every run has, after the run `after`.
    pub async fn run_list(
        &self,
        project: &ProjectId,
        conditions: &[Condition],
        (order, descending): (Column, bool),
        after: Option<&RunId>,
        limit: i64,
    ) -> Result<Vec<Run>> {
        debug_assert!(order.orders(), "{order:?} may be null");
        let mut bounds = Vec::new();
        let mut sql = conditions_sql(conditions, &mut bounds);
        let (column, direction) = (order.sql(), if descending { "DESC" } else { "ASC" });
        if let Some(after) = after {
            use std::fmt::Write;
            bounds.push(Bound::Text(after.as_str()));
            let bare = column.trim_start_matches("r.");
            let operator = if descending { "<" } else { ">" };
            let _ = write!(
                sql,
                " AND ({column}, r.id) {operator} (SELECT a.{bare}, a.id FROM runs a WHERE a.id = ${})",
                bounds.len() + 1
            );
        }
        bounds.push(Bound::Int(limit));
        // The page is found first: with their documents, the rows would all be carried through the sort.
        let tail = format!(
            "WHERE r.id IN (SELECT r.id FROM runs r WHERE r.project_id = $1{sql} \
             ORDER BY {column} {direction}, r.id {direction} LIMIT ${}) ORDER BY {column} {direction}, r.id {direction}",
            bounds.len() + 1
        );
        let query = bind_all!(sqlx::query(select(&tail)).bind(project.as_str()), bounds);
        query.fetch_all(self.read_pool()).await?.iter().map(run).collect()
    }

    /// Counts the runs of a project for which the conditions hold.
    pub async fn run_count(&self, project: &ProjectId, conditions: &[Condition]) -> Result<i64> {
        let mut bounds = Vec::new();
        let sql = conditions_sql(conditions, &mut bounds);
        let sql = format!("SELECT COUNT(*) AS n FROM runs r WHERE r.project_id = $1{sql}");
        let query = bind_all!(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project.as_str()), bounds);
        query.fetch_one(self.read_pool()).await?.int("n")
    }

    /// Takes one request of a run's file stream: lines, summary, and what it says about the run's life.
    ///
    /// # Errors
    /// [`Error::Moved`] when the run is gone.
    pub async fn run_post(&self, post: std::sync::Arc<RunPost>) -> Result<Posted> {
        self.write_in(Area::Beside, move |tx| {
            let post = post.clone();
            Box::pin(async move { run_post_in_tx(tx, &post).await })
        })
        .await
    }

    /// Asks a run to stop. Returns whether it is there and has not ended.
    pub async fn run_stop(&self, id: &RunId) -> Result<bool> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE runs SET stop_requested = 1 WHERE id = $1 AND state IN ('pending', 'running', 'preempting')",
                )
                .bind(id.as_str())
                .execute(tx.connection())
                .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Moves a run from one state to another by hand.
    ///
    /// # Errors
    /// [`Error::Moved`] when it is not in the state `from` any more.
    pub async fn run_set_state(&self, id: &RunId, from: State, to: State, now: Time) -> Result<()> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE runs SET state = $3, ended_at = $4, updated_at = $5, heartbeat_at = $5, changed_at = $5 \
                     WHERE id = $1 AND state = $2",
                )
                .bind(id.as_str())
                .bind(from.as_str())
                .bind(to.as_str())
                .bind(to.is_ended().then_some(now.0))
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                if done.rows_affected() == 0 { Err(Error::Moved) } else { Ok(()) }
            })
        })
        .await
    }

    /// Lists runs that should speak and were last heard of before `before`.
    pub async fn runs_silent(&self, before: Time, limit: i64) -> Result<Vec<Run>> {
        let rows = sqlx::query(select(
            "WHERE r.state IN ('running', 'preempting') AND r.heartbeat_at < $1 ORDER BY r.heartbeat_at LIMIT $2",
        ))
        .bind(before.0)
        .bind(limit)
        .fetch_all(self.read_pool())
        .await?;
        rows.iter().map(run).collect()
    }

    /// Ends a silent run, if it is still silent. Returns whether it was.
    pub async fn run_silence(&self, id: &RunId, (from, to): (State, State), before: Time, now: Time) -> Result<bool> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE runs SET state = $3, ended_at = heartbeat_at, changed_at = $5 \
                     WHERE id = $1 AND state = $2 AND heartbeat_at < $4",
                )
                .bind(id.as_str())
                .bind(from.as_str())
                .bind(to.as_str())
                .bind(before.0)
                .bind(now.0)
                .execute(tx.connection())
                .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Notes the job that a run ran, or that was made of it.
    pub async fn run_set_job(&self, id: &RunId, job: &str) -> Result<()> {
        let (id, job) = (id.clone(), job.to_owned());
        self.write_in(Area::Beside, move |tx| {
            let (id, job) = (id.clone(), job.clone());
            Box::pin(async move {
                sqlx::query("UPDATE runs SET job = $2 WHERE id = $1")
                    .bind(id.as_str())
                    .bind(job)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a run with its lines and files. Returns the blobs that nothing names any more; none when it was not there.
    pub async fn run_delete(&self, id: &RunId) -> Result<Option<Vec<String>>> {
        let id = id.clone();
        self.write_in(Area::Beside, move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let rows = sqlx::query("SELECT blob FROM run_files WHERE run_id = $1")
                    .bind(id.as_str())
                    .fetch_all(tx.connection())
                    .await?;
                let done =
                    sqlx::query("DELETE FROM runs WHERE id = $1").bind(id.as_str()).execute(tx.connection()).await?;
                if done.rows_affected() == 0 {
                    return Ok(None);
                }
                rows.iter().map(|r| r.text("blob")).collect::<Result<Vec<_>>>().map(Some)
            })
        })
        .await
    }
}

pub(crate) async fn run_insert_in_tx(tx: &mut Tx, project: &Project, upsert: &RunUpsert, now: Time) -> Result<RunId> {
    let id = RunId::new();
    let made = sqlx::query("UPDATE projects SET runs_made = runs_made + 1 WHERE id = $1 RETURNING runs_made")
        .bind(project.id.as_str())
        .fetch_one(tx.connection())
        .await?
        .int("runs_made")?;
    let fields = &upsert.fields;
    let display_name = match &fields.display_name {
        Some(name) => name.clone(),
        None => lanza_model::name::new_display_name(made.unsigned_abs()),
    };
    sqlx::query(
        "INSERT INTO runs (id, project_id, name, display_name, state, stop_requested, author, config, summary, notes, \
         description, tags, group_name, job_type, host, program, git_remote, git_commit, sweep, trace_id, attempt, \
         history_rows, event_rows, console_rows, created_at, updated_at, heartbeat_at, changed_at, ended_at, number) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 0, 0, 0, \
         $21, $21, $21, $21, $22, $23)",
    )
    .bind(id.as_str())
    .bind(project.id.as_str())
    .bind(&upsert.name)
    .bind(display_name)
    .bind(upsert.state.as_str())
    .bind(&upsert.author)
    .bind(fields.config.as_deref().unwrap_or("{}"))
    .bind(fields.summary.as_deref().unwrap_or("{}"))
    .bind(fields.notes.as_deref().unwrap_or_default())
    .bind(fields.description.as_deref())
    .bind(tags(fields.tags.as_deref().unwrap_or_default()))
    .bind(fields.group.as_deref())
    .bind(fields.job_type.as_deref())
    .bind(fields.host.as_deref())
    .bind(fields.program.as_deref())
    .bind(fields.git_remote.as_deref())
    .bind(fields.git_commit.as_deref())
    .bind(fields.sweep.as_deref())
    .bind(fields.trace_id.as_deref())
    .bind(fields.attempt)
    .bind(now.0)
    .bind(upsert.state.is_ended().then_some(now.0))
    .bind(made)
    .execute(tx.connection())
    .await?;
    Ok(id)
}

fn tags(tags: &[String]) -> String {
    serde_json::to_string(tags).expect("texts are JSON")
}

async fn run_change_in_tx(tx: &mut Tx, id: &RunId, fields: &RunFields, before: State, now: Time) -> Result<()> {
    // A run that was announced begins when its client sends the config.
    let after = if fields.config.is_some() { next(before, Event::Begun, false) } else { before };
    sqlx::query(
        "UPDATE runs SET display_name = COALESCE($2, display_name), config = COALESCE($3, config), \
         summary = COALESCE($4, summary), notes = COALESCE($5, notes), description = COALESCE($6, description), \
         tags = COALESCE($7, tags), group_name = COALESCE($8, group_name), job_type = COALESCE($9, job_type), \
         host = COALESCE($10, host), program = COALESCE($11, program), git_remote = COALESCE($12, git_remote), \
         git_commit = COALESCE($13, git_commit), sweep = COALESCE($14, sweep), trace_id = COALESCE(trace_id, $15), \
         attempt = COALESCE($16, attempt), state = $17, updated_at = $18, changed_at = $18, \
         heartbeat_at = COALESCE($19, heartbeat_at) \
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(fields.display_name.as_deref())
    .bind(fields.config.as_deref())
    .bind(fields.summary.as_deref())
    .bind(fields.notes.as_deref())
    .bind(fields.description.as_deref())
    .bind(fields.tags.as_deref().map(tags))
    .bind(fields.group.as_deref())
    .bind(fields.job_type.as_deref())
    .bind(fields.host.as_deref())
    .bind(fields.program.as_deref())
    .bind(fields.git_remote.as_deref())
    .bind(fields.git_commit.as_deref())
    .bind(fields.sweep.as_deref())
    .bind(fields.trace_id.as_deref())
    .bind(fields.attempt)
    .bind(after.as_str())
    .bind(now.0)
    .bind((after != before).then_some(now.0))
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn run_post_in_tx(tx: &mut Tx, post: &RunPost) -> Result<Posted> {
    let row = sqlx::query(
        "SELECT state, stop_requested, exit_code, trace_id, history_rows, event_rows, console_rows FROM runs WHERE id = $1",
    )
    .bind(post.run.as_str())
    .fetch_optional(tx.connection())
    .await?
    .ok_or(Error::Moved)?;
    let before = state(&row)?;
    // A run that had reported its end and speaks again is resumed: the old wish to stop it is history.
    let stop_requested = row.flag("stop_requested")? && row.maybe_int("exit_code")?.is_none();
    let after = next(before, post.event, stop_requested);
    let exit_code = match post.event {
        Event::Completed { exit_code } => Some(exit_code),
        _ => None,
    };
    let mut rows = [row.int("history_rows")?, row.int("event_rows")?, row.int("console_rows")?];
    for chunk in &post.chunks {
        chunk_insert_in_tx(tx, &post.run, &post.writer, chunk).await?;
        let lines = &mut rows[chunk.stream as usize];
        *lines = if post.writer.is_empty() {
            (*lines).max(chunk.first_line + chunk.line_count)
        } else {
            writer_lines_in_tx(tx, &post.run, chunk.stream).await?
        };
    }
    let [history, events, console] = rows;
    sqlx::query(
        "UPDATE runs SET state = $2, stop_requested = $3, exit_code = $4, summary = COALESCE($5, summary), \
         history_rows = $6, event_rows = $7, console_rows = $8, heartbeat_at = $9, changed_at = $9, \
         ended_at = CASE WHEN $10 = 0 THEN NULL WHEN state = $2 THEN COALESCE(ended_at, $9) ELSE $9 END WHERE id = $1",
    )
    .bind(post.run.as_str())
    .bind(after.as_str())
    .bind(i16::from(stop_requested))
    .bind(exit_code)
    .bind(post.summary.as_deref())
    .bind(history)
    .bind(events)
    .bind(console)
    .bind(post.now.0)
    .bind(i64::from(after.is_ended()))
    .execute(tx.connection())
    .await?;
    Ok(Posted { before, state: after, stop_requested, trace_id: row.maybe_text("trace_id")? })
}

const _: () = assert!(Stream::History as usize == 0 && Stream::Events as usize == 1 && Stream::Console as usize == 2);

#[cfg(test)]
mod tests;
