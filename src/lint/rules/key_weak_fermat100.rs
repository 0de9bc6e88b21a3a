//! BR 6.1.1.3 (5): the CA rejects a request whose RSA modulus is factored within 100 rounds of Fermat's method. The
//! private key is known to whoever tries, hence the clock of 4.9.1.1 (4).

use crate::cert::PublicKey;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.weak.fermat100",
        summary: "An RSA modulus is not factored within 100 rounds of Fermat's method",
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
    let PublicKey::Rsa { modulus, .. } = subject.public_key() else { return Vec::new() };
    let round = subject.rsa_facts(modulus).fermat;
    let detail = round.map(|round| format!("is factored in round {} of Fermat's method", round + 1));
    detail.map(|detail| RULE.info.finding("RSA modulus", detail)).into_iter().collect()
}
