//! BR 7.1.2.7.12: subjectAltName is critical if and only if the subject is an empty SEQUENCE. Before that profile RFC
//! 5280 4.2.1.6: MUST for the empty subject, SHOULD NOT for any other.

use crate::cert::oid;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, rfc};
use crate::lint::{Rule, Scope, Subject, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "san.critical",
        summary: "subjectAltName is critical exactly when the subject is empty",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![PROFILE]),
};

/// From here on both directions are a MUST.
const PROFILE: Timestamp = date(2023, 9, 15);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cert = subject.cert;
    let empty = matches!(cert.subject_der(), [0x30, 0]);
    // Of two extensions each must be marked as it should: a parser may keep either.
    if cert.extension(oid::SUBJECT_ALT_NAME).all(|extension| extension.critical == empty) {
        return Vec::new();
    }
    let detail = if empty { "is not critical though the subject is empty" } else { "is critical beside a subject" };
    let profile = subject.moment >= PROFILE;
    let mut finding = match profile || empty {
        true => RULE.info.finding("subjectAltName", detail),
        false => warning(&RULE.info, "subjectAltName", detail),
    };
    if !profile {
        finding.citation = rfc(5280, "4.2.1.6").to_string().into();
    }
    vec![finding]
}
