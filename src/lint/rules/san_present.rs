//! BR 7.1.2.7.12: the subjectAltName is present and holds at least one dNSName or iPAddress.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, has_san};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "san.present",
        summary: "There is a subjectAltName with at least one dNSName or iPAddress",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.identifiers().is_empty() {
        return Vec::new();
    }
    let detail = if has_san(subject.cert) { "holds no dNSName and no iPAddress" } else { "is absent" };
    vec![RULE.info.finding("subjectAltName", detail)]
}
