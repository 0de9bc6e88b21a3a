//! How many requests of one log are under way at once. Pure.
//!
//! A log far away needs many, or the line is idle while answers travel; a log that is slow because it is busy, or a
//! monitor that is, needs no more. So the number begins small and grows with every answer as long as answers come as
//! fast as they ever did, and shrinks when they queue up. How often a host may be asked is the business of its pace:
//! waiting for a turn makes an answer late like anything else.

use std::time::Duration;

/// With how many requests a log begins, and the fewest.
const FEWEST: usize = 4;
/// The most: 32 entries each 100 ms need 32 requests for 10,000 entries a second.
const MOST: usize = 48;
/// An answer that took so many times the shortest still came without a queue.
const PROMPT: f64 = 1.5;
/// An answer that took so many times the shortest stood in one.
const QUEUED: f64 = 3.0;
/// The shortest time is forgotten by so much with each answer, because ways and pages change.
const FORGET: f64 = 1.01;

/// The number for one log.
#[derive(Clone, Debug)]
pub struct Window {
    width: usize,
    /// The shortest time of an answer, in seconds.
    least: f64,
}

impl Window {
    /// As a log begins.
    pub fn new() -> Window {
        Window { width: FEWEST, least: f64::INFINITY }
    }

    /// How many requests may be under way.
    pub fn width(&self) -> usize {
        self.width
    }

    /// An answer came after `took`, all waiting of ours included; `is_short` says that as many as may be were under way
    /// and others are still waited for, so that the line holds the reading up and nothing else.
    pub fn answered(&mut self, took: Duration, is_short: bool) {
        let took = took.as_secs_f64();
        self.least = (self.least * FORGET).min(took);
        if took > self.least * QUEUED {
            self.width = (self.width - 1).max(FEWEST);
        } else if is_short && took <= self.least * PROMPT {
            self.width = (self.width + 1).min(MOST);
        }
    }

    /// A request failed, or the host asked for less.
    pub fn failed(&mut self) {
        self.width = (self.width / 2).max(FEWEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_millis(100);

    #[test]
    fn a_log_far_away_gets_many_requests_and_a_busy_one_few() {
        let mut window = Window::new();
        assert_eq!(window.width(), FEWEST);
        (0..100).for_each(|_| window.answered(FAR, true));
        assert_eq!(window.width(), MOST);
        // Answers that queue say that fewer would do.
        (0..200).for_each(|_| window.answered(FAR * 8, true));
        assert!(window.width() < MOST);
        let mut window = Window::new();
        window.answered(FAR, true);
        (0..20).for_each(|_| window.answered(FAR * 4, true));
        assert_eq!(window.width(), FEWEST);
        // Nothing is gained while everything that was asked for is there already.
        (0..20).for_each(|_| window.answered(FAR, false));
        assert_eq!(window.width(), FEWEST);
    }

    #[test]
    fn a_failure_halves_the_number_and_leaves_the_fewest() {
        let mut window = Window::new();
        (0..100).for_each(|_| window.answered(FAR, true));
        window.failed();
        assert_eq!(window.width(), MOST / 2);
        (0..9).for_each(|_| window.failed());
        assert_eq!(window.width(), FEWEST);
    }
}
