//! What logs have promised about a certificate: every embedded SCT, whether its log signed it for this very
//! certificate, and what follows when the time to keep the promise is over. Pure.
//!
//! An SCT is a promise to include one leaf within the maximum merge delay. Certificate, issuer key hash and SCT give
//! that leaf byte for byte, so that its hash can be looked for.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::cert::{Certificate, oid};
use crate::clock::{HOUR, Span, Timestamp, date};
use crate::conduct::{Kind, Misconduct};
use crate::ct::key::LogId;
use crate::ct::leaf::{LeafEntry, encode_merkle_tree_leaf, leaf_hash, leaf_index};
use crate::ct::log_list::Log;
use crate::ct::sct::{SctError, SignedCertificateTimestamp, parse_sct_list, verify_sct};
use crate::ct::sth::SignedTreeHead;
use crate::ct::{Hash, to_base64};
use crate::finding::{Finding, Issued, KeyHash, Needs, RevocationClock, RuleInfo, Severity, Verdict, br};

static BELONGS: RuleInfo = RuleInfo {
    id: "sct.belongs",
    summary: "every embedded SCT is a log's signature over the precertificate of this certificate",
    severity: Severity::Error,
    citation: br("7.1.2.11.3"),
    clock: RevocationClock::FiveDays(12),
    since: Some(date(2023, 9, 15)),
    until: None,
    needs: Needs::LogKeys,
};

/// The source of the evidence that names the log whose signature an SCT lacks.
const LOG_EVIDENCE: &str = "log list";

/// The rules of this room.
pub static RULES: &[&RuleInfo] = &[&BELONGS];

/// Every log of the log list whose key is known, followed or not.
#[derive(Clone, Debug, Default)]
pub struct KnownLogs(HashMap<LogId, Arc<Log>>);

impl KnownLogs {
    /// The logs of a list.
    pub fn new(logs: impl IntoIterator<Item = Arc<Log>>) -> KnownLogs {
        KnownLogs(logs.into_iter().map(|log| (log.log_id, log)).collect())
    }

    /// Whether no log is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.0.values()
    }
    /// The log with this ID.
    pub fn get(&self, log_id: &LogId) -> Option<&Arc<Log>> {
        self.0.get(log_id)
    }
}

/// What is to be thought of the signature of an SCT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The log signed this promise about this certificate.
    Valid,
    /// It did not; why.
    Invalid(SctError),
    /// No list names the log, so that nobody here can say.
    UnknownLog,
}

/// A promise embedded in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The log that is said to have made it.
    pub log_id: LogId,
    /// When.
    pub promised_at: Timestamp,
    /// When the maximum merge delay of the log ends; with an unknown log, that of the schema, 24 hours.
    pub due_at: Timestamp,
    /// Where the leaf will stand, as static logs say beforehand.
    pub leaf_index: Option<u64>,
    /// The hash of the promised leaf.
    pub leaf_hash: Hash,
    /// The SCT, byte for byte.
    pub sct: Vec<u8>,
    /// Whether the log made it.
    pub signature: Signature,
}

/// The MerkleTreeLeaf that an SCT promises.
///
/// RFC 6962 3.4: the leaf repeats timestamp, entry and extensions of the SCT; 3.2: the entry of an embedded SCT is a
/// PreCert, the hash of the issuer's key and the TBSCertificate without poison and SCT list.
pub fn promised_leaf(certificate: &Certificate, issuer_key_hash: KeyHash, sct: &SignedCertificateTimestamp) -> Vec<u8> {
    let tbs = certificate.core_tbs();
    let entry = LeafEntry::Precert { issuer_key_hash, tbs: &tbs };
    encode_merkle_tree_leaf(sct.timestamp, &entry, &sct.extensions)
}

/// The promises embedded in a certificate, each read by itself; none in a certificate without an SCT list.
///
/// # Errors
/// [`SctError::List`] when there is a list of which nothing can be read.
pub fn promises(
    certificate: &Certificate,
    issuer_key_hash: KeyHash,
    logs: &KnownLogs,
) -> Result<Vec<Result<Promise, SctError>>, SctError> {
    if certificate.extension(oid::SCT_LIST).next().is_none() {
        return Ok(Vec::new());
    }
    let list = certificate.sct_list().ok_or(SctError::List("the extension holds no OCTET STRING"))?;
    let tbs = certificate.core_tbs();
    let entry = LeafEntry::Precert { issuer_key_hash, tbs: &tbs };
    let promise = |sct: SignedCertificateTimestamp| {
        let log = logs.get(&sct.log_id);
        let signature = match log.map(|log| verify_sct(&sct, &log.key, &entry)) {
            Some(Ok(())) => Signature::Valid,
            Some(Err(error)) => Signature::Invalid(error),
            None => Signature::UnknownLog,
        };
        Promise {
            log_id: sct.log_id,
            promised_at: sct.timestamp,
            due_at: sct.timestamp.plus(log.map_or(Span::from_days(1), |log| log.mmd)),
            leaf_index: leaf_index(&sct.extensions).ok().flatten(),
            leaf_hash: leaf_hash(&encode_merkle_tree_leaf(sct.timestamp, &entry, &sct.extensions)),
            sct: sct.encode(),
            signature,
        }
    };
    Ok(parse_sct_list(list)?.into_iter().map(|sct| sct.map(promise)).collect())
}

/// Whether the embedded SCTs are promises about this certificate. `None` when it has no SCT list or was issued before
/// the rule was in force.
///
/// BR 7.1.2.11.3 with RFC 6962 3.2: an embedded SCT is over a PreCert entry, and the entry is that of this certificate.
pub fn belongs(
    certificate: &Certificate,
    issuer_key_hash: KeyHash,
    logs: &KnownLogs,
    issued: Issued,
    now: Timestamp,
) -> Option<(&'static RuleInfo, Verdict)> {
    certificate.extension(oid::SCT_LIST).next()?;
    let (first, last) = (BELONGS.in_force(issued.earliest), BELONGS.in_force(issued.latest));
    if !first && !last {
        return None;
    }
    let promises = match promises(certificate, issuer_key_hash, logs) {
        Ok(promises) => promises,
        Err(error) => return Some((&BELONGS, Verdict::Fail(vec![BELONGS.finding("SCT list", error.to_string())]))),
    };
    // Logs leave the list when the certificates in them have expired, and then nobody relies on them.
    let expired = certificate.not_after().is_some_and(|end| end < now);
    let (mut findings, mut unknown) = (Vec::new(), None);
    for (at, promise) in promises.iter().enumerate() {
        let finding = match promise {
            Ok(Promise { signature: Signature::Valid, .. }) => continue,
            Ok(Promise { signature: Signature::UnknownLog, log_id, .. }) => {
                unknown = Some(*log_id);
                if expired {
                    continue;
                }
                let detail = "the log is not in the log list: whether it signed this SCT cannot be said";
                review(BELONGS.finding(format!("SCT of log {log_id}"), detail))
            }
            Ok(Promise { signature: Signature::Invalid(error), log_id, .. }) => {
                let name = logs.get(log_id).map_or_else(|| log_id.to_string(), |log| log.name.clone());
                BELONGS.finding(format!("SCT of log {name}"), error.to_string()).with_evidence(LOG_EVIDENCE, name)
            }
            Err(error @ SctError::Version(_)) => review(BELONGS.finding(format!("SCT {}", at + 1), error.to_string())),
            Err(error) => BELONGS.finding(format!("SCT {}", at + 1), error.to_string()),
        };
        findings.push(if first && last { finding } else { review(finding) });
    }
    let verdict = match (findings.is_empty(), unknown) {
        (true, Some(log_id)) => Verdict::NotEvaluable(format!("log {log_id} is not in the log list")),
        _ => Verdict::from_findings(findings),
    };
    Some((&BELONGS, verdict))
}

/// The log of the list that did not sign the SCT of which a finding speaks.
pub fn unsigned_log(finding: &Finding) -> Option<&str> {
    let evidence = finding.evidence.iter().find(|evidence| evidence.source == LOG_EVIDENCE);
    evidence.filter(|_| finding.rule == BELONGS.id).map(|evidence| evidence.text.as_str())
}

fn review(finding: Finding) -> Finding {
    Finding { severity: Severity::Review, clock: RevocationClock::None, ..finding }
}

/// What is known about an open promise when it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The leaf stands in a tree that was proven.
    Found {
        /// Where.
        index: u64,
        /// The newest tree head without it.
        before: Option<SignedTreeHead>,
    },
    /// It was not seen yet, and nobody was asked.
    NotSeen,
    /// The log was asked at this tree head and does not have it.
    Denied {
        /// The head.
        head: SignedTreeHead,
        /// In what way.
        absence: Absence,
        /// How often the log said so before.
        denials: u32,
    },
    /// The log was asked and gave no answer that decides anything.
    Unanswered,
}

/// How a promised leaf is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The signed tree ends before the index that the log promised: proof in itself.
    TreeTooSmall,
    /// The signed tree ended before this index, where the leaf came to stand later: proof in itself.
    MergedLate(u64),
    /// The log says that no leaf has the hash: its word, escaped.
    NoSuchLeaf(String),
    /// Another leaf stands at the promised index; its TimestampedEntry.
    OtherLeaf(Vec<u8>),
    /// The log shows the entry, but under the signed root stands this hash at the promised index.
    Unmerged(Hash),
}

/// What is to be done about an open promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It was kept.
    Kept,
    /// It was broken, and this tree head shows it.
    Broken(SignedTreeHead, Absence),
    /// Ask the log.
    Ask,
    /// Look again at this time.
    Wait(Timestamp),
}

/// How far the clocks of a log's machines may be apart: seconds, not the merge delay.
fn tolerance(mmd: Span) -> Span {
    Span::from_millis((mmd.millis() / 24).clamp(0, 60_000))
}

/// Pause between two questions to a log that denied or did not answer.
fn pause(mmd: Span) -> Span {
    Span::from_millis((mmd.millis() / 24).clamp(500, HOUR.millis()))
}

/// The moment from which on a signed tree head must cover the leaf.
pub fn judged_at(due_at: Timestamp, mmd: Span) -> Timestamp {
    due_at.plus(tolerance(mmd))
}

/// What follows from a look at a promise that was made at `promised_at` by a log with this merge delay.
///
/// A log is convicted by a tree head that it signed after the delay. As its word is no proof, and front ends lag and
/// cache, it is asked twice, unless the head alone proves it.
pub fn next(look: Look, promised_at: Timestamp, mmd: Span, now: Timestamp) -> Next {
    let judged_at = judged_at(promised_at.plus(mmd), mmd);
    match look {
        Look::Found { index, before: Some(head) } if head.timestamp() >= judged_at && head.tree_size() <= index => {
            Next::Broken(head, Absence::MergedLate(index))
        }
        Look::Found { .. } => Next::Kept,
        // Sought more and more seldom: after ten seconds, then whenever its age has doubled.
        Look::NotSeen if now < judged_at => {
            let age = Span::from_millis(now.since(promised_at).millis().max(10_000));
            Next::Wait(now.plus(age).min(judged_at))
        }
        Look::NotSeen => Next::Ask,
        Look::Denied { head, absence, denials } if head.timestamp() >= judged_at => match absence {
            Absence::TreeTooSmall => Next::Broken(head, absence),
            absence if denials > 0 => Next::Broken(head, absence),
            _ => Next::Wait(now.plus(pause(mmd))),
        },
        Look::Denied { .. } | Look::Unanswered => {
            // A log that is gone is asked less and less often, at last once in six hours.
            let overdue = now.since(judged_at).millis().clamp(pause(mmd).millis(), 6 * HOUR.millis());
            Next::Wait(now.plus(Span::from_millis(overdue)))
        }
    }
}

/// The case against a log that broke a promise: the SCT and the leaf that it promised, byte for byte, and the tree
/// head without it.
pub fn misconduct(
    log: &Log,
    promise: &Promise,
    leaf_input: &[u8],
    head: SignedTreeHead,
    absence: &Absence,
) -> Misconduct {
    let why = match absence {
        Absence::TreeTooSmall => "it ends before the promised index".to_string(),
        Absence::MergedLate(index) => format!("the leaf came later, at index {index}"),
        Absence::NoSuchLeaf(_) => "the log knows no such leaf".to_string(),
        Absence::OtherLeaf(_) => "another entry stands at the promised index".to_string(),
        Absence::Unmerged(_) => "the log shows the entry, but another is under its root".to_string(),
    };
    let (size, signed_at, promised) = (head.tree_size(), head.timestamp(), hex::encode(promise.leaf_hash));
    let detail = format!(
        "a leaf promised at {} for {} is not in the tree of {size} entries signed at {signed_at}: {why}; leaf {promised}",
        promise.promised_at, promise.due_at
    );
    let (mut answer, mut other, mut hash) = (Value::Null, Value::Null, Value::Null);
    match absence {
        Absence::TreeTooSmall | Absence::MergedLate(_) => {}
        Absence::NoSuchLeaf(text) => answer = text.as_str().into(),
        Absence::OtherLeaf(entry) => other = to_base64(entry).into(),
        Absence::Unmerged(proven) => hash = to_base64(proven).into(),
    }
    let more = serde_json::json!({
        "sct": to_base64(&promise.sct),
        "leaf_input": to_base64(leaf_input),
        "leaf_hash": to_base64(&promise.leaf_hash),
        "leaf_index": promise.leaf_index,
        "mmd_seconds": log.mmd.seconds(),
        "answer": answer,
        "entry_at_leaf_index": other,
        "hash_at_leaf_index": hash,
    });
    Misconduct { kind: Kind::SctNotHonoured, tree_size: size, detail, heads: vec![head], more }
}

/// The case against a log in which an entry stands at `index` that is dated more than a merge delay before a tree head
/// without it. `None` when the head shows nothing of the kind.
///
/// RFC 6962 3.4: the timestamp of an entry is that of the SCT, so that every entry carries a promise of its own.
pub fn late_entry(log: &Log, index: u64, logged_at: Timestamp, head: &SignedTreeHead) -> Option<Misconduct> {
    let (size, signed_at) = (head.tree_size(), head.timestamp());
    if size > index || signed_at < judged_at(logged_at.plus(log.mmd), log.mmd) {
        return None;
    }
    let detail =
        format!("entry {index} is dated {logged_at} and is not in the tree of {size} entries signed at {signed_at}");
    let more = serde_json::json!({
        "index": index, "timestamp": logged_at.millis(), "mmd_seconds": log.mmd.seconds(),
    });
    Some(Misconduct { kind: Kind::SctNotHonoured, tree_size: size, detail, heads: vec![head.clone()], more })
}

#[cfg(test)]
mod tests;
