//! Certificates and precertificates as bytes with places marked in them.
//!
//! [`Certificate`] is read by our own lax walker ([`der`]), because the certificates that a monitor must not miss
//! are the ones that stricter parsers refuse; whatever was wrong stands in [`Certificate::defects`] and becomes a
//! finding. Nothing here judges and nothing is normalised: names stay the octets they are.

pub mod crl;
pub mod der;
pub mod extensions;
mod fields;
pub mod key;
pub mod name;
pub mod pem;
pub mod signature;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::finding::{KeyHash, Serial};
use der::{Reader, encode, single, tag};
use fields::Fields;
pub use fields::{MAX_CERTIFICATE_BYTES, ParseError};
pub use key::PublicKey;
pub use name::{Attribute, CommonName, DnsName, GeneralName, Identifier};

/// Content octets of the object identifiers that the monitor looks for.
pub mod oid {
    /// id-ce-subjectKeyIdentifier, 2.5.29.14.
    pub const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];
    /// id-ce-keyUsage, 2.5.29.15.
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    /// id-ce-subjectAltName, 2.5.29.17.
    pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
    /// id-ce-basicConstraints, 2.5.29.19.
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    /// id-ce-nameConstraints, 2.5.29.30.
    pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
    /// id-ce-cRLDistributionPoints, 2.5.29.31.
    pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
    /// id-ce-certificatePolicies, 2.5.29.32.
    pub const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
    /// id-ce-authorityKeyIdentifier, 2.5.29.35.
    pub const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];
    /// id-ce-extKeyUsage, 2.5.29.37.
    pub const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    /// id-pe-authorityInfoAccess, 1.3.6.1.5.5.7.1.1.
    pub const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
    /// The SCT list of RFC 6962 3.3, 1.3.6.1.4.1.11129.2.4.2.
    pub const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
    /// The poison of RFC 6962 3.1, 1.3.6.1.4.1.11129.2.4.3.
    pub const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];
    /// The extended key usage of a Precertificate Signing Certificate, 1.3.6.1.4.1.11129.2.4.4 (RFC 6962 3.1).
    pub const PRECERT_SIGNING: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 4];
}

/// Most GeneralNames that are read from one certificate; more is a defect. The largest real ones have 2,000.
pub const MAX_NAMES: usize = 10_000;

/// An extension as it stands in the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Content octets of extnID.
    pub oid: Vec<u8>,
    /// Whether it is critical; any BOOLEAN but 00 is TRUE.
    pub critical: bool,
    /// Content octets of extnValue.
    pub value: Vec<u8>,
}

/// A certificate, a precertificate, or the TBSCertificate that a log keeps of a precertificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Arc<[u8]>,
    fields: Fields,
}

impl Certificate {
    /// Reads a certificate or precertificate. Fails only when the fields cannot be reached at all.
    pub fn parse(der: &[u8]) -> Result<Certificate, ParseError> {
        Ok(Certificate { fields: Fields::of_certificate(der)?, der: der.into() })
    }
    /// Reads a TBSCertificate alone, as in a precert_entry (RFC 6962 3.2).
    pub fn parse_tbs(tbs: &[u8]) -> Result<Certificate, ParseError> {
        Ok(Certificate { fields: Fields::of_tbs(tbs)?, der: tbs.into() })
    }

    fn at(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
    /// All bytes as given to `parse` or `parse_tbs`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// Whether there is only a TBSCertificate, without a signature.
    pub fn is_tbs_only(&self) -> bool {
        self.fields.signature.is_none()
    }
    /// SHA-256 of [`Certificate::der`]: the fingerprint.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
    /// The TBSCertificate, full TLV.
    pub fn tbs_der(&self) -> &[u8] {
        self.at(&self.fields.tbs)
    }
    /// The content octets of serialNumber.
    pub fn serial(&self) -> Serial {
        Serial(self.serial_octets().to_vec())
    }
    /// The same, borrowed.
    pub fn serial_octets(&self) -> &[u8] {
        self.at(&self.fields.serial)
    }
    /// The issuer Name, full TLV.
    pub fn issuer_der(&self) -> &[u8] {
        self.at(&self.fields.issuer)
    }
    /// The subject Name, full TLV.
    pub fn subject_der(&self) -> &[u8] {
        self.at(&self.fields.subject)
    }
    /// The SubjectPublicKeyInfo, full TLV.
    pub fn spki_der(&self) -> &[u8] {
        self.at(&self.fields.spki)
    }
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.spki_der()).into())
    }
    /// The AlgorithmIdentifier of the TBSCertificate's own field `signature`, full TLV.
    pub fn inner_algorithm(&self) -> &[u8] {
        self.at(&self.fields.algorithm)
    }
    /// Whether its version field is that of v3.
    pub fn is_v3(&self) -> bool {
        self.fields.is_v3
    }
    /// Tag numbers of the unique identifiers: 1 of the issuer, 2 of the subject.
    pub fn unique_ids(&self) -> &[u32] {
        &self.fields.unique_ids
    }
    /// Start of validity; `None` when unreadable.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.fields.not_before
    }
    /// End of validity, inclusive; `None` when unreadable.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.fields.not_after
    }
    /// All extensions in order, as far as they could be read.
    pub fn extensions(&self) -> &[Extension] {
        &self.fields.extensions
    }
    /// All extensions with this OID (content octets); more than one is a defect that rules report.
    pub fn extension<'a>(&'a self, oid: &'a [u8]) -> impl Iterator<Item = &'a Extension> {
        self.fields.extensions.iter().filter(move |e| e.oid == oid)
    }
    /// The AlgorithmIdentifier (full TLV) and the octets of the signature; `None` for a TBSCertificate alone.
    pub fn signature(&self) -> Option<(&[u8], &[u8])> {
        let (algorithm, bits) = self.fields.signature.as_ref()?;
        Some((self.at(algorithm), self.at(bits)))
    }
    /// What breaks the encoding rules, each in one escaped sentence; the subjectAltName is described by
    /// [`Certificate::general_name_defects`].
    pub fn defects(&self) -> &[String] {
        &self.fields.defects
    }
    /// What breaks the rules for the form of notBefore and notAfter (RFC 5280 4.1.2.5), each in one sentence.
    pub fn time_defects(&self) -> &[String] {
        &self.fields.time_defects
    }
    /// Whether it carries the poison extension of RFC 6962 3.1, critical or not, whatever its value.
    pub fn is_precertificate(&self) -> bool {
        self.extension(oid::POISON).next().is_some()
    }
    /// Whether it may sign precertificates on behalf of its issuer (RFC 6962 3.1).
    pub fn is_precert_signing_ca(&self) -> bool {
        self.extended_key_usages().is_some_and(|usages| usages.iter().any(|u| u == oid::PRECERT_SIGNING))
    }

    /// The GeneralNames of all subjectAltName extensions, as encoded, in order.
    pub fn general_names(&self) -> Vec<GeneralName> {
        self.read_names().0
    }
    /// What is wrong with the encoding of the subjectAltName extensions, each in one sentence.
    pub fn general_name_defects(&self) -> Vec<String> {
        self.read_names().1
    }
    /// Both of these at once.
    pub fn read_names(&self) -> (Vec<GeneralName>, Vec<String>) {
        let (mut names, mut defects) = (Vec::new(), Vec::new());
        let mut extensions = 0;
        for extension in self.extension(oid::SUBJECT_ALT_NAME) {
            extensions += 1;
            let Some((sequence, rest)) = single(&extension.value) else {
                defects.push("its value is not an element".to_string());
                continue;
            };
            if !sequence.is_sequence() {
                defects.push("its value is not a SEQUENCE".to_string());
            }
            if sequence.long_header {
                defects.push("its length is not encoded in the fewest octets".to_string());
            }
            if !rest.is_empty() {
                defects.push(format!("{} octets follow its SEQUENCE", rest.len()));
            }
            let mut reader = sequence.reader();
            while !reader.is_empty() {
                if names.len() >= MAX_NAMES {
                    defects.push(format!("more than {MAX_NAMES} names"));
                    break;
                }
                match reader.next() {
                    Ok(e) => {
                        if e.long_header {
                            defects.push("a name whose length is not encoded in the fewest octets".to_string());
                        }
                        let (class, constructed, tag, value) = (e.class, e.constructed, e.tag, e.content.to_vec());
                        names.push(GeneralName { class, constructed, tag, value });
                    }
                    Err(error) => {
                        defects.push(format!("after {} names: {error}", names.len()));
                        break;
                    }
                }
            }
        }
        // RFC 5280 4.2: "A certificate MUST NOT include more than one instance of a particular extension."
        if extensions > 1 {
            defects.push(format!("{extensions} subjectAltName extensions"));
        }
        defects.truncate(der::MAX_DEFECTS);
        (names, defects)
    }
    /// The well-formed dNSNames and iPAddresses of all subjectAltName extensions, in order.
    pub fn identifiers(&self) -> Vec<Identifier> {
        self.general_names().iter().filter_map(GeneralName::identifier).collect()
    }
    /// The well-formed dNSNames alone.
    pub fn dns_names(&self) -> Vec<DnsName> {
        let dns = self.identifiers().into_iter();
        dns.filter_map(|i| if let Identifier::Dns(name) = i { Some(name) } else { None }).collect()
    }
    /// All commonNames of the subject, in order.
    pub fn common_names(&self) -> Vec<CommonName> {
        name::common_names(self.subject_der())
    }
    /// The attributes of the subject, in order.
    pub fn subject_attributes(&self) -> Vec<Attribute<'_>> {
        name::attributes(self.subject_der())
    }
    /// The subject's public key, as far as it can be read.
    pub fn public_key(&self) -> PublicKey<'_> {
        PublicKey::of_spki(self.spki_der())
    }
    /// The subject as people write it, escaped.
    pub fn subject_text(&self) -> String {
        name::name_text(self.subject_der())
    }
    /// The issuer as people write it, escaped.
    pub fn issuer_text(&self) -> String {
        name::name_text(self.issuer_der())
    }

    /// keyIdentifier of the first authorityKeyIdentifier (RFC 5280 4.2.1.1).
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        let (sequence, _) = single(&self.extension(oid::AUTHORITY_KEY_ID).next()?.value)?;
        let first = sequence.reader().next().ok()?;
        first.is_context(0).then_some(first.content)
    }
    /// The first subjectKeyIdentifier (RFC 5280 4.2.1.2).
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        let (octets, _) = single(&self.extension(oid::SUBJECT_KEY_ID).next()?.value)?;
        octets.is(tag::OCTET_STRING, false).then_some(octets.content)
    }
    /// Whether any basicConstraints says cA TRUE (RFC 5280 4.2.1.9); any BOOLEAN but 00 is TRUE.
    pub fn is_ca(&self) -> bool {
        self.extension(oid::BASIC_CONSTRAINTS).any(|extension| {
            let first = single(&extension.value).and_then(|(sequence, _)| sequence.reader().next().ok());
            first.is_some_and(|e| e.is(tag::BOOLEAN, false) && e.content.iter().any(|b| *b != 0))
        })
    }
    /// The KeyPurposeIds (content octets) of all extKeyUsage extensions; `None` without such an extension.
    pub fn extended_key_usages(&self) -> Option<Vec<Vec<u8>>> {
        self.extension(oid::EXT_KEY_USAGE).next()?;
        let mut usages = Vec::new();
        for extension in self.extension(oid::EXT_KEY_USAGE) {
            let mut reader = single(&extension.value).map_or(Reader::new(&[]), |(sequence, _)| sequence.reader());
            while let Ok(usage) = reader.next() {
                usages.push(usage.content.to_vec());
            }
        }
        Some(usages)
    }
    /// The SignedCertificateTimestampList (RFC 6962 3.3): the content of the OCTET STRING inside extnValue.
    pub fn sct_list(&self) -> Option<&[u8]> {
        let (octets, _) = single(&self.extension(oid::SCT_LIST).next()?.value)?;
        octets.is(tag::OCTET_STRING, false).then_some(octets.content)
    }

    /// The TBSCertificate without the poison and without the SCT list: what a precertificate and its certificate
    /// have in common, byte for byte.
    ///
    /// RFC 6962 3.2: "the DER-encoded TBSCertificate component of the Precertificate -- that is, without the
    /// signature and the poison extension"; 3.1 on the certificate: the same with the SCT list removed.
    pub fn core_tbs(&self) -> Vec<u8> {
        let list = &self.fields.extension_list;
        let mut extensions = Vec::new();
        for (raw, extension) in list.raw.iter().zip(self.extensions()) {
            if extension.oid != oid::POISON && extension.oid != oid::SCT_LIST {
                extensions.extend_from_slice(self.at(raw));
            }
        }
        extensions.extend_from_slice(self.at(&list.unread));
        let mut content = self.at(&list.before).to_vec();
        if !extensions.is_empty() {
            content.extend(encode(0xa3, &encode(0x30, &extensions)));
        }
        content.extend_from_slice(self.at(&list.after));
        encode(0x30, &content)
    }
    /// SHA-256 of [`Certificate::core_tbs`]: the same for a precertificate and its certificate.
    pub fn core_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.core_tbs()).into()
    }
}

/// Whether a precertificate and a final certificate are of one issuance.
///
/// BR 7.1.2.9: the tbsCertificate of a Precertificate and that of its Certificate are the same byte for byte, in the
/// same order, except for the poison and the SCT list.
pub fn corresponds(pre: &Certificate, fin: &Certificate) -> bool {
    pre.core_tbs() == fin.core_tbs()
}
