//! Telling who looks at runs that they have changed: at most once a second for each, and never into the audit trail.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use lanza_api::run::RunNote;
use lanza_model::id::{ProjectId, RunId};
use lanza_store::runs::RunBrief;
use tokio::{sync::broadcast, time::Instant};

use crate::{Actor, Result, Service, waker::RunWake};

/// Rest between two looks at what changed.
const REST: Duration = Duration::from_secs(1);
/// How often everything counts as changed while other servers cannot be heard.
const DEAF_EVERY: Duration = Duration::from_secs(5);
/// Changed runs that are told one by one; of more it is said that all may have changed.
const TOLD_MOST: usize = 500;

/// Somebody who looks at the runs of a project, or at one of them.
#[derive(Debug)]
pub struct RunWatch {
    entity: String,
    project: String,
    project_id: ProjectId,
    only: Option<RunId>,
    wakes: broadcast::Receiver<RunWake>,
    names: HashMap<RunId, String>,
    looked_at: Option<Instant>,
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunNews {
    /// A run is there, or has changed.
    Changed(RunNote),
    /// A run of this name is gone.
    Deleted(String),
    /// It is unknown what was missed.
    All,
}

/// What a watcher has been woken for and was not told yet.
#[derive(Debug, Default)]
struct Heard {
    changed: BTreeSet<RunId>,
    all: bool,
}

impl Heard {
    fn put(&mut self, watch: &RunWatch, wake: RunWake) {
        match wake {
            RunWake::All => self.all = true,
            RunWake::Run(project, run) => {
                if project == watch.project_id && watch.only.as_ref().is_none_or(|only| *only == run) {
                    self.changed.insert(run);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.all && self.changed.is_empty()
    }
}

impl Service {
    /// Begins to watch the runs of a project, or one of them: what changes from now on is not missed.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`].
    pub async fn run_watch(&self, actor: &Actor, entity: &str, project: &str, run: Option<&str>) -> Result<RunWatch> {
        let wakes = self.wakers.runs.subscribe();
        let found = self.project_find(actor, Some(entity), project).await?;
        let mut names = HashMap::new();
        let only = match run {
            None => None,
            Some(name) => {
                let run = self.run_find(actor, Some(entity), project, name).await?;
                names.insert(run.id.clone(), run.name);
                Some(run.id)
            }
        };
        Ok(RunWatch {
            entity: found.entity,
            project: found.name,
            project_id: found.id,
            only,
            wakes,
            names,
            looked_at: None,
        })
    }

    /// Waits until something has changed, and says what.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the project is gone or not visible any more.
    pub async fn run_news(&self, actor: &Actor, watch: &mut RunWatch) -> Result<Vec<RunNews>> {
        loop {
            let first = if self.hears_others() {
                watch.wakes.recv().await
            } else {
                tokio::time::timeout(DEAF_EVERY, watch.wakes.recv()).await.unwrap_or(Ok(RunWake::All))
            };
            let mut heard = Heard::default();
            heard.put(watch, first.unwrap_or(RunWake::All));
            if let Some(before) = watch.looked_at
                && !heard.is_empty()
            {
                tokio::time::sleep_until(before + REST).await;
            }
            loop {
                match watch.wakes.try_recv() {
                    Ok(wake) => heard.put(watch, wake),
                    Err(broadcast::error::TryRecvError::Lagged(_)) => heard.all = true,
                    Err(_) => break,
                }
            }
            if heard.is_empty() {
                continue;
            }
            watch.looked_at = Some(Instant::now());
            self.project_find(actor, Some(&watch.entity), &watch.project).await?;
            if heard.all || heard.changed.len() > TOLD_MOST {
                return Ok(vec![RunNews::All]);
            }
            return self.news_of(watch, heard.changed).await;
        }
    }

    async fn news_of(&self, watch: &mut RunWatch, changed: BTreeSet<RunId>) -> Result<Vec<RunNews>> {
        let ids: Vec<RunId> = changed.into_iter().collect();
        let mut found: HashMap<RunId, RunBrief> =
            self.store.runs_brief(&ids).await?.into_iter().map(|r| (r.id.clone(), r)).collect();
        Ok(ids
            .into_iter()
            .map(|id| match found.remove(&id) {
                Some(run) => {
                    watch.names.insert(id, run.name.clone());
                    RunNews::Changed(note(run))
                }
                None => watch.names.remove(&id).map_or(RunNews::All, RunNews::Deleted),
            })
            .collect())
    }
}

fn note(run: RunBrief) -> RunNote {
    RunNote {
        id: run.name,
        name: run.display_name,
        state: run.state.as_str().to_owned(),
        history_rows: run.history_rows,
        system_rows: run.event_rows,
        log_lines: run.console_rows,
        updated_at: run.updated_at,
        heartbeat_at: run.heartbeat_at,
        ended_at: run.ended_at,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use lanza_model::clock::SystemClock;
    use lanza_store::{runs::RunFields, testing};

    use super::*;
    use crate::{accounts::UserRequest, runs::RunRequest};

    async fn run(service: &Service, actor: &Actor, project: &str, name: &str) -> lanza_store::runs::Run {
        let request = RunRequest {
            entity: Some("ana".into()),
            project: Some(project.into()),
            name: Some(name.into()),
            ..RunRequest::default()
        };
        service.run_upsert(actor, request).await.expect("a run").run
    }

    #[tokio::test]
    async fn who_watches_hears_of_changes_and_of_nothing_else() {
        let (_guard, store) = testing::sqlite().await;
        let service = Service::new(store, Arc::new(SystemClock)).await.expect("a service");
        let request = UserRequest { username: "ana".into(), ..UserRequest::default() };
        let key = service.user_create(request).await.expect("a user").1;
        let ana = service.authenticate(&key).await.expect("ana");
        let first = run(&service, &ana, "p", "r1").await;
        let mut project = service.run_watch(&ana, "ana", "p", None).await.expect("a watch");
        let mut one = service.run_watch(&ana, "ana", "p", Some("r1")).await.expect("a watch");

        run(&service, &ana, "other", "x").await;
        assert!(service.run_news(&ana, &mut project).now_or_never().is_none(), "another project's run");
        run(&service, &ana, "p", "r2").await;
        let news = service.run_news(&ana, &mut project).await.expect("news");
        assert!(matches!(&news[..], [RunNews::Changed(note)] if note.id == "r2"), "{news:?}");
        assert!(service.run_news(&ana, &mut one).now_or_never().is_none(), "another run");

        let fields = RunFields { display_name: Some("new name".into()), ..RunFields::default() };
        service.run_change(&ana, &first, fields).await.expect("changed");
        service.run_delete(&ana, &first).await.expect("deleted");
        assert_eq!(service.run_news(&ana, &mut one).await.expect("news"), [RunNews::Deleted("r1".into())]);
        assert_eq!(service.run_news(&ana, &mut project).await.expect("news"), [RunNews::All]);
        service.wakers.hear_all();
        assert_eq!(service.run_news(&ana, &mut one).await.expect("news"), [RunNews::All]);
    }
}
