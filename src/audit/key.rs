//! Which part of the corpus a name belongs to. Pure and the same on every machine: of the name alone.
//!
//! A name and every domain whose validation can cover it, down to the last two labels, have the same key; below a suffix
//! of several labels (`co.uk`) it is the last three. So the key never splits what one registrable domain holds, and
//! domains that are shorter than that belong to every part.

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
    /// What `find` says of the name of this hash, or said before.
    pub(super) fn is(&mut self, name: &str, hash: u64, find: impl FnOnce() -> bool) -> bool {
        let (known, answer) = &mut self.0[(hash >> 20) as usize % SLOTS];
        // By the name itself: whoever chooses names can make two of one hash.
        if known != name {
            known.clear();
            known.push_str(name);
            *answer = find();
        }
        *answer
    }
}

/// The parts of names, with a memory of the last two labels of the name before: names come in bunches.
#[derive(Debug, Default)]
pub struct Keys {
    last: String,
    splits: bool,
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
            (hash, true) => Place::Part(part(hash)),
        }
    }

    /// The hash of the labels that decide, and whether there are as many as decide.
    fn key(&mut self, name: &str) -> (u64, bool) {
        if name.contains(':') {
            return (fnv(name), true);
        }
        let mut dots = memchr::memrchr_iter(b'.', name.as_bytes());
        let (Some(_), second) = (dots.next(), dots.next()) else { return (fnv(name), name.contains('.')) };
        let two = second.map_or(name, |second| &name[second + 1..]);
        let hash = fnv(two);
        if self.last != two {
            self.last.clear();
            self.last.push_str(two);
            self.splits = SuffixList::Embedded.splits(two.as_bytes());
        }
        match (self.splits, second) {
            (false, _) => (hash, true),
            // A suffix itself.
            (true, None) => (hash, false),
            (true, Some(_)) => (dots.next().map_or_else(|| fnv(name), |third| fnv(&name[third + 1..])), true),
        }
    }
}

fn part(hash: u64) -> u32 {
    (hash >> 32) as u32 % PARTS
}

/// FNV-1a of 64 bits, stirred at the end: stable for ever, and nothing rests on its strength.
pub(super) fn fnv(text: &str) -> u64 {
    fnv_of(text.as_bytes())
}

/// As [`fnv`].
pub(super) fn fnv_of(text: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, step);
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
