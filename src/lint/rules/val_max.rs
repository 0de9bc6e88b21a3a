//! BR 6.3.2: the validity period of a Subscriber Certificate by day of issuance. "For the purpose of calculations, a day is measured
//! as 86,400 seconds. Any amount of time greater than this, including fractional seconds and/or leap seconds, shall represent an
//! additional day." RFC 5280 4.1.2.5: from notBefore through notAfter, inclusive.

use crate::clock::{Span, Timestamp, civil_from_days, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "val.max",
        summary: "The validity period does not exceed the maximum of the day of issuance",
        severity: Severity::Error,
        citation: br("6.3.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| STEPS.iter().map(|(from, _)| *from).chain([LEGACY_ENDED]).collect()),
};

#[derive(Clone, Copy)]
enum Limit {
    Months(i64),
    Days(i64),
}

/// First day of issuance and limit (rules.md 2.1).
const STEPS: [(Timestamp, Limit); 7] = [
    (date(2012, 7, 1), Limit::Months(60)),
    (date(2015, 4, 1), Limit::Months(39)),
    (date(2018, 3, 2), Limit::Days(825)),
    (date(2020, 9, 1), Limit::Days(398)),
    (date(2026, 3, 15), Limit::Days(200)),
    (date(2027, 3, 15), Limit::Days(100)),
    (date(2029, 3, 15), Limit::Days(47)),
];
/// First day on which no legacy reason extended 39 months to 60.
const LEGACY_ENDED: Timestamp = date(2016, 7, 1);

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cert = subject.cert;
    let (Some(start), Some(end), Some(seconds)) = (cert.not_before(), cert.not_after(), subject.inclusive_seconds())
    else {
        return vec![RULE.info.finding("validity", "notBefore or notAfter cannot be read, so no limit can be kept")];
    };
    let Some((_, limit)) = STEPS.iter().rev().find(|(from, _)| subject.moment >= *from) else { return Vec::new() };
    match *limit {
        Limit::Days(days) if seconds > days * 86_400 => {
            let (whole, over) = (seconds / 86_400, seconds % 86_400);
            let length = if over == 0 { format!("{whole} days") } else { format!("{whole} days and {over} s") };
            vec![RULE.info.finding("validity", format!("is {length} long, {days} days are allowed"))]
        }
        // Until 2018 CAs counted months from notBefore to the same day and second; nobody counted that second.
        Limit::Months(months) if end > months_after(start, months) => {
            let mut finding =
                RULE.info.finding("validity", format!("ends on {}, {months} months are allowed", end.day()));
            // BR 1.3 6.3.2: until 2016-06-30 up to 60 months for a documented legacy system.
            if months == 39 && subject.moment < LEGACY_ENDED && end <= months_after(start, 60) {
                finding.severity = Severity::Review;
                finding.detail.push_str(", up to 60 only with documented legacy reasons");
            }
            vec![finding]
        }
        _ => Vec::new(),
    }
}

/// The same day and second some calendar months later; a day that the month does not have runs over into the next.
fn months_after(start: Timestamp, months: i64) -> Timestamp {
    let (year, month, day) = civil_from_days(start.seconds().div_euclid(86_400));
    let months = i64::from(month) - 1 + months;
    let first = date(year + months / 12, (months % 12 + 1) as u8, 1);
    first.plus(Span::from_days(i64::from(day) - 1)).plus(Span::from_seconds(start.seconds().rem_euclid(86_400)))
}
