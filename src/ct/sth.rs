//! Tree heads: what a log claims ([`ClaimedTreeHead`]) and what it has signed ([`SignedTreeHead`]).

use serde::Deserialize;

use super::key::{DigitallySigned, LogId, LogKey, SignatureError};
use super::{Hash, MAX_TREE_SIZE, TreeRoot, empty_root, from_base64, hash_from_base64, to_base64};
use crate::clock::Timestamp;
use crate::finding::escape;

/// Why a tree head is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeHeadError {
    /// The answer cannot be read as a tree head: an error page, a cut body, another format. Ask again.
    #[error("tree head cannot be read: {0}")]
    Malformed(String),
    /// It is of another log: the origin line is not ours. Correct the origin in `[[logs.override]]`.
    #[error(
        "checkpoint is of origin {found}, not {expected}; if the log is right, set its origin in [[logs.override]]"
    )]
    Origin {
        /// What stands in the first line, escaped.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// No signature line carries the log's name and key hash.
    #[error("checkpoint has no signature line of {name} with key hash {key_hash}; is the log's key the right one?")]
    Unsigned {
        /// The log's name in the note.
        name: String,
        /// Hexadecimal key hash that was looked for.
        key_hash: String,
    },
    /// A signature that does not hold.
    #[error("tree head of size {size} is not signed by log {log}: {source}")]
    Signature {
        /// Log ID of the key.
        log: LogId,
        /// The size claimed.
        size: u64,
        /// Why.
        source: SignatureError,
    },
    /// "The hash of an empty list is the hash of an empty string" (RFC 6962 2.1), but this one is another.
    #[error("tree head of size 0 has a root that is not SHA-256 of the empty string (RFC 6962 2.1)")]
    EmptyRoot,
}

/// A tree head as received. Nothing in it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedTreeHead {
    /// Number of leaves.
    pub tree_size: u64,
    /// When the log says it signed.
    pub timestamp: Timestamp,
    /// Merkle Tree Hash.
    pub root_hash: Hash,
    /// DigitallySigned bytes.
    pub signature: Vec<u8>,
}

/// The answer to get-sth (RFC 6962 4.3).
#[derive(Deserialize)]
struct GetSth {
    tree_size: u64,
    timestamp: u64,
    sha256_root_hash: String,
    tree_head_signature: String,
}

/// Reads the JSON of get-sth; unknown members are ignored.
pub fn parse_get_sth(body: &[u8]) -> Result<ClaimedTreeHead, TreeHeadError> {
    let json: GetSth = serde_json::from_slice(body).map_err(|error| TreeHeadError::Malformed(escape_error(&error)))?;
    let bad = |what: &str| TreeHeadError::Malformed(what.to_string());
    Ok(ClaimedTreeHead {
        tree_size: json.tree_size,
        timestamp: i64::try_from(json.timestamp)
            .map(Timestamp::from_millis)
            .map_err(|_| bad("timestamp beyond 2^63"))?,
        root_hash: hash_from_base64(&json.sha256_root_hash)
            .ok_or_else(|| bad("sha256_root_hash is not the base64 of 32 bytes"))?,
        signature: from_base64(&json.tree_head_signature).ok_or_else(|| bad("tree_head_signature is not base64"))?,
    })
}

/// An error of the JSON reader may quote what it read.
pub(crate) fn escape_error(error: &serde_json::Error) -> String {
    escape(error.to_string().as_bytes(), 200)
}

/// What a log signs for a tree head.
pub(crate) fn tree_head_message(tree_size: u64, root_hash: &Hash, timestamp: Timestamp) -> [u8; 50] {
    // "digitally-signed struct { Version version; SignatureType signature_type = tree_hash; uint64 timestamp; uint64
    // tree_size; opaque sha256_root_hash[32]; } TreeHeadSignature" (RFC 6962 3.5); v1 is 0, tree_hash is 1.
    let mut message = [0; 50];
    message[1] = 1;
    message[2..10].copy_from_slice(&(timestamp.millis() as u64).to_be_bytes());
    message[10..18].copy_from_slice(&tree_size.to_be_bytes());
    message[18..].copy_from_slice(root_hash);
    message
}

impl ClaimedTreeHead {
    /// Checks the signature, that an empty tree has the empty root, and that the size is at most
    /// [`MAX_TREE_SIZE`]. Whether the root is that of the entries is for the compact range to say.
    pub fn verify(self, key: &LogKey) -> Result<SignedTreeHead, TreeHeadError> {
        let ClaimedTreeHead { tree_size, timestamp, root_hash, signature } = self;
        let message = tree_head_message(tree_size, &root_hash, timestamp);
        DigitallySigned::parse(&signature)
            .and_then(|signed| key.verify(&message, &signed))
            .map_err(|source| TreeHeadError::Signature { log: key.log_id(), size: tree_size, source })?;
        if tree_size > MAX_TREE_SIZE {
            return Err(TreeHeadError::Malformed(format!("tree_size {tree_size} is beyond 2^62")));
        }
        if tree_size == 0 && root_hash != empty_root() {
            return Err(TreeHeadError::EmptyRoot);
        }
        Ok(SignedTreeHead { log_id: key.log_id(), tree_size, timestamp, root_hash, signature })
    }
}

/// A tree head that the log has signed. Only [`ClaimedTreeHead::verify`] makes one, so to hold one is to hold proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTreeHead {
    log_id: LogId,
    tree_size: u64,
    timestamp: Timestamp,
    root_hash: Hash,
    signature: Vec<u8>,
}

impl SignedTreeHead {
    /// Reads a tree head back from the books. It is verified again: a disk is no better witness than a network.
    pub fn reopen(
        tree_size: u64,
        timestamp: Timestamp,
        root_hash: Hash,
        signature: Vec<u8>,
        key: &LogKey,
    ) -> Result<SignedTreeHead, TreeHeadError> {
        ClaimedTreeHead { tree_size, timestamp, root_hash, signature }.verify(key)
    }

    /// Reads what [`SignedTreeHead::to_json`] wrote, and verifies it again.
    pub fn reopen_json(json: &[u8], key: &LogKey) -> Result<SignedTreeHead, TreeHeadError> {
        parse_get_sth(json)?.verify(key)
    }

    /// The log whose key signed it.
    pub fn log_id(&self) -> LogId {
        self.log_id
    }
    /// Number of leaves, at most 2^62.
    pub fn tree_size(&self) -> u64 {
        self.tree_size
    }
    /// When the log says it signed.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
    /// Merkle Tree Hash.
    pub fn root_hash(&self) -> Hash {
        self.root_hash
    }
    /// DigitallySigned bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
    /// Size and root together, as proofs want them.
    pub fn root(&self) -> TreeRoot {
        TreeRoot { size: self.tree_size, hash: self.root_hash }
    }

    /// The tree head as evidence: the members of get-sth, from which anybody can verify it, and the log's ID.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "log_id": self.log_id,
            "tree_size": self.tree_size,
            "timestamp": self.timestamp.millis(),
            "sha256_root_hash": to_base64(&self.root_hash),
            "tree_head_signature": to_base64(&self.signature),
        })
    }
}
