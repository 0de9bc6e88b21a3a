//! RFC 5280 4.2: "A certificate MUST NOT include more than one instance of a particular extension." Two subjectAltNames
//! are left to `san.der`.

use crate::cert::der::dotted;
use crate::cert::oid;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.dup",
        summary: "No extension is there twice",
        severity: Severity::Error,
        citation: rfc(5280, "4.2"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let extensions = subject.cert.extensions();
    let again = extensions.iter().enumerate().filter(|(at, extension)| {
        extension.oid != oid::SUBJECT_ALT_NAME && extensions[..*at].iter().any(|other| other.oid == extension.oid)
    });
    again.map(|(_, extension)| RULE.info.finding(dotted(&extension.oid), "is there more than once")).collect()
}
