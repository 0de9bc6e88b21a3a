//! BR 3.2.2.5: an address is validated by control of a host that has it. Nobody has a multicast address or one that
//! IANA has given to no registry, so the certificate deserves a look though it may break no rule.

use crate::cert::Identifier;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::ip_registry::reserved;
use crate::lint::rules::ip_reserved::address;
use crate::lint::{Broken, Rule, Scope, Subject};
use std::net::{IpAddr, Ipv6Addr};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ip.unroutable",
        summary: "No iPAddress is multicast or unallocated",
        severity: Severity::Review,
        citation: br("3.2.2.5"),
        clock: RevocationClock::Day(5),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// IPv6 Global Unicast Address Assignments of IANA as of 2026-08 (first 32 bits, length of the prefix), wider where it
/// is divided into many; what is outside of 2000::/3 is not assigned as unicast at all (RFC 4291 2.4).
const ALLOCATED: [(u32, u32); 11] = [
    (0x2001_0000, 16),
    (0x2002_0000, 16),
    (0x2003_0000, 18),
    (0x2400_0000, 11),
    (0x2600_0000, 12),
    (0x2610_0000, 23),
    (0x2620_0000, 23),
    (0x2630_0000, 12),
    (0x2800_0000, 12),
    (0x2a00_0000, 11),
    (0x2c00_0000, 12),
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    for identifier in subject.identifiers() {
        let Identifier::Ip(octets) = identifier else { continue };
        let Some(address) = address(octets) else { continue };
        // What a special-purpose registry knows is ip.reserved's.
        if reserved(address).is_some() {
            continue;
        }
        let detail = match address {
            _ if address.is_multicast() => "is a multicast address",
            IpAddr::V6(v6) if !is_allocated(v6) => "is in a block that is allocated to no registry",
            _ => continue,
        };
        broken.at(|| RULE.info.finding(identifier.text(), detail));
    }
    broken.findings()
}

fn is_allocated(address: Ipv6Addr) -> bool {
    let head = (address.to_bits() >> 96) as u32;
    ALLOCATED.iter().any(|(first, length)| (head ^ first) >> (32 - length) == 0)
}
