//! What the commands `ctwarden logs` and `ctwarden cases` show.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::cases::{from_json, sightings};
use super::{Books, BooksError, PromiseLine};
use crate::case::{CaseNumber, Notice, case_name};
use crate::clock::{Span, Timestamp};
use crate::ct::key::LogId;
use crate::finding::{CaseKey, KeyHash, Serial};

/// One log as listed.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// Its identifier.
    pub log_id: LogId,
    /// Its short name.
    pub log: String,
    /// Where following began.
    pub start_index: u64,
    /// The index up to which entries were read, less those of the backlog that are still to be read.
    pub downloaded: u64,
    /// The same for entries proven to be under a signed root.
    pub verified: u64,
    /// Entries below a proven head that are still to be read beside the new ones.
    pub backlog: u64,
    /// Entries that the log does not serve.
    pub lost: u64,
    /// The first of them whose hash is not known: what was read behind it is not proven for that reason.
    pub unproven_from: Option<u64>,
    /// Entries per second that the log grew of late.
    pub growth_rate: f64,
    /// Entries per second that were read of late.
    pub read_rate: f64,
    /// The newest verified tree head: size.
    pub tree_size: Option<u64>,
    /// The newest verified tree head: its timestamp, milliseconds.
    pub tree_head_at: Option<Timestamp>,
    /// Hits seen in it.
    pub sightings: u64,
    /// Misbehaviours on record.
    pub misbehaviours: u64,
    /// When the books were last written for it, milliseconds.
    pub updated_at: Timestamp,
}

/// One case as listed.
#[derive(Clone, Debug, Serialize)]
pub struct CaseLine {
    /// Its name.
    pub case: String,
    /// Its state: `new`.
    pub state: String,
    /// Worst severity.
    pub severity: String,
    /// Strictest clock.
    pub clock: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the serial must be on a CRL.
    pub due_at: Option<Timestamp>,
    /// The rules broken.
    pub rules: Vec<String>,
    /// SHA-256 of the issuer's key.
    pub issuer_key_hash: KeyHash,
    /// Serial, hexadecimal.
    pub serial: String,
    /// Messages about it that were delivered.
    pub delivered: u64,
    /// Messages about it that wait.
    pub waiting: u64,
}

/// A case in full.
#[derive(Clone, Debug)]
pub struct CaseDetail {
    /// The newest event's notice, with the sightings and the opinions of other judges as they are now.
    pub notice: Notice,
    /// Its line in the list.
    pub line: CaseLine,
    /// What logs have promised with the SCTs of the certificate.
    pub promises: Vec<PromiseLine>,
}

const CASE_COLUMNS: &str = "SELECT case_number, state, severity, clock, opened_at, due_at, issuer_key_hash, serial,
    (SELECT group_concat(DISTINCT rule) FROM case_findings AS f WHERE f.case_number = cases.case_number),
    (SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL AND message_key >= name || '.' AND message_key < name || '/'),
    (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND message_key >= name || '.' AND message_key < name || '/')
    FROM (SELECT *, strftime('CASE-%Y-', opened_at / 1000, 'unixepoch') || printf('%04d', case_number) AS name FROM cases)
    AS cases";

fn case_line(row: &rusqlite::Row<'_>) -> rusqlite::Result<CaseLine> {
    let opened_at = Timestamp::from_millis(row.get(4)?);
    Ok(CaseLine {
        case: case_name(CaseNumber(row.get(0)?), opened_at),
        state: row.get(1)?,
        severity: row.get(2)?,
        clock: row.get(3)?,
        opened_at,
        due_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        issuer_key_hash: KeyHash(row.get(6)?),
        serial: Serial(row.get(7)?).to_string(),
        rules: row.get::<_, Option<String>>(8)?.unwrap_or_default().split(',').map(str::to_string).collect(),
        delivered: row.get(9)?,
        waiting: row.get(10)?,
    })
}

impl Books {
    /// Every log in the books.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn list_logs(&self) -> Result<Vec<LogLine>, BooksError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT log_id, name, coalesce(b.start_index, logs.start_index),
                   logs.downloaded_size - coalesce(b.goal_size - b.downloaded_size, 0),
                   logs.verified_size - coalesce(b.goal_size - b.verified_size, 0), updated_at,
                   (SELECT count(*) FROM sightings AS s WHERE s.log_id = logs.log_id),
                   (SELECT count(*) FROM misbehaviours AS m WHERE m.log_id = logs.log_id),
                   (SELECT max(signed_at) FROM tree_heads AS t WHERE t.log_id = logs.log_id AND outcome = 'verified'),
                   (SELECT max(tree_size) FROM tree_heads AS t WHERE t.log_id = logs.log_id AND outcome = 'verified'),
                   coalesce(b.goal_size - b.downloaded_size, 0), growth_rate, read_rate,
                   (SELECT coalesce(sum(end_index - start_index), 0) FROM gaps AS g
                    WHERE g.log_id = logs.log_id AND filled_at IS NULL),
                   (SELECT min(start_index) FROM gaps AS g
                    WHERE g.log_id = logs.log_id AND filled_at IS NULL AND NOT hashed)
                 FROM logs LEFT JOIN backlogs AS b USING (log_id) ORDER BY name",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(LogLine {
                    log_id: LogId(row.get(0)?),
                    log: row.get(1)?,
                    start_index: row.get(2)?,
                    downloaded: row.get(3)?,
                    verified: row.get(4)?,
                    updated_at: Timestamp::from_millis(row.get(5)?),
                    sightings: row.get(6)?,
                    misbehaviours: row.get(7)?,
                    tree_head_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
                    tree_size: row.get(9)?,
                    backlog: row.get(10)?,
                    growth_rate: row.get(11)?,
                    read_rate: row.get(12)?,
                    lost: row.get(13)?,
                    unproven_from: row.get(14)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// From log entry to sight of the newest sighting; `None` before the first.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn newest_lag(&self) -> Result<Option<Span>, BooksError> {
        self.read(|connection| {
            let sql = "SELECT first_seen_at - first_logged_at FROM hits ORDER BY hit_id DESC LIMIT 1";
            Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?.map(Span::from_millis))
        })
        .await
    }

    /// The cases, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn list_cases(&self, limit: u32) -> Result<Vec<CaseLine>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare(&format!("{CASE_COLUMNS} ORDER BY case_number DESC LIMIT ?1"))?;
            let rows = statement.query_map(params![limit], case_line)?;
            rows.collect()
        })
        .await
    }

    /// One case, or `None` when there is none of that number.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn show_case(&self, number: CaseNumber) -> Result<Option<CaseDetail>, BooksError> {
        self.read(move |connection| {
            let line = connection
                .query_row(&format!("{CASE_COLUMNS} WHERE case_number = ?1"), params![number.0], case_line)
                .optional()?;
            let Some(line) = line else { return Ok(None) };
            let sql = "SELECT notice FROM case_events WHERE case_number = ?1 ORDER BY event_number DESC LIMIT 1";
            let mut notice: Notice =
                from_json(&connection.query_row(sql, params![number.0], |row| row.get::<_, String>(0))?)?;
            let serial: Vec<u8> =
                connection.query_row("SELECT serial FROM cases WHERE case_number = ?1", params![number.0], |row| {
                    row.get(0)
                })?;
            let key = CaseKey { issuer_key_hash: line.issuer_key_hash, serial: Serial(serial) };
            notice.sightings = sightings(connection, &key)?;
            notice.opinions = super::opinions::lines(connection, &key)?;
            let promises = super::promises::of_certificate(connection, &key)?;
            Ok(Some(CaseDetail { notice, line, promises }))
        })
        .await
    }

    /// Open cases by severity word, how many hits wait for an examination, and when the oldest of those that were
    /// never examined was read.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn counts(&self) -> Result<(Vec<(String, u64)>, u64, Option<Timestamp>), BooksError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT severity, count(*) FROM cases WHERE state NOT IN ('closed', 'seen_on_crl') GROUP BY severity")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let cases = rows.collect::<rusqlite::Result<_>>()?;
            let sql = "SELECT count(*), min(first_seen_at) FILTER (WHERE examined = 0) FROM hits WHERE examine_at IS NOT NULL";
            let (pending, oldest) =
                connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
            Ok((cases, pending, oldest.map(Timestamp::from_millis)))
        })
        .await
    }
}
