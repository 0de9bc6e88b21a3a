-- Format 5. Which top-level domain stood in which lists of IANA's: our own history, which cannot be fetched again. A day
-- is the day of a list.
CREATE TABLE tld_history (
  tld        TEXT NOT NULL,
  absent_on  INTEGER, -- the last list before first_seen that lacked it; null: there was none
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  gone_on    INTEGER, -- the first list after last_seen that lacked it; null: the newest list has it
  PRIMARY KEY (tld, first_seen)
) STRICT, WITHOUT ROWID;
