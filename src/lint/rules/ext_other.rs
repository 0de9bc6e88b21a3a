//! BR 7.1.2.7.6: an extension that the profile does not name is NOT RECOMMENDED (7.1.2.11.5 says when it is allowed at
//! all). An EV certificate may have cabfOrganizationIdentifier (EVG 7.1.2.2).

use crate::cert::der::dotted;
use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.other",
        summary: "There is no extension that the profile does not name, which is not recommended",
        severity: Severity::Warning,
        citation: br("7.1.2.7.6"),
        clock: RevocationClock::None,
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// The extensions that the profile or another rule is about.
const KNOWN: [&[u8]; 13] = [
    oid::AUTHORITY_INFO_ACCESS,
    oid::AUTHORITY_KEY_ID,
    oid::BASIC_CONSTRAINTS,
    oid::CERTIFICATE_POLICIES,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::EXT_KEY_USAGE,
    oid::KEY_USAGE,
    oid::NAME_CONSTRAINTS,
    oid::POISON,
    oid::SCT_LIST,
    oid::SUBJECT_ALT_NAME,
    oid::SUBJECT_KEY_ID,
    ORGANIZATION_IDENTIFIER,
];
/// cabfOrganizationIdentifier, 2.23.140.3.1.
const ORGANIZATION_IDENTIFIER: &[u8] = &[0x67, 0x81, 0x0c, 3, 1];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let other = subject.cert.extensions().iter().filter(|extension| !KNOWN.contains(&extension.oid.as_slice()));
    other.map(|extension| RULE.info.finding(dotted(&extension.oid), "is present")).collect()
}
