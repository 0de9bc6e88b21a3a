//! How old reused evidence may be (BR 4.2.1), as the texts in force on each date had it.

use std::fmt;

use crate::clock::{Span, Timestamp, civil_from_days, date, days_from_civil};
use crate::evidence::methods::section;

/// How old the root of a validation may be when the certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calendar months.
    Months(i64),
    /// Days of 86,400 seconds.
    Days(i64),
}

impl Limit {
    /// The last moment at which evidence completed at `completed` may be relied upon.
    pub fn ends(self, completed: Timestamp) -> Timestamp {
        match self {
            Limit::Days(days) => completed.plus(Span::from_days(days)),
            Limit::Months(months) => plus_months(completed, months),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Months(months) => write!(f, "{months} months"),
            Limit::Days(days) => write!(f, "{days} days"),
        }
    }
}

/// BR 4.2.1: the limit for domain names and IP addresses, by the moment of issuance from which it holds.
static REUSE_LIMITS: [(Timestamp, Limit); 6] = [
    (Timestamp::from_millis(i64::MIN), Limit::Months(39)),
    (date(2018, 3, 1), Limit::Days(825)),
    (date(2021, 10, 1), Limit::Days(398)),
    (date(2026, 3, 15), Limit::Days(200)),
    (date(2027, 3, 15), Limit::Days(100)),
    (date(2029, 3, 15), Limit::Days(10)),
];

/// How old a validation by `method` may be for a certificate signed at `signed`.
pub fn reuse_limit(method: &str, signed: Timestamp) -> Limit {
    limit_of(section(method), signed)
}

/// How old a validation by any method may be for a certificate signed at `signed`, at the most.
pub fn longest_reuse(signed: Timestamp) -> Limit {
    limit_of(None, signed)
}

/// The same for a method of this section.
pub(super) fn limit_of(section: Option<&str>, signed: Timestamp) -> Limit {
    // BR 3.2.2.4.22 allows its evidence to be reused for 10 days only; 3.2.2.5.8 rests on the same kind of record.
    if matches!(section, Some("3.2.2.4.22" | "3.2.2.5.8")) {
        return Limit::Days(10);
    }
    let row = REUSE_LIMITS.iter().rev().find(|(since, _)| signed >= *since);
    row.map_or(Limit::Months(39), |(_, limit)| *limit)
}

/// BR 4.2.1: the limit for what is said of an organization or a person (OV, IV).
static IDENTITY_LIMITS: [(Timestamp, Limit); 3] = [
    (Timestamp::from_millis(i64::MIN), Limit::Months(39)),
    (date(2018, 3, 1), Limit::Days(825)),
    (date(2026, 3, 15), Limit::Days(398)),
];

/// EVG 3.2.2.14.3 (11.14.3 before): the limit for everything behind an EV certificate; in days since ballot SC42.
static EV_LIMITS: [(Timestamp, Limit); 2] =
    [(Timestamp::from_millis(i64::MIN), Limit::Months(13)), (date(2021, 10, 1), Limit::Days(398))];

/// From when the domains of an EV certificate follow BR 4.2.1 alone (ballot SC102).
const EV_DOMAINS: Timestamp = date(2026, 8, 13);

/// How old the verification of a subject may be for a certificate of this kind (`OV`, `IV`, `EV`) signed at `signed`;
/// `None` for kinds that verify none.
pub fn identity_limit(vtype: &str, signed: Timestamp) -> Option<Limit> {
    let limits: &[(Timestamp, Limit)] = match vtype.trim().to_ascii_uppercase().as_str() {
        "OV" | "IV" => &IDENTITY_LIMITS,
        "EV" => &EV_LIMITS,
        _ => return None,
    };
    limits.iter().rev().find(|(since, _)| signed >= *since).map(|(_, limit)| *limit)
}

/// The limit that the EV Guidelines set to the validation of a domain for a certificate of this kind, beside the one
/// of the Baseline Requirements; `None` where they set none.
pub fn ev_domain_limit(vtype: &str, signed: Timestamp) -> Option<Limit> {
    let bound = vtype.trim().eq_ignore_ascii_case("EV") && signed < EV_DOMAINS;
    if bound { identity_limit("EV", signed) } else { None }
}

/// The same day and time `months` later, or the last day of that month when it is shorter.
fn plus_months(moment: Timestamp, months: i64) -> Timestamp {
    let days = moment.seconds().div_euclid(86_400);
    let of_day = moment.since(Timestamp::from_seconds(days * 86_400));
    let (year, month, day) = civil_from_days(days);
    let first = year * 12 + i64::from(month) - 1 + months;
    let start = |index: i64| days_from_civil(index.div_euclid(12), (index.rem_euclid(12) + 1) as u8, 1);
    let last = start(first + 1) - 1;
    let later = (start(first) + i64::from(day) - 1).min(last);
    Timestamp::from_seconds(later * 86_400).plus(of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_steps_at_midnight_of_each_date() {
        let second = Span::from_seconds(1);
        let steps = [
            (date(2018, 3, 1), Limit::Months(39), Limit::Days(825)),
            (date(2021, 10, 1), Limit::Days(825), Limit::Days(398)),
            (date(2026, 3, 15), Limit::Days(398), Limit::Days(200)),
            (date(2027, 3, 15), Limit::Days(200), Limit::Days(100)),
            (date(2029, 3, 15), Limit::Days(100), Limit::Days(10)),
        ];
        for (moment, before, after) in steps {
            assert_eq!(reuse_limit("3.2.2.4.7", moment.minus(second)), before, "{moment}");
            assert_eq!(reuse_limit("3.2.2.4.7", moment), after, "{moment}");
            for persistent in ["3.2.2.4.22", "dns-persist-01", "3.2.2.5.8"] {
                assert_eq!(reuse_limit(persistent, moment), Limit::Days(10));
            }
        }
    }

    #[test]
    fn identities_have_limits_of_their_own() {
        let second = Span::from_seconds(1);
        for (kind, day, before, after) in [
            ("OV", date(2018, 3, 1), Limit::Months(39), Limit::Days(825)),
            ("iv", date(2026, 3, 15), Limit::Days(825), Limit::Days(398)),
            ("EV", date(2021, 10, 1), Limit::Months(13), Limit::Days(398)),
        ] {
            assert_eq!(identity_limit(kind, day.minus(second)), Some(before), "{kind} {day}");
            assert_eq!(identity_limit(kind, day), Some(after), "{kind} {day}");
        }
        assert_eq!(identity_limit("DV", date(2026, 1, 1)), None);
        assert_eq!(ev_domain_limit("EV", EV_DOMAINS.minus(second)), Some(Limit::Days(398)));
        assert_eq!((ev_domain_limit("EV", EV_DOMAINS), ev_domain_limit("OV", date(2020, 1, 1))), (None, None));
    }

    #[test]
    fn months_are_calendar_months() {
        let noon = Span::from_seconds(43_200);
        assert_eq!(Limit::Months(39).ends(date(2014, 11, 30).plus(noon)), date(2018, 2, 28).plus(noon));
        assert_eq!(Limit::Months(39).ends(date(2012, 10, 31)), date(2016, 1, 31));
        assert_eq!(Limit::Days(200).ends(date(2026, 1, 1)), date(2026, 7, 20));
        assert_eq!(Limit::Months(39).to_string(), "39 months");
    }

    #[test]
    fn hostile_times_do_not_overflow() {
        for moment in [i64::MIN, i64::MAX] {
            assert_eq!(Limit::Days(10).to_string(), "10 days");
            Limit::Months(39).ends(Timestamp::from_millis(moment));
            Limit::Days(825).ends(Timestamp::from_millis(moment));
        }
    }
}
