CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    -- A number for clients that want one.
    number BIGINT NOT NULL UNIQUE,
    entity_id TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    description TEXT NOT NULL,
    author TEXT NOT NULL,
    -- How many runs it ever had: the number in made-up display names.
    runs_made BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (entity_id, name_key)
);

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL,
    stop_requested SMALLINT NOT NULL,
    author TEXT NOT NULL,
    -- Client documents as they were sent: config is JSON, summary may hold bare NaN.
    config TEXT NOT NULL,
    summary TEXT NOT NULL,
    notes TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    group_name TEXT,
    job_type TEXT,
    host TEXT,
    program TEXT,
    git_remote TEXT,
    git_commit TEXT,
    sweep TEXT,
    -- The item that launched it, as its config says, and the attempt, as its token says.
    trace_id TEXT,
    attempt BIGINT,
    job TEXT,
    exit_code BIGINT,
    history_rows BIGINT NOT NULL,
    event_rows BIGINT NOT NULL,
    console_rows BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    ended_at BIGINT,
    UNIQUE (project_id, name)
);
CREATE INDEX runs_created ON runs (project_id, created_at, id);
CREATE INDEX runs_silent ON runs (state, heartbeat_at);
CREATE INDEX runs_trace ON runs (trace_id);

-- Lines as they arrived. A later chunk (higher seq) overwrites the lines that it covers.
CREATE TABLE chunks (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stream SMALLINT NOT NULL,
    -- Empty but for runs that several processes write at once; each has line numbers of its own.
    writer TEXT NOT NULL,
    seq BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    -- Least and greatest `_step` of the lines; null when a line has none that is easy to read.
    first_step BIGINT,
    last_step BIGINT,
    -- The lines, joined by newlines.
    body BYTEA NOT NULL,
    PRIMARY KEY (run_id, stream, writer, seq)
);

CREATE TABLE run_files (
    id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    blob TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    md5 TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (run_id, name)
);
