-- Format 3. While the hashes of entries that a log does not serve are not known (0), what was downloaded behind them
-- cannot be verified: see src/tail/lost.rs.
ALTER TABLE gaps ADD COLUMN hashed INTEGER NOT NULL DEFAULT 1;
