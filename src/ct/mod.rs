//! Certificate Transparency as bytes and proofs: RFC 6962 and C2SP static-ct-api, pure and without I/O.
//!
//! Read here first: [`leaf`] (what a log holds), [`tile`] and [`entries`] (how it is served), [`sth`] and
//! [`checkpoint`] (what a log signs), [`compact_range`] (the root recomputed from every entry), [`proof`] (Merkle
//! proofs), [`log_list`] (which logs there are). [`signer`] is the other side, for our own test log.
//!
//! All bytes come from strangers: every parser is total, copies nothing that it can borrow, and says what is wrong.

pub mod checkpoint;
pub mod compact_range;
pub mod entries;
#[cfg(test)]
mod hostile;
pub mod key;
pub mod leaf;
pub mod list_key;
pub mod log_list;
pub mod log_url;
pub mod note;
pub mod proof;
mod scan;
pub mod sct;
pub mod signer;
pub mod sth;
pub mod tile;
#[cfg(test)]
mod vectors;
mod wire;

use sha2::{Digest, Sha256};

/// A SHA-256 value: a leaf, a node or a root of a Merkle tree, or a fingerprint.
pub type Hash = [u8; 32];

/// The largest tree that the monitor believes in: 2^62 leaves, below which no arithmetic on sizes can overflow.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// SHA-256 of the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// "The hash of an empty list is the hash of an empty string" (RFC 6962 2.1).
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The size of a tree and its root hash, from wherever they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeRoot {
    /// Number of leaves.
    pub size: u64,
    /// Merkle Tree Hash of RFC 6962 2.1.
    pub hash: Hash,
}

/// Standard base64 of RFC 4648 4, with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// Reads standard base64 with padding; `None` when it is anything else.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(text).ok()
}

/// Reads the base64 of exactly 32 bytes.
pub fn hash_from_base64(text: &str) -> Option<Hash> {
    from_base64(text)?.try_into().ok()
}
