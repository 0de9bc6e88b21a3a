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

    /// Adds a perfect subtree of 2^`level` leaves by its root. `None`, and nothing is changed, when the size is no
    /// multiple of that: such a subtree cannot stand there.
    pub fn push_subtree(&mut self, level: u8, root: Hash) -> Option<()> {
        let leaves = 1u64.checked_shl(level.into()).filter(|leaves| self.size.is_multiple_of(*leaves))?;
        let size = self.size.checked_add(leaves).filter(|size| *size <= MAX_TREE_SIZE)?;
        let mut right = root;
        for _ in 0..(self.size >> level).trailing_ones() {
            right = node_hash(&self.hashes.pop()?, &right);
        }
        self.hashes.push(right);
        self.size = size;
        Some(())
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
    /// Width of that tile in this tree, 1 to 256; the right edge of a tree runs through partial tiles only.
    pub tile_width: u16,
    /// First hash of the tile that is below the node.
    pub first: u16,
    /// How many hashes of the tile are below the node: a power of two up to 128.
    pub count: u16,
}

impl EdgeNode {
    /// Where the node stands in a tree of `tree_size` leaves.
    fn new(level: u8, index: u64, tree_size: u64) -> EdgeNode {
        let (tile_level, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        // Position, in the row of hashes that the tiles of this level keep, of the first hash below the node.
        let start = index << above;
        let (tile_index, first) = (start >> TILE_HEIGHT, (start & 0xff) as u16);
        let tile_width = tile_width(tile_level, tile_index, tree_size);
        EdgeNode { level, index, tile_level, tile_index, tile_width, first, count: 1 << above }
    }

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
    bits.map(|level| EdgeNode::new(level, (size >> level) - 1, size)).collect()
}

/// The largest perfect subtrees that make up the leaves `from..size` of a tree of `size` leaves, from left to right: at
/// most 124. Those of a tree's start are its compact range, those of the rest lead from it to the root.
pub fn nodes_between(from: u64, size: u64) -> Vec<EdgeNode> {
    let (mut at, mut nodes) = (from, Vec::new());
    while at < size && size <= MAX_TREE_SIZE {
        let level = at.trailing_zeros().min((size - at).ilog2()) as u8;
        nodes.push(EdgeNode::new(level, at >> level, size));
        at += 1 << level;
    }
    nodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ct::tile::{HASH_TILE_BYTES, TILE_WIDTH};
    use crate::ct::vectors::{leaf, naive_path, naive_root};

    /// The bytes of a hash tile over these leaves, by brute force.
    fn tile(leaves: &[Hash], level: u8, index: u64, width: u16) -> Vec<u8> {
        let below = 1usize << (TILE_HEIGHT * level);
        let first = index as usize * usize::from(TILE_WIDTH);
        let hashes: Vec<Hash> =
            (first..first + usize::from(width)).map(|n| naive_root(&leaves[n * below..][..below])).collect();
        hashes.as_flattened().to_vec()
    }

    #[test]
    fn every_way_to_a_range_agrees_with_the_naive_tree() {
        let leaves: Vec<Hash> = (0..600).map(leaf).collect();
        let mut range = CompactRange::empty();
        assert_eq!(range.root(), empty_root());
        for size in 1..=600usize {
            range.push(leaves[size - 1]);
            assert_eq!(range.size(), size as u64);
            assert_eq!(range.root(), naive_root(&leaves[..size]), "size {size}");
            assert_eq!(CompactRange::from_bytes(&range.to_bytes()).as_ref(), Ok(&range));
            let path = naive_path(size - 1, &leaves[..size]);
            assert_eq!(
                CompactRange::from_right_edge(size as u64, leaves[size - 1], &path).as_ref(),
                Ok(&range),
                "size {size}"
            );
            let nodes: Vec<Hash> = nodes_needed(size as u64)
                .iter()
                .map(|node| {
                    assert!((1..TILE_WIDTH).contains(&node.tile_width), "{node:?}");
                    let bytes = tile(&leaves, node.tile_level, node.tile_index, node.tile_width);
                    assert_eq!(node.hash_in(&bytes[..bytes.len() - 1]).is_some(), {
                        usize::from(node.first + node.count) < usize::from(node.tile_width)
                    });
                    node.hash_in(&bytes).expect("the tile is wide enough")
                })
                .collect();
            assert_eq!(CompactRange::from_nodes(size as u64, &nodes).as_ref(), Ok(&range), "size {size}");
        }
        let mut at_once = CompactRange::empty();
        at_once.append(&leaves);
        assert_eq!(at_once, range);
        assert_eq!(tile(&leaves, 0, 1, 256).len(), HASH_TILE_BYTES);
    }

    #[test]
    fn a_range_is_continued_to_the_root_by_subtrees() {
        let leaves: Vec<Hash> = (0..600).map(leaf).collect();
        let root = naive_root(&leaves);
        for from in (0..=600u64).filter(|from| from % 7 == 0 || from % 256 == 0) {
            let mut range = CompactRange::empty();
            range.append(&leaves[..from as usize]);
            for node in nodes_between(from, 600) {
                let bytes = tile(&leaves, node.tile_level, node.tile_index, node.tile_width);
                let hash = node.hash_in(&bytes).expect("the tile is wide enough");
                assert_eq!(range.push_subtree(node.level, hash), Some(()), "{node:?}");
            }
            assert_eq!((range.size(), range.root()), (600, root), "from {from}");
        }
        assert_eq!(nodes_between(0, 600), nodes_needed(600));
        assert!(nodes_between(600, 600).is_empty() && nodes_between(601, 600).is_empty());
        assert!(nodes_between(1, MAX_TREE_SIZE - 1).len() <= 124 && nodes_between(0, u64::MAX).is_empty());
        let mut odd = CompactRange::empty();
        odd.push(leaf(0));
        let before = odd.clone();
        assert_eq!((odd.push_subtree(1, leaf(1)), odd.push_subtree(64, leaf(1))), (None, None));
        assert_eq!(odd, before);
    }

    #[test]
    fn the_right_edge_of_a_large_tree_is_in_partial_tiles() {
        let size = 1_213_760_846;
        let nodes = nodes_needed(size);
        assert_eq!(nodes.len(), size.count_ones() as usize);
        assert_eq!(nodes.iter().map(|node| (node.index & 1) ^ 1).sum::<u64>(), nodes.len() as u64);
        let covered: u64 = nodes.iter().map(|node| 1 << node.level).sum();
        assert_eq!(covered, size);
        assert!(nodes.iter().all(|node| (node.first + node.count) <= node.tile_width && node.tile_width < TILE_WIDTH));
        assert!(nodes_needed(0).is_empty());
        assert_eq!(nodes_needed(u64::MAX).len(), 64);
    }

    #[test]
    fn a_range_that_does_not_fit_its_size_is_refused() {
        let mut range = CompactRange::empty();
        range.append(&[leaf(0), leaf(1), leaf(2)]);
        let bytes = range.to_bytes();
        for cut in 0..bytes.len() {
            assert!(CompactRange::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        assert_eq!(
            CompactRange::from_bytes(&[bytes.as_slice(), &[0; 32]].concat()),
            Err(RangeError::Hashes { size: 3, found: 3, expected: 2 })
        );
        assert_eq!(CompactRange::from_bytes(&[0xff; 8]), Err(RangeError::Size(u64::MAX)));
        assert_eq!(CompactRange::from_right_edge(0, leaf(0), &[]), Err(RangeError::Empty));
        assert!(CompactRange::from_right_edge(4, leaf(3), &[leaf(0)]).is_err());
        assert_eq!(CompactRange::from_bytes(&CompactRange::empty().to_bytes()), Ok(CompactRange::empty()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// A tree grown by leaves and by whole subtrees, in pieces of any size, has at the end of each piece the root of
        /// the naive tree, and its edge is found again by every other way.
        #[test]
        fn grown_in_any_pieces_it_is_the_naive_tree(
            pieces in prop::collection::vec((0usize..90, prop::option::of(0u8..7)), 1..12),
        ) {
            let leaves: Vec<Hash> = (0..2_000).map(leaf).collect();
            let (mut range, mut size) = (CompactRange::empty(), 0);
            for (count, level) in pieces {
                let before = range.clone();
                match level {
                    None => {
                        range.append(&leaves[size..size + count]);
                        size += count;
                    }
                    Some(level) => {
                        let width = 1 << level;
                        let added = range.push_subtree(level, naive_root(&leaves[size..size + width]));
                        prop_assert_eq!(added.is_some(), size % width == 0);
                        if added.is_none() {
                            prop_assert_eq!(&range, &before);
                            continue;
                        }
                        size += width;
                    }
                }
                let grown = &leaves[..size];
                prop_assert_eq!(range.tree_root(), TreeRoot { size: size as u64, hash: naive_root(grown) });
                prop_assert_eq!(range.hashes().len(), size.count_ones() as usize);
                prop_assert_eq!(CompactRange::from_bytes(&range.to_bytes()), Ok(range.clone()));
                prop_assert_eq!(CompactRange::from_nodes(size as u64, range.hashes()), Ok(range.clone()));
                if let Some((last, _)) = grown.split_last() {
                    let path = naive_path(size - 1, grown);
                    prop_assert_eq!(CompactRange::from_right_edge(size as u64, *last, &path), Ok(range.clone()));
                }
            }
        }

        /// One leaf exchanged, left out or given twice is another root.
        #[test]
        fn another_leaf_is_another_root(size in 1usize..300, at in any::<prop::sample::Index>(), how in 0..3) {
            let mut leaves: Vec<Hash> = (0..size as u64).map(leaf).collect();
            let (root, at) = (naive_root(&leaves), at.index(size));
            match how {
                0 => leaves[at][31] ^= 1,
                1 => drop(leaves.remove(at)),
                _ => leaves.insert(at, leaves[at]),
            }
            let mut range = CompactRange::empty();
            range.append(&leaves);
            prop_assert_ne!(range.root(), root);
        }
    }
}
