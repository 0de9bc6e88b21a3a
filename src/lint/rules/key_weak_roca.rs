//! BR 6.1.1.3 (5): the CA rejects a request whose key has the vulnerability ROCA (CVE-2017-15361). The fingerprint is
//! that of the modulus: modulo every small prime it is a power of 65537. No other modulus has it in practice, so the
//! key can be computed and the clock is that of 4.9.1.1 (4).

use crate::cert::PublicKey;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.weak.roca",
        summary: "An RSA modulus does not have the fingerprint of ROCA",
        severity: Severity::Error,
        citation: br("6.1.1.3"),
        clock: RevocationClock::Day(4),
        since: Some(date(2024, 11, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    match subject.public_key() {
        PublicKey::Rsa { modulus, .. } if subject.rsa_facts(modulus).roca => {
            vec![RULE.info.finding("RSA modulus", "has the fingerprint of ROCA: its private key can be computed")]
        }
        _ => Vec::new(),
    }
}
