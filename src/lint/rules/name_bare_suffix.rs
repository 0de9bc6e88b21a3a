//! BR 1.6.1: a Base Domain Name is the registry-controlled suffix and one label more, so a suffix itself can hardly be
//! validated; "For FQDNs where the right-most Domain Name node is a gTLD having ICANN Specification 13 in its registry
//! agreement, the gTLD itself may be used as the Base Domain Name." The certificate does not show which, so this is for
//! review.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject, rests_on};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.bare_suffix",
        summary: "No dNSName is itself a registry-controlled suffix",
        severity: Severity::Review,
        citation: br("1.6.1"),
        clock: RevocationClock::Day(5),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let suffixes = &subject.tables.suffixes;
    let mut broken = Broken::new(&RULE.info);
    for name in subject.dns_names() {
        if !name.is_wildcard() && suffixes.is_suffix(name.without_edges()) && !name.is_under("onion") {
            broken.at(|| {
                let detail =
                    "is itself a registry-controlled suffix; only its registry could have proved control of it";
                let source = format!("ICANN section, {}", rests_on("list", suffixes.as_of(), subject.moment));
                RULE.info.finding(name.text(), detail).with_evidence("Public Suffix List", source)
            });
        }
    }
    broken.findings()
}
