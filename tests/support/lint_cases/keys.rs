//! Fixtures of the rules about keys and signatures.

use num_bigint::BigUint;

use super::{Case, case, eve};
use crate::certgen::{
    BASE_POINT, ECDSA_SHA256, P256, RSA_ALGORITHM, Spec, close_factors, ec_spki, number, roca, rsa, rsa_spki, tlv,
};

fn summer() -> Spec {
    Spec::summer("www.example.com")
}

fn key(modulus: &BigUint) -> Spec {
    summer().spki(rsa(modulus))
}

fn exponent(exponent: &BigUint) -> Spec {
    summer().spki(rsa_spki(RSA_ALGORITHM, &number(2048), exponent))
}

pub fn rsa_keys() -> Vec<Case> {
    const SIZE: &str = "key.rsa_size";
    const DIV8: &str = "key.rsa_div8";
    const EXP: &str = "key.rsa_exp";
    const SHOULD: &str = "key.rsa_should";
    let on = |day: &str, to: &str, spki: Vec<u8>| Spec::new(day, to).dns("www.example.com").spki(spki);
    let (small, div8) = ("key.rsa_size error RSA modulus", "key.rsa_div8 error RSA modulus");
    let (exp, long) = ("key.rsa_exp error RSA exponent", "key.rsa_should warning RSA exponent");
    let modulus = "key.rsa_should warning RSA modulus";
    let one = || BigUint::from(1u32);
    let zero_exponent = rsa_spki(RSA_ALGORITHM, &number(2048), &BigUint::ZERO);
    let with = |exponent: BigUint| rsa_spki(RSA_ALGORITHM, &number(2048), &exponent);
    vec![
        case(SIZE, "pass-2048", key(&number(2048)), &[]),
        case(SIZE, "fail-2047", key(&number(2047)), &[div8, small]),
        case(SIZE, "fail-1024", key(&number(1024)), &[small]),
        case(SIZE, "pass-2013-12-31", on("2013-12-31 23:59:59", "2014-12-01", rsa(&number(1024))), &[]),
        case(SIZE, "fail-2014-01-01", on("2014-01-01", "2014-12-01", rsa(&number(1024))), &[small]),
        case(DIV8, "pass-3072", key(&number(3072)), &[]),
        case(DIV8, "fail-2050", key(&number(2050)), &[div8]),
        case(DIV8, "pass-2020-08-19", on(&eve("2020-08-20"), "2021-08-01", rsa(&number(2050))), &[]),
        case(DIV8, "fail-2020-08-20", on("2020-08-20", "2021-08-01", rsa(&number(2050))), &[div8]),
        case(EXP, "pass-65537", key(&number(2048)), &[]),
        case(EXP, "fail-1", exponent(&one()), &[exp]),
        case(EXP, "fail-0", summer().spki(zero_exponent), &[exp]),
        case(EXP, "fail-even", exponent(&65_538u32.into()), &[exp]),
        case(EXP, "fail-even-and-long", exponent(&(one() << 300)), &[exp]),
        case(EXP, "pass-2013-02-20", on(&eve("2013-02-21"), "2014-02-01", with(one())), &[]),
        case(EXP, "fail-2013-02-21", on("2013-02-21", "2014-02-01", with(one())), &[exp]),
        case(SHOULD, "fail-exponent-3", exponent(&3u32.into()), &[long]),
        case(SHOULD, "fail-exponent-65535", exponent(&65_535u32.into()), &[long]),
        case(SHOULD, "pass-exponent-of-256-bits", exponent(&((one() << 256) - 1u32)), &[]),
        case(SHOULD, "fail-exponent-of-257-bits", exponent(&((one() << 256) + 1u32)), &[long]),
        case(SHOULD, "fail-even-modulus", key(&(number(2048) - 1u32)), &[modulus]),
        case(SHOULD, "fail-divisible-by-751", key(&multiple(2048, 751)), &[modulus]),
        case(SHOULD, "fail-cube", key(&number(683).pow(3)), &[div8, modulus]),
        case(SHOULD, "pass-2013-02-20", on(&eve("2013-02-21"), "2014-02-01", with(3u32.into())), &[]),
        case(SHOULD, "fail-2013-02-21", on("2013-02-21", "2014-02-01", with(3u32.into())), &[long]),
    ]
}

/// An odd multiple of `factor`.
fn multiple(bits: u64, factor: u32) -> BigUint {
    let below = number(bits) / factor * factor;
    if below.bit(0) { below } else { below - factor }
}

/// The modulus of a key that Debian's OpenSSL made, in hexadecimal: one of the keys with which the software of others tests
/// its reading of the public lists, in which it is as d10d992069d592fe1766.
const DEBIAN_KEY: &str = "d33c5d6e98b0ea4eab76a60d6a0a7b9c5983c58c0aa1d3c3796958169f27027bac81253fa579c482e884a2e1cef0ca81\
    3ec8359e9610d29473ca36d63c1e81a0101a481a3cff58610e8ea72a2a158267d66f4da2866928a23d46e021c5442fdf9e4add6bc5367d3f77226109\
    29511310836e7a77d608b7f191f82419be1187eca184f06651c448ea90478813eb6dc9be53fc6669d31cab638a3f3063d13ccada5b4afa231dcef954\
    86ed5d2d718c30e0ce4ada2ffde1816003f09d183a25ccb2874a57039500e4b6500bab7cd435dc301d19f2c256ae4f837dd2de630e88a652a87c1f2a\
    444224503da97dc3eebbc793e6e5beec631c1ed2788fcb1da10e0af7";

pub fn weak_keys() -> Vec<Case> {
    const R: &str = "key.weak.roca";
    const F: &str = "key.weak.fermat100";
    const DAY: &str = "2024-11-15";
    let (weak, close) = ("key.weak.roca error RSA modulus", "key.weak.fermat100 error RSA modulus");
    let on = |day: &str, modulus: &BigUint| Spec::new(day, "2025-10-01").dns("www.example.com").spki(rsa(modulus));
    let square = number(1024).pow(2);
    const DEBIAN: &str = "key.weak.debian";
    const KNOWN: &str = "key.compromised";
    let (public, known) = ("key.weak.debian error subjectPublicKey", "key.compromised error subjectPublicKey");
    let debian = || BigUint::parse_bytes(DEBIAN_KEY.as_bytes(), 16).expect("hexadecimal");
    let debian_on = |day: &str| Spec::new(day, "2025-06-01").dns("www.example.com").spki(rsa(&debian()));
    vec![
        case(DEBIAN, "pass-not-listed", key(&number(2048)), &[]),
        case(DEBIAN, "fail-by-modulus", key(&debian()), &[public]),
        case(DEBIAN, "fail-by-key-hash", key(&number(2560)), &[public]),
        case(DEBIAN, "pass-2024-11-14", debian_on(&eve("2024-11-15")), &[]),
        case(DEBIAN, "fail-2024-11-15", debian_on("2024-11-15"), &[public]),
        case(KNOWN, "pass-not-listed", key(&number(2048)), &[]),
        case(KNOWN, "fail-listed", key(&number(3584)), &[known]),
        case(R, "pass-another-modulus", key(&number(2048)), &[]),
        case(R, "fail-2048", key(&roca(2048)), &[weak]),
        case(R, "fail-3072", key(&roca(3072)), &[weak]),
        case(R, "pass-2024-11-14", on(&eve(DAY), &roca(2048)), &[]),
        case(R, "fail-2024-11-15", on(DAY, &roca(2048)), &[weak]),
        case(F, "pass-distant-factors", key(&number(2048)), &[]),
        case(F, "fail-round-1", key(&close_factors(2048, 0)), &[close]),
        case(F, "fail-round-100", key(&close_factors(2048, 99)), &[close]),
        case(F, "pass-round-101", key(&close_factors(2048, 100)), &[]),
        case(F, "fail-square", key(&square), &["key.rsa_should warning RSA modulus", close]),
        case(F, "pass-2024-11-14", on(&eve(DAY), &close_factors(2048, 1)), &[]),
        case(F, "fail-2024-11-15", on(DAY, &close_factors(2048, 1)), &[close]),
    ]
}

pub fn curves() -> Vec<Case> {
    const R: &str = "key.ec";
    const SECP256K1: &[u8] = &[0x2b, 0x81, 4, 0, 10];
    const P224: &[u8] = &[0x2b, 0x81, 4, 0, 33];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
    let (bad, form) = ("key.ec error subjectPublicKey", "alg.spki error subjectPublicKeyInfo");
    let other =
        |algorithm: &[u8]| tlv(0x30, &[tlv(0x30, &tlv(6, algorithm)), tlv(3, &[&[0][..], &[9; 32]].concat())].concat());
    let on = |day: &str, to: &str, spki: Vec<u8>| Spec::new(day, to).dns("www.example.com").spki(spki);
    let mut off = BASE_POINT;
    off[64] ^= 1;
    let off = ec_spki(P256, &off);
    // Its y is odd (FIPS 186-4 D.1.2.3 ends in f5).
    let compressed = [&[3][..], &BASE_POINT[1..33]].concat();
    vec![
        case(R, "pass-p-256", summer(), &[]),
        case(R, "pass-compressed", summer().spki(ec_spki(P256, &compressed)), &[]),
        case(R, "fail-off-the-curve", summer().spki(off.clone()), &[bad]),
        case(R, "fail-infinity", summer().spki(ec_spki(P256, &[0])), &[bad]),
        case(R, "fail-too-short", summer().spki(ec_spki(P256, &BASE_POINT[..64])), &[bad]),
        case(R, "fail-secp256k1", summer().spki(ec_spki(SECP256K1, &BASE_POINT)), &[form, bad]),
        case(R, "fail-p-224", summer().spki(ec_spki(P224, &BASE_POINT[..57])), &[form, bad]),
        case(R, "fail-ed25519", summer().spki(other(ED25519)), &[form, bad]),
        case(R, "pass-2012-06-30", on("2012-06-30 23:59:59", "2013-06-01", off.clone()), &[]),
        case(R, "fail-2012-07-01", on("2012-07-01", "2013-06-01", off), &[bad]),
        case(R, "pass-dsa-2020-08-19", on(&eve("2020-08-20"), "2021-08-01", other(DSA)), &[]),
        case(R, "fail-dsa-2020-08-20", on("2020-08-20", "2021-08-01", other(DSA)), &[form, bad]),
    ]
}

pub fn algorithms() -> Vec<Case> {
    const K: &str = "alg.spki";
    const S: &str = "alg.sig";
    const SHA1: &str = "alg.sha1";
    const O: &str = "alg.outer_inner";
    let pkcs1 = |last: u8, parameters: &[u8]| {
        tlv(0x30, &[&tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last]), parameters].concat())
    };
    let (null, sha1) = (&[5, 0][..], pkcs1(5, &[5, 0]));
    let signed = |algorithm: &[u8]| summer().algorithms(algorithm, algorithm);
    let (spki, sig) = ("alg.spki error subjectPublicKeyInfo", "alg.sig error signature");
    let (old_hash, differs) = ("alg.sha1 error signature", "alg.outer_inner error signatureAlgorithm");
    let key = |algorithm: &[u8]| rsa_spki(algorithm, &number(2048), &65_537u32.into());
    let (no_null, pss_key) = (pkcs1(1, &[]), pkcs1(10, &[]));
    let on = |day: &str, to: &str| Spec::new(day, to).dns("www.example.com");
    let hash = tlv(0x30, &[tlv(6, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]), null.to_vec()].concat());
    let mask = tlv(0x30, &[tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8]), hash.clone()].concat());
    let pss = |salt: u8| {
        let parameters = [tlv(0xa0, &hash), tlv(0xa1, &mask), tlv(0xa2, &[2, 1, salt])].concat();
        pkcs1(10, &tlv(0x30, &parameters))
    };
    let ecdsa_with_null = tlv(0x30, &[&ECDSA_SHA256[2..], null].concat());
    let on_2020 = |day: &str| on(day, "2021-08-01");
    let ca_on = |day: &str| Spec::new(day, "2036-01-01").no_san().no_eku().ca().algorithms(&sha1, &sha1);
    let on_2016 = |day: &str| on(day, "2017-01-01").algorithms(&sha1, &sha1);
    vec![
        case(K, "pass-rsa", summer().spki(key(RSA_ALGORITHM)), &[]),
        case(K, "fail-rsa-without-null", summer().spki(key(&no_null)), &[spki]),
        case(K, "fail-pss-key", summer().spki(key(&pss_key)), &[spki]),
        case(K, "pass-2020-08-19", on_2020(&eve("2020-08-20")).spki(key(&no_null)), &[]),
        case(K, "fail-2020-08-20", on_2020("2020-08-20").spki(key(&no_null)), &[spki]),
        case(S, "pass-rsa-sha256", signed(&pkcs1(11, null)), &[]),
        case(S, "pass-rsa-sha384", signed(&pkcs1(12, null)), &[]),
        case(S, "pass-rsa-sha512", signed(&pkcs1(13, null)), &[]),
        case(S, "pass-pss-sha256", signed(&pss(32)), &[]),
        case(S, "fail-pss-with-another-salt", signed(&pss(20)), &[sig]),
        case(S, "fail-rsa-without-null", signed(&pkcs1(11, &[])), &[sig]),
        case(S, "fail-rsa-md5", signed(&pkcs1(4, null)), &[sig]),
        case(S, "fail-ecdsa-with-null", signed(&ecdsa_with_null), &[sig]),
        case(S, "pass-2020-08-19", on_2020(&eve("2020-08-20")).algorithms(&pkcs1(4, null), &pkcs1(4, null)), &[]),
        case(S, "fail-2020-08-20", on_2020("2020-08-20").algorithms(&pkcs1(4, null), &pkcs1(4, null)), &[sig]),
        case(SHA1, "pass-ca-2026-09-14", ca_on(&eve("2026-09-15")), &[]),
        case(SHA1, "fail-ca-2026-09-15", ca_on("2026-09-15"), &[old_hash]),
        case(SHA1, "pass-sha256", signed(&pkcs1(11, null)), &[]),
        case(SHA1, "fail-rsa", signed(&sha1), &[old_hash]),
        case(SHA1, "fail-ecdsa", signed(&tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]))), &[old_hash]),
        case(SHA1, "fail-pss-by-default", signed(&pkcs1(10, &[0x30, 0])), &[old_hash]),
        case(SHA1, "pass-2015-12-31", on_2016("2015-12-31 23:59:59"), &[]),
        case(SHA1, "fail-2016-01-01", on_2016("2016-01-01"), &[old_hash]),
        case(O, "pass-equal", summer(), &[]),
        case(O, "fail-another-hash", summer().algorithms(ECDSA_SHA256, &pkcs1(11, null)), &[differs]),
        case(O, "fail-null-outside", summer().algorithms(&pkcs1(11, null), &pkcs1(11, &[])), &[differs]),
    ]
}
