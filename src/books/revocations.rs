//! What is known of the CRLs of our issuers, and which of the serial numbers that are looked for were seen on them.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::cases::{About, Told as ToldAbout, commit_each, ders, fold_and_tell, load};
use super::matters::{resolve, set_state, state};
use super::walks::{as_seen, serial_forms};
use super::{Books, BooksError, Opened};
use crate::case::{CertificateFacts, EntryKind};
use crate::clock::{DAY, Span, Timestamp};
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
    /// When the case was opened, and its clock.
    pub case: (Timestamp, RevocationClock),
    /// Whether the case is to be told as soon as it is on a CRL: it has a deadline, or is about its absence there.
    pub is_awaited: bool,
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
    /// Whether the record says that it is revoked.
    pub revoked_in_db: bool,
    /// What is wrong.
    pub findings: Vec<Finding>,
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
                "SELECT serial, opened_at, due_at,
                   state <> 'seen_on_crl' AND (due_at IS NOT NULL OR EXISTS
                     (SELECT 1 FROM case_findings AS f WHERE f.case_number = c.case_number AND rule = 'status.crl')),
                   EXISTS (SELECT 1 FROM case_findings AS f WHERE f.case_number = c.case_number
                     AND (finding ->> '$.clock.Day' IN (3, 4) OR finding ->> '$.clock.FiveDays' = 16))
                 FROM cases AS c WHERE about = 'certificate' AND issuer_key_hash = ?1 AND state <> 'closed'",
            )?;
            let mut rows = statement.query(params![issuer.0])?;
            while let Some(row) = rows.next()? {
                let serial = bare(&row.get(0)?);
                let (opened_at, due_at) = (row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?);
                let clock = clock_of(due_at.map(|due_at| Span::from_millis(due_at - opened_at)), row.get(4)?);
                let key = CaseKey { issuer_key_hash: issuer, serial: Serial(serial.clone()) };
                let case = (Timestamp::from_millis(opened_at), clock);
                followed.insert(serial, Followed { key, case, is_awaited: row.get(3)? });
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

/// The clock of a case by its time; of the items of BR 4.9.1.1 only whether one is about the key matters.
fn clock_of(span: Option<Span>, is_about_key: bool) -> RevocationClock {
    match span {
        None => RevocationClock::None,
        Some(span) if span <= DAY => RevocationClock::Day(if is_about_key { 4 } else { 5 }),
        Some(_) => RevocationClock::FiveDays(if is_about_key { 16 } else { 12 }),
    }
}

/// What was on a CRL and is gone from it is told anew: its case has said before that it is there.
fn reopen(transaction: &Transaction<'_>, key: &CaseKey) -> rusqlite::Result<()> {
    let Some(case) = load(transaction, About::Certificate, key)? else { return Ok(()) };
    if state(transaction, About::Certificate, key)? == "seen_on_crl" {
        let sql = "DELETE FROM case_findings WHERE case_number = ?1 AND rule = 'status.crl'";
        transaction.prepare_cached(sql)?.execute([case.number.0])?;
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
            reopen(transaction, &key)?;
        }
        let is_known = load(transaction, About::Certificate, &key)?.is_some();
        if sight.revoked_in_db && is_known && state(transaction, About::Certificate, &key)? == "new" {
            set_state(transaction, About::Certificate, &key, "revoked_in_db")?;
        }
    }
    let told = ToldAbout {
        key: &key,
        certificate: &sight.certificate,
        record: sight.record.clone(),
        not_evaluable: Vec::new(),
    };
    fold_and_tell(transaction, told, &sight.findings, recipients, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CaseNumber;
    use crate::clock::date;
    use crate::exam;

    const AT: Timestamp = date(2026, 11, 22);

    fn key() -> CaseKey {
        CaseKey { issuer_key_hash: KeyHash([7; 32]), serial: Serial(vec![0x10]) }
    }

    fn sight(is_on: bool, findings: Vec<Finding>) -> Sight {
        let listing = || Listing { url: "http://crl.example/1.crl".into(), revoked_at: None, reason: 4, seen_at: AT };
        Sight {
            key: key(),
            not_after: None,
            listed: is_on.then(listing),
            revoked_in_db: false,
            findings,
            certificate: exam::certificate_facts("CA", &key(), None, &[]),
            record: vec![],
        }
    }

    fn finding(rule: &str, clock: RevocationClock) -> Finding {
        let info = crate::status::RULES.iter().find(|info| info.id == rule).expect("a rule");
        Finding { clock, ..info.finding("serial 10", "because") }
    }

    /// What is written, then: how much of it is news, the state of the case, what is awaited, and the clock.
    async fn after(books: &Books, sight: Sight) -> (usize, String, bool, RevocationClock) {
        let people = vec![("mail".to_string(), "you@example.net".to_string())];
        let news = books.commit_sights(vec![sight], people, AT).await.expect("write").len();
        let state = books.show_case(CaseNumber(1)).await.expect("read").map_or("none".into(), |case| case.line.state);
        let issuer = key().issuer_key_hash;
        let seen = books.seen_on_crls(issuer, AT, Vec::new(), Vec::push).await.expect("read");
        assert_eq!(seen, [Seen { serial: key().serial.0, seen_at: AT, not_after: None }]);
        let one = books.followed(issuer).await.expect("read").remove(&key().serial.0);
        let (is_awaited, clock) = one.map_or((false, RevocationClock::None), |one| (one.is_awaited, one.case.1));
        (news, state, is_awaited, clock)
    }

    #[tokio::test]
    async fn what_was_seen_is_read_page_by_page() {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let issuer = key().issuer_key_hash;
        // Of serial numbers of two lengths every third has expired; another issuer has one, too.
        let count = 3 * SEEN_PAGE;
        let fill = move |connection: &mut rusqlite::Connection| {
            let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
                       INSERT INTO listed SELECT ?1, CASE WHEN n % 2 THEN unhex(printf('%06x', n)) ELSE
                         unhex(printf('%08x', n * 256)) END, 'u', NULL, 0, n, CASE n % 3 WHEN 0 THEN 1 END FROM n";
            connection.execute(sql, params![issuer.0, count])?;
            connection.execute("UPDATE listed SET serial = X'' WHERE serial = X'000001'", [])?;
            let other = "INSERT INTO listed VALUES (?1, X'01', 'u', NULL, 0, 1, NULL)";
            connection.execute(other, params![[8_u8; 32]]).map(drop)
        };
        books.write(fill).await.expect("rows");
        let seen = books.seen_on_crls(issuer, AT, Vec::new(), Vec::push).await.expect("read");
        let numbers: std::collections::BTreeSet<i64> = seen.iter().map(|seen| seen.seen_at.millis()).collect();
        assert!(numbers.iter().eq((1..=count).filter(|n| n % 3 != 0).collect::<Vec<_>>().iter()));
        assert_eq!(seen.len(), numbers.len(), "each once");
    }

    #[tokio::test]
    async fn a_case_follows_the_serial_onto_the_crl_off_it_and_on_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let none = RevocationClock::None;
        // It is listed before there is a case; the case of something else has no deadline.
        assert_eq!(after(&books, sight(true, vec![])).await, (0, "none".into(), false, none));
        let record = vec![finding("status.record", none)];
        assert_eq!(after(&books, sight(false, record)).await, (1, "new".into(), false, none));
        // One with a deadline is told that it is listed, and no more than once.
        let key_item = RevocationClock::Day(3);
        let urgent = vec![finding("status.reason", key_item)];
        assert_eq!(after(&books, sight(false, urgent)).await, (1, "new".into(), true, RevocationClock::Day(4)));
        let seen = || "seen_on_crl".to_string();
        assert_eq!(after(&books, sight(true, vec![])).await, (0, seen(), false, RevocationClock::Day(4)));
        for _ in 0..2 {
            let gone = || sight(false, vec![finding("status.crl", none)]);
            assert_eq!(after(&books, gone()).await, (1, "new".into(), true, RevocationClock::Day(4)));
            assert_eq!(after(&books, gone()).await.0, 0, "once");
            assert_eq!(after(&books, sight(true, vec![])).await, (0, seen(), false, RevocationClock::Day(4)));
        }
    }
}
