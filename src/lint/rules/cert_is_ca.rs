//! BR 7.1.2.7.8: the basicConstraints of a Subscriber Certificate do not say cA TRUE. A certificate that names servers and
//! is a CA lets its holder issue for any name: the worst finding of all. A CA certificate without server names is the
//! CA inventory's matter.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cert.is_ca",
        summary: "A certificate that names servers in its subjectAltName is not a CA",
        severity: Severity::Critical,
        citation: br("7.1.2.7.8"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.cert.is_ca() && !subject.identifiers().is_empty() {
        return vec![RULE.info.finding("basicConstraints", "says cA TRUE in a certificate that names servers")];
    }
    Vec::new()
}
