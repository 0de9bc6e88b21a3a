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
        match time_left(left, growth, read) {
            _ if left == 0 => {}
            None => {
                tracing::warn!(log, done, left, growth = growth.round(), read = read.round(), "cannot keep up");
            }
            Some(time_left) => {
                tracing::info!(log, done, left, entries_per_second = read.round(), %time_left, "catching up");
            }
        }
        *self = Rates { since: Stopwatch::start(), entries: 0, head: Some(head) };
        Some((growth, read))
    }
}

/// How long it takes to read what is left of a log that grows meanwhile; `None` when it is never read to its end.
fn time_left(left: u64, growth: f64, read: f64) -> Option<Span> {
    (read > growth).then(|| Span::from_seconds((left as f64 / (read - growth)).ceil() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_at_the_rate_that_growth_leaves() {
        assert_eq!(time_left(12_000, 0.0, 400.0), Some(Span::from_seconds(30)));
        assert_eq!(time_left(12_000, 100.0, 400.0), Some(Span::from_seconds(40)));
        assert_eq!(time_left(1, 0.0, 400.0), Some(Span::from_seconds(1)));
        assert_eq!(time_left(12_000, 400.0, 400.0), None);
        assert_eq!(time_left(12_000, 400.0, 0.0), None);
        assert!(time_left(u64::MAX, 0.0, 0.001).is_some_and(|span| span > Span::from_days(365)));
    }
}
