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
    use super::*;

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
