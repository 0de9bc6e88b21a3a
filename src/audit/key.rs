//! Which part of the corpus a name belongs to. Pure and the same on every machine: of the name alone.
//!
//! A name and every domain whose validation can cover it, down to the last two labels, have the same key; below a suffix
//! of several labels (`co.uk`) it is the last three. So the key never splits what one registrable domain holds, and
//! domains that are shorter than that belong to every part. Whether two labels are such a suffix is asked of short ones
//! under a top-level domain of two letters, where nearly all of them are: the names under another one (`shizuoka.jp`)
//! are all in one part.

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

/// The parts of names, with a memory of what is true of their last two labels: names come in bunches.
#[derive(Debug)]
pub struct Keys {
    /// By their hash: the labels, and whether a suffix of several labels begins there.
    memory: Vec<(Vec<u8>, bool)>,
}

const SLOTS: usize = 256;

/// The most octets of two labels that are asked about: `co.uk`, `asso.fr`, `kyoto.jp`.
const SHORT: usize = 8;

impl Default for Keys {
    fn default() -> Keys {
        Keys { memory: vec![(Vec::new(), false); SLOTS] }
    }
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
        let octets = name.as_bytes();
        let dot_before = |end: usize| octets[..end].iter().rposition(|octet| *octet == b'.');
        let Some(last) = dot_before(octets.len()) else { return (hash_of(octets), octets.contains(&b':')) };
        let second = dot_before(last);
        let two = second.map_or(octets, |second| &octets[second + 1..]);
        if !self.splits(two, octets.len() - last - 1) {
            return (hash_of(two), true);
        }
        match second {
            // A suffix itself.
            None => (hash_of(two), false),
            Some(second) => {
                (dot_before(second).map_or_else(|| hash_of(octets), |third| hash_of(&octets[third + 1..])), true)
            }
        }
    }

    /// Whether these two labels, of which the last has so many octets, are a suffix of several labels.
    fn splits(&mut self, two: &[u8], last: usize) -> bool {
        if last != 2 || two.len() > SHORT {
            return false;
        }
        let (known, splits) = &mut self.memory[(hash_of(two) >> 20) as usize % SLOTS];
        // By the labels themselves: whoever chooses names can make two of one hash.
        if known != two {
            known.clear();
            known.extend_from_slice(two);
            *splits = SuffixList::Embedded.splits(two);
        }
        *splits
    }
}

fn part(hash: u64) -> u32 {
    (hash >> 32) as u32 % PARTS
}

/// The hash of a text: the same for ever and on every machine, and nothing rests on its strength.
pub(super) fn hash(text: &str) -> u64 {
    hash_of(text.as_bytes())
}

/// As [`hash`]: eight octets at a time, the last eight again where they are not a multiple.
pub(super) fn hash_of(text: &[u8]) -> u64 {
    let stir = |hash: u64, octets: u64| {
        let hash = (hash ^ octets).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ hash >> 32
    };
    let (chunks, rest) = text.as_chunks();
    let start = 0xcbf2_9ce4_8422_2325 ^ text.len() as u64;
    let mut hash = chunks.iter().fold(start, |hash, chunk| stir(hash, u64::from_le_bytes(*chunk)));
    match text.last_chunk() {
        _ if rest.is_empty() => {}
        Some(last) => hash = stir(hash, u64::from_le_bytes(*last)),
        None => hash = stir(hash, rest.iter().fold(0, |octets, octet| octets << 8 | u64::from(*octet))),
    }
    hash.wrapping_mul(0x7fb5_d329_728e_a185)
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
            "x.y.shizuoka.jp",
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
            (keys.of_name("a.example.com"), 164)
        );
        let mut sizes = [0_u32; PARTS as usize];
        (0..25_600).for_each(|n| sizes[keys.of_name(&format!("www.d{n}.co.uk")) as usize] += 1);
        assert!(sizes.iter().all(|size| (50..160).contains(size)), "{sizes:?}");
    }
}
