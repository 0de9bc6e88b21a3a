//! A log's public key, its log ID and the signatures it makes.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use serde::{Deserialize, Serialize};

use super::wire::{Reader, put_vec16};
use super::{Hash, hash_from_base64, sha256, to_base64};

/// HashAlgorithm sha256 of RFC 5246 7.4.1.4.1.
const HASH_SHA256: u8 = 4;
/// SignatureAlgorithm rsa of RFC 5246 7.4.1.4.1.
const SIGNATURE_RSA: u8 = 1;
/// SignatureAlgorithm ecdsa of RFC 5246 7.4.1.4.1.
const SIGNATURE_ECDSA: u8 = 3;

/// AlgorithmIdentifier of an id-ecPublicKey on secp256r1 (RFC 5480 2.1.1).
const ALGORITHM_P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// AlgorithmIdentifier of rsaEncryption with its NULL (RFC 3279 2.3.1).
const ALGORITHM_RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// "the SHA-256 hash of the log's public key, calculated over the DER encoding of the key represented as
/// SubjectPublicKeyInfo" (RFC 6962 3.2). Shown and stored as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogId(pub [u8; 32]);

impl LogId {
    /// From the base64 of 32 bytes, as log lists write it.
    pub fn from_base64(text: &str) -> Option<LogId> {
        hash_from_base64(text).map(LogId)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64(&self.0))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LogId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<LogId, D::Error> {
        let text = String::deserialize(deserializer)?;
        LogId::from_base64(&text).ok_or_else(|| serde::de::Error::custom("not the base64 of a 32-byte log ID"))
    }
}

/// Why bytes are not a key that a log may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither P-256 nor RSA.
    #[error("log key is neither ECDSA P-256 nor RSA, which are all that RFC 6962 2.1.4 allows; correct the log list")]
    Algorithm,
    /// Not the DER of a SubjectPublicKeyInfo with a valid key in it.
    #[error("log key is not the DER SubjectPublicKeyInfo of a valid key; correct the log list")]
    Malformed,
    /// An RSA modulus outside 2048 to 8192 bits.
    #[error("log key has an RSA modulus outside 2048 to 8192 bits (RFC 6962 2.1.4); correct the log list")]
    Size,
    /// A PKCS #8 private key that cannot be used.
    #[error("signing key is not the PKCS #8 DER of a P-256 key; make a new one")]
    Private,
}

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The DigitallySigned structure cannot be read.
    #[error("signature is not a DigitallySigned of RFC 5246 4.7")]
    Malformed,
    /// Another hash than SHA-256.
    #[error("signature uses hash algorithm {0}; RFC 6962 2.1.4 allows SHA-256 (4) alone")]
    Hash(u8),
    /// The signature algorithm is not that of the key.
    #[error("signature uses signature algorithm {0}, which is not that of the log's key")]
    Algorithm(u8),
    /// The signature does not verify.
    #[error("signature does not verify under the log's key")]
    Invalid,
}

/// "digitally-signed" of RFC 5246 4.7: two algorithm numbers and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitallySigned<'a> {
    /// HashAlgorithm.
    pub hash: u8,
    /// SignatureAlgorithm.
    pub algorithm: u8,
    /// The signature itself: DER ECDSA-Sig-Value or the RSA block.
    pub signature: &'a [u8],
}

impl<'a> DigitallySigned<'a> {
    /// A signature that comes without its algorithm numbers: by SHA-256 and the algorithm of `key`.
    pub(super) fn bare(signature: &'a [u8], key: &LogKey) -> DigitallySigned<'a> {
        DigitallySigned { hash: HASH_SHA256, algorithm: key.algorithm, signature }
    }
    /// Reads `struct { SignatureAndHashAlgorithm algorithm; opaque signature<0..2^16-1>; }`, which must fill `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<DigitallySigned<'a>, SignatureError> {
        let mut reader = Reader::new(bytes);
        let mut parts = || Some((reader.u8()?, reader.u8()?, reader.vec16()?));
        match parts() {
            Some((hash, algorithm, signature)) if reader.is_empty() => {
                Ok(DigitallySigned { hash, algorithm, signature })
            }
            _ => Err(SignatureError::Malformed),
        }
    }
}

/// The DigitallySigned bytes around an ECDSA signature with SHA-256.
pub(crate) fn encode_ecdsa(signature: &[u8]) -> Vec<u8> {
    let mut out = vec![HASH_SHA256, SIGNATURE_ECDSA];
    put_vec16(&mut out, signature);
    out
}

/// A log's public key: ECDSA P-256 or RSA of at least 2048 bits. Cloning is cheap.
#[derive(Clone)]
pub struct LogKey {
    parsed: ParsedPublicKey,
    algorithm: u8,
    log_id: LogId,
}

impl LogKey {
    /// Reads a DER SubjectPublicKeyInfo strictly: what is read must be all there is and encode to the same bytes,
    /// because the log ID is the hash of these bytes.
    pub fn from_spki_der(der: &[u8]) -> Result<LogKey, KeyError> {
        // "A log MUST use either elliptic curve signatures using the NIST P-256 curve [...] or RSA signatures
        // (RSASSA-PKCS1-V1_5 with SHA-256 [...]) using a key of at least 2048 bits" (RFC 6962 2.1.4).
        let (verification, algorithm): (&'static dyn VerificationAlgorithm, u8) = match sequence_content(der) {
            Some(content) if content.starts_with(ALGORITHM_P256) => (&ECDSA_P256_SHA256_ASN1, SIGNATURE_ECDSA),
            Some(content) if content.starts_with(ALGORITHM_RSA) => (&RSA_PKCS1_2048_8192_SHA256, SIGNATURE_RSA),
            Some(_) => return Err(KeyError::Algorithm),
            None => return Err(KeyError::Malformed),
        };
        let parsed = ParsedPublicKey::new(verification, der).map_err(|_| KeyError::Malformed)?;
        let encoded: PublicKeyX509Der<'_> = parsed.as_der().map_err(|_| KeyError::Malformed)?;
        if encoded.as_ref() != der {
            return Err(KeyError::Malformed);
        }
        if algorithm == SIGNATURE_RSA && !(2048..=8192).contains(&modulus_bits(der)?) {
            return Err(KeyError::Size);
        }
        Ok(LogKey { parsed, algorithm, log_id: LogId(sha256(&[der])) })
    }

    /// SHA-256 of the key.
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Whether `signature` over `message` was made with this key, by SHA-256 and the key's own algorithm.
    pub fn verify(&self, message: &[u8], signature: &DigitallySigned<'_>) -> Result<(), SignatureError> {
        if signature.hash != HASH_SHA256 {
            return Err(SignatureError::Hash(signature.hash));
        }
        if signature.algorithm != self.algorithm {
            return Err(SignatureError::Algorithm(signature.algorithm));
        }
        self.parsed.verify_sig(message, signature.signature).map_err(|_| SignatureError::Invalid)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.log_id)
    }
}

impl PartialEq for LogKey {
    fn eq(&self, other: &LogKey) -> bool {
        self.log_id == other.log_id
    }
}

impl Eq for LogKey {}

/// The length of an RSA key's modulus.
fn modulus_bits(der: &[u8]) -> Result<u32, KeyError> {
    let key = RsaPublicKey::from_der(der).map_err(|_| KeyError::Malformed)?;
    let modulus = key.modulus();
    let bytes = modulus.big_endian_without_leading_zero();
    let unused = bytes.first().map_or(0, |byte| byte.leading_zeros());
    Ok((bytes.len() as u32).saturating_mul(8).saturating_sub(unused))
}

/// The content octets of a DER SEQUENCE that fills `der`.
fn sequence_content(der: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(der);
    if reader.u8()? != 0x30 {
        return None;
    }
    let length = match reader.u8()? {
        short @ 0..=0x7f => short.into(),
        0x81 => reader.u8()?.into(),
        0x82 => reader.u16()?.into(),
        _ => return None,
    };
    let content: &[u8] = reader.take(length)?;
    reader.is_empty().then_some(content)
}

/// The key ID in a signed note: "the first four bytes [...] of the SHA-256 hash of the following sequence: the key
/// name, a newline character (0x0A), the signature type identifier byte 0x05, and the 32-byte RFC 6962 LogID" (C2SP
/// static-ct-api, "Checkpoints").
pub fn note_key_hash(name: &str, log_id: LogId) -> [u8; 4] {
    let [a, b, c, d, ..]: Hash = sha256(&[name.as_bytes(), b"\n\x05", &log_id.0]);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::signer::LogSigner;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicKeyComponents};
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256};

    fn signed(bytes: &[u8]) -> DigitallySigned<'_> {
        DigitallySigned::parse(bytes).expect("our own encoding")
    }

    #[test]
    fn an_ecdsa_signature_holds_for_its_message_and_key_alone() {
        let (signer, other) = (LogSigner::generate(), LogSigner::generate());
        let key = LogKey::from_spki_der(&signer.spki_der()).expect("a P-256 key");
        assert_eq!(key.log_id(), signer.log_id());
        let bytes = signer.sign(b"message");
        assert_eq!(key.verify(b"message", &signed(&bytes)), Ok(()));
        assert_eq!(key.verify(b"massage", &signed(&bytes)), Err(SignatureError::Invalid));
        assert_eq!(key.verify(b"message", &signed(&other.sign(b"message"))), Err(SignatureError::Invalid));
        let mut wrong = bytes.clone();
        wrong[0] = 2;
        assert_eq!(key.verify(b"message", &signed(&wrong)), Err(SignatureError::Hash(2)));
        wrong = bytes.clone();
        wrong[1] = 1;
        assert_eq!(key.verify(b"message", &signed(&wrong)), Err(SignatureError::Algorithm(1)));
        for cut in 0..bytes.len() {
            assert_eq!(DigitallySigned::parse(&bytes[..cut]), Err(SignatureError::Malformed));
        }
        wrong = bytes;
        wrong.push(0);
        assert_eq!(DigitallySigned::parse(&wrong), Err(SignatureError::Malformed));
    }

    #[test]
    fn an_rsa_signature_verifies() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("its public half");
        let key = LogKey::from_spki_der(spki.as_ref()).expect("an RSA log key");
        let mut block = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut block).expect("a signature");
        let signature = DigitallySigned { hash: HASH_SHA256, algorithm: SIGNATURE_RSA, signature: &block };
        assert_eq!(key.verify(b"message", &signature), Ok(()));
        assert_eq!(key.verify(b"massage", &signature), Err(SignatureError::Invalid));
        let mut trailing = spki.as_ref().to_vec();
        trailing.push(0);
        assert_eq!(LogKey::from_spki_der(&trailing), Err(KeyError::Malformed));
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        for (bytes, first, error) in
            [(256, 0x7f, Some(KeyError::Size)), (128, 0xff, Some(KeyError::Size)), (256, 0xff, None)]
        {
            let mut modulus = vec![0xa5; bytes];
            (modulus[0], modulus[bytes - 1]) = (first, 0xfb);
            let spki: PublicKeyX509Der<'_> =
                PublicKeyComponents { n: modulus, e: vec![1, 0, 1] }.as_der().expect("a modulus of any length");
            assert_eq!(LogKey::from_spki_der(spki.as_ref()).err(), error, "{bytes} {first}");
        }
    }

    #[test]
    fn keys_that_a_log_may_not_have_are_refused() {
        let spki = LogSigner::generate().spki_der();
        assert_eq!(LogKey::from_spki_der(b""), Err(KeyError::Malformed));
        assert_eq!(LogKey::from_spki_der(&spki[..spki.len() - 1]), Err(KeyError::Malformed));
        // The bare point is a key to the library, but not a SubjectPublicKeyInfo.
        assert_eq!(LogKey::from_spki_der(&spki[26..]), Err(KeyError::Malformed));
        let mut p384 = spki.clone();
        p384[22] ^= 1;
        assert_eq!(LogKey::from_spki_der(&p384), Err(KeyError::Algorithm));
        let mut off_curve = spki;
        off_curve[90] ^= 1;
        assert_eq!(LogKey::from_spki_der(&off_curve), Err(KeyError::Malformed));
    }

    #[test]
    fn a_log_id_is_read_as_it_is_shown() {
        let id = LogSigner::generate().log_id();
        assert_eq!(LogId::from_base64(&id.to_string()), Some(id));
        assert_eq!(LogId::from_base64("AAAA"), None);
        let json = serde_json::to_string(&id).expect("text");
        assert_eq!(serde_json::from_str::<LogId>(&json).expect("the same"), id);
    }
}
