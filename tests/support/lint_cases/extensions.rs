//! Fixtures of the rules about extensions.

use super::subjects::ev;
use super::{Case, case, eve};
use crate::certgen::{
    AIA, AKI, BASIC_CONSTRAINTS, CRL_DP, DV, KEY_USAGE, OV, POLICIES, SCT_LIST, Spec, number, rsa, sct_list, tlv,
};
use crate::certgen::{access as aia, crl_points, policies as stated};

/// First day of the profile of BR 7.1.2.7.
const PROFILE: &str = "2023-09-15";

fn summer() -> Spec {
    Spec::summer("www.example.com")
}

fn on(day: &str) -> Spec {
    Spec::new(day, "2024-10-01").dns("www.example.com")
}

fn before_profile() -> Spec {
    on(&eve(PROFILE))
}

pub fn access() -> Vec<Case> {
    const R: &str = "ext.aia";
    const AUTUMN: &str = "2026-10-04";
    let autumn = |day: &str| Spec::new(day, "2026-12-01").dns("www.example.com");
    let with = |descriptions: &[(u8, &str)]| summer().with(AIA, false, &aia(descriptions));
    let bad: &[&str] = &["ext.aia error authorityInfoAccess"];
    let no_issuer = "ext.aia warning id-ad-caIssuers";
    let both = [(1, "http://ocsp.example.com"), (2, "http://ca.example.com/ca.cer")];
    let mail = tlv(0x30, &tlv(0x30, &[tlv(6, &[0x2b, 6, 1, 5, 5, 7, 48, 2]), tlv(0x81, b"ca@a.com")].concat()));
    vec![
        case(R, "pass-both", with(&both), &[]),
        case(R, "pass-scheme-in-capitals", with(&[(2, "HTTP://ca.example.com/ca.cer")]), &[]),
        case(R, "pass-two-different", with(&[(2, "http://a.com/1"), (2, "http://a.com/2")]), &[]),
        case(R, "fail-twice-the-same", with(&[both[1], both[1]]), bad),
        case(R, "fail-https", with(&[both[0], (2, "https://ca.example.com/ca.cer")]), bad),
        case(R, "fail-ldap", with(&[both[1], (2, "ldap://ca.example.com/ca")]), bad),
        case(R, "fail-another-method", with(&[both[1], (3, "http://a.com")]), bad),
        case(R, "fail-mail-address", summer().with(AIA, false, &mail), bad),
        case(R, "fail-critical", summer().with(AIA, true, &aia(&both)), bad),
        case(R, "fail-empty", with(&[]), &["ext.aia error authorityInfoAccess", no_issuer]),
        case(
            R,
            "fail-not-der",
            summer().with(AIA, false, &[4, 0]),
            &["cert.unparsable error certificate", "ext.aia error authorityInfoAccess", no_issuer],
        ),
        case(R, "fail-no-issuer", with(&both[..1]), &[no_issuer]),
        case(R, "fail-absent", summer().without(AIA), bad),
        case(R, "pass-absent-2023-09-14", before_profile().without(AIA), &[]),
        case(R, "fail-absent-2023-09-15", on(PROFILE).without(AIA), bad),
        case(R, "fail-absent-2026-10-03", autumn(&eve(AUTUMN)).without(AIA), bad),
        case(R, "fail-absent-2026-10-04", autumn(AUTUMN).without(AIA), &["ext.aia warning authorityInfoAccess"]),
    ]
}

pub fn policies() -> Vec<Case> {
    const R: &str = "ext.cp";
    const OWN: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0x4d, 1];
    const ANY: &[u8] = &[0x55, 0x1d, 32, 0];
    let with = |oids: &[&[u8]]| summer().with(POLICIES, false, &stated(oids));
    let qualified = |id: u8, string: u8, text: &str| {
        let qualifier = tlv(0x30, &[tlv(6, &[0x2b, 6, 1, 5, 5, 7, 2, id]), tlv(string, text.as_bytes())].concat());
        summer().with(POLICIES, false, &tlv(0x30, &tlv(0x30, &[tlv(6, DV), tlv(0x30, &qualifier)].concat())))
    };
    let bad: &[&str] = &["ext.cp error certificatePolicies"];
    let old = |day: &str| Spec::new(day, "2021-09-01").dns("www.example.com").with(POLICIES, false, &stated(&[OWN]));
    vec![
        case(R, "pass-own-after-reserved", with(&[DV, OWN]), &[]),
        case(R, "fail-own-before-reserved", with(&[OWN, DV]), &["ext.cp warning first policy"]),
        case(R, "fail-any-policy", with(&[DV, ANY]), bad),
        case(R, "fail-none-reserved", with(&[OWN]), bad),
        case(R, "fail-two-reserved", with(&[DV, OV]), bad),
        case(R, "fail-twice", with(&[DV, OWN, OWN]), bad),
        case(R, "fail-absent", summer().without(POLICIES), bad),
        case(R, "fail-empty", with(&[]), bad),
        case(R, "fail-critical", summer().with(POLICIES, true, &stated(&[DV])), bad),
        case(R, "pass-cps-https", qualified(1, 22, "https://example.com/cps"), &[]),
        case(R, "fail-cps-ftp", qualified(1, 22, "ftp://example.com/cps"), bad),
        case(R, "fail-cps-utf8", qualified(1, 12, "https://example.com/cps"), bad),
        case(R, "fail-user-notice", qualified(2, 12, "be warned"), bad),
        case(R, "pass-none-reserved-2020-09-29", old(&eve("2020-09-30")), &[]),
        case(R, "fail-none-reserved-2020-09-30", old("2020-09-30"), bad),
        case(R, "pass-any-policy-2023-09-14", before_profile().with(POLICIES, false, &stated(&[DV, ANY])), &[]),
        case(R, "fail-any-policy-2023-09-15", on(PROFILE).with(POLICIES, false, &stated(&[DV, ANY])), bad),
    ]
}

pub fn usages() -> Vec<Case> {
    const R: &str = "ext.ku";
    const B: &str = "ext.bc";
    let ecc = |bits: &[u8]| summer().with(KEY_USAGE, true, bits);
    let rsa_key = rsa(&number(2048));
    let rsa = |bits: &[u8]| ecc(bits).spki(rsa_key.clone());
    let bad: &[&str] = &["ext.ku error keyUsage"];
    let unwise: &[&str] = &["ext.ku warning recommended keyUsage"];
    let constraints = |critical: bool, value: &[u8]| summer().with(BASIC_CONSTRAINTS, critical, value);
    let wrong: &[&str] = &["ext.bc error basicConstraints"];
    vec![
        case(R, "pass-ecc-signature", ecc(&[3, 2, 7, 0x80]), &[]),
        case(R, "fail-ecc-agreement-alone", ecc(&[3, 2, 3, 0x08]), &[bad[0], unwise[0]]),
        case(R, "fail-ecc-agreement-too", ecc(&[3, 2, 3, 0x88]), unwise),
        case(R, "fail-ecc-encipherment", ecc(&[3, 2, 5, 0xa0]), bad),
        case(R, "fail-non-repudiation", ecc(&[3, 2, 6, 0xc0]), bad),
        case(R, "fail-decipher-only", ecc(&[3, 3, 7, 0x80, 0x80]), bad),
        case(R, "fail-certificate-signing", ecc(&[3, 2, 2, 0x84]), bad),
        case(R, "pass-rsa-both", rsa(&[3, 2, 5, 0xa0]), &[]),
        case(R, "fail-rsa-encipherment-alone", rsa(&[3, 2, 5, 0x20]), unwise),
        case(R, "fail-rsa-data-encipherment", rsa(&[3, 2, 4, 0x90]), unwise),
        case(R, "fail-rsa-agreement", rsa(&[3, 2, 3, 0x88]), bad),
        case(R, "fail-rsa-nothing", rsa(&[3, 1, 0]), bad),
        case(R, "fail-trailing-zero-bits", ecc(&[3, 2, 0, 0x80]), bad),
        case(R, "fail-not-critical", summer().with(KEY_USAGE, false, &[3, 2, 7, 0x80]), bad),
        case(R, "fail-absent", summer().without(KEY_USAGE), &["ext.ku warning keyUsage"]),
        case(R, "pass-non-repudiation-2023-09-14", before_profile().with(KEY_USAGE, true, &[3, 2, 6, 0xc0]), &[]),
        case(R, "fail-non-repudiation-2023-09-15", on(PROFILE).with(KEY_USAGE, true, &[3, 2, 6, 0xc0]), bad),
        case(B, "pass-critical-default", summer(), &[]),
        case(B, "pass-absent", summer().without(BASIC_CONSTRAINTS), &[]),
        case(B, "fail-not-critical", constraints(false, &[0x30, 0]), wrong),
        case(B, "fail-default-encoded", constraints(true, &[0x30, 3, 1, 1, 0]), wrong),
        case(B, "fail-path-length", constraints(true, &[0x30, 3, 2, 1, 0]), wrong),
        case(B, "pass-not-critical-2023-09-14", before_profile().with(BASIC_CONSTRAINTS, false, &[0x30, 0]), &[]),
        case(B, "fail-not-critical-2023-09-15", on(PROFILE).with(BASIC_CONSTRAINTS, false, &[0x30, 0]), wrong),
    ]
}

pub fn revocation() -> Vec<Case> {
    const R: &str = "ext.crldp";
    let bad: &[&str] = &["ext.crldp error cRLDistributionPoints"];
    let url = "http://ca.example.com/ca.crl";
    let with = |uris: &[&str]| summer().with(CRL_DP, false, &crl_points(uris));
    let raw = |point: &[u8]| summer().with(CRL_DP, false, &tlv(0x30, &tlv(0x30, point)));
    let full = tlv(0xa0, &tlv(0xa0, &tlv(0x86, url.as_bytes())));
    let none = |from: &str, to: &str| Spec::new(from, to).dns("www.example.com").without(CRL_DP);
    let ocsp = aia(&[(1, "http://ocsp.example.com"), (2, "http://ca.example.com/ca.cer")]);
    vec![
        case(R, "pass-one", with(&[url]), &[]),
        case(R, "fail-two-points", with(&[url, "http://b.com/ca.crl"]), &["ext.crldp warning DistributionPoint"]),
        case(R, "fail-https", with(&["https://ca.example.com/ca.crl"]), bad),
        case(R, "fail-ldap", with(&["ldap://ca.example.com/ca"]), bad),
        case(R, "fail-empty", with(&[]), bad),
        case(R, "fail-critical", summer().with(CRL_DP, true, &crl_points(&[url])), bad),
        case(R, "fail-reasons", raw(&[full.clone(), tlv(0x81, &[1, 6])].concat()), bad),
        case(R, "fail-crl-issuer", raw(&[full.clone(), tlv(0xa2, &tlv(0x82, b"a.com"))].concat()), bad),
        case(R, "fail-relative-name", raw(&tlv(0xa0, &tlv(0xa1, &[]))), bad),
        case(R, "fail-absent", none("2026-06-01", "2026-07-15"), bad),
        case(R, "pass-absent-with-ocsp", none("2026-06-01", "2026-07-15").with(AIA, false, &ocsp), &[]),
        case(R, "pass-absent-2024-03-14", none(&eve("2024-03-15"), "2024-06-01"), &[]),
        case(R, "fail-absent-2024-03-15", none("2024-03-15", "2024-06-01"), bad),
        case(R, "pass-short-lived-10-days", none("2024-03-15", "2024-03-24 23:59:59"), &[]),
        case(R, "fail-10-days-and-a-second", none("2024-03-15", "2024-03-25"), bad),
        case(R, "pass-2026-03-14-10-days", none(&eve("2026-03-15"), "2026-03-24 23:59:58"), &[]),
        case(R, "fail-2026-03-15-10-days", none("2026-03-15", "2026-03-24 23:59:59"), bad),
        case(R, "pass-2026-03-15-7-days", none("2026-03-15", "2026-03-21 23:59:59"), &[]),
        case(R, "fail-2026-03-15-7-days-and-a-second", none("2026-03-15", "2026-03-22"), bad),
        case(R, "pass-https-2023-09-14", before_profile().with(CRL_DP, false, &crl_points(&["https://a.com"])), &[]),
        case(R, "fail-https-2023-09-15", on(PROFILE).with(CRL_DP, false, &crl_points(&["https://a.com"])), bad),
    ]
}

pub fn others() -> Vec<Case> {
    const A: &str = "ext.aki";
    const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
    const FEATURE: &[u8] = &[0x30, 3, 2, 1, 5];
    const CABF_ORGANIZATION: &[u8] = &[0x67, 0x81, 0x0c, 3, 1];
    const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
    const SKI: &[u8] = &[0x55, 0x1d, 14];
    let bad: &[&str] = &["ext.aki error authorityKeyIdentifier"];
    let nc = tlv(0x30, &tlv(0xa0, &tlv(0x30, &tlv(0x82, b"example.com"))));
    let constrained = |spec: Spec| spec.extension(NAME_CONSTRAINTS, true, &nc);
    let with_ski = |spec: Spec| spec.extension(SKI, false, &tlv(4, &[7; 20]));
    let serial = [tlv(0x80, &[7; 20]), tlv(0xa1, &tlv(0x82, b"a")), tlv(0x82, &[7])].concat();
    vec![
        case(A, "pass-key-identifier", summer(), &[]),
        case(A, "fail-absent", summer().without(AKI), bad),
        case(A, "fail-empty", summer().with(AKI, false, &[0x30, 0]), bad),
        case(A, "fail-issuer-and-serial", summer().with(AKI, false, &tlv(0x30, &serial)), bad),
        case(A, "fail-critical", summer().with(AKI, true, &tlv(0x30, &tlv(0x80, &[7; 20]))), bad),
        case(A, "pass-absent-2023-09-14", before_profile().without(AKI), &[]),
        case(A, "fail-absent-2023-09-15", on(PROFILE).without(AKI), bad),
        case("ext.nc", "pass-none", summer(), &[]),
        case("ext.nc", "fail-present", constrained(summer()), &["ext.nc error nameConstraints"]),
        case("ext.nc", "pass-2023-09-14", constrained(before_profile()), &[]),
        case("ext.nc", "fail-2023-09-15", constrained(on(PROFILE)), &["ext.nc error nameConstraints"]),
        case("ext.dup", "pass-each-once", summer(), &[]),
        case(
            "ext.dup",
            "fail-two-key-usages",
            summer().extension(KEY_USAGE, true, &[3, 2, 7, 0x80]),
            &["ext.dup error 2.5.29.15"],
        ),
        case("ext.ski", "pass-none", summer(), &[]),
        case("ext.ski", "fail-present", with_ski(summer()), &["ext.ski warning subjectKeyIdentifier"]),
        case("ext.ski", "pass-2023-09-14", with_ski(before_profile()), &[]),
        case("ext.ski", "fail-2023-09-15", with_ski(on(PROFILE)), &["ext.ski warning subjectKeyIdentifier"]),
        case("ext.other", "pass-sct-list", summer().extension(SCT_LIST, false, &sct_list()), &[]),
        case(
            "ext.other",
            "fail-tls-feature",
            summer().extension(TLS_FEATURE, false, FEATURE),
            &["ext.other warning 1.3.6.1.5.5.7.1.24"],
        ),
        case("ext.other", "pass-2023-09-14", before_profile().extension(TLS_FEATURE, false, FEATURE), &[]),
        case(
            "ext.other",
            "fail-2023-09-15",
            on(PROFILE).extension(TLS_FEATURE, false, FEATURE),
            &["ext.other warning 1.3.6.1.5.5.7.1.24"],
        ),
        case("san.critical", "pass-empty-subject", summer(), &[]),
        case("san.critical", "pass-subject", summer().attr(6, "ES"), &[]),
        case(
            "san.critical",
            "fail-not-critical-without-subject",
            summer().san_critical(false),
            &["san.critical error subjectAltName"],
        ),
        case(
            "san.critical",
            "fail-critical-2023-09-14",
            before_profile().attr(6, "ES").san_critical(true),
            &["san.critical warning subjectAltName"],
        ),
        case(
            "san.critical",
            "fail-critical-2023-09-15",
            on(PROFILE).attr(6, "ES").san_critical(true),
            &["san.critical error subjectAltName"],
        ),
        case("ext.other", "pass-organization-of-ev", ev().extension(CABF_ORGANIZATION, false, &[0x30, 0]), &[]),
    ]
}
