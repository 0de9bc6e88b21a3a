//! Signed certificate timestamps: the structure of RFC 6962 3.2 and the list of 3.3.

use super::key::{DigitallySigned, LogId, LogKey, SignatureError};
use super::leaf::{LeafEntry, encode_merkle_tree_leaf};
use super::wire::{Reader, put_vec16};
use crate::clock::Timestamp;

/// The most SCTs that are read from one list; certificates carry fewer than ten.
const MAX_SCTS: usize = 256;

/// Why bytes are not an SCT or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SctError {
    /// The list's own framing is broken, so that no SCT in it can be found.
    #[error("SCT list does not follow RFC 6962 3.3: {0}")]
    List(&'static str),
    /// This SCT ends inside a field or is followed by other bytes.
    #[error("SCT does not follow RFC 6962 3.2: {0}")]
    Malformed(&'static str),
    /// Not version v1 (0); nothing is known of its other fields.
    #[error("SCT has version {0}; RFC 6962 3.2 knows v1 (0) alone")]
    Version(u8),
    /// A time that no clock shows.
    #[error("SCT has the timestamp {0} ms, which is beyond 2^63")]
    Timestamp(u64),
    /// The SCT names another log than the key does.
    #[error("SCT is of log {found}, the key is of log {expected}; look the log up by the ID in the SCT")]
    OtherLog {
        /// Log ID in the SCT.
        found: LogId,
        /// Log ID of the key.
        expected: LogId,
    },
    /// The signature is not the log's over this entry.
    #[error("SCT of log {log}: {source}")]
    Signature {
        /// Log ID in the SCT.
        log: LogId,
        /// Why.
        source: SignatureError,
    },
}

/// SignedCertificateTimestamp of RFC 6962 3.2. Its signature has not been checked: see [`verify_sct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificateTimestamp {
    /// 0 is v1.
    pub version: u8,
    /// The log that made it.
    pub log_id: LogId,
    /// When the log promised inclusion.
    pub timestamp: Timestamp,
    /// CtExtensions; see [`super::leaf::leaf_index`].
    pub extensions: Vec<u8>,
    /// DigitallySigned bytes.
    pub signature: Vec<u8>,
}

impl SignedCertificateTimestamp {
    /// Reads one SCT that fills `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<SignedCertificateTimestamp, SctError> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            Some(0) => {}
            Some(other) => return Err(SctError::Version(other)),
            None => return Err(SctError::Malformed("it is empty")),
        }
        let mut head = || Some((reader.array()?, reader.u64()?, reader.vec16()?));
        let Some((log_id, millis, extensions)) = head() else {
            return Err(SctError::Malformed("it ends before its signature"));
        };
        let signature = reader.rest();
        if DigitallySigned::parse(signature).is_err() {
            return Err(SctError::Malformed("its signature is cut or followed by other bytes"));
        }
        let timestamp = Timestamp::from_millis(i64::try_from(millis).map_err(|_| SctError::Timestamp(millis))?);
        let (extensions, signature) = (extensions.to_vec(), signature.to_vec());
        Ok(SignedCertificateTimestamp { version: 0, log_id: LogId(log_id), timestamp, extensions, signature })
    }

    /// Writes the SCT.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.version];
        out.extend_from_slice(&self.log_id.0);
        out.extend_from_slice(&(self.timestamp.millis() as u64).to_be_bytes());
        put_vec16(&mut out, &self.extensions);
        out.extend_from_slice(&self.signature);
        out
    }
}

/// Reads a SignedCertificateTimestampList: the content of the inner OCTET STRING of the certificate extension, of the
/// TLS extension or of the OCSP extension. Each SCT stands by itself: one that cannot be read hides no other.
pub fn parse_sct_list(bytes: &[u8]) -> Result<Vec<Result<SignedCertificateTimestamp, SctError>>, SctError> {
    // "opaque SerializedSCT<1..2^16-1>; struct { SerializedSCT sct_list <1..2^16-1>; }" (RFC 6962 3.3).
    let mut outer = Reader::new(bytes);
    let content = outer.vec16().ok_or(SctError::List("it ends before its own length"))?;
    if !outer.is_empty() {
        return Err(SctError::List("bytes follow it"));
    }
    if content.is_empty() {
        return Err(SctError::List("it is empty"));
    }
    let mut list = Reader::new(content);
    let mut found = Vec::new();
    while !list.is_empty() {
        if found.len() == MAX_SCTS {
            return Err(SctError::List("it has more than 256 SCTs"));
        }
        let Some(one) = list.vec16() else {
            // What came before is whole and stays; the rest has no frame.
            found.push(Err(SctError::Malformed("the list ends inside it")));
            break;
        };
        found.push(SignedCertificateTimestamp::parse(one));
    }
    Ok(found)
}

/// Writes a SignedCertificateTimestampList. A list of more than 2^16-1 bytes has no encoding and is cut.
pub fn encode_sct_list(scts: &[SignedCertificateTimestamp]) -> Vec<u8> {
    let (mut content, mut out) = (Vec::new(), Vec::new());
    for sct in scts {
        put_vec16(&mut content, &sct.encode());
    }
    put_vec16(&mut out, &content);
    out
}

/// Whether the log promised to include this entry.
pub fn verify_sct(sct: &SignedCertificateTimestamp, key: &LogKey, entry: &LeafEntry<'_>) -> Result<(), SctError> {
    if sct.log_id != key.log_id() {
        return Err(SctError::OtherLog { found: sct.log_id, expected: key.log_id() });
    }
    if sct.version != 0 {
        return Err(SctError::Version(sct.version));
    }
    // "digitally-signed struct { Version sct_version; SignatureType signature_type = certificate_timestamp; uint64
    // timestamp; LogEntryType entry_type; select(entry_type) {...} signed_entry; CtExtensions extensions; }" (RFC
    // 6962 3.2): byte for byte the MerkleTreeLeaf, as certificate_timestamp(0) stands where timestamped_entry(0) does.
    let message = encode_merkle_tree_leaf(sct.timestamp, entry, &sct.extensions);
    DigitallySigned::parse(&sct.signature)
        .and_then(|signature| key.verify(&message, &signature))
        .map_err(|source| SctError::Signature { log: sct.log_id, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::leaf::encode_leaf_index;
    use crate::ct::signer::LogSigner;
    use crate::finding::KeyHash;

    const MOMENT: Timestamp = Timestamp::from_millis(1_790_000_000_123);

    fn log() -> (LogSigner, LogKey) {
        let signer = LogSigner::generate();
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("a log key");
        (signer, key)
    }

    #[test]
    fn a_promise_holds_for_its_entry_alone() {
        let (signer, key) = log();
        let entries = [
            LeafEntry::Precert { issuer_key_hash: KeyHash([1; 32]), tbs: b"tbs" },
            LeafEntry::Precert { issuer_key_hash: KeyHash([2; 32]), tbs: b"tbs" },
            LeafEntry::X509 { certificate: b"tbs" },
        ];
        for promised in &entries {
            let sct = signer.sign_sct(MOMENT, promised, &encode_leaf_index(5));
            for entry in &entries {
                assert_eq!(verify_sct(&sct, &key, entry).is_ok(), entry == promised);
            }
            let other = SignedCertificateTimestamp { extensions: encode_leaf_index(6), ..sct.clone() };
            assert!(matches!(verify_sct(&other, &key, promised), Err(SctError::Signature { .. })));
            assert!(matches!(verify_sct(&sct, &log().1, promised), Err(SctError::OtherLog { .. })));
            let other = SignedCertificateTimestamp { version: 1, ..sct };
            assert_eq!(verify_sct(&other, &key, promised), Err(SctError::Version(1)));
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let (signer, _) = log();
        let entry = LeafEntry::X509 { certificate: b"c" };
        let scts = [signer.sign_sct(MOMENT, &entry, b""), signer.sign_sct(MOMENT, &entry, &encode_leaf_index(1))];
        let bytes = encode_sct_list(&scts);
        let read = parse_sct_list(&bytes).expect("our own list");
        assert_eq!(read, scts.iter().cloned().map(Ok).collect::<Vec<_>>());
        for cut in 0..bytes.len() {
            assert!(matches!(parse_sct_list(&bytes[..cut]), Err(SctError::List(_))), "{cut}");
        }
        assert!(parse_sct_list(&[bytes.as_slice(), b"x"].concat()).is_err());
        assert!(parse_sct_list(&[0, 0]).is_err());
    }

    #[test]
    fn one_bad_sct_hides_no_other() {
        let (signer, _) = log();
        let good = signer.sign_sct(MOMENT, &LeafEntry::X509 { certificate: b"c" }, b"");
        let whole = good.encode();
        let mut late = whole.clone();
        late[33..41].fill(0xff);
        let list = |scts: &[&[u8]]| {
            let (mut content, mut out) = (Vec::new(), Vec::new());
            scts.iter().for_each(|sct| put_vec16(&mut content, sct));
            put_vec16(&mut out, &content);
            out
        };
        let bytes = list(&[b"", &[9, 9], &whole[..20], &whole[..50], &[&whole[..], b"x"].concat(), &late, &whole]);
        let read = parse_sct_list(&bytes).expect("the list is framed");
        let bad = |sct: &Result<_, SctError>| matches!(sct, Err(SctError::Malformed(_)));
        assert!(bad(&read[0]) && bad(&read[2]) && bad(&read[3]) && bad(&read[4]));
        assert_eq!((&read[1], &read[5]), (&Err(SctError::Version(9)), &Err(SctError::Timestamp(u64::MAX))));
        assert_eq!(read[6], Ok(good.clone()));
        // The frame of the second SCT is longer than the list: the first stays.
        let mut cut = list(&[&whole]);
        cut.extend([0, 9, 1]);
        let length = (cut.len() - 2) as u16;
        cut[..2].copy_from_slice(&length.to_be_bytes());
        let read = parse_sct_list(&cut).expect("the list is framed");
        assert!(read[0] == Ok(good) && bad(&read[1]) && read.len() == 2);
        let many = list(&vec![[1].as_slice(); MAX_SCTS + 1]);
        assert!(matches!(parse_sct_list(&many), Err(SctError::List(_))));
    }
}
