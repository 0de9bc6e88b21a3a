//! What both positions in a log have in common: hits out of entries, door 1, misbehaviour, and entries read late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Walk;
use crate::books::{BooksError, Gap, Lane, NewEntries};
use crate::cache::Kind as Cached;
use crate::case::EntryKind;
use crate::clock::{Span, Timestamp};
use crate::conduct::{Accused, Kind, Misconduct};
use crate::ct::compact_range::CompactRange;
use crate::ct::log_list::Log;
use crate::ct::sth::SignedTreeHead;
use crate::metrics::{Check, Outcome};
use crate::tail::{Decoded, FetchError, LogClient, TailError};
use crate::watch::{Candidate, ChainHead, Form, Hit, Standing};

/// One log that is being read.
pub(super) struct Reading {
    pub walk: Arc<Walk>,
    pub log: Arc<Log>,
    pub client: LogClient,
    /// Entries of the backlog that are still to be read, and to be verified.
    pub left: (AtomicU64, AtomicU64),
    /// Issuers that the log does not give, and until when it is not asked for them again.
    pub missing: Mutex<HashMap<[u8; 32], Timestamp>>,
}

/// How long a log is not asked again for an issuer that it does not give, and how many such issuers are remembered.
const MISSING_FOR: Span = Span::from_seconds(600);
const MOST_MISSING: usize = 1024;
/// How many entries are judged before others have their turn.
const JUDGED_AT_ONCE: usize = 64;

impl Reading {
    pub fn saw_head(&self, head: &SignedTreeHead) {
        self.walk.metrics.tree_head(&self.log.name, head.tree_size(), head.timestamp());
    }

    /// The positions as metrics show them: what was read of the whole log, the backlog taken off.
    pub fn show_positions(&self, downloaded: u64, verified: u64) {
        let (left, unverified) = (self.left.0.load(Ordering::Relaxed), self.left.1.load(Ordering::Relaxed));
        let shown = (downloaded.saturating_sub(left), verified.saturating_sub(unverified));
        self.walk.metrics.positions(&self.log.name, shown.0, shown.1);
    }

    /// Door 1 for what one response held. `position` is the one that moves.
    pub async fn commit(&self, decoded: Decoded, position: Option<(Lane, CompactRange)>) -> Result<(), BooksError> {
        let Decoded { leaf_hashes, candidates, malformed, misplaced, lost, .. } = decoded;
        let hits = self.hits(candidates).await;
        let walk = &self.walk;
        let name = &self.log.name;
        for (index, reason, _) in malformed.iter().take(3) {
            tracing::warn!(log = name, index, reason, "an entry is not of the form that the standard gives it");
        }
        let (count, unparsable) = (leaf_hashes.len() as u64, malformed.len() as u64);
        let (seen_at, found) = (walk.clock.now(), !hits.is_empty());
        if let Some((range, why)) = lost {
            self.lost(Gap { start: range.start, end: range.end, attempts: 0 }, &why, seen_at).await?;
        }
        let new = NewEntries { log_id: self.log.log_id, downloaded: position, hits, malformed, seen_at };
        let new_hits = walk.storage(walk.books.commit_entries(new).await)?;
        walk.metrics.entries(name, count, unparsable);
        for (issuer, kind, number) in &new_hits {
            // Issuers that are not configured come from certificates: their names must not become labels.
            let known = walk.watchlist.issuers().iter().any(|known| known.name == *issuer);
            (0..*number).for_each(|_| walk.metrics.hit(if known { issuer } else { "other" }, *kind));
        }
        if found {
            walk.hits_waiting.notify_one();
        }
        if let Some(index) = misplaced.first() {
            let detail =
                format!("{} entries state another index than their own, the first at {index}", misplaced.len());
            self.misbehaved(plain(Kind::LeafIndex, *index, detail)).await?;
        }
        Ok(())
    }

    async fn lost(&self, gap: Gap, why: &str, now: Timestamp) -> Result<(), BooksError> {
        self.walk.storage(self.walk.books.note_gap(self.log.log_id, gap, now).await)?;
        let detail = format!("entries {} to {} are not served: {why}", gap.start, gap.end - 1);
        self.misbehaved(plain(Kind::LostEntries, gap.end, detail)).await
    }

    /// Asks again for entries that were lost, one gap at a time.
    pub async fn ask_for_lost(&self, head: u64) -> Result<(), BooksError> {
        let now = self.walk.clock.now();
        let Some(gap) = self.walk.storage(self.walk.books.due_gap(self.log.log_id, now).await)? else { return Ok(()) };
        let answer = self.client.entries(gap.start..gap.end, head.max(gap.end), &self.walk.watchlist).await;
        let filled = match answer {
            // Entries that are not those under the root fill nothing; they are searched all the same.
            Ok(mut parts) => {
                let true_ones = self.client.confirms(gap.start..gap.end, head.max(gap.end), &parts).await;
                parts.iter_mut().for_each(|part| part.lost = None);
                for part in parts {
                    self.commit(part, None).await?;
                }
                if true_ones {
                    let (start, end) = (gap.start, gap.end);
                    tracing::info!(log = self.log.name, start, end, "lost entries are served again");
                }
                true_ones
            }
            Err(_) => false,
        };
        let noted = self.walk.books.gap_asked(self.log.log_id, gap, filled, now).await;
        self.walk.storage(noted)
    }

    /// Judges candidates, with their issuers' certificates where those can make a difference.
    async fn hits(&self, candidates: Vec<Candidate>) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut candidates = candidates.into_iter();
        loop {
            let some: Vec<Candidate> = candidates.by_ref().take(JUDGED_AT_ONCE).collect();
            if some.is_empty() {
                return hits;
            }
            let watchlist = self.walk.watchlist.clone();
            // Signatures are verified here: not among the tasks that wait for sockets.
            let judge = move || {
                let judged = some.into_iter().filter_map(|candidate| {
                    let sent = match &candidate.issuer {
                        ChainHead::Certificate(der) => Some(der.as_slice()),
                        ChainHead::Fingerprint(_) | ChainHead::Absent => None,
                    };
                    let hit = watchlist.judge(&candidate, sent)?;
                    Some((candidate, hit))
                });
                judged.collect()
            };
            let judged: Option<Vec<(Candidate, Hit)>> = self.client.compute(judge).await;
            for (candidate, hit) in judged.unwrap_or_else(|| panic!("judging entries ended early")) {
                hits.extend(self.with_issuer(candidate, hit).await);
            }
        }
    }

    /// The hit, judged again when the certificate of its issuer can make a difference and is to be fetched.
    async fn with_issuer(&self, candidate: Candidate, hit: Hit) -> Option<Hit> {
        let undecided = match hit.kind {
            EntryKind::Certificate => hit.standing != Standing::Ours,
            EntryKind::Precertificate => candidate.precertificate.is_some() && hit.form == Form::Tbs,
        };
        let (ChainHead::Fingerprint(fingerprint), true) = (&candidate.issuer, undecided) else { return Some(hit) };
        match self.issuer(fingerprint).await {
            Some(der) => self.walk.watchlist.judge(&candidate, Some(&der)),
            None => Some(hit),
        }
    }

    async fn issuer(&self, fingerprint: &[u8; 32]) -> Option<Vec<u8>> {
        if let Some(der) = self.walk.cache.get(Cached::Issuer, fingerprint) {
            return Some(der);
        }
        // One issuer that is gone may stand behind every entry of a log: waiting for it each time would stop the log.
        let until = self.missing().get(fingerprint).copied();
        if until.is_some_and(|until| until > self.walk.clock.now()) {
            return None;
        }
        for attempt in 0..3 {
            let error = match self.client.issuer(fingerprint).await {
                Ok(der) => {
                    self.walk.cache.put(Cached::Issuer, fingerprint, &der);
                    return Some(der);
                }
                Err(error) => error,
            };
            tracing::warn!(log = self.log.name, %error, "an issuer certificate could not be fetched");
            if matches!(error, TailError::Fetch(FetchError::NotFound { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
        let until = self.walk.clock.now().plus(MISSING_FOR);
        let mut missing = self.missing();
        if missing.len() >= MOST_MISSING {
            missing.clear();
        }
        missing.insert(*fingerprint, until);
        None
    }

    fn missing(&self) -> MutexGuard<'_, HashMap<[u8; 32], Timestamp>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the evidence, opens the case of the log, and counts.
    pub async fn misbehaved(&self, misconduct: Misconduct) -> Result<(), BooksError> {
        self.walk.metrics.verification_failure(&self.log.name, check(misconduct.kind));
        accuse(&self.walk, &self.log, misconduct).await
    }

    /// Counts how a request ended.
    pub fn answered(&self, outcome: Outcome) {
        self.walk.metrics.request(&self.log.name, outcome, self.walk.clock.now());
    }
}

/// Keeps the evidence of a misbehaviour and opens the case of the log.
pub(super) async fn accuse(walk: &Walk, log: &Log, misconduct: Misconduct) -> Result<(), BooksError> {
    let accused = Accused {
        log_id: log.log_id,
        name: log.name.clone(),
        operator: log.operator.clone(),
        key_der: log.key_der.clone(),
    };
    let (kind, detail) = (misconduct.kind, misconduct.detail.clone());
    let told = walk.books.commit_misconduct(accused, misconduct, walk.outbox_recipients(), walk.clock.now()).await;
    if let Some(notice) = walk.storage(told)? {
        for finding in &notice.findings {
            walk.metrics.finding(&finding.rule, finding.severity);
        }
        tracing::error!(log = log.name, case = notice.case, kind = kind.word(), detail, "the log misbehaves");
        walk.mail_waiting.notify_one();
    }
    Ok(())
}

/// A misbehaviour that no signed object shows.
fn plain(kind: Kind, tree_size: u64, detail: String) -> Misconduct {
    Misconduct { kind, tree_size, detail, heads: Vec::new(), more: serde_json::Value::Null }
}

fn check(kind: Kind) -> Check {
    match kind {
        Kind::BadSignature => Check::Signature,
        Kind::Fork => Check::Fork,
        Kind::RootMismatch => Check::Root,
        Kind::Rollback => Check::Rollback,
        Kind::FutureHead | Kind::Frozen => Check::Timestamp,
        Kind::LostEntries | Kind::SctNotHonoured => Check::Inclusion,
        Kind::LeafIndex => Check::LeafIndex,
    }
}

/// The label of a failure.
pub(super) fn outcome(error: &TailError) -> Outcome {
    match error {
        TailError::Fetch(FetchError::Status { status: 429, .. }) => Outcome::RateLimited,
        TailError::Fetch(FetchError::Status { status: 500.., .. }) => Outcome::ServerError,
        TailError::Fetch(FetchError::NotFound { .. } | FetchError::Status { .. }) => Outcome::ClientError,
        TailError::Fetch(FetchError::Network { .. }) => Outcome::Network,
        TailError::Fetch(FetchError::TooLarge { .. } | FetchError::Garbled { .. }) => Outcome::Malformed,
        TailError::Answer(_) | TailError::TreeHead { .. } => Outcome::Malformed,
    }
}
