//! What is watched beside the certificates in the logs: the record held against the logs, both held against the CRLs,
//! the CA's controls and counts.

mod controls;
mod counts;
mod crls;
mod named;
mod record;
mod sought;

use super::Walk;
use super::examine::announce;
use crate::books::{BooksError, Matter, Opened};
use crate::case::{CertificateFacts, Notice};
use crate::exam;
use crate::finding::{CaseKey, Finding};
use crate::issuance::{Query, Silence};
use crate::metrics::OTHER_LINTERS;
use crate::status::Judged;
use crate::watch::Form;

pub use controls::{watch_controls, watch_controls_due};
pub use crls::{Compared, compare_crls, compare_crls_due};
pub use record::{walk_record, walk_record_due};

/// What is shown of a certificate: all that was seen of it in logs, or its serial number alone.
async fn facts(walk: &Walk, key: &CaseKey) -> Result<CertificateFacts, BooksError> {
    let name = walk.watchlist.by_key(&key.issuer_key_hash).map_or("unknown issuer", |issuer| &issuer.name);
    let Some((issuer, mut ders)) = walk.storage(walk.books.forms_of(key.clone()).await)? else {
        return Ok(exam::certificate_facts(name, key, None, &[]));
    };
    ders.sort_by_key(|(_, form, _)| *form != Form::Certificate);
    let certificate = ders.first().and_then(|(_, form, der)| exam::parse(*form, der).ok());
    Ok(exam::certificate_facts(&issuer, key, certificate.as_ref(), &ders))
}

/// What the record says of a certificate, as shown to people.
async fn record_lines(walk: &Walk, key: &CaseKey) -> Vec<(String, String)> {
    let lookups = walk.issuance.find(&[Query { key: key.clone(), names: Vec::new() }]).await;
    lookups.first().map(exam::record_lines).unwrap_or_default()
}

fn count(walk: &Walk, judged: &[Judged]) {
    judged.iter().for_each(|(rule, verdict)| walk.metrics.rule_evaluated(rule.id, verdict));
}

/// Counts a record that does not answer. One that was never fed is no outage.
fn silent(walk: &Walk, silence: &Silence) {
    if let Silence::Unavailable(reason) = silence {
        walk.metrics.issuance_db_failed();
        tracing::warn!(reason, "the issuance database does not answer");
    }
}

/// Counts and says what is news, and has it sent.
fn report(walk: &Walk, opened: &[Opened]) {
    opened.iter().for_each(|event| announce(walk, event));
    // Also what was put right is sent, which is no finding.
    walk.mail_waiting.notify_one();
}

/// Brings the case of a matter up to date.
async fn commit_matter(
    walk: &Walk,
    matter: Matter,
    wrong: Vec<Finding>,
    (shown, well): (&str, &str),
) -> Result<(), BooksError> {
    let (count, words) = (wrong.len(), (shown.to_string(), well.to_string()));
    let done = walk.books.commit_matter(matter, wrong, words, walk.outbox_recipients(), walk.clock.now()).await;
    let Some(notice) = walk.storage(done)? else { return Ok(()) };
    tell(walk, &notice, count);
    Ok(())
}

fn tell(walk: &Walk, notice: &Notice, wrong: usize) {
    let lead = notice.findings.first();
    match &notice.resolved {
        Some(resolved) => tracing::info!(case = notice.case, resolved, "case"),
        None => {
            let newest = notice.findings.iter().take(notice.new_findings.min(wrong));
            newest.for_each(|finding| {
                let rule = if finding.rule.contains(':') { OTHER_LINTERS } else { &finding.rule };
                walk.metrics.finding(rule, finding.severity);
            });
            let (rule, subject) = lead.map_or(("", ""), |f| (f.rule.as_ref(), f.subject.as_str()));
            tracing::warn!(case = notice.case, event = notice.event.word(), rule, subject, "case");
        }
    }
    walk.mail_waiting.notify_one();
}
