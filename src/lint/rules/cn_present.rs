//! BR 7.1.2.7.2 to 7.1.2.7.4: the commonName is NOT RECOMMENDED in a Subscriber Certificate. Nearly every certificate has one
//! all the same, so that it is only worth knowing.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cn.present",
        summary: "The subject has no commonName, which is not recommended",
        severity: Severity::Notice,
        citation: br("7.1.2.7.2"),
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
    if subject.common_names().is_empty() { Vec::new() } else { vec![RULE.info.finding("commonName", "is present")] }
}
