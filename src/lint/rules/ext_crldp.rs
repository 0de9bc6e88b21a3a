//! BR 7.1.2.11.2: cRLDistributionPoints is present from 2024-03-15 on, unless the certificate is short-lived or names
//! an OCSP responder; not critical; every DistributionPoint has a fullName of http URLs and neither reasons nor
//! cRLIssuer; more than one is NOT RECOMMENDED.

use crate::cert::extensions::{access_descriptions, distribution_points};
use crate::cert::oid;
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, br};
use crate::lint::subject::{SHORT_LIVED_SINCE, is_short_lived};
use crate::lint::{Rule, Scope, Subject, is_http, listed, warning};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "ext.crldp",
        summary: "cRLDistributionPoints is present where it must be and holds http URLs only",
        severity: Severity::Error,
        citation: br("7.1.2.11.2"),
        clock: RevocationClock::FiveDays(12),
        since: Some(date(2023, 9, 15)),
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Subscriber,
    check,
    dates: Some(|_, _| vec![REQUIRED, SHORT_LIVED_SINCE]),
};

/// From here on OCSP was optional, and without it a CRL had to be named (SC063).
const REQUIRED: Timestamp = date(2024, 3, 15);
const FIELD: &str = "cRLDistributionPoints";
/// id-ad-ocsp, 1.3.6.1.5.5.7.48.1.
const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1];

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut extensions = subject.cert.extension(oid::CRL_DISTRIBUTION_POINTS).peekable();
    if extensions.peek().is_none() {
        let excused = subject.moment < REQUIRED || is_short_lived(subject.cert, subject.moment) || names_ocsp(subject);
        let detail = "is absent from a certificate that is not short-lived and names no OCSP responder";
        return if excused { Vec::new() } else { vec![RULE.info.finding(FIELD, detail)] };
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for extension in extensions {
        if extension.critical {
            wrong.push("is critical".to_string());
        }
        let Some(points) = distribution_points(&extension.value) else {
            wrong.push("cannot be read".to_string());
            continue;
        };
        if points.is_empty() {
            wrong.push("is empty".to_string());
        }
        count += points.len();
        for point in points {
            let names = point.full_name.unwrap_or_default();
            if names.is_empty() || point.relative_name {
                wrong.push("has a point without a fullName".to_string());
            }
            let bad = names.iter().filter(|name| !is_http(name));
            wrong.extend(bad.map(|name| format!("`{}` is not an http URL", name.text())));
            if point.reasons || point.crl_issuer {
                wrong.push("has reasons or a cRLIssuer".to_string());
            }
        }
    }
    let mut found = listed(&RULE.info, FIELD, wrong);
    if count > 1 {
        found.push(warning(&RULE.info, "DistributionPoint", "there is more than one, which is not recommended"));
    }
    found
}

fn names_ocsp(subject: &Subject<'_>) -> bool {
    subject.cert.extension(oid::AUTHORITY_INFO_ACCESS).any(|extension| {
        access_descriptions(&extension.value).unwrap_or_default().iter().any(|description| description.method == OCSP)
    })
}
