//! BR 7.1.2.7.6: subjectKeyIdentifier is NOT RECOMMENDED in a Subscriber Certificate.

use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.ski",
        summary: "There is no subjectKeyIdentifier, which is not recommended",
        severity: Severity::Warning,
        citation: br("7.1.2.7.6"),
        clock: RevocationClock::None,
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let present = subject.cert.extension(oid::SUBJECT_KEY_ID).next();
    present.map(|_| RULE.info.finding("subjectKeyIdentifier", "is present")).into_iter().collect()
}
