-- 1 for a key that reads what its owner may and changes nothing, and for a browser's session that such a key opened.
ALTER TABLE api_keys ADD COLUMN read_only SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN read_only SMALLINT NOT NULL DEFAULT 0;
