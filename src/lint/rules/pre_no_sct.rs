//! BR 7.1.2.9.1: a Precertificate has no Signed Certificate Timestamp List.

use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "pre.no_sct",
        summary: "A precertificate carries no SCT list",
        severity: Severity::Error,
        citation: br("7.1.2.9.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cert = subject.cert;
    if cert.is_precertificate() && cert.extension(oid::SCT_LIST).next().is_some() {
        return vec![RULE.info.finding("SCT list", "stands in a precertificate")];
    }
    Vec::new()
}
