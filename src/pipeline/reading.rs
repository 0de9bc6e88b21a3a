//! What both positions in a log have in common: hits out of entries, door 1, misbehaviour, and entries read late.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Walk;
use crate::books::{Asked, BooksError, Gap, Lane, NewEntries};
use crate::cache::Kind as Cached;
use crate::case::EntryKind;
use crate::clock::{Span, Timestamp};
use crate::conduct::extra::{self, Beside};
use crate::conduct::{Accused, Kind, Misconduct};
use crate::ct::compact_range::CompactRange;
use crate::ct::leaf::encode_merkle_tree_leaf;
use crate::ct::log_list::Log;
use crate::ct::sth::SignedTreeHead;
use crate::metrics::{Check, Outcome};
use crate::tail::{Decoded, FetchError, LogClient, Lost, TailError};
use crate::watch::{self, Candidate, ChainHead, Form, Hit, Standing, Watchlist};

/// One log that is being read.
pub(super) struct Reading {
    pub walk: Arc<Walk>,
    pub log: Arc<Log>,
    pub client: LogClient,
    /// Entries of the backlog that are still to be read, and to be verified.
    pub left: (AtomicU64, AtomicU64),
    /// Issuers that the log does not give, and until when it is not asked for them again.
    pub missing: Mutex<HashMap<[u8; 32], Timestamp>>,
    /// For each lane what came beside an entry and does not belong to it: the first of those that are not proven yet.
    pub strange: Mutex<HashMap<Lane, Misconduct>>,
}

/// An entry that is kept because it could not be read: (index, reason, bytes).
type Malformed = (u64, String, Vec<u8>);
/// A hit, and what the log is to be charged with for what it sent beside the entry.
type Judged = (Hit, Option<Misconduct>);
/// How much of it is kept.
const KEPT_BYTES: usize = 65_536;

/// How long a log is not asked again for an issuer that it does not give, and how many such issuers are remembered.
const MISSING_FOR: Span = Span::from_seconds(600);
const MOST_MISSING: usize = 1024;
/// How many entries are judged before others have their turn.
const JUDGED_AT_ONCE: usize = 64;

impl Reading {
    pub fn saw_head(&self, head: &SignedTreeHead) {
        self.walk.metrics.tree_head(&self.log.name, head.tree_size(), head.timestamp());
        self.walk.saw_head(self.log.log_id, head.tree_size(), head.timestamp());
    }

    /// The positions as metrics show them: what was read of the whole log, the backlog taken off.
    pub fn show_positions(&self, downloaded: u64, verified: u64) {
        let (left, unverified) = (self.left.0.load(Ordering::Relaxed), self.left.1.load(Ordering::Relaxed));
        let shown = (downloaded.saturating_sub(left), verified.saturating_sub(unverified));
        self.walk.metrics.positions(&self.log.name, shown.0, shown.1);
    }

    /// Door 1 for what one response held. `position` is the one that moves.
    pub async fn commit(&self, decoded: Decoded, position: Option<(Lane, CompactRange)>) -> Result<(), BooksError> {
        let Decoded { leaf_hashes, candidates, mut malformed, misplaced, lost, .. } = decoded;
        let lane = position.as_ref().map(|(lane, _)| *lane);
        let (hits, strange) = self.hits(candidates, &mut malformed).await?;
        let walk = &self.walk;
        let name = &self.log.name;
        for (index, reason, _) in malformed.iter().take(3) {
            tracing::warn!(log = name, index, reason, "an entry is not of the form that the standard gives it");
        }
        let (count, unparsable) = (leaf_hashes.len() as u64, malformed.len() as u64);
        let (seen_at, found) = (walk.clock.now(), !hits.is_empty());
        if let Some(Lost { range, why, is_hashed }) = lost {
            self.lost(Gap { start: range.start, end: range.end, attempts: 0, is_hashed }, &why, seen_at).await?;
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
        // One of many will do: the case is about the log.
        if let (Some(misconduct), Some(lane)) = (strange, lane) {
            self.strange().entry(lane).or_insert(misconduct);
        }
        Ok(())
    }

    /// The entries of a lane are proven up to this size: what came beside one of them is charged. Before, the entry
    /// itself might be what was garbled on its way.
    pub async fn proven(&self, lane: Lane, size: u64) -> Result<(), BooksError> {
        let charged = |misconduct: &Misconduct| misconduct.tree_size < size;
        let strange = match self.strange().entry(lane) {
            Entry::Occupied(place) if charged(place.get()) => Some(place.remove()),
            _ => None,
        };
        match strange {
            Some(misconduct) => self.misbehaved(misconduct).await,
            None => Ok(()),
        }
    }

    /// The entries of a lane are read again.
    pub fn doubted(&self, lane: Lane) {
        self.strange().remove(&lane);
    }

    fn strange(&self) -> MutexGuard<'_, HashMap<Lane, Misconduct>> {
        self.strange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lost(&self, gap: Gap, why: &str, now: Timestamp) -> Result<(), BooksError> {
        self.walk.storage(self.walk.books.note_gap(self.log.log_id, gap, now).await)?;
        let detail = format!("entries {} to {} are not served: {why}", gap.start, gap.end - 1);
        self.misbehaved(plain(Kind::LostEntries, gap.end, detail)).await
    }

    /// Asks again for entries that were lost, one gap at a time. Whether a position was taken back to what is verified,
    /// because the last of its holes was filled.
    pub async fn ask_for_lost(&self, head: u64) -> Result<bool, BooksError> {
        let (books, log_id, now) = (&self.walk.books, self.log.log_id, self.walk.clock.now());
        let Some(gap) = self.walk.storage(books.due_gap(log_id, now).await)? else { return Ok(false) };
        let (range, head) = (gap.start..gap.end, head.max(gap.end));
        let asked = match self.all_entries(range.clone(), head).await {
            // Entries that are not those under the root fill nothing; they are searched all the same.
            Ok(mut parts) => {
                // Where no hash is known, the root will say whether they are the ones.
                let whole = !parts.iter().any(|part| part.broken || part.lost.is_some());
                let filled = if gap.is_hashed { self.client.confirms(range, head, &parts).await } else { whole };
                parts.iter_mut().for_each(|part| part.lost = None);
                for part in parts {
                    self.commit(part, None).await?;
                }
                if filled {
                    let (start, end) = (gap.start, gap.end);
                    tracing::info!(log = self.log.name, start, end, "lost entries are served again");
                }
                if filled { Asked::Filled } else { Asked::Refused }
            }
            Err(_) if matches!(self.client, LogClient::Rfc6962(_)) => Asked::Halved,
            Err(_) => Asked::Refused,
        };
        self.walk.storage(books.gap_asked(log_id, gap, asked, now).await)?;
        if asked == Asked::Filled && !self.walk.storage(books.has_gaps(log_id).await)? {
            let detail = "all entries that were not served are served again".to_string();
            self.mended(Kind::LostEntries, gap.end, detail).await?;
        }
        match asked {
            Asked::Filled if !gap.is_hashed => self.walk.storage(books.rewind_filled(log_id).await),
            _ => Ok(false),
        }
    }

    /// All entries of a range: a log may give little at a time.
    async fn all_entries(&self, range: Range<u64>, head: u64) -> Result<Vec<Decoded>, TailError> {
        let (mut parts, mut next) = (Vec::new(), range.start);
        while next < range.end {
            let some = self.client.entries(next..range.end, head, &self.walk.watchlist).await?;
            let got: usize = some.iter().map(|part| part.leaf_hashes.len()).sum();
            if got == 0 {
                return Err(TailError::Answer(format!("no entries from {next} on")));
            }
            next += got as u64;
            parts.extend(some);
        }
        Ok(parts)
    }

    /// Judges candidates, with their issuers' certificates where those can make a difference, and what the log sent
    /// beside them.
    async fn hits(
        &self,
        candidates: Vec<Candidate>,
        panics: &mut Vec<Malformed>,
    ) -> Result<(Vec<Hit>, Option<Misconduct>), BooksError> {
        let (mut hits, mut strange) = (Vec::new(), None);
        let mut candidates = candidates.into_iter();
        loop {
            let some: Vec<Candidate> = candidates.by_ref().take(JUDGED_AT_ONCE).collect();
            if some.is_empty() {
                return Ok((hits, strange));
            }
            let watchlist = self.walk.watchlist.clone();
            // Signatures are verified here: not among the tasks that wait for sockets.
            let work = move || {
                let mut panics = Vec::new();
                let judged = some.into_iter().filter_map(|candidate| {
                    let sent = match &candidate.issuer {
                        ChainHead::Certificate(der) => Some(der.as_slice()),
                        ChainHead::Fingerprint(_) | ChainHead::Absent => None,
                    };
                    let judged = judge(&watchlist, &candidate, sent, &mut panics)?;
                    Some((candidate, judged))
                });
                let judged: Vec<(Candidate, Judged)> = judged.collect();
                (judged, panics)
            };
            // Judging is guarded entry by entry: only the end of the runtime ends it early.
            let Some((judged, caught)) = self.client.compute(work).await else { std::future::pending().await };
            panics.extend(caught);
            for (candidate, judged) in judged {
                if let Some((hit, misconduct)) = self.with_issuer(candidate, judged, panics).await? {
                    hits.push(hit);
                    strange = strange.or(misconduct);
                }
            }
        }
    }

    /// What was judged, judged again when the certificate of its issuer can make a difference and is to be fetched.
    async fn with_issuer(
        &self,
        candidate: Candidate,
        (hit, strange): Judged,
        panics: &mut Vec<Malformed>,
    ) -> Result<Option<Judged>, BooksError> {
        let undecided = match hit.kind {
            EntryKind::Certificate => hit.standing != Standing::Ours,
            EntryKind::Precertificate => candidate.precertificate.is_some() && hit.form == Form::Tbs,
        };
        // Whose key the chain of a static log begins with is seen in the certificate, unless it is one of ours.
        let unseen = |fingerprint| !self.walk.watchlist.is_certificate_of(fingerprint, &hit.key.issuer_key_hash);
        let undecided = undecided
            || matches!(&candidate.issuer, ChainHead::Fingerprint(f) if hit.standing == Standing::Ours && unseen(f));
        let (ChainHead::Fingerprint(fingerprint), true) = (&candidate.issuer, undecided) else {
            return Ok(Some((hit, strange)));
        };
        match self.issuer(fingerprint).await? {
            Some(der) => Ok(judge(&self.walk.watchlist, &candidate, Some(&der), panics)),
            None => Ok(Some((hit, strange))),
        }
    }

    async fn issuer(&self, fingerprint: &[u8; 32]) -> Result<Option<Vec<u8>>, BooksError> {
        if let Some(der) = self.walk.cache.get(Cached::Issuer, fingerprint) {
            return Ok(Some(der));
        }
        // One issuer that is gone may stand behind every entry of a log: waiting for it each time would stop the log.
        let until = self.missing().get(fingerprint).copied();
        // A clock that was put back must not make it longer.
        let now = self.walk.clock.now();
        if until.is_some_and(|until| until > now && until <= now.plus(MISSING_FOR)) {
            return Ok(None);
        }
        let mut other = None;
        for attempt in 0..3 {
            let error = match self.client.issuer(fingerprint).await {
                Ok(Ok(der)) => {
                    self.walk.cache.put(Cached::Issuer, fingerprint, &der);
                    return Ok(Some(der));
                }
                Ok(Err(given)) => {
                    other = Some(given);
                    continue;
                }
                Err(error) => error,
            };
            tracing::warn!(log = self.log.name, %error, "an issuer certificate could not be fetched");
            if matches!(error, TailError::Fetch(FetchError::NotFound { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
        if let Some(given) = other {
            self.misbehaved(extra::wrong_issuer(fingerprint, &given)).await?;
        }
        let until = self.walk.clock.now().plus(MISSING_FOR);
        let mut missing = self.missing();
        if missing.len() >= MOST_MISSING {
            missing.clear();
        }
        missing.insert(*fingerprint, until);
        Ok(None)
    }

    fn missing(&self) -> MutexGuard<'_, HashMap<[u8; 32], Timestamp>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the evidence, opens the case of the log, and counts.
    pub async fn misbehaved(&self, misconduct: Misconduct) -> Result<(), BooksError> {
        self.walk.metrics.verification_failure(&self.log.name, check(misconduct.kind));
        accuse(&self.walk, &self.log, misconduct).await
    }

    /// Says in the case of the log that what it was charged with is made good at this tree size.
    pub async fn mended(&self, kind: Kind, tree_size: u64, detail: String) -> Result<(), BooksError> {
        let (walk, log) = (&self.walk, &self.log);
        tracing::info!(log = log.name, kind = kind.word(), detail, "the log has made it good");
        let (recipients, now) = (walk.outbox_recipients(), walk.clock.now());
        let told = walk.books.commit_mended(accused(log), kind, (tree_size, detail), recipients, now).await;
        if walk.storage(told)?.is_some() {
            walk.mail_waiting.notify_one();
        }
        Ok(())
    }

    /// Counts how a request ended, and shows the pace that it left behind.
    pub fn answered(&self, outcome: Outcome) {
        self.walk.metrics.pace(&self.log.name, self.client.pace());
        self.walk.metrics.request(&self.log.name, outcome, self.walk.clock.now());
    }
}

/// Judges a candidate. Bytes that bring the judging down are kept as malformed, and as a hit all the same.
fn judge(
    watchlist: &Watchlist,
    candidate: &Candidate,
    issuer: Option<&[u8]>,
    panics: &mut Vec<Malformed>,
) -> Option<Judged> {
    let judged = watch::guard(|| {
        let hit = watchlist.judge(candidate, issuer)?;
        Some((hit, beside(candidate, issuer)))
    });
    judged.unwrap_or_else(|why| {
        let bytes = candidate.entry.bytes();
        panics.push((candidate.index, why, bytes[..bytes.len().min(KEPT_BYTES)].to_vec()));
        Some((watchlist.unjudged(candidate), None))
    })
}

/// Keeps the evidence of a misbehaviour and opens the case of the log.
pub(super) async fn accuse(walk: &Walk, log: &Log, misconduct: Misconduct) -> Result<(), BooksError> {
    let (kind, detail) = (misconduct.kind, misconduct.detail.clone());
    let told = walk.books.commit_misconduct(accused(log), misconduct, walk.outbox_recipients(), walk.clock.now()).await;
    if let Some(notice) = walk.storage(told)? {
        for finding in &notice.findings {
            walk.metrics.finding(&finding.rule, finding.severity);
        }
        tracing::error!(log = log.name, case = notice.case, kind = kind.word(), detail, "the log misbehaves");
        walk.mail_waiting.notify_one();
    }
    Ok(())
}

fn accused(log: &Log) -> Accused {
    Accused { log_id: log.log_id, name: log.name.clone(), operator: log.operator.clone(), key_der: log.key_der.clone() }
}

/// Whether what the log sent beside an entry belongs to it; `issuer` is the first certificate of the chain.
fn beside(candidate: &Candidate, issuer: Option<&[u8]>) -> Option<Misconduct> {
    let (precertificate, garbled) = (candidate.precertificate.as_deref(), candidate.garbled.as_deref());
    let (leaf, beside) = (candidate.entry.leaf(), Beside { precertificate, issuer, garbled });
    let difference = extra::difference(&leaf, beside)?;
    let leaf_input = encode_merkle_tree_leaf(candidate.logged_at, &leaf, &candidate.extensions);
    Some(extra::misconduct(candidate.index, &leaf_input, beside, &difference))
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
        Kind::ExtraData => Check::ExtraData,
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
