//! What to ask for next. Pure.

use std::ops::Range;

use crate::ct::tile::TILE_WIDTH;

/// The most entries that are asked for in one request.
pub const LARGEST_PAGE: u64 = 1000;

/// Cuts `[next, head)` into the first `count` requests of a get-entries log that answers `page` entries at a time.
/// Requests end on multiples of the page, because some logs cut there whatever was asked ("coerced").
pub fn pages(next: u64, head: u64, page: u64, count: usize) -> Vec<Range<u64>> {
    cut(next, head, page.clamp(1, LARGEST_PAGE), count)
}

/// Cuts `[next, head)` into the first `count` data tiles. The first may begin and the last may end inside a tile.
pub fn tiles(next: u64, head: u64, count: usize) -> Vec<Range<u64>> {
    cut(next, head, TILE_WIDTH.into(), count)
}

fn cut(mut next: u64, head: u64, step: u64, count: usize) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    while next < head && ranges.len() < count {
        let end = (next / step).saturating_add(1).saturating_mul(step).min(head);
        ranges.push(next..end);
        next = end;
    }
    ranges
}

/// The page size after an answer. Where the answer began tells what it shows: at a place where the log itself had cut
/// (`at_cut`), a short answer is as long as the log makes them; elsewhere it may have been cut by alignment and shows
/// nothing. A full page shows that more may be had: a log that once gave little, because a backend lagged or its
/// operator changed a setting, is not asked for little for ever. Doubling keeps requests aligned with the log's pages.
pub fn learn(page: u64, wanted: u64, got: u64, at_cut: bool) -> u64 {
    match got {
        0 => page,
        _ if got < wanted && at_cut => got,
        _ if got == wanted && wanted == page => page.saturating_mul(2).min(LARGEST_PAGE),
        _ => page,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// How a log answers a request.
    #[derive(Clone, Copy, Debug)]
    enum Answer {
        Whole,
        /// So many entries and no more.
        Short(u64),
        /// Cut where a multiple of this ends, whatever was asked.
        Aligned(u64),
        Empty,
        /// More than was asked for.
        More(u64),
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            4 => Just(Answer::Whole),
            2 => (1u64..300).prop_map(Answer::Short),
            2 => (1u64..600).prop_map(Answer::Aligned),
            1 => Just(Answer::Empty),
            1 => (1u64..50).prop_map(Answer::More),
        ]
    }

    impl Answer {
        /// How many entries are taken from the answer to `asked`: what is beyond it is left out.
        fn count(self, asked: &Range<u64>) -> u64 {
            let wanted = asked.end - asked.start;
            match self {
                Answer::Whole => wanted,
                Answer::Short(count) => count.min(wanted),
                Answer::Aligned(step) => (step - asked.start % step).min(wanted),
                Answer::Empty => 0,
                Answer::More(more) => (wanted + more).min(wanted),
            }
        }
    }

    /// Reads `[next, head)` as the client does, several requests planned ahead and all of them planned again after an
    /// empty answer. What was read, in order.
    fn read(mut next: u64, head: u64, ahead: usize, answers: &[Answer]) -> Vec<Range<u64>> {
        let (mut page, mut planned, mut read) = (LARGEST_PAGE, VecDeque::new(), Vec::new());
        let mut answers = answers.iter().copied().chain(std::iter::repeat(Answer::Whole));
        while next < head {
            let from = planned.back().map_or(next, |range: &Range<u64>| range.end);
            planned.extend(pages(from, head, page, ahead - planned.len()));
            assert!(planned.iter().all(|range| range.end - range.start <= LARGEST_PAGE));
            let range = planned.pop_front().expect("there is more to read, so something is planned");
            assert_eq!(range.start, next, "a gap or an overlap");
            let mut at_cut = range.start == 0;
            while next < range.end {
                let asked = next..range.end.min(next + page);
                let got = answers.next().expect("answers without end").count(&asked);
                if got == 0 {
                    planned.clear();
                    break;
                }
                page = learn(page, asked.end - asked.start, got, at_cut);
                assert!((1..=LARGEST_PAGE).contains(&page));
                at_cut = got < asked.end - asked.start;
                read.push(next..next + got);
                next += got;
            }
        }
        read
    }

    proptest! {
        #[test]
        fn every_entry_is_read_once_whatever_the_answers(
            start in prop_oneof![Just(0u64), 0u64..5_000, Just(u64::MAX - 9_000)],
            length in 0u64..8_000,
            ahead in 1usize..9,
            answers in prop::collection::vec(answer(), 0..60),
        ) {
            let head = start.saturating_add(length);
            let mut at = start;
            for range in read(start, head, ahead, &answers) {
                prop_assert_eq!(range.start, at);
                at = range.end;
            }
            prop_assert_eq!(at, head);
        }

        #[test]
        fn tiles_cover_everything_once(start in any::<u64>(), length in 0u64..10_000, count in 0usize..50) {
            let head = start.saturating_add(length);
            let mut at = start;
            for range in tiles(start, head, count) {
                prop_assert_eq!(range.start, at);
                prop_assert!(range.start < range.end && range.start / 256 == (range.end - 1) / 256);
                at = range.end;
            }
            let tiles_needed = if head > start { (head - 1) / 256 - start / 256 + 1 } else { 0 };
            prop_assert!(at == head || tiles_needed > count as u64);
        }

        /// A log that gives `most` at a time, cut or not cut at multiples of it, is soon asked for just that.
        #[test]
        fn the_page_settles(most in 1u64..2_000, aligned in any::<bool>()) {
            let one = if aligned { Answer::Aligned(most) } else { Answer::Short(most) };
            let reads = read(0, 40_000, 4, &vec![one; 50_000]);
            let needed = 40_000_usize.div_ceil(most.min(LARGEST_PAGE) as usize);
            prop_assert!(reads.len() <= needed * 2 + 20, "{} requests, {} would do", reads.len(), needed);
        }
    }

    #[test]
    fn requests_cover_everything_once_and_in_order() {
        for (next, head, page) in [(0, 1, 1000), (0, 2500, 1000), (300, 1300, 256), (999, 1000, 1), (5, 5, 10)] {
            let ranges = pages(next, head, page, usize::MAX);
            let mut at = next;
            for range in &ranges {
                assert_eq!(range.start, at);
                assert!(range.end == head || range.end % page.min(LARGEST_PAGE) == 0);
                at = range.end;
            }
            assert_eq!(at, head);
        }
        assert_eq!(tiles(250, 600, 2), vec![250..256, 256..512]);
        assert_eq!(pages(u64::MAX - 1, u64::MAX, 1000, 5), vec![u64::MAX - 1..u64::MAX]);
    }

    #[test]
    fn the_page_is_learned_where_the_log_cut_and_grows_again() {
        assert_eq!(learn(1000, 1000, 256, true), 256);
        assert_eq!(learn(1000, 1000, 24, false), 1000, "cut by alignment");
        assert_eq!(learn(1000, 300, 300, false), 1000);
        assert_eq!(learn(256, 256, 0, true), 256);
        assert_eq!(learn(1000, 1000, 1000, true), 1000);
        let mut page = learn(1000, 1000, 1, true);
        assert_eq!(page, 1);
        for _ in 0..12 {
            page = learn(page, page, page, true);
        }
        assert_eq!(page, 1000, "one entry given once is not one entry for ever");
    }
}
