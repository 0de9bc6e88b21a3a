//! Texts by number: each once, however many rows name it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of no text.
pub const NONE: u32 = u32::MAX;

/// Texts in the order in which they came.
#[derive(Debug, Default)]
pub struct Interner {
    bytes: Vec<u8>,
    ends: Vec<u64>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// How much memory they take.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.table.capacity() * 5
    }
    /// The text of a number.
    pub fn get(&self, number: u32) -> &str {
        std::str::from_utf8(slice(&self.bytes, &self.ends, number)).unwrap_or_default()
    }
    /// The number of a text that is there.
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text.as_bytes());
        let same = |number: &u32| slice(&self.bytes, &self.ends, *number) == text.as_bytes();
        self.table.find(hash, same).copied()
    }
    /// The number of a text, which is added when it is new.
    pub fn add(&mut self, text: &str) -> (u32, bool) {
        let Interner { bytes, ends, table, hasher } = self;
        let hash = hasher.hash_one(text.as_bytes());
        let same = |number: &u32| slice(bytes, ends, *number) == text.as_bytes();
        if let Some(number) = table.find(hash, same) {
            return (*number, false);
        }
        let number = ends.len() as u32;
        bytes.extend_from_slice(text.as_bytes());
        ends.push(bytes.len() as u64);
        table.insert_unique(hash, number, |other| hasher.hash_one(slice(bytes, ends, *other)));
        (number, true)
    }
}

fn slice<'b>(bytes: &'b [u8], ends: &[u64], number: u32) -> &'b [u8] {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &bytes[start..ends[at] as usize]
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
        assert_eq!((texts.add("").0, texts.get(2000), texts.find("")), (2000, "", Some(2000)));
    }
}
