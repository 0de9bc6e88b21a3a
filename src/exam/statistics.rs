//! What no certificate shows alone: serial numbers that do not come from a CSPRNG, and one key under several subjects.

use crate::cert::{Certificate, DnsName};
use crate::clock::{Timestamp, date};
use crate::finding::{
    Citation, Document, Finding, KeyHash, Needs, RevocationClock, RuleInfo, Serial, Severity, Verdict, br,
};
use crate::lint::SuffixList;

/// BR 7.1.2.7: the serialNumber "MUST be a non-sequential number greater than zero (0) and less than 2^159 containing
/// at least 64 bits of output from a CSPRNG".
pub static SERIAL_ENTROPY: RuleInfo = RuleInfo {
    id: "serial.entropy",
    summary: "the serial numbers of an issuer have 64 bits of output from a CSPRNG and are not sequential",
    severity: Severity::Review,
    citation: br("7.1.2.7"),
    clock: RevocationClock::FiveDays(12),
    since: Some(date(2016, 9, 30)),
    until: None,
    needs: Needs::Many,
};

/// A key that moves to another subject was known to the first one (BR 4.9.1.1 item 3 begins like this).
pub static KEY_REUSE: RuleInfo = RuleInfo {
    id: "key.reuse",
    summary: "a key stands in certificates of one subject only: some registrable domain is common to all of them",
    severity: Severity::Notice,
    citation: Citation { document: Document::Monitor, section: "keys of several certificates" },
    clock: RevocationClock::None,
    since: None,
    until: None,
    needs: Needs::Many,
};

/// Serial numbers that are seen before anything is said about them. With 200 the estimate for 64 random bits is 63.8
/// and that for 63 is 62.8, each give or take 0.05.
const FEWEST: u64 = 200;
/// An estimate below this is less than 64 bits.
const LEAST_BITS: f64 = 63.4;
/// From how many serial numbers on the older ones count half, so that what goes wrong later is seen too.
const FORGET_AT: u64 = 4096;
/// The widest serial number that is looked at, in octets: BR 7.1.2.7 allows no more than 20.
const WIDTH: usize = 20;
/// The most registrable domains of a certificate that are compared.
const MOST_DOMAINS: usize = 100;

/// What the serial numbers of one issuer have in common: how often each bit was 1, and how often one came close behind
/// another. 1.3 kB, whatever the number of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialStatistics {
    /// Serial numbers seen; older ones count less.
    seen: u64,
    /// For each bit, lowest first, in how many it was 1.
    ones: [u64; 8 * WIDTH],
    /// How many lay within 2^17 of the one seen before.
    close: u64,
    last: [u8; WIDTH],
    /// Whether what is wrong was said already: it is said once, with the certificate that brings it to light.
    told: bool,
}

impl Default for SerialStatistics {
    fn default() -> SerialStatistics {
        SerialStatistics { seen: 0, ones: [0; 8 * WIDTH], close: 0, last: [0; WIDTH], told: false }
    }
}

impl SerialStatistics {
    /// Takes the serial number of one more certificate, issued at `issued`, and judges the issuer: `None` while too few
    /// were seen.
    pub fn take(&mut self, serial: &Serial, issued: Timestamp) -> Option<Verdict> {
        if !SERIAL_ENTROPY.in_force(issued) {
            return None;
        }
        self.add(serial);
        if self.seen < FEWEST {
            return None;
        }
        let wrong = self.wrong();
        let told = std::mem::replace(&mut self.told, wrong.is_some());
        Some(match wrong {
            Some(detail) if !told => {
                Verdict::Fail(vec![SERIAL_ENTROPY.finding("serial numbers of the issuer", detail)])
            }
            _ => Verdict::Pass,
        })
    }

    fn add(&mut self, serial: &Serial) {
        if self.seen >= FORGET_AT {
            self.seen /= 2;
            self.close /= 2;
            self.ones.iter_mut().for_each(|count| *count /= 2);
        }
        let value = right_aligned(&serial.0);
        for (at, count) in self.ones.iter_mut().enumerate() {
            *count += u64::from(value[WIDTH - 1 - at / 8] >> (at % 8) & 1);
        }
        self.close += u64::from(self.seen > 0 && high(&value).abs_diff(high(&self.last)) <= 1);
        self.last = value;
        self.seen += 1;
    }

    fn wrong(&self) -> Option<String> {
        let seen = self.seen;
        if self.close > seen / 10 {
            let close = self.close;
            return Some(format!(
                "of the last {seen} serial numbers that were seen {close} lie within 2^17 of the one before: they are \
                 counted up, not drawn"
            ));
        }
        let bits = self.bits();
        (bits < LEAST_BITS).then(|| {
            let constant = self.ones.iter().filter(|ones| **ones == 0 || **ones == seen).count();
            format!(
                "of the last {seen} serial numbers that were seen only {bits:.1} bits vary as random ones do, {} of 160 \
                 bits not at all; 64 have to come from a CSPRNG",
                constant
            )
        })
    }

    /// The entropy of all bits, each taken for itself.
    fn bits(&self) -> f64 {
        let entropy = |ones: &u64| {
            let p = *ones as f64 / self.seen as f64;
            if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() }
        };
        self.ones.iter().map(entropy).sum()
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.told)];
        for number in [self.seen, self.close].iter().chain(&self.ones) {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.last);
        bytes
    }

    /// Reads what [`SerialStatistics::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<SerialStatistics> {
        let (told, rest) = bytes.split_first()?;
        let (numbers, last) = rest.split_at_checked(8 * (2 + 8 * WIDTH))?;
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let (seen, close) = (numbers.next()?, numbers.next()?);
        let mut ones = [0; 8 * WIDTH];
        ones.iter_mut().for_each(|count| *count = numbers.next().unwrap_or_default());
        Some(SerialStatistics { seen, ones, close, last: last.try_into().ok()?, told: *told != 0 })
    }
}

fn right_aligned(octets: &[u8]) -> [u8; WIDTH] {
    let mut value = [0; WIDTH];
    let tail = &octets[octets.len().saturating_sub(WIDTH)..];
    value[WIDTH - tail.len()..].copy_from_slice(tail);
    value
}

/// The 128 bits above the lowest 16; what stands above them takes no part.
fn high(value: &[u8; WIDTH]) -> u128 {
    value[..WIDTH - 2].iter().fold(0, |high, octet| high << 8 | u128::from(*octet))
}

/// A certificate as one of those that hold a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: KeyHash,
    /// Its serial number.
    pub serial: Serial,
    /// Its registrable domains, 100 at most, sorted.
    pub domains: Vec<String>,
}

impl KeyUse {
    /// What a certificate says of its key and its subject; `None` without a name under a known suffix.
    pub fn of(certificate: &Certificate, serial: &Serial, suffixes: &SuffixList) -> Option<KeyUse> {
        let base = |name: &DnsName| suffixes.base_domain(name).map(|base| base.text());
        let mut domains: Vec<String> = certificate.dns_names().iter().filter_map(base).collect();
        domains.sort();
        domains.dedup();
        domains.truncate(MOST_DOMAINS);
        let spki_sha256 = certificate.spki_sha256();
        (!domains.is_empty()).then(|| KeyUse { spki_sha256, serial: serial.clone(), domains })
    }

    /// Judges this use of a key beside the others that are known.
    pub fn judge(&self, others: &[KeyUse]) -> Verdict {
        let apart = |other: &&KeyUse| !other.domains.iter().any(|domain| self.domains.contains(domain));
        let foreign: Vec<&KeyUse> = others.iter().filter(apart).collect();
        let Some(first) = foreign.first() else { return Verdict::Pass };
        let detail = format!(
            "the key also stands in {} of the {} other certificates that were looked at for it without a registrable \
             domain in common, for instance serial {} for {}",
            foreign.len(),
            others.len(),
            first.serial,
            first.domains.first().map_or("", String::as_str),
        );
        let finding: Finding = KEY_REUSE.finding("subjectPublicKeyInfo", detail);
        Verdict::Fail(vec![finding])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = date(2026, 11, 1);

    /// Numbers that look random and are the same in every run.
    fn drawn(count: u64, make: fn(&[u8; 32]) -> Vec<u8>) -> Vec<Serial> {
        (0..count).map(|n| Serial(make(&crate::ct::sha256(&[&n.to_be_bytes()])))).collect()
    }

    fn findings(serials: &[Serial]) -> Vec<(usize, String)> {
        let mut statistics = SerialStatistics::default();
        let mut found = Vec::new();
        for (at, serial) in serials.iter().enumerate() {
            // What is kept is what goes on.
            statistics = SerialStatistics::from_bytes(&statistics.to_bytes()).expect("its own bytes");
            match statistics.take(serial, NOW) {
                None => assert!(at + 1 < FEWEST as usize),
                Some(Verdict::Fail(wrong)) => found.extend(wrong.into_iter().map(|f| (at, f.detail))),
                Some(verdict) => assert_eq!(verdict, Verdict::Pass),
            }
        }
        found
    }

    #[test]
    fn numbers_with_64_random_bits_pass_wherever_the_bits_stand() {
        for make in [
            |h: &[u8; 32]| h[..8].to_vec(),
            |h: &[u8; 32]| [&[0][..], &h[..8]].concat(),
            |h: &[u8; 32]| [&[0x4d, 0x15][..], &h[..8], &[7; 6]].concat(),
            |h: &[u8; 32]| h[..16].to_vec(),
            |h: &[u8; 32]| h[..20].to_vec(),
        ] {
            assert_eq!(findings(&drawn(10_000, make)), []);
        }
    }

    #[test]
    fn one_bit_less_than_64_is_seen_and_said_once() {
        let found = findings(&drawn(3000, |h| [&[h[0] & 0x7f][..], &h[1..8]].concat()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0 + 1, FEWEST as usize);
        assert!(found[0].1.contains("only 62.8 bits vary") && found[0].1.contains("the last 200"), "{}", found[0].1);
        let short = findings(&drawn(FEWEST, |h| h[..4].to_vec()));
        assert!(short[0].1.contains("only 31.9 bits vary"), "{}", short[0].1);
    }

    #[test]
    fn what_goes_wrong_later_is_seen_and_said_again_after_it_was_well() {
        let good = drawn(5000, |h| h[..9].to_vec());
        let bad = drawn(9000, |h| [&[1; 4][..], &h[..5]].concat());
        let well_again = [good.clone(), good.clone(), good.clone()].concat();
        let found = findings(&[good, bad.clone(), well_again, bad].concat());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].0 > 5000 && found[0].0 < 14_000, "{found:?}");
    }

    #[test]
    fn numbers_that_are_counted_up_are_seen_although_some_come_in_between() {
        let counted = |n: u64| Serial([&[0x31; 8][..], &(0xffff_ffff_0000_0000 + 7 * n).to_be_bytes()].concat());
        let others = drawn(1000, |h| h[..16].to_vec());
        let mixed: Vec<Serial> =
            (0..1000).map(|n| if n % 3 == 0 { others[n as usize].clone() } else { counted(n) }).collect();
        let found = findings(&mixed);
        assert!(found.len() == 1 && found[0].1.contains("counted up"), "{found:?}");
    }

    #[test]
    fn certificates_from_before_the_rule_are_not_counted() {
        let mut statistics = SerialStatistics::default();
        for serial in drawn(1000, |h| h[..2].to_vec()) {
            assert_eq!(statistics.take(&serial, date(2016, 9, 29)), None);
        }
        assert_eq!(statistics, SerialStatistics::default());
        assert_eq!(SerialStatistics::from_bytes(&[0; 9]), None);
    }

    #[test]
    fn a_key_under_other_domains_is_told_and_a_renewal_is_not() {
        let used = |serial: u8, domains: &[&str]| KeyUse {
            spki_sha256: KeyHash([1; 32]),
            serial: Serial(vec![serial]),
            domains: domains.iter().map(|domain| domain.to_string()).collect(),
        };
        let renewed = used(2, &["a.eus", "b.eus"]);
        assert_eq!(renewed.judge(&[]), Verdict::Pass);
        assert_eq!(renewed.judge(&[used(1, &["b.eus"])]), Verdict::Pass);
        let Verdict::Fail(found) = renewed.judge(&[used(1, &["b.eus"]), used(9, &["c.eus"])]) else { panic!() };
        assert!(found[0].detail.contains("1 of the 2 other") && found[0].detail.ends_with("serial 09 for c.eus"));
        assert_eq!(found[0].severity, Severity::Notice);
    }
}
