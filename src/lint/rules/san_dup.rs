//! No requirement forbids to name a server twice; it shows that an order was not checked.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::cert::{DnsName, Identifier};
use crate::finding::{Citation, Document, Finding, Needs, RevocationClock, RuleInfo, Severity};
use crate::lint::{Broken, Rule, Scope, Subject};

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
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let identifiers = subject.identifiers();
    let mut names: Vec<(&Identifier, Cow<'_, [u8]>)> = identifiers.iter().map(|name| (name, key(name))).collect();
    let known: HashSet<(bool, &[u8])> = names.iter().map(|(name, key)| (is_dns(name), key.as_ref())).collect();
    if known.len() == names.len() {
        return Vec::new();
    }
    drop(known);
    names.sort_by(|(one, a), (other, b)| (is_dns(other), a).cmp(&(is_dns(one), b)));
    let mut broken = Broken::new(&RULE.info);
    for same in names.chunk_by(|(one, a), (other, b)| is_dns(one) == is_dns(other) && a == b).filter(|c| c.len() > 1) {
        let (name, key) = &same[0];
        let name = if is_dns(name) { Identifier::Dns(DnsName(key.to_vec())) } else { (*name).clone() };
        broken.at(|| RULE.info.finding(name.text(), format!("stands {} times", same.len())));
    }
    broken.findings()
}

fn is_dns(identifier: &Identifier) -> bool {
    matches!(identifier, Identifier::Dns(_))
}

/// What two of the same name have in common: case does not matter in a dNSName.
fn key(identifier: &Identifier) -> Cow<'_, [u8]> {
    match identifier {
        Identifier::Dns(name) if name.bytes().iter().any(u8::is_ascii_uppercase) => {
            Cow::Owned(name.bytes().to_ascii_lowercase())
        }
        Identifier::Dns(name) => Cow::Borrowed(name.bytes()),
        Identifier::Ip(octets) => Cow::Borrowed(octets),
    }
}
