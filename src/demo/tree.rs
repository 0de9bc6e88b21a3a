//! The Merkle tree of a log, with every level kept: level 0 holds the leaf hashes, level k the roots of the full
//! subtrees of 2^k leaves. That is all that heads, proofs and hash tiles of any earlier size need.

use crate::ct::{Hash, empty_root, leaf::node_hash};

/// An append-only Merkle tree in memory (RFC 6962 2.1).
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    levels: Vec<Vec<Hash>>,
}

/// "let k be the largest power of two smaller than n" (RFC 6962 2.1), for n > 1.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

impl MerkleTree {
    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            match nodes.as_slice() {
                [.., left, right] if nodes.len().is_multiple_of(2) => node = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// The nodes of a level that are complete in the tree of `size` leaves, from node `first` on, at most `count`.
    /// `None` when fewer than `count` exist there: this is what a hash tile of that width holds.
    pub fn nodes(&self, level: u32, first: u64, count: u64, size: u64) -> Option<&[Hash]> {
        let complete = size.min(self.size()).checked_shr(level)?;
        let end = first.checked_add(count).filter(|end| *end <= complete)?;
        self.levels.get(level as usize)?.get(first as usize..end as usize)
    }

    /// The root hash of the first `size` leaves; that of the empty tree is SHA-256 of nothing (RFC 6962 2.1).
    /// `None` when the tree is smaller.
    pub fn root(&self, size: u64) -> Option<Hash> {
        match size {
            0 => Some(empty_root()),
            _ => (size <= self.size()).then(|| self.subtree(0, size)),
        }
    }

    /// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1); `None` when there is no such
    /// leaf.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut lo, mut hi, mut path) = (0, size, Vec::new());
        while hi - lo > 1 {
            let middle = lo + split(hi - lo);
            if index < middle {
                path.push(self.subtree(middle, hi));
                hi = middle;
            } else {
                path.push(self.subtree(lo, middle));
                lo = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The consistency proof between the trees of `old` and `new` leaves (RFC 6962 2.1.2); `None` unless
    /// 0 < old <= new <= size.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old == 0 || old > new || new > self.size() {
            return None;
        }
        let (mut lo, mut hi, mut path) = (0, new, Vec::new());
        while old != hi {
            let middle = lo + split(hi - lo);
            if old <= middle {
                path.push(self.subtree(middle, hi));
                hi = middle;
            } else {
                path.push(self.subtree(lo, middle));
                lo = middle;
            }
        }
        // "SUBPROOF(m, D[m], true) = {}" for the old tree itself; "SUBPROOF(m, D[m], false) = {MTH(D[m])}".
        if lo > 0 {
            path.push(self.subtree(lo, hi));
        }
        path.reverse();
        Some(path)
    }

    /// MTH(D\[lo:hi\]) where lo is a multiple of the power of two that covers hi - lo.
    fn subtree(&self, lo: u64, hi: u64) -> Hash {
        let n = hi - lo;
        if n.is_power_of_two() {
            let level = n.trailing_zeros();
            return self.levels[level as usize][(lo >> level) as usize];
        }
        let middle = lo + split(n);
        node_hash(&self.subtree(lo, middle), &self.subtree(middle, hi))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::leaf::leaf_hash;
    use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
    use sha2::Sha256;

    const LEAVES: u64 = 70;

    fn leaf(index: u64) -> Vec<u8> {
        format!("leaf {index}").into_bytes()
    }

    fn tree() -> MerkleTree {
        let mut tree = MerkleTree::default();
        (0..LEAVES).for_each(|index| tree.push(leaf_hash(&leaf(index))));
        tree
    }

    fn root(tree: &MerkleTree, size: u64) -> RootHash<Sha256> {
        RootHash::new(tree.root(size).expect("size within the tree").into(), size)
    }

    #[test]
    fn every_inclusion_proof_of_every_size_verifies() {
        let tree = tree();
        for size in 1..=LEAVES {
            for index in 0..size {
                let proof = tree.inclusion(index, size).expect("leaf exists").concat();
                let proof = InclusionProof::try_from_bytes(proof).expect("whole hashes");
                root(&tree, size).verify_inclusion(&leaf(index), index, &proof).expect("proof verifies");
                assert!(root(&tree, size).verify_inclusion(&leaf(index + 1), index, &proof).is_err());
            }
            assert_eq!(tree.inclusion(size, size), None);
        }
    }

    #[test]
    fn every_consistency_proof_verifies() {
        let tree = tree();
        for new in 1..=LEAVES {
            for old in 1..=new {
                let proof = tree.consistency(old, new).expect("sizes within the tree").concat();
                let proof = ConsistencyProof::try_from_bytes(proof).expect("whole hashes");
                root(&tree, new).verify_consistency(&root(&tree, old), &proof).expect("proof verifies");
            }
        }
        assert_eq!(tree.consistency(0, 5), None);
        assert_eq!(tree.consistency(5, LEAVES + 1), None);
    }

    #[test]
    fn tiles_hold_only_what_is_complete() {
        let tree = tree();
        assert_eq!(tree.nodes(0, 0, LEAVES, LEAVES).map(<[Hash]>::len), Some(LEAVES as usize));
        assert_eq!(tree.nodes(0, 0, 6, 5), None, "the tree of five leaves has no sixth");
        assert_eq!(tree.nodes(3, 0, 8, 64).and_then(|nodes| nodes.last().copied()), Some(tree.subtree(56, 64)));
        assert_eq!(tree.nodes(3, 0, 9, LEAVES), None);
        assert_eq!(tree.nodes(64, 0, 1, LEAVES), None);
        assert_eq!(tree.root(0).map(hex::encode).as_deref(), Some(EMPTY));
    }

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
}
