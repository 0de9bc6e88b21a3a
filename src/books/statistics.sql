-- What the serial numbers of an issuer have in common: src/exam/statistics.rs.
CREATE TABLE serial_statistics (
  issuer_key_hash BLOB PRIMARY KEY,
  statistics      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- For whom a key was certified: the registrable domains of each certificate that holds it.
CREATE TABLE key_uses (
  spki_sha256 BLOB NOT NULL,
  hit_id      INTEGER NOT NULL REFERENCES hits,
  domain      TEXT NOT NULL,
  PRIMARY KEY (spki_sha256, hit_id, domain)
) STRICT, WITHOUT ROWID;
