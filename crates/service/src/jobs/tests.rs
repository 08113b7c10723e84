//! Jobs on a store of their own: made, made again, learned from, checked against.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use lanza_api::{
    job::{CodeFile, NewJob, NewSource},
    queue::NewQueue,
};
use lanza_model::{
    Role,
    clock::{ManualClock, Time},
    code,
    job::DIFF_FILE,
    run::Event,
    spec::Door,
};
use lanza_store::{
    artifacts::{Artifact, Relation},
    runs::RunFields,
    testing,
};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{JOB_FILE, Outcome};
use crate::{
    Actor, Error, Result, Service, accounts::UserRequest, artifacts::ArtifactRequest, items::WirePush,
    run_files::Announced, runs::RunRequest,
};

struct World {
    service: Arc<Service>,
    ana: Arc<Actor>,
    eve: Arc<Actor>,
    _guard: testing::Guard,
}

impl World {
    async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let clock = ManualClock::at(Time(1_800_000_000_000));
        let service = Service::new(store, Arc::new(clock)).await.expect("a service");
        let mut actors = Vec::new();
        for name in ["ana", "eve"] {
            let request = UserRequest { username: name.into(), ..UserRequest::default() };
            let (_, key) = service.user_create(request).await.expect("a user");
            actors.push(service.authenticate(&key).await.expect("the key works"));
        }
        service.team_create("vision", None).await.expect("a team");
        service.member_put("vision", "ana", Role::Admin).await.expect("an admin");
        let queue = NewQueue { name: Some("q".into()), target: Some("process".into()), ..NewQueue::default() };
        service.queue_create(&actors[0], "vision", queue).await.expect("a queue");
        Self { service, eve: actors.pop().expect("eve"), ana: actors.pop().expect("ana"), _guard: guard }
    }

    async fn code(&self, name: &str, files: &[(&str, &str)]) -> String {
        let list = files.iter().map(|(path, text)| file(path, text)).collect();
        let begun = self.service.code_begin(&self.ana, ("vision", "p"), name, list).await.expect("begun");
        let id = begun.artifact.id.to_string();
        for slot in &begun.wanted {
            let text = files.iter().find(|(p, _)| *p == slot.spec.path).expect("announced").1;
            let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(text.to_owned()))]);
            self.service.artifact_file_put(&id, &slot.spec.md5, None, body).await.expect("stored");
        }
        self.service.code_commit(&self.ana, &id).await.expect("committed").id.to_string()
    }

    async fn make(&self, new: NewJob) -> Result<super::Made> {
        self.service.job_create(&self.ana, ("vision", "p"), new).await
    }

    async fn push(&self, job: &str, overrides: Value) -> Result<String> {
        let spec = json!({ "job": format!("vision/p/{job}"), "project": "p", "overrides": overrides });
        let pushed = self.service.item_push(&self.ana, "vision", "q", spec, Door::Rest, WirePush::default()).await?;
        Ok(pushed.item.id.to_string())
    }

    /// A run with this config that ends cleanly, launched by `item` or by nobody.
    async fn run(&self, name: &str, item: Option<&str>, config: Value, exit_code: i64) -> lanza_store::runs::Run {
        let mut document: serde_json::Map<String, Value> =
            config.as_object().expect("an object").iter().map(|(k, v)| (k.clone(), json!({ "value": v }))).collect();
        document.insert("_wandb".into(), json!({ "value": { "launch_trace_id": item } }));
        let request = RunRequest {
            entity: Some("vision".into()),
            project: Some("p".into()),
            name: Some(name.into()),
            fields: RunFields { config: Some(Value::Object(document).to_string()), ..RunFields::default() },
            ..RunRequest::default()
        };
        self.service.run_upsert(&self.ana, request).await.expect("a run");
        let post = crate::runs::Post {
            writer: String::new(),
            chunks: Vec::new(),
            summary: Some(json!({ "loss": 0.5, "_wandb": {} }).to_string()),
            event: Event::Completed { exit_code },
        };
        self.service.run_post(&self.ana, ("vision", "p", name), post).await.expect("posted");
        self.service.run_find(&self.ana, Some("vision"), "p", name).await.expect("found")
    }
}

/// A run that its client tracked to a clean end: files, and perhaps logged code.
struct Tracked<'a> {
    name: &'a str,
    fields: RunFields,
    files: Files<'a>,
    code: Files<'a>,
}

/// Paths and texts.
type Files<'a> = &'a [(&'a str, &'a str)];

impl World {
    async fn tracked(&self, tracked: Tracked<'_>) -> lanza_store::runs::Run {
        let Tracked { name, fields, files, code } = tracked;
        let request = RunRequest {
            entity: Some("vision".into()),
            project: Some("p".into()),
            name: Some(name.into()),
            fields,
            ..RunRequest::default()
        };
        let run = self.service.run_upsert(&self.ana, request).await.expect("a run").run;
        for (path, text) in files {
            let body = futures::stream::iter([Ok(Bytes::from((*text).to_owned()))]);
            self.service.run_file_store(run.id.as_str(), path, Announced::default(), body).await.expect("stored");
        }
        if !code.is_empty() {
            let files = code.iter().map(|(p, t)| ((*p).to_owned(), Bytes::from((*t).to_owned()))).collect();
            let request = ArtifactRequest {
                entity: "vision".into(),
                project: "p".into(),
                run: Some(name.into()),
                type_name: "code".into(),
                collection: "source-p-train.py".into(),
                ..ArtifactRequest::default()
            };
            self.service.artifact_write(&self.ana, request, files).await.expect("logged");
        }
        let post = crate::runs::Post {
            writer: String::new(),
            chunks: Vec::new(),
            summary: None,
            event: Event::Completed { exit_code: 0 },
        };
        self.service.run_post(&self.ana, ("vision", "p", name), post).await.expect("posted");
        self.service.run_find(&self.ana, Some("vision"), "p", name).await.expect("found")
    }

    /// The file that describes the job which a run became.
    async fn job_file(&self, run: &lanza_store::runs::Run) -> (Artifact, Value) {
        let reference = self.service.job_of_run(run).await.expect("told").job.expect("a job");
        let (name, version) = reference.trim_start_matches("vision/p/").split_once(':').expect("a version");
        let id = self.service.job_version_find(&self.ana, ("vision", "p", name), version).await.expect("found").id;
        let artifact = self.service.artifact_find(&self.ana, &id).await.expect("the artifact");
        let bytes = self.service.artifact_file_read(&artifact, JOB_FILE, super::FILE_LIMIT).await.expect("read");
        (artifact, serde_json::from_slice(&bytes.expect("there")).expect("JSON"))
    }
}

/// What the client says of a run that has every source.
fn metadata(without: &[&str]) -> String {
    let mut all = json!({
        "docker": "host/tool:1.5", "python": "CPython 3.11.7", "codePath": "pkg/train.py", "codePathLocal": "train.py",
        "git": { "remote": "https://git.example/r.git", "commit": "c0ffee" },
    });
    all.as_object_mut().expect("an object").retain(|k, _| !without.contains(&k.as_str()));
    all.to_string()
}

#[tokio::test]
async fn a_run_becomes_a_job_of_its_image_else_its_code_else_its_commit() {
    let w = World::new().await;
    let code = [("train.py", "print(1)"), ("requirements.txt", "numpy==2\n")];
    let all = metadata(&[]);
    let no_image = metadata(&["docker"]);
    let cases: [(&str, &str, Files<'_>, &str, &str, Value); 3] = [
        ("image", &all, &code, "job-host_tool", "image", json!(null)),
        ("code", &no_image, &code, "job-source-p-train.py", "artifact", json!(["python", "train.py"])),
        (
            "git",
            &no_image,
            &[],
            "job-https___git.example_r.git_pkg_train.py",
            "repo",
            json!(["python", "pkg/train.py"]),
        ),
    ];
    for (name, metadata, code, job, kind, entry) in cases {
        let files = [("wandb-metadata.json", metadata), ("requirements.txt", "numpy==2\n"), ("diff.patch", "a patch")];
        let run = w.tracked(Tracked { name, fields: RunFields::default(), files: &files, code }).await;
        let (artifact, file) = w.job_file(&run).await;
        assert_eq!((artifact.collection.name.as_str(), &file["source_type"]), (job, &json!(kind)));
        assert_eq!((&file["source"]["entrypoint"], &file["runtime"]), (&entry, &json!("3.11")), "{name}");
        let patch = w.service.artifact_file_read(&artifact, DIFF_FILE, super::FILE_LIMIT).await.expect("read");
        assert_eq!(patch.is_some(), kind == "repo", "changes belong to a commit");
        // Scripts count what a run logged, and the job is nothing of that.
        let logged = w.service.store.lineage_artifacts(run.id.as_str(), Relation::Output).await.expect("lineage");
        assert!(logged.iter().all(|a| a.collection.type_name == "code"), "{name}");
    }
}

#[tokio::test]
async fn the_script_of_a_runs_code_is_found_or_there_is_no_job() {
    let w = World::new().await;
    let run = async |name: &str, said: Value, code: &[(&str, &str)]| {
        let mut metadata = json!({ "python": "3.11.7" });
        metadata.as_object_mut().expect("an object").extend(said.as_object().expect("an object").clone());
        let metadata = metadata.to_string();
        let files = [("wandb-metadata.json", metadata.as_str()), ("requirements.txt", "")];
        w.tracked(Tracked { name, fields: RunFields::default(), files: &files, code }).await
    };
    // The client's path begins above of what was logged; one file of it ends so.
    let found =
        run("suffix", json!({ "codePath": "repo/src/a/train.py" }), &[("a/train.py", ""), ("b/train.py", "")]).await;
    let (_, file) = w.job_file(&found).await;
    assert_eq!(file["source"]["entrypoint"], json!(["python", "a/train.py"]));
    let lost = run("lost", json!({ "codePathLocal": "other.py" }), &[("train.py", "")]).await;
    let told = w.service.job_of_run(&lost).await.expect("told");
    assert_eq!(told.why.as_deref(), Some("`lost` does not say which file of its code it ran"));
    // What the code asks for wins over what it ran on.
    let asked = [("train.py", "x"), ("runtime.txt", "python-3.12"), (".python-version", "3.10")];
    let (_, file) = w.job_file(&run("asked", json!({ "codePathLocal": "train.py" }), &asked).await).await;
    assert_eq!(file["runtime"], "3.12");
}

#[tokio::test]
async fn runs_that_are_no_work_of_their_own_become_no_job() {
    let w = World::new().await;
    let files = [("wandb-metadata.json", metadata(&[])), ("requirements.txt", String::new())];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let kind = |word: &str| RunFields { job_type: Some(word.into()), ..RunFields::default() };
    let launched =
        json!({ "_wandb": { "value": { "launch_trace_id": "0123456789abcdef0123456789abcdef" } } }).to_string();
    let launched = RunFields { config: Some(launched), ..RunFields::default() };
    for (name, fields, why) in [
        ("maker", kind("cli_create_job"), "`cli_create_job` are no work of their own"),
        ("sweeper", kind("sweep-controller"), "`sweep-controller` are no work of their own"),
        ("launched", launched, "launched from a job or an image itself"),
    ] {
        let run = w.tracked(Tracked { name, fields, files: &files, code: &[] }).await;
        let told = w.service.job_of_run(&run).await.expect("told");
        assert!(told.job.is_none() && told.why.as_deref().is_some_and(|t| t.contains(why)), "{name}: {told:?}");
    }
    assert!(w.service.job_list(&w.ana, "vision", "p", "", 10).await.expect("the jobs").is_empty());
}

fn file(path: &str, text: &str) -> CodeFile {
    CodeFile { path: path.into(), md5: STANDARD.encode(Md5::digest(text)), size_bytes: text.len() as u64 }
}

fn job(source: NewSource) -> NewJob {
    serde_json::from_value(json!({ "source": source, "entrypoint": ["train.py"] })).expect("a job")
}

fn code_of<T>(result: Result<T>) -> &'static str {
    result.err().expect("a refusal").code().word
}

#[tokio::test]
async fn code_is_uploaded_once_and_equal_content_makes_no_version() {
    let w = World::new().await;
    let files = [("train.py", "print(1)"), ("copy.py", "print(1)"), ("requirements.txt", "wandb")];
    let list: Vec<_> = files.iter().map(|(p, t)| file(p, t)).collect();
    let begun = w.service.code_begin(&w.ana, ("vision", "p"), "code-t", list.clone()).await.expect("begun");
    assert_eq!(begun.wanted.len(), 2, "equal files are wanted once");
    assert_eq!(
        code_of(w.service.code_commit(&w.ana, begun.artifact.id.as_str()).await),
        code::ARTIFACT_INCOMPLETE.word
    );
    let id = w.code("code-t", &files).await;
    let again = w.service.code_begin(&w.ana, ("vision", "p"), "code-t", list.clone()).await.expect("found");
    assert_eq!((again.artifact.id.as_str(), again.wanted.len()), (id.as_str(), 0));
    for bad in [vec![], vec![list[0].clone(), list[0].clone()], vec![file("../x", "")], vec![file("/x", "")]] {
        assert!(w.service.code_begin(&w.ana, ("vision", "p"), "code-t", bad).await.is_err());
    }
    assert!(w.service.code_begin(&w.eve, ("vision", "p"), "code-t", list).await.is_err());

    let new = NewJob { python: Some("3.12".into()), python_chosen: true, ..job(NewSource::Code(id.clone())) };
    let made = w.make(new.clone()).await.expect("made");
    assert_eq!((made.outcome, made.artifact.reference().as_str()), (Outcome::Created, "vision/p/job-t:v0"));
    let same = w.make(new.clone()).await.expect("found");
    assert_eq!((same.outcome, same.artifact.id), (Outcome::Unchanged, made.artifact.id));
    let other = w.code("code-t", &[("train.py", "print(2)"), ("requirements.txt", "wandb"), ("new.py", "")]).await;
    let changed = NewJob { source: NewSource::Code(other), requirements: "wandb\nnumpy\n".into(), ..new };
    let changed = w.make(changed).await.expect("made");
    assert_eq!((changed.outcome, changed.artifact.version), (Outcome::Updated, Some(1)));

    let view = w.service.job_version_find(&w.ana, ("vision", "p", "job-t"), "latest").await.expect("shown");
    assert_eq!((view.version.as_str(), view.entrypoint.join(" ").as_str()), ("v1", "python train.py"));
    assert_eq!((view.inputs.from.as_str(), &view.metadata), ("unknown", &json!({ "_partial": true })));
    let diff = w.service.job_diff(&w.ana, ("vision", "p", "job-t"), "v0", "v1").await.expect("compared");
    let files: Vec<_> = diff.files.iter().map(|f| format!("{} {}", f.change, f.path)).collect();
    assert_eq!(files, ["removed copy.py", "added new.py", "changed train.py"]);
    assert_eq!(diff.requirements_added, ["wandb", "numpy"]);
}

#[tokio::test]
async fn every_wrong_field_is_refused_by_name() {
    let w = World::new().await;
    let id = w.code("code-t", &[("train.py", "")]).await;
    let git = |remote: &str, commit: &str| NewSource::Git { remote: remote.into(), commit: commit.into() };
    let good = || job(NewSource::Code(id.clone()));
    let image = || NewJob { entrypoint: vec![], ..job(NewSource::Image("tool:1".into())) };
    let some = |s: &str| Some(s.to_owned());
    for (field, new) in [
        ("name", NewJob { name: some("a b"), ..good() }),
        ("aliases", NewJob { aliases: vec!["v3".into()], ..good() }),
        ("python", NewJob { python: some("2.7"), ..good() }),
        ("python", NewJob { python: some("3.11.2"), ..good() }),
        ("python", NewJob { python: some("3.11"), ..image() }),
        ("source.image", NewJob { base_image: some("b"), ..image() }),
        ("source.image", job(NewSource::Image("-v".into()))),
        ("source.git.remote", job(git("file:///etc", "main"))),
        ("source.git.remote", job(git("ext::sh", "main"))),
        ("source.git.commit", job(git("https://h/r", "--upload-pack=x"))),
        ("entrypoint", NewJob { entrypoint: vec![], ..good() }),
        ("entrypoint", NewJob { entrypoint: vec!["../x.py".into()], ..job(git("https://h/r", "main")) }),
        ("build_context", NewJob { build_context: some("../x"), ..good() }),
        ("dockerfile", NewJob { dockerfile: some("/x"), ..good() }),
        ("base_image", NewJob { base_image: some("a b"), ..good() }),
        ("schema", NewJob { schema: Some(json!([])), ..good() }),
        ("services", NewJob { services: json!({"a": "maybe"}).as_object().cloned().expect("o"), ..good() }),
    ] {
        match w.make(new).await {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(matches!(w.make(job(NewSource::Code("0".repeat(32)))).await, Err(Error::NotFound { .. })));
    assert!(w.service.job_create(&w.eve, ("vision", "p"), image()).await.is_err());
    let made = w.make(NewJob { aliases: vec!["best".into()], ..image() }).await.expect("made");
    let view = w.service.job_made_view(&w.ana, &made).await.expect("shown");
    let mut aliases = view.version.aliases.clone();
    aliases.sort();
    assert_eq!(
        (view.version.reference.as_str(), aliases.join(" ").as_str()),
        ("vision/p/job-tool:v0", "1 best latest")
    );
}

#[tokio::test]
async fn a_launch_whose_values_do_not_fit_the_schema_is_refused_field_by_field() {
    let w = World::new().await;
    let schema = json!({ "type": "object", "required": ["lr"], "properties": {
        "lr": { "type": "number", "maximum": 1 }, "epochs": { "type": "integer", "default": 3 } } });
    let id = w.code("code-t", &[("train.py", "")]).await;
    let new = NewJob { schema: Some(schema.clone()), ..job(NewSource::Code(id)) };
    w.make(new.clone()).await.expect("made");
    w.push("job-t:v0", json!({ "run_config": { "lr": 0.5, "more": "x" } })).await.expect("fits");
    let refused = w.push("job-t:v0", json!({ "run_config": { "lr": 2, "epochs": "x" } })).await.expect_err("no");
    assert_eq!(refused.code(), code::INPUT_INVALID);
    let Error::Inputs { fields, job } = &refused else { panic!("{refused}") };
    let found: Vec<_> = fields.iter().map(|f| (f.rule, f.path.as_str())).collect();
    assert_eq!(found, [("maximum", "overrides.run_config.lr"), ("type", "overrides.run_config.epochs")]);
    assert_eq!(job, "vision/p/job-t:v0");
    assert!(refused.to_string().contains("`overrides.run_config.lr` must be at most 1, and is 2"), "{refused}");
    assert_eq!(code_of(w.push("job-t:v0", json!({})).await), code::INPUT_INVALID.word, "lr is required");
    assert_eq!(w.make(new.clone()).await.expect("found").outcome, Outcome::Unchanged);
    let wider = NewJob { schema: Some(json!({ "type": "object" })), ..new };
    assert_eq!(w.make(wider).await.expect("found").outcome, Outcome::Updated, "the same version, another schema");
    w.push("job-t:v0", json!({ "run_config": { "lr": 2 } })).await.expect("fits now");
}

#[tokio::test]
async fn a_job_made_by_hand_learns_its_types_from_its_first_good_run() {
    let w = World::new().await;
    let id = w.code("code-t", &[("train.py", "")]).await;
    w.make(job(NewSource::Code(id))).await.expect("made");
    let item = w.push("job-t:v0", json!({ "run_config": { "lr": "anything" } })).await.expect("not known yet");
    let of = ("vision", "p", "job-t");
    w.run("bad", Some(&item), json!({ "lr": "x" }), 1).await;
    assert_eq!(w.service.job_version_find(&w.ana, of, "v0").await.expect("shown").inputs.from, "unknown");
    w.run("good", Some(&item), json!({ "lr": 0.5, "name": "x" }), 0).await;
    let view = w.service.job_version_find(&w.ana, of, "v0").await.expect("shown");
    assert_eq!(view.inputs.from, "types");
    assert_eq!(view.inputs.config["properties"]["lr"], json!({ "type": "number" }));
    assert_eq!(view.output_types["params"]["type_map"], json!({ "loss": { "wb_type": "number" } }));
    assert_eq!(view.metadata.get("_partial"), None);
    assert_eq!(view.input_types["params"]["type_map"], json!({}), "the job file stays as it is");
    let project = w.service.artifact_project(&w.ana, "vision", "p").await.expect("read").expect("there");
    let collection = w.service.collection_find(&w.ana, &project, "job-t").await.expect("read").expect("there");
    let made = w.service.store.membership_list(&collection.id, None, 1);
    let digest = made.await.expect("read").remove(0).artifact.digest;
    let again = crate::artifacts::ArtifactRequest {
        entity: "vision".into(),
        project: "p".into(),
        type_name: "job".into(),
        collection: "job-t".into(),
        digest,
        metadata: Some(json!({ "_partial": true }).to_string()),
        ..Default::default()
    };
    w.service.artifact_create(&w.ana, again).await.expect("found");
    let kept = w.service.job_version_find(&w.ana, of, "v0").await.expect("shown");
    assert_eq!(kept.metadata, view.metadata, "the client's command again erases nothing");
    w.run("later", Some(&item), json!({ "lr": "now a text" }), 0).await;
    let refused = w.push("job-t:v0", json!({ "run_config": { "lr": "x", "new": 1 } })).await.expect_err("known");
    assert!(refused.to_string().ends_with("`overrides.run_config.lr` must be a number, and is \"x\""), "{refused}");
    w.push("job-t:v0", json!({ "run_config": { "lr": 1 } })).await.expect("a number");
    let back = json!({ "job": "vision/p/job-t:v0", "project": "p", "_resume_count": 1,
        "overrides": { "run_config": { "lr": "anything" } } });
    let pushed = w.service.item_push(&w.ana, "vision", "q", back, Door::Wire, WirePush::default()).await;
    pushed.expect("what was taken once and was preempted is taken again");
}

#[tokio::test]
async fn a_run_that_becomes_no_job_says_why() {
    let w = World::new().await;
    let why = async |run: &lanza_store::runs::Run| {
        let told = w.service.job_of_run(run).await.expect("told");
        assert_eq!(told.job, None);
        told.why.expect("a reason")
    };
    let plain = w.run("plain", None, json!({}), 0).await;
    assert_eq!(why(&plain).await, "`plain` has no wandb-metadata.json");
    let request = RunRequest {
        entity: Some("vision".into()),
        project: Some("p".into()),
        name: Some("sweeper".into()),
        fields: RunFields { job_type: Some("sweep-controller".into()), ..RunFields::default() },
        ..RunRequest::default()
    };
    let scheduler = w.service.run_upsert(&w.ana, request.clone()).await.expect("a run").run;
    assert!(why(&scheduler).await.contains("`sweep-controller`"));
    let going = RunRequest { name: Some("going".into()), fields: RunFields::default(), ..request };
    let going = w.service.run_upsert(&w.ana, going).await.expect("a run").run;
    assert_eq!(why(&going).await, "it is running, and a job is made when a run ends");
}

#[test]
fn an_update_without_types_erases_none() {
    let merge = super::merge_job_metadata;
    let old = json!({"input_schemas": {"@wandb.config": {"type": "object"}}, "_partial": true}).to_string();
    let new = json!({"input_types": {}, "output_types": {"wb_type": "unknown"}}).to_string();
    let merged: Value = serde_json::from_str(&merge(Some(&old), &new)).expect("JSON");
    assert_eq!(merged["input_schemas"]["@wandb.config"]["type"], "object");
    assert_eq!(merged.get("_partial"), None);
    let newer = json!({"input_schemas": {"@wandb.config": {"type": "array"}}}).to_string();
    assert_eq!(merge(Some(&old), &newer), newer);
    assert_eq!(merge(None, &newer), newer);
}
