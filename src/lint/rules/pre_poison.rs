//! BR 7.1.2.9.3: the Precertificate Poison is critical and its extnValue is exactly 0500, "the DER encoding of an ASN.1
//! NULL value" (RFC 6962 3.1).

use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br, escape};
use crate::lint::{Rule, Scope, Subject, listed};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "pre.poison",
        summary: "The poison of a precertificate is critical and holds a DER NULL",
        severity: Severity::Error,
        citation: br("7.1.2.9.3"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2019, 12, 19)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut wrong = Vec::new();
    for poison in subject.cert.extension(oid::POISON) {
        if !poison.critical {
            wrong.push("is not critical".to_string());
        }
        if poison.value != [5, 0] {
            wrong.push(format!("holds {} and not 0500", escape(hex::encode(&poison.value).as_bytes(), 40)));
        }
    }
    listed(&RULE.info, "poison", wrong)
}
