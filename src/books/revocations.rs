//! What is known of the CRLs of our issuers, and which of the serial numbers that are looked for were seen on them.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::cases::{About, Told as ToldAbout, commit_each, ders, fold_and_tell, load};
use super::matters::{end_findings, end_rule, resolve, set_state, state};
use super::walks::{as_seen, serial_forms};
use super::{Books, BooksError, Opened};
use crate::case::{CertificateFacts, EntryKind};
use crate::clock::Timestamp;
use crate::finding::{CaseKey, Finding, KeyHash, RevocationClock, Serial};
use crate::status::crls::Before;
use crate::watch::Form;

/// A CRL of one of our issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// SHA-256 of the issuer's key.
    pub issuer: KeyHash,
    /// Where it is.
    pub url: String,
    /// The last good one.
    pub before: Option<Before>,
    /// The nextUpdate of the last good one.
    pub next_update: Option<Timestamp>,
    /// When one was last found good.
    pub good_at: Option<Timestamp>,
    /// Since when none could be fetched.
    pub failing_since: Option<Timestamp>,
}

/// A serial number that was seen on a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Where.
    pub url: String,
    /// revocationDate of the entry.
    pub revoked_at: Option<Timestamp>,
    /// CRLReason of the entry.
    pub reason: u8,
    /// When it was first seen there.
    pub seen_at: Timestamp,
}

/// A certificate that is looked for on the CRLs because it has a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Issuer key and serial number, without sign octet.
    pub key: CaseKey,
    /// The clock of the case, and since when it runs; where there is none, since when there is a case.
    pub case: (Timestamp, RevocationClock),
    /// Whether the case is to be told as soon as it is on a CRL: it has a deadline, or is about its absence there.
    pub is_awaited: bool,
    /// Whether the case holds that the record and a CRL disagree, for as long as they do.
    pub is_disputed: bool,
}

/// A serial number that was seen on a CRL before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The serial number, without sign octet.
    pub serial: Vec<u8>,
    /// When it was first seen there.
    pub seen_at: Timestamp,
    /// The end of its validity, if it was known then.
    pub not_after: Option<Timestamp>,
}

/// What became of one certificate.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Issuer key and serial number.
    pub key: CaseKey,
    /// The end of its validity, if it is known.
    pub not_after: Option<Timestamp>,
    /// On a CRL, for the first time or when its case is to be told.
    pub listed: Option<Listing>,
    /// Whether the record says that it is revoked, and no CRL has it yet.
    pub is_on_its_way: bool,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The rules of what was wrong and is right now, each with what has put it right.
    pub ended: Vec<(&'static str, String)>,
    /// The certificate as shown to people.
    pub certificate: CertificateFacts,
    /// The record as shown to people.
    pub record: Vec<(String, String)>,
}

/// Serial numbers that are read at once; others who read the books have their turn between two pages.
const SEEN_PAGE: i64 = 20_000;

impl Books {
    /// Hits of ours after this number: their numbers, issuers and bytes, one form each.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn hits_after(
        &self,
        hit_id: i64,
        limit: usize,
    ) -> Result<Vec<(i64, KeyHash, Form, Vec<u8>)>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT h.hit_id, h.issuer_key_hash, c.form, c.der FROM hits AS h
                 JOIN certificates AS c ON c.sha256 =
                   (SELECT certificate_sha256 FROM sightings AS s WHERE s.hit_id = h.hit_id LIMIT 1)
                 WHERE h.hit_id > ?1 AND h.standing = 'ours' ORDER BY h.hit_id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![hit_id, limit as i64], |row| {
                let form = if row.get::<_, String>(2)? == "tbs" { Form::Tbs } else { Form::Certificate };
                Ok((row.get(0)?, KeyHash(row.get(1)?), form, row.get(3)?))
            })?;
            rows.collect()
        })
        .await
    }

    /// Puts down which CRLs certificates name, until when, and up to which hit they were looked at.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn note_crls(&self, named: Vec<(KeyHash, String, Timestamp)>, hit_id: i64) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for (issuer, url, until) in &named {
                let sql = "INSERT INTO crls (issuer_key_hash, url, named_until) VALUES (?1, ?2, ?3)
                           ON CONFLICT DO UPDATE SET named_until = max(named_until, excluded.named_until)";
                transaction.prepare_cached(sql)?.execute(params![issuer.0, url, until.millis()])?;
            }
            let sql = "INSERT INTO walks (walk, position) VALUES ('crls', ?1)
                       ON CONFLICT DO UPDATE SET position = max(position, excluded.position)";
            transaction.execute(sql, [hit_id])?;
            transaction.commit()
        })
        .await
    }

    /// The CRLs that certificates of an issuer name which are valid at `now`, at most `limit`; and how many there are.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn crls_of(
        &self,
        issuer: KeyHash,
        now: Timestamp,
        limit: usize,
    ) -> Result<(Vec<CrlRow>, u64), BooksError> {
        self.read(move |connection| {
            let columns =
                "SELECT issuer_key_hash, url, number, this_update, next_update, sha256, good_at, failing_since";
            let mut statement = connection.prepare_cached(&format!(
                "{columns} FROM crls WHERE issuer_key_hash = ?1 AND named_until >= ?2 ORDER BY url LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![issuer.0, now.millis(), limit as i64], crl_row)?;
            let rows = rows.collect::<rusqlite::Result<Vec<CrlRow>>>()?;
            let sql = "SELECT count(*) FROM crls WHERE issuer_key_hash = ?1 AND named_until >= ?2";
            let count = connection.query_row(sql, params![issuer.0, now.millis()], |row| row.get(0))?;
            Ok((rows, count))
        })
        .await
    }

    /// Puts down how the reading of a CRL ended.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_crl(&self, row: CrlRow) -> Result<(), BooksError> {
        self.write(move |connection| {
            let before = row.before.as_ref();
            connection
                .execute(
                    "UPDATE crls SET number = ?3, this_update = ?4, next_update = ?5, sha256 = ?6, good_at = ?7,
                            failing_since = ?8 WHERE issuer_key_hash = ?1 AND url = ?2",
                    params![
                        row.issuer.0,
                        row.url,
                        before.map(|before| &before.number),
                        before.map(|before| before.this_update.millis()),
                        row.next_update.map(Timestamp::millis),
                        before.map(|before| before.sha256),
                        row.good_at.map(Timestamp::millis),
                        row.failing_since.map(Timestamp::millis)
                    ],
                )
                .map(drop)
        })
        .await
    }

    /// The certificates of an issuer with a case that is not closed, by serial number without sign octet.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn followed(&self, issuer: KeyHash) -> Result<HashMap<Vec<u8>, Followed>, BooksError> {
        self.read(move |connection| {
            let bare = |serial: &Vec<u8>| crate::cert::crl::magnitude(serial).to_vec();
            let mut followed: HashMap<Vec<u8>, Followed> = HashMap::new();
            let mut statement = connection.prepare_cached(
                "SELECT serial, clock, due_at,
                   state <> 'seen_on_crl' AND (due_at IS NOT NULL OR EXISTS
                     (SELECT 1 FROM case_findings AS f WHERE f.case_number = c.case_number AND rule = 'status.crl')),
                   EXISTS (SELECT 1 FROM case_findings AS f WHERE f.case_number = c.case_number
                     AND (finding ->> '$.clock.Day' IN (3, 4) OR finding ->> '$.clock.FiveDays' = 16)),
                   EXISTS (SELECT 1 FROM case_findings AS f WHERE f.case_number = c.case_number
                     AND rule IN ('status.record', 'status.reason') AND ended_at IS NULL),
                   opened_at
                 FROM cases AS c WHERE about = 'certificate' AND issuer_key_hash = ?1 AND state <> 'closed'",
            )?;
            let mut rows = statement.query(params![issuer.0])?;
            while let Some(row) = rows.next()? {
                let serial = bare(&row.get(0)?);
                let clock = clock_of(&row.get::<_, String>(1)?, row.get(4)?);
                let due_at = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis);
                let since = due_at.zip(clock.span()).map(|(due_at, span)| due_at.minus(span));
                let key = CaseKey { issuer_key_hash: issuer, serial: Serial(serial.clone()) };
                let case = (since.unwrap_or(Timestamp::from_millis(row.get(6)?)), clock);
                followed.insert(serial, Followed { key, case, is_awaited: row.get(3)?, is_disputed: row.get(5)? });
            }
            Ok(followed)
        })
        .await
    }

    /// Gives `take` the certificates of an issuer that were seen on its CRLs and have not expired, and hands back `into`.
    /// Of a large CA there are millions: they are never all in memory here.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn seen_on_crls<T: Send + 'static>(
        &self,
        issuer: KeyHash,
        now: Timestamp,
        mut into: T,
        take: fn(&mut T, Seen),
    ) -> Result<T, BooksError> {
        // Every octet string is greater than every text (https://sqlite.org/datatype3.html, 4.1), that of number 0 too.
        let mut after = Some(rusqlite::types::Value::Text(String::new()));
        while let Some(from) = after {
            let page = self.read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT serial, seen_at, not_after FROM listed WHERE issuer_key_hash = ?1 AND serial > ?2
                     AND (not_after IS NULL OR not_after > ?3) ORDER BY serial LIMIT ?4",
                )?;
                let mut rows = statement.query(params![issuer.0, from, now.millis(), SEEN_PAGE])?;
                let (mut count, mut last) = (0, None);
                while let Some(row) = rows.next()? {
                    let (serial, seen_at) = (row.get::<_, Vec<u8>>(0)?, Timestamp::from_millis(row.get(1)?));
                    let not_after = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis);
                    count += 1;
                    last = (count == SEEN_PAGE).then(|| serial.clone().into());
                    take(&mut into, Seen { serial, seen_at, not_after });
                }
                Ok((into, last))
            });
            (into, after) = page.await?;
        }
        Ok(into)
    }

    /// The issuer's name and the forms in which a certificate was seen; `None`: in none.
    ///
    /// # Errors
    /// Unusable books.
    #[allow(clippy::type_complexity)]
    pub async fn forms_of(
        &self,
        key: CaseKey,
    ) -> Result<Option<(String, Vec<(EntryKind, Form, Vec<u8>)>)>, BooksError> {
        self.read(move |connection| {
            let [bare, signed] = serial_forms(&key.serial);
            let sql = "SELECT hit_id, issuer FROM hits WHERE issuer_key_hash = ?1 AND serial IN (?2, ?3) LIMIT 1";
            let hit = connection
                .prepare_cached(sql)?
                .query_row(params![key.issuer_key_hash.0, bare, signed], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
                .optional()?;
            let Some((hit_id, issuer)) = hit else { return Ok(None) };
            Ok(Some((issuer, ders(connection, hit_id)?)))
        })
        .await
    }

    /// Writes what comparing certificates with the CRLs has shown; the cases that are news.
    ///
    /// # Errors
    /// Unusable books; then nothing was written, and all are compared again.
    pub async fn commit_sights(
        &self,
        sights: Vec<Sight>,
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Vec<Opened>, BooksError> {
        self.write(move |connection| {
            commit_each(connection, &sights, |transaction, sight| commit_one(transaction, sight, &recipients, now))
        })
        .await
    }
}

/// The clock of a case by its word; of the items of BR 4.9.1.1 only whether one is about the key matters.
fn clock_of(word: &str, is_about_key: bool) -> RevocationClock {
    let clocks = [
        RevocationClock::Day(if is_about_key { 4 } else { 5 }),
        RevocationClock::FiveDays(if is_about_key { 16 } else { 12 }),
    ];
    clocks.into_iter().find(|clock| clock.word() == word).unwrap_or(RevocationClock::None)
}

/// What was on a CRL and is gone from it is told anew: its case has said before that it is there.
fn reopen(transaction: &Transaction<'_>, key: &CaseKey, now: Timestamp) -> rusqlite::Result<()> {
    let Some(case) = load(transaction, About::Certificate, key)? else { return Ok(()) };
    if state(transaction, About::Certificate, key)? == "seen_on_crl" {
        end_findings(transaction, case.number, Some("status.crl"), now)?;
        set_state(transaction, About::Certificate, key, "new")?;
    }
    Ok(())
}

fn crl_row(row: &Row<'_>) -> rusqlite::Result<CrlRow> {
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|millis| millis.map(Timestamp::from_millis));
    let (number, this_update, sha256) = (row.get::<_, Option<Vec<u8>>>(2)?, moment(3)?, row.get(5)?);
    let before = number.zip(this_update).zip(sha256);
    Ok(CrlRow {
        issuer: KeyHash(row.get(0)?),
        url: row.get(1)?,
        before: before.map(|((number, this_update), sha256)| Before { number, this_update, sha256 }),
        next_update: moment(4)?,
        good_at: moment(6)?,
        failing_since: moment(7)?,
    })
}

fn commit_one(
    transaction: &Transaction<'_>,
    sight: &Sight,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Opened>> {
    let key = as_seen(transaction, &sight.key)?;
    if let Some(listed) = &sight.listed {
        let [bare, _] = serial_forms(&key.serial);
        let sql = "INSERT INTO listed (issuer_key_hash, serial, url, revoked_at, reason, seen_at, not_after)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        transaction.prepare_cached(sql)?.execute(params![
            key.issuer_key_hash.0,
            bare,
            listed.url,
            listed.revoked_at.map(Timestamp::millis),
            listed.reason,
            listed.seen_at.millis(),
            sight.not_after.map(Timestamp::millis)
        ])?;
        let at = listed.revoked_at.map_or(String::new(), |at| format!(", revoked at {at}"));
        let url = crate::finding::escape(listed.url.as_bytes(), 200);
        let words = format!("the serial number is on the CRL {url}{at}, reason {}", listed.reason);
        resolve(transaction, (About::Certificate, &key), "seen_on_crl", &words, recipients, now)?;
    } else {
        if sight.findings.iter().any(|finding| finding.rule == "status.crl") {
            reopen(transaction, &key, now)?;
        }
        let is_known = load(transaction, About::Certificate, &key)?.is_some();
        if sight.is_on_its_way && is_known && state(transaction, About::Certificate, &key)? == "new" {
            set_state(transaction, About::Certificate, &key, "revoked_in_db")?;
        }
    }
    let told = ToldAbout {
        key: &key,
        certificate: &sight.certificate,
        record: sight.record.clone(),
        not_evaluable: Vec::new(),
    };
    let opened = fold_and_tell(transaction, told, &sight.findings, recipients, now)?;
    for (rule, words) in &sight.ended {
        end_rule(transaction, &key, (rule, words), recipients, now)?;
    }
    Ok(opened)
}
