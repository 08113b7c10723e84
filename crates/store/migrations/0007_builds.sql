-- Who builds what, so that agents that share its place build it once. A row that has `built_at` says that it is there.
CREATE TABLE builds (
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    -- A registry's repository, a Docker engine or an agent.
    place TEXT NOT NULL,
    digest TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    item_id TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    -- The end of the lease, or of the memory that it was built.
    expires_at BIGINT NOT NULL,
    built_at BIGINT,
    PRIMARY KEY (entity_id, place, digest)
);
CREATE INDEX builds_item ON builds (item_id);
CREATE INDEX builds_expired ON builds (expires_at);

-- Who waits for a build of somebody else.
CREATE TABLE build_waits (
    item_id TEXT NOT NULL PRIMARY KEY REFERENCES items (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    place TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- The agent asks again before; one that is gone does not wait any more.
    expires_at BIGINT NOT NULL
);
CREATE INDEX build_waits_expired ON build_waits (expires_at);
