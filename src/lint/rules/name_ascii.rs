//! RFC 5280 4.2.1.6: the dNSName is an IA5String in "preferred name syntax": no octet above 127, no control character, no
//! space. A NUL or a line end in a name is how programs are made to see another name than the CA validated.

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Rule, Scope, Subject, no_dates};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "name.ascii",
        summary: "A dNSName consists of printable ASCII characters other than space",
        severity: Severity::Error,
        citation: rfc(5280, "4.2.1.6"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: no_dates,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let names = subject.dns_names().iter();
    let found = names.filter_map(|name| {
        let octet = name.bytes().iter().find(|b| !b.is_ascii_graphic())?;
        Some(RULE.info.finding(name.text(), format!("contains the octet 0x{octet:02x}")))
    });
    found.collect()
}
