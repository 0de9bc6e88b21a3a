//! BR 4.2.2 with 1.6.1: no Reserved IP Address, which is one in any entry of the IANA special-purpose registries. What the
//! registry calls globally reachable is reserved by the letter only and goes to review (rules.md 4).

use std::net::IpAddr;

use crate::cert::Identifier;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::ip_registry::{Reach, reserved};
use crate::lint::rules::name_internal;
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ip.reserved",
        summary: "No iPAddress lies in a block of the IANA special-purpose address registries",
        severity: Severity::Error,
        citation: br("4.2.2"),
        clock: RevocationClock::Day(5),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(name_internal::dates),
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !name_internal::in_force(subject) {
        return Vec::new();
    }
    let mut broken = Broken::new(&RULE.info);
    for identifier in subject.identifiers() {
        let Identifier::Ip(octets) = identifier else { continue };
        let Some(block) = address(octets).and_then(reserved) else { continue };
        broken.at(|| {
            let mut finding = RULE.info.finding(identifier.text(), format!("is in {} ({})", block.prefix, block.name));
            if block.reach != Reach::NotGlobal {
                finding.severity = Severity::Review;
                finding.detail.push_str(match block.reach {
                    Reach::Depends => ", which is globally reachable for some of its addresses",
                    Reach::Terminated => ", an assignment that was terminated",
                    _ => ", which is globally reachable",
                });
            }
            finding
        });
    }
    broken.findings()
}

/// The address in the octets of an iPAddress of the right length.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
