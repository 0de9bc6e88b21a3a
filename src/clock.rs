//! The only place that asks the time.
//!
//! All times are UTC. CT speaks in milliseconds since the Unix epoch (RFC 6962 3.2), so that is what a
//! [`Timestamp`] counts; X.509 and the Baseline Requirements speak in whole seconds and days, which fit in it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A span of time in milliseconds; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

/// One day of 86,400 seconds, the day of BR 6.3.2.
pub const DAY: Span = Span::from_seconds(86_400);
/// One hour.
pub const HOUR: Span = Span::from_seconds(3_600);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }
    /// From the time that the system gives a file; saturates.
    pub fn from_system(time: std::time::SystemTime) -> Timestamp {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
    /// From seconds since the Unix epoch; saturates.
    pub const fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1000))
    }
    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Seconds since the Unix epoch with their fraction, as Prometheus wants them.
    pub fn seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
    /// This moment plus a span; saturates instead of overflowing, because spans may come from certificates.
    pub const fn plus(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
    /// This moment minus a span; saturates.
    pub const fn minus(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
    /// The span from `earlier` to this moment; negative when `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
    /// RFC 3339 to the second, or `None` when the text is not a moment ("2026-03-15" alone is midnight UTC).
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(moment.as_millisecond()));
        }
        let day: jiff::civil::Date = text.parse().ok()?;
        (text.len() == 10).then(|| date(day.year().into(), day.month() as u8, day.day() as u8))
    }
    /// `2026-11-22 09:14Z`: the form of mails and tables, to the minute.
    pub fn minute(self) -> String {
        let text = self.to_string();
        match text.get(..16) {
            Some(head) if text.len() == 20 => format!("{}Z", head.replace('T', " ")),
            _ => text,
        }
    }
    /// The year in the proleptic Gregorian calendar.
    pub fn year(self) -> i64 {
        civil_from_days(self.seconds().div_euclid(86_400)).0
    }
    /// `2026-11-22`: the day alone.
    pub fn day(self) -> String {
        let (year, month, day) = civil_from_days(self.seconds().div_euclid(86_400));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl Span {
    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Span {
        Span(millis)
    }
    /// From seconds; saturates.
    pub const fn from_seconds(seconds: i64) -> Span {
        Span(seconds.saturating_mul(1000))
    }
    /// From days of 86,400 seconds; saturates.
    pub const fn from_days(days: i64) -> Span {
        Span(days.saturating_mul(86_400_000))
    }
    /// Milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Seconds with their fraction.
    pub fn seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
    /// Whole days of 86,400 seconds, rounded down.
    pub const fn days(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }
    /// The sum of two spans; saturates.
    pub const fn plus(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
    /// The same as a [`std::time::Duration`]; a negative span is zero.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0) as u64)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        if !(0..10_000).contains(&year) {
            return write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        }
        // The same without the machinery of `write!`: an audit tells millions of moments.
        let mut text = *b"0000-00-00T00:00:00Z";
        let mut put = |at: usize, number: i64| {
            text[at] += (number / 10 % 10) as u8;
            text[at + 1] += (number % 10) as u8;
        };
        let fields = [
            (0, year / 100),
            (2, year % 100),
            (5, month.into()),
            (8, day.into()),
            (11, hour),
            (14, minute),
            (17, second),
        ];
        fields.into_iter().for_each(|(at, number)| put(at, number));
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}+{}ms", self.0.rem_euclid(1000))
    }
}

impl fmt::Display for Span {
    /// The two largest units: `3d 4h`, `2h 30m`, `45s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let seconds = self.0.unsigned_abs() / 1000;
        let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        match (d, h, m) {
            (0, 0, 0) => write!(f, "{sign}{s}s"),
            (0, 0, _) => write!(f, "{sign}{m}m {s}s"),
            (0, _, _) => write!(f, "{sign}{h}h {m}m"),
            _ => write!(f, "{sign}{d}d {h}h"),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Midnight UTC at the start of a day of the Gregorian calendar; `const`, so that rule tables can hold it.
pub const fn date(year: i64, month: u8, day: u8) -> Timestamp {
    Timestamp(days_from_civil(year, month, day) * 86_400_000)
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible
/// low-level date algorithms").
pub const fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month as i64 + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day as i64 - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The day of the proleptic Gregorian calendar that lies `days` after 1970-01-01, as (year, month, day).
pub const fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u8;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u8;
    let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Where the time comes from. Clones of a manual clock share one hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The clock of the machine.
    System,
    /// A clock that tests set.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A manual clock that stands at `start`.
    pub fn manual(start: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(start.0)))
    }
    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Timestamp(since.map(|d| d.as_millis() as i64).unwrap_or(0))
            }
            Clock::Manual(hand) => Timestamp(hand.load(Ordering::SeqCst)),
        }
    }
    /// Moves a manual clock on; does nothing to the machine's clock.
    pub fn advance(&self, span: Span) {
        if let Clock::Manual(hand) = self {
            hand.fetch_add(span.0, Ordering::SeqCst);
        }
    }
}

/// Measures how long something takes; never goes backwards.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }
    /// Time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_jiff_over_four_centuries() {
        for days in (-73_000..73_000).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            let text = Timestamp::from_seconds(days * 86_400).to_string();
            assert_eq!(Timestamp::parse(&text), Some(date(year, month, day)), "{text}");
        }
    }

    #[test]
    fn forms_people_read() {
        let t = date(2026, 11, 22).plus(Span::from_seconds(9 * 3600 + 14 * 60 + 2));
        assert_eq!(t.to_string(), "2026-11-22T09:14:02Z");
        assert_eq!(t.minute(), "2026-11-22 09:14Z");
        assert_eq!(t.day(), "2026-11-22");
        assert_eq!(t.year(), 2026);
        assert_eq!(Span::from_seconds(100_000).to_string(), "1d 3h");
        assert_eq!(Span::from_seconds(-61).to_string(), "-1m 1s");
        assert_eq!(Timestamp::parse("2026-03-15"), Some(date(2026, 3, 15)));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn hostile_spans_do_not_overflow() {
        assert_eq!(Timestamp::from_millis(i64::MAX).plus(DAY).millis(), i64::MAX);
        assert_eq!(Timestamp::from_millis(i64::MIN).since(Timestamp::from_millis(1)).millis(), i64::MIN);
    }
}
