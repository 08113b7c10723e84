use std::sync::Arc;

use lanza_model::{
    clock::Time,
    id::RunFileId,
    run::{Event, State},
};

use super::*;
use crate::{
    chunks::overlay,
    files::RunFile,
    testing::{self, Guard},
};

/// A store with a user and a project that is not there yet.
async fn homes() -> Vec<(Guard, Store, NewProject)> {
    let mut homes = Vec::new();
    for (guard, store) in testing::stores().await {
        let (user, key) = testing::user("ada", Time(1));
        store.user_insert(user, None, key).await.expect("a user");
        let entity = store.entity_by_name("ada").await.expect("read").expect("an entity");
        let project = NewProject {
            entity_id: entity.id,
            name: "Digits".into(),
            description: String::new(),
            author: "ada".into(),
            created_at: Time(1),
        };
        homes.push((guard, store, project));
    }
    homes
}

fn upsert(project: &NewProject, name: &str, fields: RunFields) -> RunUpsert {
    RunUpsert { project: project.clone(), name: name.into(), author: "ada".into(), state: State::Running, fields }
}

fn post(run: &Run, writer: &str, chunks: Vec<NewChunk>, event: Event, now: i64) -> Arc<RunPost> {
    Arc::new(RunPost { run: run.id.clone(), writer: writer.into(), chunks, summary: None, event, now: Time(now) })
}

fn lines(stream: Stream, first_line: i64, lines: &[&str]) -> NewChunk {
    let body = lines.join("\n").into_bytes();
    NewChunk { stream, first_line, line_count: lines.len() as i64, steps: Some((first_line, first_line)), body }
}

#[tokio::test]
async fn a_run_is_made_once_and_changed_by_what_is_said() {
    for (_guard, store, mut project) in homes().await {
        let fields = RunFields { config: Some("{}".into()), notes: Some("n".into()), ..RunFields::default() };
        let made = store.run_upsert(upsert(&project, "r", fields), Time(5)).await.expect("made");
        assert!(made.inserted && made.project_made);
        assert!(made.run.display_name.ends_with("-1"), "{}", made.run.display_name);

        project.name = "DIGITS".into();
        let fields = RunFields { tags: Some(vec!["ü".into()]), ..RunFields::default() };
        let again = store.run_upsert(upsert(&project, "r", fields), Time(6)).await.expect("changed");
        assert!(!again.inserted && !again.project_made);
        let again_number = again.run.number;
        assert_eq!((again.run.id, again.run.project.as_str()), (made.run.id.clone(), "Digits"));
        assert_eq!((again.run.notes.as_str(), again.run.tags), ("n", vec!["ü".to_owned()]));
        assert_eq!(again.run.display_name, made.run.display_name);

        let second = store.run_upsert(upsert(&project, "s", RunFields::default()), Time(7)).await.expect("made");
        assert!(second.run.display_name.ends_with("-2"));
        assert_eq!((made.run.number, again_number, second.run.number), (1, 1, 2));
        assert_eq!(store.run_count(&second.run.project_id, &[]).await.expect("count"), 2);
    }
}

#[tokio::test]
async fn a_file_stream_moves_the_run_and_the_last_line_wins() {
    for (_guard, store, project) in homes().await {
        let run = store.run_upsert(upsert(&project, "r", RunFields::default()), Time(5)).await.expect("made").run;
        let first = vec![lines(Stream::Console, 0, &["a", "b", "c"]), lines(Stream::History, 0, &["h0"])];
        store.run_post(post(&run, "", first, Event::Posted, 10)).await.expect("posted");
        let second = vec![lines(Stream::Console, 1, &["B"])];
        store.run_post(post(&run, "", second, Event::Posted, 11)).await.expect("posted");
        let chunks = store.chunk_list(&run.id, Stream::Console).await.expect("chunks");
        let mut text = String::new();
        for part in overlay(&chunks) {
            let chunk = &chunks[part.chunk];
            let bodies = store.chunk_bodies(&run.id, Stream::Console, "", &[chunk.seq]).await.expect("bodies");
            let body = String::from_utf8(bodies[&chunk.seq].clone()).expect("text");
            let skip = (part.first_line - chunk.first_line) as usize;
            text.extend(body.split('\n').skip(skip).take(part.line_count as usize));
        }
        assert_eq!(text, "aBc");

        let done = store.run_post(post(&run, "", vec![], Event::Completed { exit_code: 3 }, 12)).await.expect("posted");
        assert_eq!((done.before, done.state), (State::Running, State::Failed));
        let found = store.run_by_id(&run.id).await.expect("read").expect("a run");
        assert_eq!((found.state, found.exit_code, found.ended_at), (State::Failed, Some(3), Some(Time(12))));
        assert_eq!((found.history_rows, found.console_rows, found.heartbeat_at), (1, 3, Time(12)));

        let resumed = store.run_post(post(&run, "", vec![], Event::Posted, 13)).await.expect("posted");
        assert_eq!((resumed.before, resumed.state), (State::Failed, State::Running));
        let found = store.run_by_id(&run.id).await.expect("read").expect("a run");
        assert_eq!((found.exit_code, found.ended_at), (None, None));
    }
}

#[tokio::test]
async fn lines_of_several_writers_are_counted_together() {
    for (_guard, store, project) in homes().await {
        let run = store.run_upsert(upsert(&project, "r", RunFields::default()), Time(5)).await.expect("made").run;
        for writer in ["w0", "w1", "w0"] {
            let chunk = vec![lines(Stream::History, 0, &["x", "y"])];
            store.run_post(post(&run, writer, chunk, Event::Posted, 6)).await.expect("posted");
        }
        assert_eq!(store.run_by_id(&run.id).await.expect("read").expect("a run").history_rows, 4);
        assert_eq!(store.chunk_list(&run.id, Stream::History).await.expect("chunks").len(), 3);
    }
}

#[tokio::test]
async fn silence_ends_a_run_only_while_it_lasts() {
    for (_guard, store, project) in homes().await {
        let run = store.run_upsert(upsert(&project, "r", RunFields::default()), Time(100)).await.expect("made").run;
        assert!(store.runs_silent(Time(100), 10).await.expect("list").is_empty());
        assert_eq!(store.runs_silent(Time(101), 10).await.expect("list").len(), 1);
        store.run_post(post(&run, "", vec![], Event::Posted, 200)).await.expect("posted");
        let ended =
            store.run_silence(&run.id, (State::Running, State::Crashed), Time(101), Time(300)).await.expect("asked");
        assert!(!ended, "it has spoken in the meantime");
        assert!(
            store.run_silence(&run.id, (State::Running, State::Crashed), Time(201), Time(300)).await.expect("asked")
        );
        assert_eq!(store.run_by_id(&run.id).await.expect("read").expect("a run").ended_at, Some(Time(200)));
    }
}

#[tokio::test]
async fn lists_page_without_gaps_where_times_are_equal() {
    for (_guard, store, project) in homes().await {
        for n in 0..7 {
            let fields =
                RunFields { group: Some(if n % 2 == 0 { "even" } else { "odd" }.into()), ..RunFields::default() };
            store.run_upsert(upsert(&project, &format!("r{n}"), fields), Time(5 + n / 3)).await.expect("made");
        }
        let project = store.project_by_name(&project.entity_id, "digits").await.expect("read").expect("a project");
        let even = [Condition { column: Column::Group, comparison: Comparison::In(vec!["even".into()]) }];
        for (conditions, descending, expected) in [
            (&[][..], false, "r0 r1 r2 r3 r4 r5 r6"),
            (&[][..], true, "r6 r5 r4 r3 r2 r1 r0"),
            (&even[..], true, "r6 r4 r2 r0"),
        ] {
            let mut names = Vec::new();
            let mut after = None;
            loop {
                let order = (Column::CreatedAt, descending);
                let page = store.run_list(&project.id, conditions, order, after.as_ref(), 2).await.expect("a page");
                let Some(last) = page.last() else { break };
                after = Some(last.id.clone());
                names.extend(page.into_iter().map(|r| r.name));
            }
            assert_eq!(names.join(" "), expected);
        }
        let late = [Condition { column: Column::CreatedAt, comparison: Comparison::AtLeast(7) }];
        assert_eq!(store.run_count(&project.id, &late).await.expect("count"), 1);
    }
}

#[tokio::test]
async fn a_file_is_replaced_and_goes_with_its_run() {
    for (_guard, store, project) in homes().await {
        let run = store.run_upsert(upsert(&project, "r", RunFields::default()), Time(5)).await.expect("made").run;
        let file = |blob: &str| RunFile {
            id: RunFileId::new(),
            run_id: run.id.clone(),
            name: "a b/ü.txt".into(),
            blob: blob.into(),
            size_bytes: 3,
            md5: "m".into(),
            updated_at: Time(6),
        };
        assert_eq!(store.run_file_put(file("one")).await.expect("stored"), None);
        assert_eq!(store.run_file_put(file("two")).await.expect("stored").as_deref(), Some("one"));
        assert_eq!(store.run_file_count(&run.id).await.expect("count"), 1);
        assert_eq!(store.run_file_list(&run.id, Some("%.txt"), "", 9).await.expect("list")[0].blob, "two");
        assert!(store.run_file_list(&run.id, Some("%.png"), "", 9).await.expect("list").is_empty());
        assert_eq!(store.run_delete(&run.id).await.expect("deleted"), Some(vec!["two".to_owned()]));
        assert_eq!(store.run_delete(&run.id).await.expect("asked"), None);
        assert!(matches!(store.run_file_put(file("three")).await, Err(Error::Moved)));
        let gone = store.run_post(post(&run, "", vec![lines(Stream::Console, 0, &["x"])], Event::Posted, 9)).await;
        assert!(matches!(gone, Err(Error::Moved)));
    }
}
