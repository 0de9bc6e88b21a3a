//! The demo CA: a root, an issuing CA, and certificates that satisfy the Baseline Requirements in everything but
//! the names it is told to certify.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use sha2::{Digest, Sha256};

use super::DemoError;
use crate::cert::der::encode;
use crate::clock::{HOUR, Span, Timestamp};
use crate::ct::sct::{SignedCertificateTimestamp, encode_sct_list};
use crate::finding::{KeyHash, Serial};

/// Validity of every certificate: within the 47 days of BR 6.3.2 from 2029-03-15, and so within all limits before.
const VALIDITY: Span = Span::from_days(45);

/// The poison of RFC 6962 3.1, 1.3.6.1.4.1.11129.2.4.3.
const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];
/// The SCT list of RFC 6962 3.3, 1.3.6.1.4.1.11129.2.4.2.
const SCT_LIST: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
/// SEQUENCE { SEQUENCE { OID 2.23.140.1.2.1 } }: domain-validated (BR 7.1.6.1), no qualifiers.
const POLICY_DV: &[u8] = &[0x30, 0x0a, 0x30, 0x08, 0x06, 0x06, 0x67, 0x81, 0x0c, 0x01, 0x02, 0x01];

/// A certification authority of two levels with P-256 keys.
pub struct Ca {
    root: CertifiedIssuer<'static, KeyPair>,
    issuing: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate about to be issued: precertificate and certificate come from one set of parameters, so that their
/// TBSCertificates are equal but for the poison and the SCT list (BR 7.1.2.9).
pub struct Draft<'ca> {
    ca: &'ca Ca,
    params: CertificateParams,
    key: KeyPair,
    /// The serial number.
    pub serial: Serial,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity, inclusive.
    pub not_after: Timestamp,
}

impl Ca {
    /// Makes keys and CA certificates, valid from an hour before `now` for five years.
    pub fn generate(now: Timestamp) -> Result<Ca, DemoError> {
        let fail = |name: &'static str| move |source| DemoError::Certificate { name: name.into(), source };
        let root_name = "ctwarden Demo Root";
        let root_key = KeyPair::generate().map_err(fail(root_name))?;
        let root = CertifiedIssuer::self_signed(authority(root_name, BasicConstraints::Unconstrained, now), root_key)
            .map_err(fail(root_name))?;
        let issuing_name = "ctwarden Demo Issuing CA 1";
        let issuing_key = KeyPair::generate().map_err(fail(issuing_name))?;
        let mut params = authority(issuing_name, BasicConstraints::Constrained(0), now);
        params.use_authority_key_identifier_extension = true;
        let issuing = CertifiedIssuer::signed_by(params, issuing_key, &root).map_err(fail(issuing_name))?;
        Ok(Ca { root, issuing })
    }

    /// The root certificate, DER.
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }
    /// The issuing CA's certificate, DER.
    pub fn issuing_der(&self) -> &[u8] {
        self.issuing.der()
    }
    /// The issuing CA's certificate, PEM.
    pub fn issuing_pem(&self) -> String {
        self.issuing.pem()
    }
    /// SHA-256 of the issuing CA's SubjectPublicKeyInfo.
    pub fn issuer_key_hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.issuing.key().subject_public_key_info()).into())
    }
    /// What is submitted with a certificate: itself, the issuing CA, the root (RFC 6962 4.1).
    pub fn chain(&self, certificate: &[u8]) -> Vec<Vec<u8>> {
        vec![certificate.to_vec(), self.issuing_der().to_vec(), self.root_der().to_vec()]
    }

    /// Prepares a certificate for `names` (the first is the CN too), valid for 45 days from an hour before `now`.
    pub fn draft(&self, names: &[&str], now: Timestamp) -> Result<Draft<'_>, DemoError> {
        let first = names.first().copied().unwrap_or_default();
        let fail = |source| DemoError::Certificate { name: crate::finding::escape(first.as_bytes(), 100), source };
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).map_err(fail)?;
        let not_before = Timestamp::from_seconds(now.minus(HOUR).seconds());
        // "inclusive, day = 86,400 s, any fraction = one more day" (BR 6.3.2).
        let not_after = not_before.plus(VALIDITY).minus(Span::from_seconds(1));
        set_validity(&mut params, not_before, not_after);
        // "containing at least 64 bits of output from a CSPRNG" (BR 7.1.2.7): here 126, positive, never shorter.
        let mut serial: [u8; 16] = rand::random();
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        // BR 7.1.2.7.2: a commonName is NOT RECOMMENDED, and nothing else is known of the subject.
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let crl = CrlDistributionPoint { uris: vec!["http://crl.ctwarden-demo.eus/issuing1.crl".into()] };
        params.crl_distribution_points = vec![crl];
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&[2, 5, 29, 32], POLICY_DV.to_vec()),
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], ca_issuers(ISSUER_URL)),
        ];
        let key = KeyPair::generate().map_err(fail)?;
        Ok(Draft { ca: self, params, key, serial: Serial(serial.to_vec()), not_before, not_after })
    }
}

impl Draft<'_> {
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.key.subject_public_key_info()).into())
    }
    /// The precertificate, DER: with the poison, critical, whose value is NULL (RFC 6962 3.1).
    pub fn precertificate(&self) -> Result<Vec<u8>, DemoError> {
        let mut poison = CustomExtension::from_oid_content(POISON, vec![0x05, 0x00]);
        poison.set_criticality(true);
        self.sign(poison)
    }
    /// The certificate, DER, with these SCTs embedded.
    pub fn certificate(&self, scts: &[SignedCertificateTimestamp]) -> Result<Vec<u8>, DemoError> {
        // "SignedCertificateTimestampList", in an OCTET STRING (RFC 6962 3.3).
        self.sign(CustomExtension::from_oid_content(SCT_LIST, encode(0x04, &encode_sct_list(scts))))
    }

    fn sign(&self, extension: CustomExtension) -> Result<Vec<u8>, DemoError> {
        let mut params = self.params.clone();
        params.custom_extensions.push(extension);
        let certificate = params
            .signed_by(&self.key, &self.ca.issuing)
            .map_err(|source| DemoError::Certificate { name: self.serial.to_string(), source })?;
        Ok(certificate.der().to_vec())
    }
}

const ISSUER_URL: &str = "http://ca.ctwarden-demo.eus/issuing1.cer";

/// The parameters of a CA certificate.
fn authority(name: &str, constraints: BasicConstraints, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "ES");
    params.distinguished_name.push(DnType::OrganizationName, "ctwarden demo");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now.minus(HOUR), now.plus(Span::from_days(5 * 365)));
    params
}

/// Sets the validity to whole seconds; 1970 for anything earlier.
fn set_validity(params: &mut CertificateParams, not_before: Timestamp, not_after: Timestamp) {
    let moment = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + at.since(Timestamp::EPOCH).duration();
    (params.not_before, params.not_after) = (moment(not_before), moment(not_after));
}

/// AuthorityInfoAccess with one caIssuers URL (RFC 5280 4.2.2.1).
fn ca_issuers(url: &str) -> Vec<u8> {
    const ID_AD_CA_ISSUERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let location = encode(0x86, url.as_bytes());
    encode(0x30, &encode(0x30, &[ID_AD_CA_ISSUERS, &location].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    #[test]
    fn a_certificate_has_what_the_baseline_requirements_ask_for() {
        let now = date(2026, 11, 22);
        let ca = Ca::generate(now).expect("keys");
        let draft = ca.draft(&["www.demo-shop.eus", "demo-shop.com"], now).expect("draft");
        let der = draft.certificate(&[]).expect("signed");
        let (rest, cert) = X509Certificate::from_der(&der).expect("parses");
        assert!(rest.is_empty());
        assert_eq!(cert.raw_serial(), draft.serial.0);
        assert_eq!(cert.validity().not_after.timestamp() - cert.validity().not_before.timestamp() + 1, 45 * 86_400);
        assert_eq!(cert.subject().to_string(), "");
        let san = cert.subject_alternative_name().expect("one SAN").expect("a SAN");
        assert!(san.critical, "as it is where the subject is empty");
        let names = [GeneralName::DNSName("www.demo-shop.eus"), GeneralName::DNSName("demo-shop.com")];
        assert_eq!(san.value.general_names, names);
        let eku = cert.extended_key_usage().expect("one EKU").expect("an EKU");
        assert!(eku.value.server_auth && !eku.value.any && !eku.value.client_auth);
        let oids: Vec<String> = cert.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        let all = [
            "2.5.29.35",
            "2.5.29.17",
            "2.5.29.15",
            "2.5.29.37",
            "2.5.29.31",
            "2.5.29.32",
            "1.3.6.1.5.5.7.1.1",
            "1.3.6.1.4.1.11129.2.4.2",
        ];
        assert_eq!(oids, all);
        // AKI = the issuing CA's SKI; issuer = its subject, byte for byte.
        let (_, issuing) = X509Certificate::from_der(ca.issuing_der()).expect("parses");
        assert_eq!(cert.issuer().as_raw(), issuing.subject().as_raw());
        assert!(issuing.is_ca());
        assert_eq!(ca.issuer_key_hash(), KeyHash(Sha256::digest(issuing.public_key().raw).into()));
        assert_eq!(draft.spki_sha256(), KeyHash(Sha256::digest(cert.public_key().raw).into()));
    }

    #[test]
    fn every_serial_is_new_and_of_full_length() {
        let now = date(2026, 11, 22);
        let ca = Ca::generate(now).expect("keys");
        let serials: std::collections::BTreeSet<String> =
            (0..50).map(|_| ca.draft(&["a.demo-shop.eus"], now).expect("draft").serial.to_string()).collect();
        assert_eq!(serials.len(), 50);
        assert!(serials.iter().all(|serial| serial.len() == 32));
    }
}
