//! BR 7.1.4.2: the attributes of the subject are no longer than a table permits; "ASN.1 length limits for
//! DirectoryString are expressed as character limits, not byte limits."

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::attributes::form_of;
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.len",
        summary: "No attribute of the subject is longer than prescribed",
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
    let found = attributes.iter().filter_map(|attribute| {
        let most = form_of(attribute.oid)?.most?;
        let length = attribute.text().map_or(attribute.value.len(), |text| text.chars().count());
        let detail = format!("has {length} characters, {most} are allowed");
        (length > most).then(|| RULE.info.finding(attribute.shown(), detail))
    });
    found.collect()
}
