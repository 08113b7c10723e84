//! The code of a job, file by file: only what the server does not have yet is uploaded.

use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use lanza_api::job::CodeFile;
use lanza_store::artifacts::{Artifact, State};
use md5::{Digest, Md5};
use serde_json::{Map, json};

use crate::{
    Actor, Error, Result, Service,
    artifacts::{ArtifactRequest, FileSlot, FileSpec, ManifestRequest},
};

/// Type of artifacts that hold code.
pub(super) const CODE_TYPE: &str = "code";
/// Files of one job at most.
const FILES: usize = 50_000;

/// Code that has been announced, or was there.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The version, pending or committed.
    pub artifact: Artifact,
    /// Files whose bytes are wanted, each with its link.
    pub wanted: Vec<FileSlot>,
}

impl Service {
    /// Announces the code of a job. Equal content is the version that is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no files, a hostile path or one that is named twice; [`Error::NotFound`] and
    /// [`Error::Forbidden`] for the project.
    pub async fn code_begin(
        &self,
        actor: &Actor,
        (entity, project): (&str, &str),
        name: &str,
        mut files: Vec<CodeFile>,
    ) -> Result<Begun> {
        if files.is_empty() {
            return Err(Error::invalid("files", "is empty: there is no code"));
        }
        if files.len() > FILES {
            return Err(Error::TooLarge { what: "the list of files".into(), limit: format!("{FILES} files") });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut seen = HashSet::new();
        if let Some(twice) = files.iter().find(|f| !seen.insert(f.path.as_str())) {
            return Err(Error::invalid("files", format!("names `{}` twice", twice.path)));
        }
        let mut digest = Md5::new();
        digest.update(b"wandb-artifact-manifest-v1\n");
        for file in &files {
            digest.update(format!("{}:{}\n", file.path, file.md5));
        }
        let request = ArtifactRequest {
            entity: entity.to_owned(),
            project: project.to_owned(),
            type_name: CODE_TYPE.to_owned(),
            collection: name.to_owned(),
            digest: hex(&digest.finalize()),
            digest_algorithm: "MANIFEST_MD5".to_owned(),
            description: Some("Code of a job".to_owned()),
            ..ArtifactRequest::default()
        };
        let artifact = self.artifact_create(actor, request).await?.artifact;
        if artifact.state == State::Committed {
            return Ok(Begun { artifact, wanted: Vec::new() });
        }
        let id = artifact.id.to_string();
        let spec = |f: &CodeFile| FileSpec {
            artifact: id.clone(),
            path: f.path.clone(),
            md5: f.md5.clone(),
            media_type: None,
        };
        let mut sent = HashSet::new();
        let slots = self.artifact_files_create(actor, files.iter().map(spec).collect()).await?;
        // Two files with the same content need one upload.
        let wanted = slots.into_iter().filter(|s| s.link.is_some() && sent.insert(s.spec.md5.clone())).collect();
        self.code_manifest(actor, &id, &files).await?;
        Ok(Begun { artifact, wanted })
    }

    async fn code_manifest(&self, actor: &Actor, id: &str, files: &[CodeFile]) -> Result<()> {
        let mut contents = Map::new();
        for file in files {
            let entry = json!({ "digest": file.md5, "size": file.size_bytes, "birthArtifactID": id });
            contents.insert(file.path.clone(), entry);
        }
        let manifest = json!({
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": { "storageLayout": "V2" },
            "contents": contents,
        });
        let text = Bytes::from(manifest.to_string());
        let md5 = STANDARD.encode(Md5::digest(&text));
        let request = ManifestRequest {
            artifact: id.to_owned(),
            name: "wandb_manifest.json".into(),
            kind: "FULL".into(),
            digest: md5.clone(),
            base: None,
        };
        let slot = self.manifest_create(actor, request).await?;
        let length = Some(text.len() as u64);
        let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(text)]);
        self.manifest_put((id, slot.id.as_str()), &md5, length, body).await
    }

    /// Commits the code of a job once its files are there. Again is fine.
    ///
    /// # Errors
    /// [`Error::Conflict`] naming a file whose bytes are missing; [`Error::NotFound`], also for artifacts that are no code.
    pub async fn code_commit(&self, actor: &Actor, id: &str) -> Result<Artifact> {
        let artifact = self.artifact_writable(actor, id).await?;
        if artifact.collection.type_name != CODE_TYPE {
            return Err(Error::not_found("code", id));
        }
        self.artifact_commit(actor, id).await
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
