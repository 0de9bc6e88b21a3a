//! BR 1.6.1: an Internal Name is one "that cannot be verified as globally unique within the public DNS at the time of
//! certificate issuance because it does not end with a Top-Level Domain registered in IANA's Root Zone Database."
//! No validation of such a name can exist, hence the 24 hours of BR 4.9.1.1 (5).

use crate::cert::DnsName;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape};
use crate::lint::tld::TldState;
use crate::lint::{Rule, Scope, Subject, is_ip_literal, without_edges};

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
    dates,
};

/// Until this day names could still be internal in certificates that expired before it.
const DEADLINE: Timestamp = date(2015, 11, 1);
/// Ballot 144 permitted certificates for onion names.
const ONION: Timestamp = date(2015, 2, 18);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    if !in_force(subject) {
        return Vec::new();
    }
    let names = subject.dns_names().iter();
    names
        .filter_map(|name| Some(RULE.info.finding(name.text(), why_internal(subject, name)?)))
        .map(|f| dated(subject, f))
        .collect()
}

/// Whether Internal Names and Reserved IP Addresses were forbidden in this certificate: from 2015-11-01 always,
/// before that only when it outlives that day (BR 1.0 9.2.1).
pub(super) fn in_force(subject: &Subject<'_>) -> bool {
    subject.moment >= DEADLINE || subject.cert.not_after().is_none_or(|end| end > DEADLINE)
}

/// Why the name is internal at the moment of issuance; `None` when it is not.
pub(super) fn why_internal(subject: &Subject<'_>, name: &DnsName) -> Option<String> {
    let fqdn = without_edges(name);
    let label = fqdn.last_label();
    // BR 1.6.1: "A string of characters (not an IP address) ...".
    if is_ip_literal(fqdn.bytes()) {
        return None;
    }
    // BR Appendix B.3: an onion name validated as that appendix says is no Internal Name; since ballot 144.
    if label.eq_ignore_ascii_case(b"onion") && fqdn.labels().count() > 1 && subject.moment >= ONION {
        return None;
    }
    let shown = escape(label, 63);
    match subject.tables.tlds.state_at(label, subject.moment) {
        TldState::Delegated => None,
        TldState::NotYet(from) => {
            Some(format!("the TLD `{shown}` entered the root zone on {}, after issuance", from.day()))
        }
        TldState::Removed(gone) => {
            Some(format!("the TLD `{shown}` had left the root zone by {}, before issuance", gone.day()))
        }
        TldState::Unknown => Some(format!("its last label `{shown}` is not a TLD of the IANA root zone")),
    }
}

/// Adds the day of the table, and says so when the table is older than the certificate.
pub(super) fn dated(subject: &Subject<'_>, mut finding: Finding) -> Finding {
    let as_of = subject.tables.tlds.as_of();
    if subject.moment > as_of {
        let days = subject.moment.since(as_of).days();
        finding.detail.push_str(&format!(" (by a TLD table {days} days older than the certificate)"));
    }
    finding.with_evidence("TLD table", format!("as of {}, judged at {}", as_of.day(), subject.moment))
}

pub(super) fn dates(subject: &Subject<'_>, finding: &Finding) -> Vec<Timestamp> {
    let name = without_edges(&DnsName::new(&finding.subject));
    let mut all = subject.tables.tlds.dates(name.last_label());
    all.push(DEADLINE);
    if name.last_label().eq_ignore_ascii_case(b"onion") {
        all.push(ONION);
    }
    all
}
