//! BR 7.1.2.7.12: a dNSName holds a domain name, an address belongs into an iPAddress.

use crate::cert::DnsName;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject, is_ip_literal};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.ip_as_dns",
        summary: "No dNSName is the text of an IP address",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let told = |_: &DnsName| "is an IP address in a dNSName".to_string();
    Broken::names(&RULE.info, subject.odd_names(), |name| is_ip_literal(name.without_edges()), told)
}
