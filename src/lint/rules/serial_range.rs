//! BR 7.1.2.7: the serialNumber is "greater than zero (0) and less than 2^159"; RFC 5280 4.1.2.2 before that: positive
//! and no longer than 20 octets, which is the same.

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, rfc};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "serial.range",
        summary: "The serial number is greater than zero and less than 2^159",
        severity: Severity::Error,
        citation: br("7.1.2.7"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

/// Until this day it was RFC 5280 that said so.
const PROFILE: Timestamp = date(2023, 9, 15);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let serial = subject.cert.serial();
    let octets = serial.0.as_slice();
    let detail = match octets {
        [] => "has no octets".to_string(),
        [first, ..] if *first >= 0x80 => "is negative".to_string(),
        _ if octets.iter().all(|octet| *octet == 0) => "is zero".to_string(),
        _ if octets.len() > 20 => format!("has {} octets, 20 are allowed", octets.len()),
        _ => return Vec::new(),
    };
    let mut finding = RULE.info.finding("serialNumber", detail);
    if subject.moment < PROFILE {
        finding.citation = rfc(5280, "4.1.2.2").to_string().into();
    }
    vec![finding]
}
