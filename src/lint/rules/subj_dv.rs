//! BR 7.1.2.7.2: the subject of a Domain Validated certificate has a countryName (MAY) and a commonName (NOT
//! RECOMMENDED); any other attribute MUST NOT. Before 2023-09-15 BR 7.1.6.1 (9.3.1 at first) forbade seven of them by name. The
//! organizationalUnitName is left to `subj.ou`.

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::kind;
use crate::lint::policy::{Validation, validation};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.dv",
        summary: "The subject of a DV certificate has no attribute but C and CN",
        severity: Severity::Error,
        citation: br("7.1.2.7.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![PROFILE]),
};

/// From here on all others are forbidden.
const PROFILE: Timestamp = date(2023, 9, 15);
/// What was forbidden before.
const NAMED: [&[u8]; 7] = [kind::O, kind::GN, kind::SN, kind::STREET, kind::L, kind::ST, kind::POSTAL_CODE];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if validation(subject) != Some(Validation::Domain) {
        return Vec::new();
    }
    let attributes = subject.attributes();
    let profile = subject.moment >= PROFILE;
    let forbidden = |oid: &[u8]| match profile {
        true => !matches!(oid, kind::C | kind::CN | kind::OU),
        false => NAMED.contains(&oid),
    };
    let found = attributes.iter().filter(|attribute| forbidden(attribute.oid)).map(|attribute| {
        let mut finding = RULE.info.finding(attribute.shown(), "is forbidden in a DV certificate");
        if !profile {
            finding.citation = br("7.1.6.1").to_string().into();
        }
        finding
    });
    found.collect()
}
