use lanza_model::{clock::SystemClock, run::Event};
use lanza_store::{chunks::NewChunk, testing};
use serde_json::json;

use super::*;
use crate::{
    Actor,
    accounts::UserRequest,
    runs::{Post, RunRequest},
};

struct Desk {
    service: Arc<Service>,
    ana: Arc<Actor>,
    _guard: testing::Guard,
}

impl Desk {
    async fn all() -> Vec<Self> {
        let mut desks = Vec::new();
        for (guard, store) in testing::stores().await {
            let service = Service::new(store, Arc::new(SystemClock)).await.expect("a service");
            let request = UserRequest { username: "ana".into(), ..UserRequest::default() };
            let key = service.user_create(request).await.expect("a user").1;
            let ana = service.authenticate(&key).await.expect("ana");
            let run = RunRequest {
                entity: Some("ana".into()),
                project: Some("p".into()),
                name: Some("r".into()),
                ..RunRequest::default()
            };
            service.run_upsert(&ana, run).await.expect("a run");
            desks.push(Self { service, ana, _guard: guard });
        }
        desks
    }

    async fn run(&self) -> Run {
        self.service.run_find(&self.ana, Some("ana"), "p", "r").await.expect("the run")
    }

    /// Sends lines: the step is the number, and `v` is what `value` says.
    async fn send(&self, from: i64, count: i64, writer: &str, value: impl Fn(i64) -> String) {
        let lines: Vec<String> = (from..from + count)
            .map(|n| format!(r#"{{"_step":{n},"v":{},"deep":{{"x":{n}}},"t":"text"}}"#, value(n)))
            .collect();
        let chunk = NewChunk {
            stream: Stream::History,
            first_line: from,
            line_count: count,
            steps: Some((from, from + count - 1)),
            body: lines.join("\n").into_bytes(),
        };
        let post = Post { writer: writer.into(), chunks: vec![chunk], summary: None, event: Event::Posted };
        self.service.run_post(&self.ana, ("ana", "p", "r"), post).await.expect("posted");
    }

    async fn ask(&self, keys: &[&str], points: usize, steps: Range<i64>) -> Map<String, Value> {
        let query = SeriesQuery { keys: keys.iter().map(|k| (*k).to_owned()).collect(), points, steps };
        self.service.run_series(&self.run().await, Stream::History, &query).await.expect("a series")
    }

    async fn parts(&self) -> i64 {
        self.service.store.series_reach(&self.run().await.id, Stream::History).await.expect("read").parts
    }
}

#[tokio::test]
async fn a_long_history_is_drawn_off_and_shows_the_same() {
    for desk in Desk::all().await {
        let wave = |n: i64| {
            if n % 1000 == 7 {
                "99".to_owned()
            } else if n == 20_000 {
                "NaN".to_owned()
            } else {
                format!("{}", n % 10)
            }
        };
        for batch in 0..40 {
            desk.send(batch * 1000, 1000, "", wave).await;
        }
        let all = 0..i64::MAX;
        let before = desk.ask(&["v"], 10, 0..1000).await;
        assert!(desk.parts().await > 0, "the first look draws off");
        assert_eq!(before["v"][0], json!([99, 9, 0, 99]));
        let few = desk.ask(&["v", "deep.x", "nothing"], 100, all.clone()).await;
        let series = few["v"].as_array().expect("points");
        assert_eq!((series.len(), few["deep.x"].as_array().expect("points").len()), (100, 100));
        assert_eq!(few["nothing"], json!([]));
        assert!(series.iter().all(|p| p[2] == 0), "{series:?}");
        assert_eq!(series.last().expect("one")[0], 39_999);
        // Zoomed in, every point is there again.
        let near = desk.ask(&["v"], 1000, 19_990..20_010).await;
        let near = near["v"].as_array().expect("points");
        assert_eq!(near.len(), 20);
        assert_eq!((&near[10], &near[17]), (&json!([20_000, "NaN", "NaN", "NaN"]), &json!([20_007, 99, 99, 99])));
        // What is written anew behind the parts is seen.
        desk.send(5000, 1000, "", |_| "-1".to_owned()).await;
        let anew = desk.ask(&["v"], 10_000, 4_500..6_500).await;
        let anew = anew["v"].as_array().expect("points");
        assert_eq!((anew.len(), anew.iter().filter(|p| p[2] == -1).count()), (2000, 1000));
        // New lines stand behind them.
        desk.send(40_000, 10, "", |_| "5".to_owned()).await;
        let names: Vec<String> = desk.ask(&[], 10, all.clone()).await.into_iter().map(|(k, _)| k).collect();
        assert_eq!(names, ["deep.x", "v"]);
        assert_eq!(desk.ask(&["v"], 10_000, 39_999..50_000).await["v"].as_array().map(Vec::len), Some(11));
    }
}

#[tokio::test]
async fn an_ended_run_is_drawn_off_in_the_background_and_several_writers_are_not() {
    for desk in Desk::all().await {
        desk.send(0, 1500, "", |n| n.to_string()).await;
        desk.service.series_reconcile().await.expect("nothing yet");
        assert_eq!(desk.parts().await, 0);
        let post =
            Post { writer: String::new(), chunks: vec![], summary: None, event: Event::Completed { exit_code: 0 } };
        desk.service.run_post(&desk.ana, ("ana", "p", "r"), post).await.expect("posted");
        desk.service.series_reconcile().await.expect("drawn off");
        assert_eq!(desk.parts().await, 1);
        let fifty = desk.ask(&["v"], 50, 0..i64::MAX).await;
        assert_eq!((&fifty["v"][0], &fifty["v"][49]), (&json!([29, 29, 0, 29]), &json!([1499, 1499, 1470, 1499])));
        let project = desk.service.project_find(&desk.ana, Some("ana"), "p").await.expect("the project");
        let query = SeriesQuery { keys: vec!["v".into()], points: 1, steps: 0..i64::MAX };
        let both = desk.service.runs_series(&project, &["r".into(), "gone".into()], &query).await.expect("series");
        assert_eq!(both.keys().collect::<Vec<_>>(), ["r"]);
        assert_eq!(both["r"]["v"], json!([[1499, 1499, 0, 1499]]));
        let wide = SeriesQuery { points: 10_000, ..query };
        assert!(desk.service.runs_series(&project, &vec!["r".to_owned(); 300], &wide).await.is_err());

        desk.send(0, 10, "w2", |_| "7".to_owned()).await;
        assert_eq!(desk.ask(&["v"], 10_000, 0..10).await["v"].as_array().map(Vec::len), Some(20));
    }
}

#[test]
fn a_part_ends_where_nothing_is_written_anew() {
    let chunk = |first_line, line_count| Chunk { writer: String::new(), seq: 0, first_line, line_count, steps: None };
    assert_eq!(settled(&[chunk(0, 10)]), 1);
    assert_eq!(settled(&[chunk(0, 40_000), chunk(40_000, 40_000), chunk(80_000, 40_000)]), 2);
    assert_eq!(settled(&[chunk(0, 40_000), chunk(40_000, 40_000), chunk(79_999, 40_000), chunk(120_000, 1)]), 3);
}
