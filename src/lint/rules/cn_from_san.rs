//! BR 7.1.4.3: "If present, this attribute MUST contain exactly one entry that is one of the values contained in the Certificate's
//! subjectAltName extension": an IPv4 address as in RFC 3986 3.2.2, an IPv6 address as in RFC 5952 4, a dNSName as "a
//! character-for-character copy". From 2012-07-01 to 2021-08-25 a value of the subjectAltName in any case.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::cert::Identifier;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cn.from_san",
        summary: "There is at most one commonName and it is a value of the subjectAltName",
        severity: Severity::Error,
        citation: br("7.1.4.3"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: |_, _| vec![EXACT],
};

/// From here on the copy is exact and there is only one.
const EXACT: Timestamp = date(2021, 8, 25);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let exact = subject.moment >= EXACT;
    let names = subject.common_names();
    if names.is_empty() {
        return Vec::new();
    }
    let copies = Copies::of(subject.identifiers());
    let mut found = Vec::new();
    if exact && names.len() > 1 {
        found.push(RULE.info.finding("commonName", format!("there are {} commonNames, one is allowed", names.len())));
    }
    for name in names {
        let Some(text) = name.text() else {
            found.push(RULE.info.finding(name.shown(), "its octets are not of the string type that it claims"));
            continue;
        };
        if !(if exact { copies.has_exactly(&text) } else { copies.has(&text) }) {
            let lax = exact && copies.has(&text);
            let how = if lax {
                "differs from the subjectAltName in how it is written"
            } else {
                "is not in the subjectAltName"
            };
            found.push(RULE.info.finding(name.shown(), how));
        }
    }
    found
}

/// What a commonName may say: both kinds of names may be there by the thousand.
struct Copies {
    exact: HashSet<Vec<u8>>,
    lower_case: HashSet<Vec<u8>>,
    addresses: HashSet<Vec<u8>>,
}

impl Copies {
    fn of(identifiers: &[Identifier]) -> Copies {
        let (mut exact, mut lower_case, mut addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
        for identifier in identifiers {
            match identifier {
                Identifier::Dns(name) => {
                    exact.insert(name.bytes().to_vec());
                    lower_case.insert(name.bytes().to_ascii_lowercase());
                }
                Identifier::Ip(octets) => {
                    exact.insert(identifier.text().into_bytes());
                    addresses.insert(octets.clone());
                }
            }
        }
        Copies { exact, lower_case, addresses }
    }

    fn has_exactly(&self, text: &str) -> bool {
        self.exact.contains(text.as_bytes())
    }

    /// In any case, an address in any of its forms.
    fn has(&self, text: &str) -> bool {
        let address = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.octets().to_vec(),
            Ok(IpAddr::V6(address)) => address.octets().to_vec(),
            Err(_) => Vec::new(),
        };
        self.lower_case.contains(&text.as_bytes().to_ascii_lowercase())
            || (!address.is_empty() && self.addresses.contains(&address))
    }
}
