//! The examination of a hit: lint + crosscheck + evidence, and for every rule one of three verdicts.

mod facts;
mod needs;
pub mod prerun;
mod statistics;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::cert::{Attribute, Certificate, Identifier, ParseError};
use crate::clock::{Span, Timestamp};
use crate::conduct;
use crate::crosscheck;
use crate::ct::sct::parse_sct_list;
use crate::evidence;
use crate::finding::{
    Citation, Document, Finding, Issued, KeyHash, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, escape,
};
use crate::lint::{self, Tables};
use crate::promise::{self, KnownLogs};
use crate::record::{Lookup, Presented, SubjectAttribute};
use crate::status;
use crate::watch::{self, Form, Standing, Watchlist};

pub use facts::{certificate_facts, record_lines};
pub use needs::record_needs;
pub use statistics::{KEY_REUSE, KeyUse, SERIAL_ENTROPY, SerialStatistics};

static IMPOSTER: RuleInfo = RuleInfo {
    id: "watch.imposter",
    summary: "a certificate that names one of our issuers is signed with a key of that issuer",
    severity: Severity::Review,
    citation: Citation { document: Document::Monitor, section: "issuer key" },
    clock: RevocationClock::None,
    since: None,
    until: None,
    needs: Needs::Certificate,
};

static SERIAL_UNIQUE: RuleInfo = RuleInfo {
    id: "serial.unique",
    summary: "no serial number is used twice by one issuer, except by a precertificate and its certificate",
    severity: Severity::Error,
    citation: br("7.1.2.9"),
    clock: RevocationClock::FiveDays(12),
    since: None,
    until: None,
    needs: Needs::Pair,
};

static ENTRY_MATCH: RuleInfo = RuleInfo {
    id: "entry.chain",
    summary: "the precertificate that a log sends beside an entry belongs to the entry",
    severity: Severity::Notice,
    citation: Citation { document: Document::Rfc(6962), section: "4.6" },
    clock: RevocationClock::None,
    since: None,
    until: None,
    needs: Needs::Certificate,
};

/// The rules of this room: those that need the whole hit.
static RULES: &[&RuleInfo] =
    &[&IMPOSTER, &SERIAL_UNIQUE, &ENTRY_MATCH, &SERIAL_ENTROPY, &KEY_REUSE, &prerun::LINT_PRERUN];

/// Every rule of the product, in the order of the table that `ctwarden rules` prints.
pub fn rules() -> Vec<&'static RuleInfo> {
    let lint = lint::RULES.iter().copied().chain(lint::profile::RULES).map(|rule| &rule.info);
    let lint = lint.chain(lint::issuer::RULES.iter().copied()).chain(lint::pair::RULES.iter().copied());
    lint.chain(crosscheck::RULES.iter().copied())
        .chain(evidence::RULES.iter().copied())
        .chain(RULES.iter().copied())
        .chain(promise::RULES.iter().copied())
        .chain(conduct::RULES.iter().copied())
        .chain(status::RULES.iter().copied())
        .collect()
}

/// What is examined.
#[derive(Clone, Debug)]
pub struct Examinee<'a> {
    /// How it came to be a hit.
    pub standing: Standing,
    /// SHA-256 of its issuer's key.
    pub issuer_key_hash: KeyHash,
    /// What was odd about its entry.
    pub remark: &'a str,
    /// The forms in which it was seen, the one that says most first.
    pub ders: &'a [(Form, Vec<u8>)],
    /// Earliest timestamp of its entries, or when it was first seen if that was earlier: a log may misdate an entry.
    pub first_logged_at: Timestamp,
    /// How many different TBSCertificates, less poison and SCT list, carry its issuer key and serial, itself included;
    /// `None` when its issuer's key is not known.
    pub siblings: Option<u64>,
    /// Some of the certificates and precertificates among these others.
    pub others: &'a [(Form, Vec<u8>)],
    /// What the CA's record says.
    pub lookup: &'a Lookup,
}

/// What an examination is held against.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Our issuers.
    pub watchlist: &'a Watchlist,
    /// TLDs, suffixes.
    pub tables: &'a Tables,
    /// The CA's own terms.
    pub terms: &'a evidence::Policy,
    /// The logs whose SCTs can be verified.
    pub logs: &'a KnownLogs,
    /// How long after logging the CA's record may lack a certificate before that is a finding.
    pub grace: Span,
}

/// The verdict of every rule that applies, one entry per rule and form examined.
pub fn examine(examinee: &Examinee<'_>, policy: Policy<'_>, now: Timestamp) -> Vec<(&'static RuleInfo, Verdict)> {
    let read: Vec<Result<Certificate, ParseError>> =
        examinee.ders.iter().map(|(form, der)| parse(*form, der)).collect();
    let Some(Ok(certificate)) = read.first() else {
        let subject = "certificate";
        let unreadable = lint::unparsable_rule().finding(subject, reason(read.first(), examinee.remark));
        return vec![(lint::unparsable_rule(), Verdict::Fail(vec![unreadable]))];
    };
    if examinee.standing == Standing::Imposter {
        let finding = IMPOSTER.finding(certificate.subject_text(), examinee.remark);
        return vec![(&IMPOSTER, Verdict::Fail(vec![finding]))];
    }
    let mut verdicts =
        vec![(&SERIAL_UNIQUE, serial_unique(certificate, &read, examinee.siblings)), (&ENTRY_MATCH, entry(examinee))];
    if certificate.is_ca() && examinee.standing == Standing::Ours {
        verdicts.push((lint::is_ca_rule(), inventory(certificate, policy.watchlist)));
    }
    let issued = issued(certificate, examinee.lookup, examinee.first_logged_at);
    let issuer = policy.watchlist.by_key(&examinee.issuer_key_hash).and_then(|issuer| issuer.certificate.as_ref());
    if examinee.remark == watch::DELEGATED {
        verdicts.push(lint::pair::delegated(issued));
    }
    verdicts.extend(pairs(&read, examinee.others, issued));
    for certificate in read.iter().flatten() {
        verdicts.extend(lint::run(certificate, issued, policy.tables));
        if let Some(issuer) = issuer.filter(|_| examinee.standing == Standing::Ours) {
            verdicts.extend(lint::issuer::run(certificate, issuer, issued));
        }
        if examinee.standing == Standing::Ours {
            let profile = policy.terms.profiles.get(&examinee.issuer_key_hash);
            let judged = profile.map(|profile| lint::profile::run(certificate, issued, policy.tables, profile));
            verdicts.extend(judged.unwrap_or_default());
            verdicts.extend(promise::belongs(certificate, examinee.issuer_key_hash, policy.logs, issued, now));
        }
    }
    if examinee.standing == Standing::Ours && !certificate.is_ca() {
        verdicts.push((&prerun::LINT_PRERUN, linted(examinee.lookup, &verdicts)));
        let presented = presented(certificate);
        let context = crosscheck::Context { first_seen: examinee.first_logged_at, now, grace: policy.grace };
        verdicts.extend(crosscheck::run(&presented, examinee.lookup, &context, policy.terms));
        verdicts.extend(evidence::run(&presented, examinee.lookup, issued, policy.terms, &policy.tables.suffixes));
    }
    verdicts
}

/// Parses the bytes of a hit in the form in which they were kept.
///
/// # Errors
/// When the walker cannot reach the fields.
pub fn parse(form: Form, der: &[u8]) -> Result<Certificate, ParseError> {
    match form {
        Form::Certificate => Certificate::parse(der),
        Form::Tbs => Certificate::parse_tbs(der),
    }
}

/// The names and the key of a certificate in the form in which the record is asked for them.
pub fn presented(certificate: &Certificate) -> Presented {
    let identifiers = certificate.identifiers();
    let names = identifiers.iter().map(|identifier| match identifier {
        Identifier::Dns(name) => name.lower().text(),
        Identifier::Ip(_) => identifier.text(),
    });
    let attributes = certificate.subject_attributes();
    let attribute = |attribute: &Attribute<'_>| SubjectAttribute {
        name: attribute.name(),
        column: VERIFIED_BY.iter().find(|(name, _)| *name == attribute.name()).map(|(_, column)| *column),
        value: attribute.text().unwrap_or_else(|| escape(attribute.value, 300)),
    };
    Presented {
        names: names.collect(),
        spki_sha256: certificate.spki_sha256(),
        validity: certificate.not_before().zip(certificate.not_after()),
        tbs_sha256: Some(KeyHash(certificate.core_sha256())),
        subject: Some(attributes.iter().map(attribute).collect()),
    }
}

/// The attributes of a subject that tell who it is, and the columns of an identity that verify them (BR 3.2.2.1, 3.2.3,
/// EVG 3.2.2).
const VERIFIED_BY: [(&str, &str); 13] = [
    ("O", "organization"),
    ("C", "country"),
    ("ST", "state"),
    ("L", "locality"),
    ("street", "street"),
    ("postalCode", "postal_code"),
    ("GN", "given_name"),
    ("SN", "surname"),
    ("serialNumber", "registration_number"),
    ("businessCategory", "business_category"),
    ("jurisdictionC", "jurisdiction_country"),
    ("jurisdictionST", "jurisdiction_state"),
    ("jurisdictionL", "jurisdiction_locality"),
];

/// The time of issuance, in this order: the CA's own signing time; the earliest embedded SCT; otherwise an interval
/// from notBefore to the earliest log timestamp.
pub fn issued(certificate: &Certificate, lookup: &Lookup, first_logged_at: Timestamp) -> Issued {
    if let Lookup::Found(record) = lookup {
        return Issued::at(record.signed_at);
    }
    let scts = certificate.sct_list().and_then(|list| parse_sct_list(list).ok()).unwrap_or_default();
    if let Some(earliest) = scts.iter().flatten().map(|sct| sct.timestamp).min() {
        return Issued::at(earliest);
    }
    let not_before = certificate.not_before().unwrap_or(first_logged_at);
    Issued { earliest: not_before.min(first_logged_at), latest: first_logged_at }
}

/// Whether verdicts are worth a case: something that must not be, or that a person must decide, or that is wrong with
/// the CA's own record. What a certificate only should or should not be (a warning or a notice of a rule about the
/// certificate alone) is told with a case that there is, and counted; it opens none: a CA whose profile breaks one
/// SHOULD would get a message for every certificate, and read none of them.
pub fn opens_a_case(verdicts: &[(&'static RuleInfo, Verdict)]) -> bool {
    verdicts.iter().any(|(rule, verdict)| match verdict {
        Verdict::Fail(found) => {
            let advice = |severity| matches!(severity, Severity::Warning | Severity::Notice);
            let serious = |finding: &Finding| !advice(finding.severity) || finding.clock != RevocationClock::None;
            rule.needs == Needs::Record || found.iter().any(serious)
        }
        Verdict::Pass | Verdict::NotEvaluable(_) => false,
    })
}

/// The findings among verdicts, each rule and subject once, and the rules that could not be judged.
pub fn outcome(verdicts: &[(&'static RuleInfo, Verdict)]) -> (Vec<Finding>, Vec<(String, String)>) {
    let mut findings: Vec<Finding> = Vec::new();
    let mut not_evaluable: Vec<(String, String)> = Vec::new();
    for (rule, verdict) in verdicts {
        match verdict {
            Verdict::Pass => {}
            Verdict::Fail(found) => {
                for finding in found {
                    if !findings.iter().any(|f| f.rule == finding.rule && f.subject == finding.subject) {
                        findings.push(finding.clone());
                    }
                }
            }
            Verdict::NotEvaluable(why) => not_evaluable.push((rule.id.to_string(), why.clone())),
        }
    }
    (findings, not_evaluable)
}

fn reason(read: Option<&Result<Certificate, ParseError>>, remark: &str) -> String {
    match read {
        Some(Err(error)) => format!("{error}; {remark}"),
        _ => format!("no bytes are kept; {remark}"),
    }
}

fn serial_unique(
    certificate: &Certificate,
    read: &[Result<Certificate, ParseError>],
    siblings: Option<u64>,
) -> Verdict {
    let Some(siblings) = siblings else {
        return Verdict::NotEvaluable("the key of its issuer is not known".to_string());
    };
    // RFC 5280 4.1.2.2: the serial number "MUST be unique for each certificate issued by a given CA". A precertificate
    // is no certificate, but two certificates that differ in their SCTs alone are two.
    let finals = read.iter().flatten().filter(|form| !form.is_precertificate() && !form.is_tbs_only());
    let finals: HashSet<&[u8]> = finals.map(Certificate::tbs_der).collect();
    let count = siblings + (finals.len() as u64).saturating_sub(1);
    if count < 2 {
        return Verdict::Pass;
    }
    let subject = format!("serial {}", certificate.serial());
    let detail = format!("{count} different TBSCertificates carry this issuer key and serial number");
    Verdict::Fail(vec![SERIAL_UNIQUE.finding(subject, detail)])
}

/// Every certificate against every precertificate of its serial number.
fn pairs(
    read: &[Result<Certificate, ParseError>],
    others: &[(Form, Vec<u8>)],
    issued: Issued,
) -> Vec<(&'static RuleInfo, Verdict)> {
    let others = others.iter().filter_map(|(form, der)| parse(*form, der).ok());
    let all: Vec<Certificate> = read.iter().flatten().cloned().chain(others).collect();
    // A TBSCertificate alone is what a log keeps of a precertificate.
    let (finals, precertificates): (Vec<_>, Vec<_>) =
        all.iter().partition(|form| !form.is_precertificate() && !form.is_tbs_only());
    let pairs = finals.iter().flat_map(|fin| precertificates.iter().map(move |pre| (pre, fin)));
    pairs.map(|(pre, fin)| lint::pair::matches(pre, fin, issued)).collect()
}

/// The linting before the signature, held against what the rules about the certificate alone have found.
fn linted(lookup: &Lookup, verdicts: &[(&'static RuleInfo, Verdict)]) -> Verdict {
    let alone = lint::RULES.iter().map(|rule| rule.info.id).collect::<HashSet<_>>();
    let of_lint = verdicts.iter().filter(|(rule, _)| alone.contains(rule.id));
    let found = of_lint.filter_map(|(_, verdict)| match verdict {
        Verdict::Fail(found) => Some(found),
        Verdict::Pass | Verdict::NotEvaluable(_) => None,
    });
    prerun::judge(lookup, &found.flatten().collect::<Vec<_>>())
}

fn entry(examinee: &Examinee<'_>) -> Verdict {
    if examinee.remark.is_empty()
        || examinee.remark == watch::DELEGATED
        || examinee.ders.iter().any(|(form, _)| *form == Form::Certificate)
    {
        return Verdict::Pass;
    }
    let mut finding = ENTRY_MATCH.finding("precertificate", examinee.remark);
    finding.detail.push_str("; the TBSCertificate in the entry itself was examined");
    Verdict::Fail(vec![finding])
}

fn inventory(certificate: &Certificate, watchlist: &Watchlist) -> Verdict {
    let key = certificate.spki_sha256();
    if watchlist.by_key(&key).is_some() {
        return Verdict::Pass;
    }
    let detail = format!("a CA certificate for key {key}, which is not among the configured issuers");
    let mut finding = lint::is_ca_rule().finding(certificate.subject_text(), detail);
    finding.evidence.push(crate::finding::Evidence {
        source: Cow::Borrowed("configuration"),
        text: "add an [[issuer]] for it if the CA made it on purpose".to_string(),
    });
    Verdict::Fail(vec![finding])
}
