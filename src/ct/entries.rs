//! A page of get-entries (RFC 6962 4.6).
//!
//! The hot path: the texts are found by a scanner and borrowed, the leaf is decoded into a buffer that is used again, and
//! the extra_data, which is twice as large and needed for hits alone, stays text until somebody asks.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::leaf::{LeafError, TimestampedEntry, parse_merkle_tree_leaf};
use super::scan::scan_page;
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

/// One entry of a page. Its texts are borrowed from the body and decoded when they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEntry<'a> {
    leaf_input: Cow<'a, [u8]>,
    extra_data: Result<Cow<'a, [u8]>, EntryError>,
}

/// Room for one decoded leaf, to be used for the next one again.
#[derive(Clone, Debug, Default)]
pub struct LeafBuffer(Vec<u8>);

/// A decoded leaf_input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf<'b> {
    /// A zero octet and the leaf_input: in this form it is hashed without another copy.
    prefixed: &'b [u8],
}

impl<'b> Leaf<'b> {
    /// The MerkleTreeLeaf.
    pub fn leaf_input(&self) -> &'b [u8] {
        &self.prefixed[1..]
    }
    /// The leaf's hash in the tree.
    pub fn leaf_hash(&self) -> Hash {
        sha256(&[self.prefixed])
    }
    /// The leaf, read. An entry whose leaf cannot be read still has its place in the tree.
    pub fn parse(&self) -> Result<TimestampedEntry<'b>, LeafError> {
        parse_merkle_tree_leaf(self.leaf_input())
    }
}

impl PageEntry<'_> {
    /// Decodes the leaf_input into `buffer`, which grows to the largest leaf that it has held.
    pub fn decode_leaf<'b>(&self, buffer: &'b mut LeafBuffer) -> Result<Leaf<'b>, EntryError> {
        let prefixed = &mut buffer.0;
        prefixed.clear();
        // The decoder reserves what it needs and no more: without this every leaf that is a little larger allocates.
        prefixed.reserve(1 + self.leaf_input.len() / 4 * 3);
        prefixed.push(0);
        let decoded = base64_simd::STANDARD.decode_append(&self.leaf_input, prefixed);
        decoded.map_err(|_| EntryError::Base64("leaf_input"))?;
        Ok(Leaf { prefixed })
    }
    /// The extra_data as the log wrote it, for keeping as evidence; empty when it is not text.
    pub fn extra_text(&self) -> &str {
        self.extra_data.as_deref().ok().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
    /// Decodes the extra_data, for [`super::leaf::ExtraData::parse`].
    pub fn decode_extra(&self) -> Result<Vec<u8>, EntryError> {
        let text = self.extra_data.as_deref().map_err(|error| *error)?;
        base64_simd::STANDARD.decode_to_vec(text).map_err(|_| EntryError::Base64("extra_data"))
    }
}

/// What a page holds, in order. An entry that is not of the form is an error in its place and costs no other.
pub type PageEntries<'a> = Vec<Result<PageEntry<'a>, EntryError>>;

/// Reads a page.
pub fn parse_page(body: &[u8]) -> Result<PageEntries<'_>, PageError> {
    fold_page(body, Vec::new, |entries, entry| entries.push(entry))
}

/// Reads a page in one pass: `take` gets its entries one by one, in order. Whether the body is a page shows at its end
/// only; what was taken from one that is not is dropped, and from one that the scanner cannot read to its end it is
/// taken again, into a `new` state.
pub fn fold_page<'a, S>(
    body: &'a [u8],
    new: impl Fn() -> S,
    mut take: impl FnMut(&mut S, Result<PageEntry<'a>, EntryError>),
) -> Result<S, PageError> {
    let mut state = new();
    let scanned = scan_page(body, MAX_PAGE_ENTRIES, |leaf_input, extra_data| {
        take(&mut state, Ok(PageEntry { leaf_input: leaf_input.into(), extra_data: Ok(extra_data.into()) }));
    });
    if scanned.is_none() {
        state = new();
        parse_json(body)?.into_iter().for_each(|entry| take(&mut state, entry));
    }
    Ok(state)
}

/// Reads a page of any shape.
fn parse_json(body: &[u8]) -> Result<PageEntries<'_>, PageError> {
    // The derived reader of a struct takes an array for it as well, which no page is.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(PageError::Malformed("it is not a JSON object".to_string()));
    }
    let page: Page<'_> = serde_json::from_slice(body).map_err(|error| PageError::Malformed(escape_error(&error)))?;
    match page.entries {
        Entries::Read(entries) => Ok(entries.into_iter().map(RawEntry::entry).collect()),
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

fn text<'a>(value: Option<Text<'a>>, member: &'static str) -> Result<Cow<'a, [u8]>, EntryError> {
    match value {
        Some(Text::Is(Cow::Borrowed(text))) => Ok(text.as_bytes().into()),
        Some(Text::Is(Cow::Owned(text))) => Ok(text.into_bytes().into()),
        Some(Text::Not) => Err(EntryError::NotText(member)),
        None => Err(EntryError::Missing(member)),
    }
}

impl<'a> RawEntry<'a> {
    fn entry(self) -> Result<PageEntry<'a>, EntryError> {
        if !self.object {
            return Err(EntryError::NotObject);
        }
        let leaf_input = text(self.leaf_input, "leaf_input")?;
        Ok(PageEntry { leaf_input, extra_data: text(self.extra_data, "extra_data") })
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
    use proptest::prelude::*;

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
        let mut buffer = LeafBuffer::default();
        for entry in entries {
            let entry = entry.expect("our own entry");
            let decoded = entry.decode_leaf(&mut buffer).expect("our own leaf");
            assert_eq!(decoded.leaf_input(), leaf);
            assert_eq!(decoded.leaf_hash(), leaf_hash(&leaf));
            assert_eq!(decoded.parse().map(|leaf| leaf.entry.kind()), Ok(EntryKind::Certificate));
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
        let mut buffer = LeafBuffer::default();
        let errors = entries.iter().map(|entry| match entry {
            Ok(entry) => entry.decode_leaf(&mut buffer).err(),
            Err(error) => Some(*error),
        });
        let errors: Vec<Option<EntryError>> = errors.collect();
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
        let escaped = entries[12].as_ref().expect("an entry").decode_leaf(&mut buffer);
        assert_eq!(escaped.map(|leaf| leaf.leaf_input()), Ok([0].as_slice()));
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for bad in [
            "",
            "<html>",
            "{}",
            r#"{"entries":7}"#,
            r#"{"entries":[{"leaf_input":"AA=="#,
            r#"{"entries":[]} x"#,
            "[[]]",
            "[]",
        ] {
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
        let mut buffer = LeafBuffer::default();
        let leaf = entry.decode_leaf(&mut buffer).expect("base64");
        let kind = leaf.parse().expect("a leaf").entry.kind();
        assert!(!ExtraData::parse(kind, &extra).expect("a chain").chain.is_empty());
        let hash = "hash-nCs3mfIydh9x4CKyQ-2Bu2xtmpxmFggA5MLymHwNQSlLg-3D";
        let path = directory.join(format!("get-proof-by-hash-tree-size-961984011-{hash}"));
        let found = proof::parse_proof_by_hash(&read(path)).expect("a proof");
        assert_eq!(found.leaf_index, 10_000);
        let path = &found.audit_path;
        assert_eq!(proof::verify_inclusion(head.root(), 10_000, leaf.leaf_input(), path), Ok(()));
        assert_eq!(proof::verify_inclusion_of_hash(head.root(), 10_000, leaf.leaf_hash(), path), Ok(()));
        assert!(proof::verify_inclusion(head.root(), 10_001, leaf.leaf_input(), path).is_err());
    }

    /// Pages as logs write them and as they do not: white space, member order, escapes, members too few and too many.
    fn page_like() -> impl Strategy<Value = String> {
        let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\u{a0}")];
        let text = prop_oneof![
            8 => "[A-Za-z0-9+/]{0,40}={0,2}",
            1 => r#"[A-Za-z0-9+/]{0,8}(\\\\|\\/|\\u0041|\\x|\u{7f}|\u{e9}|\t)[A-Za-z0-9+/]{0,8}"#,
        ];
        let value = prop_oneof![12 => text.prop_map(|text| format!("\"{text}\"")), 1 => Just("7".to_string())];
        let name = prop_oneof![6 => Just("leaf_input"), 6 => Just("extra_data"), 1 => Just("leaf_inpu\\u0074")];
        let members =
            (space(), name, space(), value).prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{value}"));
        let entry = prop_oneof![
            6 => proptest::collection::vec(members.clone(), 2),
            1 => proptest::collection::vec(members, 0..4),
        ];
        let entry = entry.prop_map(|members| format!("{{{}}}", members.join(",")));
        let entries = proptest::collection::vec((entry, space()), 0..5);
        (space(), entries, space()).prop_map(|(before, entries, after)| {
            let entries: Vec<String> = entries.into_iter().map(|(entry, space)| entry + space).collect();
            format!("{before}{{\"entries\":[{}]{after}}}{after}", entries.join(","))
        })
    }

    proptest! {
        #[test]
        fn the_scanner_and_the_json_parser_read_every_page_alike(page in page_like()) {
            prop_assert_eq!(parse_page(page.as_bytes()), parse_json(page.as_bytes()));
        }

        #[test]
        fn they_read_every_damaged_page_alike(
            page in page_like(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4),
        ) {
            let mut page = page.into_bytes();
            for (at, byte, how) in damage {
                let at = at.index(page.len());
                let likely = b"\"\\{}[]:, \n\0"[usize::from(byte) % 11];
                match how {
                    0 => page[at] = byte,
                    1 => page[at] = likely,
                    2 => page.insert(at, likely),
                    _ => drop(page.remove(at)),
                }
                // Never empty, whatever was removed.
                page.push(b' ');
            }
            prop_assert_eq!(parse_page(&page), parse_json(&page));
        }
    }

    /// The property tests above say something: a page as logs write it does not reach the JSON parser.
    #[test]
    fn an_ordinary_page_is_scanned() {
        let page = encode_page([(b"leaf".as_slice(), b"extra".as_slice()); 40].into_iter());
        for page in [page.clone(), page.replace(",", ", ") + "\n"] {
            let mut count = 0;
            assert_eq!(scan_page(page.as_bytes(), 40, |_, _| count += 1), Some(()));
            assert_eq!((count, parse_page(page.as_bytes())), (40, parse_json(page.as_bytes())));
        }
    }
}
