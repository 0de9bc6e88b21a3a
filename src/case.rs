//! The case: everything known about one (issuer key, serial), with its clock.
//!
//! A case is opened by the first finding about a certificate and collects every later one; the precertificate, the
//! certificate and all their sightings belong to it. [`fold`] is pure: it takes what the books hold and what the
//! examination said and answers with the new state and the event to tell people about, if any.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::finding::{CaseKey, Finding, KeyHash, RevocationClock, Severity};

/// The number of a case in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseNumber(pub i64);

/// What people call a case: `CASE-2026-0042` (year of opening, number in the books).
pub fn case_name(number: CaseNumber, opened_at: Timestamp) -> String {
    format!("CASE-{}-{:04}", opened_at.year(), number.0)
}

/// The number in a case's name or a bare number; `None` when it is neither.
pub fn parse_case_name(text: &str) -> Option<CaseNumber> {
    let digits = match text.strip_prefix("CASE-").or_else(|| text.strip_prefix("case-")) {
        Some(rest) => rest.split_once('-')?.1,
        None => text,
    };
    digits.parse().ok().map(CaseNumber)
}

/// What happened to a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The first finding.
    Opened,
    /// Findings that were not known before.
    Updated,
    /// Not a case: the message that `ctwarden test-alert` sends.
    Test,
}

impl EventKind {
    /// The word used in the books, in mails and in Message-IDs.
    pub const fn word(self) -> &'static str {
        match self {
            EventKind::Opened => "opened",
            EventKind::Updated => "updated",
            EventKind::Test => "test",
        }
    }
}

/// Precertificate or certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A precert_entry of RFC 6962 3.1.
    Precertificate,
    /// An x509_entry of RFC 6962 3.1.
    Certificate,
}

impl EntryKind {
    /// The word used in metrics and mails.
    pub const fn word(self) -> &'static str {
        match self {
            EntryKind::Precertificate => "precertificate",
            EntryKind::Certificate => "certificate",
        }
    }
}

/// One place in one log where the certificate was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Short name of the log.
    pub log: String,
    /// Index of the entry in the log.
    pub index: u64,
    /// Precertificate or certificate.
    pub kind: EntryKind,
    /// The timestamp of the entry, which is the SCT's.
    pub logged_at: Timestamp,
    /// When the monitor had read it.
    pub seen_at: Timestamp,
    /// Whether a signed tree head covers it whose root was recomputed from the entries. The seal is a fact about
    /// the sighting and never delays anything.
    pub included: bool,
}

/// A SAN as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SanFact {
    /// The name, escaped: `dNSName www.example.com`.
    pub text: String,
    /// Whether a finding is about it.
    pub offending: bool,
}

/// The certificate of a case as shown to people. All text is escaped ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The configured name of the issuer, or its Name from the certificate.
    pub issuer: String,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    pub issuer_key_hash: KeyHash,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// SHA-256 of the precertificate, if seen.
    pub precertificate_sha256: Option<String>,
    /// SHA-256 of the certificate, if seen.
    pub certificate_sha256: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: String,
    /// Subject, as text.
    pub subject: String,
    /// Start of validity; `None` when unreadable.
    pub not_before: Option<Timestamp>,
    /// End of validity; `None` when unreadable.
    pub not_after: Option<Timestamp>,
    /// All subject alternative names.
    pub sans: Vec<SanFact>,
}

/// One event of a case with all that a message about it says: a snapshot, so that a message sent again is the same
/// message. This is what the outbox holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// `CASE-2026-0042`.
    pub case: String,
    /// What happened.
    pub event: EventKind,
    /// Number of the event within the case, from 1.
    pub event_number: u32,
    /// When it happened.
    pub event_at: Timestamp,
    /// When the first finding was durably written: it starts the revocation clock, if it has one.
    pub aware_at: Timestamp,
    /// The strictest clock of all findings.
    pub clock: RevocationClock,
    /// Since when that clock runs, where it is later than `aware_at`: nothing that was found before had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_since: Option<Timestamp>,
    /// The start of that clock plus its time.
    pub due: Option<Timestamp>,
    /// The worst severity of all findings.
    pub severity: Severity,
    /// All findings of the case, worst first.
    pub findings: Vec<Finding>,
    /// How many of them are new with this event; they are not in any particular place in `findings`.
    pub new_findings: usize,
    /// What has put the matter right, when that is what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// The certificate; `None` in a test message.
    pub certificate: Option<CertificateFacts>,
    /// Where it was seen.
    pub sightings: Vec<Sighting>,
    /// What the CA's record says, as labelled lines: ("order", "8812 channel=manual ...").
    pub record: Vec<(String, String)>,
    /// Rules that could not be judged, with what was missing.
    pub not_evaluable: Vec<(String, String)>,
    /// What other judges say beside us, as (judge, fact); also which of them did not answer.
    #[serde(default)]
    pub opinions: Vec<(String, String)>,
    /// The subject line of the first message of the case, which later ones repeat so that mail programs thread them.
    pub subject_line: String,
}

/// The state of a case in the books before an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseState {
    /// Its number.
    pub number: CaseNumber,
    /// What it is about.
    pub key: CaseKey,
    /// When it was opened.
    pub aware_at: Timestamp,
    /// When the first finding with a revocation clock was written, which starts it; `None`: none has one so far.
    pub clock_since: Option<Timestamp>,
    /// The subject line of its first message.
    pub subject_line: String,
    /// How many events it has had.
    pub events: u32,
    /// All its findings.
    pub findings: Vec<Finding>,
}

/// What an examination changes about a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: EventKind,
    /// Number of the event.
    pub event_number: u32,
    /// Findings that were not known before.
    pub new_findings: Vec<Finding>,
    /// All findings, worst first.
    pub all_findings: Vec<Finding>,
    /// The worst severity.
    pub severity: Severity,
    /// The strictest clock.
    pub clock: RevocationClock,
}

/// Folds the findings of an examination into a case: `None` when they say nothing that was not known. Two findings
/// are the same when they have rule and subject in common, so that the precertificate, the certificate and every
/// later examination of both repeat nothing. A known finding that is worse than it was is news: what was a matter for
/// review while the time of issuance was uncertain may be certain, with a deadline, once the CA's record has come.
pub fn fold(known: Option<&CaseState>, found: &[Finding]) -> Option<Change> {
    let mut all: Vec<Finding> = known.map(|case| case.findings.clone()).unwrap_or_default();
    let mut new_findings: Vec<Finding> = Vec::new();
    for finding in found {
        match all.iter_mut().find(|f| f.rule == finding.rule && f.subject == finding.subject) {
            Some(same) if !worse(finding, same) => continue,
            Some(milder) => *milder = finding.clone(),
            None => all.push(finding.clone()),
        }
        new_findings.push(finding.clone());
    }
    if new_findings.is_empty() {
        return None;
    }
    all.sort_by(|a, b| (rank(a), &a.rule, &a.subject).cmp(&(rank(b), &b.rule, &b.subject)));
    Some(Change {
        event: if known.is_some() { EventKind::Updated } else { EventKind::Opened },
        event_number: known.map_or(0, |case| case.events) + 1,
        severity: all.first().map_or(Severity::Notice, |finding| finding.severity),
        clock: all.iter().fold(RevocationClock::None, |clock, f| clock.strictest(f.clock)),
        new_findings,
        all_findings: all,
    })
}

/// Whether a finding says more than it did: a worse severity, or a deadline that is sooner.
fn worse(now: &Finding, before: &Finding) -> bool {
    let sooner = match (now.clock.span(), before.clock.span()) {
        (Some(now), Some(before)) => now < before,
        (Some(_), None) => true,
        (None, _) => false,
    };
    now.severity < before.severity || sooner
}

/// What a person must decide leads before what is only advice, although a warning is the more certain of the two.
fn rank(finding: &Finding) -> u8 {
    match finding.severity {
        Severity::Critical => 0,
        Severity::Error => 1,
        Severity::Review => 2,
        Severity::Warning => 3,
        Severity::Notice => 4,
    }
}

/// The subject line of the first message: `[error 24h] ctwarden: name.internal www.a.b · Issuer · due ...`.
pub fn subject_line(name: &str, change: &Change, issuer: &str, due: Option<Timestamp>) -> String {
    let lead = change.all_findings.first();
    let rule = lead.map_or("", |f| f.rule.as_ref());
    let subject: String = lead.map_or("", |f| f.subject.as_str()).chars().take(64).collect();
    let due = due.map_or("no deadline".to_string(), |due| format!("due {}", due.minute()));
    let issuer: String = issuer.chars().take(40).collect();
    format!("[{} {}] {name}: {rule} {subject} | {issuer} | {due}", change.severity, change.clock.word())
}

impl fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Serial;
    use std::borrow::Cow;

    fn finding(rule: &'static str, subject: &str, severity: Severity, clock: RevocationClock) -> Finding {
        let (citation, detail) = (Cow::Borrowed("BR 1.6.1"), "because".to_string());
        Finding { rule: rule.into(), severity, citation, clock, subject: subject.into(), detail, evidence: vec![] }
    }

    #[test]
    fn a_second_examination_that_says_the_same_changes_nothing() {
        let found = [finding("name.internal", "a.jaso", Severity::Error, RevocationClock::Day(5))];
        let opened = fold(None, &found).expect("the first finding opens the case");
        assert_eq!((opened.event, opened.event_number), (EventKind::Opened, 1));
        let state = CaseState {
            number: CaseNumber(1),
            key: CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![1]) },
            aware_at: Timestamp::EPOCH,
            clock_since: None,
            subject_line: String::new(),
            events: 1,
            findings: opened.all_findings,
        };
        assert_eq!(fold(Some(&state), &found), None);
        let more = [found[0].clone(), finding("val.max", "validity", Severity::Error, RevocationClock::FiveDays(12))];
        let updated = fold(Some(&state), &more).expect("a new rule is news");
        assert_eq!((updated.event, updated.event_number, updated.new_findings.len()), (EventKind::Updated, 2, 1));
        assert_eq!(updated.clock, RevocationClock::Day(5));
    }

    #[test]
    fn a_finding_that_became_worse_is_news_and_one_that_became_milder_is_not() {
        let review = finding("val.max", "validity", Severity::Review, RevocationClock::FiveDays(12));
        let certain = finding("val.max", "validity", Severity::Error, RevocationClock::FiveDays(12));
        let mut state = CaseState {
            number: CaseNumber(1),
            key: CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![1]) },
            aware_at: Timestamp::EPOCH,
            clock_since: None,
            subject_line: String::new(),
            events: 1,
            findings: vec![review.clone()],
        };
        let change = fold(Some(&state), std::slice::from_ref(&certain)).expect("it is worse");
        assert_eq!((change.severity, change.all_findings), (Severity::Error, vec![certain.clone()]));
        state.findings = vec![certain.clone()];
        assert_eq!(fold(Some(&state), &[review]), None);
        let at_once = Finding { clock: RevocationClock::Day(5), ..certain };
        let change = fold(Some(&state), std::slice::from_ref(&at_once)).expect("its deadline is sooner");
        assert_eq!((change.clock, change.new_findings.len()), (RevocationClock::Day(5), 1));
    }

    #[test]
    fn case_names_are_read_back() {
        let name = case_name(CaseNumber(42), crate::clock::date(2026, 11, 22));
        assert_eq!(name, "CASE-2026-0042");
        assert_eq!(parse_case_name(&name), Some(CaseNumber(42)));
        assert_eq!(parse_case_name("42"), Some(CaseNumber(42)));
        assert_eq!(parse_case_name("CASE-42"), None);
    }
}
