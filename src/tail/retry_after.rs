//! How long a host wants to be left alone.

use crate::clock::{Span, Timestamp};

/// Retry-After in its three forms: seconds, an HTTP-date that ends in GMT (RFC 9110 10.2.3), and the HTTP-date that
/// ends in UTC which one log implementation sends. `None` when it is anything else; never negative.
pub fn parse(header: &[u8], now: Timestamp) -> Option<Span> {
    let text = std::str::from_utf8(header).ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Span::from_seconds(seconds.into()));
    }
    let date = text.replace("UTC", "GMT");
    let moment = jiff::fmt::rfc2822::parse(&date).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(moment).since(now).max(Span::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    #[test]
    fn all_forms_are_understood() {
        let now = date(2026, 11, 21).plus(Span::from_seconds(84_420));
        let read = |text: &str| parse(text.as_bytes(), now);
        assert_eq!(read("17"), Some(Span::from_seconds(17)));
        assert_eq!(read("Sat, 21 Nov 2026 23:27:30 GMT"), Some(Span::from_seconds(30)));
        assert_eq!(read("Sat, 21 Nov 2026 23:27:30 UTC"), Some(Span::from_seconds(30)));
        assert_eq!(read("Sat, 21 Nov 2026 20:00:00 GMT"), Some(Span::default()), "the past means now");
        for odd in ["soon", "", "-1", "4294967296", "1.5"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(parse(b"\xff", now), None);
    }
}
