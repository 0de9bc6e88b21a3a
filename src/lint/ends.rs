//! Both ends of the interval in which a certificate was issued.
//!
//! What is found at both is certain, what is found at one end alone is for review and says which date decides; near a date
//! the finding says so, because notBefore and signing may differ by 48 hours (BR 7.1.2.7) and the other side of the date would be
//! judged otherwise.

use std::collections::{BTreeSet, HashSet};

use crate::clock::{HOUR, Timestamp};
use crate::finding::{Finding, Issued, RuleInfo, Severity, Verdict};

/// First and last moment; a certificate whose notBefore lies after its log entry gives an interval that is the wrong way
/// round.
pub fn ordered(issued: Issued) -> (Timestamp, Timestamp) {
    (issued.earliest.min(issued.latest), issued.earliest.max(issued.latest))
}

/// For a rule whose only dates are its own.
pub const NO_STEPS: Option<fn(&Finding) -> Vec<Timestamp>> = None;

/// Judges a rule at both ends. `find` says what is found when issuance is assumed at a moment; `steps` are the dates of a
/// finding besides the rule's own; without them one look is enough when the rule is in force at both ends or at none.
pub fn judge(
    info: &RuleInfo,
    issued: Issued,
    find: impl Fn(Timestamp) -> Vec<Finding>,
    steps: Option<impl Fn(&Finding) -> Vec<Timestamp>>,
) -> Verdict {
    let (first, last) = ordered(issued);
    let dates = |finding: &Finding| -> BTreeSet<Timestamp> {
        let steps = steps.as_ref().map(|steps| steps(finding)).unwrap_or_default();
        info.since.into_iter().chain(info.until).chain(steps).collect()
    };
    let late = find(last);
    if first == last || (steps.is_none() && info.in_force(first) == info.in_force(last)) {
        return Verdict::from_findings(late.into_iter().map(|f| certain(issued, &dates(&f), f)).collect());
    }
    let early = find(first);
    let mut found = Vec::new();
    for (place, finding) in late.iter().enumerate() {
        let dates = dates(finding);
        // Both ends mostly find the same in the same order.
        let same = |other: &&Finding| other.subject == finding.subject;
        found.push(match early.get(place).filter(same).or_else(|| early.iter().find(same)) {
            Some(other) => {
                let mut finding = finding.clone();
                finding.severity = finding.severity.max(other.severity);
                certain(issued, &dates, finding)
            }
            None => uncertain((first, last), &dates, finding.clone(), true),
        });
    }
    let late: HashSet<&str> = late.iter().map(|finding| finding.subject.as_str()).collect();
    for finding in early.into_iter().filter(|finding| !late.contains(finding.subject.as_str())) {
        found.push(uncertain((first, last), &dates(&finding), finding, false));
    }
    Verdict::from_findings(found)
}

/// A finding that holds at both ends.
fn certain(issued: Issued, dates: &BTreeSet<Timestamp>, mut finding: Finding) -> Finding {
    let near = |date: &&Timestamp| {
        let distance = |moment: Timestamp| moment.since(**date).millis().unsigned_abs();
        distance(issued.earliest).min(distance(issued.latest)) <= 48 * HOUR.millis().unsigned_abs()
    };
    if let Some(date) = dates.iter().find(near) {
        finding.detail.push_str(&format!("; issued within 48 h of {}, a date of this rule", date.day()));
    }
    finding
}

/// A finding that holds at one end only.
fn uncertain(
    (first, last): (Timestamp, Timestamp),
    dates: &BTreeSet<Timestamp>,
    mut finding: Finding,
    late: bool,
) -> Finding {
    finding.severity = finding.severity.max(Severity::Review);
    let deciding = dates.iter().filter(|date| first < **date && **date <= last);
    let days: Vec<String> = deciding.map(|date| date.day()).collect();
    let side = if late { "on or after" } else { "before" };
    let (this, other) = if late { (last, first) } else { (first, last) };
    finding.detail.push_str(&match days.as_slice() {
        [] => format!("; only if issued {this} rather than {other}"),
        days => {
            format!(
                "; only if issued {side} {}: issuance is known to lie between {first} and {last}",
                days.join(" or ")
            )
        }
    });
    finding
}
