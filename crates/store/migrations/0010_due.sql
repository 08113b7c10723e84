-- What is still to come, so that it is handed out when its time has come: few items have such a time. The condition names
-- no value: one that does has SQLite prepare every statement on items anew at each execution.
CREATE INDEX items_not_before ON items (not_before) WHERE not_before IS NOT NULL;
CREATE INDEX items_next_retry ON items (next_retry_at) WHERE next_retry_at IS NOT NULL;
