//! BR 7.1.2.7.2 to 7.1.2.7.4: subject attributes "MUST NOT contain only metadata such as '.', '-', and ' ' (i.e. space)
//! characters, and/or any other indication that the value is absent, incomplete, or not applicable."

use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "subj.meta",
        summary: "No attribute of the subject says only that there is no value",
        severity: Severity::Error,
        citation: br("7.1.2.7.4"),
        clock: RevocationClock::FiveDays(13),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: None,
};

/// What people write when there is no value, in lower case; nothing that is also a name (None is a town).
const ABSENT: [&str; 4] = ["n/a", "not applicable", "not available", "not provided"];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let attributes = subject.attributes();
    let found = attributes.iter().filter(|attribute| {
        attribute.text().is_some_and(|text| {
            let says_nothing = text.chars().all(|c| !c.is_alphanumeric());
            says_nothing || ABSENT.contains(&text.trim().to_lowercase().as_str())
        })
    });
    found.map(|attribute| RULE.info.finding(attribute.shown(), "says only that there is no value")).collect()
}
