//! A newer agent goes on with what an older one began, by what that one wrote down.

use std::{fs, path::Path};

use lanza_model::item::Ending as Ended;
use serde_json::Value;

use super::{
    tests::{Running, lease, options, own},
    *,
};
use crate::{fake_server::FakeServer, journal::tests::OF_0_1_0};

/// Parts of an entry whose fields the agent knows; the others hold what users wrote.
const PARTS: [&str; 5] = ["lease", "phase", "outcome", "source", "environment"];

/// Leaves of a journal what the agent of version 0.1.0 would have written: its entries, with its fields.
fn as_of_0_1_0(journal: &Path) {
    let parsed = |text: &str| text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).collect::<Vec<_>>();
    let known = parsed(OF_0_1_0);
    let mut kept = String::new();
    for mut entry in parsed(&fs::read_to_string(journal).unwrap()) {
        let Some(example) = known.iter().find(|k| k["entry"] == entry["entry"]) else { continue };
        let fields = entry.as_object_mut().unwrap();
        fields.retain(|name, _| example.get(name).is_some());
        for part in PARTS {
            if let Some(inner) = fields.get_mut(part).and_then(Value::as_object_mut) {
                inner.retain(|name, _| example[part].get(name).is_some());
            }
        }
        kept += &format!("{entry}\n");
    }
    fs::write(journal, kept).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_of_an_older_agent_is_taken_over_and_reported_whole() {
    let server = FakeServer::start().await;
    let state = tempfile::tempdir().unwrap();
    let older = Running::start(options(&server, state.path()));
    let item = own("older");
    server.push(lease(&item, "echo a; sleep 1; echo b; exit 7"));
    server.until("the first line", |s| s.logs.values().any(|l| l.starts_with(b"a\n"))).await;
    older.kill().await;
    let journal = state.path().join(format!("attempts/{item}-1/journal.jsonl"));
    let before = fs::read_to_string(&journal).unwrap();
    as_of_0_1_0(&journal);
    assert!(before.contains("\"version\"") && !fs::read_to_string(&journal).unwrap().contains("\"version\""));
    let newer = Running::start(options(&server, state.path()));
    let (outcome, log) = server.outcome(&item).await;
    assert_eq!((outcome.ending, outcome.exit_code, log.as_str()), (Ended::Failed, Some(7), "a\nb\n"));
    newer.end(Control::Leave).await;
}
