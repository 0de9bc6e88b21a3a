//! What is looked for on the CRLs of an issuer. Of a large CA these are millions of revocations, of which nearly all are
//! as they should be: those stand in one sorted array, 56 bytes each, and only what does not fit there stands alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::books::{Followed, Seen};
use crate::clock::Timestamp;
use crate::finding::{CaseKey, KeyHash, RevocationClock, Serial};
use crate::record::{Revocation, Revoked};

/// What is known of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct One {
    /// Issuer key and serial number, without sign octet.
    pub(super) key: CaseKey,
    /// When its case was opened, and the clock of that.
    pub(super) case: Option<(Timestamp, RevocationClock)>,
    /// Whether its case is to be told as soon as it is on a CRL.
    pub(super) is_awaited: bool,
    /// Whether its case holds that the record and a CRL disagree.
    pub(super) is_disputed: bool,
    /// When it was seen on a CRL before.
    pub(super) seen_at: Option<Timestamp>,
    /// The end of its validity, by the record or as it was known when it was seen on a CRL.
    pub(super) not_after: Option<Timestamp>,
    /// What the record says; `None`: it was not asked, or has no such certificate.
    pub(super) record: Option<Option<Revocation>>,
    /// Where it was found in this round.
    pub(super) found: Option<Found>,
}

/// An entry of a CRL: its URL, revocationDate, reason.
pub(super) type Found = (Arc<str>, Option<Timestamp>, u8);

impl One {
    pub(super) fn new(key: CaseKey) -> One {
        let (is_awaited, is_disputed) = (false, false);
        One { key, case: None, is_awaited, is_disputed, seen_at: None, not_after: None, record: None, found: None }
    }

    /// Adds what is known of the same certificate from elsewhere.
    fn add(&mut self, other: One) {
        self.case = self.case.or(other.case);
        self.is_awaited |= other.is_awaited;
        self.is_disputed |= other.is_disputed;
        self.seen_at = self.seen_at.or(other.seen_at);
        // The record knows it better than what was noted once.
        self.not_after = match self.record {
            Some(_) => self.not_after.or(other.not_after),
            None => other.not_after.or(self.not_after),
        };
        self.record = self.record.or(other.record);
        self.found = self.found.take().or(other.found);
    }
}

/// A serial number has at most 20 octets (RFC 5280 4.1.2.2).
const LONGEST: usize = 20;

/// A certificate without a case, as small as it goes. Times are seconds since 1970.
#[derive(Clone, Copy)]
struct Row {
    /// Milliseconds since 1970.
    seen_at: i64,
    not_after: u32,
    aware_at: u32,
    revoked_at: u32,
    found_at: u32,
    /// Which of the URLs.
    found_in: u16,
    serial: [u8; LONGEST],
    length: u8,
    reason: u8,
    found_reason: u8,
    record: Recorded,
}

/// What the record says, besides times and reason.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Unknown,
    NotRevoked,
    Revoked,
}

/// What the first lines of this file and the README say.
const _: () = assert!(size_of::<Row>() == 56);

const NO_TIME: u32 = u32::MAX;
const NOT_SEEN: i64 = i64::MIN;
const NO_REASON: u8 = u8::MAX;
const NOWHERE: u16 = u16::MAX;

/// `None`: it does not fit.
fn small(at: Option<Timestamp>) -> Option<u32> {
    let Some(at) = at else { return Some(NO_TIME) };
    let seconds = u32::try_from(at.seconds()).ok().filter(|seconds| *seconds != NO_TIME)?;
    (Timestamp::from_seconds(at.seconds()) == at).then_some(seconds)
}

fn wide(at: u32) -> Option<Timestamp> {
    (at != NO_TIME).then(|| Timestamp::from_seconds(at.into()))
}

impl Row {
    fn serial(&self) -> &[u8] {
        &self.serial[..usize::from(self.length)]
    }

    /// Adds what is known of the same certificate from elsewhere; see [`One::add`].
    fn add(&mut self, other: &Row) {
        if self.seen_at == NOT_SEEN {
            self.seen_at = other.seen_at;
        }
        if other.not_after != NO_TIME && (self.record == Recorded::Unknown || self.not_after == NO_TIME) {
            self.not_after = other.not_after;
        }
        if self.record == Recorded::Unknown {
            (self.record, self.reason) = (other.record, other.reason);
            (self.aware_at, self.revoked_at) = (other.aware_at, other.revoked_at);
        }
        if self.found_in == NOWHERE {
            (self.found_in, self.found_at, self.found_reason) = (other.found_in, other.found_at, other.found_reason);
        }
    }
}

/// What is looked for on the CRLs of one issuer.
pub(super) struct Sought {
    issuer: KeyHash,
    /// What has a case or does not fit into a row, by serial number; a row of the same serial number does not count.
    alone: HashMap<Vec<u8>, One>,
    /// In the order of the serial numbers up to `sorted`; what came later follows in any order.
    rows: Vec<Row>,
    sorted: usize,
    /// The URLs of the CRLs on which something was found.
    urls: Vec<Arc<str>>,
}

impl Sought {
    pub(super) fn new(issuer: KeyHash, followed: HashMap<Vec<u8>, Followed>) -> Sought {
        let one = |Followed { key, case, is_awaited, is_disputed }| One {
            case: Some(case),
            is_awaited,
            is_disputed,
            ..One::new(key)
        };
        let alone = followed.into_iter().map(|(serial, followed)| (serial, one(followed))).collect();
        Sought { issuer, alone, rows: Vec::new(), sorted: 0, urls: Vec::new() }
    }

    fn key(&self, serial: &[u8]) -> CaseKey {
        CaseKey { issuer_key_hash: self.issuer, serial: Serial(serial.to_vec()) }
    }

    /// Adds a revocation of the record.
    pub(super) fn add_revoked(&mut self, Revoked { serial, not_after, revocation }: Revoked) {
        let key = CaseKey { issuer_key_hash: self.issuer, serial };
        self.add(One { not_after, record: Some(Some(revocation)), ..One::new(key) });
    }

    /// Adds what was seen on a CRL before.
    pub(super) fn add_seen(&mut self, Seen { serial, seen_at, not_after }: Seen) {
        let key = CaseKey { issuer_key_hash: self.issuer, serial: Serial(serial) };
        self.add(One { seen_at: Some(seen_at), not_after, ..One::new(key) });
    }

    /// Adds a certificate, or what more is known of it. What is new is found after the next [`Sought::settle`].
    pub(super) fn add(&mut self, mut one: One) {
        if let Some(known) = self.alone.get_mut(&one.key.serial.0) {
            return known.add(one);
        }
        let (new, place) = (self.pack(&one), self.place(&one.key.serial.0));
        match (new, place) {
            (Some(new), Some(place)) => self.rows[place].add(&new),
            (Some(new), None) => {
                if self.rows.len() == self.rows.capacity() {
                    // By an eighth: twice as much would be a hundred megabytes for nothing.
                    self.rows.reserve_exact((self.rows.len() / 8).max(1024));
                }
                self.rows.push(new);
            }
            (None, place) => {
                if let Some(place) = place {
                    one.add(self.unpack(&self.rows[place]));
                }
                self.alone.insert(one.key.serial.0.clone(), one);
            }
        }
    }

    /// Sorts what was added; of each serial number there is one afterwards.
    pub(super) fn settle(&mut self) {
        if self.sorted == self.rows.len() {
            return;
        }
        self.rows.sort_unstable_by(|one, other| one.serial().cmp(other.serial()));
        self.rows.dedup_by(|later, one| {
            let is_same = later.serial() == one.serial();
            if is_same {
                one.add(later);
            }
            is_same
        });
        self.sorted = self.rows.len();
        // A row may have come before what does not fit into one.
        let mut alone = std::mem::take(&mut self.alone);
        for (serial, one) in &mut alone {
            if let Some(place) = self.place(serial) {
                one.add(self.unpack(&self.rows[place]));
            }
        }
        self.alone = alone;
    }

    /// Notes that a serial number is on a CRL. Whether it was looked for.
    pub(super) fn find(&mut self, serial: &[u8], url: &Arc<str>, at: Option<Timestamp>, reason: u8) -> bool {
        if let Some(one) = self.alone.get_mut(serial) {
            one.found = Some((url.clone(), at, reason));
            return true;
        }
        let Some(place) = self.place(serial) else { return false };
        match self.url(url).zip(small(at)) {
            Some((found_in, found_at)) => {
                let row = &mut self.rows[place];
                (row.found_in, row.found_at, row.found_reason) = (found_in, found_at, reason);
            }
            None => {
                let one = One { found: Some((url.clone(), at, reason)), ..self.unpack(&self.rows[place]) };
                self.alone.insert(serial.to_vec(), one);
            }
        }
        true
    }

    /// Those of which the record has said nothing: some `limit` of them from a place on, and the place after them, if
    /// there are more.
    pub(super) fn unasked(&self, place: usize, limit: usize) -> (Vec<CaseKey>, Option<usize>) {
        let mut keys = Vec::new();
        if place == 0 {
            keys.extend(self.alone.values().filter(|one| one.record.is_none()).map(|one| one.key.clone()));
        }
        for (at, row) in self.rows.iter().enumerate().skip(place) {
            if keys.len() >= limit {
                return (keys, Some(at));
            }
            if row.record == Recorded::Unknown && !self.alone.contains_key(row.serial()) {
                keys.push(self.key(row.serial()));
            }
        }
        (keys, None)
    }

    /// All of it.
    pub(super) fn each(&self) -> impl Iterator<Item = One> {
        let rows = self.rows.iter().filter(|row| !self.alone.contains_key(row.serial()));
        self.alone.values().cloned().chain(rows.map(|row| self.unpack(row)))
    }

    /// Where the row of a serial number is, if it is sorted.
    fn place(&self, serial: &[u8]) -> Option<usize> {
        self.rows[..self.sorted].binary_search_by(|row| row.serial().cmp(serial)).ok()
    }

    /// The number of a URL; those of one CRL come one after the other.
    fn url(&mut self, url: &Arc<str>) -> Option<u16> {
        let known = self.urls.iter().rposition(|known| Arc::ptr_eq(known, url));
        let place = known.unwrap_or_else(|| {
            self.urls.push(url.clone());
            self.urls.len() - 1
        });
        u16::try_from(place).ok().filter(|place| *place != NOWHERE)
    }

    /// `None`: it does not fit.
    fn pack(&mut self, one: &One) -> Option<Row> {
        let octets = &one.key.serial.0;
        if one.case.is_some() || one.is_awaited || octets.len() > LONGEST {
            return None;
        }
        let mut serial = [0; LONGEST];
        serial[..octets.len()].copy_from_slice(octets);
        let revocation = one.record.flatten();
        let moment = |of: fn(&Revocation) -> Option<Timestamp>| small(revocation.as_ref().and_then(of));
        let reason = match revocation.and_then(|revocation| revocation.reason) {
            Some(reason) => u8::try_from(reason).ok().filter(|reason| *reason != NO_REASON)?,
            None => NO_REASON,
        };
        let (found_in, found_at, found_reason) = match &one.found {
            Some((url, at, reason)) => (self.url(url)?, small(*at)?, *reason),
            None => (NOWHERE, NO_TIME, 0),
        };
        Some(Row {
            seen_at: one.seen_at.map_or(NOT_SEEN, Timestamp::millis),
            not_after: small(one.not_after)?,
            aware_at: moment(|revocation| revocation.aware_at)?,
            revoked_at: moment(|revocation| revocation.revoked_at)?,
            found_at,
            found_in,
            serial,
            length: octets.len() as u8,
            reason,
            found_reason,
            record: match one.record {
                None => Recorded::Unknown,
                Some(None) => Recorded::NotRevoked,
                Some(Some(_)) => Recorded::Revoked,
            },
        })
    }

    fn unpack(&self, row: &Row) -> One {
        let revocation = || Revocation {
            aware_at: wide(row.aware_at),
            revoked_at: wide(row.revoked_at),
            reason: (row.reason != NO_REASON).then_some(row.reason.into()),
            crl_seen_at: None,
        };
        let url = self.urls.get(usize::from(row.found_in));
        One {
            seen_at: (row.seen_at != NOT_SEEN).then(|| Timestamp::from_millis(row.seen_at)),
            not_after: wide(row.not_after),
            record: match row.record {
                Recorded::Unknown => None,
                Recorded::NotRevoked => Some(None),
                Recorded::Revoked => Some(Some(revocation())),
            },
            found: url.map(|url| (url.clone(), wide(row.found_at), row.found_reason)),
            ..One::new(self.key(row.serial()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    const AT: Timestamp = date(2026, 11, 22);

    fn url(name: &str) -> Arc<str> {
        Arc::from(format!("http://crl.example/{name}.crl"))
    }

    fn key(serial: &[u8]) -> CaseKey {
        CaseKey { issuer_key_hash: KeyHash([7; 32]), serial: Serial(serial.to_vec()) }
    }

    fn revoked(serial: &[u8], reason: u64, revoked_at: Timestamp) -> Revoked {
        let revocation =
            Revocation { aware_at: None, revoked_at: Some(revoked_at), reason: Some(reason), crl_seen_at: None };
        Revoked { serial: Serial(serial.to_vec()), not_after: Some(date(2027, 1, 1)), revocation }
    }

    fn all(sought: &Sought) -> Vec<One> {
        let mut all: Vec<One> = sought.each().collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    #[test]
    fn what_fits_a_row_and_what_does_not_come_out_alike() {
        // A serial number of 21 octets, a time before 1970 and one after 2106, a time with milliseconds, a reason of three
        // digits.
        let cases = [
            revoked(&[1], 4, AT),
            revoked(&[2; 20], 254, Timestamp::from_seconds(0)),
            revoked(&[3; 21], 1, AT),
            revoked(&[4], 1, Timestamp::from_seconds(-5)),
            revoked(&[5], 1, date(2200, 1, 1)),
            revoked(&[6], 1, Timestamp::from_millis(AT.millis() + 5)),
            revoked(&[7], 255, AT),
            Revoked { not_after: None, ..revoked(&[8], 0, AT) },
        ];
        let mut sought = Sought::new(KeyHash([7; 32]), HashMap::new());
        cases.iter().rev().for_each(|case| sought.add_revoked(case.clone()));
        sought.settle();
        assert_eq!((sought.rows.len(), sought.alone.len()), (3, 5));
        let given = |one: One| Revoked {
            serial: one.key.serial,
            not_after: one.not_after,
            revocation: one.record.flatten().expect("revoked"),
        };
        assert_eq!(all(&sought).into_iter().map(given).collect::<Vec<_>>(), cases);

        // They are found alike, wherever the CRL says that it was revoked.
        for (case, at) in cases.iter().zip([Some(AT), None, Some(AT), None, Some(date(1960, 1, 1))].iter().cycle()) {
            assert!(sought.find(&case.serial.0, &url("1"), *at, 9));
            let one = all(&sought).into_iter().find(|one| one.key.serial == case.serial).expect("it");
            assert_eq!((one.found.clone(), given(one)), (Some((url("1"), *at, 9)), case.clone()));
        }
        assert!(!sought.find(&[9], &url("1"), None, 0));
        assert_eq!(all(&sought).len(), cases.len());
    }

    #[test]
    fn a_row_and_what_does_not_fit_into_one_are_one() {
        for first_fits in [true, false] {
            let mut sought = Sought::new(KeyHash([7; 32]), HashMap::new());
            let seen = Seen { serial: vec![1], seen_at: AT, not_after: None };
            if first_fits {
                sought.add_seen(seen.clone());
            }
            sought.add_revoked(revoked(&[1], 1, date(2200, 1, 1)));
            if !first_fits {
                sought.add_seen(seen);
            }
            sought.settle();
            let all = all(&sought);
            assert_eq!((all.len(), all[0].seen_at), (1, Some(AT)));
            assert_eq!(all[0].record.flatten().and_then(|row| row.revoked_at), Some(date(2200, 1, 1)));
        }
    }

    #[test]
    fn what_comes_from_the_case_the_record_the_books_and_the_crls_is_one() {
        let clock = RevocationClock::Day(3);
        let followed =
            |serial: &[u8]| Followed { key: key(serial), case: (AT, clock), is_awaited: true, is_disputed: false };
        let cases = [vec![1], vec![9]].map(|serial| (serial.clone(), followed(&serial)));
        let mut sought = Sought::new(KeyHash([7; 32]), HashMap::from(cases));
        let (early, later) = (date(2026, 12, 1), date(2026, 11, 1));
        for serial in [3, 1, 2, 2] {
            sought.add_revoked(revoked(&[serial], 4, AT));
        }
        sought.settle();
        for (serial, not_after) in [(4, None), (2, Some(early)), (1, None), (5, Some(early))] {
            sought.add_seen(Seen { serial: vec![serial], seen_at: later, not_after });
        }
        sought.settle();
        assert_eq!(sought.unasked(0, 2), (vec![key(&[9]), key(&[4])], Some(3)));
        assert_eq!(sought.unasked(3, 2), (vec![key(&[5])], None));
        // The record has one of them, without a revocation; one is on two CRLs and was unknown before.
        sought.add(One { record: Some(None), not_after: Some(AT), ..One::new(key(&[5])) });
        for (name, serial) in [("1", 6), ("1", 6), ("2", 1), ("2", 3)] {
            if !sought.find(&[serial], &url(name), Some(AT), 4) {
                let found = Some((url(name), Some(AT), 4));
                sought.add(One { record: Some(None), found, ..One::new(key(&[serial])) });
            }
        }
        sought.settle();
        let told = |one: &One| {
            let revoked = one.record.map(|record| record.is_some());
            let found = one.found.as_ref().map(|(url, ..)| url.to_string());
            (one.key.serial.0[0], one.case.is_some(), revoked, one.seen_at, one.not_after, found)
        };
        let (end, at) = (Some(date(2027, 1, 1)), |name: &str| Some(url(name).to_string()));
        let expected = [
            (1, true, Some(true), Some(later), end, at("2")),
            (2, false, Some(true), Some(later), end, None),
            (3, false, Some(true), None, end, at("2")),
            (4, false, None, Some(later), None, None),
            (5, false, Some(false), Some(later), Some(AT), None),
            (6, false, Some(false), None, None, at("1")),
            (9, true, None, None, None, None),
        ];
        assert_eq!(all(&sought).iter().map(told).collect::<Vec<_>>(), expected);
    }
}
