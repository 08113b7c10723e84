//! Our artifacts as the client's objects.

use lanza_service::{Result, Service};
use lanza_store::artifacts::{Artifact, ArtifactType, Collection, Membership, State};
use serde_json::{Value, json};

use crate::wandb::{projects, runs::wire_time};

/// What the client takes for "no time to live, as inherited".
const NO_TTL: i64 = -2;

pub(super) fn project(collection: &Collection) -> Value {
    let mut project = projects::named(&collection.entity, &collection.project, collection.project_id.as_str());
    project["internalId"] = json!(collection.project_number.to_string());
    project
}

pub(super) fn artifact_type(found: &ArtifactType) -> Value {
    json!({
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "createdAt": wire_time(found.created_at),
        "_project": found.project_id,
    })
}

fn type_of(collection: &Collection) -> Value {
    json!({
        "id": collection.type_id,
        "name": collection.type_name,
        "description": null,
        "createdAt": wire_time(collection.created_at),
        "_project": collection.project_id,
    })
}

pub(super) fn collection(found: &Collection) -> Value {
    json!({
        "__typename": if found.portfolio { "ArtifactPortfolio" } else { "ArtifactSequence" },
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "state": if found.deleted { "DELETED" } else { "READY" },
        "createdAt": wire_time(found.created_at),
        "updatedAt": wire_time(found.updated_at),
        "project": project(found),
        "defaultArtifactType": type_of(found),
        "digestAlgorithm": null,
    })
}

pub(super) fn alias(collection: &Collection, alias: &str) -> Value {
    json!({
        "__typename": "ArtifactAlias",
        "id": format!("{}-{alias}", collection.id),
        "alias": alias,
        "artifactCollection": self::collection(collection),
    })
}

pub(super) fn tags(tags: &[String]) -> Vec<Value> {
    tags.iter().map(|tag| json!({ "__typename": "Tag", "id": tag, "name": tag, "tagCategoryName": null })).collect()
}

/// What belongs to versions, to render them with.
pub(super) struct Extras(lanza_service::artifacts::Extras);

impl Extras {
    pub(super) async fn of(service: &Service, artifacts: &[&Artifact]) -> Result<Self> {
        Ok(Self(service.artifact_extras(artifacts).await?))
    }

    /// Aliases of a version in one collection, `vN` among them, as clients count on.
    fn aliases_in(&self, artifact: &Artifact, collection: &Collection, version: Option<i64>) -> Vec<Value> {
        let own = self.0.aliases.get(artifact.id.as_str()).into_iter().flatten();
        own.filter(|(id, _)| *id == collection.id)
            .map(|(_, name)| alias(collection, name))
            .chain(version.map(|n| alias(collection, &format!("v{n}"))))
            .collect()
    }

    pub(super) fn artifact(&self, artifact: &Artifact) -> Value {
        let mut aliases = self.aliases_in(artifact, &artifact.collection, artifact.version);
        for (id, name) in self.0.aliases.get(artifact.id.as_str()).into_iter().flatten() {
            aliases.extend(self.0.portfolios.get(id.as_str()).map(|c| alias(c, name)));
        }
        let state = match artifact.state {
            State::Pending => "PENDING",
            State::Committed => "COMMITTED",
            State::Deleted => "DELETED",
        };
        json!({
            "__typename": "Artifact",
            "id": artifact.id,
            "artifactSequence": collection(&artifact.collection),
            "artifactType": type_of(&artifact.collection),
            "versionIndex": artifact.version,
            "description": artifact.description,
            "metadata": artifact.metadata,
            "ttlDurationSeconds": artifact.ttl_seconds.unwrap_or(NO_TTL),
            "ttlIsInherited": artifact.ttl_seconds.is_none_or(|s| s == -1),
            "tags": tags(self.0.tags.get(artifact.id.as_str()).map_or(&[], Vec::as_slice)),
            "historyStep": artifact.history_step,
            "state": state,
            "size": artifact.size_bytes,
            "digest": artifact.digest,
            "digestAlgorithm": artifact.digest_algorithm,
            "commitHash": artifact.version.map(|_| &artifact.id.as_str()[12..]),
            "fileCount": artifact.file_count,
            "createdAt": wire_time(artifact.created_at),
            "updatedAt": wire_time(artifact.updated_at),
            "aliases": aliases,
        })
    }

    pub(super) fn membership(&self, membership: &Membership) -> Value {
        let (collection, artifact) = (&membership.collection, &membership.artifact);
        json!({
            "__typename": "ArtifactCollectionMembership",
            "id": format!("{}-{}", collection.id, artifact.id),
            "versionIndex": membership.version,
            "createdAt": wire_time(membership.created_at),
            "aliases": self.aliases_in(artifact, collection, Some(membership.version)),
            "artifactCollection": self::collection(collection),
            "artifact": self.artifact(artifact),
        })
    }
}

pub(super) async fn artifact(service: &Service, artifact: &Artifact) -> Result<Value> {
    Ok(Extras::of(service, &[artifact]).await?.artifact(artifact))
}

pub(super) async fn artifacts(service: &Service, artifacts: &[Artifact]) -> Result<Vec<Value>> {
    let all: Vec<_> = artifacts.iter().collect();
    let extras = Extras::of(service, &all).await?;
    Ok(artifacts.iter().map(|a| extras.artifact(a)).collect())
}

pub(super) async fn membership(service: &Service, membership: &Membership) -> Result<Value> {
    Ok(Extras::of(service, &[&membership.artifact]).await?.membership(membership))
}

/// A Relay connection: `total` is left out where the schema has none.
pub(super) fn connection(nodes: Vec<(Value, String)>, more: bool, total: Option<i64>) -> Value {
    let end = nodes.last().map(|(_, cursor)| cursor.clone());
    let edges: Vec<_> = nodes.into_iter().map(|(node, cursor)| json!({ "node": node, "cursor": cursor })).collect();
    json!({
        "edges": edges,
        "pageInfo": { "__typename": "PageInfo", "endCursor": end, "hasNextPage": more },
        "totalCount": total.unwrap_or_default(),
    })
}
