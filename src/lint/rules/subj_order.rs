//! BR 7.1.4.2: the attributes of the subject stand in the order of a table, and by 7.1.4.1 each
//! RelativeDistinguishedName holds exactly one.

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::form_of;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.order",
        summary: "The attributes of the subject are in the prescribed order, one per RDN",
        severity: Severity::Error,
        citation: br("7.1.4.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let attributes = subject.attributes();
    let mut found: Vec<Finding> = attributes
        .iter()
        .filter(|attribute| !attribute.first_of_rdn)
        .map(|attribute| RULE.info.finding(attribute.shown(), "shares its RDN with another attribute"))
        .collect();
    let ranked: Vec<_> = attributes.iter().filter_map(|a| Some((form_of(a.oid)?.rank?, a.name()))).collect();
    let misplaced = ranked.windows(2).find(|pair| pair[0].0 > pair[1].0);
    found.extend(misplaced.map(|pair| {
        RULE.info.finding("subject", format!("has {} before {}, which belongs before it", pair[0].1, pair[1].1))
    }));
    found
}
