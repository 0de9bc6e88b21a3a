//! BR Appendix B.1: an Onion Domain Name has "at least two Domain Labels, where the right-most Domain Label is onion,
//! and the Domain Label immediately preceding it is a valid Version 3 Onion Address, as defined in Section 6 of the Tor
//! Rendezvous Specification - Version 3". An `onion` alone is an Internal Name.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject};
use aws_lc_rs::digest::{SHA3_256, digest};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "onion.form",
        summary: "The label before onion is a version 3 onion address, checksum included",
        severity: Severity::Error,
        citation: br("Appendix B"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2020, 3, 27)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// What the checksum begins with, the address's version, and its length in base32 digits (rend-spec-v3, section 6).
const PREFIX: &[u8] = b".onion checksum";
const VERSION: u8 = 3;
const DIGITS: usize = 56;

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names() {
        let mut labels = name.without_edges().rsplit(|b| *b == b'.');
        let onion = labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"onion"));
        if let Some(defect) = labels.next().filter(|_| onion).and_then(defect) {
            broken.at(|| RULE.info.finding(name.text(), format!("the label before onion {defect}")));
        }
    }
    broken.findings()
}

fn defect(label: &[u8]) -> Option<&'static str> {
    if label.len() != DIGITS {
        return Some("does not have 56 characters");
    }
    let Some(octets) = base32(label) else { return Some("is not base32") };
    let (key, tail) = octets.split_at_checked(32)?;
    let [first, second, version] = *tail else { return Some("is not base32") };
    let digest = digest(&SHA3_256, &[PREFIX, key, &[version]].concat());
    match digest.as_ref() {
        _ if version != VERSION => Some("is not of version 3"),
        [a, b, ..] if [*a, *b] == [first, second] => None,
        _ => Some("has a wrong checksum"),
    }
}

/// RFC 4648 6, in either case.
fn base32(digits: &[u8]) -> Option<Vec<u8>> {
    let (mut octets, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in digits {
        let value = match digit.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            figure @ b'2'..=b'7' => figure - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count) as u8);
        }
    }
    Some(octets)
}
