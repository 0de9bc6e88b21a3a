//! BR 4.2.2 (and 7.1.2.7.12): from 2026-03-15 no dNSName may end in an IP Reverse Zone Suffix, `in-addr.arpa` or `ip6.arpa`.

use crate::cert::DnsName;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject, without_edges};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.reverse_zone",
        summary: "No dNSName is or lies under in-addr.arpa or ip6.arpa",
        severity: Severity::Error,
        citation: br("4.2.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2026, 3, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// The IP Reverse Zone Suffixes of BR 1.6.1.
const ZONES: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let reverse = |name: &DnsName| ZONES.iter().any(|zone| without_edges(name).is_under(zone));
    Broken::names(&RULE.info, subject.odd_names(), reverse, |_| "is in an IP reverse zone".to_string())
}
