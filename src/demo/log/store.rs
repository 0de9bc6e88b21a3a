//! What a log remembers: entries, issuers, the tree, the newest head.

use std::collections::HashMap;

use super::Api;
use crate::cert::Certificate;
use crate::clock::{Span, Timestamp};
use crate::ct::leaf::{self, ExtraData, LeafEntry};
use crate::ct::signer::LogSigner;
use crate::ct::{Hash, empty_root, sha256};
use crate::demo::tree::MerkleTree;
use crate::finding::KeyHash;

/// What to log, given from inside the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// The timestamp of the entry.
    pub timestamp: Timestamp,
    /// Certificate or precertificate.
    pub kind: RawKind,
    /// The chain above it, issuer first, DER.
    pub chain: Vec<Vec<u8>>,
}

/// The content of a [`RawEntry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawKind {
    /// A certificate.
    X509 {
        /// DER.
        certificate: Vec<u8>,
    },
    /// A precertificate.
    Precert {
        /// SHA-256 of the issuer's SubjectPublicKeyInfo.
        issuer_key_hash: KeyHash,
        /// The TBSCertificate without the poison.
        tbs: Vec<u8>,
        /// The precertificate as submitted.
        pre_certificate: Vec<u8>,
    },
}

impl RawKind {
    /// What a log makes of a certificate, or of a precertificate (known by its poison) signed with the issuer's key.
    pub fn of(leaf: &Certificate, issuer_key_hash: KeyHash) -> RawKind {
        let der = leaf.der().to_vec();
        match leaf.is_precertificate() {
            true => RawKind::Precert { issuer_key_hash, tbs: leaf.core_tbs(), pre_certificate: der },
            false => RawKind::X509 { certificate: der },
        }
    }
    /// The part that is under the Merkle root.
    pub fn leaf(&self) -> LeafEntry<'_> {
        match self {
            RawKind::X509 { certificate } => LeafEntry::X509 { certificate },
            RawKind::Precert { issuer_key_hash, tbs, .. } => {
                LeafEntry::Precert { issuer_key_hash: *issuer_key_hash, tbs }
            }
        }
    }
    /// The certificate or precertificate as submitted.
    pub fn der(&self) -> &[u8] {
        match self {
            RawKind::X509 { certificate } => certificate,
            RawKind::Precert { pre_certificate, .. } => pre_certificate,
        }
    }
}

/// A signed tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of entries that it covers.
    pub size: u64,
    /// When it was signed; each is later than the one before.
    pub timestamp: Timestamp,
    /// The Merkle root.
    pub root: Hash,
    /// DigitallySigned bytes of RFC 6962 3.5.
    pub signature: Vec<u8>,
}

impl Head {
    fn sign(signer: &LogSigner, size: u64, root: Hash, timestamp: Timestamp) -> Head {
        Head { size, timestamp, root, signature: signer.sign_tree_head(size, &root, timestamp) }
    }
}

/// An entry as kept.
pub(super) struct Entry {
    /// MerkleTreeLeaf; TimestampedEntry is what follows its first two bytes.
    pub leaf_input: Vec<u8>,
    /// `None` for a certificate.
    pub pre_certificate: Option<Vec<u8>>,
    /// Fingerprints of the chain, issuer first.
    pub chain: Vec<Hash>,
}

/// A promise that was made for a submission.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub timestamp: Timestamp,
    pub extensions: Vec<u8>,
}

/// All that a log has.
pub(super) struct Store {
    entries: Vec<Entry>,
    tree: MerkleTree,
    /// The first index of each leaf hash.
    places: HashMap<Hash, u64>,
    /// What was promised for a submission, by the SHA-256 of its (pre)certificate.
    promises: HashMap<Hash, Promise>,
    issuers: HashMap<Hash, Vec<u8>>,
    visible_size: Option<u64>,
    head: Head,
}

impl Store {
    pub fn new(signer: &LogSigner, now: Timestamp) -> Store {
        Store {
            entries: Vec::new(),
            tree: MerkleTree::default(),
            places: HashMap::new(),
            promises: HashMap::new(),
            issuers: HashMap::new(),
            visible_size: None,
            head: Head::sign(signer, 0, empty_root(), now),
        }
    }

    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }
    pub fn head(&self) -> &Head {
        &self.head
    }
    pub fn tree(&self) -> &MerkleTree {
        &self.tree
    }
    /// Entries first..end, if all of them are covered by the newest head.
    pub fn entries(&self, first: u64, end: u64) -> Option<&[Entry]> {
        (end <= self.head.size).then(|| self.entries.get(first as usize..end as usize)).flatten()
    }
    pub fn place(&self, leaf_hash: &Hash) -> Option<u64> {
        self.places.get(leaf_hash).copied()
    }
    pub fn issuer(&self, fingerprint: &Hash) -> Option<&[u8]> {
        self.issuers.get(fingerprint).map(Vec::as_slice)
    }
    pub fn set_visible_size(&mut self, size: Option<u64>) {
        self.visible_size = size;
    }

    /// The extra_data of get-entries.
    pub fn extra_data(&self, entry: &Entry) -> Vec<u8> {
        let chain = entry.chain.iter().filter_map(|fingerprint| self.issuer(fingerprint)).collect();
        ExtraData { pre_certificate: entry.pre_certificate.as_deref(), chain }.encode()
    }

    /// Appends and promises. "an SCT MUST include a leaf_index extension" (C2SP static-ct-api).
    pub fn append(&mut self, api: Api, raw: &RawEntry) -> Promise {
        let extensions = match api {
            Api::Rfc6962 => Vec::new(),
            Api::StaticCt => leaf::encode_leaf_index(self.size()),
        };
        let leaf_input = leaf::encode_merkle_tree_leaf(raw.timestamp, &raw.kind.leaf(), &extensions);
        let hash = leaf::leaf_hash(&leaf_input);
        self.places.entry(hash).or_insert(self.entries.len() as u64);
        self.tree.push(hash);
        let chain = raw.chain.iter().map(|der| {
            let fingerprint = sha256(&[der]);
            self.issuers.entry(fingerprint).or_insert_with(|| der.clone());
            fingerprint
        });
        let chain = chain.collect();
        let pre_certificate = match &raw.kind {
            RawKind::X509 { .. } => None,
            RawKind::Precert { pre_certificate, .. } => Some(pre_certificate.clone()),
        };
        self.entries.push(Entry { leaf_input, pre_certificate, chain });
        Promise { timestamp: raw.timestamp, extensions }
    }

    /// Appends unless the same (pre)certificate was submitted before, which gets the same promise again: "a log MAY
    /// return the same SCT as it returned before" (RFC 6962 3).
    pub fn submit(&mut self, api: Api, raw: &RawEntry) -> Promise {
        let fingerprint = sha256(&[raw.kind.der()]);
        if let Some(promise) = self.promises.get(&fingerprint) {
            return promise.clone();
        }
        let promise = self.append(api, raw);
        self.promises.insert(fingerprint, promise.clone());
        promise
    }

    /// Signs a head over what is visible.
    pub fn publish(&mut self, signer: &LogSigner, now: Timestamp) -> Head {
        let size = self.visible_size.map_or(self.size(), |limit| limit.min(self.size())).max(self.head.size);
        // "each subsequent timestamp MUST be more recent than the timestamp of the previous update" (RFC 6962 3.5).
        let timestamp = now.max(self.head.timestamp.plus(Span::from_millis(1)));
        let root = self.tree.root(size).unwrap_or(self.head.root);
        self.head = Head::sign(signer, size, root, timestamp);
        self.head.clone()
    }
}
