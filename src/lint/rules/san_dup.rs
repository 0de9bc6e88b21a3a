//! No requirement forbids to name a server twice; it shows that an order was not checked.

use std::collections::BTreeMap;

use crate::cert::Identifier;
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::{Rule, Scope, Subject, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "san.dup",
        summary: "No name stands twice in the subjectAltName",
        severity: Severity::Warning,
        citation: Citation { document: Document::Monitor, section: "names once" },
        clock: RevocationClock::None,
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut seen = BTreeMap::new();
    for identifier in subject.identifiers() {
        let key = match identifier {
            Identifier::Dns(name) => Identifier::Dns(name.lower()),
            ip => ip.clone(),
        };
        *seen.entry(key).or_insert(0u32) += 1;
    }
    let twice = seen.iter().filter(|(_, count)| **count > 1);
    twice.map(|(name, count)| RULE.info.finding(name.text(), format!("stands {count} times"))).collect()
}
