//! Fixtures of the rules about everything but dNSNames.

use super::{CN, Case, case, eve, issued};
use crate::certgen::{ANY_EKU, CLIENT_AUTH, CODE_SIGNING, EMAIL, KEY_USAGE, OCSP_SIGNING, SERVER_AUTH, Spec, tlv};

pub fn addresses() -> Vec<Case> {
    const R: &str = "ip.reserved";
    let mixed = Spec::summer("www.example.com").ip("8.8.8.8").ip("2001:4860:4860::8888");
    vec![
        case(R, "pass-public", mixed.clone(), &[]),
        case(
            R,
            "fail-private",
            mixed.clone().ip("10.0.0.1").ip("fd00::1").ip("10.0.0.1"),
            &["ip.reserved error 10.0.0.1", "ip.reserved error fd00::1", "san.dup warning 10.0.0.1"],
        ),
        case(
            R,
            "fail-mapped-and-documentation",
            mixed.clone().ip("::ffff:8.8.8.8").ip("3fff::1").ip("100:0:0:1::1"),
            &["ip.reserved error 100:0:0:1::1", "ip.reserved error 3fff::1", "ip.reserved error ::ffff:8.8.8.8"],
        ),
        case(
            R,
            "review-globally-reachable",
            mixed.clone().ip("192.0.0.9").ip("2002::1").ip("192.88.99.1").ip("64:ff9b::1"),
            &[
                "ip.reserved review 192.0.0.9",
                "ip.reserved review 192.88.99.1",
                "ip.reserved review 2002::1",
                "ip.reserved review 64:ff9b::1",
            ],
        ),
        case(
            R,
            "review-other-globally-reachable",
            mixed
                .clone()
                .ip("192.31.196.1")
                .ip("192.52.193.1")
                .ip("192.175.48.1")
                .ip("2620:4f:8000::1")
                .ip("2001:20::1"),
            &[
                "ip.reserved review 192.175.48.1",
                "ip.reserved review 192.31.196.1",
                "ip.reserved review 192.52.193.1",
                "ip.reserved review 2001:20::1",
                "ip.reserved review 2620:4f:8000::1",
            ],
        ),
        case(R, "pass-ends-by-2015-11-01", Spec::new("2014-01-01", "2015-11-01").ip("192.168.0.1"), &[]),
        case(
            R,
            "fail-outlives-2015-11-01",
            Spec::new("2014-01-01", "2015-11-02").ip("192.168.0.1"),
            &["ip.reserved error 192.168.0.1"],
        ),
        case(
            R,
            "fail-2015-11-01",
            Spec::new("2015-11-01", "2015-11-30").ip("192.168.0.1"),
            &["ip.reserved error 192.168.0.1"],
        ),
        case(R, "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2016-01-01").ip("192.168.0.1"), &[]),
        case("ip.length", "pass-4-and-16", mixed.clone(), &[]),
        case(
            "ip.length",
            "fail-5",
            mixed.clone().general_name(0x87, &[8, 8, 8, 8, 0]),
            &["ip.length error 0x0808080800"],
        ),
        case(
            "ip.length",
            "fail-address-and-mask",
            mixed.general_name(0x87, &[8, 8, 8, 8, 255, 255, 255, 0]),
            &["ip.length error 0x08080808ffffff00"],
        ),
    ]
}

pub fn unroutable() -> Vec<Case> {
    const R: &str = "ip.unroutable";
    let mixed = Spec::summer("www.example.com");
    vec![
        case(R, "pass-allocated", mixed.clone().ip("8.8.8.8").ip("2a02:26f0::1").ip("2c0f:fb50::1"), &[]),
        case(R, "review-multicast", mixed.clone().ip("224.0.0.1"), &["ip.unroutable review 224.0.0.1"]),
        case(R, "review-multicast-v6", mixed.clone().ip("ff0e::1"), &["ip.unroutable review ff0e::1"]),
        case(R, "review-outside-global-unicast", mixed.clone().ip("4000::1"), &["ip.unroutable review 4000::1"]),
        case(R, "review-given-to-no-registry", mixed.clone().ip("3000::1"), &["ip.unroutable review 3000::1"]),
        case(R, "pass-special-purpose", mixed.ip("10.0.0.1"), &["ip.reserved error 10.0.0.1"]),
    ]
}

pub fn alternative_names() -> Vec<Case> {
    const ABSENT: &str = "san.present error subjectAltName";
    let summer = || Spec::summer("www.example.com");
    let bare = || Spec::new("2026-06-01", "2026-07-15");
    let legacy = |day: &str| Spec::new(day, "2013-06-30");
    vec![
        case("san.present", "fail-absent", bare().no_san(), &[ABSENT]),
        case("san.present", "fail-empty", bare(), &[ABSENT]),
        case(
            "san.present",
            "fail-only-mail",
            bare().general_name(0x81, b"a@example.com"),
            &[ABSENT, "san.types error rfc822Name a@example.com"],
        ),
        case("san.present", "pass-only-ip", bare().ip("8.8.8.8"), &[]),
        case("san.present", "pass-before-2012-07-01", legacy("2012-06-30 23:59:59").no_san(), &[]),
        case("san.present", "fail-2012-07-01", legacy("2012-07-01").no_san(), &[ABSENT]),
        case("san.types", "pass-dns-and-ip", summer().ip("8.8.8.8"), &[]),
        case(
            "san.types",
            "fail-mail-uri-and-registered-id",
            {
                summer()
                    .general_name(0x81, b"a@example.com")
                    .general_name(0x86, b"https://example.com")
                    .general_name(0x88, &[42])
            },
            &[
                "san.types error registeredID 0x2a",
                "san.types error rfc822Name a@example.com",
                "san.types error uniformResourceIdentifier https://example.com",
            ],
        ),
        case(
            "san.types",
            "fail-x400-address",
            summer().general_name(0xa3, &[0x30, 0]),
            &["san.types error x400Address 0x3000"],
        ),
        case(
            "san.types",
            "fail-directory-name",
            summer().general_name(0xa4, &[0x30, 0]),
            &["san.types error directoryName 0x3000"],
        ),
        case(
            "san.types",
            "pass-before-2012-07-01",
            legacy("2012-06-30 23:59:59").general_name(0x81, b"a@example.com"),
            &[],
        ),
        case(
            "san.types",
            "fail-2012-07-01",
            legacy("2012-07-01").dns("a.com").general_name(0x81, b"a@example.com"),
            &["san.types error rfc822Name a@example.com"],
        ),
        case("san.der", "pass-exact", summer(), &[]),
        case(
            "san.der",
            "fail-trailing-octets",
            summer().after_san(&[0x82, 1, b'x']),
            &["san.der error subjectAltName"],
        ),
        case("san.der", "fail-two-extensions", summer().second_san(), &["san.der error subjectAltName"]),
        case(
            "san.der",
            "fail-two-extensions-second-internal",
            summer().extension(&[0x55, 0x1d, 17], false, &tlv(0x30, &tlv(0x82, b"x.corp"))),
            &["name.internal error x.corp", "san.critical error subjectAltName", "san.der error subjectAltName"],
        ),
        case("san.der", "fail-constructed-name", summer().general_name(0xa2, b"x"), &["san.der error dNSName x"]),
        case(
            "san.der",
            "fail-universal-class",
            summer().general_name(0x02, &[7]),
            &["san.der error universal tag 2 0x07", "san.types error universal tag 2 0x07"],
        ),
        case("san.dup", "pass-all-different", summer().dns("example.com"), &[]),
        case("san.dup", "fail-other-case", summer().dns("WWW.example.com"), &["san.dup warning www.example.com"]),
    ]
}

pub fn common_names() -> Vec<Case> {
    const R: &str = "cn.from_san";
    let summer = || Spec::summer("www.example.com");
    let at = |day: &str| Spec::new(day, "2022-01-01").dns("www.example.com").ip("2001:4860:4860::8888");
    let (before, after) = ("2021-08-24 23:59:59", "2021-08-25");
    vec![
        case(R, "pass-copy", summer().cn("www.example.com"), &[CN]),
        case(R, "pass-no-cn", summer(), &[]),
        case(R, "fail-not-in-san", summer().cn("example.com"), &["cn.from_san error example.com", CN]),
        // A name that is no domain name is judged as a commonName alone: name.ldh looks at the subjectAltName.
        case(
            R,
            "fail-organization-in-cn",
            summer().cn("Example, S.A."),
            &["cn.from_san error Example, S.A.", CN, "name.internal_cn error Example, S.A."],
        ),
        case(R, "pass-other-case-2021-08-24", at(before).cn("WWW.example.com"), &[]),
        case(R, "fail-other-case-2021-08-25", at(after).cn("WWW.example.com"), &["cn.from_san error WWW.example.com"]),
        case(R, "pass-two-2021-08-24", at(before).cn("www.example.com").cn("WWW.example.com"), &[]),
        case(
            R,
            "fail-second-of-two-2021-08-24",
            at(before).cn("www.example.com").cn("example.com"),
            &["cn.from_san error example.com"],
        ),
        case(
            R,
            "fail-two-2021-08-25",
            at(after).cn("www.example.com").cn("www.example.com"),
            &["cn.from_san error commonName"],
        ),
        case(R, "pass-ipv6-rfc5952", at(after).cn("2001:4860:4860::8888"), &[]),
        case(R, "pass-ipv6-padded-2021-08-24", at(before).cn("2001:4860:4860:0000::8888"), &[]),
        case(
            R,
            "fail-ipv6-padded-2021-08-25",
            at(after).cn("2001:4860:4860:0000::8888"),
            &["cn.from_san error 2001:4860:4860:0000::8888"],
        ),
        case(
            R,
            "fail-bmp-string-of-odd-length",
            summer().cn_octets(30, b"\0w\0w\0"),
            &[
                "cn.from_san error \\x00w\\x00w\\x00",
                CN,
                "name.internal_cn error \\x00w\\x00w\\x00",
                "subj.enc error CN=\\x00w\\x00w\\x00",
            ],
        ),
        case(
            R,
            "pass-bmp-string",
            Spec::summer("a.eu").cn_octets(30, b"\0a\0.\0e\0u"),
            &[CN, "subj.enc error CN=a.eu"],
        ),
        case(R, "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2013-01-01").dns("a.com").cn("b.com"), &[]),
        case(
            R,
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2013-01-01").dns("a.com").cn("b.com"),
            &["cn.from_san error b.com"],
        ),
        case("cn.present", "pass-none", summer(), &[]),
        case("cn.present", "fail-one", summer().cn("www.example.com"), &[CN]),
        case("cn.present", "pass-2023-09-14", on(&eve("2023-09-15")).cn("a.com"), &[]),
        case("cn.present", "fail-2023-09-15", on("2023-09-15").cn("a.com"), &[CN]),
    ]
}

fn on(day: &str) -> Spec {
    Spec::new(day, "2024-01-01").dns("a.com")
}

pub fn validity() -> Vec<Case> {
    const R: &str = "val.max";
    let from = |not_before: &str, not_after: &str| Spec::new(not_before, not_after).dns("www.example.com");
    let bad: &[&str] = &["val.max error validity"];
    let long: &[&str] = &["val.should warning validity"];
    vec![
        case(R, "pass-before-2012-07-01", from("2012-06-30 23:59:59", "2032-06-30"), &[]),
        case(R, "pass-2012-07-01-60-months", from("2012-07-01", "2017-07-01"), &[]),
        case(R, "fail-2012-07-01-60-months-and-a-second", from("2012-07-01", "2017-07-01 00:00:01"), bad),
        case(R, "pass-2015-03-31-60-months", from("2015-03-31", "2020-03-31"), &[]),
        case(R, "pass-2015-04-01-39-months", from("2015-04-01", "2018-07-01"), &[]),
        case(R, "review-2015-04-01-legacy", from("2015-04-01", "2018-07-01 00:00:01"), &["val.max review validity"]),
        case(R, "fail-2015-04-01-60-months-and-a-second", from("2015-04-01", "2020-04-01 00:00:01"), bad),
        case(R, "review-2016-06-30-legacy", from("2016-06-30", "2020-06-30"), &["val.max review validity"]),
        case(R, "fail-2016-07-01-no-legacy", from("2016-07-01", "2020-06-30"), bad),
        case(R, "pass-31st-of-a-month", from("2016-08-31", "2019-12-01"), &[]),
        case(R, "pass-2018-03-01-39-months", from("2018-03-01 23:59:59", "2021-06-01 23:59:59"), &[]),
        case(R, "fail-2018-03-02-39-months", from("2018-03-02", "2021-06-01"), bad),
        case(R, "pass-2018-03-02-825-days", from("2018-03-02", "2020-06-03 23:59:59"), &[]),
        case(R, "fail-2018-03-02-825-days-and-a-second", from("2018-03-02", "2020-06-04"), bad),
        case(R, "pass-2019-825-days", from("2019-06-01", "2021-09-02 23:59:59"), &[]),
        case(R, "pass-2020-08-31-399-days", from("2020-08-31 23:59:59", "2021-10-04 23:59:58"), &[]),
        case(R, "pass-2020-08-31-825-days", from("2020-08-31", "2022-12-03 23:59:59"), &[]),
        case(R, "pass-2020-09-01-398-days", from("2020-09-01", "2021-10-03 23:59:59"), long),
        case(R, "fail-2020-09-01-398-days-and-a-second", from("2020-09-01", "2021-10-04"), bad),
        case(R, "pass-2026-03-14-398-days", from("2026-03-14", "2027-04-15 23:59:59"), long),
        case(R, "pass-2026-03-15-200-days", from("2026-03-15", "2026-09-30 23:59:59"), long),
        case(R, "fail-2026-03-15-200-days-and-a-second", from("2026-03-15", "2026-10-01"), bad),
        issued(
            case(R, "fail-backdated-over-the-step", from("2026-03-14", "2027-04-15 23:59:59"), bad),
            "2026-03-15T00:00:00Z",
        ),
        case(R, "pass-2027-03-14-200-days", from("2027-03-14", "2027-09-29 23:59:59"), long),
        case(R, "pass-2027-03-15-100-days", from("2027-03-15", "2027-06-22 23:59:59"), long),
        case(R, "fail-2027-03-15-100-days-and-a-second", from("2027-03-15", "2027-06-23"), bad),
        case(R, "pass-2029-03-14-100-days", from("2029-03-14", "2029-06-21 23:59:59"), long),
        case(R, "pass-2029-03-15-47-days", from("2029-03-15", "2029-04-30 23:59:59"), long),
        case(R, "fail-2029-03-15-47-days-and-a-second", from("2029-03-15", "2029-05-01"), bad),
        case(R, "fail-no-well-defined-end", from("2026-06-01", "9999-12-31 23:59:59"), bad),
        case(
            R,
            "fail-unreadable-end",
            from("2026-06-01", "2026-06-02").not_after_der(&tlv(23, b"261301000000Z")),
            &["cert.unparsable error certificate", "val.form error validity", "val.max error validity"],
        ),
    ]
}

pub fn usages() -> Vec<Case> {
    const R: &str = "ext.eku";
    let summer = || Spec::summer("www.example.com");
    let at = |day: &str| Spec::new(day, "2024-01-01").dns("www.example.com");
    vec![
        case(R, "pass-server-and-client", summer().eku(false, &[SERVER_AUTH, CLIENT_AUTH]), &[]),
        case(R, "fail-absent", summer().no_eku(), &["ext.eku error extKeyUsage"]),
        case(R, "fail-critical", summer().eku(true, &[SERVER_AUTH]), &["ext.eku error extKeyUsage"]),
        case(R, "fail-client-only", summer().eku(false, &[CLIENT_AUTH]), &["ext.eku error id-kp-serverAuth"]),
        case(
            R,
            "fail-forbidden",
            summer().eku(false, &[SERVER_AUTH, ANY_EKU, CODE_SIGNING, EMAIL]),
            &[
                "ext.eku error anyExtendedKeyUsage",
                "ext.eku error id-kp-codeSigning",
                "ext.eku error id-kp-emailProtection",
            ],
        ),
        case(
            R,
            "fail-not-recommended",
            summer().eku(false, &[SERVER_AUTH, &[0x2b, 6, 1, 5, 5, 7, 3, 17]]),
            &["ext.eku warning 1.3.6.1.5.5.7.3.17"],
        ),
        case(R, "pass-client-2027-03-14", to_june(&eve("2027-03-15")).eku(false, &[SERVER_AUTH, CLIENT_AUTH]), &[]),
        case(
            R,
            "fail-client-2027-03-15",
            to_june("2027-03-15").eku(false, &[SERVER_AUTH, CLIENT_AUTH]),
            &["ext.eku warning id-kp-clientAuth"],
        ),
        case(R, "pass-ocsp-responder", Spec::new("2026-06-01", "2026-07-15").no_san().eku(false, &[OCSP_SIGNING]), &[]),
        case(
            R,
            "fail-server-that-signs-ocsp",
            summer().eku(false, &[SERVER_AUTH, OCSP_SIGNING]),
            &["ext.eku error id-kp-OCSPSigning"],
        ),
        case(R, "pass-2023-09-14", at("2023-09-14 23:59:59").no_eku(), &[]),
        case(R, "fail-2023-09-15", at("2023-09-15").no_eku(), &["ext.eku error extKeyUsage"]),
    ]
}

fn to_june(day: &str) -> Spec {
    Spec::new(day, "2027-06-01").dns("www.example.com")
}

pub fn encoding() -> Vec<Case> {
    const R: &str = "cert.unparsable";
    let summer = || Spec::summer("www.example.com");
    let bad: &[&str] = &["cert.unparsable error certificate"];
    vec![
        case(R, "pass-well-formed", summer(), &[]),
        case(R, "pass-well-formed-ca", Spec::new("2020-01-01", "2040-01-01").no_san().no_eku().ca(), &[]),
        case(R, "fail-trailing-octets", summer().trailing(&[0]), bad),
        case(R, "fail-serial-with-context-tag", summer().serial(&[0x82, 1, 7]), bad),
        case(R, "fail-serial-not-minimal", summer().serial(&[2, 2, 0, 7]), bad),
        case(R, "fail-key-usage-is-not-der", summer().with(KEY_USAGE, true, &[3, 0x81, 2, 7, 0x80]), bad),
        case(
            R,
            "fail-value-is-not-der",
            summer().extension(&[0x55, 0x1d, 55], false, &[0x30, 0x81, 0]),
            &["cert.unparsable error certificate", "ext.other warning 2.5.29.55"],
        ),
        case("cert.version", "fail-2", summer().version(&[0xa0, 3, 2, 1, 1]), &["cert.version error version"]),
        case("cert.version", "fail-absent", summer().version(&[]), &["cert.version error version"]),
        case("cert.version", "pass-3", summer(), &[]),
        case("cert.unique_id", "pass-none", summer(), &[]),
        case(
            "cert.unique_id",
            "fail-both",
            summer().unique_ids(&[0x81, 2, 0, 7, 0x82, 2, 0, 7]),
            &["cert.unique_id error issuerUniqueID", "cert.unique_id error subjectUniqueID"],
        ),
        case("cert.is_ca", "fail-server-that-is-a-ca", summer().ca(), &["cert.is_ca critical basicConstraints"]),
        case(
            "cert.is_ca",
            "fail-also-judged-as-server",
            Spec::summer("x.corp").ca(),
            &["cert.is_ca critical basicConstraints", "name.internal error x.corp"],
        ),
        case("cert.is_ca", "pass-ca-without-names", Spec::new("2020-01-01", "2040-01-01").no_san().ca(), &[]),
    ]
}
