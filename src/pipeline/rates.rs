//! How fast a log grows and how fast it is read, and a line now and then while it catches up.

use std::time::Duration;

use crate::clock::{Span, Stopwatch};

/// Over how long the rates are taken, and how often a log that catches up says how far it is.
const WINDOW: Duration = Duration::from_secs(10);

/// The rates of one position.
#[derive(Debug)]
pub(super) struct Rates {
    since: Stopwatch,
    entries: u64,
    head: Option<u64>,
}

impl Rates {
    pub fn new() -> Rates {
        Rates { since: Stopwatch::start(), entries: 0, head: None }
    }

    /// Counts entries. At the end of a window: entries per second by which the log grew and which were read, and a
    /// line about what is left.
    pub fn report(&mut self, log: &str, count: u64, done: u64, head: u64) -> Option<(f64, f64)> {
        self.entries += count;
        let first = *self.head.get_or_insert(head);
        if self.since.elapsed() < WINDOW {
            return None;
        }
        let seconds = self.since.seconds();
        let (growth, read) = (head.saturating_sub(first) as f64 / seconds, self.entries as f64 / seconds);
        let left = head.saturating_sub(done);
        if left > 0 && read <= growth {
            tracing::warn!(log, done, left, growth = growth.round(), read = read.round(), "cannot keep up");
        } else if left > 0 {
            let time_left = Span::from_seconds((left as f64 / (read - growth).max(0.001)) as i64);
            tracing::info!(log, done, left, entries_per_second = read.round(), %time_left, "catching up");
        }
        *self = Rates { since: Stopwatch::start(), entries: 0, head: Some(head) };
        Some((growth, read))
    }
}
