//! What remote perspectives say, judged once for each of the days from which something else is asked of them.

use crate::clock::Timestamp;
use crate::evidence::perspectives::{self, DAYS, Flaw};
use crate::evidence::rules::{MPIC_COUNT, MPIC_QUORUM};
use crate::evidence::sieve::gaps::{Gaps, NO_COUNT, NO_QUORUM, NO_REGIONS, NO_RIR};
use crate::record::Perspectives;

/// What is missing of them when nothing is wrong, from each of the days on.
#[derive(Clone, Debug)]
pub(super) struct Corroboration([Option<Gaps>; DAYS.len()]);

impl Default for Corroboration {
    /// Nothing is asked.
    fn default() -> Corroboration {
        Corroboration([Some(Gaps::NONE); DAYS.len()])
    }
}

impl Corroboration {
    /// Judges them; `of`: how many causes further theirs are.
    pub(super) fn of(remote: Option<Perspectives>, of: u32) -> Corroboration {
        Corroboration(DAYS.map(|day| corroborated(remote, day, of)))
    }
    /// What is missing of those that were asked at this moment; `None` when something is wrong.
    pub(super) fn at(&self, asked: Timestamp) -> Option<Gaps> {
        DAYS.iter().rposition(|day| asked >= *day).map_or(Some(Gaps::NONE), |since| self.0[since])
    }
}

fn corroborated(remote: Option<Perspectives>, asked: Timestamp, of: u32) -> Option<Gaps> {
    perspectives::judge(remote, asked).into_iter().try_fold(Gaps::NONE, |gaps, flaw| {
        let missing = match flaw {
            Flaw::Broken(..) => return None,
            Flaw::Missing(_, "remote_rirs") => NO_REGIONS,
            Flaw::Missing(rule, _) if rule.id == MPIC_COUNT.id => NO_COUNT,
            Flaw::Missing(rule, _) if rule.id == MPIC_QUORUM.id => NO_QUORUM,
            Flaw::Missing(..) => NO_RIR,
        };
        Some(gaps.and(Gaps(missing.0 << of)))
    })
}
