//! BR 7.1.2.7.9: certificatePolicies is present and not critical, asserts exactly one Reserved Certificate Policy
//! Identifier (RECOMMENDED as the first) and not anyPolicy, and has no qualifier but id-qt-cps with an http or https
//! URL. From 2020-09-30 on one such identifier had to be there (BR 7.1.6.4).

use std::collections::HashSet;

use crate::cert::der::{dotted, single};
use crate::cert::extensions::policies;
use crate::cert::oid;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::policy::Validation;
use crate::lint::{Rule, Scope, Subject, listed, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.cp",
        summary: "certificatePolicies asserts exactly one reserved policy, not anyPolicy, and has no qualifier but a URL",
        severity: Severity::Error,
        citation: br("7.1.2.7.9"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2020, 9, 30)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![PROFILE]),
};

/// From here on the whole profile binds.
const PROFILE: Timestamp = date(2023, 9, 15);
const FIELD: &str = "certificatePolicies";
/// anyPolicy, 2.5.29.32.0.
const ANY_POLICY: &[u8] = &[0x55, 0x1d, 32, 0];
/// id-qt-cps, 1.3.6.1.5.5.7.2.1.
const CPS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 2, 1];
/// Tag octet of IA5String.
const IA5_STRING: u8 = 22;

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let (mut wrong, mut stated) = (Vec::new(), Vec::new());
    for extension in subject.cert.extension(oid::CERTIFICATE_POLICIES) {
        if extension.critical {
            wrong.push("is critical".to_string());
        }
        match policies(&extension.value) {
            Some(policies) => stated.extend(policies),
            None => wrong.push("cannot be read".to_string()),
        }
    }
    let reserved = stated.iter().filter(|policy| Validation::of_policy(&policy.oid).is_some()).count();
    if reserved == 0 {
        wrong.push("asserts no reserved policy identifier".to_string());
    }
    if subject.moment < PROFILE {
        wrong.retain(|_| reserved == 0);
        let mut found = listed(&RULE.info, FIELD, wrong);
        found.iter_mut().for_each(|finding| finding.citation = br("7.1.6.4").to_string().into());
        return found;
    }
    if reserved > 1 {
        wrong.push(format!("asserts {reserved} reserved policy identifiers, one is allowed"));
    }
    let mut seen = HashSet::new();
    for policy in &stated {
        let shown = dotted(&policy.oid);
        if policy.oid == ANY_POLICY {
            wrong.push("asserts anyPolicy".to_string());
        }
        if !seen.insert(&policy.oid) {
            wrong.push(format!("asserts {shown} twice"));
        }
        for (id, qualifier) in &policy.qualifiers {
            if id != CPS {
                wrong.push(format!("{shown} has the qualifier {}", dotted(id)));
            } else if !is_url(qualifier) {
                wrong.push(format!("the CPS pointer of {shown} is not an http or https URL"));
            }
        }
    }
    let mut found = listed(&RULE.info, FIELD, wrong);
    if reserved == 1 && stated.first().is_some_and(|first| Validation::of_policy(&first.oid).is_none()) {
        found.push(warning(&RULE.info, "first policy", "is not the reserved one, as is recommended"));
    }
    found
}

fn is_url(qualifier: &[u8]) -> bool {
    let starts = |url: &[u8], scheme: &[u8]| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    let content = single(qualifier).filter(|(_, rest)| rest.is_empty()).map(|(element, _)| element.content);
    qualifier.first() == Some(&IA5_STRING)
        && content.is_some_and(|url| url.is_ascii() && (starts(url, b"http://") || starts(url, b"https://")))
}
