//! RFC 5280 4.2.1.6 and X.690: the subjectAltName is one extension, its value one SEQUENCE in DER with nothing behind it, its
//! names IMPLICIT context tags, primitive or constructed as their type is. Parsers that differ here see different names.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Rule, Scope, Subject, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "san.der",
        summary: "The subjectAltName is exact DER: one extension, right tag classes, nothing after it",
        severity: Severity::Error,
        citation: rfc(5280, "4.2.1.6"),
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
    let mut found = Vec::new();
    let defects = subject.general_name_defects();
    if !defects.is_empty() {
        found.push(RULE.info.finding("subjectAltName", format!("is not exact DER: {}", defects.join("; "))));
    }
    for name in subject.general_names().iter().filter(|name| !name.is_well_formed()) {
        found.push(RULE.info.finding(name.text(), "is a GeneralName with the wrong tag class or constructed bit"));
    }
    found
}
