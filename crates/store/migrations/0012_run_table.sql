-- When anything about a run changed that lists show, filter or order by: whoever keeps columns of a project's runs in memory
-- finds in the index alone what to read anew.
ALTER TABLE runs ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET changed_at = CASE WHEN heartbeat_at > updated_at THEN heartbeat_at ELSE updated_at END;
CREATE INDEX runs_changed ON runs (project_id, changed_at, id);
