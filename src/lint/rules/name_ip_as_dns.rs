//! BR 7.1.2.7.12: a dNSName holds a domain name, an address belongs into an iPAddress.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, is_ip_literal, no_dates, without_edges};

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
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let names = subject.dns_names().iter().filter(|n| is_ip_literal(without_edges(n).bytes()));
    names.map(|name| RULE.info.finding(name.text(), "is an IP address in a dNSName")).collect()
}
