//! A precertificate beside the certificate that follows it, and beside the one that signed it.

use std::collections::BTreeSet;

use crate::cert::der::{dotted, single};
use crate::cert::{Certificate, Extension, corresponds, oid};
use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Issued, Needs, RevocationClock, RuleInfo, Severity, Verdict, br};
use crate::lint::ends;

/// BR 7.1.2.9: the tbsCertificate of the Certificate is that of the Precertificate byte for byte, "including the order of the
/// extensions", less the poison and the SCT list.
static MATCH: RuleInfo = RuleInfo {
    id: "pre.match",
    summary: "A certificate is its precertificate byte for byte, less poison and SCT list",
    severity: Severity::Error,
    citation: br("7.1.2.9"),
    clock: RevocationClock::FiveDays(12),
    since: Some(date(2019, 12, 19)),
    until: None,
    needs: Needs::Pair,
};

/// BR 7.1.2.4: from 2026-03-15 on a precertificate is signed by the Issuing CA itself.
static SIGNING_CA: RuleInfo = RuleInfo {
    id: "pre.signing_ca",
    summary: "No precertificate is signed by a Precertificate Signing CA",
    severity: Severity::Error,
    citation: br("7.1.2.4"),
    clock: RevocationClock::FiveDays(12),
    since: Some(NO_SIGNING_CA),
    until: None,
    needs: Needs::Pair,
};

/// The rules of this file.
pub static RULES: &[&RuleInfo] = &[&MATCH, &SIGNING_CA];

/// From here on there are no Precertificate Signing CAs.
const NO_SIGNING_CA: Timestamp = date(2026, 3, 15);
/// What two TBSCertificates differ in when a Precertificate Signing CA signed the first (RFC 6962 3.2).
const ISSUER: &str = "the issuer";
const KEY_ID: &str = "the extension 2.5.29.35";

/// Holds a certificate against its precertificate.
pub fn matches(pre: &Certificate, fin: &Certificate, issued: Issued) -> (&'static RuleInfo, Verdict) {
    let differs = if corresponds(pre, fin) { Vec::new() } else { differences(pre, fin) };
    let delegated = differs.iter().all(|what| what == ISSUER || what == KEY_ID);
    let find = |moment: Timestamp| {
        if differs.is_empty() || !MATCH.in_force(moment) {
            return Vec::new();
        }
        let detail = format!("differs from its precertificate in {}", differs.join(", "));
        let mut finding = MATCH.finding("tbsCertificate", detail);
        if delegated && moment < NO_SIGNING_CA {
            finding.severity = Severity::Review;
            finding.detail.push_str("; so it does when a Precertificate Signing CA signed the precertificate");
        }
        vec![finding]
    };
    (&MATCH, ends::judge(&MATCH, issued, find, Some(|_: &Finding| vec![NO_SIGNING_CA])))
}

/// Says that a Precertificate Signing CA signed the precertificate.
pub fn delegated(issued: Issued) -> (&'static RuleInfo, Verdict) {
    let find = |moment: Timestamp| -> Vec<Finding> {
        let detail = "was signed by a Precertificate Signing CA and not by the CA itself";
        SIGNING_CA.in_force(moment).then(|| SIGNING_CA.finding("precertificate", detail)).into_iter().collect()
    };
    (&SIGNING_CA, ends::judge(&SIGNING_CA, issued, find, ends::NO_STEPS))
}

/// Where a field stands in a certificate.
type Field = fn(&Certificate) -> &[u8];

/// The fields in which two TBSCertificates differ that are not the same; never empty.
fn differences(pre: &Certificate, fin: &Certificate) -> Vec<String> {
    let fields: [(&str, Field); 5] = [
        ("the signature algorithm", Certificate::inner_algorithm),
        (ISSUER, Certificate::issuer_der),
        ("the subject", Certificate::subject_der),
        ("the public key", Certificate::spki_der),
        ("the serial number", Certificate::serial_octets),
    ];
    let mut found: Vec<String> =
        fields.iter().filter(|(_, field)| field(pre) != field(fin)).map(|(name, _)| name.to_string()).collect();
    if (pre.not_before(), pre.not_after()) != (fin.not_before(), fin.not_after()) {
        found.push("the validity".to_string());
    }
    let kept = |cert: &'_ Certificate| -> Vec<Extension> {
        let all = cert.extensions().iter();
        all.filter(|e| e.oid != oid::POISON && e.oid != oid::SCT_LIST).cloned().collect()
    };
    let (before, after) = (kept(pre), kept(fin));
    let ids: BTreeSet<&[u8]> = before.iter().chain(&after).map(|e| e.oid.as_slice()).collect();
    let of = |list: &[Extension], id: &[u8]| list.iter().filter(|e| e.oid == id).cloned().collect::<Vec<_>>();
    let count = found.len();
    found.extend(
        ids.into_iter()
            .filter(|id| of(&before, id) != of(&after, id))
            .map(|id| format!("the extension {}", dotted(id))),
    );
    if found.len() == count && before != after {
        found.push("the order of the extensions".to_string());
    }
    if found.is_empty() {
        found.push(encoded_otherwise(pre, fin).to_string());
    }
    found
}

/// Where the same values are written in other octets.
fn encoded_otherwise(pre: &Certificate, fin: &Certificate) -> &'static str {
    let version = |cert: &Certificate| {
        single(cert.tbs_der()).and_then(|(tbs, _)| tbs.reader().next().ok().map(|e| e.raw.to_vec()))
    };
    match version(pre) != version(fin) {
        true => "the version",
        false => "the encoding of a field",
    }
}
