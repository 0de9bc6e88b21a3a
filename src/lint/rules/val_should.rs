//! BR 6.3.2: from 2020-09-01 on, a validity period SHOULD NOT exceed one day less than the maximum of the day of
//! issuance. What exceeds the maximum is left to `val.max`.

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "val.should",
        summary: "The validity period stays one day below the maximum of the day of issuance",
        severity: Severity::Warning,
        citation: br("6.3.2"),
        clock: RevocationClock::None,
        since: Some(date(2020, 9, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| STEPS.iter().map(|(from, ..)| *from).collect()),
};

/// First day of issuance, and the days that SHOULD NOT and that MUST NOT be exceeded (rules.md 2.1).
const STEPS: [(Timestamp, i64, i64); 4] = [
    (date(2020, 9, 1), 397, 398),
    (date(2026, 3, 15), 199, 200),
    (date(2027, 3, 15), 99, 100),
    (date(2029, 3, 15), 46, 47),
];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some((_, should, most)) = STEPS.iter().rev().find(|(from, ..)| subject.moment >= *from) else {
        return Vec::new();
    };
    match subject.inclusive_seconds() {
        Some(seconds) if seconds > should * 86_400 && seconds <= most * 86_400 => {
            vec![RULE.info.finding("validity", format!("is longer than the recommended {should} days"))]
        }
        _ => Vec::new(),
    }
}
