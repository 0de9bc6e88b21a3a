//! BR 7.1.2.7.6: nameConstraints MUST NOT be in a Subscriber Certificate.

use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.nc",
        summary: "There is no nameConstraints",
        severity: Severity::Error,
        citation: br("7.1.2.7.6"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let present = subject.cert.extension(oid::NAME_CONSTRAINTS).next();
    present.map(|_| RULE.info.finding("nameConstraints", "is present")).into_iter().collect()
}
