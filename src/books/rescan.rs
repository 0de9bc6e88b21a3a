//! What `ctwarden rescan` asks of the books: everything that was examined once, certificate by certificate.

use rusqlite::params;

use super::cases::{About, HIT_COLUMNS, load, load_forms, pending};
use super::{Books, BooksError, PendingHit};
use crate::case::CaseState;
use crate::clock::Timestamp;
use crate::finding::{CaseKey, KeyHash, Serial};

/// What the books hold about one issuer key and serial.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Issuer key and serial.
    pub key: CaseKey,
    /// Its hits: one, unless the serial was used twice.
    pub hits: Vec<PendingHit>,
    /// Its case with the findings on record, if there is one.
    pub case: Option<CaseState>,
}

impl Books {
    /// How many (issuer key, serial) there are whose hits were examined, logged at or after `since`.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn count_judged(&self, since: Option<Timestamp>) -> Result<u64, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT count(*) FROM (SELECT DISTINCT issuer_key_hash, serial FROM hits
                       WHERE examined > 0 AND first_logged_at >= ?1)";
            connection.query_row(sql, params![since.map_or(i64::MIN, Timestamp::millis)], |row| row.get(0))
        })
        .await
    }

    /// The next of them behind `after`, in the order of their keys, at most `limit`.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn judged_after(
        &self,
        after: Option<CaseKey>,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Judged>, BooksError> {
        self.read(move |connection| {
            // An empty blob is below every key.
            let (issuer, serial) =
                after.map_or((Vec::new(), Vec::new()), |key| (key.issuer_key_hash.0.to_vec(), key.serial.0));
            let mut keys = connection.prepare_cached(
                "SELECT DISTINCT issuer_key_hash, serial FROM hits
                 WHERE (issuer_key_hash, serial) > (?1, ?2) AND examined > 0 AND first_logged_at >= ?3
                 ORDER BY issuer_key_hash, serial LIMIT ?4",
            )?;
            let rows = keys
                .query_map(params![issuer, serial, since.map_or(i64::MIN, Timestamp::millis), limit as i64], |row| {
                    Ok(CaseKey { issuer_key_hash: KeyHash(row.get(0)?), serial: Serial(row.get(1)?) })
                })?;
            let keys = rows.collect::<rusqlite::Result<Vec<CaseKey>>>()?;
            let sql =
                format!("{HIT_COLUMNS} WHERE issuer_key_hash = ?1 AND serial = ?2 AND examined > 0 ORDER BY hit_id");
            let mut statement = connection.prepare_cached(&sql)?;
            let read = keys.into_iter().map(|key| {
                let rows = statement.query_map(params![key.issuer_key_hash.0, key.serial.0], pending)?;
                let mut hits = rows.collect::<rusqlite::Result<Vec<PendingHit>>>()?;
                load_forms(connection, &mut hits)?;
                // What no log shows any more was withdrawn: it is in no log, and nothing of it is kept to be judged.
                hits.retain(|hit| !hit.ders.is_empty());
                let case = load(connection, About::Certificate, &key)?;
                Ok(Judged { key, hits, case })
            });
            read.collect()
        })
        .await
    }

    /// Has hits examined once more by the daemon, at once. Returns how many of them were not waiting anyway.
    ///
    /// # Errors
    /// Unusable books; then none is handed over.
    pub async fn hand_over(&self, hits: Vec<i64>, now: Timestamp) -> Result<u64, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let mut handed = 0;
            for hit_id in hits {
                let sql =
                    "UPDATE hits SET examine_at = ?2 WHERE hit_id = ?1 AND (examine_at IS NULL OR examine_at > ?2)";
                handed += transaction.prepare_cached(sql)?.execute(params![hit_id, now.millis()])? as u64;
            }
            transaction.commit()?;
            Ok(handed)
        })
        .await
    }
}
