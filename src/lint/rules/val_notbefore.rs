//! BR 7.1.2.7: notBefore is "A value within 48 hours of the certificate signing operation", earlier or later. The
//! moment of signing is the CA's own record or the earliest SCT; a log timestamp alone is one end of an interval.

use crate::clock::{Span, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "val.notbefore",
        summary: "notBefore lies within 48 hours of the signing",
        severity: Severity::Error,
        citation: br("7.1.2.7"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::LogTime,
    },
    scope: Scope::Subscriber,
    check,
    // Not a date but the moment itself decides: both ends are looked at.
    dates: Some(|_, _| Vec::new()),
};

/// How far notBefore may be from the signing.
const TOLERANCE: Span = Span::from_days(2);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(start) = subject.cert.not_before() else { return Vec::new() };
    let late = subject.moment.since(start);
    if late.millis().abs() <= TOLERANCE.millis() {
        return Vec::new();
    }
    let (distance, side) = if late.millis() > 0 { (late, "before") } else { (start.since(subject.moment), "after") };
    vec![RULE.info.finding("notBefore", format!("{start} is {distance} {side} the signing at {}", subject.moment))]
}
