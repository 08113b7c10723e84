-- How long the latest items of a queue took, which every waiting item's estimate rests on.
CREATE INDEX items_finished ON items (queue_id, ended_at) WHERE state = 'finished';
