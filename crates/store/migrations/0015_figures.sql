-- Figures of a queue read the ends of its items and little else: with all of that in the index, the items themselves, which are
-- wide, are not fetched. What has not ended is found by its state, so that a push need not write here.
DROP INDEX items_ended;
CREATE INDEX items_ended ON items (queue_id, ended_at, leased_at, created_at, state, deleted, attempt)
    WHERE ended_at IS NOT NULL;
