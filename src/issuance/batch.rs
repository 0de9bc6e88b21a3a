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
        if let Some(key) = key
            && let Some((sha256, answer)) = self.remembered(feed, key)?
        {
            return match sha256 == digest {
                true => Ok(Batch::Replayed(serde_json::from_str(&answer).unwrap_or_default())),
                false => Err(IssuanceError::KeyReused { key: escape(key.as_bytes(), 100) }),
            };
        }
        let remember = |tx: &Connection, summary: &ImportSummary| {
            let Some(key) = key else { return Ok(()) };
            tx.execute("DELETE FROM batches WHERE taken_at_ms < ?1", [now.minus(REMEMBERED).millis()])?;
            // Two senders of one batch at the same moment: the first one's answer is kept.
            let sql = "INSERT INTO batches VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            tx.execute(sql, params![feed, key, digest, summary.to_json().to_string(), now.millis()])?;
            Ok(())
        };
        let format = Format::Ndjson(None);
        self.import(&mut &batch[..], format, Path::new("batch"), now, &remember).map(Batch::Imported)
    }

    fn remembered(&self, feed: &str, key: &str) -> Result<Option<(String, String)>, IssuanceError> {
        let connection = schema::connect(self.path())?;
        let sql = "SELECT sha256, answer FROM batches WHERE feed = ?1 AND key = ?2";
        let found = connection.query_row(sql, [feed, key], |row| Ok((row.get(0)?, row.get(1)?))).optional();
        found.map_err(|error| schema::error(self.path(), error))
    }
}
