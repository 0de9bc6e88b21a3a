//! One log: bytes -> hits; door 1.

use std::sync::Arc;
use std::time::Duration;

use super::Walk;
use crate::books::{BooksError, Misbehaviour, NewEntries, Position, Seal};
use crate::cache::Kind;
use crate::clock::{Span, Stopwatch};
use crate::config::StartAt;
use crate::ct::compact_range::CompactRange;
use crate::ct::log_list::Log;
use crate::metrics::{Check, Outcome};
use crate::tail::{Decoded, FetchError, Fetcher, LogClient, Misconduct, Step, Tail, TailError};
use crate::watch::{Candidate, ChainHead, Hit, Standing};

/// Pause between two looks at a head that has not moved.
const POLL: Duration = Duration::from_secs(5);
/// Pauses after failures: from, to.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Failures in a row after which a run that is to end gives a log up.
const PATIENCE: u32 = 6;
/// How often a log that catches up says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// How long a log is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// For ever.
    Stopped,
    /// Until everything below the first head that was seen has been read.
    CaughtUp,
}

/// How following a log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEnd {
    /// Everything below the first head was read.
    CaughtUp,
    /// The log could not be read; why.
    Unreachable(String),
}

/// Follows one log. Failures of the log are retried for ever ([`Until::Stopped`]) or a few times
/// ([`Until::CaughtUp`]).
///
/// # Errors
/// Unusable books.
pub async fn follow(
    walk: Arc<Walk>,
    log: Arc<Log>,
    fetcher: Fetcher,
    start: StartAt,
    until: Until,
) -> Result<FollowEnd, BooksError> {
    walk.metrics.declare_log(&log.name);
    let mut failures = 0;
    let position = loop {
        match begin(&walk, &log, &fetcher, start).await? {
            Ok(position) => break position,
            Err(error) => {
                failures += 1;
                if let Some(end) = failed(&walk, &log, &error, failures, until).await {
                    return Ok(end);
                }
            }
        }
    };
    let (clock, watchlist) = (walk.clock.clone(), walk.watchlist.clone());
    let tail = Tail::new(log.clone(), fetcher, watchlist, clock, position.downloaded, position.verified);
    Follower { walk, log, tail, first_head: None, progress: Progress::new() }.run(until).await
}

/// The position in the books, or a first one.
async fn begin(
    walk: &Walk,
    log: &Log,
    fetcher: &Fetcher,
    start: StartAt,
) -> Result<Result<Position, TailError>, BooksError> {
    if let Some(position) = walk.storage(walk.books.position(log.log_id).await)? {
        walk.metrics.positions(&log.name, position.downloaded.size(), position.verified.size());
        return Ok(Ok(position));
    }
    let range = match start {
        StartAt::Beginning => CompactRange::empty(),
        StartAt::End => {
            let client = LogClient::new(Arc::new(log.clone()), fetcher.clone());
            let edge = async { client.right_edge(&client.head().await?).await };
            match edge.await {
                Ok(range) => range,
                Err(error) => return Ok(Err(error)),
            }
        }
        StartAt::Time(time) => {
            let client = LogClient::new(Arc::new(log.clone()), fetcher.clone());
            let edge = async { client.edge_at(time, &client.head().await?).await };
            match edge.await {
                Ok(range) => range,
                Err(error) => return Ok(Err(error)),
            }
        }
    };
    let position = Position { start_index: range.size(), downloaded: range.clone(), verified: range };
    let begun = walk.books.begin_log(log.log_id, &log.name, &position, walk.clock.now()).await;
    walk.storage(begun)?;
    Ok(Ok(position))
}

/// Counts and reports a failure and waits; the end of the log when patience is over.
async fn failed(walk: &Walk, log: &Log, error: &TailError, failures: u32, until: Until) -> Option<FollowEnd> {
    walk.metrics.request(&log.name, outcome(error), walk.clock.now());
    if until == Until::CaughtUp && failures >= PATIENCE {
        return Some(FollowEnd::Unreachable(error.to_string()));
    }
    let longest = PAUSE.0.saturating_mul(1 << failures.min(6)).min(PAUSE.1);
    let pause = longest.mul_f64(rand::random_range(0.5..1.0));
    tracing::warn!(log = log.name, %error, failures, pause_seconds = pause.as_secs_f64(), "the log could not be read");
    tokio::time::sleep(pause).await;
    None
}

fn outcome(error: &TailError) -> Outcome {
    match error {
        TailError::Fetch(FetchError::Status { status: 429, .. }) => Outcome::RateLimited,
        TailError::Fetch(FetchError::Status { status: 500.., .. }) => Outcome::ServerError,
        TailError::Fetch(FetchError::NotFound { .. } | FetchError::Status { .. }) => Outcome::ClientError,
        TailError::Fetch(FetchError::Network { .. }) => Outcome::Network,
        TailError::Fetch(FetchError::TooLarge { .. } | FetchError::Garbled { .. }) => Outcome::Malformed,
        TailError::Answer(_) | TailError::TreeHead { .. } => Outcome::Malformed,
    }
}

struct Follower {
    walk: Arc<Walk>,
    log: Arc<Log>,
    tail: Tail,
    first_head: Option<u64>,
    progress: Progress,
}

impl Follower {
    async fn run(mut self, until: Until) -> Result<FollowEnd, BooksError> {
        let mut failures = 0;
        loop {
            let step = match self.tail.next().await {
                Ok(step) => step,
                Err(error) => {
                    failures += 1;
                    if let Some(end) = failed(&self.walk, &self.log, &error, failures, until).await {
                        return Ok(end);
                    }
                    continue;
                }
            };
            failures = 0;
            self.walk.metrics.request(&self.log.name, Outcome::Ok, self.walk.clock.now());
            let at_head = self.take(step).await?;
            if let Some(size) = at_head {
                if until == Until::CaughtUp && self.first_head.is_some_and(|first| size >= first) {
                    return Ok(FollowEnd::CaughtUp);
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Puts one step through door 1. At a head that was read up to: its size.
    async fn take(&mut self, step: Step) -> Result<Option<u64>, BooksError> {
        let (now, name) = (self.walk.clock.now(), self.log.name.clone());
        match step {
            Step::Entries { decoded, downloaded } => {
                self.saw_target();
                self.entries(decoded, downloaded).await?;
                Ok(None)
            }
            Step::Sealed { head, verified } => {
                let size = head.tree_size();
                self.first_head.get_or_insert(size);
                self.walk.metrics.tree_head(&name, size, head.timestamp());
                let seal = Seal { log_id: self.log.log_id, head, verified, seen_at: now };
                self.walk.storage(self.walk.books.commit_seal(seal).await)?;
                self.walk.metrics.positions(&name, size, size);
                Ok(Some(size))
            }
            Step::Reread { head } => {
                tracing::warn!(
                    log = name,
                    tree_size = head.tree_size(),
                    "the entries do not have the root that the log signed; they are read once more"
                );
                self.walk.metrics.verification_failure(&name, Check::Root);
                self.walk.storage(self.walk.books.rewind(self.log.log_id).await)?;
                Ok(None)
            }
            Step::Misbehaved(misconduct) => {
                let size = misconduct.tree_size;
                self.misbehaved(misconduct).await?;
                Ok(Some(size))
            }
            Step::Idle => Ok(Some(self.tail.downloaded_size())),
        }
    }

    fn saw_target(&mut self) {
        if let Some(head) = self.tail.target() {
            self.first_head.get_or_insert(head.tree_size());
            self.walk.metrics.tree_head(&self.log.name, head.tree_size(), head.timestamp());
        }
    }

    async fn entries(&mut self, decoded: Decoded, downloaded: CompactRange) -> Result<(), BooksError> {
        let (count, unparsable) = (decoded.leaf_hashes.len() as u64, decoded.malformed.len() as u64);
        let size = downloaded.size();
        let mut hits = Vec::new();
        for candidate in decoded.candidates {
            hits.extend(self.hit(candidate).await);
        }
        let malformed = decoded.malformed;
        for (index, reason, _) in malformed.iter().take(3) {
            tracing::warn!(
                log = self.log.name,
                index,
                reason,
                "an entry is not of the form that the standard gives it"
            );
        }
        let seen_at = self.walk.clock.now();
        let new = NewEntries { log_id: self.log.log_id, downloaded, hits, malformed, seen_at };
        let new_hits = self.walk.storage(self.walk.books.commit_entries(new).await)?;
        self.walk.metrics.entries(&self.log.name, count, unparsable);
        for (issuer, kind, number) in &new_hits {
            // Issuers that are not configured come from certificates: their names must not become labels.
            let known = self.walk.watchlist.issuers().iter().any(|known| known.name == *issuer);
            (0..*number).for_each(|_| self.walk.metrics.hit(if known { issuer } else { "other" }, *kind));
        }
        if !new_hits.is_empty() {
            self.walk.hits_waiting.notify_one();
        }
        let head = self.tail.target().map_or(size, |head| head.tree_size());
        self.walk.metrics.positions(&self.log.name, size, self.tail.verified_size());
        self.progress.report(&self.log.name, count, size, head);
        Ok(())
    }

    /// Judges a candidate, with its issuer's certificate where that can make a difference.
    async fn hit(&self, candidate: Candidate) -> Option<Hit> {
        let sent = match &candidate.issuer {
            ChainHead::Certificate(der) => Some(der.as_slice()),
            ChainHead::Fingerprint(_) | ChainHead::Absent => None,
        };
        let hit = self.walk.watchlist.judge(&candidate, sent);
        let undecided =
            hit.as_ref().is_some_and(|hit| hit.standing != Standing::Ours && hit.kind.word() == "certificate");
        let (ChainHead::Fingerprint(fingerprint), true) = (&candidate.issuer, undecided) else { return hit };
        match self.issuer(fingerprint).await {
            Some(der) => self.walk.watchlist.judge(&candidate, Some(&der)),
            None => hit,
        }
    }

    async fn issuer(&self, fingerprint: &[u8; 32]) -> Option<Vec<u8>> {
        if let Some(der) = self.walk.cache.get(Kind::Issuer, fingerprint) {
            return Some(der);
        }
        for attempt in 0..3 {
            match self.tail.client().issuer(fingerprint).await {
                Ok(der) => {
                    self.walk.cache.put(Kind::Issuer, fingerprint, &der);
                    return Some(der);
                }
                Err(error) => {
                    tracing::warn!(log = self.log.name, %error, "an issuer certificate could not be fetched");
                    tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
                }
            }
        }
        None
    }

    async fn misbehaved(&mut self, misconduct: Misconduct) -> Result<(), BooksError> {
        let check = match misconduct.kind {
            "bad_signature" => Check::Signature,
            "fork" => Check::Fork,
            "rollback" => Check::Rollback,
            "future_head" => Check::Timestamp,
            _ => Check::Root,
        };
        self.walk.metrics.verification_failure(&self.log.name, check);
        let Misconduct { kind, tree_size, detail, evidence, head } = misconduct;
        let observed_at = self.walk.clock.now();
        let what =
            Misbehaviour { log_id: self.log.log_id, kind, tree_size, detail: detail.clone(), evidence, observed_at };
        if self.walk.storage(self.walk.books.record_misbehaviour(what, head).await)? {
            tracing::error!(
                log = self.log.name,
                kind,
                tree_size,
                detail,
                "the log misbehaves; the evidence is in the books"
            );
        }
        Ok(())
    }
}

/// Says now and then how far a log that catches up is.
struct Progress {
    since: Stopwatch,
    entries: u64,
}

impl Progress {
    fn new() -> Progress {
        Progress { since: Stopwatch::start(), entries: 0 }
    }

    fn report(&mut self, log: &str, count: u64, done: u64, head: u64) {
        self.entries += count;
        let left = head.saturating_sub(done);
        if self.since.elapsed() < PROGRESS {
            return;
        }
        let rate = self.entries as f64 / self.since.seconds();
        if left > 0 {
            let time_left = Span::from_seconds((left as f64 / rate.max(0.001)) as i64);
            tracing::info!(log, done, left, entries_per_second = rate.round(), %time_left, "catching up");
        }
        *self = Progress::new();
    }
}
