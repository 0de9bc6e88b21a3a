//! Ballot SC012 (BR 7.1.4.2.1 of its time): from 2018-12-10 a dNSName with `_` only if the certificate is valid for at most 30
//! days, `_` is not in the left-most label and every label is valid with `-` in its place; from 2019-04-01 no longer permitted, and
//! none may be present after 2019-04-30. Before 2018-12-10 the BR were silent.

use crate::cert::DnsName;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.underscore",
        summary: "No underscore in a dNSName",
        severity: Severity::Error,
        citation: br("7.1.4.2.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2018, 12, 10)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![PERMISSION_ENDED]),
};

/// The permission of SC012 ended.
const PERMISSION_ENDED: Timestamp = date(2019, 4, 1);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names().iter().filter(|name| name.bytes().contains(&b'_')) {
        if let Some(why) = why_forbidden(subject, name) {
            broken.at(|| RULE.info.finding(name.text(), why));
        }
    }
    broken.findings()
}

fn why_forbidden(subject: &Subject<'_>, name: &DnsName) -> Option<&'static str> {
    if subject.moment >= PERMISSION_ENDED {
        return Some("contains an underscore, not permitted since 2019-04-01");
    }
    let days = subject.inclusive_seconds().map(|seconds| seconds > 30 * 86_400);
    if days != Some(false) {
        return Some("contains an underscore in a certificate valid for more than 30 days");
    }
    if name.labels().next().is_some_and(|label| label.contains(&b'_')) {
        return Some("contains an underscore in its left-most label");
    }
    let edge = |label: &[u8]| label.starts_with(b"_") || label.ends_with(b"_");
    name.labels().any(edge).then_some("is not a valid name with hyphens in place of underscores")
}
