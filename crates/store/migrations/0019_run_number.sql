-- The number of a run in its project, counted as they are made: what a run's colour is chosen by, the same for everybody.
ALTER TABLE runs ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET number = counted.number
FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY project_id ORDER BY created_at, id) AS number FROM runs) AS counted
WHERE counted.id = runs.id;
