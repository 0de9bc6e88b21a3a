//! What is watched beside the certificates in the logs: that what the CA signed is in a log ([`unlogged`]), that what it
//! revoked is on its CRLs ([`revoked`], [`crls`]), that its controls are in force ([`control`]) and that its own records
//! count the same certificates ([`counts`]).
//!
//! All of it is pure: the facts are gathered by `pipeline`.

pub mod control;
pub mod counts;
pub mod crls;
pub mod revoked;
pub mod unlogged;

use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity, Verdict};

/// The rules of this room.
pub static RULES: &[&RuleInfo] = &[
    &unlogged::UNLOGGED,
    &unlogged::UNFINALISED,
    &revoked::ON_CRL,
    &revoked::IN_RECORD,
    &revoked::LATE,
    &revoked::REASON,
    &crls::AVAILABLE,
    &crls::FORM,
    &crls::SIGNATURE,
    &crls::SCOPE,
    &crls::FRESH,
    &crls::NUMBER,
    &control::OFF,
    &control::SILENT,
    &control::DRIFT,
    &control::LIST,
    &counts::DIFFER,
];

/// A rule with its verdict.
pub type Judged = (&'static RuleInfo, Verdict);

const fn rule(id: &'static str, summary: &'static str, citation: Citation, needs: Needs) -> RuleInfo {
    RuleInfo {
        id,
        summary,
        severity: Severity::Error,
        citation,
        clock: RevocationClock::None,
        since: None,
        until: None,
        needs,
    }
}

const fn monitor(section: &'static str) -> Citation {
    Citation { document: Document::Monitor, section }
}

/// The findings among verdicts.
pub fn findings(judged: &[Judged]) -> Vec<Finding> {
    let found = judged.iter().filter_map(|(_, verdict)| match verdict {
        Verdict::Fail(findings) => Some(findings.clone()),
        Verdict::Pass | Verdict::NotEvaluable(_) => None,
    });
    found.flatten().collect()
}
