//! How far a long command has come, on standard error.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::Stopwatch;

/// How often a line of progress is written where nothing can be redrawn.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How far it has come: a bar on a terminal, a line now and then elsewhere.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    began: Stopwatch,
    now: Mutex<Now>,
}

/// What is counted now. Times are since the beginning.
struct Now {
    what: &'static str,
    began: Duration,
    /// How many were done at first: the first report may come after the first of them.
    done_at_first: u64,
    /// When a line was last written.
    written: Duration,
}

impl Progress {
    /// Of something that is counted as `what`, such as "rows read".
    pub(super) fn new(what: &'static str) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        if let Some(bar) = &bar {
            bar.set_style(style(what));
        }
        let now = Now { what, began: Duration::ZERO, done_at_first: 0, written: Duration::ZERO };
        Progress { bar, began: Stopwatch::start(), now: Mutex::new(now) }
    }

    /// So many are done, of about so many.
    pub(super) fn at(&self, what: &'static str, done: u64, total: u64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.began.elapsed();
        let is_new = now.counts(what, done, elapsed);
        if let Some(bar) = &self.bar {
            if is_new {
                bar.reset_eta();
                bar.set_style(style(what));
            }
            bar.set_length(total);
            bar.set_position(done);
        } else if let Some(line) = now.line(done, total, elapsed) {
            eprintln!("{line}");
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Now {
    /// Whether it is something else than before that is counted from now on.
    fn counts(&mut self, what: &'static str, done: u64, elapsed: Duration) -> bool {
        let is_new = self.what != what;
        if is_new {
            *self = Now { what, began: elapsed, done_at_first: done, ..*self };
        }
        is_new
    }

    /// The next line, when it is time for one.
    fn line(&mut self, done: u64, total: u64, elapsed: Duration) -> Option<String> {
        if elapsed.saturating_sub(self.written) < PLAIN_EVERY {
            return None;
        }
        self.written = elapsed;
        let lately = done.saturating_sub(self.done_at_first);
        if lately == 0 {
            return Some(format!("{done} of {total} {}", self.what));
        }
        let rate = lately as f64 / elapsed.saturating_sub(self.began).as_secs_f64().max(1e-9);
        let left = total.saturating_sub(done) as f64 / rate;
        Some(format!("{done} of {total} {}, {rate:.0}/s, {left:.0} s left", self.what))
    }
}

fn style(what: &str) -> ProgressStyle {
    ProgressStyle::with_template(&template(what)).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn template(what: &str) -> String {
    format!("{{bar:30}} {{pos}} of {{len}} {what}, {{per_sec}}, {{eta}} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_now_and_then_says_how_long_it_will_take() {
        let (what, began, written) = ("rows read", Duration::ZERO, Duration::ZERO);
        let mut now = Now { what, began, done_at_first: 0, written };
        let mut at = |what, second, done, total| {
            let elapsed = Duration::from_secs(second);
            now.counts(what, done, elapsed);
            now.line(done, total, elapsed)
        };
        assert_eq!(at("rows read", 1, 100, 4_000), None);
        assert_eq!(at("rows read", 10, 1_000, 4_000).as_deref(), Some("1000 of 4000 rows read, 100/s, 30 s left"));
        assert_eq!(at("rows read", 19, 1_900, 4_000), None, "not yet again");
        assert_eq!(at("rows read", 20, 2_000, 4_000).as_deref(), Some("2000 of 4000 rows read, 100/s, 20 s left"));
        assert_eq!(at("rows read", 30, 0, 4_000).as_deref(), Some("0 of 4000 rows read"), "who knows");
        // What is counted anew has a speed of its own, from where it is first told of.
        assert_eq!(at("names judged", 40, 100, 1_000).as_deref(), Some("100 of 1000 names judged"));
        assert_eq!(at("names judged", 50, 600, 1_000).as_deref(), Some("600 of 1000 names judged, 50/s, 8 s left"));
        assert_eq!(at("names judged", 60, 1_300, 1_000).as_deref(), Some("1300 of 1000 names judged, 60/s, 0 s left"));
    }

    #[test]
    fn the_bar_is_well_formed() {
        // A template that is not would be replaced by one without the time left, and nobody would see why.
        assert!(ProgressStyle::with_template(&template("rows read")).is_ok());
        assert!(template("rows read").ends_with("{pos} of {len} rows read, {per_sec}, {eta} left"));
    }
}
