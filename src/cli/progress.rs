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
    /// What is counted, when that began, and when a line was last written.
    now: Mutex<(&'static str, Duration, Duration)>,
}

impl Progress {
    /// Of something that is counted as `what`, such as "rows read".
    pub(super) fn new(what: &'static str) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        if let Some(bar) = &bar {
            bar.set_style(style(what));
        }
        Progress { bar, began: Stopwatch::start(), now: Mutex::new((what, Duration::ZERO, Duration::ZERO)) }
    }

    /// So many are done, of about so many.
    pub(super) fn at(&self, what: &'static str, done: u64, total: u64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.began.elapsed();
        if now.0 != what {
            *now = (what, elapsed, now.2);
            if let Some(bar) = &self.bar {
                bar.reset_eta();
                bar.set_style(style(what));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        if elapsed.saturating_sub(now.2) >= PLAIN_EVERY {
            now.2 = elapsed;
            let rate = done as f64 / elapsed.saturating_sub(now.1).as_secs_f64().max(1e-9);
            let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
            eprintln!("{done} of {total} {what}, {rate:.0}/s, {left:.0} s left");
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(what: &str) -> ProgressStyle {
    let template = format!("{{bar:30}} {{pos}} of {{len}} {what}, {{per_sec}}, {{eta}} left");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
