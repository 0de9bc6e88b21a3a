//! Entries that a log does not serve, and what stands behind them.
//!
//! What was refused several times in a row at one place is passed over as soon as the log serves something behind it:
//! a log that is down altogether loses nothing. A page of get-entries is halved first, down to one entry, so that as
//! little as can be is passed over; a tile is one thing and is passed over whole.
//!
//! A static log may still say in its hash tiles what the hashes of the lost entries are: then the audit goes on. With
//! everybody else nobody knows them, and there is a hole in the compact range. [`nothing`] stands in their place, a
//! hash that no signed root will ever fit: what stands behind a hole is searched for certificates, and stays unproven.
//! A root that does not fit such a range says nothing about the log, which is charged with the loss and with nothing
//! else. When the log serves the entries again, everything from the verified position on is read and audited anew.

use super::client::LogClient;
use super::decode::{Decoded, Lost, nothing};
use super::http::FetchError;
use super::{Goal, REFUSALS, Tail, TailError};
use crate::clock::{Span, Timestamp};
use crate::ct::sth::SignedTreeHead;
use crate::ct::tile::TILE_WIDTH;

/// How long what is not served may be a front end that lags, when nothing behind it is served either.
const LAG_TOLERANCE: Span = Span::from_seconds(15 * 60);
/// The most entries that are passed over in one step.
const MOST_LOST: u64 = 65_536;
/// So many entries behind a lost one are asked for one by one; after them, ever larger steps are taken.
const ONE_BY_ONE: u32 = 16;

/// A place at which reading fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stuck {
    /// The index.
    pub at: u64,
    /// How often in a row.
    pub times: u32,
    /// Since when.
    since: Timestamp,
}

impl Tail {
    /// Counts how often in a row reading failed at this place.
    pub(super) fn stumble(&mut self) {
        let (at, now) = (self.downloaded.size(), self.clock.now());
        if self.stuck.at != at {
            self.stuck = Stuck { at, times: 0, since: now };
        }
        self.stuck.times += 1;
        // A clock that is put back must not make it wait longer.
        self.stuck.since = self.stuck.since.min(now);
    }

    /// Passes over what was refused several times, when it is lost. Anything else stays the error it was.
    pub(super) async fn pass_over(&mut self, head: &SignedTreeHead, error: TailError) -> Result<Decoded, TailError> {
        if self.stuck.times < REFUSALS || asks_for_less(&error) {
            return Err(error);
        }
        // Behind the last entry of a part that is read by itself stand others.
        let size = match &self.goal {
            Goal::Live => head.tree_size(),
            Goal::Until(_) => self.client.head().await.map_or(0, |now| now.tree_size()).max(head.tree_size()),
        };
        match &self.client {
            LogClient::Rfc6962(_) => self.pass_entries_over(head.tree_size(), size, error).await,
            LogClient::StaticCt(_) => self.pass_tile_over(head.tree_size(), size, error).await,
        }
    }

    async fn pass_entries_over(&mut self, end: u64, size: u64, error: TailError) -> Result<Decoded, TailError> {
        let at = self.downloaded.size();
        let asked = self.narrowed.filter(|narrow| *narrow > at);
        let asked = asked.or_else(|| self.client.plan(at, end, 1).pop().map(|range| range.end));
        let Some(asked) = asked else { return Err(error) };
        let error = match asked == at + 1 {
            true => error,
            false => match self.narrow(asked).await {
                Err(error) if self.narrowed == Some(at + 1) => error,
                other => return other,
            },
        };
        let Some(served) = self.served_behind(at, size, 1).await? else { return Err(error) };
        // The log may have come back between the two questions.
        if let Ok(decoded) = self.client.probe(at..at + 1, size, &self.watchlist).await {
            return Ok(decoded);
        }
        let range = at..served.min(end).min(at.saturating_add(MOST_LOST));
        let leaf_hashes = vec![nothing(); (range.end - at) as usize];
        let lost = Some(Lost { range, why: error.to_string(), is_hashed: false });
        Ok(Decoded { start: at, leaf_hashes, lost, ..Decoded::default() })
    }

    /// Reads on in front of `end`, up to which the log did not give everything in one answer, in halves. An error at
    /// one entry alone, which `narrowed` says then, is an error at that entry.
    pub(super) async fn narrow(&mut self, mut end: u64) -> Result<Decoded, TailError> {
        let at = self.downloaded.size();
        // Where reading failed before, the entry itself is asked for first: with it all halves would fail.
        let mut next = if self.stuck.at == at { at + 1 } else { at + (end - at).div_ceil(2) };
        loop {
            let error = match self.client.probe(at..next, end, &self.watchlist).await {
                Ok(decoded) => {
                    self.narrowed = Some(end);
                    return Ok(decoded);
                }
                Err(error) if asks_for_less(&error) => return Err(error),
                Err(error) => error,
            };
            end = next;
            self.narrowed = Some(end);
            if end == at + 1 {
                return Err(error);
            }
            next = at + (end - at) / 2;
        }
    }

    /// Where the log serves again what stands behind an entry or a tile at `at` that it does not serve; looked for in
    /// steps of `width`, at first one and then ever larger ones, and back again to the first that is served. A loss is
    /// taken for one piece.
    async fn served_behind(&self, at: u64, size: u64, width: u64) -> Result<Option<u64>, TailError> {
        let last = size.saturating_sub(1) / width * width;
        let (mut lost, mut step) = (at, width);
        for tried in 0_u32.. {
            let next = lost.saturating_add(step).min(last);
            if next <= lost {
                return Ok(None);
            }
            if self.serves(next, size, width).await? {
                let mut served = next;
                while served - lost > width {
                    let middle = lost + (served - lost) / width / 2 * width;
                    match self.serves(middle, size, width).await? {
                        true => served = middle,
                        false => lost = middle,
                    }
                }
                return Ok(Some(served));
            }
            lost = next;
            step = if tried < ONE_BY_ONE { width } else { step.saturating_mul(2) };
        }
        Ok(None)
    }

    async fn serves(&self, at: u64, size: u64, width: u64) -> Result<bool, TailError> {
        match self.client.probe(at..size.min(at.saturating_add(width)), size, &self.watchlist).await {
            Ok(_) => Ok(true),
            Err(error) if asks_for_less(&error) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// A tile that is not there, or is not the one that was asked for, is lost also when nothing behind it is served,
    /// but not before a front end that lags would have come up. A tile that could not be had for another reason is lost
    /// when the log serves what stands behind it.
    async fn pass_tile_over(&mut self, end: u64, size: u64, error: TailError) -> Result<Decoded, TailError> {
        let at = self.downloaded.size();
        let Some(range) = self.client.plan(at, end, 1).pop() else { return Err(error) };
        let refused = matches!(error, TailError::Fetch(FetchError::NotFound { .. }) | TailError::Answer(_));
        let late = self.clock.now().since(self.stuck.since) >= LAG_TOLERANCE;
        let tile = at - at % u64::from(TILE_WIDTH);
        if !(refused && late) && self.served_behind(tile, size, TILE_WIDTH.into()).await?.is_none() {
            return Err(error);
        }
        if let Ok(decoded) = self.client.probe(range.clone(), end, &self.watchlist).await {
            return Ok(decoded);
        }
        let hashes = self.client.leaf_hashes(range.clone(), end).await;
        let (leaf_hashes, is_hashed) = match hashes {
            Ok(hashes) => (hashes, true),
            // A hole is worse than a loss, so that one failure is not enough.
            Err(other) => match other {
                TailError::Fetch(FetchError::NotFound { .. }) => (Vec::new(), false),
                _ if self.stuck.times >= 2 * REFUSALS && !asks_for_less(&other) => (Vec::new(), false),
                other => return Err(other),
            },
        };
        let leaf_hashes = if is_hashed { leaf_hashes } else { vec![nothing(); (range.end - at) as usize] };
        let lost = Some(Lost { range, why: error.to_string(), is_hashed });
        Ok(Decoded { start: at, leaf_hashes, lost, ..Decoded::default() })
    }
}

/// An answer that says nothing about the entries.
fn asks_for_less(error: &TailError) -> bool {
    matches!(error, TailError::Fetch(FetchError::Status { status: 429, .. }))
}
