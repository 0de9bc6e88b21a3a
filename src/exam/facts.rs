//! The certificate and the CA's record as they are shown to people.

use sha2::{Digest, Sha256};

use crate::case::{CertificateFacts, EntryKind, SanFact};
use crate::cert::{Certificate, Identifier};
use crate::finding::CaseKey;
use crate::record::{Basis, Lookup};
use crate::watch::Form;

/// The most names that a notice carries.
const MOST_NAMES: usize = 1000;

/// The facts of a hit. `ders` are the forms in which it was seen.
pub fn certificate_facts(
    issuer: &str,
    key: &CaseKey,
    certificate: Option<&Certificate>,
    ders: &[(EntryKind, Form, Vec<u8>)],
) -> CertificateFacts {
    let digest = |wanted: EntryKind| {
        let found = ders.iter().find(|(kind, form, _)| *kind == wanted && *form == Form::Certificate);
        found.map(|(_, _, der)| hex::encode(Sha256::digest(der)))
    };
    let sans = certificate.map(|c| c.identifiers()).unwrap_or_default();
    let sans = sans.iter().take(MOST_NAMES).map(|identifier| SanFact {
        text: match identifier {
            Identifier::Dns(name) => format!("dNSName {}", name.text()),
            Identifier::Ip(_) => format!("iPAddress {}", identifier.text()),
        },
        offending: false,
    });
    CertificateFacts {
        issuer: issuer.to_string(),
        issuer_key_hash: key.issuer_key_hash,
        serial: key.serial.to_string(),
        precertificate_sha256: digest(EntryKind::Precertificate),
        certificate_sha256: digest(EntryKind::Certificate),
        spki_sha256: certificate.map(|c| c.spki_sha256().to_string()).unwrap_or_default(),
        subject: certificate.map(Certificate::subject_text).unwrap_or_default(),
        not_before: certificate.and_then(Certificate::not_before),
        not_after: certificate.and_then(Certificate::not_after),
        sans: sans.collect(),
    }
}

/// The CA's record in labelled lines: order, account, names, each validation, approvals.
pub fn record_lines(lookup: &Lookup) -> Vec<(String, String)> {
    let record = match lookup {
        Lookup::Found(record) => record,
        Lookup::Unknown { as_of } => {
            return vec![("record".into(), format!("no row found in certificates as of {as_of}"))];
        }
        Lookup::Unavailable { reason } => {
            return vec![("record".into(), format!("the database did not answer: {reason}"))];
        }
        Lookup::NoSource => {
            return vec![("record".into(), "no issuance source is configured, or it was never fed".into())];
        }
    };
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push((label.to_string(), text));
    match &record.order {
        None => line("order", format!("none; signed {}", record.signed_at)),
        Some(order) => {
            let applicant = order.applicant_name.as_deref().unwrap_or("-");
            let account = &order.account;
            line("order", format!("{} channel={} created {}", order.order_id, order.channel, order.created_at));
            line(
                "account",
                format!("{} ({}), applicant {} {applicant}", account.account_id, account.kind, order.applicant_id),
            );
            let names = order.names.as_ref().map_or("not kept".to_string(), |names| names.join(", "));
            line("approved", names);
        }
    }
    for authorisation in record.authorisations.iter().flatten().take(20) {
        let basis = match &authorisation.basis {
            Basis::Missing => "no validation named".to_string(),
            Basis::Confirmation(dcv) => {
                format!("confirmation {} {} {} {}", dcv.dcv_id, dcv.method, dcv.adn, dcv.completed_at)
            }
            Basis::Reuse(reuse) => {
                let steps: Vec<&str> = reuse.chain.iter().map(|step| step.stated_id.as_str()).collect();
                let chain = if steps.is_empty() { String::new() } else { format!(" via {}", steps.join(", ")) };
                let root = reuse.root.as_ref().map_or("no confirmation at the root".to_string(), |dcv| {
                    format!("confirmation {} {} {} {}", dcv.dcv_id, dcv.method, dcv.adn, dcv.completed_at)
                });
                format!("reuse {} ({}){chain} of {root}", reuse.reuse_id, reuse.rule)
            }
        };
        line("validation", format!("{}: {basis}", authorisation.name));
    }
    for approval in record.approvals.iter().flatten().take(10) {
        line("approval", format!("{} by {} {}", approval.step, approval.person, approval.decided_at));
    }
    for (_, text) in &mut lines {
        // The CA's own database is no more trusted with a terminal than a log is.
        *text = crate::finding::escape(text.as_bytes(), 2000);
    }
    lines
}
