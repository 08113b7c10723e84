-- How many lines end in each piece, before the bytes, so that a long log opens at its end without being read.
ALTER TABLE item_logs RENAME TO item_logs_before;
CREATE TABLE item_logs (
    item_id TEXT NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    phase TEXT NOT NULL,
    start BIGINT NOT NULL,
    size BIGINT NOT NULL,
    -- Null in pieces of before: their bytes are read to know.
    line_ends BIGINT,
    time BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (item_id, attempt, phase, start)
);
INSERT INTO item_logs (item_id, attempt, phase, start, size, time, body)
    SELECT item_id, attempt, phase, start, size, time, body FROM item_logs_before;
DROP TABLE item_logs_before;
