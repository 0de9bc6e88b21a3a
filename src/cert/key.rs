//! The public key in a SubjectPublicKeyInfo, as octets.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey, VerificationAlgorithm,
};

use crate::cert::der::{single, tag};

/// rsaEncryption and id-RSASSA-PSS (RFC 4055 1.2, 3.1).
const RSA: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10]];
/// id-ecPublicKey (RFC 5480 2.1.1).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// A curve on which a key may lie (BR 6.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// By the content octets of its namedCurve (RFC 5480 2.1.1.1).
    pub fn of_oid(oid: &[u8]) -> Option<Curve> {
        match oid {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => Some(Curve::P256),
            [0x2b, 0x81, 4, 0, 34] => Some(Curve::P384),
            [0x2b, 0x81, 4, 0, 35] => Some(Curve::P521),
            _ => None,
        }
    }
    /// Whether the octets of an ECPoint (RFC 5480 2.2) are a point of the curve, and not the one at infinity.
    pub fn has_point(self, point: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1,
        };
        ParsedPublicKey::new(algorithm, point).is_ok()
    }
}

/// A subject's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// RSAPublicKey (RFC 8017 A.1.1): the content octets of its two INTEGERs, without the leading zero octets.
    Rsa {
        /// The modulus.
        modulus: &'a [u8],
        /// The public exponent.
        exponent: &'a [u8],
    },
    /// An elliptic curve point.
    Ec {
        /// Content octets of the parameters: the OID of a named curve, when well formed.
        curve: &'a [u8],
        /// The octets of the ECPoint.
        point: &'a [u8],
    },
    /// A key of another algorithm, whose OID (content octets) this is.
    Other(&'a [u8]),
    /// It cannot be read.
    Unreadable,
}

impl<'a> PublicKey<'a> {
    /// From a SubjectPublicKeyInfo, full TLV.
    pub fn of_spki(spki: &'a [u8]) -> PublicKey<'a> {
        PublicKey::read(spki).unwrap_or(PublicKey::Unreadable)
    }

    fn read(spki: &'a [u8]) -> Option<PublicKey<'a>> {
        let mut reader = single(spki)?.0.reader();
        let mut algorithm = reader.next().ok()?.reader();
        let id = algorithm.next().ok()?.content;
        let bits = reader.next().ok()?;
        let octets = match bits.content {
            [0, octets @ ..] if bits.is(tag::BIT_STRING, false) => octets,
            _ => return None,
        };
        if RSA.contains(&id) {
            let (key, rest) = single(octets)?;
            let mut numbers = key.reader();
            let (modulus, exponent) = (numbers.next().ok()?, numbers.next().ok()?);
            let integers = modulus.is(tag::INTEGER, false) && exponent.is(tag::INTEGER, false);
            let positive = |content: &[u8]| content.first().is_some_and(|first| *first < 0x80);
            let whole = key.is_sequence() && rest.is_empty() && numbers.is_empty();
            if !(integers && whole && positive(modulus.content) && positive(exponent.content)) {
                return None;
            }
            return Some(PublicKey::Rsa { modulus: magnitude(modulus.content), exponent: magnitude(exponent.content) });
        }
        if id == EC {
            let curve = algorithm.next().map_or(&[][..], |parameters| parameters.content);
            return Some(PublicKey::Ec { curve, point: octets });
        }
        Some(PublicKey::Other(id))
    }
}

/// The octets from the first that is not zero.
fn magnitude(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().position(|b| *b != 0).unwrap_or(octets.len())..]
}

/// The AlgorithmIdentifier of a SubjectPublicKeyInfo, full TLV.
pub fn algorithm_of(spki: &[u8]) -> Option<&[u8]> {
    Some(single(spki)?.0.reader().next().ok()?.raw)
}

/// How many bits a magnitude has.
pub fn bit_length(magnitude: &[u8]) -> usize {
    magnitude.first().map_or(0, |first| magnitude.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::der::encode;

    fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
        let algorithm = encode(0x30, &encode(6, algorithm));
        encode(0x30, &[algorithm, encode(3, &[&[0], key].concat())].concat())
    }

    #[test]
    fn keys_of_all_kinds() {
        let rsa = encode(0x30, &[2, 3, 0, 0x81, 1, 2, 1, 3]);
        let der = spki(RSA[0], &rsa);
        assert_eq!(PublicKey::of_spki(&der), PublicKey::Rsa { modulus: &[0x81, 1], exponent: &[3] });
        let negative = spki(RSA[0], &encode(0x30, &[2, 1, 0x81, 2, 1, 3]));
        assert_eq!(PublicKey::of_spki(&negative), PublicKey::Unreadable);
        let der = spki(&[0x2b, 0x65, 0x70], &[7; 32]);
        assert_eq!(PublicKey::of_spki(&der), PublicKey::Other(&[0x2b, 0x65, 0x70]));
        assert_eq!(PublicKey::of_spki(&spki(EC, &[4])), PublicKey::Ec { curve: &[], point: &[4] });
        assert_eq!(PublicKey::of_spki(&[0x30, 0]), PublicKey::Unreadable);
        assert_eq!((bit_length(&[0x81, 1]), bit_length(&[1, 0]), bit_length(&[])), (16, 9, 0));
    }

    #[test]
    fn only_points_of_the_curve_are_on_it() {
        let spec = crate::lint::certgen::Spec::summer("a.com");
        let cert = crate::cert::Certificate::parse(&spec.der()).expect("generated");
        let PublicKey::Ec { curve, point } = cert.public_key() else { panic!("an EC key") };
        assert_eq!(Curve::of_oid(curve), Some(Curve::P256));
        assert!(Curve::P256.has_point(point));
        let mut off = point.to_vec();
        off[64] ^= 1;
        assert!(!Curve::P256.has_point(&off) && !Curve::P384.has_point(point) && !Curve::P256.has_point(&[0]));
    }
}
