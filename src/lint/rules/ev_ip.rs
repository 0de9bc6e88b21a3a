//! EVG 7.1.4.2.2: an EV certificate names the Domain Names of servers and no IP address.

use crate::cert::Identifier;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::policy::is_extended;
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ev.ip",
        summary: "An EV certificate has no iPAddress",
        severity: Severity::Error,
        citation: Citation { document: Document::Evg, section: "7.1.4.2.2" },
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !is_extended(subject) {
        return Vec::new();
    }
    let mut broken = Broken::new(&RULE.info);
    for address in subject.identifiers().iter().filter(|identifier| matches!(identifier, Identifier::Ip(_))) {
        broken.at(|| RULE.info.finding(address.text(), "is an address in an EV certificate"));
    }
    broken.findings()
}
