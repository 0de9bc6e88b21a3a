//! Builds certificates octet by octet, well formed or broken in exactly one place, and always the same ones: the key
//! is the base point of P-256, the signature is a constant. They are for rules, which look at no signature.
#![allow(dead_code, missing_docs)]

use num_bigint::BigUint;

/// What goes into a certificate. The default is one that breaks no rule but has no names yet.
#[derive(Clone)]
pub struct Spec {
    not_before: Vec<u8>,
    not_after: Vec<u8>,
    names: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<Vec<u8>>,
    eku: Option<(bool, Vec<Vec<u8>>)>,
    /// What every certificate has besides names and usages: OID, critical, value.
    profile: Vec<(Vec<u8>, bool, Vec<u8>)>,
    san_extension: SanExtension,
    san_critical: Option<bool>,
    extra: Vec<Vec<u8>>,
    version: Vec<u8>,
    spki: Vec<u8>,
    algorithms: [Vec<u8>; 2],
    unique_ids: Vec<u8>,
    serial: Vec<u8>,
    trailing: Vec<u8>,
}

#[derive(Clone)]
enum SanExtension {
    One,
    None,
    SplitInTwo,
    Followed(Vec<u8>),
}

pub const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
pub const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
pub const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
pub const EMAIL: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
pub const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
pub const ANY_EKU: &[u8] = &[0x55, 0x1d, 37, 0];
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
pub const SAN: &[u8] = &[0x55, 0x1d, 17];
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
pub const CRL_DP: &[u8] = &[0x55, 0x1d, 31];
pub const POLICIES: &[u8] = &[0x55, 0x1d, 32];
pub const AKI: &[u8] = &[0x55, 0x1d, 35];
pub const AIA: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
pub const DV: &[u8] = &[0x67, 0x81, 0x0c, 1, 2, 1];
pub const OV: &[u8] = &[0x67, 0x81, 0x0c, 1, 2, 2];
pub const IV: &[u8] = &[0x67, 0x81, 0x0c, 1, 2, 3];
pub const EV: &[u8] = &[0x67, 0x81, 0x0c, 1, 1];
pub const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
pub const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];
pub const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// One element: identifier octet, length, content.
pub fn tlv(identifier: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![identifier];
    match content.len() {
        n @ 0..=0x7f => out.push(n as u8),
        n @ 0x80..=0xff => out.extend([0x81, n as u8]),
        n @ 0x100..=0xffff => out.extend([0x82, (n >> 8) as u8, n as u8]),
        n => out.extend([0x83, (n >> 16) as u8, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
    out
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(6, oid), critical, &tlv(4, value)].concat())
}

/// `2026-06-01 12:00:00` (or the day alone) as Time of RFC 5280 4.1.2.5: UTCTime to 2049.
fn time(text: &str) -> Vec<u8> {
    let mut digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    digits.resize(14, b'0');
    digits.push(b'Z');
    if digits.as_slice() < b"20500101000000Z".as_slice() { tlv(23, &digits[2..]) } else { tlv(24, &digits) }
}

/// An AttributeTypeAndValue whose type is 2.5.4.`attribute`.
pub fn attribute(attribute: u8, string_tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(6, &[0x55, 4, attribute]), tlv(string_tag, value)].concat())
}

fn rdn(kind: u8, string_tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x31, &attribute(kind, string_tag, value))
}

/// AuthorityInfoAccess of AccessDescriptions id-ad-`48.method` with a URI.
pub fn access(descriptions: &[(u8, &str)]) -> Vec<u8> {
    let one = |(method, uri): &(u8, &str)| {
        tlv(0x30, &[tlv(6, &[0x2b, 6, 1, 5, 5, 7, 48, *method]), tlv(0x86, uri.as_bytes())].concat())
    };
    tlv(0x30, &descriptions.iter().flat_map(one).collect::<Vec<u8>>())
}

/// CRLDistributionPoints, one per URI.
pub fn crl_points(uris: &[&str]) -> Vec<u8> {
    let one = |uri: &&str| tlv(0x30, &tlv(0xa0, &tlv(0xa0, &tlv(0x86, uri.as_bytes()))));
    tlv(0x30, &uris.iter().flat_map(one).collect::<Vec<u8>>())
}

/// A SignedCertificateTimestampList (RFC 6962 3.3) of one SCT, in its OCTET STRING.
pub fn sct_list() -> Vec<u8> {
    let (version_and_log, timestamp) = ([0; 33], [0, 0, 1, 0x9f, 0, 0, 0, 0]);
    let sct = [&version_and_log[..], &timestamp, &[0, 0, 4, 3, 0, 4, 0x30, 2, 2, 0]].concat();
    tlv(4, &[&[0, sct.len() as u8 + 2, 0, sct.len() as u8], &sct[..]].concat())
}

/// CertificatePolicies without qualifiers.
pub fn policies(oids: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &oids.iter().flat_map(|oid| tlv(0x30, &tlv(6, oid))).collect::<Vec<u8>>())
}

impl Spec {
    /// Valid from one moment through another: `2026-06-01` or `2026-06-01 12:00:00`, UTC.
    pub fn new(not_before: &str, not_after: &str) -> Spec {
        Spec {
            not_before: time(not_before),
            not_after: time(not_after),
            names: Vec::new(),
            issuer: tlv(0x30, &[rdn(6, 19, b"ES"), rdn(10, 12, b"ctwarden test CA")].concat()),
            subject: Vec::new(),
            eku: Some((false, vec![SERVER_AUTH.to_vec()])),
            profile: vec![
                (BASIC_CONSTRAINTS.to_vec(), true, tlv(0x30, &[])),
                (KEY_USAGE.to_vec(), true, vec![3, 2, 7, 0x80]),
                (AKI.to_vec(), false, tlv(0x30, &tlv(0x80, &[7; 20]))),
                (POLICIES.to_vec(), false, policies(&[DV])),
                (AIA.to_vec(), false, access(&[(2, "http://ca.example.com/ca.cer")])),
                (CRL_DP.to_vec(), false, crl_points(&["http://ca.example.com/ca.crl"])),
            ],
            san_extension: SanExtension::One,
            san_critical: None,
            extra: Vec::new(),
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 3, 0x4d, 0x15, 0x1e],
            spki: ec_spki(P256, &BASE_POINT),
            algorithms: [ECDSA_SHA256.to_vec(), ECDSA_SHA256.to_vec()],
            unique_ids: Vec::new(),
            trailing: Vec::new(),
        }
    }
    /// A certificate of the summer of 2026 for one name.
    pub fn summer(name: &str) -> Spec {
        Spec::new("2026-06-01", "2026-07-15 23:59:59").dns(name)
    }
    /// A GeneralName with any identifier octet.
    pub fn general_name(mut self, identifier: u8, content: &[u8]) -> Spec {
        self.names.extend(tlv(identifier, content));
        self
    }
    pub fn dns(self, name: &str) -> Spec {
        self.general_name(0x82, name.as_bytes())
    }
    pub fn dns_octets(self, name: &[u8]) -> Spec {
        self.general_name(0x82, name)
    }
    pub fn ip(self, text: &str) -> Spec {
        match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(v4)) => self.general_name(0x87, &v4.octets()),
            Ok(std::net::IpAddr::V6(v6)) => self.general_name(0x87, &v6.octets()),
            Err(_) => panic!("{text} is not an address"),
        }
    }
    /// A commonName as UTF8String.
    pub fn cn(self, name: &str) -> Spec {
        self.cn_octets(12, name.as_bytes())
    }
    pub fn cn_octets(mut self, string_tag: u8, value: &[u8]) -> Spec {
        self.subject.push(rdn(3, string_tag, value));
        self
    }
    pub fn eku(mut self, critical: bool, usages: &[&[u8]]) -> Spec {
        self.eku = Some((critical, usages.iter().map(|usage| usage.to_vec()).collect()));
        self
    }
    pub fn no_eku(mut self) -> Spec {
        self.eku = None;
        self
    }
    pub fn ca(self) -> Spec {
        self.with(BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff])
    }
    /// Puts another extension in the place of the one of this OID, or at the end.
    pub fn with(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Spec {
        match self.profile.iter_mut().find(|e| e.0 == oid) {
            Some(place) => *place = (oid.to_vec(), critical, value.to_vec()),
            None => self.profile.push((oid.to_vec(), critical, value.to_vec())),
        }
        self
    }
    pub fn without(mut self, oid: &[u8]) -> Spec {
        self.profile.retain(|e| e.0 != oid);
        self
    }
    pub fn policy(self, oid: &[u8]) -> Spec {
        self.with(POLICIES, false, &policies(&[oid]))
    }
    pub fn san_critical(mut self, critical: bool) -> Spec {
        self.san_critical = Some(critical);
        self
    }
    /// An attribute 2.5.4.`kind` of the subject, as UTF8String; PrintableString for C and serialNumber.
    pub fn attr(self, kind: u8, value: &str) -> Spec {
        self.attr_octets(kind, if matches!(kind, 5 | 6) { 19 } else { 12 }, value.as_bytes())
    }
    pub fn attr_octets(mut self, kind: u8, string_tag: u8, value: &[u8]) -> Spec {
        self.subject.push(rdn(kind, string_tag, value));
        self
    }
    /// An attribute whose type is not under 2.5.4.
    pub fn attr_of(mut self, oid: &[u8], string_tag: u8, value: &str) -> Spec {
        let pair = tlv(0x30, &[tlv(6, oid), tlv(string_tag, value.as_bytes())].concat());
        self.subject.push(tlv(0x31, &pair));
        self
    }
    /// One RelativeDistinguishedName of several attributes.
    pub fn rdn_of(mut self, attributes: &[Vec<u8>]) -> Spec {
        self.subject.push(tlv(0x31, &attributes.concat()));
        self
    }
    /// The SubjectPublicKeyInfo as given.
    pub fn spki(mut self, der: Vec<u8>) -> Spec {
        self.spki = der;
        self
    }
    /// The AlgorithmIdentifiers inside and outside of the TBSCertificate.
    pub fn algorithms(mut self, inner: &[u8], outer: &[u8]) -> Spec {
        self.algorithms = [inner.to_vec(), outer.to_vec()];
        self
    }
    /// Octets between subjectPublicKeyInfo and the extensions.
    pub fn unique_ids(mut self, der: &[u8]) -> Spec {
        self.unique_ids = der.to_vec();
        self
    }
    pub fn poison(mut self) -> Spec {
        self.extra.push(extension(POISON, true, &[5, 0]));
        self
    }
    /// Any further extension.
    pub fn extension(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Spec {
        self.extra.push(extension(oid, critical, value));
        self
    }
    pub fn no_san(mut self) -> Spec {
        self.san_extension = SanExtension::None;
        self
    }
    /// The names in one extension, and a second extension with one more name.
    pub fn second_san(mut self) -> Spec {
        self.san_extension = SanExtension::SplitInTwo;
        self
    }
    /// Octets after the SEQUENCE in the value of the subjectAltName.
    pub fn after_san(mut self, octets: &[u8]) -> Spec {
        self.san_extension = SanExtension::Followed(octets.to_vec());
        self
    }
    /// The issuer Name as given.
    pub fn issuer(mut self, der: &[u8]) -> Spec {
        self.issuer = der.to_vec();
        self
    }
    /// The version field as given.
    pub fn version(mut self, der: &[u8]) -> Spec {
        self.version = der.to_vec();
        self
    }
    /// The serialNumber field as given, tag and all.
    pub fn serial(mut self, der: &[u8]) -> Spec {
        self.serial = der.to_vec();
        self
    }
    /// Octets after the certificate.
    pub fn trailing(mut self, octets: &[u8]) -> Spec {
        self.trailing = octets.to_vec();
        self
    }
    /// notAfter as given, tag and all.
    pub fn not_after_der(mut self, der: &[u8]) -> Spec {
        self.not_after = der.to_vec();
        self
    }

    /// The certificate.
    pub fn der(&self) -> Vec<u8> {
        self.signed(&tlv(0x30, &[tlv(2, &[0x11; 32]), tlv(2, &[0x22; 32])].concat()))
    }

    /// The certificate with this signature.
    pub fn signed(&self, signature: &[u8]) -> Vec<u8> {
        let bits = tlv(3, &[&[0][..], signature].concat());
        let mut der = tlv(0x30, &[&self.tbs()[..], &self.algorithms[1], &bits].concat());
        der.extend_from_slice(&self.trailing);
        der
    }

    /// The TBSCertificate.
    pub fn tbs(&self) -> Vec<u8> {
        let mut content = self.version.clone();
        content.extend_from_slice(&self.serial);
        content.extend_from_slice(&self.algorithms[0]);
        content.extend_from_slice(&self.issuer);
        content.extend(tlv(0x30, &[&self.not_before[..], &self.not_after].concat()));
        content.extend(tlv(0x30, &self.subject.concat()));
        content.extend_from_slice(&self.spki);
        content.extend_from_slice(&self.unique_ids);
        content.extend(tlv(0xa3, &tlv(0x30, &self.extensions())));
        tlv(0x30, &content)
    }

    fn extensions(&self) -> Vec<u8> {
        // RFC 5280 4.2.1.6: critical when the subject is empty, otherwise not.
        let critical = self.san_critical.unwrap_or(self.subject.is_empty());
        let mut out = Vec::new();
        for (oid, critical, value) in &self.profile {
            out.extend(extension(oid, *critical, value));
        }
        if let Some((critical, usages)) = &self.eku {
            let usages: Vec<u8> = usages.iter().flat_map(|usage| tlv(6, usage)).collect();
            out.extend(extension(&[0x55, 0x1d, 37], *critical, &tlv(0x30, &usages)));
        }
        match &self.san_extension {
            SanExtension::None => {}
            SanExtension::One => out.extend(extension(SAN, critical, &tlv(0x30, &self.names))),
            SanExtension::SplitInTwo => {
                out.extend(extension(SAN, critical, &tlv(0x30, &self.names)));
                out.extend(extension(SAN, critical, &tlv(0x30, &tlv(0x82, b"second.example.com"))));
            }
            SanExtension::Followed(octets) => {
                out.extend(extension(SAN, critical, &[&tlv(0x30, &self.names)[..], octets].concat()));
            }
        }
        out.extend(self.extra.concat());
        out
    }
}

/// The base point of P-256 (FIPS 186-4 D.1.2.3), uncompressed.
#[rustfmt::skip]
pub const BASE_POINT: [u8; 65] = [
    0x04,
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
    0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];
pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// SubjectPublicKeyInfo of id-ecPublicKey on a named curve.
pub fn ec_spki(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), tlv(6, curve)].concat());
    tlv(0x30, &[algorithm, tlv(3, &[&[0][..], point].concat())].concat())
}

/// AlgorithmIdentifier of rsaEncryption with NULL.
pub const RSA_ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// SubjectPublicKeyInfo of an RSA key.
pub fn rsa_spki(algorithm: &[u8], modulus: &BigUint, exponent: &BigUint) -> Vec<u8> {
    let integer = |number: &BigUint| {
        let octets = number.to_bytes_be();
        let sign: &[u8] = if octets[0] >= 0x80 { &[0] } else { &[] };
        tlv(2, &[sign, &octets].concat())
    };
    let key = tlv(0x30, &[integer(modulus), integer(exponent)].concat());
    tlv(0x30, &[algorithm, &tlv(3, &[&[0][..], &key].concat())].concat())
}

/// An RSA key with 65537 as exponent.
pub fn rsa(modulus: &BigUint) -> Vec<u8> {
    rsa_spki(RSA_ALGORITHM, modulus, &65_537u32.into())
}

/// An odd number of so many bits (the two highest set), always the same one; with no factor below 752.
pub fn number(bits: u64) -> BigUint {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let digits = (0..bits.div_ceil(32)).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    });
    let mut number = BigUint::new(digits.collect()) >> (bits.div_ceil(32) * 32 - bits);
    for bit in [0, bits - 2, bits - 1] {
        number.set_bit(bit, true);
    }
    without_small_factor(number, |n| n + 2u32)
}

/// The first of a series of numbers that no number from 3 to 751 divides.
pub fn without_small_factor(mut number: BigUint, next: impl Fn(BigUint) -> BigUint) -> BigUint {
    while (3..752u32).any(|small| &number % small == BigUint::ZERO) {
        number = next(number);
    }
    number
}

/// A product of two odd numbers that Fermat's method finds in this round; the first round is 0.
pub fn close_factors(bits: u64, round: u32) -> BigUint {
    let middle = number(bits / 2);
    // a = middle is found in the round a - ceil(sqrt(a^2 - b^2)), about b^2 / 2a.
    let product = |b: &BigUint| &middle * &middle - b * b;
    let found_in = |b: &BigUint| &middle - (product(b) - 1u32).sqrt() - 1u32;
    let mut b = (&middle * 2u32 * round).sqrt();
    b.set_bit(0, false);
    // Not the square itself.
    b = b.max(2u32.into());
    let step = BigUint::from(2u32);
    while found_in(&b) < round.into() {
        b += &step << (bits / 4 - 12);
    }
    while (3..752u32).any(|small| product(&b) % small == BigUint::ZERO) {
        b += &step;
    }
    assert_eq!(found_in(&b), round.into(), "the rounds are wider than that");
    product(&b)
}

/// A modulus with the fingerprint of ROCA: a power of 65537 modulo the product of the first 126 primes.
pub fn roca(bits: u64) -> BigUint {
    let is_prime = |n: &u32| (2..*n).all(|d| !n.is_multiple_of(d));
    let primorial: BigUint = (2..702u32).filter(is_prime).map(BigUint::from).product();
    let power = BigUint::from(65_537u32).modpow(&number(200), &primorial);
    without_small_factor(&primorial * number(bits - primorial.bits()) + power, |n| n + &primorial)
}
