//! Questions to other judges -> their opinions beside ours; door 2. Nothing of ours waits for them.
//!
//! A judge that does not answer is asked again, each certificate alone then, so that one that it cannot stand keeps no
//! other from being judged; and while it answers nothing at all it is asked less and less often.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Walk;
use super::examine::announce;
use crate::books::{Answered, BooksError, Heard, Opinion, PendingOpinion};
use crate::cert::Certificate;
use crate::clock::{Span, Timestamp};
use crate::exam;
use crate::judges::opinion::compare;
use crate::judges::{Answer, Judge, JudgeError};
use crate::watch::Form;

/// Shortest and longest time until a certificate is asked about again.
const RETRY: (Span, Span) = (Span::from_seconds(30), Span::from_seconds(3600));
/// Longest pause of a judge that answers nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Asks one judge for ever, as questions come and as their time comes. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn hear_opinions(walk: Arc<Walk>, judge: Arc<Judge>) -> Result<(), BooksError> {
    let mut pause = Duration::from_secs(1);
    loop {
        let heard = hear_opinions_due(&walk, &judge).await?;
        match (heard.answered, heard.silent) {
            (0, 0) => {
                let queue = walk.storage(walk.books.opinion_queue(&judge.settings.name).await)?;
                let wait = queue.next_try_at.map_or(LONGEST_PAUSE, |next| next.since(walk.clock.now()).duration());
                tokio::select! {
                    () = walk.questions_waiting.notified() => {}
                    // A bell that rang before we listened is made good by this.
                    () = tokio::time::sleep(wait.clamp(Duration::from_millis(10), Duration::from_secs(2))) => {}
                }
            }
            (0, _) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            _ => pause = Duration::from_secs(1),
        }
    }
}

/// How one round of questions went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Certificates that it has judged.
    pub answered: usize,
    /// Certificates about which it said nothing.
    pub silent: usize,
}

/// Asks one judge once about what is due, as much as may be under way at once.
///
/// # Errors
/// Unusable books.
pub async fn hear_opinions_due(walk: &Arc<Walk>, judge: &Arc<Judge>) -> Result<Round, BooksError> {
    let (name, settings) = (&judge.settings.name, &judge.settings);
    let due = walk.books.due_opinions(name, walk.clock.now(), settings.at_once * settings.batch).await;
    let (whole, partial): (Vec<_>, Vec<_>) = walk.storage(due)?.into_iter().partition(|one| !best(one).is_empty());
    if !partial.is_empty() {
        commit(walk, name, partial, Err("no whole certificate is kept of it any more".to_string())).await?;
    }
    let mut asked = JoinSet::new();
    for batch in batches(whole, settings.batch).into_iter().take(settings.at_once) {
        let judge = judge.clone();
        asked.spawn(async move {
            let ders: Vec<Vec<u8>> = batch.iter().map(|opinion| best(opinion).to_vec()).collect();
            let answers = judge.ask(&ders).await;
            (batch, answers)
        });
    }
    let mut round = Round::default();
    while let Some(ended) = asked.join_next().await {
        let (batch, answers) = match ended {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        walk.metrics.judge_asked(name, answers.as_ref().map_or_else(JudgeError::word, |_| "answered"));
        match &answers {
            Ok(_) => {
                round.answered += batch.len();
                walk.metrics.judge_answered(name, walk.clock.now());
            }
            Err(error) => {
                round.silent += batch.len();
                tracing::warn!(judge = name.as_str(), certificates = batch.len(), %error, "a judge did not answer");
            }
        }
        commit(walk, name, batch, answers.map_err(|error| error.to_string())).await?;
    }
    let queue = walk.storage(walk.books.opinion_queue(name).await)?;
    walk.metrics.judge_queue(name, queue.waiting, queue.oldest);
    Ok(round)
}

/// Those that were never asked together, the others alone.
fn batches(due: Vec<PendingOpinion>, size: usize) -> Vec<Vec<PendingOpinion>> {
    let (fresh, again): (Vec<_>, Vec<_>) = due.into_iter().partition(|opinion| opinion.attempts == 0);
    let mut batches: Vec<Vec<PendingOpinion>> = Vec::new();
    for opinion in fresh {
        match batches.last_mut().filter(|batch| batch.len() < size) {
            Some(batch) => batch.push(opinion),
            None => batches.push(vec![opinion]),
        }
    }
    let mut again = again.into_iter().map(|opinion| vec![opinion]).peekable();
    // Neither may hold up the other for ever.
    let mut mixed = Vec::new();
    for batch in batches {
        mixed.push(batch);
        mixed.extend(again.next());
    }
    mixed.extend(again);
    mixed
}

/// The form that says most: the certificate, or the precertificate.
fn best(opinion: &PendingOpinion) -> &[u8] {
    let whole = opinion.ders.iter().filter(|(_, form, _)| *form == Form::Certificate);
    whole.max_by_key(|(kind, _, _)| *kind).map_or(&[][..], |(_, _, der)| der)
}

async fn commit(
    walk: &Arc<Walk>,
    name: &str,
    batch: Vec<PendingOpinion>,
    answers: Result<Vec<Answer>, String>,
) -> Result<(), BooksError> {
    let now = walk.clock.now();
    let heard: Vec<Heard> = match answers {
        Ok(answers) => batch.iter().zip(answers).map(|(opinion, answer)| answered(opinion, answer)).collect(),
        Err(error) => {
            let silent = |opinion: &PendingOpinion| Heard::Silent {
                error: error.clone(),
                next_try_at: retry_at(now, opinion.attempts),
            };
            batch.iter().map(silent).collect()
        }
    };
    let opinions = batch.into_iter().zip(heard).map(|(opinion, heard)| Opinion {
        hit_id: opinion.hit_id,
        key: opinion.key,
        judge: name.to_string(),
        revision: opinion.revision,
        heard,
    });
    let opened = walk.books.commit_opinions(opinions.collect(), walk.outbox_recipients(), now).await;
    let opened = walk.storage(opened)?;
    opened.iter().for_each(|event| announce(walk, event));
    if !opened.is_empty() {
        walk.mail_waiting.notify_one();
    }
    Ok(())
}

fn answered(opinion: &PendingOpinion, answer: Answer) -> Heard {
    let comparison = compare(&opinion.said, &answer);
    let certificate = Certificate::parse(best(opinion)).ok();
    let certificate = exam::certificate_facts(&opinion.issuer, &opinion.key, certificate.as_ref(), &opinion.ders);
    let (lines, findings) = (comparison.lines, comparison.findings);
    Heard::Answered(Box::new(Answered { answer, lines, findings, certificate }))
}

/// Half a minute, doubled with each attempt, an hour at most.
fn retry_at(now: Timestamp, attempts: u32) -> Timestamp {
    let millis = RETRY.0.millis() << attempts.min(16);
    now.plus(Span::from_millis(millis).min(RETRY.1))
}
