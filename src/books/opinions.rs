//! Door 2 for other judges: what they were asked and what they said. A question is written in the transaction of our
//! own examination, asked at least once, and answered in one transaction with what follows for the case.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::cases::{Told, commit_each, ders, fold_and_tell, from_json, json};
use super::{Books, BooksError, Opened};
use crate::case::{CertificateFacts, EntryKind, Notice};
use crate::clock::Timestamp;
use crate::finding::{CaseKey, Finding, KeyHash, Serial};
use crate::judges::Answer;
use crate::judges::opinion::Said;
use crate::watch::Form;

/// What other judges are to be asked about a hit; goes with the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// Their names.
    pub judges: Vec<String>,
    /// What we said ourselves.
    pub said: Said,
}

/// A question that is due.
#[derive(Clone, Debug)]
pub struct PendingOpinion {
    /// The hit.
    pub hit_id: i64,
    /// Goes back with the answer: one to an older question is not taken.
    pub revision: i64,
    /// Issuer key and serial.
    pub key: CaseKey,
    /// The issuer as shown to people.
    pub issuer: String,
    /// What we said ourselves.
    pub said: Said,
    /// How often it was asked in vain.
    pub attempts: u32,
    /// The forms in which the certificate was seen.
    pub ders: Vec<(EntryKind, Form, Vec<u8>)>,
}

/// An answer and what follows from it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// The comparison with our own verdict, one line each.
    pub lines: Vec<String>,
    /// What of it is for review.
    pub findings: Vec<Finding>,
    /// The certificate as shown to people.
    pub certificate: CertificateFacts,
}

/// An answer, or what came instead of one.
#[derive(Clone, Debug)]
pub enum Heard {
    /// It answered.
    Answered(Box<Answered>),
    /// It did not; ask again then.
    Silent {
        /// Why, for a person.
        error: String,
        /// When.
        next_try_at: Timestamp,
    },
}

/// What became of one question.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// The hit.
    pub hit_id: i64,
    /// Issuer key and serial.
    pub key: CaseKey,
    /// The judge.
    pub judge: String,
    /// [`PendingOpinion::revision`].
    pub revision: i64,
    /// What was heard.
    pub heard: Heard,
}

/// The questions to a judge that wait for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpinionQueue {
    /// How many.
    pub waiting: u64,
    /// How many of them were never asked.
    pub unasked: u64,
    /// When the oldest was written.
    pub oldest: Option<Timestamp>,
    /// When the next is due.
    pub next_try_at: Option<Timestamp>,
}

impl Books {
    /// Questions to a judge whose time has come, oldest first.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn due_opinions(
        &self,
        judge: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingOpinion>, BooksError> {
        let judge = judge.to_string();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT o.hit_id, o.revision, h.issuer_key_hash, h.serial, h.issuer, o.said, o.attempts
                 FROM opinions AS o JOIN hits AS h USING (hit_id)
                 WHERE o.judge = ?1 AND o.next_try_at <= ?2 ORDER BY o.next_try_at, o.hit_id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![judge, now.millis(), limit as i64], pending)?;
            let mut due = rows.collect::<rusqlite::Result<Vec<PendingOpinion>>>()?;
            for opinion in &mut due {
                opinion.ders = ders(connection, opinion.hit_id)?;
            }
            Ok(due)
        })
        .await
    }

    /// How many questions to a judge wait.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn opinion_queue(&self, judge: &str) -> Result<OpinionQueue, BooksError> {
        let judge = judge.to_string();
        self.read(move |connection| {
            let sql = "SELECT count(*), count(*) FILTER (WHERE attempts = 0), min(asked_at), min(next_try_at)
                       FROM opinions WHERE judge = ?1 AND next_try_at IS NOT NULL";
            let time = |row: &Row<'_>, at: usize| row.get(at).map(|at: Option<i64>| at.map(Timestamp::from_millis));
            connection.prepare_cached(sql)?.query_row(params![judge], |row| {
                Ok(OpinionQueue {
                    waiting: row.get(0)?,
                    unasked: row.get(1)?,
                    oldest: time(row, 2)?,
                    next_try_at: time(row, 3)?,
                })
            })
        })
        .await
    }

    /// Door 2 for what other judges say. An opinion on something that was examined anew meanwhile is dropped: the
    /// question is asked again.
    ///
    /// # Errors
    /// Unusable books; then nothing was written and the questions stay due.
    pub async fn commit_opinions(
        &self,
        opinions: Vec<Opinion>,
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Vec<Opened>, BooksError> {
        self.write(move |connection| {
            commit_each(connection, &opinions, |transaction, opinion| {
                commit_one(transaction, opinion, &recipients, now)
            })
        })
        .await
    }
}

fn commit_one(
    transaction: &Transaction<'_>,
    opinion: &Opinion,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Opened>> {
    let Answered { answer, lines, findings, certificate } = match &opinion.heard {
        Heard::Answered(answered) => answered.as_ref(),
        Heard::Silent { error, next_try_at } => {
            let sql = "UPDATE opinions SET attempts = attempts + 1, error = ?4, next_try_at = ?5
                       WHERE hit_id = ?1 AND judge = ?2 AND revision = ?3";
            let values = params![opinion.hit_id, opinion.judge, opinion.revision, error, next_try_at.millis()];
            transaction.prepare_cached(sql)?.execute(values)?;
            return Ok(None);
        }
    };
    let sql =
        "UPDATE opinions SET next_try_at = NULL, error = NULL, answered_at = ?4, version = ?5, answer = ?6, lines = ?7
               WHERE hit_id = ?1 AND judge = ?2 AND revision = ?3";
    let changed = transaction.prepare_cached(sql)?.execute(params![
        opinion.hit_id,
        opinion.judge,
        opinion.revision,
        now.millis(),
        answer.version,
        json(answer)?,
        json(lines)?
    ])?;
    if changed == 0 {
        return Ok(None);
    }
    // What the CA's record says stands in the newest message of the case, if there is one.
    let sql = "SELECT e.notice FROM case_events AS e JOIN cases AS c USING (case_number)
               WHERE c.about = 'certificate' AND c.issuer_key_hash = ?1 AND c.serial = ?2
               ORDER BY e.event_number DESC LIMIT 1";
    let key = params![opinion.key.issuer_key_hash.0, opinion.key.serial.0];
    let newest = transaction.prepare_cached(sql)?.query_row(key, |row| row.get::<_, String>(0)).optional()?;
    let newest: Option<Notice> = newest.map(|text| from_json(&text)).transpose()?;
    let (record, not_evaluable) = newest.map(|notice| (notice.record, notice.not_evaluable)).unwrap_or_default();
    fold_and_tell(
        transaction,
        Told { key: &opinion.key, certificate, record, not_evaluable },
        findings,
        recipients,
        now,
    )
}

/// Writes the questions about a hit. One that is there is asked again when there is something new to ask about.
pub(super) fn ask(
    transaction: &Transaction<'_>,
    hit_id: i64,
    hit_version: i64,
    questions: &Questions,
    now: Timestamp,
) -> rusqlite::Result<()> {
    for judge in &questions.judges {
        transaction
            .prepare_cached(
                "INSERT INTO opinions (hit_id, judge, hit_version, said, asked_at, next_try_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (hit_id, judge) DO UPDATE SET
                   revision = revision + 1, hit_version = excluded.hit_version, said = excluded.said,
                   asked_at = excluded.asked_at, next_try_at = excluded.next_try_at, attempts = 0, error = NULL
                 WHERE hit_version <> excluded.hit_version OR said <> excluded.said",
            )?
            .execute(params![hit_id, judge, hit_version, json(&questions.said)?, now.millis()])?;
    }
    Ok(())
}

/// What other judges say about a certificate, as (judge, fact), and which of them say nothing.
pub(super) fn lines(connection: &Connection, key: &CaseKey) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT o.judge, coalesce(o.version, ''), o.lines, o.next_try_at IS NOT NULL, o.attempts, coalesce(o.error, '')
         FROM opinions AS o JOIN hits AS h USING (hit_id)
         WHERE h.issuer_key_hash = ?1 AND h.serial = ?2 ORDER BY o.judge, o.hit_id",
    )?;
    let mut rows = statement.query(params![key.issuer_key_hash.0, key.serial.0])?;
    let mut told: Vec<(String, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (judge, version): (String, String) = (row.get(0)?, row.get(1)?);
        let named = format!("{judge} {version}").trim().to_string();
        if let Some(lines) = row.get::<_, Option<String>>(2)? {
            let lines: Vec<String> = from_json(&lines)?;
            let none = lines.is_empty().then(|| "finds nothing".to_string());
            told.extend(lines.into_iter().chain(none).map(|line| (named.clone(), line)));
        }
        match (row.get::<_, bool>(3)?, row.get::<_, u32>(4)?) {
            (false, _) => {}
            (true, 0) => told.push((judge, "was not asked yet".to_string())),
            (true, attempts) => {
                let error: String = row.get(5)?;
                told.push((judge, format!("did not answer, asked {attempts} times: {error}")));
            }
        }
    }
    told.dedup();
    Ok(told)
}

fn pending(row: &Row<'_>) -> rusqlite::Result<PendingOpinion> {
    Ok(PendingOpinion {
        hit_id: row.get(0)?,
        revision: row.get(1)?,
        key: CaseKey { issuer_key_hash: KeyHash(row.get(2)?), serial: Serial(row.get(3)?) },
        issuer: row.get(4)?,
        said: from_json(&row.get::<_, String>(5)?)?,
        attempts: row.get(6)?,
        ders: Vec::new(),
    })
}
