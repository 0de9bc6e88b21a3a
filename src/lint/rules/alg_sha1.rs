//! BR 7.1.3.2.1: no Subscriber Certificate is signed with SHA-1 since 2016-01-01, and nothing else (CA certificates, OCSP
//! responders) since 2026-09-15.

use crate::cert::der::single;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "alg.sha1",
        summary: "The signature does not use SHA-1",
        severity: Severity::Error,
        citation: br("7.1.3.2.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2016, 1, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: Some(|subject, _| if subject.is_subscriber() { Vec::new() } else { vec![ALL] }),
};

/// From here on it binds every certificate.
const ALL: Timestamp = date(2026, 9, 15);

/// sha1WithRSAEncryption, ecdsa-with-SHA1, dsa-with-SHA1, and the older OIW name of the first.
const SHA1: [&[u8]; 4] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1],
    &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3],
    &[0x2b, 0x0e, 3, 2, 29],
];
/// id-RSASSA-PSS, whose hash is SHA-1 unless its parameters name another (RFC 4055 3.1).
const PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.moment < ALL && !subject.is_subscriber() {
        return Vec::new();
    }
    let cert = subject.cert;
    let outer = cert.signature().map(|(algorithm, _)| algorithm);
    if is_sha1(cert.inner_algorithm()) || outer.is_some_and(is_sha1) {
        return vec![RULE.info.finding("signature", "uses SHA-1")];
    }
    Vec::new()
}

/// Whether an AlgorithmIdentifier (full TLV) is of a signature with SHA-1.
pub(super) fn is_sha1(algorithm: &[u8]) -> bool {
    let read = || {
        let mut reader = single(algorithm)?.0.reader();
        let id = reader.next().ok()?.content;
        let mut names_hash = || reader.next().is_ok_and(|parameters| parameters.content.first() == Some(&0xa0));
        Some(SHA1.contains(&id) || (id == PSS && !names_hash()))
    };
    read().unwrap_or(false)
}
