//! BR 7.1.2.7.4: the subject of an Organization Validated certificate has countryName, organizationName and at least
//! one of stateOrProvinceName and localityName; surname and givenName MUST NOT. The organizationalUnitName is left to
//! `subj.ou`.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::{kind, missing};
use crate::lint::policy::{Validation, validation};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.ov",
        summary: "The subject of an OV certificate has C, O and L or ST, and neither SN nor GN",
        severity: Severity::Error,
        citation: br("7.1.2.7.4"),
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
    if validation(subject) != Some(Validation::Organization) {
        return Vec::new();
    }
    let attributes = subject.attributes();
    let mut found: Vec<Finding> = missing(attributes, &[&[kind::C], &[kind::O], &[kind::L, kind::ST]])
        .map(|name| RULE.info.finding(name, "is missing from the subject of an OV certificate"))
        .collect();
    let forbidden = attributes.iter().filter(|attribute| matches!(attribute.oid, kind::SN | kind::GN));
    found.extend(forbidden.map(|a| RULE.info.finding(a.shown(), "is forbidden in an OV certificate")));
    found
}
