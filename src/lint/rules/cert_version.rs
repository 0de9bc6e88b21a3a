//! RFC 5280 4.1.2.1: "When extensions are used, as expected in this profile, version MUST be 3 (value is 2)"; BR
//! 7.1.2.7 says v3.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cert.version",
        summary: "The version is v3",
        severity: Severity::Error,
        citation: br("7.1.2.7"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.cert.is_v3() { Vec::new() } else { vec![RULE.info.finding("version", "is not v3")] }
}
