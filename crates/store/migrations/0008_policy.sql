-- What an agent set aside for the item, JSON.
ALTER TABLE items ADD COLUMN reserved TEXT;
-- Why the server itself asked to stop it: the reason that it fails with once it has stopped.
ALTER TABLE items ADD COLUMN stop_cause TEXT;
-- What the agent's machine has to hand out, JSON; null when nobody counts it.
ALTER TABLE agents ADD COLUMN resources TEXT;
-- The waiting item that the agent keeps room for. It counts while the item waits.
ALTER TABLE agents ADD COLUMN holds_item TEXT;
