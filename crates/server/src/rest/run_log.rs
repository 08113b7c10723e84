//! A run's console output: the text so far, or a stream that ends with the run.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body as Bytes, Bytes as Piece},
    extract::{Path, Query, State},
    http::header,
    response::{
        IntoResponse, Response,
        sse::{Event as Sse, KeepAlive, Sse as SseBody},
    },
};
use futures::{StreamExt, stream};
use lanza_api::run::ConsoleLine;
use lanza_service::{Actor, Error};
use lanza_store::runs::Run as Found;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::runs::{RunPath, find};
use crate::{app::AppState, auth::Caller, problem::Answer};

/// Lines that are read at once.
const LINES: usize = 5000;
/// How long a follower sleeps at most between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run_log))
}

#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    #[serde(default)]
    follow: bool,
}

/// Reads a run's console output as text; with `follow=true` server-sent events, closed by the event `end`. A line that
/// its writer draws again (a progress bar) is sent again under the same number.
#[utoipa::path(get, path = "/entities/{entity}/projects/{project}/runs/{run}/log", params(("entity" = String, Path),
    ("project" = String, Path), ("run" = String, Path), ("follow" = Option<bool>, Query)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404)))]
async fn run_log(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Path(path): RunPath,
    Query(query): Query<LogQuery>,
) -> Answer<Response> {
    let run = find(&state, &actor, &path).await?;
    if query.follow {
        return Ok(follow(Following { state, actor, path, from: 0, last: None, lines: VecDeque::new(), done: false }));
    }
    let pieces = stream::try_unfold((state, run, 0_i64), |(state, run, from)| async move {
        let lines = state.service.run_console(&run, from, LINES).await?;
        let Some(last) = lines.last() else { return Ok::<_, Error>(None) };
        let next = last.number + 1;
        let text: String = lines.iter().flat_map(|l| [l.text.as_str(), "\n"]).collect();
        Ok(Some((Piece::from(text), (state, run, next))))
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, Bytes::from_stream(pieces)).into_response())
}

struct Following {
    state: AppState,
    actor: Arc<Actor>,
    path: (String, String, String),
    /// The next number to read; the last line is read again, for it may have been drawn anew.
    from: i64,
    last: Option<ConsoleLine>,
    lines: VecDeque<ConsoleLine>,
    done: bool,
}

impl Following {
    /// Reads what is new; false when there is nothing.
    async fn look(&mut self, run: &Found) -> Result<bool, Error> {
        let lines = self.state.service.run_console(run, self.from, LINES).await?;
        for line in lines {
            self.from = line.number;
            let line = ConsoleLine {
                line: line.number + 1,
                time: line.timestamp,
                level: line.level,
                label: line.label,
                text: line.text,
            };
            if self.last.as_ref() != Some(&line) {
                self.last = Some(line.clone());
                self.lines.push_back(line);
            }
        }
        Ok(!self.lines.is_empty())
    }
}

fn follow(begin: Following) -> Response {
    let live = stream::unfold(begin, |mut f| async move {
        if f.done {
            return None;
        }
        loop {
            if let Some(line) = f.lines.pop_front() {
                let data = serde_json::to_string(&line).expect("lines serialize");
                return Some((Ok::<_, Infallible>(Sse::default().data(data)), f));
            }
            let woken = f.state.service.wakers.logs.clone().notified_owned();
            tokio::pin!(woken);
            woken.as_mut().enable();
            // The state is asked before the lines are read, so that nothing written in between is missed. A run that
            // was deleted or hidden meanwhile has ended for this caller.
            let run = find(&f.state, &f.actor, &f.path).await.ok()?;
            if f.look(&run).await.ok()? {
                continue;
            }
            if run.state.is_ended() {
                f.done = true;
                return Some((Ok(Sse::default().event("end").data("{}")), f));
            }
            tokio::select! {
                () = &mut woken => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = f.state.stopping.cancelled() => return None,
            }
        }
    });
    SseBody::new(live.boxed()).keep_alive(KeepAlive::default()).into_response()
}
