//! BR 7.1.2.7.3 and 7.1.2.7.4: organizationalUnitName MUST NOT be in a subject; 7.1.4.2.2 said so for certificates
//! issued on or after 2022-09-01 (SC047).

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::kind;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.ou",
        summary: "The subject has no OU",
        severity: Severity::Error,
        citation: br("7.1.2.7.4"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2022, 9, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// From here on the profiles say so; before that another section did.
const PROFILE: Timestamp = date(2023, 9, 15);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let attributes = subject.attributes();
    let units = attributes.iter().filter(|attribute| attribute.oid == kind::OU);
    let found = units.map(|unit| {
        let mut finding = RULE.info.finding(unit.shown(), "is forbidden");
        if subject.moment < PROFILE {
            finding.citation = br("7.1.4.2.2").to_string().into();
        }
        finding
    });
    found.collect()
}
