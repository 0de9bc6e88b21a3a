//! Multi-Perspective Issuance Corroboration: how many remote perspectives, and how many of them may disagree, on the
//! day on which they were asked (BR 3.2.2.9).

use crate::clock::{Timestamp, date};
use crate::evidence::rules::{COUNTED, DNSSEC, ENFORCED, MARCH_2026, MPIC_COUNT, MPIC_QUORUM, MPIC_RIR};
use crate::finding::RuleInfo;
use crate::record::Perspectives;

/// How many remote perspectives are needed, from which day on.
static NEEDED: [(Timestamp, u64); 4] = [(COUNTED, 2), (MARCH_2026, 3), (date(2026, 6, 15), 4), (date(2026, 12, 15), 5)];

/// From when BR 4.2.2.2 says what 3.2.2.4 and 3.2.2.8.1 said of DNSSEC (BR 2.3.0, which brought ballot SC101).
pub(super) const CONSOLIDATED: Timestamp = date(2026, 8, 6);

/// From which days on something else is asked of the same perspectives.
pub(super) static DAYS: [Timestamp; 5] = [COUNTED, ENFORCED, MARCH_2026, date(2026, 6, 15), date(2026, 12, 15)];

fn needed(asked: Timestamp) -> u64 {
    NEEDED.iter().rev().find(|(since, _)| asked >= *since).map_or(0, |(_, count)| *count)
}

/// How many of `total` may not corroborate.
fn tolerated(total: u64) -> u64 {
    match total {
        0 | 1 => 0,
        2..=5 => 1,
        _ => 2,
    }
}

/// What is wrong with, or missing about, an act of validation or a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The rule is broken, for this reason.
    Broken(&'static RuleInfo, String),
    /// The rule cannot be judged: this column is empty.
    Missing(&'static RuleInfo, &'static str),
}

/// Judges the perspectives that took part at `asked`.
pub(super) fn judge(remote: Option<Perspectives>, asked: Timestamp) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let needed = needed(asked);
    if needed == 0 {
        return flaws;
    }
    let Some(remote) = remote.filter(|remote| remote.corroborating <= remote.total) else {
        let rules = [(&MPIC_COUNT, true), (&MPIC_QUORUM, asked >= ENFORCED), (&MPIC_RIR, asked >= MARCH_2026)];
        let column = "remote_ok and remote_total";
        return rules.into_iter().filter(|(_, holds)| *holds).map(|(rule, _)| Flaw::Missing(rule, column)).collect();
    };
    if remote.total < needed {
        let why = format!("{} remote perspectives took part on {}, {needed} are needed", remote.total, asked.day());
        flaws.push(Flaw::Broken(&MPIC_COUNT, why));
    }
    let against = remote.total - remote.corroborating;
    if asked >= ENFORCED && against > tolerated(remote.total) {
        let (ok, total, may) = (remote.corroborating, remote.total, tolerated(remote.total));
        let why = format!("{ok} of {total} remote perspectives corroborated; {against} did not, {may} may not");
        flaws.push(Flaw::Broken(&MPIC_QUORUM, why));
    }
    if asked >= MARCH_2026 {
        match remote.regions {
            None => flaws.push(Flaw::Missing(&MPIC_RIR, "remote_rirs")),
            Some(regions) if regions < 2 => {
                let why = format!("the perspectives that corroborated stand in {regions} RIR regions, not in two");
                flaws.push(Flaw::Broken(&MPIC_RIR, why));
            }
            Some(_) => {}
        }
    }
    flaws
}

/// Judges the outcome of DNSSEC validation of what was looked up at `asked`, in the words of RFC 4035 4.3.
pub(super) fn judge_dnssec(outcome: Option<&str>, asked: Timestamp) -> Option<Flaw> {
    if asked < MARCH_2026 {
        return None;
    }
    match outcome.map(|outcome| outcome.trim().to_ascii_lowercase()).as_deref() {
        Some("secure" | "insecure") => None,
        Some("bogus" | "indeterminate") => {
            Some(Flaw::Broken(&DNSSEC, "DNSSEC validation failed, and that is no answer to rely upon".to_string()))
        }
        Some("off" | "none" | "no" | "disabled" | "unvalidated") => {
            Some(Flaw::Broken(&DNSSEC, "the answers were not validated by DNSSEC".to_string()))
        }
        _ => Some(Flaw::Missing(&DNSSEC, "dnssec (secure, insecure, bogus or indeterminate)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;

    fn remote(corroborating: u64, total: u64) -> Option<Perspectives> {
        Some(Perspectives { corroborating, total, regions: Some(2) })
    }

    fn broken(remote: Option<Perspectives>, asked: Timestamp) -> Vec<&'static str> {
        let id = |flaw: Flaw| match flaw {
            Flaw::Broken(rule, _) => rule.id,
            Flaw::Missing(rule, _) => panic!("{} lacks a column", rule.id),
        };
        judge(remote, asked).into_iter().map(id).collect()
    }

    #[test]
    fn what_is_asked_changes_on_these_days_alone() {
        assert!(DAYS.is_sorted() && NEEDED.iter().all(|(day, _)| DAYS.contains(day)));
        let kinds: Vec<_> = (0..7).flat_map(|total| (0..7).map(move |ok| remote(ok, total))).chain([None]).collect();
        let missing = |flaw: &Flaw| matches!(flaw, Flaw::Missing(..));
        let of = |remote, asked| judge(remote, asked).iter().map(missing).collect::<Vec<bool>>();
        let before = DAYS[0].minus(Span::from_seconds(1));
        assert!(kinds.iter().all(|remote| judge(*remote, before).is_empty()), "nothing is asked before");
        let days = (0..900).map(|days| date(2025, 1, 1).plus(Span::from_days(days)));
        for (before, day) in days.clone().zip(days.skip(1)).filter(|(_, day)| !DAYS.contains(day)) {
            assert!(kinds.iter().all(|remote| of(*remote, before) == of(*remote, day)), "{day}");
        }
    }

    #[test]
    fn the_number_grows_at_midnight_of_each_date() {
        let second = Span::from_seconds(1);
        for (day, count) in NEEDED {
            assert_eq!(broken(remote(count, count), day), [""; 0]);
            assert_eq!(broken(remote(count - 1, count - 1), day), ["mpic.count"], "{day}");
            assert_eq!(broken(remote(count - 1, count - 1), day.minus(second)), [""; 0], "{day}");
        }
    }

    #[test]
    fn the_quorum_is_enforced_from_its_date_and_depends_on_the_number() {
        let day = date(2026, 12, 15);
        for (ok, total, holds) in [(5, 5, true), (4, 5, true), (3, 5, false), (4, 6, true), (3, 6, false), (6, 8, true)]
        {
            assert_eq!(broken(remote(ok, total), day).is_empty(), holds, "{ok} of {total}");
        }
        assert_eq!(broken(remote(0, 2), ENFORCED), ["mpic.quorum"]);
        assert_eq!(broken(remote(0, 2), ENFORCED.minus(Span::from_seconds(1))), [""; 0]);
    }

    #[test]
    fn regions_are_counted_when_recorded() {
        let in_regions = |regions| Some(Perspectives { corroborating: 5, total: 5, regions });
        assert_eq!(broken(in_regions(Some(1)), MARCH_2026.plus(Span::from_seconds(1))), ["mpic.rir"]);
        assert_eq!(broken(in_regions(Some(0)), MARCH_2026.minus(Span::from_seconds(1))), [""; 0]);
        assert_eq!(judge(in_regions(None), MARCH_2026), [Flaw::Missing(&MPIC_RIR, "remote_rirs")]);
    }

    #[test]
    fn a_record_without_sense_is_not_evaluable() {
        for nothing in [None, remote(5, 4)] {
            let flaws = judge(nothing, MARCH_2026);
            assert!(flaws.len() == 3 && flaws.iter().all(|flaw| matches!(flaw, Flaw::Missing(..))), "{flaws:?}");
            assert_eq!(judge(nothing, COUNTED).len(), 1);
            assert_eq!(judge(nothing, COUNTED.minus(Span::from_seconds(1))), []);
        }
    }

    #[test]
    fn dnssec_is_judged_from_its_date_in_the_words_of_the_rfc() {
        for good in ["secure", "Insecure "] {
            assert_eq!(judge_dnssec(Some(good), MARCH_2026), None);
        }
        for bad in ["bogus", "indeterminate", "off"] {
            assert!(matches!(judge_dnssec(Some(bad), MARCH_2026), Some(Flaw::Broken(..))), "{bad}");
            assert_eq!(judge_dnssec(Some(bad), MARCH_2026.minus(Span::from_seconds(1))), None);
        }
        for unknown in [None, Some(""), Some("ad=1")] {
            assert!(matches!(judge_dnssec(unknown, MARCH_2026), Some(Flaw::Missing(..))), "{unknown:?}");
        }
    }
}
