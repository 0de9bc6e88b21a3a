//! The walk backwards: what of the CA's record was seen in logs, how far the logs were read, and what is still looked
//! for.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::cases::{Told as ToldAbout, fold_and_tell};
use super::matters::end_rule;
use super::{Books, BooksError, Opened};
use crate::case::CertificateFacts;
use crate::clock::Timestamp;
use crate::ct::key::LogId;
use crate::finding::{CaseKey, Finding, KeyHash, Serial};
use crate::record::Signed;
use crate::status::unlogged::Seen;

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReading {
    /// The log.
    pub log_id: LogId,
    /// When the first tree head was signed that was read, if reading did not begin at entry 0.
    pub from: Option<Timestamp>,
    /// When the newest tree head was signed that is proven, if nothing is missing below it.
    pub until: Option<Timestamp>,
    /// How many entries are proven.
    pub verified_size: u64,
}

/// A row of the record that is looked for in the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The row.
    pub signed: Signed,
    /// The rule that it is looked for by.
    pub rule: String,
    /// Whether it was told that it is missing.
    pub told: bool,
}

/// What is told about one certificate.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its row.
    pub signed: Signed,
    /// What is wrong.
    pub finding: Finding,
    /// The certificate as shown to people.
    pub certificate: CertificateFacts,
    /// The record as shown to people.
    pub record: Vec<(String, String)>,
}

/// One step of the walk, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Rows that cannot be judged yet, with the rule.
    pub waiting: Vec<(Signed, &'static str)>,
    /// Rows that need not be looked for any more, with the rule and what is said of it in their case.
    pub done: Vec<(Signed, String, Option<String>)>,
    /// What is told.
    pub told: Vec<Told>,
}

impl Books {
    /// How far something was walked.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn walk_position(&self, walk: &str) -> Result<Option<i64>, BooksError> {
        let walk = walk.to_string();
        self.read(move |connection| {
            let sql = "SELECT position FROM walks WHERE walk = ?1";
            connection.prepare_cached(sql)?.query_row([walk], |row| row.get(0)).optional()
        })
        .await
    }

    /// How far everything was walked whose name begins so: what comes behind that in its name, and its position.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn walk_positions(&self, prefix: &'static str) -> Result<Vec<(String, i64)>, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT substr(walk, length(?1) + 1), position FROM walks WHERE substr(walk, 1, length(?1)) = ?1
                       ORDER BY walk";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .await
    }

    /// Puts down how far several things were walked.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_positions(&self, positions: Vec<(String, i64)>) -> Result<(), BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for (walk, position) in &positions {
                set_position(&transaction, walk, *position)?;
            }
            transaction.commit()
        })
        .await
    }

    /// In which forms each certificate was seen in logs. What is doubted does not count.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn seen_in_logs(&self, keys: Vec<CaseKey>) -> Result<Vec<Seen>, BooksError> {
        self.read(move |connection| keys.iter().map(|key| seen(connection, key)).collect()).await
    }

    /// How far each log in the books was read.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn log_readings(&self) -> Result<Vec<LogReading>, BooksError> {
        self.read(|connection| {
            // A part that is read beside the new entries, or entries that the log does not serve: something is missing.
            let mut statement = connection.prepare_cached(
                "SELECT l.log_id, l.start_index, l.verified_size,
                   (SELECT min(signed_at) FROM tree_heads AS t WHERE t.log_id = l.log_id AND outcome = 'verified'),
                   (SELECT max(signed_at) FROM tree_heads AS t WHERE t.log_id = l.log_id AND outcome = 'verified'
                      AND t.tree_size <= l.verified_size),
                   EXISTS (SELECT 1 FROM backlogs AS b WHERE b.log_id = l.log_id)
                   OR EXISTS (SELECT 1 FROM gaps AS g WHERE g.log_id = l.log_id AND filled_at IS NULL)
                 FROM logs AS l",
            )?;
            let rows = statement.query_map([], |row| {
                let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|millis| millis.map(Timestamp::from_millis));
                let (first, newest, missing) = (moment(3)?, moment(4)?, row.get::<_, bool>(5)?);
                let from_the_start = row.get::<_, u64>(1)? == 0;
                Ok(LogReading {
                    log_id: LogId(row.get(0)?),
                    from: if from_the_start { None } else { first },
                    until: newest.filter(|_| !missing),
                    verified_size: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Rows of the record that are looked for in the logs, after this one, at most `limit`.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn looked_for(&self, after: Option<Waiting>, limit: usize) -> Result<Vec<Waiting>, BooksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT issuer_key_hash, serial, rule, cert_id, signed_at, not_after, hierarchy, state,
                        told_at IS NOT NULL FROM unlogged
                 WHERE (issuer_key_hash, serial, rule) > (?1, ?2, ?3)
                 ORDER BY issuer_key_hash, serial, rule LIMIT ?4",
            )?;
            let after = after.map(|after| (after.signed.key, after.rule));
            let (issuer, serial, rule) =
                after.map_or((vec![], vec![], String::new()), |(k, r)| (k.issuer_key_hash.0.to_vec(), k.serial.0, r));
            let rows = statement.query_map(params![issuer, serial, rule, limit as i64], |row| {
                let key = CaseKey { issuer_key_hash: KeyHash(row.get(0)?), serial: Serial(row.get(1)?) };
                let signed = Signed {
                    cert_id: row.get(3)?,
                    key,
                    signed_at: Timestamp::from_millis(row.get(4)?),
                    not_after: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
                    hierarchy: row.get(6)?,
                    state: row.get(7)?,
                };
                Ok(Waiting { signed, rule: row.get(2)?, told: row.get(8)? })
            })?;
            rows.collect()
        })
        .await
    }

    /// How many rows of the record wait for our own reading, and how many are told to be missing.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn looked_for_counts(&self) -> Result<(u64, u64), BooksError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FILTER (WHERE told_at IS NULL), count(*) FILTER (WHERE told_at IS NOT NULL)
                       FROM unlogged";
            connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    /// Writes one step of the walk; the cases that are news.
    ///
    /// # Errors
    /// Unusable books; then nothing was written, and the step is made again.
    pub async fn commit_step(
        &self,
        step: Step,
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Vec<Opened>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let mut opened = Vec::new();
            for (signed, rule) in &step.waiting {
                look_for(&transaction, signed, rule, None)?;
            }
            for told in &step.told {
                look_for(&transaction, &told.signed, &told.finding.rule, Some(now))?;
                opened.extend(tell(&transaction, told, &recipients, now)?);
            }
            for (signed, rule, words) in &step.done {
                let sql = "DELETE FROM unlogged WHERE issuer_key_hash = ?1 AND serial = ?2 AND rule = ?3";
                let key = &signed.key;
                transaction.prepare_cached(sql)?.execute(params![key.issuer_key_hash.0, key.serial.0, rule])?;
                if let Some(words) = words {
                    let key = as_seen(&transaction, key)?;
                    end_rule(&transaction, &key, (rule, words), &recipients, now)?;
                }
            }
            transaction.commit()?;
            Ok(opened)
        })
        .await
    }
}

/// Both forms in which the octets of a serial number may stand in a certificate: with sign octet and without.
pub(super) fn serial_forms(serial: &Serial) -> [Vec<u8>; 2] {
    let bare = crate::cert::crl::magnitude(&serial.0).to_vec();
    let signed = [&[0][..], &bare].concat();
    [bare, signed]
}

fn seen(connection: &Connection, key: &CaseKey) -> rusqlite::Result<Seen> {
    let [bare, signed] = serial_forms(&key.serial);
    let sql = "SELECT coalesce(max(s.kind = 'precertificate'), 0), coalesce(max(s.kind = 'certificate'), 0)
               FROM hits AS h JOIN sightings AS s USING (hit_id)
               WHERE h.issuer_key_hash = ?1 AND h.serial IN (?2, ?3) AND NOT s.doubted";
    connection.prepare_cached(sql)?.query_row(params![key.issuer_key_hash.0, bare, signed], |row| {
        Ok(Seen { precertificate: row.get(0)?, certificate: row.get(1)? })
    })
}

/// The serial number as it stands in our own books, where there is one.
pub(super) fn as_seen(connection: &Connection, key: &CaseKey) -> rusqlite::Result<CaseKey> {
    let [bare, signed] = serial_forms(&key.serial);
    // X.690 8.3: a number whose first bit is set has an octet before it.
    let as_encoded = if bare.first().is_some_and(|first| *first < 0x80) { bare.clone() } else { signed.clone() };
    let sql = "SELECT serial FROM cases WHERE about = 'certificate' AND issuer_key_hash = ?1 AND serial IN (?2, ?3)
               UNION ALL SELECT serial FROM hits WHERE issuer_key_hash = ?1 AND serial IN (?2, ?3) LIMIT 1";
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![key.issuer_key_hash.0, bare, signed], |row| row.get(0))
        .optional()?;
    Ok(CaseKey { issuer_key_hash: key.issuer_key_hash, serial: Serial(found.unwrap_or(as_encoded)) })
}

fn set_position(transaction: &Transaction<'_>, walk: &str, position: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO walks (walk, position) VALUES (?1, ?2)
               ON CONFLICT (walk) DO UPDATE SET position = excluded.position";
    transaction.prepare_cached(sql)?.execute(params![walk, position]).map(drop)
}

fn look_for(
    transaction: &Transaction<'_>,
    signed: &Signed,
    rule: &str,
    told_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO unlogged (issuer_key_hash, serial, rule, cert_id, signed_at, not_after, hierarchy, state, told_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
               ON CONFLICT (issuer_key_hash, serial, rule)
               DO UPDATE SET told_at = coalesce(unlogged.told_at, excluded.told_at)";
    let values = params![
        signed.key.issuer_key_hash.0,
        signed.key.serial.0,
        rule,
        signed.cert_id,
        signed.signed_at.millis(),
        signed.not_after.map(Timestamp::millis),
        signed.hierarchy,
        signed.state,
        told_at.map(Timestamp::millis)
    ];
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

fn tell(
    transaction: &Transaction<'_>,
    told: &Told,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Opened>> {
    let key = as_seen(transaction, &told.signed.key)?;
    let about =
        ToldAbout { key: &key, certificate: &told.certificate, record: told.record.clone(), not_evaluable: Vec::new() };
    fold_and_tell(transaction, about, std::slice::from_ref(&told.finding), recipients, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CaseNumber;
    use crate::clock::date;
    use crate::exam;

    const AT: Timestamp = date(2026, 11, 22);

    fn signed(serial: u8) -> Signed {
        let key = CaseKey { issuer_key_hash: KeyHash([7; 32]), serial: Serial(vec![serial]) };
        let (hierarchy, state) = ("public".to_string(), "issued".to_string());
        Signed { cert_id: 1, key, signed_at: AT, not_after: None, hierarchy, state }
    }

    fn told(serial: u8, rule: &str) -> Told {
        let signed = signed(serial);
        let certificate = exam::certificate_facts("CA", &signed.key, None, &[]);
        let rule = crate::status::RULES.iter().find(|info| info.id == rule).expect("a rule");
        Told { finding: rule.finding("serial", "because"), certificate, record: vec![], signed }
    }

    async fn state(books: &Books) -> (String, u32) {
        let case = books.show_case(CaseNumber(1)).await.expect("read").expect("a case");
        (case.line.state, case.notice.event_number)
    }

    #[tokio::test]
    async fn a_case_about_nothing_but_what_was_found_is_closed_and_opens_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let books = Books::open(&directory.path().join("books.sqlite")).expect("open");
        let people = || vec![("mail".to_string(), "you@example.net".to_string())];
        // The serial number ff stands as 00ff in certificates; the record has it without.
        let step = Step { told: vec![told(0xff, "ct.unlogged")], ..Step::default() };
        for news in [1, 0] {
            let opened = books.commit_step(step.clone(), people(), AT).await.expect("write");
            assert_eq!(opened.len(), news);
        }
        assert_eq!(state(&books).await, ("new".to_string(), 1));
        assert_eq!(books.looked_for_counts().await.expect("read"), (0, 1));
        let done = vec![(signed(0xff), "ct.unlogged".to_string(), Some("seen".to_string()))];
        books.commit_step(Step { done, ..Step::default() }, people(), AT).await.expect("write");
        assert_eq!(state(&books).await, ("closed".to_string(), 2));
        assert_eq!(books.looked_for_counts().await.expect("read"), (0, 0));
        let step = Step { told: vec![told(0xff, "pre.unfinalised")], ..Step::default() };
        books.commit_step(step, people(), AT).await.expect("write");
        assert_eq!(state(&books).await, ("new".to_string(), 3));
        assert_eq!(books.queue_state().await.expect("read").length, 3);
        // The end of the second closes it too, although it was about the first before.
        let done = vec![(signed(0xff), "pre.unfinalised".to_string(), Some("seen".to_string()))];
        books.commit_step(Step { done, ..Step::default() }, people(), AT).await.expect("write");
        assert_eq!(state(&books).await, ("closed".to_string(), 4));
    }
}
