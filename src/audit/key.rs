//! Which part of the corpus a name belongs to. Pure and the same on every machine: of the name alone.
//!
//! A name and every domain whose validation can cover it, down to the last two labels, have the same key; below a suffix
//! of several labels (`co.uk`) it is the last three. So the key never splits what one registrable domain holds, and
//! domains that are shorter than that belong to every part.

use crate::cert::name::DnsName;
use crate::lint::suffix::SuffixList;

/// Into how many parts every corpus is divided.
pub const PARTS: u32 = 256;

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To one part.
    Part(u32),
    /// To every part: a domain that could cover names of several parts.
    Every,
}

/// A small memory of what is true of names, which come in bunches.
#[derive(Debug)]
pub(super) struct Memory(Vec<(String, bool)>);

const SLOTS: usize = 4096;

impl Default for Memory {
    fn default() -> Memory {
        Memory(vec![(String::new(), false); SLOTS])
    }
}

impl Memory {
    /// What `find` says of the name, or said before.
    pub(super) fn is(&mut self, name: &str, find: impl FnOnce() -> bool) -> bool {
        let (known, answer) = &mut self.0[(fnv(name) >> 20) as usize % SLOTS];
        // By the name itself: whoever chooses names can make two of one hash.
        if known != name {
            known.clear();
            known.push_str(name);
            *answer = find();
        }
        *answer
    }
}

/// The parts of names, with a memory of which last two labels are a suffix themselves.
#[derive(Debug, Default)]
pub struct Keys {
    suffixes: Memory,
}

impl Keys {
    /// The part of a name in a certificate.
    pub fn of_name(&mut self, name: &str) -> u32 {
        let name = name.strip_prefix("*.").unwrap_or(name);
        part(self.key(name).0)
    }

    /// Where the confirmation of a domain belongs.
    pub fn of_domain(&mut self, domain: &str) -> Place {
        match self.key(domain) {
            (_, false) => Place::Every,
            (key, true) => Place::Part(part(key)),
        }
    }

    /// The labels that decide, and whether there are as many as decide.
    fn key<'n>(&mut self, name: &'n str) -> (&'n str, bool) {
        if name.contains(':') {
            return (name, true);
        }
        let mut dots = memchr::memrchr_iter(b'.', name.as_bytes());
        let (Some(_), second) = (dots.next(), dots.next()) else { return (name, name.contains('.')) };
        let Some(second) = second else { return (name, !self.is_suffix(name)) };
        let two = &name[second + 1..];
        if !self.is_suffix(two) {
            return (two, true);
        }
        (dots.next().map_or(name, |third| &name[third + 1..]), true)
    }

    /// Whether names below these two labels are registered by different people.
    fn is_suffix(&mut self, two: &str) -> bool {
        self.suffixes.is(two, || {
            let probe = format!("b.a.{two}");
            let suffix = SuffixList::Embedded.suffix(&DnsName::new(&probe));
            suffix.is_some_and(|suffix| suffix.labels().count() >= 2)
        })
    }
}

fn part(key: &str) -> u32 {
    (fnv(key) >> 32) as u32 % PARTS
}

/// FNV-1a of 64 bits, stirred at the end: stable for ever, and nothing rests on its strength.
pub(super) fn fnv(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 31).wrapping_mul(0x7fb5_d329_728e_a185)
}

/// The part that answers for a certificate as a whole.
pub fn of_certificate(cert_id: i64) -> u32 {
    (cert_id as u64 % u64::from(PARTS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::covering_domains;

    #[test]
    fn a_name_and_all_that_can_cover_it_are_in_one_part() {
        let mut keys = Keys::default();
        let names = [
            "a.eus",
            "*.a.eus",
            "x.y.a.eus",
            "b.co.uk",
            "x.b.co.uk",
            "x.y.city.kobe.jp",
            "a.b.nagoya.jp",
            "x.github.io",
            "a.k12.ma.us",
            "10.0.0.1",
            "2001:db8::1",
            "intranet",
            "a.b.c.d.e.f",
            "x.unknowntld",
            "a..b",
        ];
        for name in names {
            let part = keys.of_name(name);
            for domain in covering_domains(name) {
                match keys.of_domain(domain) {
                    Place::Part(other) => assert_eq!(other, part, "{domain} and {name}"),
                    Place::Every => {}
                }
            }
        }
        assert_eq!((keys.of_domain("eus"), keys.of_domain("co.uk")), (Place::Every, Place::Every));
        assert!(
            matches!(keys.of_domain("b.co.uk"), Place::Part(_)) && matches!(keys.of_domain("a.eus"), Place::Part(_))
        );
        assert!(
            matches!(keys.of_domain("10.0.0.1"), Place::Part(_)) && matches!(keys.of_domain("::1"), Place::Part(_))
        );
    }

    #[test]
    fn parts_are_the_same_for_ever_and_even() {
        let mut keys = Keys::default();
        assert_eq!(
            (keys.of_name("www.example.com"), keys.of_name("example.com")),
            (keys.of_name("a.example.com"), 101)
        );
        let mut sizes = [0_u32; PARTS as usize];
        (0..25_600).for_each(|n| sizes[keys.of_name(&format!("www.d{n}.co.uk")) as usize] += 1);
        assert!(sizes.iter().all(|size| (50..160).contains(size)), "{sizes:?}");
    }
}
