-- The place of an item and the question whether anything waits are answered from the index alone: each push counts up to a
-- hundred items ahead of it, and without the times each of them was a row to fetch.
DROP INDEX items_order;
CREATE INDEX items_order ON items (queue_id, state, priority, id, not_before, next_retry_at);
