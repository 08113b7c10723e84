-- Who asked first to stop a running item: its agent, which ends it, does not know.
ALTER TABLE items ADD COLUMN stop_requested_by TEXT;
