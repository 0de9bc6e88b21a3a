//! The walk backwards: from the CA's record to what was seen in the logs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{count, counts, facts, record_lines, report, silent};
use crate::books::{BooksError, Step, Told, Waiting};
use crate::clock::{DAY, Span, Timestamp};
use crate::ct::log_list::LogState;
use crate::finding::{CaseKey, KeyHash, Verdict};
use crate::issuance::Query;
use crate::pipeline::Walk;
use crate::record::{Lookup, Signed};
use crate::status::unlogged::{self, Reading, Seen};
use crate::status::{counts::hour_of, findings};

/// Rows judged in one transaction.
const BATCH: usize = 500;
/// How far back the record is walked again each time: rows come late.
const OVERLAP: Span = Span::from_days(2);
/// How far back the first walk goes: what was signed earlier has expired (BR 6.3.2 since 2020-09-01).
const FIRST: Span = Span::from_days(398);

/// Certificates of one issuer in one hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// In the record.
    pub recorded: u64,
    /// Of these, not missing in the logs.
    pub logged: u64,
}

/// Certificates by issuer and hour.
pub(super) type Hours = BTreeMap<KeyHash, BTreeMap<Timestamp, Tally>>;

/// Walks the record for ever. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn walk_record(walk: Arc<Walk>) -> Result<(), BooksError> {
    loop {
        walk_record_due(&walk).await?;
        tokio::time::sleep(walk.status.every.duration()).await;
    }
}

/// Walks the record once, up to where the logs were read.
///
/// # Errors
/// Unusable books.
pub async fn walk_record_due(walk: &Walk) -> Result<(), BooksError> {
    let (now, after) = (walk.clock.now(), walk.status.logged_within);
    counts::tell_ages(walk).await?;
    let readings = readings(walk).await?;
    look_again(walk, &readings).await?;
    let position = walk.storage(walk.books.walk_position("record").await)?;
    let position = position.map(Timestamp::from_millis);
    let complete = match walk.issuance.complete_until(now).await {
        Ok(complete) => Some(complete),
        Err(silence) => {
            silent(walk, &silence);
            None
        }
    };
    // What a replica that is behind does not show yet is walked when it does, however long that takes.
    let horizon = unlogged::horizon(&readings, after, now).zip(complete).map(|(to, complete)| to.min(complete));
    if let Some(to) = horizon {
        let from = hour_of(position.map_or(now.minus(FIRST), |position| position.minus(OVERLAP)));
        // Whole hours, so that they can be compared with what others counted; of the one under way nothing is missed.
        if let Some(hours) = walk_range(walk, &readings, from, to.max(position.unwrap_or(to))).await? {
            walk.metrics.record_walked(to);
            counts::reconcile(walk, &hours, from, to).await?;
        }
    } else if let Some(position) = position {
        walk.metrics.record_walked(position);
    }
    let (waiting, missing) = walk.storage(walk.books.looked_for_counts().await)?;
    walk.metrics.record_unlogged(waiting, missing);
    Ok(())
}

/// How far every log was read that can have taken a certificate of ours.
async fn readings(walk: &Walk) -> Result<Vec<Reading>, BooksError> {
    let read = walk.storage(walk.books.log_readings().await)?;
    let logs = walk.known_logs();
    let may_take =
        |state| matches!(state, LogState::Qualified | LogState::Usable | LogState::ReadOnly | LogState::NoState);
    let logs = logs.all().filter(|log| may_take(log.state)).map(|log| {
        let own = read.iter().find(|own| own.log_id == log.log_id);
        let until = own.and_then(|own| {
            // A log that takes no more entries signs no new heads either.
            let ended = log.state == LogState::ReadOnly
                && log.final_tree_head.is_none_or(|(size, _)| own.verified_size >= size);
            let newest = walk.head_of_size(&log.log_id, own.verified_size);
            let newer = |until: Timestamp| newest.map_or(until, |newest| newest.max(until));
            own.until.map(|until| if ended { Timestamp::from_millis(i64::MAX) } else { newer(until) })
        });
        let from = own.and_then(|own| own.from).unwrap_or(Timestamp::EPOCH);
        Reading { log: log.name.clone(), from, until, takes: log.temporal_interval }
    });
    Ok(logs.collect())
}

/// Walks a part of the record; `None` when the record does not answer.
async fn walk_range(
    walk: &Walk,
    readings: &[Reading],
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<Hours>, BooksError> {
    let (mut hours, mut after): (Hours, _) = (Hours::new(), None);
    loop {
        let rows = match walk.issuance.signed_between(from, to, after, BATCH).await {
            Ok(rows) => rows,
            Err(silence) => {
                silent(walk, &silence);
                return Ok(None);
            }
        };
        walk.metrics.issuance_db_answered(walk.clock.now());
        let Some(last) = rows.last() else {
            walk.storage(walk.books.commit_positions(vec![("record".to_string(), to.millis())]).await)?;
            return Ok(Some(hours));
        };
        after = Some((last.signed_at, last.cert_id));
        judge_rows(walk, readings, rows, &mut hours).await?;
    }
}

async fn judge_rows(walk: &Walk, readings: &[Reading], rows: Vec<Signed>, hours: &mut Hours) -> Result<(), BooksError> {
    let now = walk.clock.now();
    let ours = |signed: &Signed| walk.watchlist.by_key(&signed.key.issuer_key_hash).is_some();
    let (rows, internal): (Vec<Signed>, Vec<Signed>) =
        rows.into_iter().filter(ours).partition(|signed| signed.hierarchy == "public");
    // What is not meant for the logs is not looked for there; it is counted all the same.
    for signed in internal {
        let tally = tally(hours, &signed);
        tally.recorded += 1;
        tally.logged += 1;
    }
    let keys: Vec<CaseKey> = rows.iter().map(|signed| signed.key.clone()).collect();
    let seen = walk.storage(walk.books.seen_in_logs(keys).await)?;
    let mut step = Step::default();
    for (signed, seen) in rows.into_iter().zip(seen) {
        let tally = tally(hours, &signed);
        tally.recorded += 1;
        let is_missing = judge_row(walk, readings, &mut step, signed, seen, now).await?;
        tally.logged += u64::from(!is_missing);
    }
    commit(walk, step).await
}

fn tally<'h>(hours: &'h mut Hours, signed: &Signed) -> &'h mut Tally {
    hours.entry(signed.key.issuer_key_hash).or_default().entry(hour_of(signed.signed_at)).or_default()
}

/// Judges one row and adds to the step what follows; whether it is missing in the logs.
async fn judge_row(
    walk: &Walk,
    readings: &[Reading],
    step: &mut Step,
    signed: Signed,
    seen: Seen,
    now: Timestamp,
) -> Result<bool, BooksError> {
    if signed.not_after.is_some_and(|end| end <= now) {
        return Ok(false);
    }
    let mut walked = unlogged::judge(&signed, seen, readings, walk.status.logged_within, now);
    if !walk.status.unfinalised {
        walked.judged.truncate(1);
    }
    count(walk, &walked.judged);
    if walked.wait {
        step.waiting.push((signed.clone(), walked.judged[0].0.id));
    }
    let is_missing = matches!(walked.judged[0].1, Verdict::Fail(_));
    for finding in findings(&walked.judged) {
        let (certificate, record) = (facts(walk, &signed.key).await?, record_lines(walk, &signed.key).await);
        step.told.push(Told { signed: signed.clone(), finding, certificate, record });
    }
    Ok(is_missing)
}

/// Looks again for what was in no log, or could not be judged.
async fn look_again(walk: &Walk, readings: &[Reading]) -> Result<(), BooksError> {
    let (mut after, now): (Option<Waiting>, _) = (None, walk.clock.now());
    loop {
        let batch = walk.storage(walk.books.looked_for(after.take(), BATCH).await)?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = Some(last.clone());
        let keys = batch.iter().map(|waiting| waiting.signed.key.clone()).collect();
        let seen = walk.storage(walk.books.seen_in_logs(keys).await)?;
        let finalised = finalised(walk, &batch).await;
        let mut step = Step::default();
        for (waiting, seen) in batch.into_iter().zip(seen) {
            let is_finalised = finalised.contains(&waiting.signed.key) && !seen.certificate;
            let Waiting { signed, rule, told } = waiting;
            let expired = signed.not_after.is_some_and(|end| end.plus(DAY) <= now);
            let is_found = match rule.as_str() {
                "pre.unfinalised" => seen.certificate || is_finalised,
                _ => seen.precertificate || seen.certificate,
            };
            if is_found || expired {
                let words = (is_found && told).then(|| found(&rule, is_finalised));
                step.done.push((signed, rule, words));
            } else if !told {
                let mut judged = Step::default();
                let is_missing = judge_row(walk, readings, &mut judged, signed.clone(), seen, now).await?;
                step.told.extend(judged.told);
                // What can never be judged is not looked for any more.
                if !is_missing && judged.waiting.is_empty() {
                    step.done.push((signed, rule, None));
                }
            }
        }
        commit(walk, step).await?;
    }
}

/// Which of the precertificates that were told to be without a certificate have one in the record now: not every
/// certificate is logged itself. A record that does not answer has none.
async fn finalised(walk: &Walk, batch: &[Waiting]) -> HashSet<CaseKey> {
    let told = batch.iter().filter(|waiting| waiting.told && waiting.rule == "pre.unfinalised");
    let queries: Vec<Query> =
        told.map(|waiting| Query { key: waiting.signed.key.clone(), names: Vec::new() }).collect();
    let lookups = walk.issuance.find(&queries).await;
    let issued = |lookup: &Lookup| matches!(lookup, Lookup::Found(record) if record.state == "issued");
    queries.into_iter().zip(lookups).filter(|(_, lookup)| issued(lookup)).map(|(query, _)| query.key).collect()
}

fn found(rule: &str, is_finalised: bool) -> String {
    let words = match rule {
        "pre.unfinalised" if is_finalised => "the record has its certificate now",
        "pre.unfinalised" => "the certificate has been seen in a log",
        _ => "it has been seen in a log",
    };
    words.to_string()
}

async fn commit(walk: &Walk, step: Step) -> Result<(), BooksError> {
    if step.waiting.is_empty() && step.done.is_empty() && step.told.is_empty() {
        return Ok(());
    }
    let opened = walk.books.commit_step(step, walk.outbox_recipients(), walk.clock.now()).await;
    report(walk, &walk.storage(opened)?);
    Ok(())
}
