//! Promises of logs: written by door 2, closed when their leaf was seen or the log has broken its word.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::{Books, BooksError};
use crate::clock::{Span, Timestamp};
use crate::ct::Hash;
use crate::ct::key::{LogId, LogKey};
use crate::ct::sth::SignedTreeHead;
use crate::finding::{CaseKey, KeyHash, Serial};
use crate::promise::{Promise, Signature};
use crate::watch::Form;

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// Nobody knows yet.
    Open,
    /// The leaf is in the log.
    Kept,
    /// The leaf was not in the log when it had to be.
    Broken,
    /// The log is in no list.
    UnknownLog,
}

impl PromiseState {
    /// All states.
    pub const ALL: [PromiseState; 4] =
        [PromiseState::Open, PromiseState::Kept, PromiseState::Broken, PromiseState::UnknownLog];

    /// The word in the books.
    pub const fn word(self) -> &'static str {
        match self {
            PromiseState::Open => "open",
            PromiseState::Kept => "kept",
            PromiseState::Broken => "broken",
            PromiseState::UnknownLog => "unknown_log",
        }
    }

    fn parse(word: &str) -> PromiseState {
        PromiseState::ALL.into_iter().find(|state| state.word() == word).unwrap_or(PromiseState::Open)
    }
}

/// A promise that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPromise {
    /// The certificate that carries it.
    pub hit_id: i64,
    /// The promise; its signature was verified before it was written.
    pub promise: Promise,
    /// How often the log denied it.
    pub denials: u32,
    /// Where the leaf was seen, in a part of the log that was proven.
    pub proven_index: Option<u64>,
}

/// The result of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The log.
    pub log_id: LogId,
    /// The leaf.
    pub leaf_hash: Hash,
    /// What became of the promise.
    pub state: PromiseState,
    /// How often the log denied it by now.
    pub denials: u32,
    /// When it was looked at.
    pub checked_at: Timestamp,
    /// When to look again, if it is open.
    pub next_check_at: Timestamp,
}

/// A promise as listed.
#[derive(Clone, Debug, Serialize)]
pub struct PromiseLine {
    /// The log's short name, or its ID when it is not followed.
    pub log: String,
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// When the promise was made, milliseconds.
    pub promised_at: Timestamp,
    /// When the leaf had to be in the log, milliseconds.
    pub due_at: Timestamp,
    /// What became of it.
    pub state: PromiseState,
}

/// A leaf of ours stands in a part of the log whose root was recomputed.
const PROVEN: &str = "NOT s.doubted AND (s.idx >= l.start_index AND s.idx < l.verified_size
    OR s.idx >= coalesce(b.start_index, 0) AND s.idx < coalesce(b.verified_size, 0))";

/// A tree head `t` that may convict a log by its date. What is dated later than it was seen, by more than clocks differ,
/// does not say what the tree was like at that time: that log is charged with its head from the future.
const DATED: &str = "t.outcome = 'verified' AND t.signed_at <= t.seen_at + 3600000";

/// Writes the promises of an examined certificate; those that are there stay.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    hit_id: i64,
    promises: &[Promise],
    now: Timestamp,
) -> rusqlite::Result<()> {
    for promise in promises {
        let state = match promise.signature {
            Signature::Valid => PromiseState::Open,
            Signature::UnknownLog => PromiseState::UnknownLog,
            // What the log did not sign it did not promise.
            Signature::Invalid(_) => continue,
        };
        transaction
            .prepare_cached(
                "INSERT INTO promises (log_id, leaf_hash, hit_id, leaf_index, promised_at, due_at, sct, state, next_check_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                promise.log_id.0,
                promise.leaf_hash,
                hit_id,
                promise.leaf_index,
                promise.promised_at.millis(),
                promise.due_at.millis(),
                promise.sct,
                state.word(),
                now.millis()
            ])?;
    }
    Ok(())
}

fn open_promise(row: &Row<'_>) -> rusqlite::Result<OpenPromise> {
    Ok(OpenPromise {
        promise: Promise {
            log_id: LogId(row.get(0)?),
            leaf_hash: row.get(1)?,
            leaf_index: row.get(3)?,
            promised_at: Timestamp::from_millis(row.get(4)?),
            due_at: Timestamp::from_millis(row.get(5)?),
            sct: row.get(6)?,
            signature: Signature::Valid,
        },
        hit_id: row.get(2)?,
        denials: row.get(7)?,
        proven_index: row.get(8)?,
    })
}

impl Books {
    /// Open promises whose next look is at `horizon` or earlier and that were not looked at since `since`.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn open_promises(
        &self,
        horizon: Timestamp,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<OpenPromise>, BooksError> {
        self.read(move |connection| {
            // A leaf is known by its entry (issuer key and TBSCertificate: the hit), its timestamp and its index.
            let mut statement = connection.prepare_cached(&format!(
                "SELECT p.log_id, p.leaf_hash, p.hit_id, p.leaf_index, p.promised_at, p.due_at, p.sct, p.denials,
                   (SELECT min(s.idx) FROM sightings AS s JOIN logs AS l ON l.log_id = s.log_id
                    LEFT JOIN backlogs AS b ON b.log_id = s.log_id
                    WHERE s.hit_id = p.hit_id AND s.log_id = p.log_id AND s.kind = 'precertificate'
                      AND s.logged_at = p.promised_at AND s.idx = coalesce(p.leaf_index, s.idx) AND {PROVEN})
                 FROM promises AS p WHERE state = 'open' AND next_check_at <= ?1 AND checked_at < ?2
                 ORDER BY next_check_at LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![horizon.millis(), since.millis(), limit as i64], open_promise)?;
            rows.collect()
        })
        .await
    }

    /// When the next look at a promise is due, if any is open.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn next_promise(&self) -> Result<Option<Timestamp>, BooksError> {
        self.read(|connection| {
            let sql = "SELECT min(next_check_at) FROM promises WHERE state = 'open'";
            Ok(connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp::from_millis))
        })
        .await
    }

    /// Writes what looking at promises has shown, in one transaction.
    ///
    /// # Errors
    /// Unusable books; then nothing was written and all are looked at again.
    pub async fn commit_promises(&self, looked: Vec<Looked>) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for one in &looked {
                transaction
                    .prepare_cached(
                        "UPDATE promises SET state = ?3, denials = ?4, checked_at = ?5, next_check_at = ?6
                         WHERE log_id = ?1 AND leaf_hash = ?2",
                    )?
                    .execute(params![
                        one.log_id.0,
                        one.leaf_hash,
                        one.state.word(),
                        one.denials,
                        one.checked_at.millis(),
                        one.next_check_at.millis()
                    ])?;
            }
            transaction.commit()
        })
        .await
    }

    /// The newest verified tree head of a log that ends at `index` or before it and was not dated ahead of its time.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn head_before(&self, key: LogKey, index: u64) -> Result<Option<SignedTreeHead>, BooksError> {
        let log_id = key.log_id();
        let row = self
            .read(move |connection| {
                let sql = format!(
                    "SELECT tree_size, signed_at, root_hash, signature FROM tree_heads AS t
                     WHERE log_id = ?1 AND tree_size <= ?2 AND {DATED} ORDER BY tree_size DESC LIMIT 1"
                );
                let row = connection.query_row(&sql, params![log_id.0, index], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                });
                row.optional()
            })
            .await?;
        // A head that no longer verifies is no evidence against anyone.
        Ok(row.and_then(|(size, signed_at, root_hash, signature)| {
            SignedTreeHead::reopen(size, Timestamp::from_millis(signed_at), root_hash, signature, &key).ok()
        }))
    }

    /// Index and timestamp of our entries in a part of a log whose newest verified tree head without them was signed
    /// `delay` or more after their timestamp; the first thousand.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn late_entries(
        &self,
        log_id: LogId,
        part: Range<u64>,
        delay: Span,
    ) -> Result<Vec<(u64, Timestamp)>, BooksError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT s.idx, s.logged_at FROM sightings AS s JOIN hits AS h USING (hit_id)
                 WHERE s.log_id = ?1 AND s.idx >= ?2 AND s.idx < ?3 AND NOT s.doubted AND h.standing = 'ours'
                   AND (SELECT t.signed_at FROM tree_heads AS t WHERE t.log_id = s.log_id AND {DATED}
                          AND t.tree_size <= s.idx
                        ORDER BY t.tree_size DESC LIMIT 1) - s.logged_at >= ?4
                 ORDER BY s.idx LIMIT 1000"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![log_id.0, part.start, part.end, delay.millis()], |row| {
                Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?)))
            })?;
            rows.collect()
        })
        .await
    }

    /// The bytes of a hit from which its precertificate entry can be made again, and its issuer's key.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn certificate_of(&self, hit_id: i64) -> Result<Option<(Form, Vec<u8>, KeyHash)>, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT c.form, c.der, h.issuer_key_hash FROM sightings AS s JOIN hits AS h USING (hit_id)
                       JOIN certificates AS c ON c.sha256 = s.certificate_sha256 WHERE s.hit_id = ?1 LIMIT 1";
            let row = connection.query_row(sql, params![hit_id], |row| {
                let form = if row.get::<_, String>(0)? == "tbs" { Form::Tbs } else { Form::Certificate };
                Ok((form, row.get(1)?, KeyHash(row.get(2)?)))
            });
            row.optional()
        })
        .await
    }

    /// How many promises are in each state.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn promise_counts(&self) -> Result<Vec<(PromiseState, u64)>, BooksError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT state, count(*) FROM promises GROUP BY state")?;
            let rows = statement
                .query_map([], |row| Ok((PromiseState::parse(&row.get::<_, String>(0)?), row.get::<_, u64>(1)?)))?;
            let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let count = |state| found.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            Ok(PromiseState::ALL.map(|state| (state, count(state))).to_vec())
        })
        .await
    }

    /// The unknown logs that made promises.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn unknown_logs(&self) -> Result<Vec<LogId>, BooksError> {
        self.read(|connection| {
            let sql = "SELECT DISTINCT log_id FROM promises WHERE state = 'unknown_log'";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok(LogId(row.get(0)?)))?;
            rows.collect()
        })
        .await
    }

    /// Has the certificates with promises of a log that has become known examined again, which writes them anew.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn examine_promises_of(&self, log_id: LogId, now: Timestamp) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE hits SET examine_at = ?2, version = version + 1 WHERE hit_id IN
                   (SELECT hit_id FROM promises WHERE state = 'unknown_log' AND log_id = ?1)",
                params![log_id.0, now.millis()],
            )?;
            transaction
                .execute("DELETE FROM promises WHERE state = 'unknown_log' AND log_id = ?1", params![log_id.0])?;
            transaction.commit()
        })
        .await
    }

    /// Promises that are broken or were not found kept by `now`, the latest first, at most `limit`.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn unkept_promises(&self, now: Timestamp, limit: u32) -> Result<Vec<PromiseLine>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare(&format!(
                "{LINES} WHERE state = 'broken' OR state = 'open' AND due_at <= ?1 ORDER BY due_at DESC LIMIT ?2"
            ))?;
            let rows = statement.query_map(params![now.millis(), limit], line)?;
            rows.collect()
        })
        .await
    }
}

const LINES: &str =
    "SELECT coalesce(l.name, ''), p.log_id, h.serial, p.promised_at, p.due_at, p.state FROM promises AS p
    JOIN hits AS h USING (hit_id) LEFT JOIN logs AS l ON l.log_id = p.log_id";

fn line(row: &Row<'_>) -> rusqlite::Result<PromiseLine> {
    let name: String = row.get(0)?;
    Ok(PromiseLine {
        log: if name.is_empty() { LogId(row.get(1)?).to_string() } else { name },
        serial: Serial(row.get(2)?).to_string(),
        promised_at: Timestamp::from_millis(row.get(3)?),
        due_at: Timestamp::from_millis(row.get(4)?),
        state: PromiseState::parse(&row.get::<_, String>(5)?),
    })
}

/// The promises of one certificate.
pub(super) fn of_certificate(connection: &Connection, key: &CaseKey) -> rusqlite::Result<Vec<PromiseLine>> {
    let mut statement = connection
        .prepare(&format!("{LINES} WHERE h.issuer_key_hash = ?1 AND h.serial = ?2 ORDER BY p.promised_at LIMIT 100"))?;
    let rows = statement.query_map(params![key.issuer_key_hash.0, key.serial.0], line)?;
    rows.collect()
}

#[cfg(test)]
mod tests;
