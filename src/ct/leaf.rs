//! The leaves of a log's tree: MerkleTreeLeaf and TimestampedEntry of RFC 6962 3.4, the extra_data of 4.6, and the
//! hashes of 2.1.

use super::wire::{Reader, put_vec16, put_vec24};
use super::{Hash, sha256};
use crate::case::EntryKind;
use crate::clock::Timestamp;
use crate::finding::KeyHash;

/// LogEntryType x509_entry (RFC 6962 3.1).
const X509_ENTRY: u16 = 0;
/// LogEntryType precert_entry (RFC 6962 3.1).
const PRECERT_ENTRY: u16 = 1;
/// The most certificates that a chain in extra_data may have; logs accept fewer than 20.
const MAX_CHAIN: usize = 1000;

/// Why bytes are not a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The bytes end inside a field.
    #[error("log entry ends inside {0}")]
    Truncated(&'static str),
    /// Bytes are left over.
    #[error("log entry has {count} bytes after {what}")]
    Trailing {
        /// What had ended.
        what: &'static str,
        /// How many bytes follow.
        count: usize,
    },
    /// Not version v1 (0).
    #[error("log entry has version {0}; RFC 6962 3.2 knows v1 (0) alone")]
    Version(u8),
    /// Not timestamped_entry (0).
    #[error("log entry has leaf type {0}; RFC 6962 3.4 knows timestamped_entry (0) alone")]
    LeafType(u8),
    /// Neither x509_entry (0) nor precert_entry (1): nothing says where such an entry ends.
    #[error("log entry has entry type {0}; RFC 6962 3.1 knows x509_entry (0) and precert_entry (1) alone")]
    EntryType(u16),
    /// The chain is longer than any that a log accepts.
    #[error("log entry has a chain of more than {MAX_CHAIN} certificates")]
    ChainLength,
    /// The leaf_index extension is not one 40-bit number.
    #[error("log entry has a malformed or repeated leaf_index extension (C2SP static-ct-api)")]
    LeafIndex,
}

/// What was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafEntry<'a> {
    /// A certificate.
    X509 {
        /// DER of the certificate. Nothing here has looked into it; it may even be empty.
        certificate: &'a [u8],
    },
    /// A precertificate.
    Precert {
        /// SHA-256 of the key that will sign the certificate.
        issuer_key_hash: KeyHash,
        /// DER of the TBSCertificate without the poison extension. Nothing here has looked into it.
        tbs: &'a [u8],
    },
}

impl LeafEntry<'_> {
    /// Precertificate or certificate.
    pub fn kind(&self) -> EntryKind {
        match self {
            LeafEntry::X509 { .. } => EntryKind::Certificate,
            LeafEntry::Precert { .. } => EntryKind::Precertificate,
        }
    }
}

/// TimestampedEntry of RFC 6962 3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedEntry<'a> {
    /// When the log promised to include it; times beyond the year 292,278,994 are held at that year.
    pub timestamp: Timestamp,
    /// What was logged.
    pub entry: LeafEntry<'a>,
    /// CtExtensions, not interpreted; see [`leaf_index`].
    pub extensions: &'a [u8],
}

/// Milliseconds on the wire are a u64, ours an i64.
fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Reads a TimestampedEntry and leaves the reader behind it.
pub(crate) fn read_timestamped_entry<'a>(reader: &mut Reader<'a>) -> Result<TimestampedEntry<'a>, LeafError> {
    let cut = LeafError::Truncated;
    let timestamp = timestamp(reader.u64().ok_or(cut("timestamp"))?);
    let entry = match reader.u16().ok_or(cut("entry_type"))? {
        X509_ENTRY => LeafEntry::X509 { certificate: reader.vec24().ok_or(cut("x509_entry"))? },
        PRECERT_ENTRY => LeafEntry::Precert {
            issuer_key_hash: KeyHash(reader.array().ok_or(cut("issuer_key_hash"))?),
            tbs: reader.vec24().ok_or(cut("tbs_certificate"))?,
        },
        other => return Err(LeafError::EntryType(other)),
    };
    let extensions = reader.vec16().ok_or(cut("extensions"))?;
    Ok(TimestampedEntry { timestamp, entry, extensions })
}

/// Nothing may follow.
fn ends(reader: &Reader<'_>, what: &'static str) -> Result<(), LeafError> {
    match reader.rest().len() {
        0 => Ok(()),
        count => Err(LeafError::Trailing { what, count }),
    }
}

/// Reads the leaf_input of get-entries, which is a whole MerkleTreeLeaf.
pub fn parse_merkle_tree_leaf(leaf_input: &[u8]) -> Result<TimestampedEntry<'_>, LeafError> {
    let mut reader = Reader::new(leaf_input);
    match reader.u8().ok_or(LeafError::Truncated("version"))? {
        0 => {}
        other => return Err(LeafError::Version(other)),
    }
    match reader.u8().ok_or(LeafError::Truncated("leaf_type"))? {
        0 => {}
        other => return Err(LeafError::LeafType(other)),
    }
    let entry = read_timestamped_entry(&mut reader)?;
    ends(&reader, "the extensions")?;
    Ok(entry)
}

/// Writes a TimestampedEntry. Certificates have at most 2^24-1 bytes and extensions 2^16-1 (RFC 6962 3.1, 3.2); what
/// is longer has no encoding and is cut.
pub fn encode_timestamped_entry(out: &mut Vec<u8>, timestamp: Timestamp, entry: &LeafEntry<'_>, extensions: &[u8]) {
    out.extend_from_slice(&(timestamp.millis() as u64).to_be_bytes());
    match entry {
        LeafEntry::X509 { certificate } => {
            out.extend_from_slice(&X509_ENTRY.to_be_bytes());
            put_vec24(out, certificate);
        }
        LeafEntry::Precert { issuer_key_hash, tbs } => {
            out.extend_from_slice(&PRECERT_ENTRY.to_be_bytes());
            out.extend_from_slice(&issuer_key_hash.0);
            put_vec24(out, tbs);
        }
    }
    put_vec16(out, extensions);
}

/// Writes a MerkleTreeLeaf, with the bounds of [`encode_timestamped_entry`].
pub fn encode_merkle_tree_leaf(timestamp: Timestamp, entry: &LeafEntry<'_>, extensions: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0];
    encode_timestamped_entry(&mut out, timestamp, entry, extensions);
    out
}

/// "MTH({d(0)}) = SHA-256(0x00 || d(0))" (RFC 6962 2.1): the hash of a leaf_input.
pub fn leaf_hash(leaf_input: &[u8]) -> Hash {
    sha256(&[&[0], leaf_input])
}

/// The same hash from the TimestampedEntry bytes alone: version and leaf_type are zero and never copied in front.
pub fn leaf_hash_of_entry(timestamped_entry: &[u8]) -> Hash {
    sha256(&[&[0, 0, 0], timestamped_entry])
}

/// "MTH(D\[n\]) = SHA-256(0x01 || MTH(D\[0:k\]) || MTH(D\[k:n\]))" (RFC 6962 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One contiguous block: twice as fast as three updates, and there is one node for every leaf.
    let mut block = [1; 65];
    block[1..33].copy_from_slice(left);
    block[33..].copy_from_slice(right);
    sha256(&[&block])
}

/// The extra_data of get-entries (RFC 6962 4.6). It is not under the Merkle root: believe it only after comparing it
/// with the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraData<'a> {
    /// The precertificate as submitted; `None` for an x509_entry.
    pub pre_certificate: Option<&'a [u8]>,
    /// The chain above it, issuer first.
    pub chain: Vec<&'a [u8]>,
}

impl<'a> ExtraData<'a> {
    /// Reads the extra_data of an entry of this kind: a certificate chain, for a precertificate with the
    /// precertificate itself in front (PrecertChainEntry).
    pub fn parse(kind: EntryKind, bytes: &'a [u8]) -> Result<ExtraData<'a>, LeafError> {
        let mut reader = Reader::new(bytes);
        let pre_certificate = match kind {
            EntryKind::Precertificate => Some(reader.vec24().ok_or(LeafError::Truncated("pre_certificate"))?),
            EntryKind::Certificate => None,
        };
        let mut list = Reader::new(reader.vec24().ok_or(LeafError::Truncated("certificate_chain"))?);
        ends(&reader, "the certificate chain")?;
        let mut chain = Vec::new();
        while !list.is_empty() {
            if chain.len() == MAX_CHAIN {
                return Err(LeafError::ChainLength);
            }
            chain.push(list.vec24().ok_or(LeafError::Truncated("certificate of the chain"))?);
        }
        Ok(ExtraData { pre_certificate, chain })
    }

    /// Writes what [`ExtraData::parse`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(pre_certificate) = self.pre_certificate {
            put_vec24(&mut out, pre_certificate);
        }
        let mut chain = Vec::new();
        for certificate in &self.chain {
            put_vec24(&mut chain, certificate);
        }
        put_vec24(&mut out, &chain);
        out
    }
}

/// The position that a static-ct-api log puts into the extensions of an SCT and its leaf; `None` when there is none.
/// Unknown extensions are passed over.
pub fn leaf_index(extensions: &[u8]) -> Result<Option<u64>, LeafError> {
    // "struct { ExtensionType extension_type; opaque extension_data<0..2^16-1>; } Extension", leaf_index(0),
    // "uint8 uint40[5]; uint40 LeafIndex" (C2SP static-ct-api, "SCT Extension").
    let mut reader = Reader::new(extensions);
    let mut found = None;
    while !reader.is_empty() {
        let mut extension = || Some((reader.u8()?, reader.vec16()?));
        match extension().ok_or(LeafError::LeafIndex)? {
            (0, &[a, b, c, d, e]) if found.is_none() => found = Some(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])),
            (0, _) => return Err(LeafError::LeafIndex),
            _ => {}
        }
    }
    Ok(found)
}

/// The extensions of an SCT with nothing but a leaf_index, which is at most 2^40-1; higher bits have no encoding.
pub fn encode_leaf_index(index: u64) -> Vec<u8> {
    let [_, _, _, a, b, c, d, e] = index.to_be_bytes();
    vec![0, 0, 5, a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> [LeafEntry<'static>; 3] {
        [
            LeafEntry::X509 { certificate: b"certificate" },
            LeafEntry::Precert { issuer_key_hash: KeyHash([7; 32]), tbs: b"tbs" },
            LeafEntry::X509 { certificate: b"" },
        ]
    }

    #[test]
    fn a_leaf_is_read_as_it_was_written_and_never_when_cut() {
        let moment = Timestamp::from_millis(1_700_000_000_123);
        for entry in entries() {
            let extensions = encode_leaf_index(0x01_0203_0405);
            let bytes = encode_merkle_tree_leaf(moment, &entry, &extensions);
            let read = parse_merkle_tree_leaf(&bytes);
            assert_eq!(read, Ok(TimestampedEntry { timestamp: moment, entry, extensions: &extensions }));
            assert_eq!(leaf_index(&extensions), Ok(Some(0x01_0203_0405)));
            assert_eq!(leaf_hash(&bytes), leaf_hash_of_entry(&bytes[2..]));
            for cut in 0..bytes.len() {
                let error = parse_merkle_tree_leaf(&bytes[..cut]).expect_err("it is cut");
                assert!(matches!(error, LeafError::Truncated(_)), "{cut}: {error}");
            }
            let longer = [bytes.as_slice(), b"xy"].concat();
            let trailing = LeafError::Trailing { what: "the extensions", count: 2 };
            assert_eq!(parse_merkle_tree_leaf(&longer), Err(trailing));
        }
    }

    #[test]
    fn what_rfc_6962_does_not_know_is_named() {
        let bytes = encode_merkle_tree_leaf(Timestamp::EPOCH, &entries()[0], b"");
        for (at, value, error) in
            [(0, 1, LeafError::Version(1)), (1, 3, LeafError::LeafType(3)), (11, 2, LeafError::EntryType(2))]
        {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert_eq!(parse_merkle_tree_leaf(&changed), Err(error));
        }
        let mut late = bytes;
        late[2..10].fill(0xff);
        assert_eq!(parse_merkle_tree_leaf(&late).map(|leaf| leaf.timestamp.millis()), Ok(i64::MAX));
    }

    #[test]
    fn extensions_are_passed_over_and_a_leaf_index_is_exact() {
        assert_eq!(leaf_index(b""), Ok(None));
        assert_eq!(leaf_index(b"\x09\x00\x02ab"), Ok(None));
        assert_eq!(leaf_index(b"\x09\x00\x02ab\x00\x00\x05\x00\x00\x00\x00\x2a"), Ok(Some(42)));
        let twice = [encode_leaf_index(1), encode_leaf_index(1)].concat();
        for bad in [b"\x00".as_slice(), b"\x00\x00\x04\x00\x00\x00\x00", b"\x09\x00\x02a", &twice] {
            assert_eq!(leaf_index(bad), Err(LeafError::LeafIndex));
        }
    }

    #[test]
    fn extra_data_is_read_as_it_was_written() {
        for kind in [EntryKind::Precertificate, EntryKind::Certificate] {
            let pre_certificate = (kind == EntryKind::Precertificate).then_some(b"pre".as_slice());
            let extra = ExtraData { pre_certificate, chain: vec![b"issuer", b"root"] };
            let bytes = extra.encode();
            assert_eq!(ExtraData::parse(kind, &bytes), Ok(extra));
            for cut in 0..bytes.len() {
                assert!(ExtraData::parse(kind, &bytes[..cut]).is_err(), "{cut}");
            }
            assert!(ExtraData::parse(kind, &[bytes.as_slice(), b"x"].concat()).is_err());
        }
        let long = ExtraData { pre_certificate: None, chain: vec![b""; MAX_CHAIN + 1] }.encode();
        assert_eq!(ExtraData::parse(EntryKind::Certificate, &long), Err(LeafError::ChainLength));
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // SHA-256 of 0x00 and of 0x01 followed by 64 zero octets, from sha256sum.
        assert_eq!(hex::encode(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let zeros = "ae0798d0ecaed2b778eddebf18f071a561c53658c05e76cedecc27cafbdbc577";
        assert_eq!(hex::encode(node_hash(&[0; 32], &[0; 32])), zeros);
    }
}
