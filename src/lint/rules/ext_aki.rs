//! BR 7.1.2.11.1: the authorityKeyIdentifier is present and not critical; keyIdentifier MUST be there,
//! authorityCertIssuer and authorityCertSerialNumber MUST NOT.

use crate::cert::extensions::authority_key_id_fields;
use crate::cert::oid;
use crate::clock::date;
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, listed};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.aki",
        summary: "authorityKeyIdentifier is present, not critical and holds a keyIdentifier alone",
        severity: Severity::Error,
        citation: br("7.1.2.11.1"),
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
    let mut extensions = subject.cert.extension(oid::AUTHORITY_KEY_ID).peekable();
    if extensions.peek().is_none() {
        wrong.push("is absent".to_string());
    }
    for extension in extensions {
        if extension.critical {
            wrong.push("is critical".to_string());
        }
        match authority_key_id_fields(&extension.value) {
            None => wrong.push("cannot be read".to_string()),
            Some(fields) => {
                if !fields.contains(&0) {
                    wrong.push("has no keyIdentifier".to_string());
                }
                if fields.iter().any(|field| *field != 0) {
                    wrong.push("names the issuer's issuer or serial number".to_string());
                }
            }
        }
    }
    listed(&RULE.info, "authorityKeyIdentifier", wrong)
}
