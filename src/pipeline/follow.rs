//! One log: bytes -> hits; door 1.
//!
//! A log that is far behind is read from two places: from a proven tree head on, so that what is issued now is seen
//! now, and below that head from where the reading stands. Both are audited: the backlog ends when its root is the one
//! that the head signed, and then the log is one again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Walk;
use super::rates::Rates;
use super::reading::{Reading, outcome};
use crate::books::{Backlog, BooksError, Lane, Position, Seal};
use crate::clock::Stopwatch;
use crate::conduct::{Kind, Misconduct};
use crate::config::StartAt;
use crate::ct::Hash;
use crate::ct::compact_range::CompactRange;
use crate::ct::log_list::Log;
use crate::ct::sth::SignedTreeHead;
use crate::metrics::{Check, Outcome};
use crate::tail::{Fetcher, Goal, LogClient, Step, Tail, TailError};

/// Pause between two looks at a head that has not moved.
const POLL: Duration = Duration::from_secs(5);
/// Pauses after failures: from, to.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The longest pause after a failure, and the pause at a head, of a run that is to end.
const PAUSE_TO_END: Duration = Duration::from_secs(5);
const POLL_TO_END: Duration = Duration::from_secs(1);
/// Failures in a row after which a run that is to end gives a log up.
const PATIENCE: u32 = 8;
/// From how many entries on a backlog is read beside the head: less than a minute's reading is not worth two places.
const FAR_BEHIND: u64 = 20_000;

/// Pause between two attempts to begin anew behind entries that are not served.
const SPLIT_PAUSE: Duration = Duration::from_secs(60);

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
    let client = LogClient::new(log.clone(), fetcher);
    let (left, missing, strange) = Default::default();
    let reading = Arc::new(Reading { walk, log, client, left, missing, strange });
    loop {
        match from_the_books(&reading, start, until).await {
            Ok(end) => return Ok(end),
            Err(Break::Books(error)) => return Err(error),
            // The lane that was stopped may have left a commit behind; the positions are read after it.
            Err(Break::Moved) => {
                reading.walk.storage(reading.walk.books.settle().await)?;
                [Lane::Live, Lane::Backlog].into_iter().for_each(|lane| reading.doubted(lane));
            }
        }
    }
}

/// Why following goes no further.
enum Break {
    /// The books are unusable.
    Books(BooksError),
    /// The positions in the books are no longer those that are in memory.
    Moved,
}

impl From<BooksError> for Break {
    fn from(error: BooksError) -> Break {
        Break::Books(error)
    }
}

/// Follows a log from where the books say.
async fn from_the_books(reading: &Arc<Reading>, start: StartAt, until: Until) -> Result<FollowEnd, Break> {
    let mut failures = 0;
    let (position, backlog) = loop {
        match begin(reading, start).await? {
            Ok(begun) => break begun,
            Err(error) => {
                failures += 1;
                if let Some(end) = failed(reading, &error, failures, until).await {
                    return Ok(end);
                }
            }
        }
    };
    let live = Follower::new(reading.clone(), Lane::Live, Goal::Live, position);
    let Some(Backlog { position, goal }) = backlog else { return live.run(until).await };
    reading.left.0.store(goal.tree_size() - position.downloaded.size(), Ordering::Relaxed);
    reading.left.1.store(goal.tree_size() - position.verified.size(), Ordering::Relaxed);
    tracing::info!(
        log = reading.log.name,
        entries = goal.tree_size() - position.downloaded.size(),
        from = goal.tree_size(),
        "far behind: new entries are read at once, the backlog beside them"
    );
    let behind = Follower::new(reading.clone(), Lane::Backlog, Goal::Until(goal), position);
    let (live, behind) = tokio::try_join!(live.run(until), behind.run(until))?;
    Ok(if live == FollowEnd::CaughtUp { behind } else { live })
}

type Begun = (Position, Option<Backlog>);

/// The positions in the books, or first ones.
async fn begin(reading: &Reading, start: StartAt) -> Result<Result<Begun, TailError>, BooksError> {
    let (walk, log) = (&reading.walk, &reading.log);
    let known = walk.storage(walk.books.position(log.log_id).await)?;
    let backlog = walk.storage(walk.books.backlog(log.key.clone()).await)?;
    if let (Some(position), Some(backlog)) = (&known, backlog) {
        return Ok(Ok((position.clone(), Some(backlog))));
    }
    let head = match reading.client.head().await {
        Ok(head) => Some(head),
        // A log whose head cannot be believed is read all the same: Tail says so, again and again.
        Err(TailError::TreeHead { .. }) => None,
        Err(error) => return Ok(Err(error)),
    };
    let position = match (known, start, &head) {
        (Some(position), _, _) => position,
        (None, StartAt::End, Some(head)) => match reading.client.right_edge(head).await {
            Ok(edge) => Position::proven(edge),
            Err(error) => return Ok(Err(error)),
        },
        (None, StartAt::Time(time), Some(head)) => match reading.client.edge_at(time, head).await {
            Ok(edge) => Position::proven(edge),
            Err(error) => return Ok(Err(error)),
        },
        (None, StartAt::End | StartAt::Time(_), None) => {
            return Ok(Err(TailError::Answer("there is no tree head to begin at".to_string())));
        }
        (None, StartAt::Beginning, _) => Position::proven(CompactRange::empty()),
    };
    walk.storage(walk.books.begin_log(log.log_id, &log.name, &position, walk.clock.now()).await)?;
    reading.show_positions(position.downloaded.size(), position.verified.size());
    let Some(head) = head.filter(|head| head.tree_size().saturating_sub(position.downloaded.size()) > FAR_BEHIND)
    else {
        return Ok(Ok((position, None)));
    };
    // Without a proof of the right edge the log is read from one place, in order.
    let Ok(edge) = reading.client.right_edge(&head).await else { return Ok(Ok((position, None))) };
    walk.storage(walk.books.split(head.clone(), edge.clone(), walk.clock.now()).await)?;
    Ok(Ok((Position::proven(edge), Some(Backlog { position, goal: head }))))
}

/// Counts and reports a failure and waits; the end of the log when patience is over.
async fn failed(reading: &Reading, error: &TailError, failures: u32, until: Until) -> Option<FollowEnd> {
    reading.answered(outcome(error));
    if until == Until::CaughtUp && failures >= PATIENCE {
        return Some(FollowEnd::Unreachable(error.to_string()));
    }
    let limit = if until == Until::CaughtUp { PAUSE_TO_END } else { PAUSE.1 };
    let longest = (PAUSE.0.saturating_mul(1 << failures.min(6)) / 2).min(limit);
    let pause = longest.mul_f64(rand::random_range(0.5..1.0));
    let pause_seconds = pause.as_secs_f64();
    tracing::warn!(log = reading.log.name, %error, failures, pause_seconds, "the log could not be read");
    tokio::time::sleep(pause).await;
    None
}

/// What comes after a step.
enum After {
    /// The next one, at once.
    ReadOn,
    /// A pause: everything below this size has been read. The text says why there is no more.
    Pause(u64, String),
}

/// One of the positions in a log, moving.
struct Follower {
    reading: Arc<Reading>,
    lane: Lane,
    tail: Tail,
    goal: Option<u64>,
    /// Below this the dates of our entries were audited.
    dated: u64,
    first_head: Option<u64>,
    rates: Rates,
    /// Entries of it did not have the root that the log signed, and that is in a case of the log.
    disputed: bool,
    /// When it was last tried to let a new position begin behind a hole.
    split_tried: Option<Stopwatch>,
}

impl Follower {
    fn new(reading: Arc<Reading>, lane: Lane, goal: Goal, position: Position) -> Follower {
        let Position { downloaded, verified, has_hole, .. } = position;
        let size = match &goal {
            Goal::Live => None,
            Goal::Until(head) => Some(head.tree_size()),
        };
        let dated = verified.size();
        let client = if lane == Lane::Backlog { reading.client.for_backlog() } else { reading.client.clone() };
        let watchlist = reading.walk.watchlist.clone();
        let tail = Tail::new(client, watchlist, reading.walk.clock.clone(), goal, downloaded, verified, has_hole);
        Follower {
            reading,
            lane,
            tail,
            goal: size,
            dated,
            first_head: None,
            rates: Rates::new(),
            disputed: false,
            split_tried: None,
        }
    }

    async fn run(mut self, until: Until) -> Result<FollowEnd, Break> {
        let mut failures = 0;
        let (walk, id, verified) = (self.reading.walk.clone(), self.reading.log.log_id, self.tail.verified_size());
        self.disputed = walk.storage(walk.books.is_charged_above(id, Kind::RootMismatch, verified).await)?;
        loop {
            let step = match self.tail.next().await {
                Ok(step) => step,
                Err(error) => {
                    failures += 1;
                    if let Some(end) = failed(&self.reading, &error, failures, until).await {
                        return Ok(end);
                    }
                    continue;
                }
            };
            // Without a head that the log signed nobody knows how much there is to read.
            let unsigned = matches!(&step, Step::Misbehaved(misconduct) if misconduct.heads.is_empty());
            // Below its head a lane asks for entries and for nothing else; comparing is no answer of the log.
            if self.goal.is_none() || matches!(step, Step::Entries { .. }) {
                self.reading.answered(if unsigned { Outcome::Malformed } else { Outcome::Ok });
            }
            let After::Pause(size, why) = self.take(step).await? else {
                failures = 0;
                continue;
            };
            if self.goal.is_some_and(|goal| self.tail.verified_size() < goal) {
                // All was read, and not all is proven. This lane asks for nothing until that changes.
                if until == Until::CaughtUp {
                    return Ok(FollowEnd::CaughtUp);
                }
                tokio::time::sleep(POLL).await;
                continue;
            }
            if self.goal.is_some() {
                let walk = &self.reading.walk;
                walk.storage(walk.books.join(self.reading.log.log_id).await)?;
                self.reading.left.0.store(0, Ordering::Relaxed);
                self.reading.left.1.store(0, Ordering::Relaxed);
                tracing::info!(log = self.reading.log.name, entries = size, "the backlog is read");
                return Ok(FollowEnd::CaughtUp);
            }
            if self.reading.ask_for_lost(size).await? {
                return Err(Break::Moved);
            }
            match until {
                Until::Stopped => failures = 0,
                Until::CaughtUp if self.first_head.is_some_and(|first| size >= first) => {
                    return Ok(FollowEnd::CaughtUp);
                }
                Until::CaughtUp => failures += 1,
            }
            if failures >= PATIENCE {
                return Ok(FollowEnd::Unreachable(why));
            }
            tokio::time::sleep(if until == Until::CaughtUp { POLL_TO_END } else { POLL }).await;
        }
    }

    /// Puts one step through door 1.
    async fn take(&mut self, step: Step) -> Result<After, Break> {
        let (walk, log) = (self.reading.walk.clone(), self.reading.log.clone());
        match step {
            Step::Entries { decoded, downloaded } => {
                let (count, size) = (decoded.leaf_hashes.len() as u64, downloaded.size());
                // The step itself is counted already.
                (1..decoded.responses).for_each(|_| self.reading.answered(Outcome::Ok));
                let head = self.tail.target().cloned();
                if let Some(head) = &head {
                    self.saw(head);
                }
                self.reading.commit(decoded, Some((self.lane, downloaded))).await?;
                self.show();
                let head = head.map_or(size, |head| head.tree_size());
                let rates = self.rates.report(&log.name, count, size, head);
                self.note(rates).await?;
                Ok(After::ReadOn)
            }
            Step::Sealed { head, verified } => {
                let size = head.tree_size();
                self.saw(&head);
                self.reading.audit_dates(self.dated..size).await?;
                self.dated = size;
                let seal = Seal { log_id: log.log_id, lane: self.lane, head, verified, seen_at: walk.clock.now() };
                walk.storage(walk.books.commit_seal(seal).await)?;
                self.show();
                if std::mem::take(&mut self.disputed) {
                    let detail = format!("all entries below {size}, read again, have the root that the log signed");
                    self.reading.mended(Kind::RootMismatch, size, detail).await?;
                }
                self.reading.proven(self.lane, size).await?;
                let rates = self.rates.caught_up(size);
                self.note(rates).await?;
                Ok(After::Pause(size, "there are no new entries".to_string()))
            }
            Step::Unproven { head } => {
                self.saw(&head);
                self.show();
                let size = head.tree_size();
                if self.lane == Lane::Live && self.leave_behind(head).await? {
                    return Err(Break::Moved);
                }
                Ok(After::Pause(size, "what was read cannot be proven before all of it is served".to_string()))
            }
            Step::Reread { head } => {
                let tree_size = head.tree_size();
                tracing::warn!(
                    log = log.name,
                    tree_size,
                    "the entries do not have the signed root; they are read again"
                );
                walk.metrics.verification_failure(&log.name, Check::Root);
                walk.storage(walk.books.rewind(log.log_id, self.lane).await)?;
                self.reading.doubted(self.lane);
                Ok(After::ReadOn)
            }
            Step::Misbehaved(misconduct) => {
                if let Some(head) = misconduct.heads.first() {
                    self.first_head.get_or_insert(head.tree_size());
                }
                let (size, why) = (self.tail.downloaded_size(), misconduct.detail.clone());
                self.disputed |= misconduct.kind == Kind::RootMismatch;
                let misconduct = self.with_witness(misconduct).await?;
                self.reading.misbehaved(misconduct).await?;
                Ok(if self.tail.is_reading() { After::ReadOn } else { After::Pause(size, why) })
            }
            Step::Smaller { head } => {
                let size = self.tail.downloaded_size();
                self.first_head.get_or_insert(size);
                self.compare_smaller(head).await?;
                Ok(After::Pause(size, "it answers with fewer entries than it had".to_string()))
            }
        }
    }

    /// Lets a new position begin at a head, where the log proves its right edge. Whether it did.
    async fn leave_behind(&mut self, head: SignedTreeHead) -> Result<bool, BooksError> {
        if self.split_tried.is_some_and(|tried| tried.elapsed() < SPLIT_PAUSE) {
            return Ok(false);
        }
        self.split_tried = Some(Stopwatch::start());
        let Ok(edge) = self.reading.client.right_edge(&head).await else { return Ok(false) };
        let walk = &self.reading.walk;
        walk.storage(walk.books.split(head, edge, walk.clock.now()).await)
    }

    /// Shows and keeps new rates of the log: those of the place at its head.
    async fn note(&self, rates: Option<(f64, f64)>) -> Result<(), BooksError> {
        let (Some((growth, read)), Lane::Live) = (rates, self.lane) else { return Ok(()) };
        let (walk, log) = (&self.reading.walk, &self.reading.log);
        walk.metrics.rates(&log.name, growth, read);
        walk.storage(walk.books.note_rates(log.log_id, growth, read).await)
    }

    fn saw(&mut self, head: &SignedTreeHead) {
        if self.lane == Lane::Live {
            self.first_head.get_or_insert(head.tree_size());
            self.reading.saw_head(head);
        }
    }

    fn show(&self) {
        let (downloaded, verified) = (self.tail.downloaded_size(), self.tail.verified_size());
        match self.goal {
            None => self.reading.show_positions(downloaded, verified),
            Some(goal) => {
                self.reading.left.0.store(goal.saturating_sub(downloaded), Ordering::Relaxed);
                self.reading.left.1.store(goal.saturating_sub(verified), Ordering::Relaxed);
            }
        }
    }

    /// Two heads convict where one only accuses: the verified head that a fork or a rollback contradicts is added.
    async fn with_witness(&self, mut misconduct: Misconduct) -> Result<Misconduct, BooksError> {
        let size = match misconduct.kind {
            Kind::Fork => misconduct.tree_size,
            Kind::Rollback | Kind::RootMismatch => self.tail.verified_size(),
            _ => return Ok(misconduct),
        };
        let walk = &self.reading.walk;
        let witness = walk.storage(walk.books.verified_head(self.reading.log.key.clone(), size).await)?;
        // A head says nothing against itself.
        let known = |root: &Hash| misconduct.heads.iter().any(|head| head.root_hash() == *root);
        if let Some(witness) = witness.filter(|witness| !known(&witness.root_hash())) {
            misconduct.heads.push(witness);
        }
        Ok(misconduct)
    }

    /// A head smaller than what was read is a fork when another root was verified at its size.
    async fn compare_smaller(&self, head: SignedTreeHead) -> Result<(), BooksError> {
        let walk = &self.reading.walk;
        let size = head.tree_size();
        let kept = walk.storage(walk.books.verified_head(self.reading.log.key.clone(), size).await)?;
        let Some(kept) = kept.filter(|kept| kept.root_hash() != head.root_hash()) else { return Ok(()) };
        let detail = format!("two signed tree heads of size {size} have different roots");
        let (kind, more) = (Kind::Fork, serde_json::Value::Null);
        self.reading.misbehaved(Misconduct { kind, tree_size: size, detail, heads: vec![head, kept], more }).await
    }
}
