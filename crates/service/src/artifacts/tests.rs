use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use lanza_model::{
    Role,
    clock::{ManualClock, Time},
    code,
    spec::JobReference,
};
use lanza_store::{
    artifacts::{Artifact, ArtifactChange, State},
    testing,
};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{ArtifactRequest, FileSpec, ManifestRequest};
use crate::{Actor, Error, JobScope, Result, Service, accounts::UserRequest};

struct World {
    service: Arc<Service>,
    ana: Arc<Actor>,
    bob: Arc<Actor>,
    _guard: testing::Guard,
}

async fn user(service: &Service, name: &str) -> Arc<Actor> {
    let request = UserRequest { username: name.into(), ..UserRequest::default() };
    let (_, key) = service.user_create(request).await.expect("a user");
    service.authenticate(&key).await.expect("the key works")
}

impl World {
    async fn new() -> Self {
        let (guard, store) = testing::sqlite().await;
        let clock = ManualClock::at(Time(1_800_000_000_000));
        let service = Service::new(store, Arc::new(clock)).await.expect("a service");
        let (ana, bob) = (user(&service, "ana").await, user(&service, "bob").await);
        service.team_create("vision", None).await.expect("a team");
        service.member_put("vision", "ana", Role::Member).await.expect("a member");
        Self { service, ana, bob, _guard: guard }
    }

    async fn begin(&self, kind: &str, name: &str, digest: &str) -> Artifact {
        let request = ArtifactRequest { digest: digest.into(), ..request(kind, name) };
        self.service.artifact_create(&self.ana, request).await.expect("begun").artifact
    }

    async fn put(&self, artifact: &Artifact, announced: &[u8], sent: &[u8]) -> Result<()> {
        self.service
            .artifact_file_put(artifact.id.as_str(), &md5(announced), Some(announced.len() as u64), body(sent))
            .await
    }

    async fn manifest(&self, artifact: &Artifact, contents: Value) -> Result<()> {
        let text = json!({ "version": 1, "contents": contents }).to_string();
        let request = ManifestRequest {
            artifact: artifact.id.to_string(),
            name: "wandb_manifest.json".into(),
            kind: "FULL".into(),
            digest: md5(text.as_bytes()),
            base: None,
        };
        let slot = self.service.manifest_create(&self.ana, request).await?;
        let ids = (artifact.id.as_str(), slot.id.as_str());
        self.service.manifest_put(ids, &md5(text.as_bytes()), None, body(text.as_bytes())).await
    }

    async fn logged(&self, actor: &Actor, request: ArtifactRequest, files: &[(&str, &str)]) -> Artifact {
        let files = files.iter().map(|(p, b)| ((*p).to_owned(), Bytes::copy_from_slice(b.as_bytes()))).collect();
        self.service.artifact_write(actor, request, files).await.expect("logged")
    }
}

fn request(kind: &str, name: &str) -> ArtifactRequest {
    ArtifactRequest {
        entity: "vision".into(),
        project: "p".into(),
        type_name: kind.into(),
        collection: name.into(),
        digest_algorithm: "MANIFEST_MD5".into(),
        ..ArtifactRequest::default()
    }
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

fn body(
    bytes: &[u8],
) -> impl futures::Stream<Item = std::result::Result<Bytes, std::io::Error>> + Send + Unpin + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(bytes))])
}

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.expect_err("a refusal").code().word
}

#[tokio::test]
async fn an_upload_is_kept_whole_or_not_at_all() {
    let w = World::new().await;
    let artifact = w.begin("dataset", "set", "d1").await;
    let spec = |path: &str, bytes: &[u8]| FileSpec {
        artifact: artifact.id.to_string(),
        path: path.into(),
        md5: md5(bytes),
        media_type: None,
    };
    let slots = w.service.artifact_files_create(&w.ana, vec![spec("b", b"bb"), spec("a", b"aa")]).await.expect("slots");
    assert_eq!(slots.iter().map(|s| s.spec.path.as_str()).collect::<Vec<_>>(), ["b", "a"], "in the order asked for");
    assert!(slots.iter().all(|s| s.link.is_some()));

    assert_eq!(code_of(w.put(&artifact, b"aa", b"xx").await), code::DIGEST_MISMATCH.word);
    assert_eq!(code_of(w.put(&artifact, b"aa", b"a").await), code::UPLOAD_TRUNCATED.word);
    let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("gone"))]);
    let cut = w.service.artifact_file_put(artifact.id.as_str(), &md5(b"aa"), None, broken).await;
    assert_eq!(code_of(cut), code::UPLOAD_TRUNCATED.word);
    let slots = w.service.artifact_files_create(&w.ana, vec![spec("a", b"aa")]).await.expect("slots");
    assert!(slots[0].link.is_some(), "nothing of it was kept");

    let entry = |bytes: &[u8]| json!({ "digest": md5(bytes), "size": bytes.len() });
    assert_eq!(code_of(w.service.artifact_commit(&w.ana, artifact.id.as_str()).await), code::ARTIFACT_INCOMPLETE.word);
    let reference = json!({ "digest": "etag", "ref": "s3://b/k", "size": 7 });
    w.manifest(&artifact, json!({ "a": entry(b"aa"), "r": reference })).await.expect("a manifest");
    let missing = w.service.artifact_commit(&w.ana, artifact.id.as_str()).await.expect_err("a file is missing");
    assert_eq!(missing.code(), code::ARTIFACT_INCOMPLETE);
    assert!(missing.to_string().contains("`a`"), "{missing}");
    w.put(&artifact, b"aa", b"aa").await.expect("received");
    let done = w.service.artifact_commit(&w.ana, artifact.id.as_str()).await.expect("committed");
    assert_eq!((done.version, done.file_count, done.size_bytes), (Some(0), 2, 9));
    assert!(w.put(&artifact, b"aa", b"aa").await.is_err(), "a committed version takes no more files");

    let other = w.begin("dataset", "other", "d2").await;
    let known = FileSpec { artifact: other.id.to_string(), ..spec("again", b"aa") };
    let slots = w.service.artifact_files_create(&w.ana, vec![known]).await.expect("slots");
    assert!(slots[0].link.is_none(), "the bytes are there");
}

#[tokio::test]
async fn hostile_and_broken_manifests_are_refused() {
    let w = World::new().await;
    for (i, path) in ["../out", "/etc/passwd", "a/../../b", "a\\..\\b"].into_iter().enumerate() {
        let artifact = w.begin("dataset", "bad", &format!("d{i}")).await;
        let spec = FileSpec { artifact: artifact.id.to_string(), path: path.into(), md5: md5(b"x"), media_type: None };
        assert_eq!(code_of(w.service.artifact_files_create(&w.ana, vec![spec]).await), code::ARCHIVE_HOSTILE.word);
        w.manifest(&artifact, json!({ path: { "digest": "e", "ref": "s3://x" } })).await.expect("stored");
        assert_eq!(code_of(w.service.artifact_commit(&w.ana, artifact.id.as_str()).await), code::ARCHIVE_HOSTILE.word);
    }
    let artifact = w.begin("dataset", "bad", "e").await;
    w.manifest(&artifact, json!([])).await.expect("stored");
    assert_eq!(code_of(w.service.artifact_commit(&w.ana, artifact.id.as_str()).await), code::INVALID.word);
    for (kind, name) in [("dataset", "a/b"), ("dataset", "a:v1"), ("da:ta", "x"), ("", "x"), ("dataset", "")] {
        let request = ArtifactRequest { digest: "d".into(), ..request(kind, name) };
        let refused = w.service.artifact_create(&w.ana, request).await;
        assert_eq!(code_of(refused), code::INVALID.word, "{kind} {name}");
    }
    let first = ArtifactRequest { digest: "d".into(), ..request("dataset", "typed") };
    w.service.artifact_create(&w.ana, first).await.expect("begun");
    let second = ArtifactRequest { digest: "d".into(), ..request("model", "typed") };
    assert_eq!(code_of(w.service.artifact_create(&w.ana, second).await), code::INVALID.word);
}

#[tokio::test]
async fn strangers_see_nothing_and_viewers_change_nothing() {
    let w = World::new().await;
    let done = w.logged(&w.ana, request("dataset", "set"), &[("x", "secret")]).await;
    let id = done.id.as_str();
    assert!(matches!(w.service.artifact_find(&w.bob, id).await, Err(Error::NotFound { .. })));
    assert!(w.service.artifact_project(&w.bob, "vision", "p").await.expect("an answer").is_none());
    // Knowing an MD5 is not having the bytes.
    let own = ArtifactRequest { entity: "bob".into(), digest: "d".into(), ..request("dataset", "theft") };
    let theft = w.service.artifact_create(&w.bob, own).await.expect("begun").artifact;
    let spec = FileSpec { artifact: theft.id.to_string(), path: "x".into(), md5: md5(b"secret"), media_type: None };
    let slots = w.service.artifact_files_create(&w.bob, vec![spec]).await.expect("slots");
    assert!(slots[0].link.is_some());

    w.service.member_put("vision", "bob", Role::Viewer).await.expect("a viewer");
    assert_eq!(w.service.artifact_find(&w.bob, id).await.expect("seen").state, State::Committed);
    let change = ArtifactChange { description: Some("x".into()), ..ArtifactChange::default() };
    assert_eq!(code_of(w.service.artifact_update(&w.bob, id, change).await), code::FORBIDDEN.word);
    assert_eq!(code_of(w.service.artifact_delete(&w.bob, id, true).await), code::FORBIDDEN.word);
    let new = ArtifactRequest { digest: "d".into(), ..request("dataset", "set") };
    assert_eq!(code_of(w.service.artifact_create(&w.bob, new).await), code::FORBIDDEN.word);
    assert_eq!(code_of(w.service.artifact_delete(&w.ana, id, false).await), code::CONFLICT.word, "it has aliases");
}

#[tokio::test]
async fn a_jobs_token_reaches_its_job_its_code_and_its_inputs() {
    let w = World::new().await;
    let code = w.logged(&w.ana, request("code", "code-x"), &[("train.py", "print()")]).await;
    let file = json!({
        "_version": "v0", "source_type": "artifact", "runtime": "CPython 3.11.7",
        "source": { "artifact": format!("wandb-artifact://_id/{}", code.id), "entrypoint": ["python", "train.py"] },
    });
    let files = [("wandb-job.json", file.to_string()), ("requirements.frozen.txt", "wandb==0.31.0\n\nnumpy\n".into())];
    let files: Vec<_> = files.iter().map(|(p, b)| (*p, b.as_str())).collect();
    let job = w.logged(&w.ana, request("job", "trainer"), &files).await;
    let input = w.logged(&w.ana, request("dataset", "in"), &[("x", "1")]).await;
    let unnamed = w.logged(&w.ana, request("dataset", "unnamed"), &[("x", "2")]).await;

    let reference = JobReference::parse("vision/p/trainer").expect("legal");
    let resolved = w.service.job_resolve(&w.ana, &reference, "ana", "q").await.expect("read").expect("there");
    assert_eq!(resolved.reference, "vision/p/trainer:v0");
    assert_eq!(resolved.code_artifact.as_deref(), Some(code.id.as_str()));
    assert_eq!(resolved.file.python.as_deref(), Some("3.11"));
    let absent = JobReference::parse("vision/p/absent:v3").expect("legal");
    assert!(w.service.job_resolve(&w.ana, &absent, "ana", "q").await.expect("read").is_none());
    assert!(w.service.job_resolve(&w.bob, &reference, "bob", "q").await.expect("read").is_none());
    let dataset = JobReference::parse("vision/p/in").expect("legal");
    assert_eq!(code_of(w.service.job_resolve(&w.ana, &dataset, "ana", "q").await), code::INVALID.word);
    let shown = w.service.job_version_find(&w.ana, ("vision", "p", "trainer"), "v0").await.expect("shown");
    assert_eq!(shown.requirements, ["wandb==0.31.0", "numpy"]);
    assert_eq!((shown.source_type.as_str(), shown.aliases.as_slice()), ("code", &["latest".to_owned()][..]));

    let scope = JobScope {
        item: "i".into(),
        attempt: 1,
        queue: "q".into(),
        queue_entity_id: w.service.store.entity_by_name("ana").await.expect("read").expect("there").id.to_string(),
        entity: "ana".into(),
        project: "runs".into(),
        job_artifact: Some(job.id.to_string()),
        code_artifact: resolved.code_artifact,
        artifacts: vec!["wandb-artifact://vision/p/in:latest".into()],
    };
    let token = Actor { job: Some(scope), ..(*w.ana).clone() };
    for seen in [&job, &code, &input] {
        w.service.artifact_find(&token, seen.id.as_str()).await.expect("reached");
    }
    assert!(matches!(w.service.artifact_find(&token, unnamed.id.as_str()).await, Err(Error::NotFound { .. })));
    let project = w.service.artifact_project(&token, "vision", "p").await.expect("read").expect("reached");
    assert!(w.service.membership_named(&token, &project, "trainer:latest").await.expect("read").is_some());
    assert!(w.service.membership_named(&token, &project, "unnamed:latest").await.expect("read").is_none());
    assert!(w.service.artifact_list(&token, &project, None, None, 9).await.expect("read").is_empty());
    let elsewhere = ArtifactRequest { digest: "d".into(), ..request("dataset", "out") };
    assert!(
        w.service.artifact_create(&token, elsewhere.clone()).await.is_err(),
        "it writes into its run's project only"
    );
    let own = ArtifactRequest { entity: "ana".into(), project: "runs".into(), ..elsewhere };
    w.service.artifact_create(&token, own).await.expect("begun");
    // What the author no longer sees, the token does not see either.
    w.service.member_put("vision", "bob", Role::Member).await.expect("a member");
    let stranger = Actor { user_id: user(&w.service, "eve").await.user_id.clone(), ..token };
    assert!(w.service.artifact_find(&stranger, job.id.as_str()).await.is_err());
}

#[tokio::test]
async fn aliases_that_look_like_versions_are_dropped_and_an_images_tag_is_kept() {
    let w = World::new().await;
    let named =
        ArtifactRequest { aliases: vec!["latest".into(), "v7".into(), "1.2".into()], ..request("job", "job-img") };
    let job = w.logged(&w.ana, named.clone(), &[("wandb-job.json", "{}")]).await;
    let view = w.service.artifact_views(std::slice::from_ref(&job)).await.expect("shown").remove(0);
    assert_eq!(view.aliases, ["latest", "1.2"]);
    assert_eq!(w.service.store.tags_of(&[&job.id]).await.expect("tags")[job.id.as_str()], ["v7"]);
    let again = w.logged(&w.ana, named, &[("wandb-job.json", "{}")]).await;
    assert_eq!(again.id, job.id);
}
