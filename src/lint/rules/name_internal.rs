//! BR 1.6.1: an Internal Name is one "that cannot be verified as globally unique within the public DNS at the time of
//! certificate issuance because it does not end with a Top-Level Domain registered in IANA's Root Zone Database."
//! No validation of such a name can exist, hence the 24 hours of BR 4.9.1.1 (5).

use std::collections::HashMap;

use crate::cert::DnsName;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape};
use crate::lint::tld::TldState;
use crate::lint::{Broken, Rule, Scope, Subject, is_ip_literal, rests_on};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.internal",
        summary: "The last label of a dNSName is a TLD of the IANA root zone at issuance (or an onion name)",
        severity: Severity::Error,
        citation: br("4.2.2"),
        clock: RevocationClock::Day(5),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::LogTime,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(dates),
};

/// Until this day names could still be internal in certificates that expired before it.
const DEADLINE: Timestamp = date(2015, 11, 1);
/// Ballot 144 permitted certificates for onion names.
const ONION: Timestamp = date(2015, 2, 18);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !in_force(subject) {
        return Vec::new();
    }
    // Names share their TLDs: each is looked up once.
    let (mut states, tlds) = (HashMap::new(), &subject.tables.tlds);
    let mut broken = Broken::new(&RULE.info);
    for name in subject.dns_names() {
        let label = last_label(name);
        let state = *states.entry(label).or_insert_with(|| tlds.state_at(label, subject.moment));
        if is_internal(subject, name, state) {
            broken.at(|| Internal::of(state, name).finding(&RULE.info, name.text(), subject));
        }
    }
    broken.findings()
}

/// Whether Internal Names and Reserved IP Addresses were forbidden in this certificate: from 2015-11-01 always,
/// before that only when it outlives that day (BR 1.0 9.2.1).
pub(super) fn in_force(subject: &Subject<'_>) -> bool {
    subject.moment >= DEADLINE || subject.cert.not_after().is_none_or(|end| end > DEADLINE)
}

/// Why a name is internal.
pub(super) struct Internal {
    why: String,
    /// No list says on which side of the moment the TLD came or went.
    unsure: bool,
}

/// Why the name is internal at the moment of issuance; `None` when it is not.
pub(super) fn why_internal(subject: &Subject<'_>, name: &DnsName) -> Option<Internal> {
    let state = subject.tables.tlds.state_at(last_label(name), subject.moment);
    is_internal(subject, name, state).then(|| Internal::of(state, name))
}

fn last_label(name: &DnsName) -> &[u8] {
    name.without_edges().rsplit(|b| *b == b'.').next().unwrap_or_default()
}

/// Whether a name with such a last label is internal.
fn is_internal(subject: &Subject<'_>, name: &DnsName, state: TldState) -> bool {
    let (fqdn, label) = (name.without_edges(), last_label(name));
    // BR Appendix B.3: an onion name validated as that appendix says is no Internal Name; since ballot 144.
    let onion = || label.eq_ignore_ascii_case(b"onion") && fqdn.len() > label.len() && subject.moment >= ONION;
    // BR 1.6.1: "A string of characters (not an IP address) ...".
    state != TldState::Delegated && !onion() && !is_ip_literal(fqdn)
}

impl Internal {
    fn of(state: TldState, name: &DnsName) -> Internal {
        let shown = escape(last_label(name), 63);
        let (why, unsure) = match state {
            TldState::NotYet(from) => {
                (format!("the TLD `{shown}` entered the root zone on {}, after issuance", from.day()), false)
            }
            TldState::Removed(gone) => {
                (format!("the TLD `{shown}` had left the root zone by {}, before issuance", gone.day()), false)
            }
            TldState::Unsure(one, other) => {
                let (one, other) = (one.day(), other.day());
                let why = format!(
                    "only one of the TLD lists of {one} and {other} has `{shown}`, and no list between was read"
                );
                (format!("{why}; the root zone of the day of issuance would decide"), true)
            }
            TldState::Unknown | TldState::Delegated => {
                (format!("its last label `{shown}` is not a TLD of the IANA root zone"), false)
            }
        };
        Internal { why, unsure }
    }
    /// The finding, with the day of the TLD list on which it rests.
    pub(super) fn finding(self, info: &RuleInfo, shown: String, subject: &Subject<'_>) -> Finding {
        let as_of = subject.tables.tlds.as_of();
        let detail = format!("{} ({})", self.why, rests_on("TLD list", as_of, subject.moment));
        let mut finding = info.finding(shown, detail);
        if self.unsure {
            finding.severity = Severity::Review;
        }
        finding.with_evidence("TLD list", format!("of {}, judged at {}", as_of.day(), subject.moment))
    }
}

pub(super) fn dates(subject: &Subject<'_>, finding: &Finding) -> Vec<Timestamp> {
    let name = DnsName::new(&finding.subject);
    let mut all = subject.tables.tlds.dates(last_label(&name));
    all.push(DEADLINE);
    if last_label(&name).eq_ignore_ascii_case(b"onion") {
        all.push(ONION);
    }
    all
}
