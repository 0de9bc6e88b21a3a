//! Misbehaviour of a log: the evidence, byte for byte, and a case of its own kind, in one transaction.

use rusqlite::{OptionalExtension, Transaction, params};

use super::cases::{About, load};
use super::matters::tell_of;
use super::{Books, BooksError};
use crate::case::Notice;
use crate::clock::Timestamp;
use crate::conduct::{Accused, Kind, Misconduct};
use crate::ct::key::LogId;
use crate::finding::{CaseKey, Finding, KeyHash, Serial};

/// The most occurrences of one kind of misbehaviour that are kept per log: the first ones convict, and a log that
/// misbehaves a thousand times an hour must not fill the disk.
const MOST_KEPT: i64 = 1000;

impl Books {
    /// Keeps a misbehaviour with its evidence, and opens the case of its log and kind. The notice when that is news;
    /// later occurrences of the same kind add to the evidence alone.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_misconduct(
        &self,
        accused: Accused,
        misconduct: Misconduct,
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Option<Notice>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let word = misconduct.kind.word();
            let sql = "SELECT count(*) FROM misbehaviours WHERE log_id = ?1 AND kind = ?2";
            let kept: i64 = transaction.query_row(sql, params![accused.log_id.0, word], |row| row.get(0))?;
            if kept < MOST_KEPT {
                transaction.execute(
                    "INSERT INTO misbehaviours (log_id, kind, tree_size, detail, evidence, observed_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                    params![
                        accused.log_id.0,
                        word,
                        misconduct.tree_size,
                        misconduct.detail,
                        misconduct.evidence(&accused, now).to_string(),
                        now.millis()
                    ],
                )?;
            }
            let about = (&accused, misconduct.kind, misconduct.tree_size);
            let told = add_to_case(&transaction, about, misconduct.finding(&accused), &recipients, now)?;
            transaction.commit()?;
            Ok(told)
        })
        .await
    }

    /// Says in the case about a kind of misbehaviour that the log has made it good. The notice when that is news; `None`
    /// also when there is no such case.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_mended(
        &self,
        accused: Accused,
        kind: Kind,
        mended: (u64, String),
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Option<Notice>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let (tree_size, detail) = mended;
            if load(&transaction, About::Log, &case_key(&accused, kind))?.is_none() {
                return Ok(None);
            }
            let finding = Misconduct::mended(kind, &accused, detail);
            let told = add_to_case(&transaction, (&accused, kind, tree_size), finding, &recipients, now)?;
            transaction.commit()?;
            Ok(told)
        })
        .await
    }

    /// Whether the log was charged with this about a tree of more than `size` entries.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn is_charged_above(&self, log_id: LogId, kind: Kind, size: u64) -> Result<bool, BooksError> {
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM misbehaviours WHERE log_id = ?1 AND kind = ?2 AND tree_size > ?3)";
            connection.query_row(sql, params![log_id.0, kind.word(), size], |row| row.get(0))
        })
        .await
    }

    /// The evidence of the newest misbehaviour of this kind of the log with this name.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn evidence(&self, log: &str, kind: Kind) -> Result<Option<String>, BooksError> {
        let log = log.to_string();
        self.read(move |connection| {
            let sql = "SELECT evidence FROM misbehaviours AS m JOIN logs AS l USING (log_id)
                       WHERE l.name = ?1 AND m.kind = ?2 ORDER BY misbehaviour_id DESC LIMIT 1";
            connection.query_row(sql, params![log, kind.word()], |row| row.get(0)).optional()
        })
        .await
    }
}

fn case_key(accused: &Accused, kind: Kind) -> CaseKey {
    CaseKey { issuer_key_hash: KeyHash(accused.log_id.0), serial: Serial(kind.word().as_bytes().to_vec()) }
}

/// Adds a finding to the case of a log and a kind of misbehaviour, about a tree of this size; the notice when that is
/// news.
fn add_to_case(
    transaction: &Transaction<'_>,
    about: (&Accused, Kind, u64),
    finding: Finding,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Notice>> {
    let (accused, kind, tree_size) = about;
    let key = case_key(accused, kind);
    let known = load(transaction, About::Log, &key)?;
    let whom = (About::Log, &key, accused.operator.as_str());
    let record = vec![
        ("log".to_string(), format!("{}, operated by {}", accused.name, accused.operator)),
        ("log id".to_string(), accused.log_id.to_string()),
        ("tree size".to_string(), tree_size.to_string()),
    ];
    tell_of(transaction, whom, known, &[finding], record, (recipients, now))
}
