CREATE TABLE queues (
    id TEXT NOT NULL PRIMARY KEY,
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Null: each item names its own target.
    target TEXT,
    config TEXT NOT NULL,
    templates TEXT NOT NULL,
    prioritised SMALLINT NOT NULL,
    external_links TEXT NOT NULL,
    policy TEXT NOT NULL,
    paused SMALLINT NOT NULL,
    access TEXT NOT NULL,
    resource_config_id TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (entity_id, name)
);

-- What the wandb client makes before it makes a queue.
CREATE TABLE resource_configs (
    id TEXT NOT NULL PRIMARY KEY,
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    config TEXT NOT NULL,
    templates TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    -- Also the id of a stock agent's own run.
    name TEXT NOT NULL,
    -- Random text of the agent's state folder; a stock agent has its own id here.
    state_key TEXT NOT NULL,
    stock SMALLINT NOT NULL,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    targets TEXT NOT NULL,
    slots BIGINT,
    settings TEXT NOT NULL,
    -- polling running draining killed; silence is derived from last_seen.
    status TEXT NOT NULL,
    -- none drain stop: what somebody wants of it.
    command TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    UNIQUE (entity_id, state_key)
);

CREATE TABLE agent_queues (
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    queue_id TEXT NOT NULL REFERENCES queues (id) ON DELETE CASCADE,
    PRIMARY KEY (agent_id, queue_id)
);
CREATE INDEX agent_queues_queue ON agent_queues (queue_id);

CREATE TABLE items (
    id TEXT NOT NULL PRIMARY KEY,
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    queue_id TEXT NOT NULL,
    queue_name TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    phase TEXT,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    -- Attempts that were lost before their workload could have run; they are repeated without a policy.
    losses BIGINT NOT NULL,
    next_retry_at BIGINT,
    agent_id TEXT,
    stock SMALLINT NOT NULL,
    priority SMALLINT NOT NULL,
    author_id TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    leased_at BIGINT,
    lease_expires_at BIGINT,
    acknowledged_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    unreachable_since BIGINT,
    stop_requested_at BIGINT,
    stop_grace_seconds BIGINT,
    deleted SMALLINT NOT NULL,
    exit_code BIGINT,
    signal BIGINT,
    reason TEXT,
    warnings TEXT NOT NULL,
    spec TEXT NOT NULL,
    job TEXT,
    job_artifact TEXT,
    code_artifact TEXT,
    run_entity TEXT NOT NULL,
    run_project TEXT NOT NULL,
    planned_run TEXT NOT NULL,
    run TEXT,
    runs TEXT NOT NULL,
    name TEXT,
    queue_config TEXT NOT NULL,
    item_config TEXT NOT NULL,
    template_variables TEXT NOT NULL,
    resources TEXT NOT NULL,
    not_before BIGINT,
    idempotency_key TEXT,
    environment TEXT,
    source TEXT,
    UNIQUE (queue_id, idempotency_key)
);
-- The order of a queue; `id` is time-ordered.
CREATE INDEX items_order ON items (queue_id, state, priority, id);
CREATE INDEX items_entity ON items (entity_id, id);
CREATE INDEX items_held ON items (state, agent_id);

CREATE TABLE attempts (
    item_id TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    agent_id TEXT,
    -- leased running finished failed stopped lost
    state TEXT NOT NULL,
    token_id TEXT,
    leased_at BIGINT NOT NULL,
    ended_at BIGINT,
    exit_code BIGINT,
    signal BIGINT,
    reason TEXT,
    PRIMARY KEY (item_id, number)
);

CREATE TABLE phases (
    item_id TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    name TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (item_id, attempt, name)
);

-- Bytes of a phase's log, each piece beginning where the one before it ended.
CREATE TABLE item_logs (
    item_id TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    phase TEXT NOT NULL,
    start BIGINT NOT NULL,
    size BIGINT NOT NULL,
    time BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (item_id, attempt, phase, start)
);
