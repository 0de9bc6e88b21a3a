//! BR 7.1.2.7.3: the subject of an Individual Validated certificate has countryName, surname, givenName and at least
//! one of stateOrProvinceName and localityName. The organizationalUnitName is left to `subj.ou`.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::{kind, missing};
use crate::lint::policy::{Validation, validation};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.iv",
        summary: "The subject of an IV certificate has C, SN, GN and L or ST",
        severity: Severity::Error,
        citation: br("7.1.2.7.3"),
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
    if validation(subject) != Some(Validation::Individual) {
        return Vec::new();
    }
    let attributes = subject.attributes();
    missing(attributes, &[&[kind::C], &[kind::SN], &[kind::GN], &[kind::L, kind::ST]])
        .map(|name| RULE.info.finding(name, "is missing from the subject of an IV certificate"))
        .collect()
}
