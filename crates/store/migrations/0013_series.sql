-- The numbers of runs' histories by key, for charts: drawn from the settled lines of `chunks`, which stay what counts. A run
-- whose lines were written anew behind our back loses its rows here, and gets new ones.
CREATE TABLE series_runs (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stream SMALLINT NOT NULL,
    -- How many lines are in the parts, and the last chunk that was looked at.
    lines BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    PRIMARY KEY (run_id, stream)
);

CREATE TABLE series (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stream SMALLINT NOT NULL,
    name TEXT NOT NULL,
    part BIGINT NOT NULL,
    -- How many points, and the least and greatest step of them.
    points BIGINT NOT NULL,
    first_step DOUBLE PRECISION NOT NULL,
    last_step DOUBLE PRECISION NOT NULL,
    -- Buckets of points, and the points.
    buckets BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (run_id, stream, name, part)
);
