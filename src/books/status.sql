-- Format 6. Cases about CRLs, controls and counts as well: SQLite changes a CHECK only with its table.
CREATE TABLE cases_anew (
  case_number     INTEGER PRIMARY KEY AUTOINCREMENT,
  about           TEXT NOT NULL CHECK (about IN ('certificate', 'log', 'crl', 'control', 'counts')),
  issuer_key_hash BLOB NOT NULL,
  serial          BLOB NOT NULL, -- of what is no certificate: a log's kind of misbehaviour, a URL, a name, as text
  state           TEXT NOT NULL, -- new, revoked_in_db, seen_on_crl, closed
  opened_at       INTEGER NOT NULL,
  subject_line    TEXT NOT NULL,
  severity        TEXT NOT NULL,
  clock           TEXT NOT NULL,
  due_at          INTEGER,
  events          INTEGER NOT NULL,
  UNIQUE (about, issuer_key_hash, serial)
) STRICT;
INSERT INTO cases_anew SELECT case_number, about, issuer_key_hash, serial, state, opened_at, subject_line, severity,
  clock, due_at, events FROM cases;
DROP TABLE cases;
ALTER TABLE cases_anew RENAME TO cases;

-- How far something was walked that is walked again and again: a time in milliseconds, or the number of a row.
CREATE TABLE walks (
  walk     TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the CA's record has and the logs have not: waiting for our own reading to come further (told_at is null), or told
-- and looked for until it is seen.
CREATE TABLE unlogged (
  issuer_key_hash BLOB NOT NULL,
  serial          BLOB NOT NULL, -- without sign octet
  rule            TEXT NOT NULL,
  cert_id         INTEGER NOT NULL,
  signed_at       INTEGER NOT NULL,
  not_after       INTEGER,
  hierarchy       TEXT NOT NULL,
  state           TEXT NOT NULL,
  told_at         INTEGER,
  PRIMARY KEY (issuer_key_hash, serial, rule)
) STRICT, WITHOUT ROWID;

-- The CRLs of our issuers: where they are, what the last good one was, and since when there is none.
CREATE TABLE crls (
  issuer_key_hash BLOB NOT NULL,
  url             TEXT NOT NULL,
  named_until     INTEGER NOT NULL, -- the last notAfter of the certificates that name it
  number          BLOB,
  this_update     INTEGER,
  next_update     INTEGER,
  sha256          BLOB,
  good_at         INTEGER,          -- when it was last found good
  failing_since   INTEGER,
  PRIMARY KEY (issuer_key_hash, url)
) STRICT, WITHOUT ROWID;

-- The serial numbers that are looked for and were seen on a CRL.
CREATE TABLE listed (
  issuer_key_hash BLOB NOT NULL,
  serial          BLOB NOT NULL, -- without sign octet
  url             TEXT NOT NULL,
  revoked_at      INTEGER,
  reason          INTEGER NOT NULL,
  seen_at         INTEGER NOT NULL,
  not_after       INTEGER,
  PRIMARY KEY (issuer_key_hash, serial)
) STRICT, WITHOUT ROWID;
