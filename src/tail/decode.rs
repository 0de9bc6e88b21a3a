//! The bytes of one response -> leaf hashes and candidates. No I/O; runs on threads that may compute.

use std::ops::Range;

use crate::ct::Hash;
use crate::ct::entries::{EntryError, LeafBuffer, PageEntry, fold_page};
use crate::ct::leaf::{ExtraData, LeafEntry, TimestampedEntry, leaf_hash, leaf_hash_of_entry, leaf_index};
use crate::ct::tile::{TILE_WIDTH, TileLeaf, tile_leaves};
use crate::watch::{Candidate, ChainHead, OwnedEntry, Watchlist, guard};

/// How much of a malformed entry is kept.
const KEPT_BYTES: usize = 65_536;

/// Entries that the log does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub range: Range<u64>,
    /// What the log said.
    pub why: String,
    /// Whether their hashes are known all the same.
    pub is_hashed: bool,
}

/// Stands for the hash of an entry of which nothing is known.
pub fn nothing() -> Hash {
    leaf_hash(&[])
}

/// What one response held.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Index of the first entry.
    pub start: u64,
    /// In how many responses they came.
    pub responses: u32,
    /// Hash of every leaf, in order.
    pub leaf_hashes: Vec<Hash>,
    /// Entries to look at.
    pub candidates: Vec<Candidate>,
    /// Whether there is an entry among them whose hash could not be found out, so that no root can fit.
    pub broken: bool,
    /// Entries that are not of the form the standard gives them: (index, reason, bytes).
    pub malformed: Vec<(u64, String, Vec<u8>)>,
    /// Entries that state another index than their own.
    pub misplaced: Vec<u64>,
    /// The first entry of a tile from which on nothing could be read.
    pub unread_from: Option<u64>,
    /// The octets from there on.
    pub(super) rest: Vec<u8>,
    /// Entries that the log does not serve.
    pub lost: Option<Lost>,
}

impl Decoded {
    /// Whether something must be said of just these entries.
    pub(super) fn stands_alone(&self) -> bool {
        self.lost.is_some() || self.unread_from.is_some() || self.broken
    }

    /// Takes up what stands directly behind, when neither [stands alone](Decoded::stands_alone).
    pub(super) fn extend(&mut self, behind: Decoded) {
        self.responses += behind.responses;
        self.leaf_hashes.extend(behind.leaf_hashes);
        self.candidates.extend(behind.candidates);
        self.malformed.extend(behind.malformed);
        self.misplaced.extend(behind.misplaced);
    }

    /// Takes up an entry of a tile whose hash is known.
    pub(super) fn take_leaf(&mut self, index: u64, leaf: &TileLeaf<'_>, watchlist: &Watchlist) {
        // static-ct-api: "leaf_index ... MUST match the index of the entry in the log".
        match leaf_index(leaf.entry.extensions) {
            Ok(Some(stated)) if stated == index => {}
            Ok(stated) => {
                let stated = stated.map_or("none".to_string(), |stated| stated.to_string());
                self.malformed(index, format!("leaf_index is {stated} at position {index}"), leaf.entry_bytes);
                self.misplaced.push(index);
            }
            Err(e) => self.malformed(index, e, leaf.entry_bytes),
        }
        if watchlist.selects(&leaf.entry.entry) {
            let mut candidate = candidate(index, &leaf.entry);
            candidate.precertificate = leaf.pre_certificate.map(<[u8]>::to_vec);
            candidate.issuer = leaf.fingerprints().next().map_or(ChainHead::Absent, ChainHead::Fingerprint);
            self.candidates.push(candidate);
        }
    }

    fn take(
        &mut self,
        index: u64,
        entry: Result<PageEntry<'_>, EntryError>,
        buffer: &mut LeafBuffer,
        watchlist: &Watchlist,
    ) {
        let read = entry.and_then(|entry| Ok((entry.decode_leaf(buffer)?, entry)));
        let (leaf, entry) = match read {
            Ok(read) => read,
            Err(e) => {
                // Its hash cannot be known; any value makes the root differ, which is the truth.
                self.leaf_hashes.push(leaf_hash(&[]));
                self.broken = true;
                return self.malformed(index, e, &[]);
            }
        };
        self.leaf_hashes.push(leaf.leaf_hash());
        match leaf.parse() {
            Ok(read) if watchlist.selects(&read.entry) => self.candidates.push(from_page(index, &read, &entry)),
            Ok(_) => {}
            Err(e) => self.malformed(index, e, leaf.leaf_input()),
        }
    }

    /// Takes an entry up that may bring the reading down: then it is malformed, and there are `hashes` hashes all the
    /// same.
    fn take_guarded(&mut self, index: u64, hashes: usize, take: impl FnOnce(&mut Decoded)) {
        if let Err(why) = guard(|| take(self)) {
            if self.leaf_hashes.len() < hashes {
                self.leaf_hashes.push(nothing());
                self.broken = true;
            }
            self.malformed(index, why, &[]);
        }
    }

    fn malformed(&mut self, index: u64, reason: impl ToString, bytes: &[u8]) {
        self.malformed.push((index, reason.to_string(), bytes[..bytes.len().min(KEPT_BYTES)].to_vec()));
    }
}

/// Decodes a get-entries response that begins at `start`; entries beyond `wanted` are ignored.
///
/// # Errors
/// When the body is not a get-entries response at all.
pub fn page(body: &[u8], start: u64, wanted: u64, watchlist: &Watchlist) -> Result<Decoded, String> {
    let mut buffer = LeafBuffer::default();
    page_with(body, start, wanted, |decoded, index, entry| decoded.take(index, entry, &mut buffer, watchlist))
}

/// The same with what takes an entry up. When that panics, the page is read once more with a guard around each entry.
fn page_with(
    body: &[u8],
    start: u64,
    wanted: u64,
    mut take: impl FnMut(&mut Decoded, u64, Result<PageEntry<'_>, EntryError>),
) -> Result<Decoded, String> {
    guard(|| fold(body, start, wanted, &mut take)).unwrap_or_else(|_| {
        fold(body, start, wanted, |decoded, index, entry| {
            let hashes = decoded.leaf_hashes.len() + 1;
            decoded.take_guarded(index, hashes, |decoded| take(decoded, index, entry));
        })
    })
}

fn fold(
    body: &[u8],
    start: u64,
    wanted: u64,
    mut take: impl FnMut(&mut Decoded, u64, Result<PageEntry<'_>, EntryError>),
) -> Result<Decoded, String> {
    let room = wanted.min(1024) as usize;
    let new = || Decoded { start, responses: 1, leaf_hashes: Vec::with_capacity(room), ..Decoded::default() };
    let page = fold_page(body, new, |decoded, entry| {
        let got = decoded.leaf_hashes.len() as u64;
        if got < wanted {
            take(decoded, start + got, entry);
        }
    });
    page.map_err(|e| e.to_string())
}

fn from_page(index: u64, leaf: &TimestampedEntry<'_>, entry: &PageEntry<'_>) -> Candidate {
    let mut candidate = candidate(index, leaf);
    // extra_data is decoded for hits alone. Garbled, it costs the chain and nothing else: the leaf is what counts.
    let extra = entry.decode_extra().unwrap_or_default();
    let Ok(extra) = ExtraData::parse(leaf.entry.kind(), &extra) else {
        candidate.garbled = Some(extra[..extra.len().min(KEPT_BYTES)].to_vec());
        return candidate;
    };
    candidate.precertificate = extra.pre_certificate.map(<[u8]>::to_vec);
    candidate.issuer = extra.chain.first().map_or(ChainHead::Absent, |der| ChainHead::Certificate(der.to_vec()));
    candidate
}

fn candidate(index: u64, leaf: &TimestampedEntry<'_>) -> Candidate {
    let entry = match leaf.entry {
        LeafEntry::X509 { certificate } => OwnedEntry::X509(certificate.to_vec()),
        LeafEntry::Precert { issuer_key_hash, tbs } => OwnedEntry::Precert { issuer_key_hash, tbs: tbs.to_vec() },
    };
    let (extensions, issuer) = (leaf.extensions.to_vec(), ChainHead::Absent);
    let logged_at = leaf.timestamp;
    Candidate { index, logged_at, entry, extensions, precertificate: None, issuer, garbled: None }
}

/// Decodes a data tile whose first entry is `tile_start`, keeping the entries of `[from, to)`.
///
/// # Errors
/// When the tile holds fewer entries than asked for and is well formed: the wrong tile. A tile that breaks off in the
/// middle of an entry is not an error: what stands behind the break is reported as malformed.
pub fn tile(body: &[u8], tile_start: u64, from: u64, to: u64, watchlist: &Watchlist) -> Result<Decoded, String> {
    tile_with(body, tile_start, from..to, |decoded, index, leaf| decoded.take_leaf(index, leaf, watchlist))
}

/// The same with what takes an entry up. When that panics, the tile is read once more with a guard around each entry.
fn tile_with(
    body: &[u8],
    tile_start: u64,
    wanted: Range<u64>,
    take: impl Fn(&mut Decoded, u64, &TileLeaf<'_>),
) -> Result<Decoded, String> {
    guard(|| walk(body, tile_start, wanted.clone(), &take)).unwrap_or_else(|_| {
        walk(body, tile_start, wanted, |decoded, index, leaf| {
            decoded.take_guarded(index, 0, |decoded| take(decoded, index, leaf));
        })
    })
}

fn walk(
    body: &[u8],
    tile_start: u64,
    wanted: Range<u64>,
    take: impl Fn(&mut Decoded, u64, &TileLeaf<'_>),
) -> Result<Decoded, String> {
    let Range { start: from, end: to } = wanted;
    // A tile has 256 entries at most.
    let room = usize::from(TILE_WIDTH).min(to.saturating_sub(from) as usize);
    let mut decoded =
        Decoded { start: from, responses: 1, leaf_hashes: Vec::with_capacity(room), ..Decoded::default() };
    let mut leaves = tile_leaves(body);
    for index in tile_start..to {
        let before = leaves.remaining_bytes();
        let leaf = match leaves.next() {
            Some(Ok(leaf)) => leaf,
            None => {
                return Err(format!(
                    "the tile holds {} entries, {} were asked for",
                    index - tile_start,
                    to - tile_start
                ));
            }
            Some(Err(e)) => {
                // Nothing says where the next entry would begin: the rest of the tile is unreadable.
                let rest = &body[body.len() - before..];
                decoded.broken = true;
                decoded.unread_from = Some(index.max(from));
                decoded.rest = rest.to_vec();
                for lost in index.max(from)..to {
                    decoded.leaf_hashes.push(leaf_hash(&[]));
                    decoded.malformed(lost, e, if lost == index.max(from) { rest } else { &[] });
                }
                return Ok(decoded);
            }
        };
        if index < from {
            continue;
        }
        decoded.leaf_hashes.push(leaf_hash_of_entry(leaf.entry_bytes));
        take(&mut decoded, index, &leaf);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ct::entries::encode_page;
    use crate::ct::leaf::{encode_leaf_index, encode_merkle_tree_leaf};
    use crate::ct::tile::encode_tile_leaf;
    use crate::finding::KeyHash;
    use crate::watch::Issuer;

    const OURS: KeyHash = KeyHash([1; 32]);

    fn watchlist() -> Watchlist {
        Watchlist::new(vec![Issuer { name: "Ours".into(), key_hash: OURS, certificate: None }], false)
    }

    fn leaf(issuer_key_hash: KeyHash) -> Vec<u8> {
        encode_merkle_tree_leaf(Timestamp::EPOCH, &LeafEntry::Precert { issuer_key_hash, tbs: b"tbs" }, b"")
    }

    /// What the scanner has given before it met a shape that is not its own must not be there twice.
    #[test]
    fn a_page_that_the_scanner_gives_up_is_decoded_once() {
        let (ours, other) = (leaf(OURS), leaf(KeyHash([2; 32])));
        let extra = ExtraData { pre_certificate: Some(b"pre"), chain: vec![b"issuer"] }.encode();
        let scanned = encode_page([&ours, &other, &b"junk".to_vec(), &ours].map(|l| (&l[..], &extra[..])).into_iter());
        let parsed = scanned.replacen("]}", r#",{"leaf_input":7}],"more":1}"#, 1);
        for (body, wanted, count) in [(&scanned, 4, 4), (&parsed, 9, 5), (&parsed, 4, 4), (&scanned, 1, 1)] {
            let decoded = page(body.as_bytes(), 100, wanted, &watchlist()).expect("a page");
            assert_eq!((decoded.start, decoded.leaf_hashes.len()), (100, count));
            let hits: Vec<u64> = decoded.candidates.iter().map(|candidate| candidate.index).collect();
            assert_eq!(hits, if count == 1 { &[100][..] } else { &[100, 103] });
            assert_eq!(decoded.candidates[0].precertificate.as_deref(), Some(b"pre".as_slice()));
            assert_eq!(decoded.candidates[0].issuer, ChainHead::Certificate(b"issuer".to_vec()));
            let bad: Vec<u64> = decoded.malformed.iter().map(|(index, ..)| *index).collect();
            assert_eq!(bad, [102, 104][..count.saturating_sub(3)]);
            assert_eq!(decoded.leaf_hashes[0], leaf_hash(&ours));
        }
    }

    /// An entry that brings its reading down costs itself and no other.
    #[test]
    fn a_panic_in_one_entry_hides_no_other() {
        let leaves = [leaf(OURS), leaf(OURS), leaf(OURS)];
        let body = encode_page(leaves.iter().map(|leaf| (&leaf[..], &b""[..])));
        let (mut buffer, watchlist) = (LeafBuffer::default(), watchlist());
        let decoded = page_with(body.as_bytes(), 100, 3, |decoded, index, entry| {
            decoded.take(index, entry, &mut buffer, &watchlist);
            assert!(index != 101, "a certificate that nobody has thought of");
        });
        let decoded = decoded.expect("a page");
        assert_eq!(decoded.leaf_hashes, [leaf_hash(&leaves[0]); 3]);
        assert_eq!(decoded.malformed.len(), 1);
        let (index, why, _) = &decoded.malformed[0];
        assert!(*index == 101 && why.contains("nobody has thought of"), "{index} {why}");
        assert!(!decoded.broken, "its hash was known");
        // Before its hash was known.
        let decoded = page_with(body.as_bytes(), 100, 3, |decoded, index, entry| {
            assert!(index != 101, "worse");
            decoded.take(index, entry, &mut buffer, &watchlist);
        });
        let decoded = decoded.expect("a page");
        assert!(decoded.broken && decoded.leaf_hashes[1] == nothing() && decoded.leaf_hashes.len() == 3);
        let hits: Vec<u64> = decoded.candidates.iter().map(|candidate| candidate.index).collect();
        assert_eq!(hits, [100, 102]);
        let mut bytes = Vec::new();
        for index in 0..3 {
            let entry = LeafEntry::Precert { issuer_key_hash: OURS, tbs: b"tbs" };
            encode_tile_leaf(&mut bytes, Timestamp::EPOCH, &entry, &encode_leaf_index(index), b"pre", &[]);
        }
        let decoded = tile_with(&bytes, 0, 0..3, |decoded, index, leaf| {
            assert!(index != 1, "worse");
            decoded.take_leaf(index, leaf, &watchlist);
        });
        let decoded = decoded.expect("a tile");
        let hits: Vec<u64> = decoded.candidates.iter().map(|candidate| candidate.index).collect();
        assert_eq!((hits, decoded.malformed[0].0, decoded.leaf_hashes.len()), (vec![0, 2], 1, 3));
        assert!(!decoded.broken);
    }

    #[test]
    fn pages_that_are_given_together_are_one() {
        let leaves = [leaf(OURS), leaf(KeyHash([2; 32])), b"junk".to_vec(), leaf(OURS)];
        let body = |leaves: &[Vec<u8>]| encode_page(leaves.iter().map(|l| (&l[..], &b""[..])));
        let read = |leaves: &[Vec<u8>], start| page(body(leaves).as_bytes(), start, 9, &watchlist()).expect("a page");
        let whole = read(&leaves, 100);
        let mut parts = read(&leaves[..1], 100);
        parts.extend(read(&leaves[1..3], 101));
        parts.extend(read(&leaves[3..], 103));
        assert_eq!((parts.start, parts.responses, whole.responses), (100, 3, 1));
        assert_eq!(parts.leaf_hashes, whole.leaf_hashes);
        assert_eq!(format!("{:?}", parts.candidates), format!("{:?}", whole.candidates));
        assert_eq!(parts.malformed, whole.malformed);
        assert!(!parts.stands_alone());
        assert!(
            Decoded { lost: Some(Lost { range: 7..9, why: "gone".into(), is_hashed: true }), ..parts }.stands_alone()
        );
    }
}
