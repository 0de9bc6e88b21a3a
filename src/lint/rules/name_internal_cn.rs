//! BR 1.6.1: an Internal Name is one "in a Common Name or Subject Alternative Name field". A CN that repeats a dNSName is left to
//! name.internal, so that one name is one finding.

use crate::cert::DnsName;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::rules::name_internal;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.internal_cn",
        summary: "The last label of a commonName is a TLD of the IANA root zone at issuance",
        severity: Severity::Error,
        citation: br("1.6.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::LogTime,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(name_internal::dates),
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !name_internal::in_force(subject) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for common_name in subject.common_names() {
        let name = DnsName(common_name.text().map_or(common_name.value.clone(), String::into_bytes));
        if subject.lower_names().contains(&name.bytes().to_ascii_lowercase()) {
            continue;
        }
        if let Some(why) = name_internal::why_internal(subject, &name) {
            found.push(why.finding(&RULE.info, common_name.shown(), subject));
        }
    }
    found
}
