//! BR 7.1.2.7.8: basicConstraints MAY be present; then it is critical, cA is FALSE (the default, which DER does not
//! encode) and there is no pathLenConstraint. cA TRUE is a rule of its own.

use crate::cert::extensions::basic_constraints;
use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, listed};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.bc",
        summary: "basicConstraints, if present, is critical, leaves cA to its default and has no path length",
        severity: Severity::Error,
        citation: br("7.1.2.7.8"),
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
    let mut wrong = Vec::new();
    for extension in subject.cert.extension(oid::BASIC_CONSTRAINTS) {
        if !extension.critical {
            wrong.push("is not critical".to_string());
        }
        match basic_constraints(&extension.value) {
            None => wrong.push("cannot be read".to_string()),
            Some(constraints) => {
                if constraints.ca == Some(false) {
                    wrong.push("encodes the default cA FALSE".to_string());
                }
                if constraints.path_len {
                    wrong.push("has a pathLenConstraint".to_string());
                }
            }
        }
    }
    listed(&RULE.info, "basicConstraints", wrong)
}
