//! RFC 5280 4.2.1.6: for IPv4 "the octet string MUST contain exactly four octets", for IPv6 "exactly sixteen octets".

use crate::cert::Identifier;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ip.length",
        summary: "An iPAddress has 4 or 16 octets",
        severity: Severity::Error,
        citation: rfc(5280, "4.2.1.6"),
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
    let mut broken = Broken::new(&RULE.info);
    for identifier in subject.identifiers() {
        if let Identifier::Ip(octets) = identifier
            && !matches!(octets.len(), 4 | 16)
        {
            broken
                .at(|| RULE.info.finding(identifier.text(), format!("has {} octets instead of 4 or 16", octets.len())));
        }
    }
    broken.findings()
}
