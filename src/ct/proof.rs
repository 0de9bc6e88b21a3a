//! Merkle proofs: consistency of two tree heads (RFC 6962 2.1.2) and inclusion of one leaf (2.1.1).
//!
//! Where the entries themselves are read, the compact range decides and is stronger than any proof; these are for
//! tree heads that were passed over, and for entries fetched one by one.

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use serde::Deserialize;
use sha2::Sha256;

use super::leaf::node_hash;
use super::sth::escape_error;
use super::{Hash, MAX_TREE_SIZE, TreeRoot, empty_root, from_base64, hash_from_base64};

/// No proof in a tree of 2^62 leaves has more nodes.
pub const MAX_PROOF_NODES: usize = 64;

/// Why a proof is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The answer cannot be read as a proof: an error page, a cut body, another format. Ask again.
    #[error("proof cannot be read: {0}")]
    Malformed(String),
    /// The sizes or the index make no sense together.
    #[error("no proof exists from {from} to tree size {size}")]
    Sizes {
        /// The older size, or the index of the leaf.
        from: u64,
        /// The newer size, or the size of the tree.
        size: u64,
    },
    /// Two trees of one size have two roots: the log shows two faces.
    #[error("two tree heads of size {0} have different roots")]
    Fork(u64),
    /// The proof has another number of nodes than these sizes need.
    #[error("proof has {0} nodes, which is not what these tree sizes need")]
    Length(usize),
    /// The proof does not lead to the roots.
    #[error("proof of {what} does not lead to the root of tree size {size}")]
    Invalid {
        /// `consistency` or `inclusion`.
        what: &'static str,
        /// The newer size, or the size of the tree.
        size: u64,
    },
}

fn root_hash(root: &TreeRoot) -> RootHash<Sha256> {
    RootHash::new(root.hash.into(), root.size)
}

/// Whether the tree with root `old` is the beginning of the tree with root `new`. Every tree begins with the empty
/// one, and with itself; both need an empty proof.
pub fn verify_consistency(old: TreeRoot, new: TreeRoot, nodes: &[Hash]) -> Result<(), ProofError> {
    if old.size > new.size || new.size > MAX_TREE_SIZE {
        return Err(ProofError::Sizes { from: old.size, size: new.size });
    }
    let invalid = ProofError::Invalid { what: "consistency", size: new.size };
    if (old.size == 0 && old.hash != empty_root()) || (new.size == 0 && new.hash != empty_root()) {
        return Err(invalid);
    }
    if old.size == new.size && old.hash != new.hash {
        return Err(ProofError::Fork(new.size));
    }
    if old.size == 0 || old.size == new.size {
        return if nodes.is_empty() { Ok(()) } else { Err(ProofError::Length(nodes.len())) };
    }
    if nodes.len() > MAX_PROOF_NODES {
        return Err(ProofError::Length(nodes.len()));
    }
    let proof = ConsistencyProof::try_from_bytes(nodes.as_flattened().to_vec());
    let proof = proof.map_err(|_| ProofError::Length(nodes.len()))?;
    root_hash(&new).verify_consistency(&root_hash(&old), &proof).map_err(|error| match error {
        ct_merkle::ConsistencyVerifError::MalformedProof => ProofError::Length(nodes.len()),
        _ => invalid,
    })
}

/// The index must lie in the tree and the nodes must be few.
fn check_inclusion_sizes(root: &TreeRoot, index: u64, nodes: &[Hash]) -> Result<(), ProofError> {
    if index >= root.size || root.size > MAX_TREE_SIZE {
        return Err(ProofError::Sizes { from: index, size: root.size });
    }
    if nodes.len() > MAX_PROOF_NODES {
        return Err(ProofError::Length(nodes.len()));
    }
    Ok(())
}

/// Whether the MerkleTreeLeaf `leaf_input` is at `index` of the tree.
pub fn verify_inclusion(root: TreeRoot, index: u64, leaf_input: &[u8], nodes: &[Hash]) -> Result<(), ProofError> {
    check_inclusion_sizes(&root, index, nodes)?;
    let proof = InclusionProof::try_from_bytes(nodes.as_flattened().to_vec());
    let proof = proof.map_err(|_| ProofError::Length(nodes.len()))?;
    root_hash(&root).verify_inclusion(&leaf_input, index, &proof).map_err(|error| match error {
        ct_merkle::InclusionVerifError::MalformedProof => ProofError::Length(nodes.len()),
        _ => ProofError::Invalid { what: "inclusion", size: root.size },
    })
}

/// Whether a leaf of which only the hash is at hand is at `index` of the tree.
pub fn verify_inclusion_of_hash(root: TreeRoot, index: u64, leaf: Hash, nodes: &[Hash]) -> Result<(), ProofError> {
    check_inclusion_sizes(&root, index, nodes)?;
    // The steps of RFC 9162 2.1.3.2, which verifies the proofs of RFC 6962 2.1.1; ct-merkle takes no leaf hash.
    let (mut position, mut last, mut hash) = (index, root.size - 1, leaf);
    for node in nodes {
        if last == 0 {
            return Err(ProofError::Length(nodes.len()));
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(node, &hash);
            // A right edge that is not full has no sibling on these levels.
            let skipped = position.trailing_zeros().min(63);
            (position, last) = (position >> skipped, last >> skipped);
        } else {
            hash = node_hash(&hash, node);
        }
        (position, last) = (position >> 1, last >> 1);
    }
    match last {
        0 if hash == root.hash => Ok(()),
        0 => Err(ProofError::Invalid { what: "inclusion", size: root.size }),
        _ => Err(ProofError::Length(nodes.len())),
    }
}

/// The answer to get-proof-by-hash (RFC 6962 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofByHash {
    /// Index of the leaf, as the log says.
    pub leaf_index: u64,
    /// Audit path, from the leaf upwards.
    pub audit_path: Vec<Hash>,
}

/// The answer to get-entry-and-proof (RFC 6962 4.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryAndProof {
    /// The MerkleTreeLeaf.
    pub leaf_input: Vec<u8>,
    /// The extra_data of get-entries.
    pub extra_data: Vec<u8>,
    /// Audit path, from the leaf upwards.
    pub audit_path: Vec<Hash>,
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ProofError> {
    serde_json::from_slice(body).map_err(|error| ProofError::Malformed(escape_error(&error)))
}

fn nodes(encoded: &[String]) -> Result<Vec<Hash>, ProofError> {
    if encoded.len() > MAX_PROOF_NODES {
        return Err(ProofError::Length(encoded.len()));
    }
    let hashes: Option<Vec<Hash>> = encoded.iter().map(|text| hash_from_base64(text)).collect();
    hashes.ok_or_else(|| ProofError::Malformed("a node is not the base64 of 32 bytes".to_string()))
}

/// Reads the JSON of get-sth-consistency (RFC 6962 4.4).
pub fn parse_consistency(body: &[u8]) -> Result<Vec<Hash>, ProofError> {
    #[derive(Deserialize)]
    struct Answer {
        consistency: Vec<String>,
    }
    nodes(&json::<Answer>(body)?.consistency)
}

/// Reads the JSON of get-proof-by-hash.
pub fn parse_proof_by_hash(body: &[u8]) -> Result<ProofByHash, ProofError> {
    #[derive(Deserialize)]
    struct Answer {
        leaf_index: u64,
        audit_path: Vec<String>,
    }
    let answer: Answer = json(body)?;
    Ok(ProofByHash { leaf_index: answer.leaf_index, audit_path: nodes(&answer.audit_path)? })
}

/// Reads the JSON of get-entry-and-proof.
pub fn parse_entry_and_proof(body: &[u8]) -> Result<EntryAndProof, ProofError> {
    #[derive(Deserialize)]
    struct Answer {
        leaf_input: String,
        #[serde(default)]
        extra_data: String,
        audit_path: Vec<String>,
    }
    let answer: Answer = json(body)?;
    let decode =
        |text: &str, what| from_base64(text).ok_or_else(|| ProofError::Malformed(format!("{what} is not base64")));
    Ok(EntryAndProof {
        leaf_input: decode(&answer.leaf_input, "leaf_input")?,
        extra_data: decode(&answer.extra_data, "extra_data")?,
        audit_path: nodes(&answer.audit_path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::vectors::{leaf, naive_consistency, naive_path, naive_root};

    fn root(leaves: &[Hash]) -> TreeRoot {
        TreeRoot { size: leaves.len() as u64, hash: naive_root(leaves) }
    }

    #[test]
    fn consistency_holds_between_all_small_trees_and_with_no_other_root() {
        let leaves: Vec<Hash> = (0..70).map(leaf).collect();
        for new in 0..=leaves.len() {
            let new_root = root(&leaves[..new]);
            assert_eq!(verify_consistency(root(&[]), new_root, &[]), Ok(()));
            for old in 1..=new {
                let (old_root, proof) = (root(&leaves[..old]), naive_consistency(old, &leaves[..new]));
                assert_eq!(verify_consistency(old_root, new_root, &proof), Ok(()), "{old} {new}");
                let other = TreeRoot { hash: leaf(999), ..old_root };
                assert!(verify_consistency(other, new_root, &proof).is_err(), "{old} {new}");
                assert!(verify_consistency(old_root, TreeRoot { hash: leaf(999), ..new_root }, &proof).is_err());
                let longer = [proof.as_slice(), &[leaf(0)]].concat();
                assert_eq!(verify_consistency(old_root, new_root, &longer), Err(ProofError::Length(longer.len())));
                if old < new {
                    assert!(verify_consistency(new_root, old_root, &proof).is_err());
                }
            }
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_errors_and_not_panics() {
        let at = |size| TreeRoot { size, hash: leaf(0) };
        assert_eq!(verify_consistency(at(7), at(7), &[]), Ok(()));
        let fork = TreeRoot { size: 7, hash: leaf(1) };
        assert_eq!(verify_consistency(at(7), fork, &[]), Err(ProofError::Fork(7)));
        assert!(verify_consistency(at(0), at(7), &[]).is_err());
        assert!(verify_consistency(at(0), at(0), &[]).is_err());
        for (old, new) in [(1, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 1), (1, MAX_TREE_SIZE + 1)] {
            assert_eq!(verify_consistency(at(old), at(new), &[]), Err(ProofError::Sizes { from: old, size: new }));
        }
        for nodes in [0, 1, 61, 62, 63, 64, 65, 1000] {
            let nodes = vec![leaf(5); nodes];
            assert!(verify_consistency(at(MAX_TREE_SIZE - 1), at(MAX_TREE_SIZE), &nodes).is_err());
            for index in [0, 1, MAX_TREE_SIZE - 1, MAX_TREE_SIZE, u64::MAX] {
                for size in [0, 3, MAX_TREE_SIZE - 1, MAX_TREE_SIZE, u64::MAX] {
                    assert!(verify_inclusion(at(size), index, b"leaf", &nodes).is_err());
                    assert!(verify_inclusion_of_hash(at(size), index, leaf(0), &nodes).is_err());
                }
            }
        }
    }

    #[test]
    fn inclusion_holds_at_its_index_alone_and_both_ways_agree() {
        let leaves: Vec<Hash> = (0..70).map(leaf).collect();
        for size in 1..=leaves.len() {
            let tree = root(&leaves[..size]);
            for index in 0..size {
                let path = naive_path(index, &leaves[..size]);
                let input = (index as u64).to_be_bytes();
                assert_eq!(verify_inclusion(tree, index as u64, &input, &path), Ok(()), "{index} {size}");
                assert_eq!(verify_inclusion_of_hash(tree, index as u64, leaves[index], &path), Ok(()));
                let elsewhere = (index as u64 + 1) % size as u64;
                if size > 1 {
                    assert!(verify_inclusion(tree, elsewhere, &input, &path).is_err());
                    assert!(verify_inclusion_of_hash(tree, elsewhere, leaves[index], &path).is_err());
                    let cut = &path[..path.len() - 1];
                    assert_eq!(verify_inclusion(tree, index as u64, &input, cut), Err(ProofError::Length(cut.len())));
                    assert!(verify_inclusion_of_hash(tree, index as u64, leaves[index], cut).is_err());
                }
                let longer = [path.as_slice(), &[leaf(0)]].concat();
                assert!(verify_inclusion_of_hash(tree, index as u64, leaves[index], &longer).is_err());
                assert!(verify_inclusion(tree, index as u64, b"other", &path).is_err());
                assert!(verify_inclusion_of_hash(tree, index as u64, leaf(999), &path).is_err());
            }
        }
    }

    #[test]
    fn answers_are_read_and_rubbish_is_named() {
        let node = crate::ct::to_base64(&leaf(1));
        assert_eq!(parse_consistency(format!(r#"{{"consistency":["{node}"]}}"#).as_bytes()), Ok(vec![leaf(1)]));
        let answer = parse_proof_by_hash(format!(r#"{{"leaf_index":3,"audit_path":["{node}"]}}"#).as_bytes());
        assert_eq!(answer, Ok(ProofByHash { leaf_index: 3, audit_path: vec![leaf(1)] }));
        let answer = parse_entry_and_proof(br#"{"leaf_input":"AAE=","extra_data":"","audit_path":[]}"#);
        assert_eq!(answer, Ok(EntryAndProof { leaf_input: vec![0, 1], extra_data: vec![], audit_path: vec![] }));
        for bad in ["<html>", "{}", r#"{"consistency":["AAAA"]}"#, r#"{"consistency":[1]}"#, ""] {
            assert!(matches!(parse_consistency(bad.as_bytes()), Err(ProofError::Malformed(_))), "{bad}");
        }
        let many = format!(r#"{{"consistency":[{}]}}"#, vec![format!("\"{node}\""); 65].join(","));
        assert_eq!(parse_consistency(many.as_bytes()), Err(ProofError::Length(65)));
    }
}
