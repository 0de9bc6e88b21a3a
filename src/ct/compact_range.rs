//! The right edge of a growing Merkle tree: at most 64 hashes from which its root follows.
//!
//! Every entry that is read is pushed. The root at the size of a tree head must then be the root that the log has
//! signed: that proves that exactly these entries are in the log, and no proof from the log itself is needed.

use super::leaf::node_hash;
use super::tile::{TILE_HEIGHT, TileKind, tile_width};
use super::{Hash, MAX_TREE_SIZE, TreeRoot, empty_root};

/// Why bytes or nodes are not the right edge of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The number of hashes does not belong to the size.
    #[error("compact range of size {size} has {found} hashes and must have {expected}")]
    Hashes {
        /// Number of leaves.
        size: u64,
        /// How many hashes there are.
        found: usize,
        /// How many there must be: one for every one-bit of the size, or of size - 1 for an audit path.
        expected: usize,
    },
    /// Beyond 2^62.
    #[error("compact range of size {0} is beyond the largest tree of 2^62 leaves")]
    Size(u64),
    /// An empty tree has no last leaf.
    #[error("an empty tree has no last leaf to start from; start from the empty range")]
    Empty,
    /// Not eight bytes of size and then whole hashes.
    #[error("compact range of {0} bytes is not a size and whole hashes; read the log again from its start")]
    Bytes(usize),
}

/// The perfect subtrees of which a tree of `size` leaves consists, largest first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<Hash>,
}

/// How many perfect subtrees a tree of this size has.
fn subtrees(size: u64) -> usize {
    size.count_ones() as usize
}

impl CompactRange {
    /// The empty tree.
    pub fn empty() -> CompactRange {
        CompactRange::default()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// The roots of the perfect subtrees, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Adds the hash of the next leaf. One node hash on average.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut right = leaf_hash;
        // Every one-bit at the low end of the size is a subtree as large as the one that has just been completed.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                right = node_hash(&left, &right);
            }
        }
        self.hashes.push(right);
        self.size += 1;
    }

    /// Adds several leaf hashes in order.
    pub fn append(&mut self, leaf_hashes: &[Hash]) {
        for leaf_hash in leaf_hashes {
            self.push(*leaf_hash);
        }
    }

    /// The Merkle Tree Hash of RFC 6962 2.1: SHA-256 of the empty string at size 0.
    pub fn root(&self) -> Hash {
        let mut hashes = self.hashes.iter().rev();
        match hashes.next() {
            Some(last) => hashes.fold(*last, |right, left| node_hash(left, &right)),
            None => empty_root(),
        }
    }

    /// Size and root together.
    pub fn tree_root(&self) -> TreeRoot {
        TreeRoot { size: self.size, hash: self.root() }
    }

    /// The size as eight big-endian bytes and the hashes, largest subtree first: what the books keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.hashes.as_flattened());
        bytes
    }

    /// Reads what [`CompactRange::to_bytes`] wrote, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<CompactRange, RangeError> {
        let (size, rest) = bytes.split_first_chunk::<8>().ok_or(RangeError::Bytes(bytes.len()))?;
        match rest.as_chunks::<32>() {
            (hashes, []) => CompactRange::from_nodes(u64::from_be_bytes(*size), hashes),
            _ => Err(RangeError::Bytes(bytes.len())),
        }
    }

    /// The range of a tree from the nodes that [`nodes_needed`] names, in that order. Nothing is proven until
    /// [`CompactRange::root`] equals a signed root.
    pub fn from_nodes(size: u64, nodes: &[Hash]) -> Result<CompactRange, RangeError> {
        if size > MAX_TREE_SIZE {
            return Err(RangeError::Size(size));
        }
        if nodes.len() != subtrees(size) {
            return Err(RangeError::Hashes { size, found: nodes.len(), expected: subtrees(size) });
        }
        Ok(CompactRange { size, hashes: nodes.to_vec() })
    }

    /// The range of a tree of `size` leaves from its last leaf and the audit path of that leaf (get-proof-by-hash).
    /// Nothing is proven until [`CompactRange::root`] equals a signed root.
    pub fn from_right_edge(size: u64, last_leaf: Hash, audit_path: &[Hash]) -> Result<CompactRange, RangeError> {
        if size > MAX_TREE_SIZE {
            return Err(RangeError::Size(size));
        }
        let before = size.checked_sub(1).ok_or(RangeError::Empty)?;
        // The last leaf is never a left child, so its path is what stands to its left, smallest first: the range of
        // the tree without it, in reverse.
        if audit_path.len() != subtrees(before) {
            return Err(RangeError::Hashes { size, found: audit_path.len(), expected: subtrees(before) });
        }
        let mut range = CompactRange { size: before, hashes: audit_path.iter().rev().copied().collect() };
        range.push(last_leaf);
        Ok(range)
    }
}

/// A node of a compact range and where its hashes stand in the hash tiles of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeNode {
    /// Level in the Merkle tree; leaves are at 0.
    pub level: u8,
    /// Position within the level.
    pub index: u64,
    /// Level of the tile, for [`TileKind::Hashes`].
    pub tile_level: u8,
    /// Index of the tile within its level.
    pub tile_index: u64,
    /// Width of that tile in this tree, 1 to 255: the right edge runs through partial tiles only.
    pub tile_width: u16,
    /// First hash of the tile that is below the node.
    pub first: u16,
    /// How many hashes of the tile are below the node: a power of two up to 128.
    pub count: u16,
}

impl EdgeNode {
    /// The kind of the tile, for [`super::tile::tile_path`].
    pub fn tile_kind(&self) -> TileKind {
        TileKind::Hashes(self.tile_level)
    }

    /// The node's hash from the bytes of its tile, which may be wider than it was; `None` when the tile is too short.
    pub fn hash_in(&self, tile: &[u8]) -> Option<Hash> {
        let (hashes, _) = tile.as_chunks::<32>();
        let below = hashes.get(usize::from(self.first)..usize::from(self.first) + usize::from(self.count))?;
        // A perfect subtree of a power of two of leaves: its compact range is its root.
        let mut range = CompactRange::empty();
        range.append(below);
        Some(range.root())
    }
}

/// The nodes that make up the compact range of a tree of `size` leaves, largest subtree first.
pub fn nodes_needed(size: u64) -> Vec<EdgeNode> {
    let bits = (0..u64::BITS as u8).rev().filter(|bit| size >> bit & 1 == 1);
    bits.map(|level| {
        let index = (size >> level) - 1;
        let (tile_level, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // Position, in the row of hashes that the tiles of this level keep, of the first hash below the node.
        let start = index << above;
        let (tile_index, first) = (start >> TILE_HEIGHT, (start & 0xff) as u16);
        let tile_width = tile_width(tile_level, tile_index, size);
        EdgeNode { level, index, tile_level, tile_index, tile_width, first, count: 1 << above }
    })
    .collect()
}
