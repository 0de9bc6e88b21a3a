//! What a log must not do: the kinds of misbehaviour, each with its row in the rule table, and the evidence of one.

pub mod extra;
pub mod verify;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::ct::key::LogId;
use crate::ct::sth::SignedTreeHead;
use crate::ct::to_base64;
pub use verify::{EvidenceError, Worth};

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};

/// A kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tree head that the log's key did not sign.
    BadSignature,
    /// Two signed tree heads that cannot both be of one log.
    Fork,
    /// The entries do not have the root that the log signed.
    RootMismatch,
    /// The tree became smaller and stayed so.
    Rollback,
    /// A tree head from the future.
    FutureHead,
    /// No new tree head within the maximum merge delay.
    Frozen,
    /// Entries below a signed tree head that the log does not serve.
    LostEntries,
    /// An entry of a static log that states another index than its own.
    LeafIndex,
    /// A promise to include an entry that was not kept.
    SctNotHonoured,
    /// A precertificate or a chain that does not belong to the entry beside which the log sends it.
    ExtraData,
}

macro_rules! rule {
    ($id:literal, $summary:literal, $severity:ident, $rfc:literal, $section:literal) => {
        RuleInfo {
            id: $id,
            summary: $summary,
            severity: Severity::$severity,
            citation: rfc($rfc, $section),
            clock: RevocationClock::None,
            since: None,
            until: None,
            needs: Needs::LogTime,
        }
    };
}

static BAD_SIGNATURE: RuleInfo =
    rule!("log.bad_signature", "a log's tree head is signed with the log's key", Error, 6962, "3.5");
static FORK: RuleInfo = rule!("log.fork", "a log signs one root for one tree size", Error, 6962, "5.3");
static ROOT_MISMATCH: RuleInfo =
    rule!("log.root_mismatch", "the entries of a log have the root that it signed", Error, 6962, "2.1");
static ROLLBACK: RuleInfo = rule!("log.rollback", "a log never becomes smaller", Error, 6962, "3.5");
static FUTURE_HEAD: RuleInfo =
    rule!("log.future_head", "a tree head is not signed with a time to come", Warning, 6962, "3.5");
static FROZEN: RuleInfo =
    rule!("log.frozen", "a log signs a new tree head within its maximum merge delay", Warning, 6962, "3.5");
static LOST_ENTRIES: RuleInfo =
    rule!("log.lost_entries", "a log serves every entry below its tree head", Error, 6962, "4.6");
static LEAF_INDEX: RuleInfo =
    rule!("log.leaf_index", "an entry of a static log states its own index", Warning, 6962, "3.4");
static SCT_NOT_HONOURED: RuleInfo = rule!(
    "log.sct_not_honoured",
    "a log includes what it has promised within its maximum merge delay",
    Error,
    6962,
    "3"
);

static EXTRA_DATA: RuleInfo =
    rule!("log.extra_data", "what a log sends beside an entry belongs to the entry", Warning, 6962, "4.6");

/// The rules about logs.
pub static RULES: &[&RuleInfo] = &[
    &BAD_SIGNATURE,
    &FORK,
    &ROOT_MISMATCH,
    &ROLLBACK,
    &FUTURE_HEAD,
    &FROZEN,
    &LOST_ENTRIES,
    &LEAF_INDEX,
    &SCT_NOT_HONOURED,
    &EXTRA_DATA,
];

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 10] = [
        Kind::BadSignature,
        Kind::Fork,
        Kind::RootMismatch,
        Kind::Rollback,
        Kind::FutureHead,
        Kind::Frozen,
        Kind::LostEntries,
        Kind::LeafIndex,
        Kind::SctNotHonoured,
        Kind::ExtraData,
    ];

    /// Its row in the rule table.
    pub fn rule(self) -> &'static RuleInfo {
        match self {
            Kind::BadSignature => &BAD_SIGNATURE,
            Kind::Fork => &FORK,
            Kind::RootMismatch => &ROOT_MISMATCH,
            Kind::Rollback => &ROLLBACK,
            Kind::FutureHead => &FUTURE_HEAD,
            Kind::Frozen => &FROZEN,
            Kind::LostEntries => &LOST_ENTRIES,
            Kind::LeafIndex => &LEAF_INDEX,
            Kind::SctNotHonoured => &SCT_NOT_HONOURED,
            Kind::ExtraData => &EXTRA_DATA,
        }
    }

    /// The word in the books and in evidence files: the rule's identifier without `log.`.
    pub fn word(self) -> &'static str {
        &self.rule().id["log.".len()..]
    }

    /// The kind that a word means.
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A log as evidence names it: enough to verify what it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accused {
    /// SHA-256 of its key.
    pub log_id: LogId,
    /// Its short name.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Its key, DER SubjectPublicKeyInfo.
    pub key_der: Vec<u8>,
}

/// One misbehaviour with what shows it.
#[derive(Clone, Debug)]
pub struct Misconduct {
    /// Its kind.
    pub kind: Kind,
    /// The tree size it is about.
    pub tree_size: u64,
    /// What happened, in one sentence.
    pub detail: String,
    /// Signed tree heads that show it, byte for byte.
    pub heads: Vec<SignedTreeHead>,
    /// What else shows it.
    pub more: Value,
}

/// The name of the evidence format.
pub const FORMAT: &str = "ctwarden-evidence-1";

impl Misconduct {
    /// The evidence as one JSON document that a third party can verify without us.
    pub fn evidence(&self, accused: &Accused, observed_at: Timestamp) -> Value {
        serde_json::json!({
            "format": FORMAT,
            "kind": self.kind.word(),
            "statement": self.detail,
            "observed_at": observed_at.to_string(),
            "tree_size": self.tree_size,
            "log": {
                "name": accused.name,
                "operator": accused.operator,
                "log_id": accused.log_id,
                "key": to_base64(&accused.key_der),
            },
            "tree_heads": self.heads.iter().map(SignedTreeHead::to_json).collect::<Vec<_>>(),
            "more": self.more,
        })
    }

    /// What is added to the case about a kind of misbehaviour when the log has made it good: no charge, but the truth.
    pub fn mended(kind: Kind, accused: &Accused, detail: String) -> Finding {
        let finding = kind.rule().finding(format!("{}, mended", accused.name), detail);
        Finding { severity: Severity::Notice, ..finding }
    }

    /// The finding of the case about it: one per log and kind, however often it happens.
    pub fn finding(&self, accused: &Accused) -> Finding {
        let finding = self.kind.rule().finding(accused.name.clone(), self.detail.clone());
        finding.with_evidence("books", format!("`ctwarden evidence export {} {}`", accused.name, self.kind.word()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_a_rule_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.word()), Some(kind));
            assert!(RULES.iter().any(|rule| std::ptr::eq(*rule, kind.rule())));
        }
        assert_eq!(RULES.len(), Kind::ALL.len());
        assert_eq!(Kind::Fork.word(), "fork");
        assert_eq!(Kind::parse("log.fork"), None);
    }
}
