//! EVG 7.1.2.1 and 7.1.4.2.2: Wildcard Certificates are not allowed for EV, except for onion names.

use crate::cert::DnsName;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::policy::is_extended;
use crate::lint::{Broken, Rule, Scope, Subject, without_edges};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "wc.ev",
        summary: "An EV certificate has no wildcard name, except for onion names",
        severity: Severity::Error,
        citation: Citation { document: Document::Evg, section: "7.1.4.2.2" },
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
    if !is_extended(subject) {
        return Vec::new();
    }
    let wild = |name: &DnsName| name.is_wildcard() && !without_edges(name).is_under("onion");
    let told = |_: &DnsName| "is a wildcard in an EV certificate".to_string();
    Broken::names(&RULE.info, subject.dns_names(), wild, told)
}
