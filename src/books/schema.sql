-- The books of ctwarden. Times are milliseconds since 1970-01-01T00:00:00Z, hashes are 32-octet blobs.

-- Where we stand in each log. `downloaded` and `verified` are compact ranges (RFC 6962 2.1 trees in logarithmic
-- space); everything below verified_size has been hashed into a root that the log signed.
CREATE TABLE logs (
  log_id          BLOB PRIMARY KEY,
  name            TEXT NOT NULL,
  start_index     INTEGER NOT NULL,
  downloaded_size INTEGER NOT NULL,
  downloaded      BLOB NOT NULL,
  verified_size   INTEGER NOT NULL,
  verified        BLOB NOT NULL,
  growth_rate     REAL NOT NULL DEFAULT 0, -- entries per second that the log grew of late
  read_rate       REAL NOT NULL DEFAULT 0, -- entries per second that were read of late
  updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A log that is far behind is read from two places: `logs` holds the position from a proven tree head on, and this the
-- part below that head, which is read beside it. The row goes when the two have met.
CREATE TABLE backlogs (
  log_id          BLOB PRIMARY KEY REFERENCES logs,
  start_index     INTEGER NOT NULL,
  downloaded_size INTEGER NOT NULL,
  downloaded      BLOB NOT NULL,
  verified_size   INTEGER NOT NULL,
  verified        BLOB NOT NULL,
  goal_size       INTEGER NOT NULL,
  goal_root       BLOB NOT NULL,
  goal_signed_at  INTEGER NOT NULL,
  goal_signature  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Entries below a signed tree head that the log does not serve. They are asked for again, for ever.
CREATE TABLE gaps (
  log_id      BLOB NOT NULL REFERENCES logs,
  start_index INTEGER NOT NULL,
  end_index   INTEGER NOT NULL,
  missed_at   INTEGER NOT NULL,
  next_try_at INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  filled_at   INTEGER,
  PRIMARY KEY (log_id, start_index)
) STRICT, WITHOUT ROWID;

-- Every signed tree head that decided something, byte for byte: evidence.
CREATE TABLE tree_heads (
  log_id    BLOB NOT NULL REFERENCES logs,
  tree_size INTEGER NOT NULL,
  root_hash BLOB NOT NULL,
  signed_at INTEGER NOT NULL,
  signature BLOB NOT NULL,
  seen_at   INTEGER NOT NULL,
  outcome   TEXT NOT NULL CHECK (outcome IN ('verified', 'mismatch')),
  PRIMARY KEY (log_id, tree_size, root_hash, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE misbehaviours (
  misbehaviour_id INTEGER PRIMARY KEY,
  log_id      BLOB NOT NULL,
  kind        TEXT NOT NULL,
  tree_size   INTEGER NOT NULL,
  detail      TEXT NOT NULL,
  evidence    TEXT NOT NULL,
  observed_at INTEGER NOT NULL,
  UNIQUE (log_id, kind, tree_size, detail)
) STRICT;

-- Entries that are not of the form the standard gives them.
CREATE TABLE malformed (
  log_id  BLOB NOT NULL,
  idx     INTEGER NOT NULL,
  reason  TEXT NOT NULL,
  bytes   BLOB NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (log_id, idx)
) STRICT, WITHOUT ROWID;

-- DER by SHA-256. Logs are retired and vanish, so this cannot always be fetched again.
CREATE TABLE certificates (
  sha256 BLOB PRIMARY KEY,
  form   TEXT NOT NULL CHECK (form IN ('certificate', 'tbs')),
  der    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per TBSCertificate less poison and SCT list: a precertificate and its certificate are one hit.
CREATE TABLE hits (
  hit_id          INTEGER PRIMARY KEY,
  issuer_key_hash BLOB NOT NULL,
  serial          BLOB NOT NULL,
  core_sha256     BLOB NOT NULL,
  standing        TEXT NOT NULL,
  issuer          TEXT NOT NULL,
  remark          TEXT NOT NULL,
  first_logged_at INTEGER NOT NULL,
  first_seen_at   INTEGER NOT NULL,
  examine_at      INTEGER,
  examined        INTEGER NOT NULL DEFAULT 0,
  version         INTEGER NOT NULL DEFAULT 0, -- counts what there is to examine: grows with each new form that is seen
  UNIQUE (issuer_key_hash, serial, core_sha256)
) STRICT;
CREATE INDEX hits_due ON hits (examine_at) WHERE examine_at IS NOT NULL;

CREATE TABLE sightings (
  log_id             BLOB NOT NULL,
  idx                INTEGER NOT NULL,
  hit_id             INTEGER NOT NULL REFERENCES hits,
  kind               TEXT NOT NULL CHECK (kind IN ('precertificate', 'certificate')),
  logged_at          INTEGER NOT NULL,
  seen_at            INTEGER NOT NULL,
  certificate_sha256 BLOB NOT NULL REFERENCES certificates,
  doubted            INTEGER NOT NULL DEFAULT 0, -- 1: the root did not fit and the second reading gave something else
  PRIMARY KEY (log_id, idx, certificate_sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_of_hit ON sightings (hit_id);

-- What logs have promised with the SCTs of our certificates: to include a leaf until due_at.
CREATE TABLE promises (
  log_id        BLOB NOT NULL,
  leaf_hash     BLOB NOT NULL,
  hit_id        INTEGER NOT NULL REFERENCES hits,
  leaf_index    INTEGER,          -- as static logs say it beforehand
  promised_at   INTEGER NOT NULL,
  due_at        INTEGER NOT NULL,
  sct           BLOB NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('open', 'kept', 'broken', 'unknown_log')),
  denials       INTEGER NOT NULL DEFAULT 0, -- how often the log said that it has no such leaf
  checked_at    INTEGER NOT NULL DEFAULT 0,
  next_check_at INTEGER NOT NULL,
  PRIMARY KEY (log_id, leaf_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX promises_due ON promises (next_check_at) WHERE state = 'open';
CREATE INDEX promises_of_hit ON promises (hit_id);
CREATE INDEX promises_state ON promises (state, log_id);

-- About a certificate (issuer key, serial), or about a log (its log_id, the kind of misbehaviour as text).
CREATE TABLE cases (
  case_number     INTEGER PRIMARY KEY AUTOINCREMENT,
  about           TEXT NOT NULL CHECK (about IN ('certificate', 'log')),
  issuer_key_hash BLOB NOT NULL,
  serial          BLOB NOT NULL,
  state           TEXT NOT NULL,
  opened_at       INTEGER NOT NULL,
  subject_line    TEXT NOT NULL,
  severity        TEXT NOT NULL,
  clock           TEXT NOT NULL,
  due_at          INTEGER,
  events          INTEGER NOT NULL,
  UNIQUE (about, issuer_key_hash, serial)
) STRICT;

CREATE TABLE case_findings (
  case_number  INTEGER NOT NULL REFERENCES cases,
  rule         TEXT NOT NULL,
  subject      TEXT NOT NULL,
  event_number INTEGER NOT NULL,
  finding      TEXT NOT NULL,
  found_at     INTEGER NOT NULL,
  PRIMARY KEY (case_number, rule, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE case_events (
  case_number  INTEGER NOT NULL REFERENCES cases,
  event_number INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  happened_at  INTEGER NOT NULL,
  notice       TEXT NOT NULL,
  PRIMARY KEY (case_number, event_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  outbox_id    INTEGER PRIMARY KEY,
  message_key  TEXT NOT NULL,
  channel      TEXT NOT NULL,
  recipient    TEXT NOT NULL,
  notice       TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  next_try_at  INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  delivered_at INTEGER,
  last_error   TEXT,
  UNIQUE (message_key, channel, recipient)
) STRICT;
CREATE INDEX outbox_due ON outbox (next_try_at) WHERE delivered_at IS NULL;
