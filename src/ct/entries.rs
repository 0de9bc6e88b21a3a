//! A page of get-entries (RFC 6962 4.6).
//!
//! The hot path: the text is borrowed, the leaf is decoded and hashed, and the extra_data, which is twice as large and
//! needed for hits alone, stays text until somebody asks.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::leaf::{LeafError, TimestampedEntry, parse_merkle_tree_leaf};
use super::sth::escape_error;
use super::{Hash, sha256};

/// The most entries that are taken from one page. No log gives more than 1,024 for one question.
pub const MAX_PAGE_ENTRIES: usize = 16_384;

/// Why a page cannot be read at all. Ask again; if it stays so, ask for fewer entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not the JSON of get-entries: an error page, a cut body.
    #[error("get-entries answer cannot be read: {0}")]
    Malformed(String),
    /// More than [`MAX_PAGE_ENTRIES`].
    #[error("get-entries answer has more than {MAX_PAGE_ENTRIES} entries")]
    TooMany,
}

/// Why one entry of a page cannot be decoded. The others are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A member is missing.
    #[error("entry of get-entries has no {0}")]
    Missing(&'static str),
    /// A member is not a string.
    #[error("entry of get-entries has a {0} that is not a string")]
    NotText(&'static str),
    /// A member is not base64.
    #[error("entry of get-entries has a {0} that is not base64")]
    Base64(&'static str),
    /// Not a JSON object.
    #[error("entry of get-entries is not an object")]
    NotObject,
}

/// One entry of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEntry<'a> {
    /// A zero octet and the leaf_input: in this form it is hashed without another copy.
    prefixed: Vec<u8>,
    extra_data: Result<Cow<'a, str>, EntryError>,
}

impl<'a> PageEntry<'a> {
    /// The MerkleTreeLeaf.
    pub fn leaf_input(&self) -> &[u8] {
        &self.prefixed[1..]
    }
    /// The leaf's hash in the tree.
    pub fn leaf_hash(&self) -> Hash {
        sha256(&[&self.prefixed])
    }
    /// The leaf, read. An entry whose leaf cannot be read still has its place in the tree.
    pub fn parse(&self) -> Result<TimestampedEntry<'_>, LeafError> {
        parse_merkle_tree_leaf(self.leaf_input())
    }
    /// The extra_data as the log wrote it, for keeping as evidence; empty when it is not text.
    pub fn extra_text(&self) -> &str {
        self.extra_data.as_deref().unwrap_or_default()
    }
    /// Decodes the extra_data, for [`super::leaf::ExtraData::parse`].
    pub fn decode_extra(&self) -> Result<Vec<u8>, EntryError> {
        match &self.extra_data {
            Ok(text) => {
                base64_simd::STANDARD.decode_to_vec(text.as_bytes()).map_err(|_| EntryError::Base64("extra_data"))
            }
            Err(error) => Err(*error),
        }
    }
}

/// Reads a page. An entry that cannot be decoded is an error in its place and costs no other.
pub fn parse_page(body: &[u8]) -> Result<Vec<Result<PageEntry<'_>, EntryError>>, PageError> {
    let page: Page<'_> = serde_json::from_slice(body).map_err(|error| PageError::Malformed(escape_error(&error)))?;
    match page.entries {
        Entries::Read(entries) => Ok(entries.into_iter().map(RawEntry::decode).collect()),
        Entries::TooMany => Err(PageError::TooMany),
    }
}

/// Writes a page, for the demo log.
pub fn encode_page<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let entries: Vec<serde_json::Value> = entries
        .map(|(leaf_input, extra_data)| {
            serde_json::json!({"leaf_input": super::to_base64(leaf_input), "extra_data": super::to_base64(extra_data)})
        })
        .collect();
    serde_json::json!({ "entries": entries }).to_string()
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    entries: Entries<'a>,
}

enum Entries<'a> {
    Read(Vec<RawEntry<'a>>),
    TooMany,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries<'a>, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            if entries.len() == MAX_PAGE_ENTRIES {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Entries::TooMany);
            }
            entries.push(entry);
        }
        Ok(Entries::Read(entries))
    }
}

/// A JSON value where text is wanted.
enum Text<'a> {
    Is(Cow<'a, str>),
    Not,
}

/// An element of the array, whatever it is.
struct RawEntry<'a> {
    object: bool,
    leaf_input: Option<Text<'a>>,
    extra_data: Option<Text<'a>>,
}

const NOT_OBJECT: RawEntry<'static> = RawEntry { object: false, leaf_input: None, extra_data: None };

fn text<'a>(value: Option<Text<'a>>, member: &'static str) -> Result<Cow<'a, str>, EntryError> {
    match value {
        Some(Text::Is(text)) => Ok(text),
        Some(Text::Not) => Err(EntryError::NotText(member)),
        None => Err(EntryError::Missing(member)),
    }
}

impl<'a> RawEntry<'a> {
    fn decode(self) -> Result<PageEntry<'a>, EntryError> {
        if !self.object {
            return Err(EntryError::NotObject);
        }
        let leaf = text(self.leaf_input, "leaf_input")?;
        let mut prefixed = Vec::with_capacity(1 + leaf.len() / 4 * 3);
        prefixed.push(0);
        let decoded = base64_simd::STANDARD.decode_append(leaf.as_bytes(), &mut prefixed);
        decoded.map_err(|_| EntryError::Base64("leaf_input"))?;
        Ok(PageEntry { prefixed, extra_data: text(self.extra_data, "extra_data") })
    }
}

/// Both visitors take any JSON value: what is not wanted is passed over and remembered as such.
macro_rules! accept_scalars_as {
    ($unwanted:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($unwanted)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($unwanted)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($unwanted)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($unwanted)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($unwanted)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($unwanted)
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    accept_scalars_as!(Text::Not);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::Not)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::Is(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text::Is(Cow::Owned(text.to_string())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = RawEntry<'de>;

    accept_scalars_as!(NOT_OBJECT);

    fn visit_str<E>(self, _: &str) -> Result<RawEntry<'de>, E> {
        Ok(NOT_OBJECT)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry<'de>, A::Error> {
        let mut entry = RawEntry { object: true, ..NOT_OBJECT };
        while let Some(Text::Is(member)) = map.next_key::<Text<'de>>()? {
            match member.as_ref() {
                "leaf_input" => entry.leaf_input = Some(map.next_value()?),
                "extra_data" => entry.extra_data = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(entry)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawEntry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawEntry<'a>, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::EntryKind;
    use crate::clock::Timestamp;
    use crate::ct::leaf::{ExtraData, LeafEntry, encode_merkle_tree_leaf, leaf_hash};
    use crate::ct::proof;
    use crate::ct::vectors::{key, read, shared};

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let leaf = encode_merkle_tree_leaf(Timestamp::EPOCH, &LeafEntry::X509 { certificate: b"c" }, b"");
        let extra = ExtraData { pre_certificate: None, chain: vec![b"i"] }.encode();
        let page = encode_page([(leaf.as_slice(), extra.as_slice()); 3].into_iter());
        let entries = parse_page(page.as_bytes()).expect("our own page");
        assert_eq!(entries.len(), 3);
        for entry in entries {
            let entry = entry.expect("our own entry");
            assert_eq!(entry.leaf_input(), leaf);
            assert_eq!(entry.leaf_hash(), leaf_hash(&leaf));
            assert_eq!(entry.parse().map(|leaf| leaf.entry.kind()), Ok(EntryKind::Certificate));
            assert_eq!(entry.decode_extra(), Ok(extra.clone()));
            assert!(matches!(entry.extra_data, Ok(Cow::Borrowed(_))));
        }
        assert_eq!(parse_page(br#"{"entries":[]}"#), Ok(vec![]));
    }

    #[test]
    fn one_bad_entry_costs_no_other() {
        let body = br#"{"entries":[{"leaf_input":"AA==","extra_data":"AQ=="}, 7, null, true, -1, 1.5, "x", [[{}]],
            {"leaf_input":{"a":[1]},"extra_data":""}, {"extra_data":"AQ=="}, {"leaf_input":"A","extra_data":"AQ=="},
            {"leaf_input":"AA==","extra_data":[],"more":{"deep":[1]}}, {"leaf_input":"A\u0041==","extra_data":"*"},
            {"leaf_input":"AA=="}]}"#;
        let entries = parse_page(body).expect("a page");
        let (missing, base64) = (EntryError::Missing("leaf_input"), EntryError::Base64("leaf_input"));
        let errors: Vec<Option<EntryError>> = entries.iter().map(|entry| entry.as_ref().err().copied()).collect();
        let not = Some(EntryError::NotObject);
        let text = Some(EntryError::NotText("leaf_input"));
        assert_eq!(
            errors,
            [None, not, not, not, not, not, not, not, text, Some(missing), Some(base64), None, None, None]
        );
        let extra = |at: usize| entries[at].as_ref().expect("an entry").decode_extra();
        assert_eq!(extra(0), Ok(vec![1]));
        assert_eq!(extra(11), Err(EntryError::NotText("extra_data")));
        assert_eq!(extra(12), Err(EntryError::Base64("extra_data")));
        assert_eq!(extra(13), Err(EntryError::Missing("extra_data")));
        assert_eq!(entries[12].as_ref().map(|entry| entry.leaf_input()), Ok([0].as_slice()));
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for bad in ["", "<html>", "{}", r#"{"entries":7}"#, r#"{"entries":[{"leaf_input":"AA=="#, r#"{"entries":[]} x"#]
        {
            assert!(matches!(parse_page(bad.as_bytes()), Err(PageError::Malformed(_))), "{bad}");
        }
        let many = format!(r#"{{"entries":[{}1]}}"#, "1,".repeat(MAX_PAGE_ENTRIES));
        assert_eq!(parse_page(many.as_bytes()), Err(PageError::TooMany));
        let full = format!(r#"{{"entries":[{}1]}}"#, "1,".repeat(MAX_PAGE_ENTRIES - 1));
        assert_eq!(parse_page(full.as_bytes()).map(|entries| entries.len()), Ok(MAX_PAGE_ENTRIES));
    }

    #[test]
    fn a_real_entry_is_in_the_tree_that_its_log_has_signed() {
        let Some(directory) = shared().map(|shared| shared.join("argon2020")) else { return };
        let head = crate::ct::sth::parse_get_sth(&read(directory.join("get-sth"))).expect("a tree head");
        let head = head.verify(&key(directory.clone())).expect("a signed one");
        let body = read(directory.join("get-entries-start-10000-end-10000"));
        let page = parse_page(&body).expect("a page");
        let entry = page[0].as_ref().expect("an entry");
        let extra = entry.decode_extra().expect("extra data");
        let kind = entry.parse().expect("a leaf").entry.kind();
        assert!(!ExtraData::parse(kind, &extra).expect("a chain").chain.is_empty());
        let hash = "hash-nCs3mfIydh9x4CKyQ-2Bu2xtmpxmFggA5MLymHwNQSlLg-3D";
        let path = directory.join(format!("get-proof-by-hash-tree-size-961984011-{hash}"));
        let found = proof::parse_proof_by_hash(&read(path)).expect("a proof");
        assert_eq!(found.leaf_index, 10_000);
        let path = &found.audit_path;
        assert_eq!(proof::verify_inclusion(head.root(), 10_000, entry.leaf_input(), path), Ok(()));
        assert_eq!(proof::verify_inclusion_of_hash(head.root(), 10_000, entry.leaf_hash(), path), Ok(()));
        assert!(proof::verify_inclusion(head.root(), 10_001, entry.leaf_input(), path).is_err());
    }
}
