//! RFC 5280 4.1: what does not keep to DER and to the syntax of a certificate. Two readers may see two certificates in it, and
//! linters refuse to judge it, which is how the worst ones slip through (rules.md 1.2).

use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, escape, rfc};
use crate::lint::{Rule, Scope, Subject};

/// The row of the rule table.
pub static RULE: Rule = Rule {
    info: RuleInfo {
        id: "cert.unparsable",
        summary: "A certificate is DER in the syntax of RFC 5280 and every parser can read it",
        severity: Severity::Error,
        citation: rfc(5280, "4.1"),
        clock: RevocationClock::FiveDays(12),
        since: None,
        until: None,
        needs: Needs::Certificate,
    },
    scope: Scope::Every,
    check,
    dates: None,
};

/// Most defects that one finding lists.
const SHOWN: usize = 4;

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut defects = subject.cert.defects().to_vec();
    defects.extend(subject.refusal(|| refusal(subject)).cloned());
    defects.dedup();
    if defects.is_empty() {
        return Vec::new();
    }
    let shown = defects.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = defects.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    vec![RULE.info.finding("certificate", format!("is not encoded as it must be: {shown}{more}"))]
}

/// Why x509-parser, which is the laxest of the common parsers, does not take it.
fn refusal(subject: &Subject<'_>) -> Option<String> {
    let der = subject.cert.der();
    let error =
        |e: &dyn std::fmt::Display| Some(format!("x509-parser refuses it: {}", escape(e.to_string().as_bytes(), 200)));
    let tbs = if subject.cert.is_tbs_only() {
        match TbsCertificate::from_der(der) {
            Ok((_, tbs)) => tbs,
            Err(e) => return error(&e),
        }
    } else {
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => certificate.tbs_certificate,
            Err(e) => return error(&e),
        }
    };
    // The subjectAltName is left to the rules about names.
    let broken = tbs.extensions().iter().find(|extension| {
        let is_san = extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME;
        !is_san && matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })
    })?;
    Some(format!("x509-parser cannot read the extension {}", broken.oid))
}
