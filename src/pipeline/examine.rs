//! Hits + the CA's record -> findings; door 2.

use std::sync::Arc;
use std::time::Duration;

use super::Walk;
use crate::books::{BooksError, Examination, Opened, PendingHit};
use crate::case::EntryKind;
use crate::clock::{Span, Timestamp};
use crate::exam::{self, Examinee, Policy};
use crate::finding::{KeyHash, RuleInfo, Severity, Verdict};
use crate::issuance::Query;
use crate::metrics::SctFailure;
use crate::promise::{self, KnownLogs, Promise};
use crate::record::Lookup;
use crate::watch::{Form, Standing};

/// Hits examined in one transaction.
const BATCH: usize = 256;
/// How soon a hit is examined again when the CA's database did not answer.
const DATABASE_RETRY: Span = Span::from_seconds(30);

/// Examines hits for ever, as they come and as their time comes. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn examine(walk: Arc<Walk>) -> Result<(), BooksError> {
    loop {
        while examine_due(&walk).await? > 0 {}
        let next = walk.storage(walk.books.next_examination().await)?;
        let wait = next.map_or(Duration::from_secs(30), |next| next.since(walk.clock.now()).duration());
        let wait = wait.clamp(Duration::from_millis(10), Duration::from_secs(30));
        tokio::select! {
            () = walk.hits_waiting.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Examines one batch of the hits that are due; returns how many there were.
///
/// # Errors
/// Unusable books.
pub async fn examine_due(walk: &Arc<Walk>) -> Result<usize, BooksError> {
    let now = walk.clock.now();
    let mut hits = walk.storage(walk.books.due_hits(now, BATCH).await)?;
    let count = hits.len();
    if count > 0 {
        // The form that says most comes first: the certificate, the precertificate, the TBSCertificate alone.
        for hit in &mut hits {
            hit.ders.sort_by_key(|(kind, form, _)| (*form != Form::Certificate, *kind != EntryKind::Certificate));
        }
        let queries: Vec<Query> = hits.iter().map(query).collect();
        let lookups = walk.issuance.find(&queries).await;
        count_answers(walk, &lookups, now);
        let judging = walk.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let judged = hits.into_iter().zip(lookups).map(|(hit, lookup)| judge(&judging, hit, &lookup, now));
            judged.collect::<Vec<_>>()
        });
        let (examinations, verdicts): (Vec<Examination>, Vec<_>) = match judged.await {
            Ok(judged) => judged.into_iter().unzip(),
            Err(error) => match error.try_into_panic() {
                // Rules are run under catch_unwind, so that this is not the panic of a rule.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going away and this task with it: there is nothing left to do and nothing to say.
                Err(_) => std::future::pending().await,
            },
        };
        let opened = walk.books.commit_examinations(examinations, walk.outbox_recipients(), walk.clock.now()).await;
        let opened = walk.storage(opened)?;
        for (rule, verdict) in verdicts.iter().flatten() {
            walk.metrics.rule_evaluated(rule.id, verdict);
        }
        opened.iter().for_each(|event| report(walk, event));
        if !opened.is_empty() {
            walk.mail_waiting.notify_one();
        }
    }
    let (cases, pending, oldest) = walk.storage(walk.books.counts().await)?;
    for severity in Severity::ALL {
        let open = cases.iter().find(|(word, _)| word == severity.word()).map_or(0, |(_, count)| *count);
        walk.metrics.cases_open(severity, open);
    }
    walk.metrics.examinations_pending(pending, oldest);
    Ok(count)
}

fn query(hit: &PendingHit) -> Query {
    let certificate = hit.ders.first().and_then(|(_, form, der)| exam::parse(*form, der).ok());
    let names = certificate.map(|certificate| exam::presented(&certificate).names).unwrap_or_default();
    Query { key: hit.key.clone(), names }
}

fn count_answers(walk: &Walk, lookups: &[Lookup], now: Timestamp) {
    if lookups.iter().any(|lookup| matches!(lookup, Lookup::Unavailable { .. })) {
        walk.metrics.issuance_db_failed();
    } else if lookups.iter().any(|lookup| matches!(lookup, Lookup::Found(_) | Lookup::Unknown { .. })) {
        walk.metrics.issuance_db_answered(now);
    }
}

type Verdicts = Vec<(&'static RuleInfo, Verdict)>;

fn judge(walk: &Walk, hit: PendingHit, lookup: &Lookup, now: Timestamp) -> (Examination, Verdicts) {
    let ders: Vec<(Form, Vec<u8>)> = hit.ders.iter().map(|(_, form, der)| (*form, der.clone())).collect();
    // The log's word on when it logged is not taken beyond what we saw with our own eyes: an entry dated far ahead would
    // otherwise have a grace that never ends.
    let first_logged_at = hit.first_logged_at.min(hit.first_seen_at);
    let issuer_known = hit.key.issuer_key_hash != KeyHash::default();
    let examinee = Examinee {
        standing: hit.standing,
        issuer_key_hash: hit.key.issuer_key_hash,
        remark: &hit.remark,
        ders: &ders,
        first_logged_at,
        siblings: issuer_known.then_some(hit.siblings),
        others: &hit.others,
        lookup,
    };
    let logs = walk.known_logs();
    let policy =
        Policy { watchlist: &walk.watchlist, tables: &walk.tables, terms: &walk.terms, logs: &logs, grace: walk.grace };
    let verdicts = exam::examine(&examinee, policy, now);
    let (mut findings, not_evaluable) = exam::outcome(&verdicts);
    if !exam::opens_a_case(&verdicts) {
        findings.clear();
    }
    let certificate = ders.first().and_then(|(form, der)| exam::parse(*form, der).ok());
    // The record counts for certificates of ours alone; nobody else's can be in it.
    let ours = hit.standing == Standing::Ours;
    let grace_ends = first_logged_at.plus(walk.grace);
    let examine_again_at = match lookup {
        Lookup::Unavailable { .. } if ours => Some(now.plus(DATABASE_RETRY)),
        Lookup::Unknown { .. } if ours && now < grace_ends => Some(grace_ends),
        _ => None,
    };
    let promises = promises(&hit, &logs, now);
    let examination = Examination {
        hit_id: hit.hit_id,
        certificate: exam::certificate_facts(&hit.issuer, &hit.key, certificate.as_ref(), &hit.ders),
        key: hit.key,
        findings,
        record: if ours { exam::record_lines(lookup) } else { Vec::new() },
        not_evaluable,
        promises,
        examine_again_at,
        version: hit.version,
    };
    (examination, verdicts)
}

/// The promises in certificates of ours. Nobody relies on those of an expired one any more.
fn promises(hit: &PendingHit, logs: &KnownLogs, now: Timestamp) -> Vec<Promise> {
    let finals =
        hit.ders.iter().filter(|(kind, form, _)| (*kind, *form) == (EntryKind::Certificate, Form::Certificate));
    let finals =
        finals.filter(|_| hit.standing == Standing::Ours).filter_map(|(_, form, der)| exam::parse(*form, der).ok());
    let valid = finals.filter(|certificate| certificate.not_after().is_none_or(|end| end >= now));
    // A list of which nothing can be read is a finding and promises nothing.
    valid
        .flat_map(|certificate| promise::promises(&certificate, hit.key.issuer_key_hash, logs).unwrap_or_default())
        .flatten()
        .collect()
}

fn report(walk: &Walk, opened: &Opened) {
    for finding in &opened.new_findings {
        walk.metrics.finding(&finding.rule, finding.severity);
        if let Some(log) = promise::unsigned_log(finding) {
            walk.metrics.sct_failure(log, SctFailure::Signature);
        }
    }
    walk.metrics.detected_after(opened.notice.event_at.since(opened.first_logged_at));
    let lead = opened.notice.findings.first();
    tracing::warn!(
        case = opened.notice.case,
        event = opened.notice.event.word(),
        severity = opened.notice.severity.word(),
        rule = lead.map_or("", |finding| finding.rule.as_ref()),
        subject = lead.map_or("", |finding| finding.subject.as_str()),
        due = opened.notice.due.map(|due| due.to_string()).unwrap_or_default(),
        "case"
    );
}
