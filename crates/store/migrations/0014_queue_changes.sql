-- What a change of a queue changed: a JSON list of {path, from, to}. Other lines of the trail have none.
ALTER TABLE events ADD COLUMN changes TEXT;
