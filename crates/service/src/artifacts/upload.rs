//! From the announcement of a version to its commit.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use lanza_model::{code, id::ManifestId, job};
use lanza_store::artifacts::{
    Artifact, ArtifactCreation, FileEntry, Manifest, NewArtifact, Relation, State, StoredContent,
};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{check_collection, check_metadata, check_tags, check_type, manifest, sort_aliases};
use crate::{Actor, Error, Result, Service, links::Claim};

/// What a client says about a new version.
#[derive(Debug, Clone, Default)]
pub struct ArtifactRequest {
    /// Entity.
    pub entity: String,
    /// Project; made when it is new.
    pub project: String,
    /// Id (wire `Run.name`) of the run that logs it.
    pub run: Option<String>,
    /// Type; made when it is new.
    pub type_name: String,
    /// Collection; made when it is new.
    pub collection: String,
    /// Digest of the content, hexadecimal.
    pub digest: String,
    /// `MANIFEST_MD5` or `MANIFEST_XXH128`.
    pub digest_algorithm: String,
    /// Aliases to get with the commit.
    pub aliases: Vec<String>,
    /// Description.
    pub description: Option<String>,
    /// Metadata, JSON.
    pub metadata: Option<String>,
    /// History step of the run.
    pub history_step: Option<i64>,
    /// Time to live in seconds.
    pub ttl_seconds: Option<i64>,
    /// Tags.
    pub tags: Vec<String>,
    /// The client's own id of the version.
    pub client_id: Option<String>,
    /// The client's own id of the collection.
    pub sequence_client_id: Option<String>,
    /// Whether equal content makes a version of its own.
    pub always_new: bool,
    /// Whether the run became this job, rather than logging it.
    pub made_of_run: bool,
}

/// A version that has been begun, or found.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The version.
    pub artifact: Artifact,
    /// The newest committed version of the collection before this.
    pub latest: Option<Artifact>,
}

/// What a client says about a manifest.
#[derive(Debug, Clone, Default)]
pub struct ManifestRequest {
    /// Version.
    pub artifact: String,
    /// File name.
    pub name: String,
    /// `FULL`, `PATCH` or `INCREMENTAL`.
    pub kind: String,
    /// MD5 in base64; empty while it is not known.
    pub digest: String,
    /// Version that it builds on.
    pub base: Option<String>,
}

/// A manifest and the link to upload it by.
#[derive(Debug, Clone)]
pub struct ManifestSlot {
    /// Id.
    pub id: ManifestId,
    /// Path of the link.
    pub link: String,
}

/// What a client says about a file to upload.
#[derive(Debug, Clone)]
pub struct FileSpec {
    /// Version.
    pub artifact: String,
    /// Path inside the artifact.
    pub path: String,
    /// MD5 in base64.
    pub md5: String,
    /// Media type.
    pub media_type: Option<String>,
}

/// Where a file goes.
#[derive(Debug, Clone)]
pub struct FileSlot {
    /// What was asked for.
    pub spec: FileSpec,
    /// Where it is stored, as clients see it.
    pub storage_path: String,
    /// Path of the link to upload it by; none when the bytes are there.
    pub link: Option<String>,
}

/// Bytes that have arrived whole.
struct Received {
    blob: String,
    size_bytes: i64,
    md5: String,
}

impl Service {
    /// Begins a version in a collection, or finds the one with the same content.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bad names, and when the collection has another type; [`Error::NotFound`] and
    /// [`Error::Forbidden`] for the project.
    pub async fn artifact_create(&self, actor: &Actor, request: ArtifactRequest) -> Result<Begun> {
        check_collection(&request.collection)?;
        check_type(&request.type_name)?;
        check_tags(&request.tags)?;
        check_metadata(request.metadata.as_ref())?;
        if request.digest.is_empty()
            || request.digest.len() > 128
            || !request.digest.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(Error::invalid("digest", "is not a digest"));
        }
        for id in [&request.client_id, &request.sequence_client_id].into_iter().flatten() {
            if id.is_empty() || id.len() > 256 {
                return Err(Error::invalid("clientID", "has 1 to 256 bytes"));
            }
        }
        let (mut aliases, version_like) = sort_aliases(request.aliases)?;
        aliases.dedup();
        let mut tags = request.tags;
        if request.type_name == job::ARTIFACT_TYPE {
            // The tag of an image would be lost otherwise.
            tags.extend(version_like);
        }
        let project = self.artifact_project_ensure(actor, &request.entity, &request.project).await?;
        let run = match &request.run {
            Some(name) => self.artifact_run_id(&project, name).await?,
            None => None,
        };
        let mut metadata = request.metadata;
        if request.type_name == job::ARTIFACT_TYPE
            && let Some(text) = &metadata
        {
            metadata = Some(self.job_metadata_kept(&project, (&request.collection, &request.digest), text).await?);
        }
        let new = NewArtifact {
            project_id: project,
            type_name: request.type_name,
            collection: request.collection.clone(),
            digest: request.digest,
            digest_algorithm: request.digest_algorithm,
            aliases,
            description: request.description,
            metadata,
            history_step: request.history_step,
            ttl_seconds: request.ttl_seconds,
            tags,
            client_id: request.client_id,
            sequence_client_id: request.sequence_client_id,
            deduplicate: !request.always_new,
            run,
            relation: if request.made_of_run { Relation::Job } else { Relation::Output },
            author: (actor.user_id.to_string(), actor.username.clone()),
        };
        let type_name = new.type_name.clone();
        match self.store.artifact_create(new, self.now()).await? {
            ArtifactCreation::Done { artifact, latest, .. } => {
                Ok(Begun { artifact: *artifact, latest: latest.map(|l| *l) })
            }
            ArtifactCreation::OtherType(found) => Err(Error::invalid(
                "artifactTypeName",
                format!("is `{type_name}`, and the artifact `{}` has the type `{found}`", request.collection),
            )),
            ArtifactCreation::Portfolio => Err(Error::invalid(
                "artifactCollectionName",
                format!("`{}` is a portfolio, which holds links only", request.collection),
            )),
        }
    }

    /// Adds a manifest to a pending version; a second one replaces the first.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the version is committed; [`code::NOT_BUILT`] for incremental manifests.
    pub async fn manifest_create(&self, actor: &Actor, request: ManifestRequest) -> Result<ManifestSlot> {
        let artifact = self.artifact_pending(actor, &request.artifact).await?;
        if request.kind != "FULL" {
            return Err(Error::Invalid {
                field: "type".into(),
                why: format!("`{}` manifests are not built in this server yet", request.kind),
                code: code::NOT_BUILT,
            });
        }
        if !request.digest.is_empty() {
            manifest::md5_hex(&request.digest)?;
        }
        let new = Manifest {
            id: ManifestId::new(),
            artifact_id: artifact.id.clone(),
            name: request.name,
            kind: request.kind,
            digest: request.digest,
            blob: None,
            size_bytes: 0,
            created_at: self.now(),
        };
        let slot = self.manifest_slot(&new);
        self.store.manifest_create(new, request.base).await?;
        Ok(slot)
    }

    /// Announces another digest for a manifest.
    ///
    /// # Errors
    /// [`Error::NotFound`], and [`Error::Conflict`] when the version is committed.
    pub async fn manifest_update(&self, actor: &Actor, id: &str, digest: Option<&str>) -> Result<ManifestSlot> {
        let missing = || Error::not_found("artifact manifest", id);
        let parsed: ManifestId = id.parse().map_err(|_| missing())?;
        let mut found = self.store.manifest_by_id(&parsed).await?.ok_or_else(missing)?;
        self.artifact_pending(actor, found.artifact_id.as_str()).await?;
        if let Some(digest) = digest {
            manifest::md5_hex(digest)?;
            self.store.manifest_set_digest(&found.id, digest).await?;
            digest.clone_into(&mut found.digest);
        }
        Ok(self.manifest_slot(&found))
    }

    fn manifest_slot(&self, manifest: &Manifest) -> ManifestSlot {
        let link = self.link(Claim::ManifestPut {
            artifact: manifest.artifact_id.to_string(),
            manifest: manifest.id.to_string(),
            md5: manifest.digest.clone(),
        });
        ManifestSlot { id: manifest.id.clone(), link }
    }

    /// Says for each file, in the same order, where to upload it, or that its bytes are there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a hostile path or a digest that is none; [`Error::Conflict`] when a version is committed.
    pub async fn artifact_files_create(&self, actor: &Actor, specs: Vec<FileSpec>) -> Result<Vec<FileSlot>> {
        let mut artifacts: HashMap<String, Artifact> = HashMap::new();
        let mut hexes = Vec::with_capacity(specs.len());
        for spec in &specs {
            manifest::check_path(&spec.path)?;
            hexes.push(manifest::md5_hex(&spec.md5)?);
            if !artifacts.contains_key(&spec.artifact) {
                artifacts.insert(spec.artifact.clone(), self.artifact_pending(actor, &spec.artifact).await?);
            }
        }
        let mut known = HashMap::new();
        for artifact in artifacts.values() {
            let entity = &artifact.collection.entity_id;
            known.insert(artifact.id.to_string(), self.store.content_known(entity, &hexes).await?);
        }
        Ok(specs
            .into_iter()
            .zip(hexes)
            .map(|(spec, hex)| {
                let there = known[&spec.artifact].contains_key(&hex);
                let link = (!there).then(|| {
                    self.link(Claim::ArtifactFilePut {
                        artifact: spec.artifact.clone(),
                        name: spec.path.clone(),
                        md5: spec.md5.clone(),
                    })
                });
                FileSlot { storage_path: format!("wandb_artifacts/{hex}"), spec, link }
            })
            .collect())
    }

    /// Receives a file of a pending version, for the bearer of its link. Nothing is kept unless all of it arrived and its
    /// MD5 is the announced one.
    ///
    /// # Errors
    /// [`code::UPLOAD_TRUNCATED`], [`code::DIGEST_MISMATCH`]; [`Error::NotFound`] when the version is gone.
    pub async fn artifact_file_put<S, E>(&self, artifact: &str, md5: &str, length: Option<u64>, body: S) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        E: std::fmt::Display,
    {
        let artifact = self.artifact_of_link(artifact).await?;
        self.receive(&artifact, Some(md5), (length, u64::MAX), body).await?;
        Ok(())
    }

    /// Receives the manifest of a pending version, for the bearer of its link.
    ///
    /// # Errors
    /// As [`Service::artifact_file_put`]; [`Error::TooLarge`].
    pub async fn manifest_put<S, E>(
        &self,
        (artifact, id): (&str, &str),
        md5: &str,
        length: Option<u64>,
        body: S,
    ) -> Result<()>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        E: std::fmt::Display,
    {
        let artifact = self.artifact_of_link(artifact).await?;
        let missing = || Error::not_found("artifact manifest", id);
        let parsed: ManifestId = id.parse().map_err(|_| missing())?;
        self.store.manifest_by_id(&parsed).await?.filter(|m| m.artifact_id == artifact.id).ok_or_else(missing)?;
        let announced = (!md5.is_empty()).then_some(md5);
        let got = self.receive(&artifact, announced, (length, manifest::MANIFEST_LIMIT), body).await?;
        Ok(self.store.manifest_arrived(&parsed, &got.md5, &got.blob, got.size_bytes).await?)
    }

    /// A link is good without a key, but not for a version that is committed or gone.
    async fn artifact_of_link(&self, id: &str) -> Result<Artifact> {
        let missing = || Error::not_found("artifact", id);
        let artifact = self.store.artifact_by_id(&id.parse().map_err(|_| missing())?).await?.ok_or_else(missing)?;
        if artifact.state == State::Pending { Ok(artifact) } else { Err(not_pending(&artifact)) }
    }

    async fn receive<S, E>(
        &self,
        artifact: &Artifact,
        announced: Option<&str>,
        (length, limit): (Option<u64>, u64),
        body: S,
    ) -> Result<Received>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + Unpin,
        E: std::fmt::Display,
    {
        let announced = announced.map(manifest::md5_hex).transpose()?;
        let too_large = || Error::TooLarge { what: "the file".into(), limit: format!("{} MiB", limit >> 20) };
        if length.is_some_and(|l| l > limit) {
            return Err(too_large());
        }
        let truncated = |got: u64| Error::Invalid {
            field: "body".into(),
            why: match length {
                Some(length) => format!("ended after {got} of {length} bytes"),
                None => format!("broke off after {got} bytes"),
            },
            code: code::UPLOAD_TRUNCATED,
        };
        let name = format!("content/{}", uuid_name());
        let seen = parking_lot::Mutex::new((Md5::new(), Sha256::new(), 0u64));
        let counted = body.map(|part| match part {
            Ok(bytes) if seen.lock().2 + bytes.len() as u64 > limit => Err(too_large()),
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(truncated(seen.lock().2)),
        });
        let check = || {
            let state = seen.lock();
            if length.is_some_and(|l| l != state.2) {
                return Err(truncated(state.2));
            }
            let got = manifest::hex(&state.0.clone().finalize());
            match &announced {
                Some(md5) if *md5 != got => Err(Error::Invalid {
                    field: "body".into(),
                    why: format!("has the MD5 {got}, and {md5} was announced"),
                    code: code::DIGEST_MISMATCH,
                }),
                _ => Ok(()),
            }
        };
        let update = |bytes: &[u8]| {
            let mut state = seen.lock();
            state.0.update(bytes);
            state.1.update(bytes);
            state.2 += bytes.len() as u64;
        };
        self.store.blobs().put_stream::<Error>(&name, Box::pin(counted), update, check).await?;
        let (md5, sha256, size) = seen.into_inner();
        let md5 = md5.finalize();
        let digests = (manifest::hex(&md5), manifest::hex(&sha256.finalize()));
        let content = StoredContent { blob: name.clone(), size_bytes: size as i64 };
        let entity = &artifact.collection.entity_id;
        let kept = self.store.content_arrived(entity, (&digests.0, &digests.1), content, self.now()).await;
        if !matches!(&kept, Ok(kept) if *kept == name) {
            // The same content is stored under another name, or the row was refused. A blob without a row is only waste,
            // so a failure here fails nothing.
            if let Err(e) = self.store.blobs().delete(&name).await {
                tracing::warn!(error = ?e, "cannot delete the spare blob {name}");
            }
        }
        Ok(Received { blob: kept?, size_bytes: size as i64, md5: STANDARD.encode(md5) })
    }

    /// Commits a version: it gets its number, its aliases and `latest`, and is visible from then on. Again is fine. A job
    /// that says what a version of it says, in whatever words, is that version: its id leads there from then on.
    ///
    /// # Errors
    /// [`code::ARTIFACT_INCOMPLETE`] naming the file whose bytes are not there; [`Error::Invalid`] for a manifest that
    /// cannot be read or has hostile paths.
    pub async fn artifact_commit(&self, actor: &Actor, id: &str) -> Result<Artifact> {
        let artifact = self.artifact_writable(actor, id).await?;
        if artifact.state == State::Committed {
            return Ok(artifact);
        }
        let incomplete = |message: String| Error::Conflict { message, code: code::ARTIFACT_INCOMPLETE };
        let name = &artifact.collection.name;
        let manifest = match &artifact.manifest_id {
            Some(id) => self.store.manifest_by_id(id).await?,
            None => None,
        };
        let blob = manifest.and_then(|m| m.blob);
        let blob = blob.ok_or_else(|| incomplete(format!("the manifest of `{name}` has not been uploaded")))?;
        let bytes = self.store.blobs().get(&blob).await?;
        let bytes = bytes.ok_or_else(|| incomplete(format!("the manifest of `{name}` is gone")))?;
        let entries = manifest::parse(&bytes)?;
        let files = self.commit_files(&artifact, entries).await?;
        if let Some(equal) = self.job_said_before(&artifact, &files).await? {
            let metadata = match &artifact.metadata {
                Some(text) => {
                    let of = &artifact.collection;
                    Some(self.job_metadata_kept(&of.project_id, (&of.name, &equal.digest), text).await?)
                }
                None => None,
            };
            match self.store.artifact_merge(&artifact.id, &equal.id, metadata, self.now()).await {
                // It was deleted in this moment.
                Err(lanza_store::Error::Moved) => {}
                merged => return Ok(merged?),
            }
        }
        Ok(self.store.artifact_commit(&artifact.id, files, self.now()).await?)
    }

    async fn commit_files(&self, artifact: &Artifact, entries: Vec<manifest::Entry>) -> Result<Vec<FileEntry>> {
        let own: Vec<String> = entries
            .iter()
            .filter(|e| e.reference.is_none())
            .map(|e| manifest::md5_hex(&e.digest))
            .collect::<Result<_>>()?;
        let known = self.store.content_known(&artifact.collection.entity_id, &own).await?;
        entries
            .into_iter()
            .map(|entry| {
                let (blob, size_bytes) = if entry.reference.is_some() {
                    (None, entry.size_bytes)
                } else {
                    let found = known.get(&manifest::md5_hex(&entry.digest)?).ok_or_else(|| Error::Conflict {
                        message: format!(
                            "the file `{}` of `{}` has not been uploaded",
                            entry.path, artifact.collection.name
                        ),
                        code: code::ARTIFACT_INCOMPLETE,
                    })?;
                    (Some(found.blob.clone()), found.size_bytes)
                };
                Ok(FileEntry {
                    path: entry.path,
                    digest: entry.digest,
                    size_bytes,
                    reference: entry.reference,
                    birth_artifact_id: entry.birth_artifact_id,
                    blob,
                })
            })
            .collect()
    }

    async fn artifact_pending(&self, actor: &Actor, id: &str) -> Result<Artifact> {
        let artifact = self.artifact_writable(actor, id).await?;
        if artifact.state == State::Pending { Ok(artifact) } else { Err(not_pending(&artifact)) }
    }

    /// Stores small files as a committed version, as a client would upload them. For versions that the server itself
    /// makes.
    pub(crate) async fn artifact_write(
        &self,
        actor: &Actor,
        mut request: ArtifactRequest,
        files: Vec<(String, Bytes)>,
    ) -> Result<Artifact> {
        let digest_of = |bytes: &[u8]| STANDARD.encode(Md5::digest(bytes));
        let mut lines: Vec<(String, String)> = files.iter().map(|(p, b)| (p.clone(), digest_of(b))).collect();
        lines.sort();
        let mut digest = Md5::new();
        digest.update(b"wandb-artifact-manifest-v1\n");
        for (path, md5) in &lines {
            digest.update(format!("{path}:{md5}\n"));
        }
        request.digest = manifest::hex(&digest.finalize());
        request.digest_algorithm = "MANIFEST_MD5".into();
        let begun = self.artifact_create(actor, request).await?;
        if begun.artifact.state == State::Committed {
            return Ok(begun.artifact);
        }
        let id = begun.artifact.id.to_string();
        let whole = |bytes: Bytes| futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
        let mut contents = serde_json::Map::new();
        for (path, bytes) in files {
            let md5 = digest_of(&bytes);
            contents.insert(path, serde_json::json!({ "digest": md5, "size": bytes.len(), "birthArtifactID": id }));
            self.artifact_file_put(&id, &md5, Some(bytes.len() as u64), whole(bytes)).await?;
        }
        let text = Bytes::from(
            serde_json::json!({
                "version": 1,
                "storagePolicy": "wandb-storage-policy-v1",
                "storagePolicyConfig": { "storageLayout": "V2" },
                "contents": contents,
            })
            .to_string(),
        );
        let slot = self
            .manifest_create(
                actor,
                ManifestRequest {
                    artifact: id.clone(),
                    name: "wandb_manifest.json".into(),
                    kind: "FULL".into(),
                    digest: digest_of(&text),
                    base: None,
                },
            )
            .await?;
        let length = Some(text.len() as u64);
        self.manifest_put((&id, slot.id.as_str()), &digest_of(&text), length, whole(text)).await?;
        self.artifact_commit(actor, &id).await
    }
}

fn not_pending(artifact: &Artifact) -> Error {
    Error::conflict(format!("`{}` is {} already", artifact.version_name(), artifact.state.as_str()))
}

/// A fresh name whose first letters spread over folders.
fn uuid_name() -> String {
    let id = lanza_model::id::ArtifactId::new().to_string();
    // The end of a time-ordered id is its random part.
    format!("{}/{id}", &id[30..])
}
