//! BR 7.1.2.7.12: the dNSName is a Fully-Qualified Domain Name, whose last label is a TLD: the zero-length root label
//! must not be written.

use crate::cert::DnsName;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.root_dot",
        summary: "No dNSName ends with a dot",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2021, 8, 25)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let told = |_: &DnsName| "ends with the dot of the root zone".to_string();
    Broken::names(&RULE.info, subject.odd_names(), |name| name.bytes().ends_with(b"."), told)
}
