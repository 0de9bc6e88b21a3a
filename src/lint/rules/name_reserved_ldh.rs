//! BR 7.1.2.7.12 with 1.6.1: labels are Non-Reserved LDH Labels or P-Labels; a label with `--` in third and fourth place
//! is Reserved (RFC 5890 2.3.1) and only `xn--` may begin a P-Label.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.reserved_ldh",
        summary: "No label of a dNSName has hyphens in third and fourth place unless it begins with xn--",
        severity: Severity::Error,
        citation: br("7.1.2.7.12"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2021, 10, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let reserved = |label: &&[u8]| label.get(2..4) == Some(b"--") && !label[..2].eq_ignore_ascii_case(b"xn");
    let mut broken = Broken::new(&RULE.info);
    for name in subject.odd_names() {
        if let Some(label) = name.labels().find(reserved) {
            let detail = || format!("its label `{}` is a Reserved LDH Label other than xn--", escape(label, 63));
            broken.at(|| RULE.info.finding(name.text(), detail()));
        }
    }
    broken.findings()
}
