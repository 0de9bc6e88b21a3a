//! Certificates made with rcgen, taken apart and damaged.

use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DnType, Issuer, KeyPair, SanType, SerialNumber};

use super::der::encode;
use super::signature::{SignatureCheck, digest_of, signed_by, verify_digest};
use super::*;
use crate::clock::date;

const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];
const SCTS: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

struct Made {
    ca: Certificate,
    pre: Certificate,
    fin: Certificate,
}

fn made(algorithm: &'static rcgen::SignatureAlgorithm) -> Made {
    let ca_key = KeyPair::generate_for(algorithm).expect("a key");
    let mut ca_params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    ca_params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca_params.distinguished_name.push(DnType::OrganizationName, "Prüfer CA");
    let ca_der = ca_params.self_signed(&ca_key).expect("a CA").der().to_vec();
    let issuer = Issuer::from_params(&ca_params, &ca_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = |extension: Option<CustomExtension>| {
        let mut params = CertificateParams::new(vec!["www.example.com".to_string()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().expect("an address")));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "ES");
        params.distinguished_name.push(DnType::CommonName, "www.example.com");
        params.serial_number = Some(SerialNumber::from(vec![0x4a, 1, 2]));
        params.not_before = rcgen::date_time_ymd(2026, 3, 15);
        params.not_after = rcgen::date_time_ymd(2026, 6, 1);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.custom_extensions.extend(extension);
        let der = params.signed_by(&key, &issuer).expect("a certificate").der().to_vec();
        Certificate::parse(&der).expect("readable")
    };
    let mut poison = CustomExtension::from_oid_content(POISON, vec![5, 0]);
    poison.set_criticality(true);
    let scts = CustomExtension::from_oid_content(SCTS, encode(0x04, &[0, 3, 0, 1, 9]));
    Made { ca: Certificate::parse(&ca_der).expect("readable"), pre: leaf(Some(poison)), fin: leaf(Some(scts)) }
}

#[test]
fn all_fields_are_reached() {
    let Made { ca, pre, fin } = made(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(fin.defects(), &[] as &[String]);
    assert_eq!(fin.serial().to_string(), "4a0102");
    assert_eq!((fin.not_before(), fin.not_after()), (Some(date(2026, 3, 15)), Some(date(2026, 6, 1))));
    assert_eq!(fin.subject_text(), "C=ES, CN=www.example.com");
    assert!(fin.issuer_text().contains("O=Pr\\xc3\\xbcfer CA"), "{}", fin.issuer_text());
    assert_eq!(fin.issuer_der(), ca.subject_der());
    assert_eq!(fin.common_names()[0].text().as_deref(), Some("www.example.com"));
    let names: Vec<String> = fin.general_names().iter().map(GeneralName::text).collect();
    assert_eq!(names, ["dNSName www.example.com", "iPAddress 192.0.2.7"]);
    assert_eq!(fin.dns_names(), [DnsName::new("www.example.com")]);
    assert_eq!(fin.authority_key_id(), ca.subject_key_id());
    assert!(ca.subject_key_id().is_some() && ca.is_ca() && !fin.is_ca());
    assert_eq!(fin.extended_key_usages(), Some(vec![vec![0x2b, 6, 1, 5, 5, 7, 3, 1]]));
    assert_eq!(fin.sct_list(), Some(&[0u8, 3, 0, 1, 9][..]));
    assert!(pre.is_precertificate() && !fin.is_precertificate() && !fin.is_precert_signing_ca());
    let theirs = x509_parser::parse_x509_certificate(fin.der()).expect("well formed").1;
    assert_eq!(theirs.tbs_certificate.as_ref(), fin.tbs_der());
    assert_eq!(theirs.public_key().raw, fin.spki_der());
    assert_eq!(theirs.tbs_certificate.raw_serial(), fin.serial().0);
}

#[test]
fn precertificate_and_certificate_have_one_core() {
    let Made { pre, fin, ca } = made(&rcgen::PKCS_ED25519);
    assert!(corresponds(&pre, &fin) && !corresponds(&pre, &ca));
    assert_ne!(pre.tbs_der(), fin.tbs_der());
    let core = Certificate::parse_tbs(&fin.core_tbs()).expect("the core is a TBSCertificate");
    assert!(core.is_tbs_only() && core.signature().is_none());
    assert_eq!(core.core_sha256(), pre.core_sha256());
    assert_eq!(core.extensions().len() + 1, fin.extensions().len());
    assert_eq!(core.defects(), &[] as &[String]);
    assert_eq!(signed_by(&core, ca.spki_der()), SignatureCheck::Unsupported);
}

#[test]
fn a_core_without_extensions_has_no_extension_field() {
    let name = encode(0x30, &[]);
    let time = encode(0x17, b"260315000000Z");
    let mut content = vec![0xa0, 3, 2, 1, 2, 2, 1, 1];
    for part in [name.clone(), name.clone(), encode(0x30, &[&time[..], &time[..]].concat()), name.clone(), name] {
        content.extend(part);
    }
    let bare = encode(0x30, &content);
    let poison = encode(0x30, &[&encode(0x06, oid::POISON)[..], &[1, 1, 0xff], &[4, 2, 5, 0]].concat());
    content.extend(encode(0xa3, &encode(0x30, &poison)));
    let pre = Certificate::parse_tbs(&encode(0x30, &content)).expect("readable");
    assert!(pre.is_precertificate());
    assert_eq!(pre.core_tbs(), bare);
}

/// Whether it was signed with this key, by its bytes and by their digest.
fn checked(cert: &Certificate, spki: &[u8]) -> SignatureCheck {
    let (check, (algorithm, signature)) = (signed_by(cert, spki), cert.signature().expect("a signature"));
    if let Some(digest) = digest_of(algorithm) {
        let digest = aws_lc_rs::digest::digest(digest, cert.tbs_der());
        assert_eq!(verify_digest(spki, algorithm, &digest, signature), check);
    }
    check
}

#[test]
fn signatures_of_all_kinds() {
    let kinds: [&rcgen::SignatureAlgorithm; 4] = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ];
    for kind in kinds {
        let (ours, other) = (made(kind), made(kind));
        assert_eq!(checked(&ours.pre, ours.ca.spki_der()), SignatureCheck::Valid, "{kind:?}");
        assert_eq!(checked(&ours.fin, other.ca.spki_der()), SignatureCheck::Invalid, "{kind:?}");
    }
    let p256 = made(&rcgen::PKCS_ECDSA_P256_SHA256);
    let ed = made(&rcgen::PKCS_ED25519);
    assert_eq!(signed_by(&p256.fin, ed.ca.spki_der()), SignatureCheck::Unsupported);
    assert_eq!(signed_by(&p256.fin, &[]), SignatureCheck::Unsupported);
}

#[test]
fn rsa_signatures_of_all_hashes() {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
    use aws_lc_rs::signature::{self as sig, KeyPair as _, RsaEncoding};
    let key = RsaKey::generate(KeySize::Rsa2048).expect("a key");
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a public key");
    let template = made(&rcgen::PKCS_ED25519).fin;
    let null = [5, 0];
    let oid = |last: u8| encode(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last]);
    let pkcs1 = |last| encode(0x30, &[&oid(last)[..], &null].concat());
    let pss = |hash: u8| {
        let hash = encode(0x30, &encode(0x06, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, hash]));
        encode(0x30, &[oid(10), encode(0x30, &encode(0xa0, &hash))].concat())
    };
    let cases: [(&'static dyn RsaEncoding, Vec<u8>); 6] = [
        (&sig::RSA_PKCS1_SHA256, pkcs1(11)),
        (&sig::RSA_PKCS1_SHA384, pkcs1(12)),
        (&sig::RSA_PKCS1_SHA512, pkcs1(13)),
        (&sig::RSA_PSS_SHA256, pss(1)),
        (&sig::RSA_PSS_SHA384, pss(2)),
        (&sig::RSA_PSS_SHA512, pss(3)),
    ];
    for (number, (encoding, algorithm)) in cases.into_iter().enumerate() {
        let mut octets = vec![0; key.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        key.sign(encoding, &random, template.tbs_der(), &mut octets).expect("a signature");
        let bits = encode(0x03, &[&[0][..], &octets].concat());
        let der = encode(0x30, &[template.tbs_der(), &algorithm, &bits].concat());
        let cert = Certificate::parse(&der).expect("readable");
        assert_eq!(checked(&cert, spki.as_ref()), SignatureCheck::Valid, "case {number}");
        octets[100] ^= 1;
        let bits = encode(0x03, &[&[0][..], &octets].concat());
        let cert = Certificate::parse(&encode(0x30, &[template.tbs_der(), &algorithm, &bits].concat()));
        assert_eq!(checked(&cert.expect("readable"), spki.as_ref()), SignatureCheck::Invalid, "case {number}");
    }
}

#[test]
fn damage_is_noted_and_the_names_are_still_read() {
    let fin = made(&rcgen::PKCS_ED25519).fin;
    let mut trailing = fin.der().to_vec();
    trailing.extend_from_slice(&[0, 0]);
    let cert = Certificate::parse(&trailing).expect("readable");
    assert!(cert.defects()[0].contains("2 octets follow the certificate"));
    assert_eq!(cert.dns_names(), fin.dns_names());

    let mut serial = fin.der().to_vec();
    let at = fin.fields.serial.start - 2;
    serial[at] = 0x82;
    let cert = Certificate::parse(&serial).expect("readable");
    assert!(cert.defects().iter().any(|d| d.contains("serialNumber is not an INTEGER")), "{:?}", cert.defects());

    for cut in [1, 10, 100] {
        assert!(Certificate::parse(&fin.der()[..fin.der().len() - cut]).is_err());
    }
    assert_eq!(Certificate::parse(&[0x31, 0]).err(), Some(ParseError::NotSequence("Certificate")));
    assert!(Certificate::parse(&[]).is_err());
}

fn touch_everything(cert: &Certificate) {
    let _ = (cert.core_sha256(), cert.sha256(), cert.spki_sha256(), cert.serial(), cert.common_names());
    let _ = (cert.subject_text(), cert.issuer_text(), cert.general_name_defects(), cert.is_precert_signing_ca());
    let _ = (cert.authority_key_id(), cert.subject_key_id(), cert.is_ca(), cert.sct_list(), cert.identifiers());
    let texts: Vec<String> = cert.general_names().iter().map(GeneralName::text).collect();
    assert!(texts.iter().chain(cert.defects()).all(|t| t.is_ascii()), "{texts:?} {:?}", cert.defects());
    let _ = (signed_by(cert, cert.spki_der()), corresponds(cert, cert));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for cert in [Certificate::parse(&bytes), Certificate::parse_tbs(&bytes)].into_iter().flatten() {
            touch_everything(&cert);
        }
    }

    #[test]
    fn no_damage_makes_it_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        thread_local!(static ORIGINAL: Vec<u8> = made(&rcgen::PKCS_ED25519).fin.der().to_vec());
        let mut der = ORIGINAL.with(Vec::clone);
        for (index, byte) in edits {
            let at = index.index(der.len());
            der[at] = byte;
        }
        if let Ok(cert) = Certificate::parse(&der) {
            touch_everything(&cert);
        }
    }
}
