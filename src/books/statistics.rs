//! What is counted over many certificates: serial numbers by issuer, certificates by key.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Books, BooksError, Examination};
use crate::exam::{KeyUse, SerialStatistics};
use crate::finding::{KeyHash, Serial};

/// The most other certificates of a key that are looked at, the newest first.
const MOST_USES: u32 = 32;

/// What is known over many certificates before some more are examined.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// By issuer key.
    pub serials: HashMap<KeyHash, SerialStatistics>,
    /// By subject key: the hits that hold it.
    pub uses: HashMap<KeyHash, Vec<(i64, KeyUse)>>,
}

/// What is counted over many certificates as it is with one more.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The statistics of its issuer, unless a later examination of the same transaction has them.
    pub serials: Option<SerialStatistics>,
    /// For whom its key was certified.
    pub key_use: Option<KeyUse>,
}

impl Books {
    /// What is known of these issuers and of these keys.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn statistics(&self, issuers: Vec<KeyHash>, keys: Vec<KeyHash>) -> Result<Statistics, BooksError> {
        self.read(move |connection| {
            let mut known = Statistics::default();
            let sql = "SELECT statistics FROM serial_statistics WHERE issuer_key_hash = ?1";
            let mut serials = connection.prepare_cached(sql)?;
            for issuer in issuers {
                let bytes: Option<Vec<u8>> = serials.query_row(params![issuer.0], |row| row.get(0)).optional()?;
                // What cannot be read begins anew: it is counted, not evidence.
                let statistics = bytes.and_then(|bytes| SerialStatistics::from_bytes(&bytes)).unwrap_or_default();
                known.serials.insert(issuer, statistics);
            }
            let mut uses = connection.prepare_cached(
                "SELECT u.hit_id, h.serial, u.domain FROM key_uses AS u JOIN hits AS h USING (hit_id)
                 WHERE u.spki_sha256 = ?1 AND u.hit_id IN
                   (SELECT DISTINCT hit_id FROM key_uses WHERE spki_sha256 = ?1 ORDER BY hit_id DESC LIMIT ?2)
                 ORDER BY u.hit_id, u.domain",
            )?;
            for spki_sha256 in keys {
                let of_key: &mut Vec<(i64, KeyUse)> = known.uses.entry(spki_sha256).or_default();
                let mut rows = uses.query(params![spki_sha256.0, MOST_USES])?;
                while let Some(row) = rows.next()? {
                    let (hit_id, domain): (i64, String) = (row.get(0)?, row.get(2)?);
                    match of_key.last_mut().filter(|(last, _)| *last == hit_id) {
                        Some((_, same)) => same.domains.push(domain),
                        None => {
                            let serial = Serial(row.get(1)?);
                            of_key.push((hit_id, KeyUse { spki_sha256, serial, domains: vec![domain] }));
                        }
                    }
                }
            }
            Ok(known)
        })
        .await
    }
}

/// Writes what was counted with an examination.
pub(super) fn write(transaction: &Transaction<'_>, examination: &Examination) -> rusqlite::Result<()> {
    if let Some(statistics) = &examination.counted.serials {
        transaction
            .prepare_cached(
                "INSERT INTO serial_statistics (issuer_key_hash, statistics) VALUES (?1, ?2)
                 ON CONFLICT (issuer_key_hash) DO UPDATE SET statistics = excluded.statistics",
            )?
            .execute(params![examination.key.issuer_key_hash.0, statistics.to_bytes()])?;
    }
    for key_use in examination.counted.key_use.iter() {
        for domain in &key_use.domains {
            transaction
                .prepare_cached(
                    "INSERT INTO key_uses (spki_sha256, hit_id, domain) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                )?
                .execute(params![key_use.spki_sha256.0, examination.hit_id, domain])?;
        }
    }
    Ok(())
}
