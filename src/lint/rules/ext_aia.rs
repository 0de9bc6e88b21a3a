//! BR 7.1.2.7.6: authorityInformationAccess MUST be present, SHOULD from 2026-10-04 on (SC104), and is not critical;
//! 7.1.2.7.7: only id-ad-ocsp and id-ad-caIssuers, the latter SHOULD be there, each location a different http URL.

use crate::cert::der::dotted;
use crate::cert::extensions::access_descriptions;
use crate::cert::oid;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::{Rule, Scope, Subject, is_http, listed, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.aia",
        summary: "authorityInfoAccess is present and names OCSP and issuers by http URLs only",
        severity: Severity::Error,
        citation: br("7.1.2.7.7"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![OPTIONAL]),
};

/// From here on its absence is against a SHOULD only.
const OPTIONAL: Timestamp = date(2026, 10, 4);
/// id-ad, 1.3.6.1.5.5.7.48; 1 is ocsp, 2 is caIssuers.
const ACCESS: [u8; 7] = [0x2b, 6, 1, 5, 5, 7, 48];
const FIELD: &str = "authorityInfoAccess";

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut extensions = subject.cert.extension(oid::AUTHORITY_INFO_ACCESS).peekable();
    if extensions.peek().is_none() {
        let optional = subject.moment >= OPTIONAL;
        return vec![if optional {
            warning(&RULE.info, FIELD, "is absent")
        } else {
            RULE.info.finding(FIELD, "is absent")
        }];
    }
    let (mut wrong, mut ca_issuers) = (Vec::new(), false);
    for extension in extensions {
        if extension.critical {
            wrong.push("is critical".to_string());
        }
        let Some(descriptions) = access_descriptions(&extension.value) else {
            wrong.push("cannot be read".to_string());
            continue;
        };
        if descriptions.is_empty() {
            wrong.push("is empty".to_string());
        }
        for (at, description) in descriptions.iter().enumerate() {
            let shown = description.location.text();
            match description.method.strip_prefix(&ACCESS) {
                Some([1]) => {}
                Some([2]) => ca_issuers = true,
                _ => wrong.push(format!("has the access method {}", dotted(&description.method))),
            }
            if !is_http(&description.location) {
                wrong.push(format!("`{shown}` is not an http URL"));
            }
            if descriptions[..at].contains(description) {
                wrong.push(format!("has `{shown}` twice"));
            }
        }
    }
    let mut found = listed(&RULE.info, FIELD, wrong);
    if !ca_issuers {
        found.push(warning(&RULE.info, "id-ad-caIssuers", "is recommended in the authorityInfoAccess and absent"));
    }
    found
}
