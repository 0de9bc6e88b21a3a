//! BR 7.1.2.7.2: the subject of a Domain Validated certificate has a countryName (MAY) and a commonName (NOT
//! RECOMMENDED); any other attribute MUST NOT. The organizationalUnitName is left to `subj.ou`.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::kind;
use crate::lint::policy::{Validation, validation};
use crate::lint::{Rule, Scope, Subject, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.dv",
        summary: "The subject of a DV certificate has no attribute but C and CN",
        severity: Severity::Error,
        citation: br("7.1.2.7.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if validation(subject.cert) != Some(Validation::Domain) {
        return Vec::new();
    }
    let attributes = subject.cert.subject_attributes();
    let other = attributes.iter().filter(|attribute| !matches!(attribute.oid, kind::C | kind::CN | kind::OU));
    other.map(|attribute| RULE.info.finding(attribute.shown(), "is forbidden in a DV certificate")).collect()
}
