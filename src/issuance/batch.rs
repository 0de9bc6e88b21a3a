//! Batches that are sent again when their answer was lost: the same key gets the same answer, and nothing is done twice.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::{Span, Timestamp};
use crate::finding::escape;
use crate::issuance::lines::Format;
use crate::issuance::{Embedded, ImportSummary, IssuanceError, schema};

/// How long a key is remembered.
const REMEMBERED: Span = Span::from_days(7);

/// What became of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// It was imported now.
    Imported(ImportSummary),
    /// It was imported before under the same key; this was the answer.
    Replayed(Value),
}

impl Embedded {
    /// Imports a batch of NDJSON, all of it or nothing. `feed` is who sends it; a `key` of its own, remembered for a
    /// week, makes it one batch however often it is sent.
    ///
    /// # Errors
    /// As [`Embedded::import_reader`], and [`IssuanceError::KeyReused`]. In all cases nothing was imported.
    pub fn import_batch(
        &self,
        batch: &[u8],
        feed: &str,
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<Batch, IssuanceError> {
        let digest = hex::encode(Sha256::digest(batch));
        let reused = |key: &str| IssuanceError::KeyReused { key: escape(key.as_bytes(), 100) };
        if let Some(key) = key
            && let Some((sha256, answer)) = self.remembered(feed, key)?
        {
            return match sha256 == digest {
                true => Ok(Batch::Replayed(serde_json::from_str(&answer).unwrap_or_default())),
                false => Err(reused(key)),
            };
        }
        let remember = |tx: &Connection, summary: &ImportSummary| {
            let Some(key) = key else { return Ok(()) };
            tx.execute("DELETE FROM batches WHERE taken_at_ms < ?1", [now.minus(REMEMBERED).millis()])?;
            // Two senders of one batch at the same moment: the first one's answer is kept, and of another batch nothing.
            let sql = "INSERT INTO batches VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO UPDATE SET answer = answer WHERE sha256 = excluded.sha256";
            match tx.execute(sql, params![feed, key, digest, summary.to_json().to_string(), now.millis()])? {
                0 => Err(rusqlite::Error::StatementChangedRows(0)),
                _ => Ok(()),
            }
        };
        let format = Format::Ndjson(None);
        let imported = self.import(&mut &batch[..], format, Path::new("batch"), now, &remember);
        match (imported, key) {
            (Err(error), Some(key)) => match self.remembered(feed, key)? {
                Some((sha256, _)) if sha256 != digest => Err(reused(key)),
                _ => Err(error),
            },
            (imported, _) => imported.map(Batch::Imported),
        }
    }

    fn remembered(&self, feed: &str, key: &str) -> Result<Option<(String, String)>, IssuanceError> {
        let connection = schema::connect(self.path())?;
        let sql = "SELECT sha256, answer FROM batches WHERE feed = ?1 AND key = ?2";
        let found = connection.query_row(sql, [feed, key], |row| Ok((row.get(0)?, row.get(1)?))).optional();
        found.map_err(|error| schema::error(self.path(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    #[test]
    fn of_two_batches_under_one_key_one_is_taken_even_at_the_same_moment() {
        let directory = tempfile::tempdir().expect("a directory");
        let record = Embedded::open(directory.path()).expect("a database");
        let now = date(2026, 11, 22);
        for round in 0..20 {
            let key = format!("key {round}");
            let send = |who: &str| {
                let row = format!("{{\"table\":\"accounts\",\"account_id\":\"{who}{round}\",\"kind\":\"direct\"}}");
                record.import_batch(row.as_bytes(), "ra", Some(&key), now)
            };
            let taken = std::thread::scope(|scope| {
                let both = ["a", "b"].map(|who| scope.spawn(move || send(who)));
                both.map(|sender| sender.join().expect("an answer"))
            });
            let imported = taken.iter().filter(|answer| matches!(answer, Ok(Batch::Imported(_)))).count();
            let reused = taken.iter().filter(|a| matches!(a, Err(IssuanceError::KeyReused { .. }))).count();
            assert_eq!((imported, reused), (1, 1), "{taken:?}");
        }
        let accounts: i64 = schema::connect(record.path())
            .and_then(|connection| {
                let count = connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0));
                count.map_err(|error| schema::error(record.path(), error))
            })
            .expect("a count");
        assert_eq!(accounts, 20);
    }
}
