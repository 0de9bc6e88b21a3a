//! BR 7.1.2.7.10: the extKeyUsage is present and not critical; id-kp-serverAuth MUST be there; code signing, e-mail protection, time
//! stamping, OCSP signing, anyExtendedKeyUsage and precertificate signing MUST NOT. The profile binds from 2023-09-15.

use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, is_critical, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.eku",
        summary: "extKeyUsage is present, not critical, has serverAuth and none of the forbidden usages",
        severity: Severity::Error,
        citation: br("7.1.2.7.10"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// What MUST NOT be there.
const FORBIDDEN: [(&[u8], &str); 6] = [
    (&[0x2b, 6, 1, 5, 5, 7, 3, 3], "id-kp-codeSigning"),
    (&[0x2b, 6, 1, 5, 5, 7, 3, 4], "id-kp-emailProtection"),
    (&[0x2b, 6, 1, 5, 5, 7, 3, 8], "id-kp-timeStamping"),
    (&[0x2b, 6, 1, 5, 5, 7, 3, 9], "id-kp-OCSPSigning"),
    (&[0x55, 0x1d, 37, 0], "anyExtendedKeyUsage"),
    (oid::PRECERT_SIGNING, "precertificate signing"),
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(usages) = subject.cert.extended_key_usages() else {
        return vec![RULE.info.finding("extKeyUsage", "is absent")];
    };
    let mut found = Vec::new();
    if is_critical(subject.cert, oid::EXT_KEY_USAGE) {
        found.push(RULE.info.finding("extKeyUsage", "is critical"));
    }
    if !usages.iter().any(|usage| usage == SERVER_AUTH) {
        found.push(RULE.info.finding("id-kp-serverAuth", "is missing from the extKeyUsage"));
    }
    for (forbidden, name) in FORBIDDEN {
        if usages.iter().any(|usage| usage == forbidden) {
            found.push(RULE.info.finding(name, "is forbidden in the extKeyUsage of a server certificate"));
        }
    }
    found
}
