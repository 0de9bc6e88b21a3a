//! RFC 5280 4.2.1.6: the dNSName is an IA5String in "preferred name syntax": no octet above 127, no control character, no
//! space. A NUL or a line end in a name is how programs are made to see another name than the CA validated.

use crate::cert::DnsName;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, rfc};
use crate::lint::{Broken, Rule, Scope, Subject};

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
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let stranger = |name: &DnsName| name.bytes().iter().find(|b| !b.is_ascii_graphic()).copied();
    let told = |name: &DnsName| format!("contains the octet 0x{:02x}", stranger(name).unwrap_or_default());
    Broken::names(&RULE.info, subject.odd_names(), |name| stranger(name).is_some(), told)
}
