//! Memory for what is read ahead: one bound over all logs, in bytes of responses that are under way.
//!
//! A request takes room for what its answer will probably weigh, and gives it back when its entries are in the books.
//! Every log takes room in the order of its requests, so that what has room can always be finished. Backlogs wait for
//! room one after the other; the head of a log never waits: without room it asks for a few entries.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pace::Urgency;

/// Bytes of one permit.
const UNIT: usize = 4096;
/// Bytes for new entries, and for backlogs, of all logs together.
const FRESH: usize = 8 << 20;
const BACKLOG: usize = 16 << 20;

/// The room of all logs.
#[derive(Debug)]
pub struct Room {
    fresh: Arc<Semaphore>,
    backlog: Arc<Semaphore>,
    /// Who may go beyond what there is: one answer at a time.
    alone: Arc<Semaphore>,
}

impl Room {
    /// All of it.
    pub fn new() -> Room {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT));
        Room { fresh: of(FRESH), backlog: of(BACKLOG), alone: Arc::new(Semaphore::new(1)) }
    }

    fn of(&self, urgency: Urgency) -> (&Arc<Semaphore>, usize) {
        match urgency {
            Urgency::Head | Urgency::Fresh => (&self.fresh, FRESH),
            Urgency::Backlog => (&self.backlog, BACKLOG),
        }
    }

    /// Room for so many bytes, if there is.
    pub fn take(&self, urgency: Urgency, bytes: u64) -> Option<Held> {
        let (room, all) = self.of(urgency);
        let permits = units(bytes, all);
        let taken = room.clone().try_acquire_many_owned(permits as u32).ok()?;
        Some(Held::of(room, &self.alone, vec![taken], permits * UNIT))
    }

    /// Waits for room for so many bytes. Whoever waits must not have any.
    pub async fn wait(&self, urgency: Urgency, bytes: u64) -> Held {
        let (room, all) = self.of(urgency);
        let permits = units(bytes, all);
        let taken = room.clone().acquire_many_owned(permits as u32).await;
        Held::of(room, &self.alone, taken.into_iter().collect(), permits * UNIT)
    }

    /// A little that is always there: for one request of each log at its head.
    pub fn little(&self, urgency: Urgency, bytes: u64) -> Held {
        let (room, all) = self.of(urgency);
        Held::of(room, &self.alone, Vec::new(), units(bytes, all) * UNIT)
    }
}

fn units(bytes: u64, all: usize) -> usize {
    usize::try_from(bytes).unwrap_or(all).min(all).div_ceil(UNIT).max(1)
}

/// Room that is taken. Dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    room: Arc<Semaphore>,
    alone: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    permits: Vec<OwnedSemaphorePermit>,
    bytes: usize,
    beyond: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn of(room: &Arc<Semaphore>, alone: &Arc<Semaphore>, permits: Vec<OwnedSemaphorePermit>, bytes: usize) -> Held {
        let taken = Mutex::new(Taken { permits, bytes, beyond: None });
        Held { room: room.clone(), alone: alone.clone(), taken }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer turns out to weigh so many bytes. What it lacks is taken from what is free; when nothing is, it waits
    /// until it is the only one that goes beyond.
    pub async fn grow_to(&self, bytes: usize) {
        let lacking = {
            let mut taken = self.taken();
            if taken.bytes >= bytes || taken.beyond.is_some() {
                return;
            }
            // A quarter more than is needed now: a body comes in many pieces.
            let lacking = (bytes + bytes / 4 - taken.bytes).div_ceil(UNIT);
            if let Ok(permit) = self.room.clone().try_acquire_many_owned(lacking as u32) {
                taken.permits.push(permit);
                taken.bytes += lacking * UNIT;
                return;
            }
            self.alone.clone().acquire_owned()
        };
        let beyond = lacking.await.ok();
        self.taken().beyond = beyond;
    }

    /// The bytes are decoded and gone. Whoever goes beyond the room must not wait for anybody before this.
    pub fn decoded(&self) {
        self.taken().beyond = None;
    }
}

/// What an entry of one log weighs on the wire, learned.
#[derive(Debug)]
pub struct Weight(AtomicU64);

impl Weight {
    /// Before anything is known: more than usual.
    pub fn new(entry_bytes: u64) -> Weight {
        Weight(AtomicU64::new(entry_bytes))
    }

    /// What a range will weigh, in bytes.
    pub fn of(&self, range: &Range<u64>) -> u64 {
        (range.end - range.start).saturating_mul(self.0.load(Ordering::Relaxed))
    }

    /// So many entries came in so many bytes. A quarter is added, and what was heavier once is forgotten slowly.
    pub fn learn(&self, entries: u64, bytes: usize) {
        let seen = (bytes as u64 / entries.max(1)).saturating_mul(5) / 4 + 1;
        let known = self.0.load(Ordering::Relaxed);
        self.0.store(seen.max((known.saturating_mul(3).saturating_add(seen)) / 4), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_bounded_and_given_back() {
        let room = Room::new();
        let pages: Vec<Held> = std::iter::from_fn(|| room.take(Urgency::Backlog, 1 << 20)).collect();
        assert_eq!(pages.len(), BACKLOG >> 20);
        assert!(room.take(Urgency::Backlog, 1).is_none());
        assert!(room.take(Urgency::Fresh, FRESH as u64).is_some(), "heads have room of their own");
        drop(pages);
        // More than there is asks for all.
        let all = room.wait(Urgency::Backlog, u64::MAX).await;
        assert!(room.take(Urgency::Backlog, 1).is_none());
        drop(all);
        assert!(room.take(Urgency::Backlog, BACKLOG as u64).is_some());
    }

    #[tokio::test]
    async fn one_answer_at_a_time_goes_beyond_the_room() {
        let room = Room::new();
        let all = room.wait(Urgency::Backlog, BACKLOG as u64).await;
        let (one, other) = (room.little(Urgency::Backlog, 1), room.little(Urgency::Backlog, 1));
        one.grow_to(4096).await;
        one.grow_to(1 << 20).await;
        one.grow_to(64 << 20).await;
        let mut waiting = Box::pin(other.grow_to(1 << 20));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        one.decoded();
        waiting.await;
        drop(all);
        // What is free is taken first.
        let third = room.little(Urgency::Backlog, 1);
        third.grow_to(BACKLOG / 2).await;
        assert!(room.take(Urgency::Backlog, BACKLOG as u64 / 2).is_none());
    }

    #[test]
    fn the_weight_of_an_entry_is_learned() {
        let weight = Weight::new(6_000);
        assert_eq!(weight.of(&(10..110)), 600_000);
        (0..30).for_each(|_| weight.learn(1000, 1_600_000));
        assert!((2_000..2_010).contains(&weight.of(&(0..1))), "{weight:?}");
        weight.learn(10, 1_000_000);
        assert_eq!(weight.of(&(0..1)), 125_001);
    }
}
