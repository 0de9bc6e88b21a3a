//! Whether a certificate was signed with a key.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature as algorithms;
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};

use crate::cert::Certificate;
use crate::cert::der::{Element, single, tag};

/// The answer of [`signed_by`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// The signature is by this key.
    Valid,
    /// It is not.
    Invalid,
    /// It cannot be checked: no signature (a TBSCertificate alone), or an algorithm or key we do not know.
    Unsupported,
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// Prefix of the signature algorithms of PKCS #1; the last octet tells them apart.
const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// Prefix of ecdsa-with-SHA2.
const ECDSA_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
/// Prefix of the SHA-2 hash functions of NIST.
const SHA2: [u8; 8] = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Checks the signature of `cert` over its TBSCertificate with the key of a SubjectPublicKeyInfo (full TLV).
pub fn signed_by(cert: &Certificate, issuer_spki_der: &[u8]) -> SignatureCheck {
    match cert.signature() {
        Some((algorithm_der, signature)) => verify(issuer_spki_der, algorithm_der, cert.tbs_der(), signature),
        None => SignatureCheck::Unsupported,
    }
}

/// Checks a signature over a message. `algorithm_der`: the AlgorithmIdentifier, full TLV; `spki_der`: the signer's
/// SubjectPublicKeyInfo, full TLV.
pub fn verify(spki_der: &[u8], algorithm_der: &[u8], message: &[u8], signature: &[u8]) -> SignatureCheck {
    check(spki_der, algorithm_der, |key| key.verify(message, signature).is_ok())
}

/// The same over a message of which the digest by [`digest_of`] is known.
pub fn verify_digest(spki_der: &[u8], algorithm_der: &[u8], digest: &Digest, signature: &[u8]) -> SignatureCheck {
    check(spki_der, algorithm_der, |key| key.verify_digest(digest, signature).is_ok())
}

/// The digest of the message that an algorithm signs (AlgorithmIdentifier, full TLV); `None` when it signs no digest, as
/// Ed25519, or is not known.
pub fn digest_of(algorithm_der: &[u8]) -> Option<&'static digest::Algorithm> {
    let mut reader = single(algorithm_der)?.0.reader();
    let id = reader.next().ok()?.content;
    let hash = match (id.strip_prefix(&ECDSA_SHA2), id.strip_prefix(&PKCS1)) {
        (Some([2]), _) | (_, Some([11])) => Hash::Sha256,
        (Some([3]), _) | (_, Some([12])) => Hash::Sha384,
        (Some([4]), _) | (_, Some([13])) => Hash::Sha512,
        (_, Some([10])) => pss_hash(&reader.next().ok()?)?,
        _ => return None,
    };
    Some(match hash {
        Hash::Sha1 => return None,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    })
}

fn check(
    spki_der: &[u8],
    algorithm_der: &[u8],
    verifies: impl FnOnce(&UnparsedPublicKey<&[u8]>) -> bool,
) -> SignatureCheck {
    let checked = || {
        let (algorithm, _) = single(algorithm_der)?;
        let (key_type, key_parameters, key) = split_spki(spki_der)?;
        let verification = choose(&algorithm, key_type, key_parameters)?;
        Some(verifies(&UnparsedPublicKey::new(verification, key)))
    };
    match checked() {
        Some(true) => SignatureCheck::Valid,
        Some(false) => SignatureCheck::Invalid,
        None => SignatureCheck::Unsupported,
    }
}

/// Algorithm OID, parameters (content octets, empty when absent) and key octets of a SubjectPublicKeyInfo.
fn split_spki(spki: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut reader = single(spki)?.0.reader();
    let mut algorithm = reader.next().ok()?.reader();
    let key = reader.next().ok()?;
    let id = algorithm.next().ok()?;
    let parameters = algorithm.next().map_or(&[][..], |p| p.content);
    match key.content {
        [0, octets @ ..] if key.is(tag::BIT_STRING, false) => Some((id.content, parameters, octets)),
        _ => None,
    }
}

fn choose(algorithm: &Element<'_>, key_type: &[u8], curve: &[u8]) -> Option<&'static dyn VerificationAlgorithm> {
    let mut reader = algorithm.reader();
    let id = reader.next().ok()?.content;
    if id == ED25519 && key_type == ED25519 {
        return Some(&algorithms::ED25519);
    }
    if let (Some([last]), EC) = (id.strip_prefix(&ECDSA_SHA2), key_type) {
        let hash = match last {
            2 => Hash::Sha256,
            3 => Hash::Sha384,
            4 => Hash::Sha512,
            _ => return None,
        };
        return ecdsa(curve, hash);
    }
    match (id.strip_prefix(&PKCS1), key_type) {
        (Some([5]), RSA) => Some(&algorithms::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        (Some([11]), RSA) => Some(&algorithms::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        (Some([12]), RSA) => Some(&algorithms::RSA_PKCS1_2048_8192_SHA384),
        (Some([13]), RSA) => Some(&algorithms::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        (Some([10]), RSA) => match pss_hash(&reader.next().ok()?)? {
            Hash::Sha256 => Some(&algorithms::RSA_PSS_2048_8192_SHA256),
            Hash::Sha384 => Some(&algorithms::RSA_PSS_2048_8192_SHA384),
            Hash::Sha512 => Some(&algorithms::RSA_PSS_2048_8192_SHA512),
            Hash::Sha1 => None,
        },
        _ => None,
    }
}

fn ecdsa(curve: &[u8], hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        (P256, Hash::Sha256) => &algorithms::ECDSA_P256_SHA256_ASN1,
        (P256, Hash::Sha384) => &algorithms::ECDSA_P256_SHA384_ASN1,
        (P256, Hash::Sha512) => &algorithms::ECDSA_P256_SHA512_ASN1,
        (P384, Hash::Sha256) => &algorithms::ECDSA_P384_SHA256_ASN1,
        (P384, Hash::Sha384) => &algorithms::ECDSA_P384_SHA384_ASN1,
        (P384, Hash::Sha512) => &algorithms::ECDSA_P384_SHA512_ASN1,
        (P521, Hash::Sha256) => &algorithms::ECDSA_P521_SHA256_ASN1,
        (P521, Hash::Sha384) => &algorithms::ECDSA_P521_SHA384_ASN1,
        (P521, Hash::Sha512) => &algorithms::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

/// RFC 4055 3.1: RSASSA-PSS-params { hashAlgorithm \[0\] DEFAULT sha1, maskGenAlgorithm \[1\], saltLength \[2\], ... }.
/// Only the hash is read; the BR fix all the rest (7.1.3.2.1), and another salt does not verify.
fn pss_hash(parameters: &Element<'_>) -> Option<Hash> {
    let first = parameters.reader().next().ok()?;
    if !first.is_context(0) {
        return Some(Hash::Sha1);
    }
    let id = single(first.content)?.0.reader().next().ok()?.content;
    match id.strip_prefix(&SHA2)? {
        [1] => Some(Hash::Sha256),
        [2] => Some(Hash::Sha384),
        [3] => Some(Hash::Sha512),
        _ => None,
    }
}
