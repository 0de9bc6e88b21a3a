//! BR 7.1.3.2: the signature's AlgorithmIdentifier is byte for byte one of nine: RSASSA-PKCS1-v1_5 with NULL,
//! RSASSA-PSS with the fixed parameters, or ECDSA without parameters, each with SHA-256, SHA-384 or SHA-512. SHA-1 is a
//! rule of its own. Since 2020-08-20 (BR 1.7.1).

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::rules::alg_sha1::is_sha1;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "alg.sig",
        summary: "The AlgorithmIdentifier of the signature is byte for byte one of those permitted",
        severity: Severity::Error,
        citation: br("7.1.3.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2020, 8, 20)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

/// In hexadecimal, as BR 7.1.3.2.1 and 7.1.3.2.2 print them.
const PERMITTED: [&str; 9] = [
    "300d06092a864886f70d01010b0500",
    "300d06092a864886f70d01010c0500",
    "300d06092a864886f70d01010d0500",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d060960864801\
     65030402010500a203020120",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d060960864801\
     65030402020500a203020130",
    "304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f70d010108300d060960864801\
     65030402030500a203020140",
    "300a06082a8648ce3d040302",
    "300a06082a8648ce3d040303",
    "300a06082a8648ce3d040304",
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let algorithm = subject.cert.inner_algorithm();
    // The nine are of three lengths; in hexadecimal two digits stand for an octet.
    let length = |permitted: &&&str| permitted.len() == 2 * algorithm.len();
    let shown = || hex::encode(&algorithm[..algorithm.len().min(100)]);
    if PERMITTED.iter().filter(length).any(|permitted| shown() == **permitted) || is_sha1(algorithm) {
        return Vec::new();
    }
    let shown = shown();
    vec![RULE.info.finding("signature", format!("has the AlgorithmIdentifier {shown}"))]
}
