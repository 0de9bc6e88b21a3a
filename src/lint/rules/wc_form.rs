//! BR 1.6.1: a Wildcard Domain Name is "A string starting with "*." (U+002A ASTERISK, U+002E FULL STOP) immediately followed by
//! a Fully-Qualified Domain Name."

use crate::cert::DnsName;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Broken, Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "wc.form",
        summary: "An asterisk in a dNSName stands alone in the left-most label, before an FQDN",
        severity: Severity::Error,
        citation: br("1.6.1"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2012, 7, 1)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let well_formed = |name: &DnsName| {
        let fqdn = name.bytes().strip_prefix(b"*.").unwrap_or_default();
        !fqdn.is_empty() && !fqdn.contains(&b'*')
    };
    let bad = |name: &DnsName| name.bytes().contains(&b'*') && !well_formed(name);
    let told = |_: &DnsName| "is not `*.` followed by a name without asterisks".to_string();
    Broken::names(&RULE.info, subject.odd_names(), bad, told)
}
