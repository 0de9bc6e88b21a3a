//! BR 7.1.4.1: a Name does not contain more than one instance of an attribute type "unless explicitly allowed in these
//! Requirements", which they do for domainComponent and streetAddress. Two commonNames are left to `cn.from_san`.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::kind;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.dup",
        summary: "No attribute type is in the subject twice",
        severity: Severity::Error,
        citation: br("7.1.4.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let attributes = subject.attributes();
    let again = attributes.iter().enumerate().filter(|(at, attribute)| {
        let allowed = matches!(attribute.oid, kind::DC | kind::STREET | kind::CN);
        !allowed && attributes[..*at].iter().any(|other| other.oid == attribute.oid)
    });
    again.map(|(_, attribute)| RULE.info.finding(attribute.name(), "is there more than once")).collect()
}
