//! BR 7.1.2.7.10: the extKeyUsage is present and not critical; id-kp-serverAuth MUST be there; code signing, e-mail protection, time
//! stamping, OCSP signing, anyExtendedKeyUsage and precertificate signing MUST NOT; others than these and clientAuth are NOT
//! RECOMMENDED. The profile binds from 2023-09-15. Chrome takes no clientAuth from 2027-03-15 on, which the BR still allow.

use crate::cert::der::dotted;
use crate::cert::oid;
use crate::clock::{Timestamp, date};
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, is_critical, warning};

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
    dates: Some(|_, _| vec![NO_CLIENTS]),
};

/// From here on Chrome's roots are for servers alone (Chrome Root Program Policy 1.3.2).
const NO_CLIENTS: Timestamp = date(2027, 3, 15);
/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CHROME: Citation = Citation { document: Document::Chrome, section: "1.3.2" };
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
    let forbidden = |usage: &&Vec<u8>| FORBIDDEN.iter().any(|(oid, _)| *oid == usage.as_slice());
    for usage in usages.iter().filter(|usage| *usage != SERVER_AUTH && !forbidden(usage)) {
        if usage != CLIENT_AUTH {
            found.push(warning(&RULE.info, &dotted(usage), "is not recommended in the extKeyUsage"));
        } else if subject.moment >= NO_CLIENTS {
            let mut finding =
                warning(&RULE.info, "id-kp-clientAuth", "is in a certificate of a root that Chrome may trust");
            finding.citation = CHROME.to_string().into();
            found.push(finding);
        }
    }
    found
}
