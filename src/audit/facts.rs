//! What every part needs to know of certificates, orders, applicants and reuses: compact, by number, in memory.

use std::collections::{HashMap, HashSet};

use crate::audit::intern::{Interner, ShortTexts};
use crate::clock::Timestamp;
use crate::evidence::Policy;
use crate::evidence::sieve::{CaaGrade, Grade};
use crate::record::{Account, Approval, Order, Perspectives, ReuseStep, reuse_label};

/// No moment.
pub(super) const NO_MOMENT: i64 = i64::MIN;

pub(super) fn moment(seconds: i64) -> Option<Timestamp> {
    (seconds != NO_MOMENT).then(|| Timestamp::from_seconds(seconds))
}

#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) hierarchy: String,
}

#[derive(Debug)]
pub(super) struct AccountRow {
    pub(super) kind: String,
    pub(super) name: Option<String>,
    pub(super) shared: bool,
}

#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) account: u32,
    pub(super) name: Option<String>,
}

/// Channel, kind and hierarchy are words.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderRow {
    pub(super) applicant: u32,
    pub(super) channel: u32,
    pub(super) vtype: u32,
    pub(super) hierarchy: u32,
    pub(super) identity: u32,
    pub(super) created: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Certificate {
    pub(super) id: i64,
    pub(super) signed: i64,
    pub(super) not_after: i64,
    pub(super) order: u32,
    pub(super) issuer: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reuse {
    pub(super) id: i64,
    /// The stated origins; 0: none.
    pub(super) dcv: i64,
    pub(super) reuse: i64,
    pub(super) decided: i64,
    pub(super) rule: u32,
    pub(super) by: u32,
}

/// What many confirmations or checks share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Means {
    /// The method, or the result of a check.
    pub(super) what: String,
    pub(super) performed_by: String,
    pub(super) resolver: Option<String>,
    pub(super) dnssec: Option<String>,
    pub(super) remote: Option<(u64, u64, Option<u64>)>,
}

impl Means {
    pub(super) fn remote(&self) -> Option<Perspectives> {
        self.remote.map(|(corroborating, total, regions)| Perspectives { corroborating, total, regions })
    }
    pub(super) fn grade(&self, policy: &Policy) -> Grade {
        let (resolver, dnssec) = (self.resolver.as_deref(), self.dnssec.as_deref());
        Grade::of(&self.what, &self.performed_by, resolver, dnssec, self.remote(), policy)
    }
    pub(super) fn caa_grade(&self, policy: &Policy) -> CaaGrade {
        let resolver = self.resolver.as_deref().unwrap_or_default();
        CaaGrade::of(&self.what, &self.performed_by, resolver, self.dnssec.as_deref(), self.remote(), policy)
    }
}

/// A row that the CA numbers.
pub(super) trait Numbered {
    /// Its number.
    fn number(&self) -> i64;
}

impl Numbered for Certificate {
    fn number(&self) -> i64 {
        self.id
    }
}

impl Numbered for Reuse {
    fn number(&self) -> i64 {
        self.id
    }
}

/// A number and what stands for it.
impl Numbered for (i64, u32) {
    fn number(&self) -> i64 {
        self.0
    }
}

/// Rows that are found by their number: in its order, and where each run of `1 << shift` numbers begins among them. There
/// are about as many runs as rows, so that a run is a row or two unless the numbers lie in heaps.
#[derive(Debug)]
pub(super) struct ById<T> {
    rows: Vec<T>,
    first: i64,
    shift: u32,
    runs: Vec<u32>,
}

impl<T> Default for ById<T> {
    fn default() -> ById<T> {
        ById { rows: Vec::new(), first: 0, shift: 0, runs: Vec::new() }
    }
}

impl<T: Numbered> ById<T> {
    /// Of rows of one number the first stays.
    pub(super) fn each_once(mut rows: Vec<T>) -> ById<T> {
        if !rows.is_sorted_by(|a, b| a.number() < b.number()) {
            rows.sort_by_key(T::number);
            rows.dedup_by_key(|row| row.number());
        }
        ById::of_sorted(rows)
    }
    /// Of rows of one number the first is found.
    pub(super) fn new(mut rows: Vec<T>) -> ById<T> {
        // Most sources are in order; if not, each piece of them is a run, and this sort merges runs.
        rows.sort_by_key(T::number);
        ById::of_sorted(rows)
    }
    fn of_sorted(mut rows: Vec<T>) -> ById<T> {
        rows.shrink_to_fit();
        let Some((first, last)) = rows.first().zip(rows.last()).map(|(first, last)| (first.number(), last.number()))
        else {
            return ById::default();
        };
        // The last is not before the first, so this is their distance whatever their signs are.
        let span = last.wrapping_sub(first) as u64;
        let most = 2 * rows.len() as u64;
        let shift = (0..64).find(|shift| span >> shift < most).unwrap_or_default();
        let mut runs = vec![0; (span >> shift) as usize + 2];
        for row in &rows {
            runs[(row.number().wrapping_sub(first) as u64 >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for run in &mut runs {
            sum += *run;
            *run = sum;
        }
        ById { rows, first, shift, runs }
    }
    pub(super) fn place(&self, id: i64) -> Option<u32> {
        let distance = (id >= self.first).then(|| id.wrapping_sub(self.first) as u64)?;
        let run = usize::try_from(distance >> self.shift).ok()?;
        let (start, end) = (*self.runs.get(run)?, *self.runs.get(run + 1)?);
        let run = &self.rows[start as usize..end as usize];
        let at = run.partition_point(|row| row.number() < id);
        (run.get(at)?.number() == id).then_some(start + at as u32)
    }
    pub(super) fn at(&self, place: u32) -> &T {
        &self.rows[place as usize]
    }
    pub(super) fn get(&self, id: i64) -> Option<&T> {
        self.place(id).map(|place| self.at(place))
    }
    pub(super) fn rows(&self) -> &[T] {
        &self.rows
    }
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<T>() + self.runs.len() * 4
    }
}

/// Reuses by their number: those of the table of reuses, and those that stand among the confirmations.
#[derive(Debug, Default)]
pub(super) struct Reuses {
    pub(super) stated: ById<Reuse>,
    pub(super) among_confirmations: ById<Reuse>,
}

impl Reuses {
    /// Where it is; of one number that of the table of reuses.
    pub(super) fn place(&self, id: i64) -> Option<u32> {
        let behind = self.stated.rows().len() as u32;
        self.stated.place(id).or_else(|| self.among_confirmations.place(id).map(|place| behind + place))
    }
    pub(super) fn at(&self, place: u32) -> &Reuse {
        match place.checked_sub(self.stated.rows().len() as u32) {
            None => self.stated.at(place),
            Some(place) => self.among_confirmations.at(place),
        }
    }
    pub(super) fn get(&self, id: i64) -> Option<&Reuse> {
        self.place(id).map(|place| self.at(place))
    }
    pub(super) fn bytes(&self) -> usize {
        self.stated.bytes() + self.among_confirmations.bytes()
    }
}

/// Everything that is not divided into parts.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) words: Interner,
    pub(super) issuers: Vec<Issuer>,
    pub(super) account_ids: Interner,
    pub(super) accounts: Vec<AccountRow>,
    pub(super) applicant_ids: ShortTexts,
    pub(super) applicants: Vec<Applicant>,
    pub(super) order_ids: Interner,
    pub(super) orders: Vec<OrderRow>,
    pub(super) identity_ids: Interner,
    /// When each was verified, and by whom.
    pub(super) identities: Vec<(i64, Option<String>)>,
    pub(super) certificates: ById<Certificate>,
    pub(super) reuses: Reuses,
    pub(super) approvals: Option<HashMap<u32, Vec<Approval>>>,
    pub(super) revoked: HashSet<i64>,
    pub(super) means: Vec<(Means, Grade)>,
    pub(super) caa_means: Vec<(Means, CaaGrade)>,
    pub(super) keeps_caa: bool,
    pub(super) keeps_orders: bool,
    pub(super) keeps_confirmations: bool,
    pub(super) keeps_identities: bool,
    pub(super) keeps_order_names: bool,
    /// Whether the source says on what each name rests; if not, no name is known.
    pub(super) keeps_authorisations: bool,
    /// How many certificates are too young for the copy of a database server.
    pub(super) unsettled: u64,
    /// Certificates that are not asked about, in order.
    pub(super) unasked: Vec<i64>,
}

/// The longest chain that is followed.
const STEP_LIMIT: usize = 64;

/// Where one step leads.
enum Step {
    Nowhere,
    Reuse(i64),
    Confirmation(i64),
}

impl Facts {
    /// Where the next step from a reuse leads. A stated reuse counts before a stated confirmation: the older evidence is
    /// at the end of the longer way.
    fn step(&self, at: &Reuse) -> Step {
        match (at.reuse, at.dcv) {
            (0, 0) => Step::Nowhere,
            (stated, 0) => Step::Reuse(stated),
            (stated, _) if stated != 0 && self.reuses.place(stated).is_some() => Step::Reuse(stated),
            (_, dcv) if self.reuses.place(-dcv).is_some() => Step::Reuse(-dcv),
            (_, dcv) => Step::Confirmation(dcv),
        }
    }

    /// The confirmation at the root of a reuse, and when its nearest origin was decided, if that is a reuse.
    pub(super) fn origin(&self, reuse: &Reuse) -> (Option<i64>, Option<i64>) {
        let (mut at, mut nearest) = (reuse, None);
        // A circle is longer than any chain.
        for _ in 0..STEP_LIMIT {
            match self.step(at) {
                Step::Nowhere => return (None, nearest),
                Step::Confirmation(dcv) => return (Some(dcv), nearest),
                Step::Reuse(next) => match self.reuses.get(next) {
                    None => return (None, nearest),
                    Some(found) => {
                        nearest = nearest.or(Some(found.decided));
                        at = found;
                    }
                },
            }
        }
        (None, nearest)
    }

    /// Follows a reuse down: the steps before the confirmation at its root, nearest first.
    pub(super) fn follow(&self, reuse: &Reuse) -> Vec<ReuseStep> {
        let (mut steps, mut seen, mut at) = (Vec::new(), vec![reuse.id], *reuse);
        loop {
            let next = match self.step(&at) {
                Step::Nowhere | Step::Confirmation(_) => return steps,
                Step::Reuse(next) => next,
            };
            let mut stated_id = reuse_label(next);
            let Some(found) = self.reuses.get(next) else {
                steps.push(ReuseStep { stated_id, stated_at: None });
                return steps;
            };
            let end = match (seen.contains(&next), steps.len() + 1 < STEP_LIMIT) {
                (true, _) => " again: the chain is a circle",
                (false, false) => " and on: the chain is too long to follow",
                (false, true) => "",
            };
            seen.push(next);
            stated_id.push_str(end);
            steps.push(ReuseStep { stated_id, stated_at: Some(Timestamp::from_seconds(found.decided)) });
            if !end.is_empty() {
                return steps;
            }
            at = *found;
        }
    }

    /// The order as the record has it, without its names.
    pub(super) fn order(&self, number: u32) -> Order {
        let row = self.orders[number as usize];
        let applicant = &self.applicants[row.applicant as usize];
        let account = &self.accounts[applicant.account as usize];
        Order {
            order_id: self.order_ids.get(number).to_string(),
            account: Account {
                account_id: self.account_ids.get(applicant.account).to_string(),
                kind: account.kind.clone(),
                name: account.name.clone(),
            },
            applicant_id: self.applicant_ids.get(row.applicant).to_string(),
            applicant_name: applicant.name.clone(),
            applicant_country: None,
            channel: self.words.get(row.channel).to_string(),
            vtype: self.words.get(row.vtype).to_string(),
            hierarchy: self.words.get(row.hierarchy).to_string(),
            csr_spki_sha256: None,
            names: None,
            created_at: Timestamp::from_seconds(row.created),
        }
    }

    /// How much memory it takes, nearly.
    pub(super) fn bytes(&self) -> usize {
        self.order_ids.bytes()
            + self.orders.capacity() * size_of::<OrderRow>()
            + self.certificates.bytes()
            + self.reuses.bytes()
            + self.applicant_ids.bytes()
            + self.applicants.capacity() * size_of::<Applicant>()
            + self.words.bytes()
            + self.revoked.capacity() * 16
            + self.unasked.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_numbers_that_lie_close_far_apart_and_in_heaps() {
        let close: Vec<i64> = (-50..2_000).collect();
        let far: Vec<i64> = (0..2_000).map(|n| n * n * 7_919 - 3).collect();
        let heaps = (0..500).chain((0..500).map(|n| i64::MAX - n)).chain([i64::MIN, 70_000_000]).collect();
        for numbers in [close, far, heaps, vec![7], vec![i64::MIN, i64::MAX]] {
            let mut rows: Vec<(i64, u32)> = numbers.iter().rev().map(|number| (*number, 1)).collect();
            rows.extend(numbers.iter().map(|number| (*number, 2)));
            let all = ById::new(rows.clone());
            assert_eq!(all.rows().len(), 2 * numbers.len());
            let found = ById::each_once(rows);
            assert_eq!(found.rows().len(), numbers.len());
            for number in &numbers {
                assert_eq!((found.get(*number), all.get(*number)), (Some(&(*number, 1)), Some(&(*number, 1))));
                for other in [number.wrapping_add(1), number.wrapping_sub(1)] {
                    assert_eq!(found.place(other).is_some(), numbers.contains(&other), "{other}");
                }
            }
            assert!(found.bytes() <= 26 * numbers.len() + 16);
        }
        let reuse = |id, decided| Reuse { id, dcv: 0, reuse: 0, decided, rule: 0, by: 0 };
        let stated = ById::each_once(vec![reuse(3, 1), reuse(-9, 1)]);
        let reuses = Reuses { stated, among_confirmations: ById::each_once(vec![reuse(-7, 2), reuse(-9, 2)]) };
        let decided = |id| reuses.get(id).map(|reuse| (reuse.id, reuse.decided));
        assert_eq!((decided(3), decided(-7), decided(-9)), (Some((3, 1)), Some((-7, 2)), Some((-9, 1))));
        assert_eq!(decided(-8), None);
        let nothing = ById::<(i64, u32)>::new(Vec::new());
        assert_eq!((nothing.place(0), nothing.place(i64::MIN)), (None, None));
    }
}
