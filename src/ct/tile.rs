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
    // "<prefix>/tile/<L>/<N>[.p/<W>]" and "<prefix>/tile/data/<N>[.p/<W>]"; "<N> [...] MUST be a non-negative integer
    // encoded into zero-padded 3-digit path elements. All but the last path element MUST begin with an x" (C2SP
    // tlog-tiles, "Merkle Tree", and static-ct-api, "Log Entries").
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

/// The path of an issuer certificate below the monitoring prefix: "<prefix>/issuer/<fingerprint>" (C2SP
/// static-ct-api, "Issuers").
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
    /// SHA-256 fingerprints of the chain, issuer first, 32 bytes each; not under the Merkle root either.
    pub chain: &'a [u8],
}

impl<'a> TileLeaf<'a> {
    /// The fingerprints one by one, issuer first.
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
    // "struct { TimestampedEntry timestamped_entry; select (timestamped_entry.entry_type) { case x509_entry: Empty;
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
    // Its own length still frames a chain of the wrong length, and it is not under the root; but a log that writes
    // one does not follow the format, and no later byte of the tile can be trusted to be where it seems.
    if chain.len() % 32 != 0 {
        return Err(LeafError::Fingerprints(chain.len()));
    }
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
