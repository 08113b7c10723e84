CREATE TABLE artifact_types (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

-- A sequence makes versions; a portfolio holds links to versions of sequences.
CREATE TABLE artifact_collections (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    type_id TEXT NOT NULL REFERENCES artifact_types (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- The name while the collection lives; unlike any name after its deletion, so that the name is free again.
    name_key TEXT NOT NULL,
    portfolio SMALLINT NOT NULL,
    deleted SMALLINT NOT NULL,
    description TEXT,
    next_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (project_id, name_key)
);
CREATE INDEX artifact_collections_type ON artifact_collections (type_id, name);

-- Run and author have no reference: an artifact outlives both.
CREATE TABLE artifacts (
    id TEXT NOT NULL PRIMARY KEY,
    collection_id TEXT NOT NULL REFERENCES artifact_collections (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    digest_algorithm TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT,
    description TEXT,
    metadata TEXT,
    history_step BIGINT,
    ttl_seconds BIGINT,
    size_bytes BIGINT NOT NULL,
    file_count BIGINT NOT NULL,
    pending_aliases TEXT NOT NULL,
    manifest_id TEXT,
    run_id TEXT,
    author_id TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX artifacts_digest ON artifacts (collection_id, digest);
CREATE UNIQUE INDEX artifacts_version ON artifacts (collection_id, version);
CREATE INDEX artifacts_pending ON artifacts (state, created_at);

-- Which versions a collection shows: its own committed ones, or a portfolio's links.
CREATE TABLE artifact_members (
    collection_id TEXT NOT NULL REFERENCES artifact_collections (id) ON DELETE CASCADE,
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (collection_id, artifact_id)
);
CREATE UNIQUE INDEX artifact_members_version ON artifact_members (collection_id, version);
CREATE INDEX artifact_members_artifact ON artifact_members (artifact_id);

CREATE TABLE artifact_aliases (
    collection_id TEXT NOT NULL REFERENCES artifact_collections (id) ON DELETE CASCADE,
    alias TEXT NOT NULL,
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    PRIMARY KEY (collection_id, alias)
);
CREATE INDEX artifact_aliases_artifact ON artifact_aliases (artifact_id);

CREATE TABLE artifact_tags (
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (artifact_id, tag)
);

CREATE TABLE collection_tags (
    collection_id TEXT NOT NULL REFERENCES artifact_collections (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (collection_id, tag)
);

CREATE TABLE artifact_manifests (
    id TEXT NOT NULL PRIMARY KEY,
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    -- Base64 of the MD5 that was announced; empty while it is not known.
    digest TEXT NOT NULL,
    base_artifact_id TEXT,
    -- Name of the blob, once the content has arrived.
    blob TEXT,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX artifact_manifests_artifact ON artifact_manifests (artifact_id);

-- The entries of the committed manifest.
CREATE TABLE artifact_files (
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    reference TEXT,
    birth_artifact_id TEXT,
    -- Name of the blob; null for a reference.
    blob TEXT,
    PRIMARY KEY (artifact_id, path)
);

-- Ids that clients choose before they know ours.
CREATE TABLE artifact_client_ids (
    client_id TEXT NOT NULL PRIMARY KEY,
    artifact_id TEXT REFERENCES artifacts (id) ON DELETE CASCADE,
    collection_id TEXT REFERENCES artifact_collections (id) ON DELETE CASCADE
);
CREATE INDEX artifact_client_ids_artifact ON artifact_client_ids (artifact_id);
CREATE INDEX artifact_client_ids_collection ON artifact_client_ids (collection_id);

-- Lineage: `output` of a run, `input` of a run, or the `job` that the server made of a run.
CREATE TABLE artifact_runs (
    artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    relation TEXT NOT NULL,
    used_as TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (artifact_id, run_id, relation)
);
CREATE INDEX artifact_runs_run ON artifact_runs (run_id, relation);

-- Stored content, once per instance, by its SHA-256.
CREATE TABLE blobs (
    sha256 TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Clients name content by its MD5 and are spared an upload of what is there. An MD5 can be known without the content and
-- can be forged, so it counts only for the entity that once uploaded the bytes.
CREATE TABLE entity_blobs (
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    md5 TEXT NOT NULL,
    blob TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (entity_id, md5)
);
