-- What is still to come, so that it is handed out when its time has come: few items have such a time.
CREATE INDEX items_not_before ON items (not_before) WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX items_next_retry ON items (next_retry_at) WHERE state = 'queued' AND next_retry_at IS NOT NULL;
