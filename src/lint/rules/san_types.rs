//! BR 7.1.2.7.12: of the choices of GeneralName only dNSName and iPAddress are permitted.

use crate::cert::GeneralName;
use crate::cert::der::Class;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject};

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
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    let known = |name: &&GeneralName| name.class == Class::Context && matches!(name.tag, 2 | 7);
    for name in subject.general_names().iter().filter(|name| !known(name)) {
        broken.at(|| RULE.info.finding(name.text(), format!("is a {}", name.kind())));
    }
    broken.findings()
}
