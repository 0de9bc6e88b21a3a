//! How long after a log has a certificate of ours the CA's record has it: what the grace of `db.unknown` is chosen by.
//!
//! What the record lacks at the first look is asked for again, beside the examinations and without any part in them,
//! until it comes or a day is over. A restart forgets what it waits for; that costs a few measurements.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::Walk;
use super::examine::{logged_at, query};
use crate::books::{BooksError, PendingHit};
use crate::clock::{DAY, Span, Timestamp};
use crate::issuance::Query;
use crate::record::Lookup;
use crate::watch::Standing;

/// How many certificates are waited for at most; of more than that the oldest are given up.
const LIMIT: usize = 4096;
/// How many are asked for in one question.
const BATCH: usize = 256;
/// The shortest pause between two looks for one certificate, which is as exact as the measurement can be; the longer it
/// has lasted, the longer is the pause.
const LEAST_PAUSE: Span = Span::from_seconds(1);
/// An entry that was read so much later than it was logged says nothing of how quick the record was.
const PROMPT: Span = Span::from_seconds(60);

/// The certificates that the record lacked when they were first looked up.
#[derive(Clone, Debug, Default)]
pub struct Lagging(Arc<Mutex<VecDeque<Awaited>>>);

#[derive(Clone, Debug)]
struct Awaited {
    query: Query,
    logged_at: Timestamp,
    look_at: Timestamp,
}

/// Takes the answers of a batch of examinations: measures, or begins to wait.
pub(super) fn first_looks(walk: &Walk, hits: &[PendingHit], lookups: &[Lookup], now: Timestamp) {
    let first = |(hit, _): &(&PendingHit, &Lookup)| hit.first_examination && hit.standing == Standing::Ours;
    for (hit, lookup) in hits.iter().zip(lookups).filter(first) {
        let logged_at = logged_at(hit);
        match lookup {
            Lookup::Found(_) if hit.first_seen_at.since(logged_at) <= PROMPT => {
                walk.metrics.in_record_after(now.since(logged_at));
            }
            Lookup::Unknown { .. } => walk.lagging.push(Awaited { query: query(hit), logged_at, look_at: now }, now),
            _ => {}
        }
    }
}

/// Looks for what the record lacked, for ever.
///
/// # Errors
/// Never; the type is that of the other loops.
pub async fn measure_lag(walk: Arc<Walk>) -> Result<(), BooksError> {
    loop {
        measure_lag_due(&walk).await;
        tokio::time::sleep(LEAST_PAUSE.duration()).await;
    }
}

/// Looks once for everything whose time has come.
pub async fn measure_lag_due(walk: &Walk) {
    let now = walk.clock.now();
    let mut due = walk.lagging.take_due(now);
    while !due.is_empty() {
        let rest = due.split_off(due.len().min(BATCH));
        let queries: Vec<Query> = due.iter().map(|awaited| awaited.query.clone()).collect();
        let lookups = walk.issuance.find(&queries).await;
        for (awaited, lookup) in due.into_iter().zip(lookups) {
            match lookup {
                Lookup::Found(_) => walk.metrics.in_record_after(now.since(awaited.logged_at)),
                _ if now.since(awaited.logged_at) < DAY => walk.lagging.push(awaited, now),
                _ => {}
            }
        }
        due = rest;
    }
}

impl Lagging {
    fn push(&self, awaited: Awaited, now: Timestamp) {
        let lasted = now.since(awaited.logged_at).millis();
        // A tenth of what it has lasted: so exact is the measurement, and so few are the looks.
        let pause = Span::from_millis((lasted / 10).max(LEAST_PAUSE.millis()));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() == LIMIT {
            held.pop_front();
        }
        held.push_back(Awaited { look_at: now.plus(pause), ..awaited });
    }

    fn take_due(&self, now: Timestamp) -> Vec<Awaited> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, later): (Vec<Awaited>, Vec<Awaited>) = held.drain(..).partition(|awaited| awaited.look_at <= now);
        held.extend(later);
        due
    }
}
