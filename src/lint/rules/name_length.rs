//! RFC 1035 2.3.4: names have "255 octets or less" on the wire, which leaves 253 for the text without the root dot.

use crate::cert::DnsName;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.length",
        summary: "A dNSName has at most 253 octets",
        severity: Severity::Error,
        citation: rfc(1035, "2.3.4"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// Longest name in octets; `*.` counts.
const MAX_OCTETS: usize = 253;

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let told = |name: &DnsName| format!("has {} octets, {MAX_OCTETS} are allowed", name.bytes().len());
    Broken::names(&RULE.info, subject.odd_names(), |name| name.bytes().len() > MAX_OCTETS, told)
}
