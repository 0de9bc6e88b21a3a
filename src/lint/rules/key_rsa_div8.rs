//! BR 6.1.5: "the modulus size, in bits, is evenly divisible by 8".

use crate::cert::PublicKey;
use crate::cert::key::bit_length;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.rsa_div8",
        summary: "The size of an RSA modulus in bits is a multiple of 8",
        severity: Severity::Error,
        citation: br("6.1.5"),
        clock: RevocationClock::FiveDays(6),
        since: Some(date(2020, 8, 20)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    match subject.public_key() {
        PublicKey::Rsa { modulus, .. } if !bit_length(modulus).is_multiple_of(8) => {
            vec![RULE.info.finding("RSA modulus", format!("has {} bits", bit_length(modulus)))]
        }
        _ => Vec::new(),
    }
}
