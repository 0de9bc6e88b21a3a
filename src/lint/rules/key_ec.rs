//! BR 6.1.5: an RSA key, or an ECDSA key that "represents a valid point on the NIST P-256, NIST P-384 or NIST P-521
//! elliptic curve. No other algorithms or key sizes are permitted." DSA was permitted before 2020-08-20 (SC035).

use crate::cert::PublicKey;
use crate::cert::der::dotted;
use crate::cert::key::Curve;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "key.ec",
        summary: "The key is RSA or a valid point on P-256, P-384 or P-521",
        severity: Severity::Error,
        citation: br("6.1.5"),
        clock: RevocationClock::FiveDays(6),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: Some(|_, _| vec![NO_DSA]),
};

/// From here on DSA was not permitted either.
const NO_DSA: Timestamp = date(2020, 8, 20);
/// id-dsa, 1.2.840.10040.4.1.
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const FIELD: &str = "subjectPublicKey";

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let detail = match subject.public_key() {
        PublicKey::Ec { curve, point } => match Curve::of_oid(curve) {
            None => format!("is on the curve {}, which is not permitted", dotted(curve)),
            Some(known) if !subject.has_point(known, point) => format!("is not a point of {known:?}"),
            Some(_) => return Vec::new(),
        },
        PublicKey::Other(DSA) if subject.moment < NO_DSA => return Vec::new(),
        PublicKey::Other(algorithm) => format!("is of the algorithm {}, which is not permitted", dotted(algorithm)),
        PublicKey::Rsa { .. } => return Vec::new(),
        PublicKey::Unreadable => "cannot be read".to_string(),
    };
    vec![RULE.info.finding(FIELD, detail)]
}
