//! The tables of the embedded database and how the file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::issuance::IssuanceError;

/// The schema that this program writes, in `user_version`.
pub(super) const VERSION: i64 = 4;
/// "ctwi" in `application_id`: this file is an issuance database of ours.
const APPLICATION_ID: i64 = 0x6374_7769;

/// The CA's tables, then the monitor's own columns and tables. `dcv_reuse.dcv_id` is derived by the import: it can
/// never point at another reuse. The `stated_*` columns keep what the feed said of the origin. A negative `reuse_id`
/// is a "confirmation" of the feed that was no confirmation: its `dcv_id` negated.
const TABLES: &str = "
CREATE TABLE issuers (issuer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, spki_sha256 TEXT UNIQUE NOT NULL,
    hierarchy TEXT NOT NULL) STRICT;
CREATE TABLE accounts (account_id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT, country TEXT) STRICT;
CREATE TABLE applicants (applicant_id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts, name TEXT,
    country TEXT) STRICT;
CREATE TABLE identities (identity_id TEXT PRIMARY KEY, applicant_id TEXT NOT NULL REFERENCES applicants,
    verified_at INTEGER NOT NULL, organization TEXT, country TEXT, state TEXT, locality TEXT, street TEXT,
    postal_code TEXT, given_name TEXT, surname TEXT, registration_number TEXT, business_category TEXT,
    jurisdiction_country TEXT, jurisdiction_state TEXT, jurisdiction_locality TEXT, performed_by TEXT) STRICT;
CREATE TABLE orders (order_id TEXT PRIMARY KEY, applicant_id TEXT NOT NULL REFERENCES applicants,
    channel TEXT NOT NULL, profile TEXT, vtype TEXT NOT NULL, hierarchy TEXT NOT NULL, csr_spki_sha256 TEXT,
    created_at INTEGER NOT NULL, identity_id TEXT REFERENCES identities) STRICT;
CREATE TABLE order_names (order_id TEXT NOT NULL REFERENCES orders, name TEXT NOT NULL,
    PRIMARY KEY (order_id, name)) STRICT, WITHOUT ROWID;
CREATE TABLE certificates (cert_id INTEGER PRIMARY KEY, issuer_id INTEGER NOT NULL REFERENCES issuers,
    serial TEXT NOT NULL, order_id TEXT REFERENCES orders, tbs_sha256 TEXT, precert_sha256 TEXT, cert_sha256 TEXT,
    spki_sha256 TEXT, signed_at INTEGER NOT NULL, not_before INTEGER, not_after INTEGER, state TEXT NOT NULL,
    UNIQUE (issuer_id, serial)) STRICT;
CREATE TABLE dcv_confirmations (dcv_id INTEGER PRIMARY KEY, applicant_id TEXT NOT NULL REFERENCES applicants,
    adn TEXT NOT NULL, method TEXT NOT NULL, completed_at INTEGER NOT NULL, performed_by TEXT NOT NULL, resolver TEXT,
    remote_ok INTEGER, remote_total INTEGER, evidence_ref TEXT, token_issued_at INTEGER, remote_rirs INTEGER,
    dnssec TEXT, location TEXT, recorded_at INTEGER) STRICT;
CREATE TABLE dcv_reuse (reuse_id INTEGER PRIMARY KEY, dcv_id INTEGER REFERENCES dcv_confirmations,
    rule TEXT NOT NULL, decided_at INTEGER NOT NULL, decided_by TEXT,
    stated_dcv_id INTEGER, stated_reuse_id INTEGER) STRICT;
CREATE TABLE dcv_reuse_chain (reuse_id INTEGER NOT NULL REFERENCES dcv_reuse, step INTEGER NOT NULL,
    stated_id TEXT NOT NULL, stated_at INTEGER, PRIMARY KEY (reuse_id, step)) STRICT, WITHOUT ROWID;
CREATE TABLE caa_checks (caa_id INTEGER PRIMARY KEY, name TEXT NOT NULL, checked_at INTEGER NOT NULL,
    result TEXT NOT NULL, rrset TEXT, ttl INTEGER, dnssec TEXT, resolver TEXT NOT NULL, performed_by TEXT NOT NULL,
    remote_ok INTEGER, remote_total INTEGER, remote_rirs INTEGER) STRICT;
CREATE TABLE san_authorisations (cert_id INTEGER NOT NULL REFERENCES certificates, name TEXT NOT NULL,
    dcv_id INTEGER REFERENCES dcv_confirmations, reuse_id INTEGER REFERENCES dcv_reuse,
    caa_id INTEGER REFERENCES caa_checks, PRIMARY KEY (cert_id, name),
    CHECK (dcv_id IS NULL OR reuse_id IS NULL)) STRICT, WITHOUT ROWID;
CREATE TABLE approvals (order_id TEXT NOT NULL REFERENCES orders, step TEXT NOT NULL, person TEXT NOT NULL,
    decided_at INTEGER NOT NULL, PRIMARY KEY (order_id, step, person, decided_at)) STRICT, WITHOUT ROWID;
CREATE TABLE revocations (cert_id INTEGER PRIMARY KEY REFERENCES certificates, aware_at INTEGER, revoked_at INTEGER,
    reason INTEGER, crl_seen_at INTEGER) STRICT;
CREATE TABLE controls (name TEXT NOT NULL, observed_at INTEGER NOT NULL, enabled INTEGER NOT NULL, version TEXT,
    value TEXT, entries INTEGER, PRIMARY KEY (name, observed_at)) STRICT, WITHOUT ROWID;
CREATE TABLE lint_runs (cert_id INTEGER NOT NULL REFERENCES certificates, linter TEXT NOT NULL, version TEXT,
    ran_at INTEGER NOT NULL, result TEXT NOT NULL, findings TEXT, PRIMARY KEY (cert_id, linter)) STRICT, WITHOUT ROWID;
CREATE TABLE counts (source TEXT NOT NULL, issuer_id INTEGER NOT NULL REFERENCES issuers, hour INTEGER NOT NULL,
    certificates INTEGER NOT NULL, PRIMARY KEY (source, issuer_id, hour)) STRICT, WITHOUT ROWID;

CREATE TABLE feed (table_name TEXT PRIMARY KEY, imported_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX dcv_by_domain ON dcv_confirmations (applicant_id, adn, completed_at);
CREATE INDEX reuse_by_root ON dcv_reuse (dcv_id);
CREATE INDEX san_by_dcv ON san_authorisations (dcv_id);
CREATE INDEX san_by_reuse ON san_authorisations (reuse_id);
";

/// How the feeds stand, which version 4 has and version 3 had not: batches that were sent with a key, how far files
/// were read, rows that wait for rows that they name, rows that were refused, and which account's name a CAA check of
/// an audit log was made for.
const FEEDS: &str = "
CREATE TABLE batches (feed TEXT NOT NULL, key TEXT NOT NULL, sha256 TEXT NOT NULL, answer TEXT NOT NULL,
    taken_at_ms INTEGER NOT NULL, PRIMARY KEY (feed, key)) STRICT, WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (taken_at_ms);
CREATE TABLE followed (path TEXT PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    head_bytes INTEGER NOT NULL, head_sha256 TEXT NOT NULL, offset INTEGER NOT NULL, line INTEGER NOT NULL,
    skipping INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE waiting (seq INTEGER PRIMARY KEY, feed TEXT NOT NULL, line INTEGER NOT NULL, tab TEXT NOT NULL,
    key TEXT NOT NULL, row TEXT NOT NULL, only_if_absent INTEGER NOT NULL, reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL, UNIQUE (feed, tab, key)) STRICT;
CREATE TABLE refused (seq INTEGER PRIMARY KEY, feed TEXT NOT NULL, line INTEGER NOT NULL, reason TEXT NOT NULL,
    text TEXT NOT NULL, refused_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE account_caa_checks (account_id TEXT NOT NULL, name TEXT NOT NULL, checked_at INTEGER NOT NULL,
    caa_id INTEGER NOT NULL, PRIMARY KEY (account_id, name, checked_at)) STRICT, WITHOUT ROWID;
";

/// What came without a version of its own, as an older program is not troubled by it: the way for the walk through the
/// record by time of signing, the names of certificates whose CAA check an audit log may still give, the newest check as of
/// each of our days, and the authorizations and certificates of orders that the log tells in lines of their own.
const UNVERSIONED: &str = "
CREATE INDEX IF NOT EXISTS certificates_by_time ON certificates (signed_at, cert_id);
CREATE INDEX IF NOT EXISTS account_caa_checks_by_time ON account_caa_checks (checked_at);
CREATE TABLE IF NOT EXISTS names_awaiting_check (account_id TEXT NOT NULL, name TEXT NOT NULL,
    cert_id INTEGER NOT NULL, signed_at INTEGER NOT NULL, checked_at INTEGER, noted_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, name, cert_id)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_awaiting_check_by_time ON names_awaiting_check (noted_at);
CREATE TABLE IF NOT EXISTS newest_caa_checks (noted_on INTEGER PRIMARY KEY, checked_at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS order_authorizations (order_id TEXT NOT NULL, name TEXT NOT NULL, dcv_id INTEGER NOT NULL,
    noted_at INTEGER NOT NULL, PRIMARY KEY (order_id, name)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS order_authorizations_by_time ON order_authorizations (noted_at);
CREATE TABLE IF NOT EXISTS order_certificates (order_id TEXT PRIMARY KEY, account_id TEXT NOT NULL,
    cert_id INTEGER NOT NULL, signed_at INTEGER NOT NULL, noted_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS order_certificates_by_time ON order_certificates (noted_at);
";

/// What became of the table of names without a check of earlier programs, where there is one: it had the time of signing
/// alone.
const NAMES_WITHOUT_CHECK: &str = "
INSERT OR IGNORE INTO names_awaiting_check SELECT account_id, name, cert_id, signed_at, NULL, signed_at
    FROM names_without_check;
DROP TABLE names_without_check;
";

/// What version 2 has and version 1 had not.
const FROM_1_TO_2: &str = "
ALTER TABLE dcv_confirmations ADD COLUMN token_issued_at INTEGER;
ALTER TABLE dcv_confirmations ADD COLUMN remote_rirs INTEGER;
ALTER TABLE dcv_confirmations ADD COLUMN dnssec TEXT;
ALTER TABLE caa_checks ADD COLUMN remote_rirs INTEGER;
";

/// What version 3 has and version 2 had not.
const FROM_2_TO_3: &str = "
CREATE TABLE identities (identity_id TEXT PRIMARY KEY, applicant_id TEXT NOT NULL REFERENCES applicants,
    verified_at INTEGER NOT NULL, organization TEXT, country TEXT, state TEXT, locality TEXT, street TEXT,
    postal_code TEXT, given_name TEXT, surname TEXT, registration_number TEXT, business_category TEXT,
    jurisdiction_country TEXT, jurisdiction_state TEXT, jurisdiction_locality TEXT, performed_by TEXT) STRICT;
ALTER TABLE orders ADD COLUMN identity_id TEXT REFERENCES identities;
ALTER TABLE dcv_confirmations ADD COLUMN location TEXT;
ALTER TABLE dcv_confirmations ADD COLUMN recorded_at INTEGER;
ALTER TABLE controls ADD COLUMN value TEXT;
ALTER TABLE controls ADD COLUMN entries INTEGER;
CREATE TABLE lint_runs (cert_id INTEGER NOT NULL REFERENCES certificates, linter TEXT NOT NULL, version TEXT,
    ran_at INTEGER NOT NULL, result TEXT NOT NULL, findings TEXT, PRIMARY KEY (cert_id, linter)) STRICT, WITHOUT ROWID;
CREATE TABLE counts (source TEXT NOT NULL, issuer_id INTEGER NOT NULL REFERENCES issuers, hour INTEGER NOT NULL,
    certificates INTEGER NOT NULL, PRIMARY KEY (source, issuer_id, hour)) STRICT, WITHOUT ROWID;
";

/// Opens the file, checks it and makes the tables if it is new.
pub(super) fn open(path: &Path) -> Result<Connection, IssuanceError> {
    create(path).map_err(|source| IssuanceError::File { path: path.to_path_buf(), source })?;
    let mut connection = connect(path)?;
    let fault = |source| error(path, source);
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict != "ok" {
        return Err(IssuanceError::Damaged { path: path.to_path_buf(), reason: verdict });
    }
    // One transaction from the look at the version to the tables, so that two processes do not both make them.
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    let number = |pragma: &str| tx.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(fault);
    let (found, ours) = (number("PRAGMA user_version")?, number("PRAGMA application_id")? == APPLICATION_ID);
    let empty = number("SELECT count(*) FROM sqlite_master")? == 0;
    match (found, ours) {
        (0, _) if empty => {
            let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};");
            for sql in [TABLES, FEEDS, &mark] {
                tx.execute_batch(sql).map_err(fault)?;
            }
        }
        (_, false) => return Err(IssuanceError::Foreign { path: path.to_path_buf() }),
        (1..VERSION, true) => {
            let steps = [(1, FROM_1_TO_2), (2, FROM_2_TO_3), (3, FEEDS)];
            for (_, sql) in steps.into_iter().filter(|(from, _)| *from >= found) {
                tx.execute_batch(sql).map_err(fault)?;
            }
            tx.pragma_update(None, "user_version", VERSION).map_err(fault)?;
        }
        (VERSION, true) => {}
        _ => return Err(IssuanceError::Newer { path: path.to_path_buf(), found, known: VERSION }),
    }
    tx.execute_batch(UNVERSIONED).map_err(fault)?;
    if number("SELECT count(*) FROM sqlite_master WHERE name = 'names_without_check'")? > 0 {
        tx.execute_batch(NAMES_WITHOUT_CHECK).map_err(fault)?;
    }
    tx.commit().map_err(fault)?;
    Ok(connection)
}

/// The tables in memory, for rows that another source gave. What they name need not be there.
pub(super) fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

/// Makes an empty file that only its owner may read: the record names customers and staff.
fn create(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection to a file that is there and was checked before.
pub(super) fn connect(path: &Path) -> Result<Connection, IssuanceError> {
    let set_up = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        Ok(connection)
    };
    set_up().map_err(|source| error(path, source))
}

/// Says which fate an error of SQLite has: damage is told apart from everything else.
pub(super) fn error(path: &Path, source: rusqlite::Error) -> IssuanceError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            IssuanceError::Damaged { path, reason: source.to_string() }
        }
        _ => IssuanceError::Database { path, source },
    }
}
