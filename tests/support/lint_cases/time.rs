//! Fixtures of the rules about validity, serial numbers and precertificates.

use super::{Case, case, eve, issued};
use crate::certgen::{POISON, SCT_LIST, Spec, sct_list, tlv};

fn from(not_before: &str, not_after: &str) -> Spec {
    Spec::new(not_before, not_after).dns("www.example.com")
}

pub fn validity() -> Vec<Case> {
    const S: &str = "val.should";
    const F: &str = "val.form";
    const N: &str = "val.notbefore";
    let long: &[&str] = &["val.should warning validity"];
    let form: &[&str] = &["val.form error validity"];
    let far: &[&str] = &["val.notbefore error notBefore"];
    let summer = || from("2026-06-01", "2026-07-15");
    vec![
        case(S, "pass-2020-08-31-398-days", from("2020-08-31 23:59:59", "2021-10-03 23:59:58"), &[]),
        case(S, "fail-2020-09-01-397-days-and-a-second", from("2020-09-01", "2021-10-03"), long),
        case(S, "pass-2020-09-01-397-days", from("2020-09-01", "2021-10-02 23:59:59"), &[]),
        case(S, "pass-2026-03-14-397-days", from("2026-03-14", "2027-04-14 23:59:59"), &[]),
        case(S, "fail-2026-03-15-199-days-and-a-second", from("2026-03-15", "2026-09-30"), long),
        case(S, "pass-2026-03-15-199-days", from("2026-03-15", "2026-09-29 23:59:59"), &[]),
        case(S, "pass-2027-03-14-199-days", from("2027-03-14", "2027-09-28 23:59:59"), &[]),
        case(S, "fail-2027-03-15-99-days-and-a-second", from("2027-03-15", "2027-06-22"), long),
        case(S, "pass-2027-03-15-99-days", from("2027-03-15", "2027-06-21 23:59:59"), &[]),
        case(S, "pass-2029-03-14-99-days", from("2029-03-14", "2029-06-20 23:59:59"), &[]),
        case(S, "fail-2029-03-15-46-days-and-a-second", from("2029-03-15", "2029-04-30"), long),
        case(S, "pass-2029-03-15-46-days", from("2029-03-15", "2029-04-29 23:59:59"), &[]),
        case(F, "pass-a-second", from("2026-06-01", "2026-06-01 00:00:01"), &[]),
        case(F, "fail-no-second", from("2026-06-01", "2026-06-01"), form),
        case(F, "fail-the-wrong-way-round", from("2026-06-02", "2026-06-01"), form),
        case(F, "fail-without-seconds", summer().not_after_der(&tlv(23, b"2607152359Z")), form),
        case(F, "fail-with-offset", summer().not_after_der(&tlv(23, b"260715235959+0200")), form),
        case(F, "fail-generalized-time-before-2050", summer().not_after_der(&tlv(24, b"20260715235959Z")), form),
        case(F, "pass-ca-after-2049", Spec::new("2020-01-01", "2050-01-01").no_san().ca(), &[]),
        issued(case(N, "pass-48-hours-after", summer(), &[]), "2026-06-03T00:00:00Z"),
        issued(case(N, "fail-backdated-48-hours-and-a-second", summer(), far), "2026-06-03T00:00:01Z"),
        issued(case(N, "pass-48-hours-before", summer(), &[]), "2026-05-30T00:00:00Z"),
        issued(case(N, "fail-forward-dated-48-hours-and-a-second", summer(), far), "2026-05-29T23:59:59Z"),
        issued(case(N, "pass-2023-09-14", from("2023-09-01", "2024-03-01"), &[]), "2023-09-14T23:59:59Z"),
        issued(
            case(N, "pass-2023-09-14-of-that-day", from(&eve("2023-09-15"), "2024-03-01"), &[]),
            "2023-09-14T23:59:59Z",
        ),
        issued(case(N, "fail-2023-09-15", from("2023-09-01", "2024-03-01"), far), "2023-09-15T00:00:00Z"),
        issued(case(N, "fail-precertificate", summer().poison(), far), "2026-06-09T00:00:00Z"),
    ]
}

pub fn serials() -> Vec<Case> {
    const R: &str = "serial.range";
    let with = |octets: &[u8]| from("2026-06-01", "2026-07-15").serial(&tlv(2, octets));
    let bad: &[&str] = &["serial.range error serialNumber"];
    let mut padded = vec![0x80; 20];
    padded.insert(0, 0);
    vec![
        case(R, "pass-1", with(&[1]), &[]),
        case(R, "pass-just-below-2-to-159", with(&[&[0x7f][..], &[0xff; 19]].concat()), &[]),
        case(R, "fail-0", with(&[0]), bad),
        case(R, "fail-negative", with(&[0x80]), bad),
        case(R, "fail-20-octets-with-the-top-bit", with(&[0x80; 20]), bad),
        case(R, "fail-2-to-159", with(&padded), bad),
        case(R, "fail-21-octets", with(&[0x11; 21]), bad),
        case(R, "fail-0-before-2023-09-15", from("2023-09-14", "2024-03-01").serial(&[2, 1, 0]), bad),
    ]
}

pub fn precertificates() -> Vec<Case> {
    const P: &str = "pre.poison";
    const S: &str = "pre.no_sct";
    let summer = || from("2026-06-01", "2026-07-15");
    let poisoned = |critical: bool, value: &[u8]| summer().extension(POISON, critical, value);
    let bad: &[&str] = &["pre.poison error poison"];
    let list: &[&str] = &["pre.no_sct error SCT list"];
    let old = |day: &str| Spec::new(day, "2020-06-01").dns("www.example.com").extension(POISON, false, &[5, 0]);
    let both = |day: &str| Spec::new(day, "2024-01-01").dns("a.com").poison().extension(SCT_LIST, false, &sct_list());
    vec![
        case(P, "pass-critical-null", summer().poison(), &[]),
        case(P, "fail-not-critical", poisoned(false, &[5, 0]), bad),
        case(P, "fail-another-value", poisoned(true, &[4, 0]), bad),
        case(P, "fail-no-value", poisoned(true, &[]), bad),
        case(P, "fail-octets-after-null", poisoned(true, &[5, 0, 0]), bad),
        case(P, "pass-2019-12-18", old(&eve("2019-12-19")), &[]),
        case(P, "fail-2019-12-19", old("2019-12-19"), bad),
        case(S, "pass-certificate-with-list", summer().extension(SCT_LIST, false, &sct_list()), &[]),
        case(S, "pass-precertificate-without", summer().poison(), &[]),
        case(S, "pass-2023-09-14", both(&eve("2023-09-15")), &[]),
        case(S, "fail-2023-09-15", both("2023-09-15"), list),
    ]
}
