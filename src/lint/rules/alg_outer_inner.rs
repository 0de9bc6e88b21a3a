//! BR 7.1.2.7: the encoded value of signatureAlgorithm "MUST be byte-for-byte identical to the tbsCertificate.signature"
//! (RFC 5280 4.1.1.2 says the same of the algorithm).

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "alg.outer_inner",
        summary: "The AlgorithmIdentifiers inside and outside of the TBSCertificate are the same bytes",
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
    match subject.cert.signature() {
        Some((outer, _)) if outer != subject.cert.inner_algorithm() => {
            vec![RULE.info.finding("signatureAlgorithm", "differs from the field signature of the TBSCertificate")]
        }
        _ => Vec::new(),
    }
}
