//! Builds certificates octet by octet, well formed or broken in exactly one place, and always the same ones: the key
//! is the base point of P-256, the signature is a constant. They are for rules, which look at no signature.
#![allow(dead_code, missing_docs)]

/// What goes into a certificate. The default is one that breaks no rule but has no names yet.
#[derive(Clone)]
pub struct Spec {
    not_before: Vec<u8>,
    not_after: Vec<u8>,
    names: Vec<u8>,
    subject: Vec<Vec<u8>>,
    eku: Option<(bool, Vec<Vec<u8>>)>,
    ca: bool,
    san_extension: SanExtension,
    extra: Vec<Vec<u8>>,
    version: Vec<u8>,
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
const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];
const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// One element: identifier octet, length, content.
pub fn tlv(identifier: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![identifier];
    match content.len() {
        n @ 0..=0x7f => out.push(n as u8),
        n @ 0x80..=0xff => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
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

fn rdn(attribute: u8, string_tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x31, &tlv(0x30, &[tlv(6, &[0x55, 4, attribute]), tlv(string_tag, value)].concat()))
}

impl Spec {
    /// Valid from one moment through another: `2026-06-01` or `2026-06-01 12:00:00`, UTC.
    pub fn new(not_before: &str, not_after: &str) -> Spec {
        Spec {
            not_before: time(not_before),
            not_after: time(not_after),
            names: Vec::new(),
            subject: Vec::new(),
            eku: Some((false, vec![SERVER_AUTH.to_vec()])),
            ca: false,
            san_extension: SanExtension::One,
            extra: Vec::new(),
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 3, 0x4d, 0x15, 0x1e],
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
    pub fn ca(mut self) -> Spec {
        self.ca = true;
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
        let signature = tlv(0x30, &[tlv(2, &[0x11; 32]), tlv(2, &[0x22; 32])].concat());
        let bits = tlv(3, &[&[0][..], &signature].concat());
        let mut der = tlv(0x30, &[&self.tbs()[..], ECDSA_SHA256, &bits].concat());
        der.extend_from_slice(&self.trailing);
        der
    }

    /// The TBSCertificate.
    pub fn tbs(&self) -> Vec<u8> {
        let issuer = tlv(0x30, &[rdn(6, 19, b"ES"), rdn(10, 12, b"ctwarden test CA")].concat());
        let mut content = self.version.clone();
        content.extend_from_slice(&self.serial);
        content.extend_from_slice(ECDSA_SHA256);
        content.extend(issuer);
        content.extend(tlv(0x30, &[&self.not_before[..], &self.not_after].concat()));
        content.extend(tlv(0x30, &self.subject.concat()));
        content.extend(spki());
        content.extend(tlv(0xa3, &tlv(0x30, &self.extensions())));
        tlv(0x30, &content)
    }

    fn extensions(&self) -> Vec<u8> {
        const SAN: &[u8] = &[0x55, 0x1d, 17];
        // RFC 5280 4.2.1.6: critical when the subject is empty, otherwise not.
        let critical = self.subject.is_empty();
        let mut out = Vec::new();
        out.extend(extension(&[0x55, 0x1d, 19], true, &tlv(0x30, if self.ca { &[1, 1, 0xff] } else { &[] })));
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

/// SubjectPublicKeyInfo with the base point of P-256 (FIPS 186-4 D.1.2.3) as key.
fn spki() -> Vec<u8> {
    #[rustfmt::skip]
    const BASE_POINT: [u8; 65] = [
        0x04,
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
        0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
        0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
        0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ];
    const EC_P256: &[u8] =
        &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    tlv(0x30, &[EC_P256, &tlv(3, &[&[0][..], &BASE_POINT].concat())].concat())
}
