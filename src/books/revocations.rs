//! What is known of the CRLs of our issuers, and which of the serial numbers that are looked for were seen on them.

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

/// A certificate that is looked for on the CRLs: it has a case, or was seen there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Issuer key and serial number, without sign octet.
    pub key: CaseKey,
    /// The clock of the case, and since when it runs; where there is none, since when there is a case.
    pub case: Option<(Timestamp, RevocationClock)>,
    /// Whether the case is to be told as soon as it is on a CRL: it has a deadline, or is about its absence there.
    pub is_awaited: bool,
    /// Whether the case holds that the record and a CRL disagree, for as long as they do.
    pub is_disputed: bool,
    /// When and where it was seen on a CRL.
    pub listed: Option<Listing>,
    /// The end of its validity, if it was known when it was seen on a CRL.
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

    /// The certificates of an issuer that are looked for on its CRLs, by serial number without sign octet: those with a
    /// case that is not closed, and those that were seen there and have not expired.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn followed(&self, issuer: KeyHash, now: Timestamp) -> Result<HashMap<Vec<u8>, Followed>, BooksError> {
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
                let case = Some((since.unwrap_or(Timestamp::from_millis(row.get(6)?)), clock));
                let (is_awaited, is_disputed) = (row.get(3)?, row.get(5)?);
                let one = Followed { key, case, is_awaited, is_disputed, listed: None, not_after: None };
                followed.insert(serial, one);
            }
            let mut statement = connection.prepare_cached(
                "SELECT serial, url, revoked_at, reason, seen_at, not_after FROM listed
                 WHERE issuer_key_hash = ?1 AND (not_after IS NULL OR not_after > ?2)",
            )?;
            let mut rows = statement.query(params![issuer.0, now.millis()])?;
            while let Some(row) = rows.next()? {
                let serial: Vec<u8> = row.get(0)?;
                let listed = Listing {
                    url: row.get(1)?,
                    revoked_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                    reason: row.get(3)?,
                    seen_at: Timestamp::from_millis(row.get(4)?),
                };
                let key = CaseKey { issuer_key_hash: issuer, serial: Serial(serial.clone()) };
                let none =
                    Followed { key, case: None, is_awaited: false, is_disputed: false, listed: None, not_after: None };
                let one = followed.entry(serial).or_insert(none);
                one.listed = Some(listed);
                one.not_after = row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis);
            }
            Ok(followed)
        })
        .await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CaseNumber;
    use crate::clock::{Span, date};
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
            is_on_its_way: false,
            findings,
            ended: vec![],
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
        let mut followed = books.followed(key().issuer_key_hash, AT).await.expect("read");
        let one = followed.remove(&key().serial.0).expect("it is looked for");
        (news, state, one.is_awaited, one.case.map_or(RevocationClock::None, |(_, clock)| clock))
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

    #[tokio::test]
    async fn the_clock_of_a_case_runs_from_the_first_finding_that_has_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let told = async |rule: &str, clock: RevocationClock, days: i64| {
            let people = vec![("mail".to_string(), "you@example.net".to_string())];
            let at = AT.plus(Span::from_days(days));
            let news = books.commit_sights(vec![sight(false, vec![finding(rule, clock)])], people, at).await;
            let notice = news.expect("write").remove(0).notice;
            let case = books.followed(key().issuer_key_hash, at).await.expect("read").remove(&key().serial.0);
            (notice.case, notice.aware_at, notice.clock_since, notice.due, case.expect("a case").case.expect("a case"))
        };
        let (name, day) = ("CASE-2026-0001".to_string(), |days: i64| AT.plus(Span::from_days(days)));
        let none = RevocationClock::None;
        assert_eq!(told("status.record", none, 0).await, (name.clone(), AT, None, None, (AT, none)));
        // What is found forty days later is not forty days late.
        let (five, one) = (RevocationClock::FiveDays(12), RevocationClock::Day(5));
        let expected = (name.clone(), AT, Some(day(40)), Some(day(45)), (day(40), five));
        assert_eq!(told("status.reason", five, 40).await, expected);
        // Whoever was aware of the one has looked at the certificate: the stricter clock runs from there as well.
        let expected = (name, AT, Some(day(40)), Some(day(41)), (day(40), one));
        assert_eq!(told("status.late", one, 42).await, expected);
    }

    #[tokio::test]
    async fn a_case_about_a_disagreement_alone_is_closed_by_its_end_and_opens_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let none = RevocationClock::None;
        let commit = async |sight: Sight| -> (usize, String, u32) {
            let people = vec![("mail".to_string(), "you@example.net".to_string())];
            let news = books.commit_sights(vec![sight], people, AT).await.expect("write").len();
            let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
            (news, case.line.state, case.notice.event_number)
        };
        let ends = |rules: &[&'static str]| Sight {
            ended: rules.iter().map(|rule| (*rule, format!("{rule} has ended"))).collect(),
            ..sight(false, vec![])
        };
        let disputed = async || {
            let mut followed = books.followed(key().issuer_key_hash, AT).await.expect("read");
            followed.remove(&key().serial.0).is_some_and(|one| one.is_disputed)
        };
        let (open, closed) = (|| "new".to_string(), || "closed".to_string());
        let both = || sight(false, vec![finding("status.record", none), finding("status.reason", none)]);
        assert_eq!(commit(both()).await, (1, open(), 1));
        assert!(disputed().await);
        assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 2));
        assert!(disputed().await, "the reason is still another one");
        assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 2), "once");
        assert_eq!(commit(ends(&["status.record", "status.reason"])).await, (0, closed(), 3));
        assert!(!disputed().await);
        let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
        assert_eq!(case.notice.resolved.as_deref(), Some("status.reason has ended"));
        assert_eq!(case.line.rules, ["status.reason", "status.record"], "what it was about stays on record");
        assert_eq!(books.queue_state().await.expect("read").length, 3);
        // The same again is news, and the case is open.
        assert_eq!(commit(sight(false, vec![finding("status.record", none)])).await, (1, open(), 4));
        let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
        assert_eq!((case.notice.resolved, case.notice.findings.len()), (None, 1), "what has ended is not said again");
        // What is about more than that stays as it is.
        assert_eq!(commit(sight(false, vec![finding("status.late", none)])).await, (1, open(), 5));
        assert_eq!(commit(ends(&["status.record"])).await, (0, open(), 6));
    }
}
