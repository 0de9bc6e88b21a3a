//! Following one log: [`Tail::next`] gives its entries in order, each hashed, and says at every tree head whether the
//! log keeps its word.
//!
//! Every entry that was downloaded is hashed into a compact range, and the root of that range is compared with every
//! tree head: this is stronger than consistency proofs, which one log passed while it served a flipped bit. There are
//! two positions. *Downloaded* moves with the entries, and nothing waits for more; *verified* follows when the root
//! fits. A head that does not fit never stops the reading: the range is read once more, and if it still does not fit,
//! that is evidence, and the reading goes on.

mod ahead;
mod buffers;
mod client;
pub mod decode;
mod gate;
mod http;
pub mod inflate;
mod lost;
mod pace;
mod plan;
mod prove;
mod readers;
mod reread;
mod retry_after;
mod room;
mod salvage;
mod start;
mod window;

use std::sync::Arc;

use ahead::Ahead;

pub use client::LogClient;
pub use decode::{Decoded, Lost};
pub use http::{Answer, Arrived, Caps, FetchError, Fetcher, Limits, Tagged};
pub use pace::Urgency;
pub use prove::Lookup;

use crate::clock::{Clock, HOUR, Span, Timestamp};
use crate::conduct::{Kind, Misconduct};
use crate::ct::compact_range::CompactRange;
use crate::ct::log_list::{Log, LogState};
use crate::ct::sth::{SignedTreeHead, TreeHeadError};
use crate::ct::{Hash, to_base64};
use crate::finding::escape;
use crate::watch::Watchlist;
use lost::Stuck;
use reread::Reread;

/// How long a smaller tree is taken for a front end that lags behind before it is reported as a rollback.
const ROLLBACK_TOLERANCE: Span = Span::from_seconds(15 * 60);
/// How much older than the MMD the newest tree head may be: caches and clock skew.
const FROZEN_TOLERANCE: Span = Span::from_seconds(15 * 60);
/// How often in a row a log may refuse entries before they are passed over.
const REFUSALS: u32 = 5;
/// The most leaf hashes that are kept as evidence of a disputed range.
const MOST_EVIDENCE: usize = 4096;

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

/// Up to which head a log is read.
#[derive(Clone, Debug)]
pub enum Goal {
    /// The newest, again and again.
    Live,
    /// This one, and no further.
    Until(SignedTreeHead),
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
    /// A tree head that cannot be compared, because among the entries are some that the log does not serve.
    Unproven {
        /// The head.
        head: SignedTreeHead,
    },
    /// A tree head smaller than what was read: a front end that lags, or another tree. It is to be compared with what
    /// is kept of that size.
    Smaller {
        /// The head.
        head: SignedTreeHead,
    },
}

/// One log, followed from a position.
#[derive(Debug)]
pub struct Tail {
    client: LogClient,
    log: Arc<Log>,
    watchlist: Arc<Watchlist>,
    clock: Clock,
    goal: Goal,
    downloaded: CompactRange,
    verified: CompactRange,
    /// Hashes of the leaves between the two, as far as they are few enough to be evidence.
    unverified: Vec<Hash>,
    /// The head that is being read up to.
    target: Option<SignedTreeHead>,
    /// The size of a head that the log did not sign, while there is more to be read up to it.
    claimed: Option<u64>,
    ahead: Ahead,
    /// The range did not have the signed root; when it is read again.
    reread: Option<Reread>,
    smaller_since: Option<Timestamp>,
    /// Where reading failed last.
    stuck: Stuck,
    /// Up to here the log did not give everything in one answer.
    narrowed: Option<u64>,
    /// There are entries in `downloaded` whose hashes nobody knows.
    has_hole: bool,
}

impl Tail {
    /// Follows the log behind `client` from a position. `has_hole`: there are entries between `verified` and
    /// `downloaded` that the log did not serve, so that no root can fit.
    pub fn new(
        client: LogClient,
        watchlist: Arc<Watchlist>,
        clock: Clock,
        goal: Goal,
        downloaded: CompactRange,
        verified: CompactRange,
        has_hole: bool,
    ) -> Tail {
        Tail {
            log: client.log().clone(),
            ahead: Ahead::new(client.clone(), watchlist.clone()),
            client,
            watchlist,
            clock,
            goal,
            downloaded,
            verified,
            unverified: Vec::new(),
            target: None,
            claimed: None,
            reread: None,
            smaller_since: None,
            stuck: Stuck::default(),
            narrowed: None,
            has_hole,
        }
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
        if let Some(size) = self.claimed.take().filter(|size| *size > self.downloaded.size()) {
            return self.read_claimed(size).await;
        }
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
        let read = match self.narrowed.filter(|end| *end > self.downloaded.size()) {
            Some(end) => self.narrow(end.min(head.tree_size())).await,
            None => self.ahead.next(self.downloaded.size(), head.tree_size()).await,
        };
        let decoded = match read {
            Ok(decoded) => decoded,
            Err(error) => {
                self.ahead.cancel();
                self.target = None;
                self.stumble();
                self.pass_over(&head, error).await?
            }
        };
        Ok(self.append(decoded))
    }

    /// Whether there is more to be read without another head.
    pub fn is_reading(&self) -> bool {
        self.target.is_some() || self.claimed.is_some()
    }

    /// Reads on towards the size of a head that the log did not sign. Nothing of it is proven, and certificates of ours
    /// may stand there all the same: a list may have the wrong key.
    async fn read_claimed(&mut self, size: u64) -> Result<Step, TailError> {
        match self.ahead.next(self.downloaded.size(), size).await {
            Ok(decoded) => {
                self.claimed = Some(size);
                Ok(self.append(decoded))
            }
            Err(error) => {
                self.ahead.cancel();
                self.stumble();
                Err(error)
            }
        }
    }

    fn append(&mut self, decoded: Decoded) -> Step {
        self.downloaded.append(&decoded.leaf_hashes);
        self.has_hole |= decoded.lost.as_ref().is_some_and(|lost| !lost.is_hashed);
        if self.unverified.len() + decoded.leaf_hashes.len() <= MOST_EVIDENCE {
            self.unverified.extend_from_slice(&decoded.leaf_hashes);
        }
        Step::Entries { decoded, downloaded: self.downloaded.clone() }
    }

    /// Asks for a head: one to read up to or to compare with, or a step that says why there is none.
    async fn ask_head(&mut self) -> Result<Result<SignedTreeHead, Step>, TailError> {
        if let Goal::Until(head) = &self.goal {
            return Ok(Ok(head.clone()));
        }
        let head = match self.client.head().await {
            // An error page with status 200 is noise, and another origin is a matter of the configuration: both are
            // asked again. Only what claims to be this log's head and is not signed by it speaks against the log.
            Err(TailError::TreeHead {
                error:
                    error @ (TreeHeadError::Unsigned { .. } | TreeHeadError::Signature { .. } | TreeHeadError::EmptyRoot),
                body,
            }) => {
                self.claimed = match error {
                    TreeHeadError::Unsigned { size, .. } | TreeHeadError::Signature { size, .. } => Some(size),
                    _ => None,
                };
                // A claim to entries that are not there must not be followed without end.
                let is_tried = self.stuck.at == self.downloaded.size() && self.stuck.times >= REFUSALS;
                self.claimed = self.claimed.filter(|size| *size > self.downloaded.size() && !is_tried);
                return Ok(Err(self.unbelievable(error, &body)));
            }
            other => other?,
        };
        let now = self.clock.now();
        let (size, read) = (head.tree_size(), self.downloaded.size());
        if size >= read {
            self.smaller_since = None;
            if let Some(detail) = self.beyond_the_end(&head) {
                self.target = Some(head.clone());
                return Ok(Err(self.misbehaved(Kind::Fork, detail, head)));
            }
            // Clock skew is seconds, not hours. But the clock that is wrong may be our own, and real certificates stand
            // behind the head: it is reported, and read up to.
            if head.timestamp() > now.plus(HOUR) {
                let detail = format!(
                    "the tree head of size {size} is dated {}, more than an hour ahead of this machine's clock",
                    head.timestamp()
                );
                self.target = Some(head.clone());
                return Ok(Err(self.misbehaved(Kind::FutureHead, detail, head)));
            }
            // RFC 6962 3: the MMD is the longest time in which an entry must appear; a log without a new head for
            // longer than that may be holding entries back. A readonly log has signed its last.
            let limit = Span::from_millis(self.log.mmd.millis().max(0)).plus(FROZEN_TOLERANCE);
            if now.since(head.timestamp()) > limit && self.log.state != LogState::ReadOnly && size == read {
                let detail =
                    format!("the newest tree head is of {}, {} ago", head.timestamp(), now.since(head.timestamp()));
                self.target = Some(head.clone());
                return Ok(Err(self.misbehaved(Kind::Frozen, detail, head)));
            }
            return Ok(if size == read && self.verified.size() == size && head.root_hash() == self.verified.root() {
                Err(Step::Sealed { verified: self.verified.clone(), head })
            } else {
                Ok(head)
            });
        }
        // A clock that is put back must not make it wait longer.
        let since = *self.smaller_since.insert(self.smaller_since.map_or(now, |since| since.min(now)));
        if now.since(since) < ROLLBACK_TOLERANCE {
            return Ok(Err(Step::Smaller { head }));
        }
        let detail = format!("the log has answered with {size} entries since {since}; {read} were read");
        Ok(Err(self.misbehaved(Kind::Rollback, detail, head)))
    }

    /// What is wrong with a head of a log of which the log list has the last one that it would ever sign.
    fn beyond_the_end(&self, head: &SignedTreeHead) -> Option<String> {
        let (end, root) = self.log.final_tree_head.filter(|_| self.log.state == LogState::ReadOnly)?;
        let size = head.tree_size();
        let is_other = size > end || size == end && head.root_hash() != root;
        is_other.then(|| {
            let (root, signed) = (to_base64(&root), to_base64(&head.root_hash()));
            format!(
                "by the log list the final tree head is of size {end} with root {root}; the log signed size {size} \
                 with root {signed}"
            )
        })
    }

    /// Compares the root of what was read with a head of the same size.
    fn compare(&mut self, head: SignedTreeHead) -> Step {
        if self.downloaded.root() == head.root_hash() {
            self.verified = self.downloaded.clone();
            self.unverified.clear();
            (self.reread, self.has_hole) = (None, false);
            return Step::Sealed { head, verified: self.verified.clone() };
        }
        let size = head.tree_size();
        if self.verified.size() == size {
            let detail = format!("two signed tree heads of size {size} have different roots");
            return self.misbehaved(Kind::Fork, detail, head);
        }
        if self.has_hole {
            return Step::Unproven { head };
        }
        if Reread::is_due(&mut self.reread, size - self.verified.size(), self.clock.now()) {
            self.downloaded = self.verified.clone();
            self.unverified.clear();
            self.narrowed = None;
            return Step::Reread { head };
        }
        let from = self.verified.size();
        let detail = format!("the entries from {from} on, read twice, do not have the root that the log signed");
        self.misbehaved(Kind::RootMismatch, detail, head)
    }

    fn misbehaved(&self, kind: Kind, detail: String, head: SignedTreeHead) -> Step {
        // With the compact range of the verified head and the leaves after it anybody can recompute the root.
        let between = self.downloaded.size() - self.verified.size();
        let whole = self.unverified.len() as u64 == between;
        let leaves = if whole { self.unverified.iter().map(|hash| to_base64(hash)).collect() } else { Vec::new() };
        let more = serde_json::json!({
            "verified_size": self.verified.size(),
            "verified_range": self.verified.hashes().iter().map(|hash| to_base64(hash)).collect::<Vec<_>>(),
            "leaf_hashes": leaves,
            "computed_size": self.downloaded.size(),
            "computed_root": to_base64(&self.downloaded.root()),
            "final_tree_head": self.log.final_tree_head.map(|(size, root)| {
                serde_json::json!({ "tree_size": size, "sha256_root_hash": to_base64(&root) })
            }),
        });
        Step::Misbehaved(Misconduct { kind, tree_size: head.tree_size(), detail, heads: vec![head], more })
    }

    fn unbelievable(&self, error: TreeHeadError, body: &[u8]) -> Step {
        let kept = &body[..body.len().min(65_536)];
        let more = serde_json::json!({ "answer": to_base64(kept), "text": escape(kept, 4096) });
        // The size that is claimed, not how far the log is read: the same head served again is the same evidence.
        let tree_size = match error {
            TreeHeadError::Unsigned { size, .. } | TreeHeadError::Signature { size, .. } => size,
            _ => self.downloaded.size(),
        };
        let kind = Kind::BadSignature;
        Step::Misbehaved(Misconduct { kind, tree_size, detail: error.to_string(), heads: Vec::new(), more })
    }
}
