//! What the CA's record says of the certificates that are examined. What its server said is kept for half a minute: a
//! precertificate and its certificate are mostly examined within seconds of each other, and the server is asked once
//! for both.
//!
//! Only the record of a certificate that the CA has issued is kept, which is as good as complete, and only for what is
//! newly seen. What the record lacks and what gave no answer is asked for anew each time, and so is what is examined
//! again without a new sighting, as after a rescan. The CRLs, the walk through the record and `ctwarden rescan` never
//! rest on what is kept here.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::examine::{logged_at, query};
use super::{Walk, record_watch};
use crate::books::PendingHit;
use crate::clock::{Span, Timestamp};
use crate::finding::CaseKey;
use crate::issuance::Query;
use crate::metrics::LookedUp;
use crate::record::{IssuanceRecord, Lookup};
use crate::watch::Standing;

/// How long a record is kept.
const KEPT_FOR: Span = Span::from_seconds(30);
/// How large a record may be to be kept, and all of them, in octets of records written out, which is of the order of
/// what they take. A record of one name is a few thousand.
const LARGEST: usize = 256 << 10;
const SPACE: usize = 16 << 20;
/// The state of a certificate that was signed, not only its precertificate.
const ISSUED: &str = "issued";

/// What is asked: a certificate, and SHA-256 of its names, of which a log may show any number.
type Asked = (CaseKey, [u8; 32]);

/// Records that were found in the last half minute. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct KeptAnswers(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    by_question: HashMap<Asked, Kept>,
    /// The sizes of all of them.
    octets: usize,
}

#[derive(Debug)]
struct Kept {
    record: IssuanceRecord,
    asked_at: Timestamp,
    octets: usize,
    /// The hits that were examined with it, each by its number, and what there was to examine.
    examined: HashMap<i64, i64>,
}

/// Which examination an answer is for.
#[derive(Clone, Copy, Debug)]
struct Occasion {
    hit_id: i64,
    /// Counts what there is to examine.
    version: i64,
    is_first: bool,
}

impl Occasion {
    fn of(hit: &PendingHit) -> Occasion {
        Occasion { hit_id: hit.hit_id, version: hit.version, is_first: hit.first_examination }
    }
}

/// What the CA recorded about each of these, for their examination. What a server said may be half a minute old.
pub(super) async fn look_up(walk: &Walk, hits: &[PendingHit], now: Timestamp) -> Vec<Lookup> {
    let queries: Vec<Query> = hits.iter().map(query).collect();
    let known = |(hit, query): (&PendingHit, &Query)| {
        let lookup = walk.kept_answers.find(Occasion::of(hit), query)?;
        count(walk, hit, LookedUp::Kept);
        Some(lookup)
    };
    let mut answers: Vec<Option<Lookup>> = hits.iter().zip(&queries).map(known).collect();
    let open: Vec<usize> = (0..hits.len()).filter(|place| answers[*place].is_none()).collect();
    let asked: Vec<Query> = open.iter().map(|place| queries[*place].clone()).collect();
    let fresh = walk.issuance.find(&asked).await;
    record_watch::count_answers(walk, &fresh, now);
    for (place, mut lookup) in open.into_iter().zip(fresh) {
        let hit = &hits[place];
        if walk.issuance.is_server() {
            record_watch::distrust(&mut lookup, logged_at(hit).plus(walk.grace), now);
            walk.kept_answers.keep(Occasion::of(hit), &queries[place], &lookup, now);
        }
        match &lookup {
            Lookup::Found(_) => count(walk, hit, LookedUp::Found),
            Lookup::Unknown { .. } => count(walk, hit, LookedUp::Unknown),
            Lookup::Unavailable { .. } => count(walk, hit, LookedUp::Unavailable),
            Lookup::NoSource => {}
        }
        answers[place] = Some(lookup);
    }
    answers.into_iter().flatten().collect()
}

/// The record says nothing of certificates of others.
fn count(walk: &Walk, hit: &PendingHit, answer: LookedUp) {
    if hit.standing == Standing::Ours {
        walk.metrics.looked_up(answer);
    }
}

impl KeptAnswers {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was asked for half a minute ago.
    pub(super) fn forget_old(&self, now: Timestamp) {
        let mut held = self.lock();
        let Answers { by_question, octets } = &mut *held;
        by_question.retain(|_, kept| {
            // A clock that was put back does not say how old an answer is.
            let is_young = kept.asked_at <= now && now.since(kept.asked_at) < KEPT_FOR;
            *octets -= if is_young { 0 } else { kept.octets };
            is_young
        });
    }

    /// The record that is kept for this question, if the hit is newly seen, or seen in another form than when it was
    /// examined with it.
    fn find(&self, occasion: Occasion, query: &Query) -> Option<Lookup> {
        let mut held = self.lock();
        let kept = held.by_question.get_mut(&asked(query))?;
        let is_new = match kept.examined.insert(occasion.hit_id, occasion.version) {
            Some(before) => before != occasion.version,
            None => occasion.is_first,
        };
        is_new.then(|| Lookup::Found(Box::new(kept.record.clone())))
    }

    /// Keeps what was found when it was asked for at `asked_at`, in the place of what was kept for the question.
    fn keep(&self, occasion: Occasion, query: &Query, lookup: &Lookup, asked_at: Timestamp) {
        let (asked, mut held) = (asked(query), self.lock());
        let before = held.by_question.remove(&asked);
        held.octets -= before.as_ref().map_or(0, |before| before.octets);
        let Lookup::Found(record) = lookup else { return };
        let Some(octets) = octets(record).filter(|_| record.state == ISSUED) else { return };
        if held.octets + octets > SPACE {
            *held = Answers::default();
        }
        let mut examined = before.map(|before| before.examined).unwrap_or_default();
        examined.insert(occasion.hit_id, occasion.version);
        held.octets += octets;
        held.by_question.insert(asked, Kept { record: (**record).clone(), asked_at, octets, examined });
    }
}

fn asked(query: &Query) -> Asked {
    let mut digest = Sha256::new();
    for name in &query.names {
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name);
    }
    (query.key.clone(), digest.finalize().into())
}

/// How long a record is when it is written out, every text of it included; `None` when that is too long.
fn octets(record: &IssuanceRecord) -> Option<usize> {
    struct Length(usize);
    impl Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            if self.0 > LARGEST { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut length = Length(0);
    write!(length, "{record:?}").ok().map(|()| length.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{CaseKey, KeyHash, Serial};

    const ASKED: Timestamp = Timestamp::from_seconds(1_795_338_840);
    const SECOND: Span = Span::from_seconds(1);

    fn question(serial: u8, names: &[&str]) -> Query {
        let key = CaseKey { issuer_key_hash: KeyHash([7; 32]), serial: Serial(vec![serial]) };
        Query { key, names: names.iter().map(ToString::to_string).collect() }
    }

    fn record(query: &Query, state: &str) -> IssuanceRecord {
        IssuanceRecord { state: state.to_string(), ..IssuanceRecord::bare(query.key.clone(), ASKED) }
    }

    fn found(query: &Query, state: &str) -> Lookup {
        Lookup::Found(Box::new(record(query, state)))
    }

    /// The first examination of a hit.
    fn first(hit_id: i64) -> Occasion {
        Occasion { hit_id, version: 1, is_first: true }
    }

    /// A later one, of what there is by then.
    fn later(hit_id: i64, version: i64) -> Occasion {
        Occasion { hit_id, version, is_first: false }
    }

    #[test]
    fn a_record_is_kept_for_the_next_sighting_and_for_no_repetition() {
        let (kept, query) = (KeptAnswers::default(), question(1, &["www.host.eus"]));
        let is_known = |occasion| kept.find(occasion, &query) == Some(found(&query, ISSUED));
        assert!(!is_known(first(1)), "nobody asked yet");
        kept.keep(first(1), &query, &found(&query, ISSUED), ASKED);
        assert!(!is_known(first(1)), "it could not be written down");
        assert!(!is_known(later(1, 1)), "it is examined again");
        assert!(is_known(later(1, 2)), "its certificate");
        assert!(!is_known(later(1, 2)), "and that again");
        assert!(is_known(first(2)), "another TBSCertificate of the same serial number");
        assert!(!is_known(later(2, 1)), "and that again");
        assert!(!is_known(later(3, 4)), "one that was examined long ago");
        for other in
            [question(1, &["other.host.eus"]), question(1, &["www.", "host.eus"]), question(2, &["www.host.eus"])]
        {
            assert_eq!(kept.find(first(4), &other), None, "{other:?}");
        }
        // A new answer takes its place, and forgets no repetition.
        kept.keep(later(1, 2), &query, &found(&query, ISSUED), ASKED);
        assert_eq!([later(1, 2), later(2, 1), later(1, 3)].map(is_known), [false, false, true]);
    }

    #[test]
    fn only_the_record_of_what_was_issued_is_kept() {
        let query = question(1, &["host.eus"]);
        let unavailable = Lookup::Unavailable { reason: "the server is down".into() };
        let unknown = Lookup::Unknown { as_of: ASKED };
        for other in [found(&query, "precert_only"), unknown, unavailable, Lookup::NoSource] {
            let kept = KeptAnswers::default();
            kept.keep(first(1), &query, &other, ASKED);
            assert_eq!(kept.find(first(2), &query), None, "{other:?}");
            // Nor does what was known before it stay.
            kept.keep(first(1), &query, &found(&query, ISSUED), ASKED);
            kept.keep(first(1), &query, &other, ASKED);
            assert_eq!(kept.find(first(2), &query), None, "{other:?}");
            assert_eq!(kept.lock().octets, 0);
        }
    }

    #[test]
    fn a_record_is_kept_for_half_a_minute() {
        for (now, is_kept) in [
            (ASKED, true),
            (ASKED.plus(KEPT_FOR).minus(SECOND), true),
            (ASKED.plus(KEPT_FOR), false),
            (ASKED.minus(SECOND), false),
        ] {
            let (kept, query) = (KeptAnswers::default(), question(1, &["host.eus"]));
            kept.keep(first(1), &query, &found(&query, ISSUED), ASKED);
            kept.forget_old(now);
            assert_eq!(kept.find(first(2), &query).is_some(), is_kept, "{now}");
            assert_eq!(kept.lock().octets > 0, is_kept, "{now}");
        }
    }

    #[test]
    fn what_is_kept_has_its_limit() {
        let kept = KeptAnswers::default();
        let large = |serial: usize, octets: usize| {
            let query = question(serial as u8, &["host.eus"]);
            let mut record = record(&query, ISSUED);
            record.issuer_hierarchy = "x".repeat(octets);
            kept.keep(first(serial as i64), &query, &Lookup::Found(Box::new(record)), ASKED);
            kept.lock().octets
        };
        // Nearly as large as one may be.
        let one = large(0, LARGEST - 2_000);
        assert!(one > LARGEST - 2_000 && one <= LARGEST, "{one}");
        assert_eq!([large(1, LARGEST - 2_000), large(1, LARGEST - 2_000)], [2 * one, 2 * one], "in its own place");
        let most = SPACE / one;
        (2..most).for_each(|serial| assert_eq!(large(serial, LARGEST - 2_000), (serial + 1) * one));
        assert_eq!(large(most, LARGEST - 2_000), one, "all of them are more than there is room for");
        let is_kept = |serial: usize| kept.find(first(9), &question(serial as u8, &["host.eus"])).is_some();
        assert_eq!([is_kept(most - 1), is_kept(most)], [false, true]);
        assert_eq!(large(most, LARGEST), 0, "too large, and what was kept for the same question is gone");
        assert!(!is_kept(most));
    }
}
