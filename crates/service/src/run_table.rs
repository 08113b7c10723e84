//! Columns of a project's runs in memory, so that tables of many runs with long documents are filtered, ordered and grouped
//! without reading the documents again.
//!
//! A column is read when somebody first asks for it. What changed since is found in an index of the database at each question, so
//! that nothing here is older than the question, whichever server the change went through.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lanza_model::{
    clock::Time,
    id::{ProjectId, RunId},
};
use lanza_store::{
    projects::Project,
    runs::{LeanRun, Parts, Stamp},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::{
    Error, Result, Service, lenient,
    run_filter::{Documents, Filter, Key, Values, Wanted},
    seen_keys::SeenKeys,
};

/// Runs that a table may have.
const RUNS_MOST: usize = 200_000;
/// Cells that are kept for a project, and projects that are kept.
const CELLS_MOST: usize = 4_000_000;
const TABLES_MOST: usize = 16;
/// Runs that are read at once; in tests a few runs are several pages.
const PAGE: i64 = if cfg!(test) { 2 } else { 500 };
/// How far the clocks of servers, and a request's begin and its commit, may be apart.
const SKEW_MS: i64 = 60_000;

/// The tables that were asked for lately.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<HashMap<ProjectId, Arc<tokio::sync::Mutex<Table>>>>);

impl Tables {
    fn of(&self, project: &ProjectId) -> Arc<tokio::sync::Mutex<Table>> {
        let mut tables = self.0.lock();
        if tables.len() >= TABLES_MOST && !tables.contains_key(project) {
            // Those that are in use live on with their users.
            tables.clear();
        }
        tables.entry(project.clone()).or_default().clone()
    }
}

/// What is known of a project's runs.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: HashMap<Key, usize>,
    /// What the columns need; made anew when there are others.
    wanted: Option<Arc<Wanted>>,
    rows: Vec<Row>,
    places: HashMap<RunId, usize>,
    /// When the newest of them changed, in milliseconds.
    newest: i64,
    /// Every key of the documents, once somebody asked.
    keys: Option<SeenKeys>,
    /// The first reading of them, while it is under way. Who asked may go away; who asks next goes on.
    reading: Option<Reading>,
}

/// A reading of all documents.
#[derive(Debug, Default)]
struct Reading {
    keys: SeenKeys,
    after: Option<Stamp>,
    seen: usize,
    /// Whether the rows come from it, too.
    rows: bool,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its row id.
    pub(crate) id: RunId,
    changed_at: Time,
    cells: Vec<Option<Value>>,
}

/// One run, to be looked at by key.
pub(crate) struct Cells<'t> {
    columns: &'t HashMap<Key, usize>,
    row: &'t Row,
}

impl Values for Cells<'_> {
    fn value(&self, key: &Key) -> Option<Cow<'_, Value>> {
        self.get(key).map(Cow::Borrowed)
    }
}

impl<'t> Cells<'t> {
    /// The run's row id.
    pub(crate) fn id(&self) -> &'t RunId {
        &self.row.id
    }

    /// Returns what a column is for this run.
    pub(crate) fn get(&self, key: &Key) -> Option<&'t Value> {
        self.row.cells.get(*self.columns.get(key)?)?.as_ref()
    }
}

impl Table {
    /// Returns the runs that pass a filter.
    pub(crate) fn passing<'t>(&'t self, filter: &'t Filter) -> impl Iterator<Item = Cells<'t>> {
        self.rows.iter().map(|row| Cells { columns: &self.columns, row }).filter(|cells| filter.holds(cells))
    }

    /// Returns the keys of the documents that were asked for.
    pub(crate) fn keys(&self) -> Option<&SeenKeys> {
        self.keys.as_ref()
    }

    fn wanted(&mut self) -> Arc<Wanted> {
        self.wanted.get_or_insert_with(|| Arc::new(Wanted::of(self.columns.keys()))).clone()
    }

    fn add(&mut self, columns: &[(Key, usize)]) {
        self.columns.extend(columns.iter().cloned());
        self.wanted = None;
    }

    /// Takes a run that was read with what [`Table::wanted`] says, or more.
    fn put(&mut self, run: &LeanRun, changed_at: Time, wanted: &Wanted) {
        let documents = Documents::of(run, wanted);
        let mut cells = vec![None; self.columns.len()];
        for (key, column) in &self.columns {
            cells[*column] = documents.get(key);
        }
        let id = &run.stamp.id;
        let row = Row { id: id.clone(), changed_at, cells };
        if let Some(place) = self.places.get(id) {
            self.rows[*place] = row;
        } else {
            self.places.insert(id.clone(), self.rows.len());
            self.rows.push(row);
        }
        self.newest = self.newest.max(changed_at.0);
        if let Some(keys) = &mut self.keys {
            keys.see(&run.config, &run.summary);
        }
    }

    /// What is read of a run that changed: what its columns need, and whole documents where their keys are known.
    fn parts(&self, wanted: &Wanted) -> Parts {
        let all = self.keys.is_some() || self.reading.is_some();
        Parts { config: all || wanted.parts().config, summary: all || wanted.parts().summary, ..wanted.parts().clone() }
    }

    fn retain(&mut self, present: &HashSet<RunId>) {
        self.rows.retain(|row| present.contains(&row.id));
        self.places = self.rows.iter().enumerate().map(|(place, row)| (row.id.clone(), place)).collect();
    }
}

impl Service {
    /// Looks at a project's runs by some keys, as they are now.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the project has too many runs.
    pub(crate) async fn run_table<T>(
        &self,
        project: &Project,
        keys: &[Key],
        look: impl FnOnce(&Table) -> T,
    ) -> Result<T> {
        let table = self.run_tables.of(&project.id);
        let mut table = table.lock().await;
        self.table_columns(project, &mut table, keys).await?;
        self.table_refresh(project, &mut table).await?;
        Ok(look(&table))
    }

    /// Looks at a project's runs with all the keys that their documents have.
    ///
    /// # Errors
    /// As [`Service::run_table`].
    pub(crate) async fn run_table_keys<T>(&self, project: &Project, look: impl FnOnce(&Table) -> T) -> Result<T> {
        let table = self.run_tables.of(&project.id);
        let mut table = table.lock().await;
        self.table_keys(project, &mut table).await?;
        self.table_refresh(project, &mut table).await?;
        Ok(look(&table))
    }

    /// Reads all documents once, for the keys that they have.
    async fn table_keys(&self, project: &Project, table: &mut Table) -> Result<()> {
        if table.keys.is_some() {
            return Ok(());
        }
        let wanted = table.wanted();
        while table.keys.is_none() {
            let rows = table.rows.is_empty();
            let after = table.reading.get_or_insert_with(|| Reading { rows, ..Reading::default() }).after.clone();
            let parts = table.parts(&wanted);
            let page = self.store.runs_after(&project.id, after.as_ref(), &parts, PAGE).await?;
            let mut reading = table.reading.take().unwrap_or_default();
            for run in &page {
                reading.keys.see(&run.config, &run.summary);
                if reading.rows {
                    table.put(run, run.stamp.changed_at, &wanted);
                }
            }
            reading.seen += page.len();
            if (page.len() as i64) < PAGE {
                table.keys = Some(reading.keys);
                return Ok(());
            }
            if reading.seen >= RUNS_MOST {
                return Err(too_many());
            }
            reading.after = page.into_iter().next_back().map(|run| run.stamp);
            table.reading = Some(reading);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Reads the columns that are not there yet.
    async fn table_columns(&self, project: &Project, table: &mut Table, keys: &[Key]) -> Result<()> {
        let mut new: Vec<Key> = keys.iter().filter(|k| !table.columns.contains_key(k)).cloned().collect();
        new.sort_by_key(|k| format!("{k:?}"));
        new.dedup();
        if new.is_empty() && !table.rows.is_empty() {
            return Ok(());
        }
        if (table.columns.len() + new.len()) * table.rows.len() > CELLS_MOST {
            let seen = table.keys.take();
            *table = Table { keys: seen, ..Table::default() };
            new = keys.to_vec();
            new.dedup();
        }
        let first = table.columns.len();
        let new: Vec<(Key, usize)> = new.into_iter().zip(first..).collect();
        let wanted = Wanted::of(new.iter().map(|(k, _)| k));
        let fresh = table.rows.is_empty();
        let mut read = Vec::new();
        if fresh {
            table.add(&new);
            let wanted = table.wanted();
            let seen = table.keys.take();
            let done =
                self.table_read(project, wanted.parts(), |run| table.put(run, run.stamp.changed_at, &wanted)).await;
            table.keys = seen;
            if let Err(e) = done {
                *table = Table::default();
                return Err(e);
            }
            return Ok(());
        }
        self.table_read(project, wanted.parts(), |run| {
            let documents = Documents::of(run, &wanted);
            read.push((run.stamp.id.clone(), new.iter().map(|(k, _)| documents.get(k)).collect::<Vec<_>>()));
        })
        .await?;
        table.add(&new);
        let width = table.columns.len();
        for row in &mut table.rows {
            row.cells.resize(width, None);
        }
        for (id, cells) in read {
            if let Some(place) = table.places.get(&id) {
                table.rows[*place].cells.truncate(first);
                table.rows[*place].cells.extend(cells);
            }
        }
        Ok(())
    }

    async fn table_read(&self, project: &Project, parts: &Parts, mut see: impl FnMut(&LeanRun)) -> Result<()> {
        let mut after: Option<Stamp> = None;
        let mut seen = 0;
        loop {
            let page = self.store.runs_after(&project.id, after.as_ref(), parts, PAGE).await?;
            for run in &page {
                see(run);
            }
            seen += page.len();
            if (page.len() as i64) < PAGE {
                return Ok(());
            }
            if seen >= RUNS_MOST {
                return Err(too_many());
            }
            after = page.into_iter().next_back().map(|run| run.stamp);
            tokio::task::yield_now().await;
        }
    }

    /// Brings what changed since the last look.
    async fn table_refresh(&self, project: &Project, table: &mut Table) -> Result<()> {
        let known = table.rows.len();
        let since = Time(if known == 0 { i64::MIN } else { table.newest - SKEW_MS });
        let stamps = self.store.run_stamps(&project.id, since).await?;
        self.table_take(table, stamps).await?;
        if self.store.run_count(&project.id, &[]).await? != table.rows.len() as i64 {
            // Some are gone, or came from a server whose clock is far behind.
            let stamps = self.store.run_stamps(&project.id, Time(i64::MIN)).await?;
            table.retain(&stamps.iter().map(|s| s.id.clone()).collect());
            self.table_take(table, stamps).await?;
        }
        Ok(())
    }

    /// Reads the runs that are new or have another stamp.
    async fn table_take(&self, table: &mut Table, stamps: Vec<Stamp>) -> Result<()> {
        let changed: HashMap<RunId, Time> = stamps
            .into_iter()
            .filter(|s| table.places.get(&s.id).is_none_or(|place| table.rows[*place].changed_at != s.changed_at))
            .map(|s| (s.id, s.changed_at))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let ids: Vec<RunId> = changed.keys().cloned().collect();
        let wanted = table.wanted();
        let parts = table.parts(&wanted);
        for ids in ids.chunks(PAGE as usize) {
            for run in self.store.runs_lean(ids, &parts).await? {
                // The stamp of before the reading: what changed in between is read again next time.
                table.put(&run, changed[&run.stamp.id], &wanted);
            }
        }
        Ok(())
    }
}

fn too_many() -> Error {
    Error::invalid("filters", format!("would look at more than {RUNS_MOST} runs"))
}

/// Picks some keys of a document for an answer, under their dotted names.
pub(crate) fn picked(document: &Map<String, Value>, paths: &[&str]) -> Map<String, Value> {
    paths.iter().filter_map(|path| Some(((*path).to_owned(), lenient::lookup(document, path)?.clone()))).collect()
}
