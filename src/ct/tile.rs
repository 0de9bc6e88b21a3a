//! Tiles of static-ct-api logs: their names, and the entries in a data tile.

use super::Hash;
use super::leaf::{LeafEntry, LeafError, TimestampedEntry, encode_timestamped_entry, read_timestamped_entry};
use super::wire::{Reader, put_vec16, put_vec24};
use crate::clock::Timestamp;

/// Entries in a full data tile and hashes in a full hash tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the Merkle tree from one level of tiles to the next: 2^8 is [`TILE_WIDTH`].
pub const TILE_HEIGHT: u8 = 8;
/// Bytes of a full hash tile.
pub const HASH_TILE_BYTES: usize = TILE_WIDTH as usize * 32;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of a level, where level 0 are leaf hashes and each level is 8 levels of the tree above the one below.
    Hashes(u8),
    /// Entries.
    Data,
}

/// The path of a tile below the monitoring prefix. `width` is 1 to 255 for a partial tile and 256 for a full one.
pub fn tile_path(kind: TileKind, index: u64, width: u16) -> String {
    // "<monitoring prefix>/tile/<L>/<N>[.p/<W>]"; "<N> is the index of the tile within the level. It MUST be a
    // non-negative integer encoded into 3-digit path elements. All but the last path element MUST begin with an x"
    // (C2SP static-ct-api, "Merkle Tree").
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
    match kind {
        TileKind::Hashes(level) => format!("tile/{level}/{number}{partial}"),
        TileKind::Data => format!("tile/data/{number}{partial}"),
    }
}

/// The path of an issuer certificate below the monitoring prefix: "the lowercase hex-encoded SHA-256 hash of the ASN.1
/// encoding of the certificate" (C2SP static-ct-api, "Issuers").
pub fn issuer_path(fingerprint: &Hash) -> String {
    format!("issuer/{}", hex::encode(fingerprint))
}

/// How many entries or hashes tile `index` of a level has in a tree of `tree_size` leaves: 0 to 256. Data tiles are
/// as wide as hash tiles of level 0.
pub fn tile_width(level: u8, index: u64, tree_size: u64) -> u16 {
    let row = tree_size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(level)).unwrap_or(0);
    row.saturating_sub(index.saturating_mul(TILE_WIDTH.into())).min(TILE_WIDTH.into()) as u16
}

/// One entry of a data tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLeaf<'a> {
    /// What was logged.
    pub entry: TimestampedEntry<'a>,
    /// The bytes of the TimestampedEntry, which [`super::leaf::leaf_hash_of_entry`] hashes.
    pub entry_bytes: &'a [u8],
    /// The precertificate as submitted, which is not under the Merkle root; `None` for a certificate.
    pub pre_certificate: Option<&'a [u8]>,
    /// SHA-256 fingerprints of the chain, issuer first, 32 bytes each; not under the Merkle root either. A length that
    /// is no multiple of 32 is the log's fault and costs nothing but the chain: the entry is framed and hashed all the
    /// same.
    pub chain: &'a [u8],
}

impl<'a> TileLeaf<'a> {
    /// The fingerprints one by one, issuer first; a rest of fewer than 32 bytes is left out.
    pub fn fingerprints(&self) -> impl Iterator<Item = Hash> + 'a {
        let (whole, _) = self.chain.as_chunks::<32>();
        whole.iter().copied()
    }
}

/// The entries of a data tile, in order. An entry whose certificate is rubbish is an entry; an error ends the
/// iteration, because nothing says where the next entry starts: all that remains of the tile is unreadable.
pub fn tile_leaves(tile: &[u8]) -> TileLeaves<'_> {
    TileLeaves { reader: Reader::new(tile) }
}

/// Iterator of [`tile_leaves`].
#[derive(Clone, Debug)]
pub struct TileLeaves<'a> {
    reader: Reader<'a>,
}

impl<'a> TileLeaves<'a> {
    /// Bytes of the tile that have not been read.
    pub fn remaining_bytes(&self) -> usize {
        self.reader.rest().len()
    }
}

impl<'a> Iterator for TileLeaves<'a> {
    type Item = Result<TileLeaf<'a>, LeafError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let mut reader = self.reader;
        let leaf = read_tile_leaf(&mut reader);
        self.reader = if leaf.is_ok() { reader } else { Reader::new(&[]) };
        Some(leaf)
    }
}

fn read_tile_leaf<'a>(reader: &mut Reader<'a>) -> Result<TileLeaf<'a>, LeafError> {
    // "struct { TimestampedEntry timestamped_entry; select (entry_type) { case x509_entry: Empty;
    // case precert_entry: ASN.1Cert pre_certificate; }; Fingerprint certificate_chain<0..2^16-1>; } TileLeaf" (C2SP
    // static-ct-api, "Log Entries").
    let start = reader.rest();
    let entry = read_timestamped_entry(reader)?;
    let entry_bytes = &start[..start.len() - reader.rest().len()];
    let pre_certificate = match entry.entry {
        LeafEntry::X509 { .. } => None,
        LeafEntry::Precert { .. } => Some(reader.vec24().ok_or(LeafError::Truncated("pre_certificate"))?),
    };
    let chain = reader.vec16().ok_or(LeafError::Truncated("certificate_chain"))?;
    Ok(TileLeaf { entry, entry_bytes, pre_certificate, chain })
}

/// Writes one TileLeaf, for the demo log. The bounds are those of [`encode_timestamped_entry`]; `chain` has at most
/// 2047 fingerprints. `pre_certificate` is written for precertificates alone.
pub fn encode_tile_leaf(
    out: &mut Vec<u8>,
    timestamp: Timestamp,
    entry: &LeafEntry<'_>,
    extensions: &[u8],
    pre_certificate: &[u8],
    chain: &[Hash],
) {
    encode_timestamped_entry(out, timestamp, entry, extensions);
    if let LeafEntry::Precert { .. } = entry {
        put_vec24(out, pre_certificate);
    }
    put_vec16(out, chain.as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::compact_range::CompactRange;
    use crate::ct::leaf::{encode_leaf_index, leaf_hash_of_entry, leaf_index};
    use crate::ct::vectors::{read, shared};
    use crate::finding::KeyHash;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (kind, index, width, path) in [
            (TileKind::Hashes(0), 0, 256, "tile/0/000"),
            (TileKind::Hashes(3), 1_234_067, 256, "tile/3/x001/x234/067"),
            (TileKind::Data, 1_234_567, 8, "tile/data/x001/x234/567.p/8"),
            (TileKind::Data, 999, 255, "tile/data/999.p/255"),
            (TileKind::Data, 1000, 256, "tile/data/x001/000"),
        ] {
            assert_eq!(tile_path(kind, index, width), path);
        }
        assert_eq!(issuer_path(&[0xab; 32]), format!("issuer/{}", "ab".repeat(32)));
    }

    #[test]
    fn widths_follow_from_the_size_of_the_tree() {
        for (level, index, size, width) in [
            (0, 0, 0, 0),
            (0, 0, 1, 1),
            (0, 0, 256, 256),
            (0, 1, 256, 0),
            (0, 1, 300, 44),
            (1, 0, 300, 1),
            (1, 0, 65_536, 256),
            (1, 1, 65_536, 0),
            (7, 0, u64::MAX, 255),
            (8, 0, u64::MAX, 0),
            (255, u64::MAX, u64::MAX, 0),
        ] {
            assert_eq!(tile_width(level, index, size), width, "level {level} index {index} size {size}");
        }
    }

    fn entries() -> Vec<u8> {
        let mut out = Vec::new();
        let (moment, chain) = (Timestamp::from_millis(5), [[1; 32], [2; 32]]);
        let tbs = LeafEntry::Precert { issuer_key_hash: KeyHash([3; 32]), tbs: b"tbs" };
        let certificate = LeafEntry::X509 { certificate: b"certificate" };
        encode_tile_leaf(&mut out, moment, &tbs, &encode_leaf_index(0), b"pre", &chain);
        encode_tile_leaf(&mut out, moment, &certificate, &encode_leaf_index(1), b"", &chain[..1]);
        encode_tile_leaf(&mut out, moment, &certificate, &encode_leaf_index(2), b"", &[]);
        out
    }

    #[test]
    fn a_tile_is_read_as_it_was_written() {
        let tile = entries();
        let leaves: Vec<TileLeaf<'_>> = tile_leaves(&tile).map(|leaf| leaf.expect("our own")).collect();
        assert_eq!(leaves.len(), 3);
        assert_eq!(leaves[0].pre_certificate, Some(b"pre".as_slice()));
        assert_eq!(leaves[0].fingerprints().collect::<Vec<Hash>>(), [[1; 32], [2; 32]]);
        assert_eq!((leaves[1].pre_certificate, leaves[1].chain), (None, [1; 32].as_slice()));
        assert_eq!(leaves[2].fingerprints().count(), 0);
        for (at, leaf) in leaves.iter().enumerate() {
            assert_eq!(leaf_index(leaf.entry.extensions), Ok(Some(at as u64)));
            let mut again = Vec::new();
            encode_timestamped_entry(&mut again, leaf.entry.timestamp, &leaf.entry.entry, leaf.entry.extensions);
            assert_eq!(leaf.entry_bytes, again);
        }
    }

    #[test]
    fn an_error_ends_the_tile_and_spares_what_came_before() {
        let tile = entries();
        let ends: Vec<usize> = {
            let mut leaves = tile_leaves(&tile);
            std::iter::from_fn(|| leaves.next().map(|_| tile.len() - leaves.remaining_bytes())).collect()
        };
        for cut in 0..tile.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let read: Vec<bool> = tile_leaves(&tile[..cut]).map(|leaf| leaf.is_ok()).collect();
            let at_an_end = cut == 0 || ends.contains(&cut);
            let mut expected = vec![true; whole];
            expected.extend((!at_an_end).then_some(false));
            assert_eq!(read, expected, "{cut}");
        }
        let mut unknown = tile.clone();
        unknown[ends[0] + 9] = 7;
        let read: Vec<Option<LeafError>> = tile_leaves(&unknown).map(|leaf| leaf.err()).collect();
        assert_eq!(read, [None, Some(LeafError::EntryType(7))]);
    }

    #[test]
    fn a_chain_of_odd_length_costs_nothing_but_the_chain() {
        let tile = entries();
        let mut odd = tile.clone();
        odd.extend_from_slice(&tile);
        // The last TileLeaf of the first copy ends with a chain of no bytes: give it one.
        odd[tile.len() - 1] = 1;
        odd.insert(tile.len(), 0xff);
        let leaves: Vec<TileLeaf<'_>> = tile_leaves(&odd).map(|leaf| leaf.expect("framed")).collect();
        assert_eq!((leaves.len(), leaves[2].chain, leaves[2].fingerprints().count()), (6, [0xff].as_slice(), 0));
        assert_eq!(leaves[2].entry_bytes, leaves[5].entry_bytes);
    }

    #[test]
    fn every_entry_of_the_real_tiles_hashes_to_its_hash_tile() {
        let Some(log) = shared().map(|shared| shared.join("navigli2025h2")) else { return };
        let (mut range, mut seen) = (CompactRange::empty(), 0);
        for (index, width) in [(0, 256), (1, 256), (2, 256), (3, 256), (3, 10)] {
            let data = read(log.join(tile_path(TileKind::Data, index, width)));
            let hashes = read(log.join(tile_path(TileKind::Hashes(0), index, width)));
            assert_eq!(hashes.len(), usize::from(width) * 32);
            let found: Vec<Hash> = tile_leaves(&data)
                .enumerate()
                .map(|(at, leaf)| {
                    let leaf = leaf.expect("a real entry");
                    assert_eq!(leaf_index(leaf.entry.extensions), Ok(Some(index * 256 + at as u64)));
                    assert!(leaf.pre_certificate.is_some() && leaf.fingerprints().count() > 0);
                    leaf_hash_of_entry(leaf.entry_bytes)
                })
                .collect();
            assert_eq!(found.as_flattened(), hashes, "tile {index}.p/{width}");
            if width == TILE_WIDTH {
                range.append(&found);
                seen += found.len();
            }
        }
        assert_eq!((range.size(), seen, range.hashes().len()), (1024, 1024, 1));
    }
}
