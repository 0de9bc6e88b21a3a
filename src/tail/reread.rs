//! When a range that does not have the signed root is read again: at once, because an entry may have been garbled on its
//! way, and when it still does not fit, more and more seldom for ever, because a log may repair what it has spoilt.

use crate::clock::{HOUR, Span, Timestamp};

/// The first pause; it doubles with every reading, up to an hour.
const FIRST_PAUSE: Span = Span::from_seconds(60);
/// Pause for each entry of the range, in milliseconds: no log is read again at more than 100,000 entries an hour.
const MILLIS_PER_ENTRY: i64 = 36;

/// The readings of one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reread {
    /// When the next one begins, and how long the pause before it is; `None` while one is under way.
    next: Option<(Timestamp, Span)>,
    /// The pause after the one that is under way.
    pause: Span,
}

impl Reread {
    /// Whether a range of so many entries that was found not to fit is to be read again now, which is taken to happen.
    pub fn is_due(readings: &mut Option<Reread>, entries: u64, now: Timestamp) -> bool {
        let Some(reread) = readings else {
            *readings = Some(Reread { next: None, pause: FIRST_PAUSE });
            return true;
        };
        match reread.next {
            // A clock that was put back must not make it wait longer than the pause.
            Some((at, pause)) if at <= now || at > now.plus(pause) => {
                reread.next = None;
                true
            }
            Some(_) => false,
            None => {
                let least = Span::from_millis(entries.min(1 << 40) as i64 * MILLIS_PER_ENTRY);
                let pause = reread.pause.max(least);
                reread.next = Some((now.plus(pause), pause));
                reread.pause = reread.pause.plus(reread.pause).min(HOUR);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, date};

    #[test]
    fn a_range_is_read_again_ever_more_seldom_and_never_less_than_hourly() {
        let (mut readings, mut now) = (None, date(2026, 11, 22));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(Reread::is_due(&mut readings, 700, now), "read again");
            assert!(!Reread::is_due(&mut readings, 700, now), "and found wanting");
            let began = now;
            while !Reread::is_due(&mut readings.clone(), 700, now) {
                now = now.plus(Span::from_seconds(1));
            }
            pauses.push(now.since(began).seconds());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    }

    #[test]
    fn a_large_range_is_read_again_so_seldom_that_it_costs_little() {
        let (mut readings, now) = (None, date(2026, 11, 22));
        assert!(Reread::is_due(&mut readings, 1_000_000, now));
        assert!(!Reread::is_due(&mut readings, 1_000_000, now));
        assert!(!Reread::is_due(&mut readings, 1_000_000, now.plus(Span::from_seconds(35_999))));
        assert!(Reread::is_due(&mut readings, 1_000_000, now.plus(Span::from_seconds(36_000))));
    }

    #[test]
    fn a_clock_that_is_put_back_delays_nothing() {
        let (mut readings, now) = (None, date(2026, 11, 22));
        assert!(Reread::is_due(&mut readings, 700, now));
        assert!(!Reread::is_due(&mut readings, 700, now));
        assert!(Reread::is_due(&mut readings, 700, now.minus(DAY)));
    }
}
