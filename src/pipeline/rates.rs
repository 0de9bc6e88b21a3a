//! How fast a log grows and how fast it is read, and a line now and then while it catches up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::books::keeps_up;
use crate::clock::{Span, Stopwatch};

/// How often a log that catches up says how far it is.
const WINDOW: Duration = Duration::from_secs(10);
/// Over how long the rates are taken, at most, unless the log has had a single head in that time.
const LONGEST_SECONDS: f64 = 300.0;

/// The rates of one position.
#[derive(Debug)]
pub(super) struct Rates {
    since: Stopwatch,
    entries: u64,
    head: Option<u64>,
    past: Past,
    behind: bool,
}

impl Rates {
    pub fn new() -> Rates {
        Rates { since: Stopwatch::start(), entries: 0, head: None, past: Past::default(), behind: false }
    }

    /// Counts entries. Now and then: entries per second by which the log grew and which were read, and a line about what
    /// is left.
    pub fn report(&mut self, log: &str, count: u64, done: u64, head: u64) -> Option<(f64, f64)> {
        self.entries += count;
        self.head.get_or_insert(head);
        if self.since.elapsed() < WINDOW {
            return None;
        }
        let (growth, read) = self.end_window(head);
        let left = head.saturating_sub(done);
        self.behind = !keeps_up(growth, read);
        if left > 0 && self.behind {
            tracing::warn!(log, done, left, growth = growth.round(), read = read.round(), "cannot keep up");
        } else if left > 0 {
            let time_left = time_left(left, growth, read);
            tracing::info!(log, done, left, entries_per_second = read.round(), %time_left, "catching up");
        }
        Some((growth, read))
    }

    /// Everything below `head` is read, so that the log is kept up with as long as no more is known: the rates, when they
    /// said otherwise before.
    pub fn caught_up(&mut self, head: u64) -> Option<(f64, f64)> {
        if !std::mem::take(&mut self.behind) {
            return None;
        }
        let (growth, read) = self.end_window(head);
        Some((growth.min(read), read))
    }

    fn end_window(&mut self, head: u64) -> (f64, f64) {
        let grown = head.saturating_sub(self.head.unwrap_or(head));
        self.past.add(self.since.seconds(), grown, self.entries);
        (self.since, self.entries, self.head) = (Stopwatch::start(), 0, Some(head));
        self.past.rates()
    }
}

/// Entries that were read over some time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    seconds: f64,
    grown: u64,
    read: u64,
}

/// The last minutes. A log grows by a head, and a head is read to its end before the next one is looked at: what a new
/// head brings has grown since the one before, so that a window ends with a head.
#[derive(Debug, Default)]
struct Past {
    windows: VecDeque<Window>,
    /// Since the last head.
    open: Window,
}

impl Past {
    fn add(&mut self, seconds: f64, grown: u64, read: u64) {
        let open = self.open;
        self.open = Window { seconds: open.seconds + seconds, grown, read: open.read + read };
        if grown == 0 {
            return;
        }
        self.windows.push_back(std::mem::take(&mut self.open));
        while self.windows.len() > 1 && self.sum().seconds > LONGEST_SECONDS {
            self.windows.pop_front();
        }
    }

    fn sum(&self) -> Window {
        self.windows.iter().fold(Window::default(), |sum, window| Window {
            seconds: sum.seconds + window.seconds,
            grown: sum.grown + window.grown,
            read: sum.read + window.read,
        })
    }

    /// Entries per second: growth, reading.
    fn rates(&self) -> (f64, f64) {
        let (whole, open) = (self.sum(), self.open);
        let per_second = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let read = per_second(whole.read + open.read, whole.seconds + open.seconds);
        (per_second(whole.grown, whole.seconds), read)
    }
}

/// How long it takes to read what is left of a log that grows meanwhile.
fn time_left(left: u64, growth: f64, read: f64) -> Span {
    Span::from_seconds((left as f64 / (read - growth).max(0.001)).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_at_the_rate_that_growth_leaves() {
        assert_eq!(time_left(12_000, 0.0, 400.0), Span::from_seconds(30));
        assert_eq!(time_left(12_000, 100.0, 400.0), Span::from_seconds(40));
        assert_eq!(time_left(1, 0.0, 400.0), Span::from_seconds(1));
        assert!(time_left(12_000, 400.0, 400.0) > Span::from_days(100), "at no speed it takes for ever");
        assert!(time_left(u64::MAX, 400.0, 0.0) > Span::from_days(365));
    }

    #[test]
    fn a_head_that_comes_now_and_then_is_spread_over_the_time_since_the_last() {
        let mut past = Past::default();
        assert_eq!(past.rates(), (0.0, 0.0));
        // A head of 3,000 entries once in five times ten seconds, read at 60/s: the log keeps up.
        for ten_seconds in 1..=60 {
            past.add(10.0, if ten_seconds % 5 == 0 { 3_000 } else { 0 }, 600);
            let (growth, read) = past.rates();
            assert!(keeps_up(growth, read) && read == 60.0, "{ten_seconds}: {growth} {read}");
        }
        assert_eq!(past.rates(), (60.0, 60.0));
        // And at 50/s it does not.
        (1..=60).for_each(|ten_seconds| past.add(10.0, if ten_seconds % 5 == 0 { 3_000 } else { 0 }, 500));
        assert_eq!(past.rates(), (60.0, 50.0));
        assert!(!keeps_up(60.0, 50.0));
    }

    #[test]
    fn a_log_that_was_behind_and_is_read_to_its_head_keeps_up() {
        let mut rates = Rates::new();
        assert_eq!(rates.report("a", 100, 100, 1_000), None, "the window has just begun");
        assert_eq!(rates.caught_up(1_000), None, "nobody said otherwise");
        rates.behind = true;
        rates.report("a", 900, 1_000, 1_000);
        let (growth, read) = rates.caught_up(1_000).expect("it said otherwise");
        assert!(growth == 0.0 && read > 0.0);
        assert_eq!(rates.caught_up(1_000), None);
        // Whatever it grew by before.
        rates.past = Past::default();
        rates.past.add(10.0, 1_000, 500);
        rates.behind = true;
        let (growth, read) = rates.caught_up(1_000).expect("it said otherwise");
        assert!(growth == read && read > 0.0, "{growth} {read}");
    }
}
