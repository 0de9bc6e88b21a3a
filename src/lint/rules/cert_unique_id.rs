//! RFC 5280 4.1.2.8: "CAs conforming to this profile MUST NOT generate certificates with unique identifiers"; BR
//! 7.1.2.7 says the same.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cert.unique_id",
        summary: "There is neither an issuerUniqueID nor a subjectUniqueID",
        severity: Severity::Error,
        citation: br("7.1.2.7"),
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
    let name = |tag: &u32| if *tag == 1 { "issuerUniqueID" } else { "subjectUniqueID" };
    subject.cert.unique_ids().iter().map(|tag| RULE.info.finding(name(tag), "is present")).collect()
}
