-- Format 4. What other judges are asked about a hit, and what they said: one row each, asked again when there is
-- something new to ask about.
CREATE TABLE opinions (
  hit_id      INTEGER NOT NULL REFERENCES hits,
  judge       TEXT NOT NULL,
  revision    INTEGER NOT NULL DEFAULT 1,  -- counts the questions
  hit_version INTEGER NOT NULL,            -- the version of the hit that it is about
  said        TEXT NOT NULL,               -- what we said ourselves
  asked_at    INTEGER NOT NULL,            -- when the question was written
  next_try_at INTEGER,                     -- when it is asked; NULL: it is answered
  attempts    INTEGER NOT NULL DEFAULT 0,  -- how often it was asked in vain
  error       TEXT,                        -- why
  answered_at INTEGER,
  version     TEXT,                        -- of the judge that answered
  answer      TEXT,
  lines       TEXT,                        -- the two verdicts compared, as shown
  PRIMARY KEY (hit_id, judge)
) STRICT, WITHOUT ROWID;
CREATE INDEX opinions_due ON opinions (judge, next_try_at) WHERE next_try_at IS NOT NULL;
