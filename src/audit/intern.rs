//! Texts by number: each once, however many rows name it.

use std::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of no text.
pub const NONE: u32 = u32::MAX;

/// Texts that are looked up together.
const BUNCH: usize = 64;

/// Texts one behind the other.
#[derive(Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Texts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Adds one at the end.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len() as u64);
    }
    /// The text of a number.
    pub fn get(&self, number: u32) -> &str {
        std::str::from_utf8(self.slice(number)).unwrap_or_default()
    }
    fn slice(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}

/// Texts by number, in the order in which they came; each once, but for those that [`Interner::adopt`] takes in bulk.
#[derive(Debug, Default)]
pub struct Interner {
    texts: Texts,
    /// Half of each text's hash, and its number: a table that grows need not look at the texts again.
    table: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
    /// Whether [`Interner::adopt`] met a text that was there.
    doubled: bool,
}

/// The table takes its place from the low bits of a hash and tells the texts of a place apart by the high ones.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Interner {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }
    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        self.texts.bytes.capacity() + self.texts.ends.capacity() * 8 + self.table.capacity() * 9
    }
    /// The text of a number.
    pub fn get(&self, number: u32) -> &str {
        self.texts.get(number)
    }
    /// Half of the hash of a text.
    pub fn half(&self, text: &str) -> u32 {
        (self.hasher.hash_one(text.as_bytes()) >> 32) as u32
    }
    /// The number of a text that is there.
    pub fn find(&self, text: &str) -> Option<u32> {
        let half = self.half(text);
        let same = |(other, number): &(u32, u32)| *other == half && self.texts.slice(*number) == text.as_bytes();
        self.table.find(spread(half), same).map(|(_, number)| *number)
    }
    /// As [`Interner::find`]; quick when it is the one after `last`, as in tables that are in one order.
    pub fn find_after(&self, last: u32, text: &str) -> Option<u32> {
        let next = last.wrapping_add(1);
        // The next one may be the second of its kind.
        let is_next = !self.doubled && (next as usize) < self.len() && self.texts.slice(next) == text.as_bytes();
        if is_next { Some(next) } else { self.find(text) }
    }
    /// Adds many texts, whose numbers follow each other; of one that is there twice the first number is found. With each
    /// its [`Interner::half`] is given.
    pub fn adopt(&mut self, texts: &Texts, halves: &[u32]) {
        let behind = self.texts.len();
        let octets = self.texts.bytes.len() as u64;
        self.texts.bytes.extend_from_slice(&texts.bytes);
        self.texts.ends.extend(texts.ends.iter().map(|end| octets + end));
        let Interner { texts, table, doubled, .. } = self;
        table.reserve(halves.len(), |(half, _)| spread(*half));
        for (bunch, halves) in halves.chunks(BUNCH).enumerate() {
            // First where each would be, so that the waits for memory overlap.
            for half in halves {
                std::hint::black_box(table.find(spread(*half), |_| true));
            }
            for (number, half) in (behind + bunch * BUNCH..).zip(halves) {
                let text = texts.slice(number as u32);
                let same = |(other, number): &(u32, u32)| other == half && texts.slice(*number) == text;
                match table.entry(spread(*half), same, |(half, _)| spread(*half)) {
                    Entry::Vacant(entry) => drop(entry.insert((*half, number as u32))),
                    Entry::Occupied(_) => *doubled = true,
                }
            }
        }
    }
    /// The number of a text, which is added when it is new.
    pub fn add(&mut self, text: &str) -> (u32, bool) {
        let half = self.half(text);
        let Interner { texts, table, .. } = self;
        let same = |(other, number): &(u32, u32)| *other == half && texts.slice(*number) == text.as_bytes();
        if let Some((_, number)) = table.find(spread(half), same) {
            return (*number, false);
        }
        let number = texts.len() as u32;
        texts.push(text);
        table.insert_unique(spread(half), (half, number), |(half, _)| spread(*half));
        (number, true)
    }
}

/// Texts by number, each once, most of which are short: those are compared where the look-up finds their number, and no
/// other place in memory has to be waited for.
#[derive(Debug, Default)]
pub struct ShortTexts {
    texts: Texts,
    table: HashTable<(Short, u32)>,
    hasher: DefaultHashBuilder,
}

/// The octets of a short text and their number, the others 0; of a long one as many as there is room for.
type Short = [u8; SHORT + 1];

/// The longest text that is short, in octets.
const SHORT: usize = 27;

fn short(text: &str) -> Short {
    let (mut short, kept) = ([0; SHORT + 1], text.len().min(SHORT));
    short[..kept].copy_from_slice(&text.as_bytes()[..kept]);
    short[SHORT] = text.len().min(SHORT + 1) as u8;
    short
}

impl ShortTexts {
    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        self.texts.bytes.capacity() + self.texts.ends.capacity() * 8 + self.table.capacity() * 37
    }
    /// The text of a number.
    pub fn get(&self, number: u32) -> &str {
        self.texts.get(number)
    }
    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text.as_bytes())
    }
    fn is(&self, (short, number): &(Short, u32), text: &str) -> bool {
        let is_short = text.len() <= SHORT;
        let same = |short: &[u8]| short == text.as_bytes();
        usize::from(short[SHORT]) == text.len().min(SHORT + 1)
            && if is_short { same(&short[..text.len()]) } else { same(self.texts.slice(*number)) }
    }
    /// The number of a text that is there.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.table.find(self.hash(text), |entry| self.is(entry, text)).map(|(_, number)| *number)
    }
    /// As [`ShortTexts::find`], of many.
    pub fn find_each<T: AsRef<str>>(&self, texts: &[T]) -> Vec<Option<u32>> {
        // First where each would be, which waits for no entry; then the entries, so that the waits for them overlap.
        let first = |text: &T| self.table.find(self.hash(text.as_ref()), |_| true);
        let places: Vec<Option<&(Short, u32)>> = texts.iter().map(first).collect();
        let found = |(text, place): (&T, Option<&(Short, u32)>)| match place {
            Some(entry) if self.is(entry, text.as_ref()) => Some(entry.1),
            // Another text has the same seven bits of its hash there.
            Some(_) => self.find(text.as_ref()),
            None => None,
        };
        texts.iter().zip(places).map(found).collect()
    }
    /// The number of a text, which is added when it is new.
    pub fn add(&mut self, text: &str) -> (u32, bool) {
        if let Some(number) = self.find(text) {
            return (number, false);
        }
        let number = self.texts.len() as u32;
        self.texts.push(text);
        let ShortTexts { texts, table, hasher } = self;
        let hash = |number: u32| hasher.hash_one(texts.slice(number));
        table.insert_unique(hash(number), (short(text), number), |(_, number)| hash(*number));
        (number, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut texts = Interner::default();
        let numbers: Vec<u32> = (0..2_000).map(|n| texts.add(&format!("order {n}")).0).collect();
        assert_eq!(numbers, (0..2_000).collect::<Vec<u32>>());
        assert_eq!(texts.add("order 7"), (7, false));
        assert_eq!((texts.find("order 1999"), texts.find("order"), texts.get(42)), (Some(1999), None, "order 42"));
        assert_eq!((texts.find_after(41, "order 42"), texts.find_after(41, "order 7")), (Some(42), Some(7)));
        assert_eq!((texts.find_after(NONE, "order 0"), texts.find_after(1999, "order")), (Some(0), None));
        assert_eq!((texts.add("").0, texts.get(2000), texts.find("")), (2000, "", Some(2000)));
        let mut many = Texts::default();
        (0..200).for_each(|n| many.push(&format!("order {}", 1_950 + n / 2)));
        let halves: Vec<u32> = (0..200).map(|n| texts.half(many.get(n))).collect();
        texts.adopt(&many, &halves);
        assert_eq!((texts.len(), texts.get(2_001), texts.get(2_200)), (2_201, "order 1950", "order 2049"));
        // Also where it is the next one.
        assert_eq!(
            (texts.find_after(2_000, "order 1950"), texts.find_after(2_101, "order 2000")),
            (Some(1_950), Some(2_101))
        );
        let found = |n| texts.find(&format!("order {n}"));
        assert_eq!(
            (found(1_950), found(1_999), found(2_000), found(2_049)),
            (Some(1_950), Some(1_999), Some(2_101), Some(2_199))
        );
    }

    #[test]
    fn short_and_long_texts_have_one_number_each() {
        let mut texts = ShortTexts::default();
        let of = |n: usize| format!("{}{n}", "applicant-".repeat(n % 5));
        assert!((0..2_000).all(|n| texts.add(&of(n)) == (n as u32, true)));
        assert!((0..2_000).all(|n| texts.find(&of(n)) == Some(n as u32) && texts.get(n as u32) == of(n)));
        let asked: Vec<String> = (0..2_000).map(|n| if n % 3 == 0 { format!("other {n}") } else { of(n) }).collect();
        let found = texts.find_each(&asked);
        assert!((0..2_000).all(|n| found[n] == (n % 3 != 0).then_some(n as u32)));
        assert_eq!((texts.add(&of(9)), texts.find("applicant-")), ((9, false), None));
        // An octet of 0 is not the end of a text.
        assert!(texts.add("a").1 && texts.add("a\0").1 && texts.add(&"b".repeat(27)).1 && texts.add(&"b".repeat(28)).1);
        assert_eq!((texts.find("a\0\0"), texts.find(&"b".repeat(29)), texts.find("")), (None, None, None));
    }
}
