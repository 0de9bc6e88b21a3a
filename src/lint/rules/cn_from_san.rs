//! BR 7.1.4.3: "If present, this attribute MUST contain exactly one entry that is one of the values contained in the Certificate's
//! subjectAltName extension": an IPv4 address as in RFC 3986 3.2.2, an IPv6 address as in RFC 5952 4, a dNSName as "a
//! character-for-character copy". From 2012-07-01 to 2021-08-25 a value of the subjectAltName in any case.

use std::collections::HashMap;
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
    dates: Some(|_, _| vec![EXACT]),
};

/// From here on the copy is exact and there is only one.
const EXACT: Timestamp = date(2021, 8, 25);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let exact = subject.moment >= EXACT;
    let names = subject.common_names();
    if names.is_empty() {
        return Vec::new();
    }
    let addresses = addresses(subject.identifiers());
    let mut found = Vec::new();
    if exact && names.len() > 1 {
        found.push(RULE.info.finding("commonName", format!("there are {} commonNames, one is allowed", names.len())));
    }
    for name in names {
        let Some(text) = name.text() else {
            found.push(RULE.info.finding(name.shown(), "its octets are not of the string type that it claims"));
            continue;
        };
        let same =
            |exact| if exact { is_copy(subject, &addresses, &text) } else { means_one(subject, &addresses, &text) };
        if !same(exact) {
            let lax = exact && same(false);
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

/// The octets of the iPAddresses and their texts.
type Addresses = HashMap<Vec<u8>, String>;

fn addresses(identifiers: &[Identifier]) -> Addresses {
    let ip = |identifier: &Identifier| match identifier {
        Identifier::Ip(octets) => Some((octets.clone(), identifier.text())),
        Identifier::Dns(_) => None,
    };
    identifiers.iter().filter_map(ip).collect()
}

fn octets(text: &str) -> Option<Vec<u8>> {
    Some(match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

/// Character for character.
fn is_copy(subject: &Subject<'_>, addresses: &Addresses, text: &str) -> bool {
    subject.dns_names().binary_search_by(|name| name.bytes().cmp(text.as_bytes())).is_ok()
        || octets(text).and_then(|octets| addresses.get(&octets)).is_some_and(|shown| shown == text)
}

/// In any case, an address in any of its forms.
fn means_one(subject: &Subject<'_>, addresses: &Addresses, text: &str) -> bool {
    let address = || octets(text).is_some_and(|octets| addresses.contains_key(&octets));
    subject.lower_names().contains(&text.as_bytes().to_ascii_lowercase()) || address()
}
