//! Whether the CA's records count the same certificates as its issuance database and the logs: a record that loses lines
//! under load shows nothing wrong in any single certificate.

use std::collections::BTreeMap;

use super::rule;
use crate::clock::{HOUR, Timestamp};
use crate::finding::{Finding, Needs, RuleInfo, br, escape};

// BR 5.4.1: "The CA ... SHALL record events related to ... certificate lifecycle management".
pub(super) static DIFFER: RuleInfo = rule(
    "counts.differ",
    "the records of the CA and the logs count the same certificates of an issuer in each hour",
    br("5.4.1"),
    Needs::Controls,
);

/// How far one record is from the issuance database over some hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Certificates of the issuance database in the hours that were compared.
    pub recorded: u64,
    /// The hours that differ, and by how many: less than 0 where the other record lacks some.
    pub hours: Vec<(Timestamp, i64)>,
}

impl Difference {
    /// All that is missing on either side.
    pub fn total(&self) -> u64 {
        self.hours.iter().map(|(_, count)| count.unsigned_abs()).sum()
    }
}

/// Compares a record with the issuance database, hour by hour, over the hours up to `end`. What one of them has in an
/// hour and the other in the next is the same: a line is written a moment after the signature.
pub fn compare(recorded: &BTreeMap<Timestamp, u64>, counted: &BTreeMap<Timestamp, u64>, end: Timestamp) -> Difference {
    let hours: BTreeMap<Timestamp, i64> = recorded
        .keys()
        .chain(counted.keys())
        .filter(|hour| hour.plus(HOUR) <= end)
        .fold(BTreeMap::new(), |mut hours, hour| {
            let of = |counts: &BTreeMap<Timestamp, u64>| counts.get(hour).map_or(0, |count| *count as i64);
            hours.insert(*hour, of(counted) - of(recorded));
            hours
        });
    let mut found: Vec<(Timestamp, i64)> = Vec::new();
    for (hour, mut count) in hours {
        if let Some((before, open)) = found.last_mut()
            && before.plus(HOUR) == hour
            && open.signum() == -count.signum()
        {
            let moved = open.abs().min(count.abs());
            *open -= moved * open.signum();
            count -= moved * count.signum();
            if *open == 0 {
                found.pop();
            }
        }
        if count != 0 {
            found.push((hour, count));
        }
    }
    // What the last hour has too few of may stand in the next one, which is not compared yet.
    if found.last().is_some_and(|(hour, _)| hour.plus(HOUR).plus(HOUR) > end) {
        found.pop();
    }
    let recorded = recorded.iter().filter(|(hour, _)| hour.plus(HOUR) <= end).map(|(_, count)| count).sum();
    Difference { recorded, hours: found }
}

/// The finding of a difference, if there is one.
pub fn finding(issuer: &str, source: &str, difference: &Difference) -> Option<Finding> {
    let (first, last) = (difference.hours.first()?, difference.hours.last()?);
    let lacking: i64 = difference.hours.iter().map(|(_, count)| (-count).max(0)).sum();
    let beyond: i64 = difference.hours.iter().map(|(_, count)| (*count).max(0)).sum();
    let (issuer, source) = (escape(issuer.as_bytes(), 100), escape(source.as_bytes(), 100));
    let detail = format!(
        "{source} lacks {lacking} and has {beyond} beyond the {} certificates of the issuance database, in {} hours from \
         {} to {}",
        difference.recorded,
        difference.hours.len(),
        first.0.minute(),
        last.0.plus(HOUR).minute()
    );
    let mut finding = DIFFER.finding(format!("{issuer}, {source}"), detail);
    for (hour, count) in difference.hours.iter().take(4) {
        finding = finding.with_evidence("counts", format!("{}: {count:+}", hour.minute()));
    }
    Some(finding)
}

/// The first moment of the hour of a time.
pub fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds().div_euclid(3600) * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Span, date};

    const DAY: Timestamp = date(2026, 11, 20);

    fn hours(counts: &[u64]) -> BTreeMap<Timestamp, u64> {
        (0..).zip(counts).map(|(hour, count)| (DAY.plus(Span::from_seconds(3600 * hour)), *count)).collect()
    }

    fn differs(recorded: &[u64], counted: &[u64]) -> Vec<i64> {
        let end = DAY.plus(Span::from_days(1));
        compare(&hours(recorded), &hours(counted), end).hours.iter().map(|(_, count)| *count).collect()
    }

    #[test]
    fn what_is_written_in_the_next_hour_is_not_missing() {
        assert_eq!(differs(&[5, 5, 5], &[5, 5, 5]), [0; 0]);
        assert_eq!(differs(&[5, 5, 5], &[4, 6, 5]), [0; 0]);
        assert_eq!(differs(&[5, 5, 5], &[4, 5, 6]), [-1, 1]);
        assert_eq!(differs(&[5, 5, 5], &[3, 6, 5]), [-1]);
        assert_eq!(differs(&[5, 5, 5], &[5, 0, 5]), [-5]);
        assert_eq!(differs(&[5], &[]), [-5]);
        assert_eq!(differs(&[], &[0, 2]), [2]);
    }

    #[test]
    fn only_hours_that_are_over_are_compared() {
        let end = DAY.plus(Span::from_seconds(2 * 3600));
        assert_eq!(compare(&hours(&[5, 5, 5]), &hours(&[5, 4]), end), Difference { recorded: 10, hours: vec![] });
        assert_eq!(compare(&hours(&[5, 5, 5]), &hours(&[4, 5]), end).hours, [(DAY, -1)]);
        assert_eq!(hour_of(DAY.plus(Span::from_seconds(3599))), DAY);
    }

    #[test]
    fn the_finding_names_numbers_and_hours() {
        assert_eq!(finding("CA", "audit_log", &Difference::default()), None);
        let difference = compare(&hours(&[5, 5, 5]), &hours(&[5, 0, 5]), DAY.plus(Span::from_days(1)));
        assert_eq!(difference.total(), 5);
        let found = finding("CA", "audit_log", &difference).expect("a difference");
        assert_eq!(found.subject, "CA, audit_log");
        assert!(found.detail.contains("lacks 5 and has 0 beyond the 15"), "{}", found.detail);
        assert!(found.evidence[0].text.ends_with(": -5"), "{:?}", found.evidence);
    }
}
