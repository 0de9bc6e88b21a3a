//! Hits + the CA's record -> findings; door 2.

use std::sync::Arc;
use std::time::Duration;

use super::counting::Counting;
use super::{Walk, kept, lag};
use crate::books::{BooksError, Examination, Opened, PendingHit, Questions};
use crate::case::EntryKind;
use crate::clock::{DAY, Span, Timestamp};
use crate::evidence;
use crate::exam::{self, Examinee, Policy};
use crate::finding::{KeyHash, RuleInfo, Severity, Verdict};
use crate::issuance::Query;
use crate::judges::caa;
use crate::judges::opinion::Said;
use crate::lint::Tables;
use crate::metrics::{OTHER_LINTERS, SctFailure};
use crate::promise::{self, KnownLogs, Promise};
use crate::record::Lookup;
use crate::watch::{Form, Standing, Watchlist};

/// Hits examined in one transaction.
const BATCH: usize = 256;
/// How long after it was logged the CAA records of a certificate are still looked up: the CA checked them at most as long
/// as this before (BR 4.2.2.1 has 8 hours or the TTL), and the domain's owner has had little time to change them.
const CAA_WINDOW: Span = DAY;
/// How soon a hit is examined again when the CA's database did not answer.
const DATABASE_RETRY: Span = Span::from_seconds(30);

/// Examines hits for ever, as they come and as their time comes. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn examine(walk: Arc<Walk>) -> Result<(), BooksError> {
    let mut before = None;
    loop {
        // This loop never waits long, so it looks after the clock for all of them.
        let now = walk.clock.now();
        if let Some(jump) = walk.storage(walk.books.follow_clock(before, now).await)? {
            tracing::warn!(%jump, "the clock of this machine was put back, and what was to be done later with it");
        }
        before = Some(now);
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
    walk.kept_answers.forget_old(now);
    let mut hits = walk.storage(walk.books.due_hits(now, BATCH).await)?;
    let count = hits.len();
    if count > 0 {
        hits.iter_mut().for_each(sort_forms);
        let lookups = kept::look_up(walk, &hits, now).await;
        lag::first_looks(walk, &hits, &lookups, now);
        let grounds = walk.grounds();
        let judges: Vec<String> = walk.judges.iter().map(|judge| judge.settings.name.clone()).collect();
        let mut counting = Counting::begin(walk, &hits).await?;
        let judged = tokio::task::spawn_blocking(move || {
            let judged = hits
                .into_iter()
                .zip(lookups)
                .map(|(hit, lookup)| judge(&grounds, &mut counting, &judges, hit, &lookup, now));
            let (mut examinations, verdicts): (Vec<Examination>, Vec<_>) = judged.unzip();
            counting.finish(&mut examinations);
            (examinations, verdicts)
        });
        let (examinations, verdicts) = match judged.await {
            Ok(judged) => judged,
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
        if !walk.judges.is_empty() {
            walk.questions_waiting.notify_waiters();
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

pub(super) fn query(hit: &PendingHit) -> Query {
    let certificate = hit.ders.first().and_then(|(_, form, der)| exam::parse(*form, der).ok());
    let names = certificate.map(|certificate| exam::presented(&certificate).names).unwrap_or_default();
    Query { key: hit.key.clone(), names }
}

pub(super) type Verdicts = Vec<(&'static RuleInfo, Verdict)>;

/// What an examination rests on, held together for as long as one takes.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// Whose certificates are ours.
    pub watchlist: Arc<Watchlist>,
    /// TLDs, suffixes.
    pub tables: Arc<Tables>,
    /// The CA's own terms.
    pub terms: Arc<evidence::Policy>,
    /// The logs whose SCTs can be verified.
    pub logs: Arc<KnownLogs>,
    /// How long after logging the CA's record may lack a certificate.
    pub grace: Span,
}

impl Grounds {
    /// The verdict of every rule about a hit.
    pub(super) fn verdicts(&self, hit: &PendingHit, lookup: &Lookup, now: Timestamp) -> Verdicts {
        let ders: Vec<(Form, Vec<u8>)> = hit.ders.iter().map(|(_, form, der)| (*form, der.clone())).collect();
        let issuer_known = hit.key.issuer_key_hash != KeyHash::default();
        let examinee = Examinee {
            standing: hit.standing,
            issuer_key_hash: hit.key.issuer_key_hash,
            remark: &hit.remark,
            ders: &ders,
            first_logged_at: logged_at(hit),
            siblings: issuer_known.then_some(hit.siblings),
            others: &hit.others,
            lookup,
        };
        let policy = Policy {
            watchlist: &self.watchlist,
            tables: &self.tables,
            terms: &self.terms,
            logs: &self.logs,
            grace: self.grace,
        };
        exam::examine(&examinee, policy, now)
    }
}

/// The log's word on when it logged is not taken beyond what we saw with our own eyes: an entry dated far ahead would
/// otherwise have a grace that never ends.
pub(super) fn logged_at(hit: &PendingHit) -> Timestamp {
    hit.first_logged_at.min(hit.first_seen_at)
}

/// The form that says most comes first: the certificate, the precertificate, the TBSCertificate alone.
pub(super) fn sort_forms(hit: &mut PendingHit) {
    hit.ders.sort_by_key(|(kind, form, _)| (*form != Form::Certificate, *kind != EntryKind::Certificate));
}

fn judge(
    grounds: &Grounds,
    counting: &mut Counting,
    judges: &[String],
    hit: PendingHit,
    lookup: &Lookup,
    now: Timestamp,
) -> (Examination, Verdicts) {
    let mut verdicts = grounds.verdicts(&hit, lookup, now);
    let certificate = hit.ders.first().and_then(|(_, form, der)| exam::parse(*form, der).ok());
    let issued = certificate.as_ref().map_or(now, |cert| exam::issued(cert, lookup, logged_at(&hit)).earliest);
    let (more, counted) = counting.take(&hit, &grounds.tables.suffixes, issued);
    verdicts.extend(more);
    let (mut findings, not_evaluable) = exam::outcome(&verdicts);
    let ours = hit.standing == Standing::Ours;
    let questions = certificate.as_ref().filter(|c| ours && !c.is_ca() && !c.is_tbs_only()).and_then(|certificate| {
        let issued = exam::issued(certificate, lookup, logged_at(&hit));
        // What the DNS says long after the certificate was issued is no question worth asking.
        let fresh = now.since(logged_at(&hit)) <= CAA_WINDOW;
        let asked = judges.iter().filter(|name| fresh || *name != caa::NAME).cloned().collect::<Vec<_>>();
        (!asked.is_empty()).then(|| Questions { judges: asked, said: Said::new(&findings, issued) })
    });
    if !exam::opens_a_case(&verdicts) {
        findings.clear();
    }
    // The record counts for certificates of ours alone; nobody else's can be in it.
    let grace_ends = logged_at(&hit).plus(grounds.grace);
    let examine_again_at = match lookup {
        Lookup::Unavailable { .. } if ours => Some(now.plus(DATABASE_RETRY)),
        Lookup::Unknown { .. } if ours && now < grace_ends => Some(grace_ends),
        _ => None,
    };
    let promises = promises(&hit, &grounds.logs, now);
    let examination = Examination {
        hit_id: hit.hit_id,
        certificate: exam::certificate_facts(&hit.issuer, &hit.key, certificate.as_ref(), &hit.ders),
        key: hit.key,
        findings,
        record: if ours { exam::record_lines(lookup) } else { Vec::new() },
        not_evaluable,
        promises,
        questions,
        counted,
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
    walk.metrics.detected_after(opened.notice.event_at.since(opened.first_logged_at));
    announce(walk, opened);
}

/// Counts and says what is news about a case.
pub(super) fn announce(walk: &Walk, opened: &Opened) {
    for finding in &opened.new_findings {
        // The identifiers of other linters are no closed set.
        let rule = if finding.rule.contains(':') { OTHER_LINTERS } else { &finding.rule };
        walk.metrics.finding(rule, finding.severity);
        if let Some(log) = promise::unsigned_log(finding) {
            walk.metrics.sct_failure(log, SctFailure::Signature);
        }
    }
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
