//! The certificate and the CA's record as they are shown to people.

use sha2::{Digest, Sha256};

use crate::case::{CertificateFacts, EntryKind, SanFact};
use crate::cert::{Certificate, Identifier};
use crate::clock::Timestamp;
use crate::finding::CaseKey;
use crate::record::{Basis, IDENTITY_COLUMNS, Lookup};
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

/// The CA's record in labelled lines: order, account, names, identity, each validation, approvals, linting, revocation.
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
    if let Some(identity) = &record.identity {
        let by = identity.performed_by.as_deref().unwrap_or("-");
        let values = IDENTITY_COLUMNS.iter().zip(&identity.values);
        let values: Vec<String> =
            values.filter_map(|(column, value)| Some(format!("{column}={}", value.as_deref()?))).collect();
        let values = if values.is_empty() { "nothing recorded".to_string() } else { values.join(", ") };
        line("identity", format!("{} verified {} by {by}: {values}", identity.identity_id, identity.verified_at));
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
    for run in record.lint_runs.iter().flatten().take(10) {
        let version = run.version.as_deref().unwrap_or("-");
        let found = run.findings.as_deref().map_or(String::new(), |found| format!(": {}", found.replace('\n', "; ")));
        line("linting", format!("{} {version} {} {}{found}", run.linter, run.result, run.ran_at));
    }
    if let Some(revocation) = &record.revocation {
        let at = |moment: Option<Timestamp>| moment.map_or("-".to_string(), |moment| moment.to_string());
        let reason = revocation.reason.map_or("-".to_string(), |reason| reason.to_string());
        let (aware, revoked, seen) = (revocation.aware_at, revocation.revoked_at, revocation.crl_seen_at);
        line(
            "revocation",
            format!("known {}, revoked {}, reason {reason}, on CRL {}", at(aware), at(revoked), at(seen)),
        );
    }
    for (_, text) in &mut lines {
        // The CA's own database is no more trusted with a terminal than a log is.
        *text = crate::finding::escape(text.as_bytes(), 2000);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::finding::{KeyHash, Serial};
    use crate::record::{Identity, IssuanceRecord, LintRun, Revocation};

    #[test]
    fn identity_linting_and_revocation_are_shown_and_escaped() {
        let identity = Identity {
            identity_id: "I1".into(),
            verified_at: date(2026, 6, 1),
            values: std::array::from_fn(|place| (place == 0).then(|| "Udala\u{1b}".to_string())),
            ..Identity::default()
        };
        let run = LintRun {
            linter: "zlint".into(),
            version: None,
            ran_at: date(2026, 11, 20),
            result: "failed".into(),
            findings: Some("a\nb".into()),
        };
        let revocation =
            Revocation { aware_at: None, revoked_at: Some(date(2026, 11, 21)), reason: Some(4), crl_seen_at: None };
        let key = CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![1]) };
        let record = IssuanceRecord {
            keeps_orders: true,
            keeps_confirmations: true,
            identity: Some(identity),
            keeps_identities: true,
            lint_runs: Some(vec![run]),
            revocation: Some(revocation),
            keeps_revocations: true,
            as_of: date(2026, 11, 21),
            ..IssuanceRecord::bare(key, date(2026, 11, 20))
        };
        let lines = record_lines(&Lookup::Found(Box::new(record)));
        let line = |label: &str| lines.iter().find(|(own, _)| own == label).map(|(_, text)| text.as_str());
        assert_eq!(line("identity"), Some("I1 verified 2026-06-01T00:00:00Z by -: organization=Udala\\x1b"));
        assert_eq!(line("linting"), Some("zlint - failed 2026-11-20T00:00:00Z: a; b"));
        assert_eq!(line("revocation"), Some("known -, revoked 2026-11-21T00:00:00Z, reason 4, on CRL -"));
    }
}
