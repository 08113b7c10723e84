//! Lists of runs.

use lanza_model::id::RunId;
use lanza_store::{
    projects::Project,
    runs::{Column, Condition, Run},
};
use serde_json::Value;

use crate::{
    Error, Result, Service,
    run_filter::{Documents, Filter, Key, arrange, order},
};

/// How many runs a list may look at one by one, when the database cannot decide.
const CANDIDATES: usize = 20_000;
const PAGE: i64 = 500;

/// Which runs of a project are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// The client's filter document.
    pub filter: Option<String>,
    /// The client's order.
    pub order: Option<String>,
    /// Conditions beside the filter.
    pub conditions: Vec<Condition>,
    /// Row id of the run after which the page begins.
    pub after: Option<String>,
    /// How many at most.
    pub limit: i64,
}

impl Service {
    /// Lists runs of a project.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad filter or cursor, or when too many runs would have to be looked at.
    pub async fn run_list(&self, project: &Project, query: &RunQuery) -> Result<Vec<Run>> {
        let (mut conditions, rest) = Filter::parse(query.filter.as_deref())?.split();
        conditions.extend(query.conditions.iter().cloned());
        let (key, descending) = order(query.order.as_deref());
        let after: Option<RunId> = match query.after.as_deref().filter(|a| !a.is_empty()) {
            Some(after) => Some(after.parse().map_err(|_| Error::invalid("after", "is not a cursor of this list"))?),
            None => None,
        };
        if let (None, Key::Column(column)) = (&rest, &key)
            && column.orders()
        {
            let order = (*column, descending);
            return Ok(self.store.run_list(&project.id, &conditions, order, after.as_ref(), query.limit).await?);
        }
        let mut found: Vec<(Option<Value>, RunId)> = Vec::new();
        self.run_scan(project, &conditions, rest.as_ref(), |run, documents| {
            found.push((documents.value(&key), run.id.clone()));
        })
        .await?;
        found.sort_by(|a, b| arrange(&a.0, &b.0, descending).then_with(|| a.1.cmp(&b.1)));
        let from = match after {
            // A run that has left the list in the meantime ends it.
            Some(after) => found.iter().position(|(_, id)| *id == after).map_or(found.len(), |at| at + 1),
            None => 0,
        };
        let mut runs = Vec::new();
        for (_, id) in found.iter().skip(from).take(query.limit.max(0) as usize) {
            runs.extend(self.store.run_by_id(id).await?);
        }
        Ok(runs)
    }

    /// Counts the runs of a project that pass a filter.
    ///
    /// # Errors
    /// As [`Service::run_list`].
    pub async fn run_count(&self, project: &Project, filter: Option<&str>) -> Result<i64> {
        let (conditions, rest) = Filter::parse(filter)?.split();
        if rest.is_none() {
            return Ok(self.store.run_count(&project.id, &conditions).await?);
        }
        let mut count = 0;
        self.run_scan(project, &conditions, rest.as_ref(), |_, _| count += 1).await?;
        Ok(count)
    }

    async fn run_scan(
        &self,
        project: &Project,
        conditions: &[Condition],
        rest: Option<&Filter>,
        mut pass: impl FnMut(&Run, &Documents<'_>),
    ) -> Result<()> {
        let mut after: Option<RunId> = None;
        let mut seen = 0;
        loop {
            let order = (Column::CreatedAt, false);
            let page = self.store.run_list(&project.id, conditions, order, after.as_ref(), PAGE).await?;
            for run in &page {
                let documents = Documents::of(run);
                if rest.is_none_or(|f| f.holds(&documents)) {
                    pass(run, &documents);
                }
            }
            seen += page.len();
            if (page.len() as i64) < PAGE {
                return Ok(());
            }
            if seen >= CANDIDATES {
                return Err(Error::invalid(
                    "filters",
                    format!(
                        "would look at more than {CANDIDATES} runs; add a condition on state, group or creation time"
                    ),
                ));
            }
            after = page.last().map(|r| r.id.clone());
        }
    }
}
