//! The other side: a log's private key, for the demo log and for tests. The monitor itself signs nothing.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::key::{KeyError, LogId, encode_ecdsa};
use super::leaf::{LeafEntry, encode_merkle_tree_leaf};
use super::sct::SignedCertificateTimestamp;
use super::{Hash, sha256, sth};
use crate::clock::Timestamp;

/// An ECDSA P-256 log key that can sign.
pub struct LogSigner {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl LogSigner {
    /// A new random key.
    pub fn generate() -> LogSigner {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("aws-lc makes P-256 keys");
        LogSigner::from_pair(pair).expect("aws-lc encodes its own public key")
    }

    /// A key kept as PKCS #8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<LogSigner, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map_err(|_| KeyError::Private)?;
        LogSigner::from_pair(pair)
    }

    fn from_pair(pair: EcdsaKeyPair) -> Result<LogSigner, KeyError> {
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyError::Private)?;
        let spki = spki.as_ref().to_vec();
        Ok(LogSigner { pair, spki })
    }

    /// The key as PKCS #8 DER, to keep it: it is a secret.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.pair.to_pkcs8v1().map_err(|_| KeyError::Private)?.as_ref().to_vec())
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> Vec<u8> {
        self.spki.clone()
    }

    /// SHA-256 of the public key.
    pub fn log_id(&self) -> LogId {
        LogId(sha256(&[&self.spki]))
    }

    /// DigitallySigned bytes over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).expect("aws-lc signs with its own P-256 key");
        encode_ecdsa(signature.as_ref())
    }

    /// The tree_head_signature of RFC 6962 3.5 as DigitallySigned bytes.
    pub fn sign_tree_head(&self, size: u64, root: &Hash, timestamp: Timestamp) -> Vec<u8> {
        self.sign(&sth::tree_head_message(size, root, timestamp))
    }

    /// The SCT of RFC 6962 3.2 for an entry.
    pub fn sign_sct(
        &self,
        timestamp: Timestamp,
        entry: &LeafEntry<'_>,
        extensions: &[u8],
    ) -> SignedCertificateTimestamp {
        // The signed struct differs from a MerkleTreeLeaf in no byte: version v1, then signature_type
        // certificate_timestamp(0) where the leaf has timestamped_entry(0), then the same fields.
        let signature = self.sign(&encode_merkle_tree_leaf(timestamp, entry, extensions));
        SignedCertificateTimestamp {
            version: 0,
            log_id: self.log_id(),
            timestamp,
            extensions: extensions.to_vec(),
            signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::key::{DigitallySigned, LogKey};

    #[test]
    fn a_kept_key_is_the_same_key() {
        let signer = LogSigner::generate();
        let again = LogSigner::from_pkcs8(&signer.to_pkcs8().expect("PKCS #8")).expect("the same key");
        assert_eq!(again.log_id(), signer.log_id());
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("its public half");
        let bytes = again.sign(b"x");
        assert_eq!(key.verify(b"x", &DigitallySigned::parse(&bytes).expect("our own")), Ok(()));
        assert_eq!(LogSigner::from_pkcs8(b"no").err(), Some(KeyError::Private));
    }
}
