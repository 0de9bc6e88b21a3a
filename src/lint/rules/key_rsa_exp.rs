//! BR 6.1.6: "the value of the public exponent is an odd number equal to 3 or more".

use crate::cert::PublicKey;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.rsa_exp",
        summary: "An RSA exponent is odd and at least 3",
        severity: Severity::Error,
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
    let PublicKey::Rsa { exponent, .. } = subject.public_key() else { return Vec::new() };
    let detail = match exponent {
        [] | [1] => "is less than 3",
        [.., last] if last % 2 == 0 => "is even",
        _ => return Vec::new(),
    };
    vec![RULE.info.finding("RSA exponent", detail)]
}
