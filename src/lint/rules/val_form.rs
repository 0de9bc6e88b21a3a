//! RFC 5280 4.1.2.5: validity is a UTCTime through 2049 and a GeneralizedTime from 2050 on, in seconds and in Zulu;
//! 4.1.2.5: the interval runs from notBefore through notAfter, so that notAfter is later.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Rule, Scope, Subject, listed};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "val.form",
        summary: "notBefore and notAfter have the one form that is allowed, and notAfter is the later one",
        severity: Severity::Error,
        citation: rfc(5280, "4.1.2.5"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let cert = subject.cert;
    let mut wrong = cert.time_defects().to_vec();
    if let (Some(start), Some(end)) = (cert.not_before(), cert.not_after())
        && end <= start
    {
        wrong.push(format!("notAfter {end} is not later than notBefore {start}"));
    }
    listed(&RULE.info, "validity", wrong)
}
