//! A CA of one level whose certificates can be told what to be, right or wrong.

use std::sync::OnceLock;

use ctwarden::cert::Certificate;
use ctwarden::cert::der::encode;
use ctwarden::clock::{Clock, Span, Timestamp, date};
use ctwarden::ct::key::LogId;
use ctwarden::ct::sct::{SignedCertificateTimestamp, encode_sct_list};
use ctwarden::demo::log::{RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use ctwarden::watch::{Candidate, ChainHead, OwnedEntry};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevocationReason, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use sha2::{Digest, Sha256};

const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];
const SCT_LIST: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
const PRECERT_SIGNING: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 4];

/// A CA certificate with its key.
pub struct TestCa {
    own: CertifiedIssuer<'static, KeyPair>,
    pkcs8: String,
}

/// What a certificate is to be.
#[derive(Clone)]
pub struct Leaf {
    /// Serial number.
    pub serial: u64,
    /// The dNSNames; the first is the commonName.
    pub names: Vec<String>,
    /// Whether it has an authorityKeyIdentifier.
    pub aki: bool,
    /// Whether it is a CA certificate without names.
    pub ca: bool,
    /// The URL of its CRL.
    pub crl: Option<String>,
}

/// The validity of every certificate and of every row about one: some weeks around today, the same ones for as long as
/// the tests run, and few enough for every day to come (BR 6.3.2).
pub fn validity() -> (Timestamp, Timestamp) {
    static TODAY: OnceLock<Timestamp> = OnceLock::new();
    let today = *TODAY.get_or_init(|| Timestamp::parse(&Clock::System.now().day()).expect("a day"));
    (today.minus(Span::from_days(15)), today.plus(Span::from_days(30)))
}

/// A certificate for one name.
pub fn leaf(serial: u64, name: &str) -> Leaf {
    Leaf { serial, names: vec![name.to_string()], aki: true, ca: false, crl: None }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, name);
    dn
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    params
}

impl TestCa {
    /// A CA with this commonName and a new key.
    pub fn new(name: &str) -> TestCa {
        TestCa::with_key(name, KeyPair::generate().expect("a key"))
    }

    /// A CA with another name and the same key.
    pub fn renamed(&self, name: &str) -> TestCa {
        TestCa::with_key(name, KeyPair::from_pem(&self.pkcs8).expect("its key"))
    }

    fn with_key(name: &str, key: KeyPair) -> TestCa {
        let pkcs8 = key.serialize_pem();
        TestCa { own: CertifiedIssuer::self_signed(authority(name), key).expect("a CA"), pkcs8 }
    }

    /// A Precertificate Signing Certificate under this CA.
    pub fn precert_signer(&self) -> TestCa {
        let key = KeyPair::generate().expect("a key");
        let mut params = authority("Precertificate signer");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(PRECERT_SIGNING.to_vec())];
        let pkcs8 = key.serialize_pem();
        TestCa { own: CertifiedIssuer::signed_by(params, key, &self.own).expect("a CA"), pkcs8 }
    }

    /// Its certificate, DER.
    pub fn der(&self) -> Vec<u8> {
        self.own.der().to_vec()
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.own.pem()
    }

    /// SHA-256 of its key.
    pub fn key_hash(&self) -> KeyHash {
        Certificate::parse(&self.der()).expect("its certificate").spki_sha256()
    }

    /// A final certificate with one SCT, of the log with this name; nobody verifies it.
    pub fn certificate(&self, leaf: &Leaf, log: &[u8]) -> Vec<u8> {
        let sct = SignedCertificateTimestamp {
            version: 0,
            log_id: LogId(Sha256::digest(log).into()),
            timestamp: date(2026, 11, 20),
            extensions: vec![],
            signature: vec![4, 3, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1],
        };
        self.sign(leaf, CustomExtension::from_oid_content(SCT_LIST, encode(0x04, &encode_sct_list(&[sct]))))
    }

    /// A precertificate.
    pub fn precertificate(&self, leaf: &Leaf) -> Vec<u8> {
        let mut poison = CustomExtension::from_oid_content(POISON, vec![0x05, 0x00]);
        poison.set_criticality(true);
        self.sign(leaf, poison)
    }

    /// A CRL that names itself by this URL, of this number and time, with these serial numbers and reasons.
    pub fn crl(&self, url: &str, number: u64, at: Timestamp, revoked: &[(u64, RevocationReason)]) -> Vec<u8> {
        let time = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + at.since(Timestamp::EPOCH).duration();
        let entry = |(serial, reason): &(u64, RevocationReason)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial.to_be_bytes()),
            revocation_time: time(at),
            reason_code: Some(*reason),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time(at),
            next_update: time(at.plus(Span::from_days(3))),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![url.to_string()] },
                scope: None,
            }),
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.own).expect("a CRL").der().to_vec()
    }

    fn sign(&self, leaf: &Leaf, extension: CustomExtension) -> Vec<u8> {
        // The key follows from serial and name, so that precertificate and certificate have the same one.
        let key = Key(Sha256::digest(format!("{} {:?}", leaf.serial, leaf.names)).into());
        let mut params = if leaf.ca { authority(&leaf.names[0]) } else { CertificateParams::default() };
        if !leaf.ca {
            params = CertificateParams::new(leaf.names.clone()).expect("names");
            params.distinguished_name = common_name(&leaf.names[0]);
            let time = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + at.since(Timestamp::EPOCH).duration();
            (params.not_before, params.not_after) = (time(validity().0), time(validity().1));
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.crl_distribution_points =
                leaf.crl.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] }).collect();
        }
        params.serial_number = Some(SerialNumber::from_slice(&leaf.serial.to_be_bytes()));
        params.use_authority_key_identifier_extension = leaf.aki;
        params.custom_extensions.push(extension);
        params.signed_by(&key, &self.own).expect("a certificate").der().to_vec()
    }

    /// The log entry of a precertificate, with the chain.
    pub fn precert_entry(&self, leaf: &Leaf, at: Timestamp) -> RawEntry {
        let pre_certificate = self.precertificate(leaf);
        let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
        let kind = RawKind::Precert { issuer_key_hash: self.key_hash(), tbs, pre_certificate };
        RawEntry { timestamp: at, kind, chain: vec![self.der()] }
    }

    /// The log entry of a final certificate, with the chain.
    pub fn entry(&self, leaf: &Leaf, at: Timestamp) -> RawEntry {
        let certificate = self.certificate(leaf, b"a log");
        RawEntry { timestamp: at, kind: RawKind::X509 { certificate }, chain: vec![self.der()] }
    }
}

/// A public key of Ed25519: any 32 octets.
struct Key([u8; 32]);

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

/// The candidate that a decoded entry becomes.
pub fn candidate(entry: &RawEntry) -> Candidate {
    let (owned, precertificate) = match entry.kind.clone() {
        RawKind::X509 { certificate } => (OwnedEntry::X509(certificate), None),
        RawKind::Precert { issuer_key_hash, tbs, pre_certificate } => {
            (OwnedEntry::Precert { issuer_key_hash, tbs }, Some(pre_certificate))
        }
    };
    let issuer = entry.chain.first().map_or(ChainHead::Absent, |der| ChainHead::Certificate(der.clone()));
    let (logged_at, extensions) = (entry.timestamp, Vec::new());
    Candidate { index: 7, logged_at, entry: owned, extensions, precertificate, issuer, garbled: None }
}
