-- What an agent says of itself, its newest lines. `process` and `number` name a line where it was written: one that is
-- sent again is not kept twice.
CREATE TABLE agent_logs (
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    process TEXT NOT NULL,
    number BIGINT NOT NULL,
    time BIGINT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (agent_id, seq),
    UNIQUE (agent_id, process, number)
);
