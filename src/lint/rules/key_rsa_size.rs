//! BR 6.1.5: "The modulus size, when encoded, is at least 2048 bits"; since 2014-01-01.

use crate::cert::PublicKey;
use crate::cert::key::bit_length;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.rsa_size",
        summary: "An RSA modulus has at least 2048 bits",
        severity: Severity::Error,
        citation: br("6.1.5"),
        clock: RevocationClock::FiveDays(6),
        since: Some(date(2014, 1, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    match subject.public_key() {
        PublicKey::Rsa { modulus, .. } if bit_length(modulus) < 2048 => {
            vec![RULE.info.finding("RSA modulus", format!("has {} bits", bit_length(modulus)))]
        }
        _ => Vec::new(),
    }
}
