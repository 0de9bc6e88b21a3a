//! BR 6.1.6: "the public exponent SHOULD be in the range between 2^16 + 1 and 2^256 - 1. The modulus SHOULD also have
//! the following characteristics: an odd number, not the power of a prime, and have no factors smaller than 752."

use crate::cert::PublicKey;
use crate::cert::key::bit_length;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.rsa_should",
        summary: "An RSA exponent is within the recommended range; the modulus is odd, no power, and without small factors",
        severity: Severity::Warning,
        citation: br("6.1.6"),
        clock: RevocationClock::FiveDays(6),
        since: Some(date(2013, 2, 21)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let PublicKey::Rsa { modulus, exponent } = subject.public_key() else { return Vec::new() };
    let mut found = Vec::new();
    // What is below 3 or even is key.rsa_exp's.
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    let size = bit_length(exponent);
    if odd && (size > 256 || (size < 17 && exponent != [1])) {
        let detail = if size > 256 { "is greater than 2^256 - 1" } else { "is less than 2^16 + 1" };
        found.push(RULE.info.finding("RSA exponent", detail));
    }
    let detail = match modulus.last() {
        Some(last) if last % 2 == 0 => Some("is even".to_string()),
        _ => match subject.rsa_facts(modulus).small_factor {
            Some(factor) => Some(format!("is divisible by {factor}")),
            None => subject.rsa_facts(modulus).power.map(|exponent| format!("is a number to the power of {exponent}")),
        },
    };
    found.extend(detail.map(|detail| RULE.info.finding("RSA modulus", detail)));
    found
}
