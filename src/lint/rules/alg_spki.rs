//! BR 7.1.3.1: the AlgorithmIdentifier of the subjectPublicKeyInfo is byte for byte one of four: rsaEncryption with
//! NULL, or id-ecPublicKey with P-256, P-384 or P-521. Since 2020-08-20 (BR 1.7.1).

use crate::cert::key::algorithm_of;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "alg.spki",
        summary: "The AlgorithmIdentifier of the key is byte for byte one of those permitted",
        severity: Severity::Error,
        citation: br("7.1.3.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2020, 8, 20)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

const PERMITTED: [&[u8]; 4] = [
    &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0],
    &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 34],
    &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 35],
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let algorithm = algorithm_of(subject.cert.spki_der()).unwrap_or_default();
    if PERMITTED.contains(&algorithm) {
        return Vec::new();
    }
    let shown = escape(hex::encode(algorithm).as_bytes(), 120);
    vec![RULE.info.finding("subjectPublicKeyInfo", format!("has the AlgorithmIdentifier {shown}"))]
}
