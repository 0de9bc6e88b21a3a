//! RFC 5280 4.2.1.6 and X.690: the subjectAltName is one extension, its value one SEQUENCE in DER with nothing behind it, its
//! names IMPLICIT context tags, primitive or constructed as their type is. Parsers that differ here see different names.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Broken, Rule, Scope, Subject};

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
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    let defects = subject.general_name_defects();
    if !defects.is_empty() {
        broken.at(|| RULE.info.finding("subjectAltName", format!("is not exact DER: {}", defects.join("; "))));
    }
    for name in subject.general_names().iter().filter(|name| !name.is_well_formed()) {
        broken.at(|| RULE.info.finding(name.text(), "is a GeneralName with the wrong tag class or constructed bit"));
    }
    broken.findings()
}
