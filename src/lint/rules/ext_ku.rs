//! BR 7.1.2.7.11: keyUsage SHOULD be present and is critical. With an RSA key digitalSignature (SHOULD),
//! keyEncipherment (MAY) and dataEncipherment (NOT RECOMMENDED), at least one; with an ECC key digitalSignature (MUST)
//! and keyAgreement (NOT RECOMMENDED); all others MUST NOT.

use crate::cert::der::single;
use crate::cert::extensions::key_usage;
use crate::cert::{PublicKey, oid};
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, listed, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.ku",
        summary: "keyUsage is critical and asserts only what the kind of key permits",
        severity: Severity::Error,
        citation: br("7.1.2.7.11"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

const FIELD: &str = "keyUsage";
/// The bits by number (RFC 5280 4.2.1.3).
const BITS: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];
/// With an RSA key: may be set, SHOULD be set, NOT RECOMMENDED.
const RSA: (u16, u16, u16) = (0b01101, 0b00001, 0b01000);
/// With an ECC key: may be set, NOT RECOMMENDED.
const ECC: (u16, u16) = (0b10001, 0b10000);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut extensions = subject.cert.extension(oid::KEY_USAGE).peekable();
    if extensions.peek().is_none() {
        return vec![warning(&RULE.info, FIELD, "is absent, it is recommended")];
    }
    let (mut wrong, mut unwise) = (Vec::new(), Vec::new());
    for extension in extensions {
        if !extension.critical {
            wrong.push("is not critical".to_string());
        }
        let Some(bits) = key_usage(&extension.value) else {
            wrong.push("cannot be read".to_string());
            continue;
        };
        if !is_shortest(&extension.value) {
            wrong.push("is encoded with trailing zero bits".to_string());
        }
        let (permitted, discouraged) = match subject.public_key() {
            PublicKey::Rsa { .. } => {
                if bits & RSA.0 == 0 {
                    wrong.push("asserts nothing that an RSA key may do".to_string());
                } else if bits & RSA.1 == 0 {
                    unwise.push("does not assert digitalSignature".to_string());
                }
                (RSA.0, RSA.2)
            }
            PublicKey::Ec { .. } => {
                if bits & 1 == 0 {
                    wrong.push("does not assert digitalSignature".to_string());
                }
                ECC
            }
            // Another kind of key is what key.ec is about.
            PublicKey::Other(_) | PublicKey::Unreadable => continue,
        };
        for (at, name) in BITS.iter().enumerate().filter(|(at, _)| bits & 1 << at != 0) {
            if permitted & 1 << at == 0 {
                wrong.push(format!("asserts {name}"));
            } else if discouraged & 1 << at != 0 {
                unwise.push(format!("asserts {name}, which is not recommended"));
            }
        }
    }
    let mut found = listed(&RULE.info, FIELD, wrong);
    let unwise = unwise.into_iter().map(|detail| warning(&RULE.info, "recommended keyUsage", detail));
    found.extend(unwise.take(1));
    found
}

/// X.690 11.2.2: "Where ITU-T Rec. X.680, 22.7, applies, the bitstring shall have all trailing 0 bits removed before it is
/// encoded."
fn is_shortest(value: &[u8]) -> bool {
    match single(value).map(|(bits, _)| bits.content) {
        Some([0]) => true,
        Some([unused @ 0..=7, .., last]) => last.trailing_zeros() == u32::from(*unused),
        _ => false,
    }
}
