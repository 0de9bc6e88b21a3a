//! BR 7.1.2.7.12: of the choices of GeneralName only dNSName and iPAddress are permitted, each other "MUST NOT" be present.

use crate::cert::der::Class;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "san.types",
        summary: "The subjectAltName holds nothing but dNSName and iPAddress",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let names = subject.cert.general_names();
    let mut found: Vec<Finding> = Vec::new();
    for name in names.iter().filter(|n| !(n.class == Class::Context && matches!(n.tag, 2 | 7))) {
        let finding = RULE.info.finding(name.text(), format!("is a {}", name.kind()));
        if found.iter().all(|other| other.subject != finding.subject) {
            found.push(finding);
        }
    }
    found
}
