-- A partial index is weighed against the parameters of every statement on its table, which SQLite then prepares anew at
-- each execution. This one serves the same question whole.
DROP INDEX items_finished;
CREATE INDEX items_ended ON items (queue_id, ended_at);
