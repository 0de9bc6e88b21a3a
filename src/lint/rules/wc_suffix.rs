//! BR 3.2.2.6: before a wildcard is issued the CA determines whether the FQDN portion is registry-controlled or a public
//! suffix; if so it must refuse "unless the Applicant proves its rightful control of the entire Domain Namespace". The certificate
//! does not show the proof, so this is for review.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject, rests_on};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "wc.suffix",
        summary: "No wildcard directly under a registry-controlled suffix without proof of the whole namespace",
        severity: Severity::Review,
        citation: br("3.2.2.6"),
        clock: RevocationClock::Day(5),
        since: Some(date(2012, 7, 1)),
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
        if name.is_wildcard() && suffixes.is_suffix(name.without_edges()) {
            broken.at(|| {
                let detail =
                    "is a wildcard on a registry-controlled suffix; only proof of the whole namespace permits it";
                let source = format!("ICANN section, {}", rests_on("list", suffixes.as_of(), subject.moment));
                RULE.info.finding(name.text(), detail).with_evidence("Public Suffix List", source)
            });
        }
    }
    broken.findings()
}
