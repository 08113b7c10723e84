-- 1 for a key that reads what its owner may and changes nothing.
ALTER TABLE api_keys ADD COLUMN read_only SMALLINT NOT NULL DEFAULT 0;
-- The key that opened a browser's session, which may do what the key may, for as long as there is the key.
ALTER TABLE sessions ADD COLUMN key_id TEXT;
