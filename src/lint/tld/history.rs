//! What our own reading of the IANA list has shown. The lists of past days cannot be fetched again.

use crate::clock::{DAY, Timestamp};

/// One stay of a label in the root zone, by the lists that were read. All days are midnights UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The label, in lower case.
    pub tld: Box<str>,
    /// The day of the last list before `first_seen` that lacked it; `None` when there was no list before, so that
    /// nothing is known of when it came.
    pub absent_on: Option<Timestamp>,
    /// The day of the first list that had it.
    pub first_seen: Timestamp,
    /// The day of the last list that had it.
    pub last_seen: Timestamp,
    /// The day of the first list after `last_seen` that lacked it; `None` while the newest list has it.
    pub gone_on: Option<Timestamp>,
}

impl Observed {
    /// From when on it counts as delegated; `None`: since before anyone looked.
    pub(super) fn delegated(&self) -> Option<Timestamp> {
        self.absent_on.map(|_| self.first_seen)
    }
    /// From when on it counts as gone: the day after it was last seen.
    pub(super) fn gone(&self) -> Option<Timestamp> {
        self.gone_on.map(|_| self.last_seen.plus(DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR, Span, date};
    use crate::lint::tld::{GtldRegistry, TldState, TldTable};

    fn seen(tld: &str, days: [Option<(i64, u8, u8)>; 4]) -> Observed {
        let [absent_on, first_seen, last_seen, gone_on] = days.map(|day| day.map(|(y, m, d)| date(y, m, d)));
        let (first_seen, last_seen) = (first_seen.expect("a day"), last_seen.expect("a day"));
        Observed { tld: tld.into(), absent_on, first_seen, last_seen, gone_on }
    }

    #[test]
    fn a_label_counts_from_the_first_list_that_has_it_to_the_day_after_the_last() {
        let history = [
            seen("zzznew", [Some((2026, 11, 20)), Some((2026, 11, 21)), Some((2026, 11, 25)), Some((2026, 11, 26))]),
            seen("zzznew", [Some((2026, 11, 29)), Some((2026, 12, 1)), Some((2026, 12, 9)), None]),
        ];
        let table = TldTable::embedded().with(None, &history);
        assert_eq!(table.as_of(), date(2026, 12, 9));
        let second = Span::from_seconds(1);
        for (moment, state) in [
            (date(2026, 11, 1), TldState::NotYet(date(2026, 11, 21))),
            (date(2026, 11, 21).minus(second), TldState::NotYet(date(2026, 11, 21))),
            (date(2026, 11, 21), TldState::Delegated),
            (date(2026, 11, 26).minus(second), TldState::Delegated),
            (date(2026, 11, 26), TldState::Removed(date(2026, 11, 26))),
            (date(2026, 11, 30).minus(second), TldState::Removed(date(2026, 11, 26))),
            // No list of 11-30 was read: it may have come back on that day.
            (date(2026, 11, 30), TldState::Unsure(date(2026, 11, 29), date(2026, 12, 1))),
            (date(2026, 12, 1), TldState::Delegated),
            (date(2027, 12, 1), TldState::Delegated),
        ] {
            assert_eq!(table.state_at(b"ZzzNEW", moment), state, "{moment}");
        }
    }

    #[test]
    fn a_stated_date_wins_over_an_observed_one() {
        let body = |tld: &str, delegated: &str, removed: &str| {
            let filler: Vec<String> = (0..1000)
                .map(|n| format!(r#"{{"gTLD": "filler{n}", "delegationDate": "2014-01-01", "removalDate": null}}"#))
                .collect();
            let row = format!(r#"{{"gTLD": "{tld}", "delegationDate": {delegated}, "removalDate": {removed}}}"#);
            format!(r#"{{"gTLDs": [{}, {row}], "updatedOn": "2026-11-22"}}"#, filler.join(", "))
        };
        let registry = |text: String| GtldRegistry::parse(text.as_bytes(), date(2026, 11, 22)).expect("a registry");
        let history =
            [seen("zzznew", [Some((2026, 11, 10)), Some((2026, 11, 20)), Some((2026, 11, 25)), Some((2026, 11, 30))])];
        let stated = registry(body("zzznew", "\"2026-11-15\"", "\"2026-11-27\""));
        let table = TldTable::embedded().with(Some(&stated), &history);
        assert_eq!(table.dates(b"zzznew"), [date(2026, 11, 15), date(2026, 11, 28)]);
        // One date alone is stated: the other one is ours.
        let half = TldTable::embedded().with(Some(&registry(body("zzznew", "\"2026-11-15\"", "null"))), &history);
        assert_eq!(half.state_at(b"zzznew", date(2026, 11, 15)), TldState::Delegated);
        assert_eq!(
            half.state_at(b"zzznew", date(2026, 11, 26)),
            TldState::Unsure(date(2026, 11, 25), date(2026, 11, 30))
        );
        assert_eq!(half.state_at(b"zzznew", date(2026, 11, 30)), TldState::Removed(date(2026, 11, 26)));
        // Nothing is stated: a gTLD without a delegation date is under contract and not in the root.
        let none = TldTable::embedded().with(Some(&registry(body("zzznew", "null", "null"))), &history);
        assert_eq!(none.state_at(b"zzznew", date(2026, 11, 20)), TldState::Delegated);
        assert_eq!(
            none.state_at(b"zzznew", date(2026, 11, 19)),
            TldState::Unsure(date(2026, 11, 10), date(2026, 11, 20))
        );
        assert_eq!(none.state_at(b"zzznew", date(2026, 11, 10).plus(HOUR)), TldState::NotYet(date(2026, 11, 20)));
    }

    #[test]
    fn what_was_there_before_anyone_looked_keeps_its_dates() {
        let history = [
            seen("com", [None, Some((2026, 8, 2)), Some((2026, 11, 22)), None]),
            seen("doosan", [Some((2026, 11, 20)), Some((2026, 11, 21)), Some((2026, 11, 22)), None]),
            seen("eus", [None, Some((2026, 8, 2)), Some((2026, 11, 21)), Some((2026, 11, 22))]),
        ];
        let table = TldTable::embedded().with(None, &history);
        assert!(table.valid_at(b"com", date(2012, 7, 1)) && table.valid_at(b"com", date(2026, 11, 22)));
        assert!(table.valid_at(b"eus", date(2026, 11, 21)) && !table.valid_at(b"eus", date(2026, 11, 22)));
        assert_eq!(table.state_at(b"eus", date(2013, 1, 1)), TldTable::embedded().state_at(b"eus", date(2013, 1, 1)));
        // It left in 2016, and came back.
        let years = [date(2015, 6, 1), date(2020, 6, 1), date(2026, 11, 21)].map(|day| table.valid_at(b"doosan", day));
        assert_eq!(years, [true, false, true]);
    }
}
