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
        /// The size claimed.
        size: u64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::proof;
    use crate::ct::signer::LogSigner;
    use crate::ct::vectors::{key, leaf, read, shared};

    fn log() -> (LogSigner, LogKey) {
        let signer = LogSigner::generate();
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("a log key");
        (signer, key)
    }

    fn head(signer: &LogSigner, tree_size: u64, root_hash: Hash) -> ClaimedTreeHead {
        let timestamp = Timestamp::from_millis(1_790_000_000_123);
        let signature = signer.sign_tree_head(tree_size, &root_hash, timestamp);
        ClaimedTreeHead { tree_size, timestamp, root_hash, signature }
    }

    #[test]
    fn a_signed_head_is_believed_and_no_changed_one() {
        let (signer, key) = log();
        let claimed = head(&signer, 7, leaf(1));
        let signed = claimed.clone().verify(&key).expect("its own signature");
        assert_eq!((signed.log_id(), signed.root()), (key.log_id(), TreeRoot { size: 7, hash: leaf(1) }));
        let later = claimed.timestamp.plus(crate::clock::Span::from_millis(1));
        for changed in [
            ClaimedTreeHead { tree_size: 8, ..claimed.clone() },
            ClaimedTreeHead { root_hash: leaf(2), ..claimed.clone() },
            ClaimedTreeHead { timestamp: later, ..claimed.clone() },
            ClaimedTreeHead { signature: vec![], ..claimed.clone() },
        ] {
            assert!(matches!(changed.verify(&key), Err(TreeHeadError::Signature { .. })));
        }
        assert!(matches!(claimed.verify(&log().1), Err(TreeHeadError::Signature { .. })));
    }

    #[test]
    fn an_empty_tree_has_the_empty_root_and_no_tree_is_beyond_belief() {
        let (signer, key) = log();
        assert!(head(&signer, 0, empty_root()).verify(&key).is_ok());
        assert_eq!(head(&signer, 0, leaf(1)).verify(&key), Err(TreeHeadError::EmptyRoot));
        assert!(head(&signer, MAX_TREE_SIZE, leaf(1)).verify(&key).is_ok());
        let beyond = head(&signer, MAX_TREE_SIZE + 1, leaf(1)).verify(&key);
        assert!(matches!(beyond, Err(TreeHeadError::Malformed(_))));
    }

    #[test]
    fn a_kept_head_is_verified_again() {
        let (signer, key) = log();
        let signed = head(&signer, 7, leaf(1)).verify(&key).expect("its own signature");
        let json = signed.to_json().to_string();
        assert_eq!(SignedTreeHead::reopen_json(json.as_bytes(), &key).as_ref(), Ok(&signed));
        let parts = |size| {
            SignedTreeHead::reopen(size, signed.timestamp(), signed.root_hash(), signed.signature().to_vec(), &key)
        };
        assert_eq!(parts(7).as_ref(), Ok(&signed));
        assert!(parts(6).is_err());
        let changed = json.replace("\"tree_size\":7", "\"tree_size\":6");
        assert!(matches!(
            SignedTreeHead::reopen_json(changed.as_bytes(), &key),
            Err(TreeHeadError::Signature { size: 6, .. })
        ));
    }

    #[test]
    fn what_is_no_head_is_named() {
        let json = |root: &str, time: &str, signature: &str| {
            format!(
                r#"{{"tree_size":1,"timestamp":{time},"sha256_root_hash":"{root}","tree_head_signature":"{signature}"}}"#
            )
        };
        let root = to_base64(&leaf(1));
        assert!(parse_get_sth(json(&root, "1", "AAAA").as_bytes()).is_ok());
        for bad in [
            "<html>".to_string(),
            "{}".to_string(),
            json("AAAA", "1", "AAAA"),
            json(&root, "-1", "AAAA"),
            json(&root, "18446744073709551615", "AAAA"),
            json(&root, "1", "*"),
        ] {
            assert!(matches!(parse_get_sth(bad.as_bytes()), Err(TreeHeadError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn real_heads_verify_and_are_consistent() {
        let Some(shared) = shared() else { return };
        let directory = shared.join("argon2027h1");
        let key_2027 = key(directory.clone());
        let head = |file: &str| parse_get_sth(&read(directory.join(file))).and_then(|head| head.verify(&key_2027));
        let (old, new) = (head("get-sth.1.json").expect("signed"), head("get-sth.2.json").expect("signed"));
        let body = read(directory.join("get-sth-consistency.384065451-384071894.json"));
        let nodes = proof::parse_consistency(&body).expect("a proof");
        assert_eq!((old.tree_size(), new.tree_size(), nodes.len()), (384_065_451, 384_071_894, 23));
        assert_eq!(proof::verify_consistency(old.root(), new.root(), &nodes), Ok(()));
        assert!(proof::verify_consistency(old.root(), new.root(), &nodes[1..]).is_err());
        assert!(proof::verify_consistency(TreeRoot { hash: leaf(1), ..old.root() }, new.root(), &nodes).is_err());
        let key_2020 = key(shared.join("argon2020"));
        let claimed = parse_get_sth(&read(shared.join("argon2020/get-sth"))).expect("a head");
        assert!(claimed.clone().verify(&key_2020).is_ok());
        assert!(claimed.verify(&key_2027).is_err());
        let body = read(shared.join("argon2020/get-sth-consistency-first-3654490-second-961984011"));
        assert!(proof::parse_consistency(&body).is_ok_and(|nodes| !nodes.is_empty()));
    }
}
