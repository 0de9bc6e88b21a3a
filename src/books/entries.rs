//! Door 1: the position in a log and what was seen on the way there, in one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::Digest;

use super::backlog::HAS_HOLE;
use super::{Books, BooksError};
use crate::case::EntryKind;
use crate::clock::Timestamp;
use crate::ct::compact_range::CompactRange;
use crate::ct::key::{LogId, LogKey};
use crate::ct::sth::SignedTreeHead;
use crate::watch::{Form, Hit, Standing};

/// Malformed entries of one log that are kept as evidence: a log that never keeps to the form must not fill the disk.
const MOST_MALFORMED: usize = 10_000;

/// Where we stand in a log: two positions, never one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where following began; entries below it were never read.
    pub start_index: u64,
    /// All entries below its size were read and searched.
    pub downloaded: CompactRange,
    /// All entries below its size were hashed into a root that the log has signed.
    pub verified: CompactRange,
    /// Between the two are entries that the log did not serve and whose hashes are not known: no root can fit.
    pub has_hole: bool,
}

impl Position {
    /// Where everything that was read is proven, or nothing was read yet.
    pub fn proven(edge: CompactRange) -> Position {
        Position { start_index: edge.size(), downloaded: edge.clone(), verified: edge, has_hole: false }
    }
}

/// Which of the two positions in a log moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The one that follows the head.
    Live,
    /// The one that catches up below it.
    Backlog,
}

impl Lane {
    /// The table that holds it.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Lane::Live => "logs",
            Lane::Backlog => "backlogs",
        }
    }
}

/// What one response held: entries from `start_index` on, already appended to `downloaded`.
#[derive(Clone, Debug)]
pub struct NewEntries {
    /// The log.
    pub log_id: LogId,
    /// The position after these entries and which one it is; `None` when entries that were lost are read late.
    pub downloaded: Option<(Lane, CompactRange)>,
    /// Entries of ours among them.
    pub hits: Vec<Hit>,
    /// Entries that are not of the form the standard gives them: (index, reason, bytes).
    pub malformed: Vec<(u64, String, Vec<u8>)>,
    /// When they were read.
    pub seen_at: Timestamp,
}

/// A tree head whose root was recomputed from the entries.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The log.
    pub log_id: LogId,
    /// Which position is verified.
    pub lane: Lane,
    /// The head.
    pub head: SignedTreeHead,
    /// The compact range of exactly that size.
    pub verified: CompactRange,
    /// When.
    pub seen_at: Timestamp,
}

impl Books {
    /// The position in a log, or `None` when it was never followed.
    ///
    /// # Errors
    /// Unusable books; also a stored position that is not one.
    pub async fn position(&self, log_id: LogId) -> Result<Option<Position>, BooksError> {
        let row = self
            .read(move |connection| {
                let sql =
                    format!("SELECT start_index, downloaded, verified, {} FROM logs AS l WHERE log_id = ?1", HAS_HOLE);
                connection
                    .query_row(&sql, params![log_id.0], |row| {
                        Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?, row.get(3)?))
                    })
                    .optional()
            })
            .await?;
        let Some((start_index, downloaded, verified, has_hole)) = row else { return Ok(None) };
        match (CompactRange::from_bytes(&downloaded), CompactRange::from_bytes(&verified)) {
            (Ok(downloaded), Ok(verified)) => Ok(Some(Position { start_index, downloaded, verified, has_hole })),
            _ => {
                let reason = format!("the position in log {log_id} is not a compact range");
                Err(BooksError::Damaged { path: self.path().to_path_buf(), reason })
            }
        }
    }

    /// Writes the first position in a log; one that is already there stays.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn begin_log(
        &self,
        log_id: LogId,
        name: &str,
        start: &Position,
        now: Timestamp,
    ) -> Result<(), BooksError> {
        let (name, start) = (name.to_string(), start.clone());
        self.write(move |connection| {
            connection
                .execute(
                    "INSERT INTO logs (log_id, name, start_index, downloaded_size, downloaded, verified_size, verified, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (log_id) DO UPDATE SET name = excluded.name",
                    params![
                        log_id.0, name, start.start_index, start.downloaded.size(), start.downloaded.to_bytes(),
                        start.verified.size(), start.verified.to_bytes(), now.millis()
                    ],
                )
                .map(|_| ())
        })
        .await
    }

    /// Puts down what the log list calls these logs now; those that were never begun are passed over.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn name_logs(&self, names: Vec<(LogId, String)>) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for (log_id, name) in names {
                let sql = "UPDATE logs SET name = ?2 WHERE log_id = ?1 AND name <> ?2";
                transaction.execute(sql, params![log_id.0, name])?;
            }
            transaction.commit()
        })
        .await
    }

    /// Door 1. Returns the hits that were new, by issuer and kind, for the counters: the same certificate in a second
    /// log is no new hit.
    ///
    /// # Errors
    /// Unusable books; then neither the position nor a hit was written.
    pub async fn commit_entries(&self, new: NewEntries) -> Result<Vec<(String, EntryKind, u64)>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let mut counted: HashMap<(String, EntryKind), u64> = HashMap::new();
            for hit in &new.hits {
                if insert_hit(&transaction, &new, hit)? {
                    *counted.entry((hit.issuer.clone(), hit.kind)).or_insert(0) += 1;
                }
            }
            let room = match new.malformed.is_empty() {
                true => 0,
                false => {
                    let sql = "SELECT count(*) FROM malformed WHERE log_id = ?1";
                    MOST_MALFORMED.saturating_sub(transaction.query_row(sql, params![new.log_id.0], |row| row.get(0))?)
                }
            };
            for (index, reason, bytes) in new.malformed.iter().take(room) {
                transaction
                    .prepare_cached(
                        "INSERT INTO malformed (log_id, idx, reason, bytes, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![new.log_id.0, index, reason, bytes, new.seen_at.millis()])?;
            }
            if let Some((lane, downloaded)) = &new.downloaded {
                let sql =
                    format!("UPDATE {} SET downloaded_size = ?2, downloaded = ?3 WHERE log_id = ?1", lane.table());
                transaction.prepare_cached(&sql)?.execute(params![
                    new.log_id.0,
                    downloaded.size(),
                    downloaded.to_bytes()
                ])?;
            }
            transaction
                .prepare_cached("UPDATE logs SET updated_at = ?2 WHERE log_id = ?1")?
                .execute(params![new.log_id.0, new.seen_at.millis()])?;
            transaction.commit()?;
            Ok(counted.into_iter().map(|((issuer, kind), count)| (issuer, kind, count)).collect())
        })
        .await
    }

    /// Moves the verified position to a head whose root was recomputed, and keeps the head. What was read there at
    /// first and not again is not in the log: its sightings go, and a case that they opened stays.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_seal(&self, seal: Seal) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            withdraw(&transaction, &seal)?;
            // A root that fits has no hole in it: what was lost there once has been read.
            transaction.execute(
                &format!(
                    "UPDATE gaps SET filled_at = ?3 WHERE log_id = ?1 AND NOT hashed AND filled_at IS NULL
                     AND end_index <= ?2 AND start_index >= (SELECT verified_size FROM {} WHERE log_id = ?1)",
                    seal.lane.table()
                ),
                params![seal.log_id.0, seal.verified.size(), seal.seen_at.millis()],
            )?;
            transaction.execute(
                &format!(
                    "UPDATE {} SET verified_size = ?2, verified = ?3 WHERE log_id = ?1 AND verified_size <= ?2",
                    seal.lane.table()
                ),
                params![seal.log_id.0, seal.verified.size(), seal.verified.to_bytes()],
            )?;
            transaction.execute(
                "UPDATE logs SET updated_at = ?2 WHERE log_id = ?1",
                params![seal.log_id.0, seal.seen_at.millis()],
            )?;
            // A log may sign a head a second. The first of each hour and the newest are enough to convict it of a
            // fork; the others would grow by a million rows a day.
            let hour_began = seal.seen_at.millis() - seal.seen_at.millis().rem_euclid(3_600_000);
            transaction.execute(
                "DELETE FROM tree_heads WHERE log_id = ?1 AND outcome = 'verified' AND tree_size < ?2 AND seen_at >
                   (SELECT min(seen_at) FROM tree_heads
                    WHERE log_id = ?1 AND outcome = 'verified' AND seen_at >= ?3)",
                params![seal.log_id.0, seal.head.tree_size(), hour_began],
            )?;
            insert_head(&transaction, seal.log_id, &seal.head, seal.seen_at, "verified")?;
            transaction.commit()
        })
        .await
    }

    /// Moves the downloaded position back to the verified one, so that a range is read again. What was seen in that
    /// range is doubted until it is seen there again; it is examined and told all the same.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn rewind(&self, log_id: LogId, lane: Lane) -> Result<(), BooksError> {
        self.write(move |connection| {
            let (table, transaction) = (lane.table(), connection.transaction()?);
            transaction.execute(
                &format!(
                    "UPDATE sightings SET doubted = 1 WHERE log_id = ?1
                     AND idx >= (SELECT verified_size FROM {table} WHERE log_id = ?1)
                     AND idx < (SELECT downloaded_size FROM {table} WHERE log_id = ?1)"
                ),
                params![log_id.0],
            )?;
            transaction.execute(
                &format!("UPDATE {table} SET downloaded_size = verified_size, downloaded = verified WHERE log_id = ?1"),
                params![log_id.0],
            )?;
            transaction.commit()
        })
        .await
    }

    /// The tree head that was verified at exactly this size earlier, if one is kept.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn verified_head(&self, key: LogKey, tree_size: u64) -> Result<Option<SignedTreeHead>, BooksError> {
        let log_id = key.log_id();
        let row = self
            .read(move |connection| {
                let sql = "SELECT signed_at, root_hash, signature FROM tree_heads
                           WHERE log_id = ?1 AND tree_size = ?2 AND outcome = 'verified'";
                connection
                    .query_row(sql, params![log_id.0, tree_size], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()
            })
            .await?;
        // A head that no longer verifies is no evidence against anyone.
        Ok(row.and_then(|(signed_at, root_hash, signature)| {
            SignedTreeHead::reopen(tree_size, Timestamp::from_millis(signed_at), root_hash, signature, &key).ok()
        }))
    }
}

/// Takes back the sightings that the root of the seal disproves, and the examinations of hits that were seen nowhere
/// else.
fn withdraw(transaction: &Transaction<'_>, seal: &Seal) -> rusqlite::Result<()> {
    let sql = format!(
        "DELETE FROM sightings WHERE log_id = ?1 AND doubted AND idx < ?2
         AND idx >= (SELECT verified_size FROM {} WHERE log_id = ?1) RETURNING hit_id",
        seal.lane.table()
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params![seal.log_id.0, seal.verified.size()], |row| row.get(0))?;
    for hit_id in rows.collect::<rusqlite::Result<Vec<i64>>>()? {
        transaction
            .prepare_cached(
                "UPDATE hits SET examine_at = NULL, version = version + 1 WHERE hit_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM sightings AS s WHERE s.hit_id = hits.hit_id)",
            )?
            .execute(params![hit_id])?;
        // Nobody is asked about what was in no log.
        transaction
            .prepare_cached(
                "DELETE FROM opinions WHERE hit_id = ?1 AND next_try_at IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM sightings AS s WHERE s.hit_id = opinions.hit_id)",
            )?
            .execute(params![hit_id])?;
    }
    Ok(())
}

/// Inserts a hit with its sighting; true when the hit was never seen before as a (pre)certificate.
fn insert_hit(transaction: &Transaction<'_>, new: &NewEntries, hit: &Hit) -> rusqlite::Result<bool> {
    let (seen_at, kind) = (new.seen_at.millis(), hit.kind.word());
    let digest: [u8; 32] = sha2::Sha256::digest(&hit.der).into();
    let form = if hit.form == Form::Certificate { "certificate" } else { "tbs" };
    transaction
        .prepare_cached("INSERT INTO certificates (sha256, form, der) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![digest, form, hit.der])?;
    let (hit_id, promoted) = hold_hit(transaction, new, hit)?;
    let exists = |sql: &str, value: &dyn rusqlite::ToSql| {
        transaction.prepare_cached(sql)?.exists(rusqlite::params![hit_id, value])
    };
    let seen_kind = exists("SELECT 1 FROM sightings WHERE hit_id = ?1 AND kind = ?2", &kind)?;
    let seen_form = exists("SELECT 1 FROM sightings WHERE hit_id = ?1 AND certificate_sha256 = ?2", &digest)?;
    // Every form is examined once: two certificates of one serial may differ in nothing but their SCTs. More
    // sightings of the same octets say nothing new.
    if !seen_form || promoted {
        transaction
            .prepare_cached("UPDATE hits SET examine_at = ?2, version = version + 1 WHERE hit_id = ?1")?
            .execute(params![hit_id, seen_at])?;
    }
    // What is read a second time at the same place confirms the first reading; what is read there instead of it is a
    // sighting of its own, because only a root can say which of the two is in the log.
    transaction
        .prepare_cached(
            "INSERT INTO sightings (log_id, idx, hit_id, kind, logged_at, seen_at, certificate_sha256)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (log_id, idx, certificate_sha256) DO UPDATE SET doubted = 0, hit_id = excluded.hit_id",
        )?
        .execute(params![new.log_id.0, hit.index, hit_id, kind, hit.logged_at.millis(), seen_at, digest])?;
    Ok(!seen_kind)
}

/// The row of a hit, made or brought up to date, and whether it became ours with this sighting: an issuer may be
/// added to the configuration after certificates of it were kept as somebody else's.
fn hold_hit(transaction: &Transaction<'_>, new: &NewEntries, hit: &Hit) -> rusqlite::Result<(i64, bool)> {
    let key = params![hit.key.issuer_key_hash.0, hit.key.serial.0, hit.core_sha256];
    let held: Option<(i64, String)> = transaction
        .prepare_cached(
            "SELECT hit_id, standing FROM hits WHERE issuer_key_hash = ?1 AND serial = ?2 AND core_sha256 = ?3",
        )?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((hit_id, standing)) = held else {
        let hit_id = transaction
            .prepare_cached(
                "INSERT INTO hits (issuer_key_hash, serial, core_sha256, standing, issuer, remark, first_logged_at,
                                   first_seen_at, examine_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) RETURNING hit_id",
            )?
            .query_row(
                params![
                    hit.key.issuer_key_hash.0,
                    hit.key.serial.0,
                    hit.core_sha256,
                    hit.standing.word(),
                    hit.issuer,
                    hit.remark,
                    hit.logged_at.millis(),
                    new.seen_at.millis()
                ],
                |row| row.get(0),
            )?;
        return Ok((hit_id, false));
    };
    transaction
        .prepare_cached("UPDATE hits SET first_logged_at = min(first_logged_at, ?2) WHERE hit_id = ?1")?
        .execute(params![hit_id, hit.logged_at.millis()])?;
    let promoted = hit.standing == Standing::Ours && standing != Standing::Ours.word();
    if promoted {
        transaction
            .prepare_cached("UPDATE hits SET standing = ?2, issuer = ?3 WHERE hit_id = ?1")?
            .execute(params![hit_id, hit.standing.word(), hit.issuer])?;
    }
    Ok((hit_id, promoted))
}

pub(super) fn insert_head(
    connection: &Connection,
    log_id: LogId,
    head: &SignedTreeHead,
    seen_at: Timestamp,
    outcome: &str,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO tree_heads (log_id, tree_size, root_hash, signed_at, signature, seen_at, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                log_id.0,
                head.tree_size(),
                head.root_hash(),
                head.timestamp().millis(),
                head.signature(),
                seen_at.millis(),
                outcome
            ],
        )
        .map(|_| ())
}
