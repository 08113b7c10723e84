use lanza_model::{
    clock::Time,
    id::{ArtifactId, EntityId, ManifestId, ProjectId},
};

use super::{ArtifactChange, ArtifactCreation, FileEntry, Manifest, NewArtifact, Relation, State, StoredContent};
use crate::{Error, Store, projects::NewProject, testing};

const NOW: Time = Time(1_000);

async fn project(store: &Store) -> (EntityId, ProjectId) {
    let entity = store.team_insert("team", NOW).await.expect("a team");
    let new = NewProject {
        entity_id: entity.clone(),
        name: "p".into(),
        description: String::new(),
        author: "ana".into(),
        created_at: NOW,
    };
    (entity, store.project_ensure(new).await.expect("a project").0.id)
}

fn new(project: &ProjectId, collection: &str, digest: &str, aliases: &[&str]) -> NewArtifact {
    NewArtifact {
        project_id: project.clone(),
        type_name: "dataset".into(),
        collection: collection.into(),
        digest: digest.into(),
        digest_algorithm: "MANIFEST_MD5".into(),
        aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
        description: None,
        metadata: None,
        history_step: None,
        ttl_seconds: None,
        tags: vec![],
        client_id: Some(format!("{collection}-{digest}")),
        sequence_client_id: Some(format!("seq-{collection}")),
        deduplicate: true,
        run: Some("run-row".into()),
        relation: Relation::Output,
        author: ("u".into(), "ana".into()),
    }
}

async fn begin(store: &Store, new: NewArtifact) -> (super::Artifact, Option<super::Artifact>, bool) {
    match store.artifact_create(new, NOW).await.expect("created") {
        ArtifactCreation::Done { artifact, latest, inserted } => (*artifact, latest.map(|l| *l), inserted),
        other => panic!("{other:?}"),
    }
}

fn file(path: &str, size_bytes: i64) -> FileEntry {
    FileEntry {
        path: path.into(),
        digest: "d".into(),
        size_bytes,
        reference: None,
        birth_artifact_id: None,
        blob: Some(format!("blob-{path}")),
    }
}

async fn aliases(store: &Store, id: &ArtifactId) -> Vec<String> {
    let mut found = store.aliases_of(&[id]).await.expect("aliases");
    found.remove(id.as_str()).unwrap_or_default().into_iter().map(|(_, a)| a).collect()
}

#[tokio::test]
async fn equal_content_is_one_version_also_while_it_is_pending() {
    for (_guard, store) in testing::stores().await {
        let (_, project) = project(&store).await;
        let mut said = new(&project, "code-x", "aa", &["latest", "good"]);
        said.metadata = Some("{\"codePath\":\"x\"}".into());
        said.description = Some("what".into());
        let (first, latest, inserted) = begin(&store, said).await;
        assert!(latest.is_none() && inserted && first.state == State::Pending && first.version.is_none());
        let (again, latest, inserted) = begin(&store, new(&project, "code-x", "aa", &["more"])).await;
        assert_eq!((&again.id, inserted), (&first.id, false), "on {:?}", store.engine());
        assert!(latest.is_none());
        assert_eq!(again.metadata.as_deref(), Some("{\"codePath\":\"x\"}"), "left out means unchanged");
        assert_eq!(again.description.as_deref(), Some("what"));
        assert!(store.collection_list(&project, None, "", 9).await.expect("list").is_empty(), "nothing is committed");

        let files = vec![file("a", 3), file("b/c", 4)];
        let done = store.artifact_commit(&first.id, files.clone(), NOW).await.expect("committed");
        assert_eq!((done.version, done.size_bytes, done.file_count), (Some(0), 7, 2));
        let done = store.artifact_commit(&first.id, files, NOW).await.expect("committed again");
        assert_eq!((done.version, done.file_count), (Some(0), 2));
        assert_eq!(aliases(&store, &first.id).await, ["latest", "good", "more"]);

        let (known, latest, _) = begin(&store, new(&project, "code-x", "aa", &["late"])).await;
        assert_eq!((known.state, latest.expect("one").id), (State::Committed, first.id.clone()));
        assert!(aliases(&store, &first.id).await.contains(&"late".to_owned()), "a committed version gets it at once");

        let mut apart = new(&project, "code-x", "aa", &[]);
        apart.deduplicate = false;
        assert_ne!(begin(&store, apart).await.0.id, first.id);
        assert_ne!(begin(&store, new(&project, "other", "aa", &[])).await.0.id, first.id, "another collection");
        let mut wrong = new(&project, "code-x", "bb", &[]);
        wrong.type_name = "model".into();
        let refused = store.artifact_create(wrong, NOW).await.expect("an answer");
        assert!(matches!(refused, ArtifactCreation::OtherType(t) if t == "dataset"));
        assert_eq!(
            store.artifact_client_id("code-x-aa").await.expect("found").0.as_ref(),
            Some(&first.id),
            "the client's id leads to ours"
        );
    }
}

#[tokio::test]
async fn a_pending_version_that_says_nothing_new_leads_to_the_one_that_said_it() {
    for (_guard, store) in testing::stores().await {
        let (_, project) = project(&store).await;
        let (first, ..) = begin(&store, new(&project, "job-x", "aa", &["one"])).await;
        store.artifact_commit(&first.id, vec![file("a", 3)], NOW).await.expect("committed");
        let mut again = new(&project, "job-x", "bb", &["two"]);
        (again.run, again.tags) = (Some("another-run".into()), vec!["t".into()]);
        let (pending, ..) = begin(&store, again).await;
        let merge = || store.artifact_merge(&pending.id, &first.id, Some("{}".into()), NOW);
        let merged = merge().await.expect("merged");
        assert_eq!((&merged.id, merged.version, merged.metadata.as_deref()), (&first.id, Some(0), Some("{}")));
        let found = store.artifact_by_id(&pending.id).await.expect("read").expect("the other");
        assert_eq!((found.id, found.state), (first.id.clone(), State::Committed), "on {:?}", store.engine());
        assert_eq!(store.artifact_client_id("job-x-bb").await.expect("read").0, Some(first.id.clone()));
        let mut all = aliases(&store, &first.id).await;
        all.sort();
        assert_eq!(all, ["latest", "one", "two"]);
        assert_eq!(store.tags_of(&[&first.id]).await.expect("tags")[first.id.as_str()], ["t"]);
        assert_eq!(store.lineage_runs(&first.id, Relation::Output).await.expect("runs").len(), 2);
        assert!(matches!(merge().await, Err(Error::Moved)), "there is nothing pending any more");

        let (next, ..) = begin(&store, new(&project, "job-x", "cc", &[])).await;
        let done = store.artifact_commit(&next.id, vec![file("a", 4)], NOW).await.expect("committed");
        assert_eq!(done.version, Some(1), "no number is left out");
        let (elsewhere, ..) = begin(&store, new(&project, "job-y", "dd", &[])).await;
        assert!(matches!(store.artifact_merge(&elsewhere.id, &first.id, None, NOW).await, Err(Error::Moved)));
    }
}

#[tokio::test]
async fn versions_are_numbered_and_aliases_move() {
    for (_guard, store) in testing::stores().await {
        let (_, project) = project(&store).await;
        let mut ids = Vec::new();
        for digest in ["a0", "b1", "c2"] {
            let (artifact, ..) = begin(&store, new(&project, "set", digest, &["prod"])).await;
            store.artifact_commit(&artifact.id, vec![file(digest, 1)], NOW).await.expect("committed");
            ids.push(artifact.id);
        }
        let collection = store.collection_by_name(&project, "set").await.expect("read").expect("there").id;
        let names: Vec<i64> =
            store.membership_list(&collection, None, 10).await.expect("list").iter().map(|m| m.version).collect();
        assert_eq!(names, [2, 1, 0]);
        assert_eq!(store.membership_list(&collection, Some(2), 1).await.expect("page")[0].version, 1);
        for (word, expected) in
            [("v0", Some(0)), ("latest", Some(2)), ("prod", Some(2)), ("b1", Some(1)), ("v9", None), ("nope", None)]
        {
            let found = store.membership_find(&collection, word).await.expect("found");
            assert_eq!(found.map(|m| m.version), expected, "{word} on {:?}", store.engine());
        }
        store.aliases_put(&ids[0], vec![(collection.clone(), "prod".into())]).await.expect("moved");
        assert_eq!(aliases(&store, &ids[2]).await, ["latest"]);
        let change = ArtifactChange {
            description: Some("new".into()),
            tags_add: vec!["t".into()],
            aliases: Some(vec!["one".into()]),
            ..ArtifactChange::default()
        };
        store.artifact_update(&ids[0], change, Time(2_000)).await.expect("changed");
        assert_eq!(aliases(&store, &ids[0]).await, ["one"]);
        assert_eq!(store.tags_of(&[&ids[0]]).await.expect("tags")[ids[0].as_str()], ["t"]);

        assert!(matches!(store.artifact_delete(&ids[2], false, NOW).await, Err(Error::Moved)), "it has aliases");
        store.artifact_delete(&ids[2], true, NOW).await.expect("deleted");
        let latest = store.membership_find(&collection, "latest").await.expect("read").expect("an heir");
        assert_eq!(latest.artifact.id, ids[1], "`latest` goes to the newest that is left");
        let stone = store.artifact_by_id(&ids[2]).await.expect("read").expect("a tombstone");
        assert_eq!(stone.state, State::Deleted);
        let (fresh, ..) = begin(&store, new(&project, "set", "c2", &[])).await;
        assert_ne!(fresh.id, ids[2], "deleted content can be logged again");
        let fresh = store.artifact_commit(&fresh.id, vec![], NOW).await.expect("committed");
        assert_eq!(fresh.version, Some(3), "numbers are never given twice");

        store.collection_delete(&collection, NOW).await.expect("deleted");
        assert!(store.collection_by_name(&project, "set").await.expect("read").is_none());
        let (reborn, ..) = begin(&store, new(&project, "set", "a0", &[])).await;
        let reborn = store.artifact_commit(&reborn.id, vec![], NOW).await.expect("committed");
        assert_eq!(reborn.version, Some(0), "the name is free again");
    }
}

#[tokio::test]
async fn many_files_are_paged_in_order_and_links_show_versions() {
    for (_guard, store) in testing::stores().await {
        let (_, project) = project(&store).await;
        let (artifact, ..) = begin(&store, new(&project, "big", "x1", &[])).await;
        let files: Vec<_> = (0..1_234).map(|i| file(&format!("f/{i:05}"), 1)).collect();
        let done = store.artifact_commit(&artifact.id, files, NOW).await.expect("committed");
        assert_eq!(done.file_count, 1_234);
        let page = store.artifact_file_list(&done.id, "f/00999", 1_000).await.expect("page");
        assert_eq!((page.len(), page[0].path.as_str()), (234, "f/01000"));
        assert!(store.artifact_file(&done.id, "f/00007").await.expect("read").is_some());

        let shown = store
            .artifact_link(&done, (&project, "port"), vec!["best".into()], NOW)
            .await
            .expect("stored")
            .expect("a portfolio");
        assert!(shown.collection.portfolio && shown.version == 0 && shown.artifact.id == done.id);
        let port = shown.collection.id.clone();
        let found = store.membership_find(&port, "best").await.expect("read").expect("shown");
        assert_eq!((found.collection.name.as_str(), found.artifact.collection.name.as_str()), ("port", "big"));
        let refused = store.artifact_link(&done, (&project, "big"), vec![], NOW).await.expect("an answer");
        assert!(refused.is_err(), "a sequence is no portfolio");
        assert_eq!(store.memberships_of(&done.id).await.expect("both").len(), 2);
        let names: Vec<_> = store
            .collection_list(&project, Some("dataset"), "", 9)
            .await
            .expect("list")
            .into_iter()
            .map(|c| c.name)
            .collect();
        assert_eq!(names, ["big", "port"]);
        assert_eq!(store.collection_count(&project, None).await.expect("count"), 2);
        assert!(store.artifact_unlink(&done.id, &port).await.expect("gone"));
        assert!(store.membership_find(&port, "best").await.expect("read").is_none());

        let run = store.lineage_artifacts("run-row", Relation::Output).await.expect("lineage");
        assert_eq!(run.len(), 1);
        store.lineage_put(&done.id, "other", Relation::Input, Some("data".into()), NOW).await.expect("used");
        store.lineage_put(&done.id, "other", Relation::Input, None, NOW).await.expect("used again");
        assert_eq!(store.lineage_runs(&done.id, Relation::Input).await.expect("runs"), ["other"]);
    }
}

#[tokio::test]
async fn content_is_stored_once_and_known_only_to_who_had_it() {
    for (_guard, store) in testing::stores().await {
        let (entity, project) = project(&store).await;
        let other = store.team_insert("other", NOW).await.expect("a team");
        let content = |blob: &str| StoredContent { blob: blob.into(), size_bytes: 3 };
        let kept = store.content_arrived(&entity, ("m", "s"), content("one"), NOW).await.expect("stored");
        assert_eq!(kept, "one");
        let ask = ["m".to_owned(), "n".to_owned()];
        assert_eq!(store.content_known(&entity, &ask).await.expect("read")["m"], content("one"));
        assert!(store.content_known(&other, &ask).await.expect("read").is_empty());
        let kept = store.content_arrived(&other, ("m", "s"), content("two"), NOW).await.expect("stored");
        assert_eq!(kept, "one", "the bytes are there");
        // The same MD5 with other bytes: each entity keeps its own.
        store.content_arrived(&other, ("m2", "forged"), content("three"), NOW).await.expect("stored");
        assert!(!store.content_known(&entity, &["m2".to_owned()]).await.expect("read").contains_key("m2"));
        let bytes = async |of: &EntityId| store.entity_bytes(of).await.expect("read");
        assert_eq!((bytes(&entity).await, bytes(&other).await), (3, 6), "each content once, whoever else has it");

        let (artifact, ..) = begin(&store, new(&project, "man", "y", &[])).await;
        let manifest = |digest: &str| Manifest {
            id: ManifestId::new(),
            artifact_id: artifact.id.clone(),
            name: "wandb_manifest.json".into(),
            kind: "FULL".into(),
            digest: digest.into(),
            blob: None,
            size_bytes: 0,
            created_at: NOW,
        };
        let (first, second) = (manifest(""), manifest("d"));
        store.manifest_create(first.clone(), None).await.expect("made");
        store.manifest_create(second.clone(), None).await.expect("made");
        store.manifest_arrived(&second.id, "d", "blob", 9).await.expect("noted");
        let current = store.artifact_by_id(&artifact.id).await.expect("read").expect("there").manifest_id;
        assert_eq!(current.as_ref(), Some(&second.id), "the second replaces the first");
        store.artifact_commit(&artifact.id, vec![], NOW).await.expect("committed");
        assert!(matches!(store.manifest_create(manifest("e"), None).await, Err(Error::Moved)));
        assert_eq!(store.artifact_pending_delete(Time(5_000)).await.expect("swept"), 0);
        let (_left, ..) = begin(&store, new(&project, "left", "z", &[])).await;
        assert_eq!(store.artifact_pending_delete(Time(5_000)).await.expect("swept"), 1);
    }
}

#[tokio::test]
async fn concurrent_commits_of_one_version_make_one_number() {
    for (_guard, store) in testing::stores().await {
        let (_, project) = project(&store).await;
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..40 {
            let (store, project) = (store.clone(), project.clone());
            tasks.spawn(async move {
                let digest = format!("digest-{}", i % 4);
                let (artifact, ..) = begin(&store, new(&project, "race", &digest, &[])).await;
                store.artifact_commit(&artifact.id, vec![file("f", 1)], NOW).await.expect("committed").version
            });
        }
        let mut versions = tasks.join_all().await;
        versions.sort();
        versions.dedup();
        assert_eq!(versions, [Some(0), Some(1), Some(2), Some(3)], "on {:?}", store.engine());
    }
}
