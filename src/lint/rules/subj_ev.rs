//! EVG 7.1.4.2: the subject of an EV certificate has organizationName, businessCategory (one of four),
//! jurisdictionCountry, serialNumber, countryName and at least one of localityName and stateOrProvinceName, and no
//! attribute that these sections do not name. The organizationalUnitName is left to `subj.ou`.

use crate::clock::date;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::attributes::{kind, missing};
use crate::lint::policy::{Validation, validation};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.ev",
        summary: "The subject of an EV certificate has the attributes that EV demands and no other",
        severity: Severity::Error,
        citation: Citation { document: Document::Evg, section: "7.1.4.2" },
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

const PERMITTED: [&[u8]; 14] = [
    kind::CN,
    kind::SERIAL_NUMBER,
    kind::C,
    kind::L,
    kind::ST,
    kind::STREET,
    kind::O,
    kind::OU,
    kind::BUSINESS_CATEGORY,
    kind::POSTAL_CODE,
    kind::ORGANIZATION_ID,
    kind::JURISDICTION_L,
    kind::JURISDICTION_ST,
    kind::JURISDICTION_C,
];
const REQUIRED: [&[&[u8]]; 6] = [
    &[kind::O],
    &[kind::BUSINESS_CATEGORY],
    &[kind::JURISDICTION_C],
    &[kind::SERIAL_NUMBER],
    &[kind::C],
    &[kind::L, kind::ST],
];
/// EVG 7.1.4.2.3.
const CATEGORIES: [&str; 4] = ["Private Organization", "Government Entity", "Business Entity", "Non-Commercial Entity"];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if validation(subject) != Some(Validation::Extended) {
        return Vec::new();
    }
    let attributes = subject.attributes();
    let mut found: Vec<Finding> = missing(attributes, &REQUIRED)
        .map(|name| RULE.info.finding(name, "is missing from the subject of an EV certificate"))
        .collect();
    for attribute in attributes {
        let category = attribute.oid == kind::BUSINESS_CATEGORY;
        if !PERMITTED.contains(&attribute.oid) {
            found.push(RULE.info.finding(attribute.shown(), "is forbidden in an EV certificate"));
        } else if category && !attribute.text().is_some_and(|text| CATEGORIES.contains(&text.as_str())) {
            found.push(RULE.info.finding(attribute.shown(), "is not one of the four categories"));
        }
    }
    found
}
