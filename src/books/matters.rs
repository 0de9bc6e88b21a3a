//! Cases about what is neither a certificate nor a log: a CRL, a control, the counts of an issuer. Such a case is open
//! as long as something is wrong; that it is right again is told, and what goes wrong after that is told anew.

use rusqlite::{OptionalExtension, Transaction, params};

use super::cases::{About, Written, from_json, load, write_case, write_event};
use super::{Books, BooksError};
use crate::case::{self, CaseNumber, CaseState, EventKind, Notice};
use crate::clock::Timestamp;
use crate::finding::{CaseKey, Finding, KeyHash, Serial};

/// What a case is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// A CRL of an issuer.
    Crl {
        /// SHA-256 of the issuer's key.
        issuer: KeyHash,
        /// Its URL.
        url: String,
    },
    /// A control of the CA, by its name in the feed.
    Control(String),
    /// How many certificates of an issuer one of the CA's records counts.
    Counts {
        /// SHA-256 of the issuer's key.
        issuer: KeyHash,
        /// The record.
        source: String,
    },
}

impl Matter {
    fn about(&self) -> About {
        match self {
            Matter::Crl { .. } => About::Crl,
            Matter::Control(_) => About::Control,
            Matter::Counts { .. } => About::Counts,
        }
    }

    fn key(&self) -> CaseKey {
        let (issuer_key_hash, name) = match self {
            Matter::Crl { issuer, url } => (*issuer, url),
            Matter::Control(name) => (KeyHash::default(), name),
            Matter::Counts { issuer, source } => (*issuer, source),
        };
        CaseKey { issuer_key_hash, serial: Serial(name.as_bytes().to_vec()) }
    }
}

impl Books {
    /// Brings the case of a matter up to date with what is wrong about it now; nothing: it is right. The notice when
    /// that is news. `shown` stands in the subject line, `well` says that it is right again.
    ///
    /// # Errors
    /// Unusable books.
    pub async fn commit_matter(
        &self,
        matter: Matter,
        wrong: Vec<Finding>,
        words: (String, String),
        recipients: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Option<Notice>, BooksError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let (shown, well) = words;
            let told = match wrong.is_empty() {
                true => resolve(&transaction, (matter.about(), &matter.key()), "closed", &well, &recipients, now)?,
                false => charge(&transaction, &matter, &wrong, &shown, &recipients, now)?,
            };
            transaction.commit()?;
            Ok(told)
        })
        .await
    }
}

fn charge(
    transaction: &Transaction<'_>,
    matter: &Matter,
    wrong: &[Finding],
    shown: &str,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Notice>> {
    let (about, key) = (matter.about(), matter.key());
    let known = load(transaction, about, &key)?;
    let record = vec![(about.word().to_string(), shown.to_string())];
    tell_of(transaction, (about, &key, shown), known, wrong, record, (recipients, now))
}

/// Folds findings into a case about something that is no certificate, and writes the event and its messages; the notice
/// when that is news. `whom`: what it is about, its key, and the name in the subject line; `known`: the case as it is.
pub(super) fn tell_of(
    transaction: &Transaction<'_>,
    whom: (About, &CaseKey, &str),
    known: Option<CaseState>,
    findings: &[Finding],
    record: Vec<(String, String)>,
    (recipients, now): (&[(String, String)], Timestamp),
) -> rusqlite::Result<Option<Notice>> {
    let Some(change) = case::fold(known.as_ref(), findings) else { return Ok(None) };
    let Written { number, aware_at, subject_line, .. } = write_case(transaction, whom, known.as_ref(), &change, now)?;
    let notice = Notice {
        case: case::case_name(number, aware_at),
        event: change.event,
        event_number: change.event_number,
        event_at: now,
        aware_at,
        clock: change.clock,
        due: None,
        severity: change.severity,
        new_findings: change.new_findings.len(),
        clock_since: None,
        resolved: None,
        findings: change.all_findings,
        certificate: None,
        sightings: Vec::new(),
        record,
        not_evaluable: Vec::new(),
        opinions: Vec::new(),
        subject_line,
    };
    write_event(transaction, number, &notice, recipients, now)?;
    Ok(Some(notice))
}

/// Says in a case what has put it right, and gives it that state. Nothing when there is no such case, or it has that
/// state or is closed.
pub(super) fn resolve(
    transaction: &Transaction<'_>,
    (about, key): (About, &CaseKey),
    to: &str,
    words: &str,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Notice>> {
    let Some(case) = load(transaction, about, key)? else { return Ok(None) };
    if [to, "closed"].contains(&state(transaction, about, key)?.as_str()) {
        return Ok(None);
    }
    let notice = resolution(transaction, &case, words, recipients, now)?;
    if to == "closed" {
        end_findings(transaction, case.number, None, now)?;
    }
    set_state(transaction, about, key, to)?;
    Ok(notice)
}

/// Says in the case of a certificate that the cause of what a rule found has ended; a case that holds nothing else is
/// closed. Nothing when the rule has found nothing there that still stands.
pub(super) fn end_rule(
    transaction: &Transaction<'_>,
    key: &CaseKey,
    (rule, words): (&str, &str),
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(case) = load(transaction, About::Certificate, key)? else { return Ok(()) };
    if !case.findings.iter().any(|finding| finding.rule == rule) {
        return Ok(());
    }
    resolution(transaction, &case, words, recipients, now)?;
    end_findings(transaction, case.number, Some(rule), now)?;
    if case.findings.iter().all(|finding| finding.rule == rule) {
        set_state(transaction, About::Certificate, key, "closed")?;
    }
    Ok(())
}

/// Marks what a rule, or all rules, have found in a case as ended: the same finding is news when it comes back.
pub(super) fn end_findings(
    transaction: &Transaction<'_>,
    case: CaseNumber,
    rule: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE case_findings SET ended_at = ?3
               WHERE case_number = ?1 AND rule = coalesce(?2, rule) AND ended_at IS NULL";
    transaction.prepare_cached(sql)?.execute(params![case.0, rule, now.millis()]).map(drop)
}

/// The event that something of a case was put right, and the messages about it.
pub(super) fn resolution(
    transaction: &Transaction<'_>,
    case: &CaseState,
    words: &str,
    recipients: &[(String, String)],
    now: Timestamp,
) -> rusqlite::Result<Option<Notice>> {
    let sql = "SELECT notice FROM case_events WHERE case_number = ?1 ORDER BY event_number DESC LIMIT 1";
    let newest =
        transaction.prepare_cached(sql)?.query_row([case.number.0], |row| row.get::<_, String>(0)).optional()?;
    let Some(newest) = newest else { return Ok(None) };
    let event_number = case.events + 1;
    let notice = Notice {
        event: EventKind::Updated,
        event_number,
        event_at: now,
        new_findings: 0,
        resolved: Some(words.to_string()),
        ..from_json(&newest)?
    };
    let sql = "UPDATE cases SET events = ?2 WHERE case_number = ?1";
    transaction.prepare_cached(sql)?.execute(params![case.number.0, event_number])?;
    write_event(transaction, case.number, &notice, recipients, now)?;
    Ok(Some(notice))
}

pub(super) fn state(transaction: &Transaction<'_>, about: About, key: &CaseKey) -> rusqlite::Result<String> {
    let sql = "SELECT state FROM cases WHERE about = ?1 AND issuer_key_hash = ?2 AND serial = ?3";
    let key = params![about.word(), key.issuer_key_hash.0, key.serial.0];
    transaction.prepare_cached(sql)?.query_row(key, |row| row.get(0))
}

pub(super) fn set_state(
    transaction: &Transaction<'_>,
    about: About,
    key: &CaseKey,
    state: &str,
) -> rusqlite::Result<()> {
    let sql = "UPDATE cases SET state = ?4 WHERE about = ?1 AND issuer_key_hash = ?2 AND serial = ?3";
    let values = params![about.word(), key.issuer_key_hash.0, key.serial.0, state];
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}
