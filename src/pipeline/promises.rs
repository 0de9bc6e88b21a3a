//! The promises of logs: looked for in what was read, asked for when they are due, and accused when they are broken.
//!
//! Every look ends in one transaction, so that a crash repeats it: an accusation comes before its promise is closed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Walk;
use super::reading::{Reading, accuse};
use crate::books::{BooksError, Looked, OpenPromise, PromiseState};
use crate::clock::{HOUR, Stopwatch, Timestamp};
use crate::ct::key::LogId;
use crate::ct::log_list::Log;
use crate::ct::sct::SignedCertificateTimestamp;
use crate::ct::sth::SignedTreeHead;
use crate::exam;
use crate::metrics::SctFailure;
use crate::promise::{self, Absence, Look, Next};
use crate::tail::{Fetcher, LogClient, Lookup, TailError};

/// Promises looked at in one round.
const BATCH: usize = 512;
/// Longest and shortest pause between two rounds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often the promises are counted for the metrics, at most: there may be millions.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// Looks at promises for ever, as their time comes. Ends only with the books.
///
/// # Errors
/// Unusable books.
pub async fn audit_promises(walk: Arc<Walk>, fetcher: Fetcher) -> Result<(), BooksError> {
    let (mut counted, mut news) = (Stopwatch::start(), true);
    show_counts(&walk).await?;
    loop {
        reconsider(&walk).await?;
        news |= audit_promises_due(&walk, &fetcher, walk.clock.now()).await? > 0;
        if news && counted.elapsed() > COUNT_EVERY {
            show_counts(&walk).await?;
            (counted, news) = (Stopwatch::start(), false);
        }
        let next = walk.storage(walk.books.next_promise().await)?;
        let wait = next.map_or(PAUSE.1, |next| next.since(walk.clock.now()).duration());
        tokio::time::sleep(wait.clamp(PAUSE.0, PAUSE.1)).await;
    }
}

/// Looks once at every open promise whose next look is at `horizon` or earlier; returns how many there were.
///
/// # Errors
/// Unusable books.
pub async fn audit_promises_due(walk: &Arc<Walk>, fetcher: &Fetcher, horizon: Timestamp) -> Result<usize, BooksError> {
    let started = walk.clock.now();
    let mut count = 0;
    loop {
        let open = walk.storage(walk.books.open_promises(horizon, started, BATCH).await)?;
        if open.is_empty() {
            break;
        }
        count += open.len();
        let mut by_log: HashMap<LogId, Vec<OpenPromise>> = HashMap::new();
        for promise in open {
            by_log.entry(promise.promise.log_id).or_default().push(promise);
        }
        // Side by side, so that a log that does not answer delays no other.
        let mut logs = JoinSet::new();
        for (log_id, open) in by_log {
            logs.spawn(audit_log(walk.clone(), walk.known_logs().get(&log_id).cloned(), fetcher.clone(), open));
        }
        while let Some(ended) = logs.join_next().await {
            match ended {
                Ok(ended) => ended?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
    Ok(count)
}

async fn show_counts(walk: &Walk) -> Result<(), BooksError> {
    for (state, count) in walk.storage(walk.books.promise_counts().await)? {
        walk.metrics.promises(state.word(), count);
    }
    Ok(())
}

/// Certificates with SCTs of logs that were in no list, and now are, are examined again.
async fn reconsider(walk: &Walk) -> Result<(), BooksError> {
    let logs = walk.known_logs();
    for log_id in walk.storage(walk.books.unknown_logs().await)? {
        if logs.get(&log_id).is_some() {
            walk.storage(walk.books.examine_promises_of(log_id, walk.clock.now()).await)?;
            walk.hits_waiting.notify_one();
        }
    }
    Ok(())
}

/// Looks at promises of one log and writes what became of them.
async fn audit_log(
    walk: Arc<Walk>,
    log: Option<Arc<Log>>,
    fetcher: Fetcher,
    open: Vec<OpenPromise>,
) -> Result<(), BooksError> {
    let mut looked = Vec::new();
    let Some(log) = log else {
        // It has left the list with its key and its address.
        let at = |now: Timestamp| now.plus(HOUR);
        looked.extend(open.iter().map(|one| result(one, PromiseState::Open, one.denials, walk.clock.now(), at)));
        return walk.storage(walk.books.commit_promises(looked).await);
    };
    let mut log = Asked { client: LogClient::new(log.clone(), fetcher), log, head: None };
    for one in &open {
        looked.push(log.look(&walk, one).await?);
    }
    walk.storage(walk.books.commit_promises(looked).await)
}

fn result(
    one: &OpenPromise,
    state: PromiseState,
    denials: u32,
    checked_at: Timestamp,
    next: impl FnOnce(Timestamp) -> Timestamp,
) -> Looked {
    let (log_id, leaf_hash) = (one.promise.log_id, one.promise.leaf_hash);
    Looked { log_id, leaf_hash, state, denials, checked_at, next_check_at: next(checked_at) }
}

/// A log that is asked about promises; it gives its head once a round.
struct Asked {
    log: Arc<Log>,
    client: LogClient,
    head: Option<Result<SignedTreeHead, ()>>,
}

impl Asked {
    async fn look(&mut self, walk: &Walk, one: &OpenPromise) -> Result<Looked, BooksError> {
        let (promised_at, mmd) = (one.promise.promised_at, self.log.mmd);
        let look = match one.proven_index {
            Some(index) => self.found(walk, one, index).await?,
            None => Look::NotSeen,
        };
        let mut denials = one.denials;
        let mut next = promise::next(look, promised_at, mmd, walk.clock.now());
        if next == Next::Ask {
            let look = self.ask(walk, one).await?;
            // What a log says at an older head does not count: the entry may still be on its way.
            let judged_at = promise::judged_at(promised_at.plus(mmd), mmd);
            denials += u32::from(matches!(&look, Look::Denied { head, .. } if head.timestamp() >= judged_at));
            next = promise::next(look, promised_at, mmd, walk.clock.now());
        }
        let now = walk.clock.now();
        let state = match next {
            Next::Kept => PromiseState::Kept,
            Next::Broken(head, absence) => {
                self.accuse(walk, one, head, &absence).await?;
                PromiseState::Broken
            }
            Next::Wait(until) => return Ok(result(one, PromiseState::Open, denials, now, |_| until)),
            Next::Ask => PromiseState::Open,
        };
        Ok(result(one, state, denials, now, |now| now.plus(HOUR)))
    }

    /// A leaf that stands where it should may have come there late.
    async fn found(&self, walk: &Walk, one: &OpenPromise, index: u64) -> Result<Look, BooksError> {
        let judged_at = promise::judged_at(one.promise.promised_at.plus(self.log.mmd), self.log.mmd);
        let before = match walk.clock.now() < judged_at {
            true => None,
            false => walk.storage(walk.books.head_before(self.log.key.clone(), index).await)?,
        };
        Ok(Look::Found { index, before })
    }

    async fn ask(&mut self, walk: &Walk, one: &OpenPromise) -> Result<Look, BooksError> {
        let head = match &self.head {
            Some(head) => head.clone(),
            None => {
                let head = self.client.head().await.map_err(|error| self.failed(&error));
                self.head.insert(head).clone()
            }
        };
        let Ok(head) = head else { return Ok(Look::Unanswered) };
        let absence = match self.client.look_up(one.promise.leaf_hash, one.promise.leaf_index, &head).await {
            Ok(Lookup::Found(index)) => return self.found(walk, one, index).await,
            Ok(Lookup::Beyond) => Absence::TreeTooSmall,
            Ok(Lookup::Denied(words)) => Absence::NoSuchLeaf(words),
            Ok(Lookup::Other(entry)) => Absence::OtherLeaf(entry),
            Ok(Lookup::Unmerged(hash)) => Absence::Unmerged(hash),
            Err(error) => {
                self.failed(&error);
                return Ok(Look::Unanswered);
            }
        };
        Ok(Look::Denied { head, absence, denials: one.denials })
    }

    fn failed(&self, error: &TailError) {
        tracing::warn!(log = self.log.name, %error, "the log could not be asked about its promises");
    }

    async fn accuse(
        &self,
        walk: &Walk,
        one: &OpenPromise,
        head: SignedTreeHead,
        absence: &Absence,
    ) -> Result<(), BooksError> {
        let certificate = walk.storage(walk.books.certificate_of(one.hit_id).await)?;
        let sct = SignedCertificateTimestamp::parse(&one.promise.sct).ok();
        let leaf = certificate.zip(sct).and_then(|((form, der, issuer_key_hash), sct)| {
            Some(promise::promised_leaf(&exam::parse(form, &der).ok()?, issuer_key_hash, &sct))
        });
        let failure = match absence {
            Absence::MergedLate(_) => SctFailure::MergedLate,
            _ => SctFailure::NotHonoured,
        };
        walk.metrics.sct_failure(&self.log.name, failure);
        let leaf = leaf.unwrap_or_default();
        accuse(walk, &self.log, promise::misconduct(&self.log, &one.promise, &leaf, head, absence)).await
    }
}

impl Reading {
    /// Every entry of ours carries a promise in its own timestamp: one of a part of the log that was proven just now
    /// must not be missing from a tree head that was signed more than the merge delay after that time.
    pub(super) async fn audit_dates(&self, proven: Range<u64>) -> Result<(), BooksError> {
        let (walk, log) = (&self.walk, &self.log);
        let delay = promise::judged_at(Timestamp::EPOCH.plus(log.mmd), log.mmd).since(Timestamp::EPOCH);
        for (index, logged_at) in walk.storage(walk.books.late_entries(log.log_id, proven, delay).await)? {
            let head = walk.storage(walk.books.head_before(log.key.clone(), index).await)?;
            if let Some(misconduct) = head.and_then(|head| promise::late_entry(log, index, logged_at, &head)) {
                walk.metrics.sct_failure(&log.name, SctFailure::MergedLate);
                accuse(walk, log, misconduct).await?;
            }
        }
        Ok(())
    }
}
