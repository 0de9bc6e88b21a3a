//! Following one log: [`Tail::next`] gives its entries in order, each hashed, and says at every tree head whether the
//! log keeps its word.
//!
//! Every entry that was downloaded is hashed into a compact range, and the root of that range is compared with every
//! tree head: this is stronger than consistency proofs, which one log passed while it served a flipped bit. There are
//! two positions. *Downloaded* moves with the entries, and nothing waits for more; *verified* follows when the root
//! fits. A head that does not fit never stops the reading: the range is read once more, and if it still does not fit,
//! that is evidence, and the reading goes on.

mod client;
mod decode;
mod gate;
mod http;
mod pace;
mod plan;
mod start;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

pub use client::LogClient;
pub use decode::Decoded;
pub use http::{Caps, FetchError, Fetcher, Limits, Tagged};
pub use pace::Urgency;

use crate::clock::{Clock, HOUR, Span, Timestamp};
use crate::ct::compact_range::CompactRange;
use crate::ct::log_list::Log;
use crate::ct::sth::{SignedTreeHead, TreeHeadError};
use crate::finding::escape;
use crate::watch::Watchlist;

/// Requests for entries that are under way at once, per log: what bounds the memory of a log that is read.
const REQUESTS_AT_ONCE: usize = 4;
/// How long a smaller tree is taken for a front end that lags behind before it is reported as a rollback.
const ROLLBACK_TOLERANCE: Span = Span::from_seconds(15 * 60);

/// Why there is no next step. All of these are retried.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The log gave nothing.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log gave something that cannot be used.
    #[error("{0}")]
    Answer(String),
    /// The log gave a tree head that cannot be believed; the bytes are evidence.
    #[error("tree head: {error}")]
    TreeHead {
        /// What is wrong with it.
        error: TreeHeadError,
        /// What the log sent.
        body: Vec<u8>,
    },
}

impl TailError {
    /// The word of the `outcome` label.
    pub fn outcome(&self) -> &'static str {
        match self {
            TailError::Fetch(error) => error.outcome(),
            TailError::Answer(_) | TailError::TreeHead { .. } => "garbled",
        }
    }
}

/// Something a log must not do.
#[derive(Clone, Debug)]
pub struct Misconduct {
    /// `root_mismatch`, `fork`, `rollback` or `bad_signature`.
    pub kind: &'static str,
    /// The tree size it is about.
    pub tree_size: u64,
    /// One sentence.
    pub detail: String,
    /// The signed objects, byte for byte.
    pub evidence: serde_json::Value,
    /// The head that shows it.
    pub head: Option<SignedTreeHead>,
}

/// What following a log brings.
#[derive(Debug)]
pub enum Step {
    /// The next entries, in order, already appended to `downloaded`.
    Entries {
        /// What they held.
        decoded: Decoded,
        /// The position after them.
        downloaded: CompactRange,
    },
    /// A tree head, signed, whose root is that of the entries.
    Sealed {
        /// The head.
        head: SignedTreeHead,
        /// The position, now verified.
        verified: CompactRange,
    },
    /// A tree head whose root is not that of the entries, for the first time: the position goes back to the verified
    /// one and the range is read again.
    Reread {
        /// The head.
        head: SignedTreeHead,
    },
    /// The log broke a promise; the reading goes on.
    Misbehaved(Misconduct),
    /// Nothing new.
    Idle,
}

type Request = JoinHandle<Result<Vec<Decoded>, TailError>>;

/// One log, followed from a position.
#[derive(Debug)]
pub struct Tail {
    client: LogClient,
    log: Arc<Log>,
    watchlist: Arc<Watchlist>,
    clock: Clock,
    downloaded: CompactRange,
    verified: CompactRange,
    /// The head that is being read up to.
    target: Option<SignedTreeHead>,
    /// Requests under way, in order, with the end of each.
    requests: VecDeque<(u64, Request)>,
    ready: VecDeque<Decoded>,
    /// The size at which the range was read again.
    reread_at: Option<u64>,
    smaller_since: Option<Timestamp>,
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Tail {
    /// Follows `log` from a position.
    pub fn new(
        log: Arc<Log>,
        fetcher: Fetcher,
        watchlist: Arc<Watchlist>,
        clock: Clock,
        downloaded: CompactRange,
        verified: CompactRange,
    ) -> Tail {
        Tail {
            client: LogClient::new(log.clone(), fetcher),
            log,
            watchlist,
            clock,
            downloaded,
            verified,
            target: None,
            requests: VecDeque::new(),
            ready: VecDeque::new(),
            reread_at: None,
            smaller_since: None,
        }
    }

    /// The log's client, for issuers.
    pub fn client(&self) -> &LogClient {
        &self.client
    }

    /// How many entries were read.
    pub fn downloaded_size(&self) -> u64 {
        self.downloaded.size()
    }

    /// How many entries are under a root that the log signed.
    pub fn verified_size(&self) -> u64 {
        self.verified.size()
    }

    /// The head that is being read up to.
    pub fn target(&self) -> Option<&SignedTreeHead> {
        self.target.as_ref()
    }

    /// The next step. After an error, or when the future is dropped, the next call goes on from the same position.
    ///
    /// # Errors
    /// See [`TailError`]; the caller waits and calls again.
    pub async fn next(&mut self) -> Result<Step, TailError> {
        let head = match &self.target {
            Some(head) => head.clone(),
            None => match self.ask_head().await? {
                Ok(head) => head,
                Err(step) => return Ok(step),
            },
        };
        if self.downloaded.size() >= head.tree_size() {
            self.target = None;
            return Ok(self.compare(head));
        }
        self.target = Some(head.clone());
        let decoded = match self.next_decoded(&head).await {
            Ok(decoded) => decoded,
            Err(error) => {
                self.cancel();
                self.target = None;
                return Err(error);
            }
        };
        self.downloaded.append(&decoded.leaf_hashes);
        Ok(Step::Entries { decoded, downloaded: self.downloaded.clone() })
    }

    /// Asks for a head: one to read up to or to compare with, or a step that says why there is none.
    async fn ask_head(&mut self) -> Result<Result<SignedTreeHead, Step>, TailError> {
        let head = match self.client.head().await {
            Err(TailError::TreeHead { error, body }) => return Ok(Err(self.unbelievable(error, &body))),
            other => other?,
        };
        let now = self.clock.now();
        // A head far from the future would make every later one look stale; clock skew is seconds, not hours.
        if head.timestamp() > now.plus(HOUR) {
            let detail = format!("a tree head of {} is dated {}", now, head.timestamp());
            return Ok(Err(self.misbehaved("future_head", detail, head)));
        }
        let (size, read) = (head.tree_size(), self.downloaded.size());
        if size >= read {
            self.smaller_since = None;
            return Ok(if size == read && self.verified.size() == size && head.root_hash() == self.verified.root() {
                Err(Step::Sealed { verified: self.verified.clone(), head })
            } else {
                Ok(head)
            });
        }
        let since = *self.smaller_since.get_or_insert(now);
        if now.since(since) < ROLLBACK_TOLERANCE {
            return Ok(Err(Step::Idle));
        }
        let detail = format!("the log has answered with {size} entries since {since}; {read} were read");
        Ok(Err(self.misbehaved("rollback", detail, head)))
    }

    /// Compares the root of what was read with a head of the same size.
    fn compare(&mut self, head: SignedTreeHead) -> Step {
        if self.downloaded.root() == head.root_hash() {
            self.verified = self.downloaded.clone();
            self.reread_at = None;
            return Step::Sealed { head, verified: self.verified.clone() };
        }
        let size = head.tree_size();
        if self.verified.size() == size {
            let detail = format!("two signed tree heads of size {size} have different roots");
            return self.misbehaved("fork", detail, head);
        }
        if self.reread_at.is_none() {
            self.reread_at = Some(size);
            self.downloaded = self.verified.clone();
            return Step::Reread { head };
        }
        let from = self.verified.size();
        let detail = format!("the entries from {from} on, read twice, do not have the root that the log signed");
        self.misbehaved("root_mismatch", detail, head)
    }

    async fn next_decoded(&mut self, head: &SignedTreeHead) -> Result<Decoded, TailError> {
        loop {
            if let Some(decoded) = self.ready.pop_front() {
                return Ok(decoded);
            }
            let planned = self.requests.back().map_or(self.downloaded.size(), |(end, _)| *end);
            let free = REQUESTS_AT_ONCE - self.requests.len();
            for range in self.client.plan(planned, head.tree_size(), free) {
                let (client, watchlist, size) = (self.client.clone(), self.watchlist.clone(), head.tree_size());
                let end = range.end;
                let request = tokio::spawn(async move { client.entries(range, size, &watchlist).await });
                self.requests.push_back((end, request));
            }
            let Some((_, request)) = self.requests.front_mut() else {
                return Err(TailError::Answer("nothing is planned".into()));
            };
            // The handle stays in the queue while it is awaited, so that a dropped future loses nothing.
            let result = request.await;
            self.requests.pop_front();
            self.ready = result.map_err(|e| TailError::Answer(format!("reading ended early: {e}")))??.into();
        }
    }

    fn cancel(&mut self) {
        for (_, request) in self.requests.drain(..) {
            request.abort();
        }
        self.ready.clear();
    }

    fn misbehaved(&self, kind: &'static str, detail: String, head: SignedTreeHead) -> Step {
        let evidence = serde_json::json!({
            "log": self.log.name, "head": head.to_json(),
            "verified_size": self.verified.size(), "verified_root": hex::encode(self.verified.root()),
            "downloaded_size": self.downloaded.size(), "downloaded_root": hex::encode(self.downloaded.root()),
        });
        Step::Misbehaved(Misconduct { kind, tree_size: head.tree_size(), detail, evidence, head: Some(head) })
    }

    fn unbelievable(&self, error: TreeHeadError, body: &[u8]) -> Step {
        let evidence = serde_json::json!({ "log": self.log.name, "body": escape(body, 65_536) });
        let (kind, tree_size) = ("bad_signature", self.downloaded.size());
        Step::Misbehaved(Misconduct { kind, tree_size, detail: error.to_string(), evidence, head: None })
    }
}
