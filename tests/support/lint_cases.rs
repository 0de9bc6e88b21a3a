//! The fixtures of the rules: what is put into each certificate and what must be found in it, written by hand.

use super::certgen::{ANY_EKU, CLIENT_AUTH, CODE_SIGNING, EMAIL, OCSP_SIGNING, SERVER_AUTH, Spec, tlv};

/// One fixture, `tests/fixtures/lint/<rule>/<name>.case`.
pub struct Case {
    /// The rule whose boundary it marks.
    pub rule: &'static str,
    /// What is special about it.
    pub name: &'static str,
    /// The time of issuance, when it is not notBefore.
    pub issued_at: Option<&'static str>,
    /// The certificate.
    pub der: Vec<u8>,
    /// Every finding, as `rule severity subject`.
    pub expected: Vec<String>,
}

fn case(rule: &'static str, name: &'static str, spec: Spec, expected: &[&str]) -> Case {
    let expected = expected.iter().map(|line| line.to_string()).collect();
    Case { rule, name, issued_at: None, der: spec.der(), expected }
}

fn issued(mut case: Case, at: &'static str) -> Case {
    case.issued_at = Some(at);
    case
}

/// All fixtures.
pub fn all() -> Vec<Case> {
    [names(), syntax(), wildcards(), addresses(), alternative_names(), common_names(), validity(), usages(), encoding()]
        .into_iter()
        .flatten()
        .collect()
}

fn names() -> Vec<Case> {
    const R: &str = "name.internal";
    const ONION: &str = "www.2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";
    let seed = "www.barakaldo.bizkaia.euskalsarea";
    vec![
        case(
            R,
            "fail-seed-euskalsarea",
            Spec::summer(seed),
            &["name.internal error www.barakaldo.bizkaia.euskalsarea"],
        ),
        case(
            R,
            "fail-seed-euskalsarea-precertificate",
            Spec::summer(seed).poison().cn(seed),
            &["name.internal error www.barakaldo.bizkaia.euskalsarea"],
        ),
        case(
            R,
            "fail-seed-jaso-2016",
            Spec::new("2016-05-10", "2018-05-09").dns("www.example.jaso"),
            &["name.internal error www.example.jaso"],
        ),
        case(R, "pass-seed-barakaldo-eus", Spec::summer("www.barakaldo.eus").cn("www.barakaldo.eus"), &[]),
        case(R, "pass-seed-test-ssl-com", Spec::summer("test.ssl.com"), &[]),
        case(R, "pass-upper-case", Spec::summer("WWW.EXAMPLE.COM"), &[]),
        case(R, "fail-single-label", Spec::summer("intranet"), &["name.internal error intranet"]),
        case(R, "fail-wildcard", Spec::summer("*.corp"), &["name.internal error *.corp"]),
        case(
            R,
            "fail-each-name-alone",
            Spec::summer("co.uk").dns("a-.example.com").dns("x.local").dns("y.local"),
            &["name.internal error x.local", "name.internal error y.local", "name.ldh error a-.example.com"],
        ),
        case(R, "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2016-06-01").dns("mail.corp"), &[]),
        case(
            R,
            "fail-2012-07-01-outlives-deadline",
            Spec::new("2012-07-01", "2015-11-01 00:00:01").dns("mail.corp"),
            &["name.internal error mail.corp"],
        ),
        case(R, "pass-2012-07-01-ends-by-deadline", Spec::new("2012-07-01", "2015-11-01").dns("mail.corp"), &[]),
        case(R, "pass-2015-10-31-ends-by-deadline", Spec::new("2015-10-31", "2015-11-01").dns("mail.corp"), &[]),
        case(
            R,
            "fail-2015-11-01",
            Spec::new("2015-11-01", "2015-12-01").dns("mail.corp"),
            &["name.internal error mail.corp"],
        ),
        case(
            R,
            "fail-tld-day-before-delegation",
            Spec::new("2026-04-16 23:59:59", "2026-06-01").dns("www.merck"),
            &["name.internal error www.merck"],
        ),
        case(R, "pass-tld-day-of-delegation", Spec::new("2026-04-17", "2026-06-01").dns("www.merck"), &[]),
        case(R, "pass-tld-day-of-removal", Spec::new("2016-02-24 23:59:59", "2017-02-24").dns("www.doosan"), &[]),
        case(
            R,
            "fail-tld-day-after-removal",
            Spec::new("2016-02-25", "2017-02-24").dns("www.doosan"),
            &["name.internal error www.doosan"],
        ),
        case(R, "pass-country-before-retirement", Spec::new("2015-07-31", "2016-02-24").dns("www.example.an"), &[]),
        case(
            R,
            "fail-country-after-retirement",
            Spec::new("2015-08-01", "2016-02-24").dns("www.example.an"),
            &["name.internal error www.example.an"],
        ),
        issued(
            case(
                R,
                "fail-issued-later-than-not-before",
                Spec::new("2016-02-24", "2017-02-24").dns("www.doosan"),
                &["name.internal error www.doosan"],
            ),
            "2016-02-26T00:00:00Z",
        ),
        case(R, "pass-onion", Spec::summer(ONION), &[]),
        case(
            R,
            "fail-onion-before-ballot-144",
            Spec::new("2015-02-17 23:59:59", "2016-02-17").dns(ONION),
            &[&format!("name.internal error {ONION}")],
        ),
        case(R, "pass-onion-at-ballot-144", Spec::new("2015-02-18", "2016-02-17").dns(ONION), &[]),
        case(R, "fail-onion-alone", Spec::summer("onion"), &["name.internal error onion"]),
        case(
            "name.internal_cn",
            "fail-cn-only",
            Spec::summer("www.example.com").cn("intranet"),
            &["cn.from_san error intranet", "name.internal_cn error intranet"],
        ),
        case("name.internal_cn", "pass-cn-is-a-san", Spec::summer("www.example.com").cn("www.example.com"), &[]),
        case(
            "name.internal_cn",
            "pass-before-2012-07-01",
            Spec::new("2012-06-30 23:59:59", "2016-06-01").dns("www.example.com").cn("intranet"),
            &[],
        ),
        case(
            "name.internal_cn",
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2016-06-01").dns("www.example.com").cn("intranet"),
            &["cn.from_san error intranet", "name.internal_cn error intranet"],
        ),
        case(
            "name.reverse_zone",
            "pass-2026-03-14",
            Spec::new("2026-03-14 23:59:59", "2026-05-01").dns("1.0.10.in-addr.arpa"),
            &[],
        ),
        case(
            "name.reverse_zone",
            "fail-2026-03-15",
            Spec::new("2026-03-15", "2026-05-01").dns("1.0.10.in-addr.arpa"),
            &["name.reverse_zone error 1.0.10.in-addr.arpa"],
        ),
        case(
            "name.reverse_zone",
            "fail-the-zone-itself",
            Spec::summer("IP6.arpa"),
            &["name.reverse_zone error IP6.arpa"],
        ),
        case(
            "name.reverse_zone",
            "fail-wildcard",
            Spec::summer("*.8.b.d.0.1.0.0.2.ip6.arpa"),
            &["name.reverse_zone error *.8.b.d.0.1.0.0.2.ip6.arpa"],
        ),
        case("name.reverse_zone", "pass-look-alike", Spec::summer("xin-addr.arpa"), &[]),
    ]
}

fn syntax() -> Vec<Case> {
    const R: &str = "name.ldh";
    const U: &str = "name.underscore";
    let label = |octets: usize| format!("{}.example.com", "a".repeat(octets));
    let long = |octets: usize| {
        let labels = format!("{}.", "a".repeat(50)).repeat(5);
        format!("{}.com", &labels[..octets - 4])
    };
    let alone = |name: &str, rule: &str| format!("{rule} error {name}");
    vec![
        case(R, "pass-63-octets", Spec::summer(&label(63)), &[]),
        case(R, "fail-64-octets", Spec::summer(&label(64)), &[&alone(&label(64), R)]),
        case(
            R,
            "fail-hyphen-last-left-of-sld",
            Spec::summer("foo-.www.example.com"),
            &["name.ldh error foo-.www.example.com"],
        ),
        case(R, "fail-hyphen-first", Spec::summer("www.-example.com"), &["name.ldh error www.-example.com"]),
        case(R, "fail-redacted", Spec::summer("?.example.com"), &["name.ldh error ?.example.com"]),
        case(R, "fail-empty-label", Spec::summer("a..example.com"), &["name.ldh error a..example.com"]),
        case(R, "fail-leading-dot", Spec::summer(".example.com"), &["name.ldh error .example.com"]),
        case(
            R,
            "fail-before-2021-08-25",
            Spec::new("2021-08-24", "2022-08-24").dns("-a.example.com"),
            &["name.ldh error -a.example.com"],
        ),
        case(
            "name.reserved_ldh",
            "pass-2021-09-30",
            Spec::new("2021-09-30 23:59:59", "2022-08-24").dns("ab--c.example.com"),
            &[],
        ),
        case(
            "name.reserved_ldh",
            "fail-2021-10-01",
            Spec::new("2021-10-01", "2022-08-24").dns("ab--c.example.com"),
            &["name.reserved_ldh error ab--c.example.com"],
        ),
        case(
            "name.reserved_ldh",
            "fail-not-left-most",
            Spec::summer("www.XY--c.com"),
            &["name.reserved_ldh error www.XY--c.com"],
        ),
        case("name.reserved_ldh", "pass-elsewhere", Spec::summer("a--b.abc--d.com"), &[]),
        case(
            "name.plabel",
            "pass-muenchen",
            Spec::summer("xn--mnchen-3ya.example.com").dns("XN--MNCHEN-3YA.example.com"),
            &["san.dup warning xn--mnchen-3ya.example.com"],
        ),
        case(
            "name.plabel",
            "fail-empty",
            Spec::summer("xn--.example.com"),
            &["name.ldh error xn--.example.com", "name.plabel error xn--.example.com"],
        ),
        case(
            "name.plabel",
            "fail-not-punycode",
            Spec::summer("xn--99999999.example.com"),
            &["name.plabel error xn--99999999.example.com"],
        ),
        case(
            "name.plabel",
            "fail-ascii-only",
            Spec::summer("www.xn--abc-.com"),
            &["name.ldh error www.xn--abc-.com", "name.plabel error www.xn--abc-.com"],
        ),
        case(
            "name.plabel",
            "pass-2021-09-30",
            Spec::new("2021-09-30 23:59:59", "2022-08-24").dns("xn--99999999.example.com"),
            &[],
        ),
        case(
            "name.plabel",
            "fail-2021-10-01",
            Spec::new("2021-10-01", "2022-08-24").dns("xn--99999999.example.com"),
            &["name.plabel error xn--99999999.example.com"],
        ),
        case(
            "name.root_dot",
            "fail-2021-08-25",
            Spec::new("2021-08-25", "2022-08-24").dns("example.com."),
            &["name.ldh error example.com.", "name.root_dot error example.com."],
        ),
        case(
            "name.root_dot",
            "pass-2021-08-24",
            Spec::new("2021-08-24 23:59:59", "2022-08-24").dns("example.com."),
            &["name.ldh error example.com."],
        ),
        case("name.root_dot", "pass-none", Spec::summer("example.com"), &[]),
        case("name.length", "pass-253", Spec::summer(&long(253)), &[]),
        case("name.length", "fail-254", Spec::summer(&long(254)), &[&alone(&long(254), "name.length")]),
        case(
            "name.ascii",
            "fail-nul",
            Spec::summer("www.example.com").dns_octets(b"a\0.example.com"),
            &["name.ascii error a\\x00.example.com", "name.ldh error a\\x00.example.com"],
        ),
        case(
            "name.ascii",
            "fail-u-label",
            Spec::summer("münchen.example.com"),
            &["name.ascii error m\\xc3\\xbcnchen.example.com", "name.ldh error m\\xc3\\xbcnchen.example.com"],
        ),
        case(
            "name.ascii",
            "fail-space",
            Spec::summer(" example.com"),
            &["name.ascii error  example.com", "name.ldh error  example.com"],
        ),
        case("name.ascii", "pass-ascii", Spec::summer("a-1.example.com"), &[]),
        case("name.ip_as_dns", "fail-ipv4", Spec::summer("8.8.8.8"), &["name.ip_as_dns error 8.8.8.8"]),
        case(
            "name.ip_as_dns",
            "fail-ipv6",
            Spec::summer("2001:4860::8888"),
            &["name.ip_as_dns error 2001:4860::8888", "name.ldh error 2001:4860::8888"],
        ),
        case("name.ip_as_dns", "pass-a-name-of-digits", Spec::summer("8.8.8.com"), &[]),
        case(U, "pass-2018-12-09", Spec::new("2018-12-09 23:59:59", "2019-12-01").dns("a_b.example.com"), &[]),
        case(
            U,
            "fail-2018-12-10-long",
            Spec::new("2018-12-10", "2019-12-01").dns("www.a_b.example.com"),
            &["name.underscore error www.a_b.example.com"],
        ),
        case(U, "pass-30-days", Spec::new("2018-12-10", "2019-01-08 23:59:59").dns("www.a_b.example.com"), &[]),
        case(
            U,
            "fail-30-days-and-a-second",
            Spec::new("2018-12-10", "2019-01-09").dns("www.a_b.example.com"),
            &["name.underscore error www.a_b.example.com"],
        ),
        case(
            U,
            "fail-left-most-label",
            Spec::new("2018-12-10", "2019-01-08").dns("a_b.example.com"),
            &["name.underscore error a_b.example.com"],
        ),
        case(
            U,
            "fail-at-an-end-of-a-label",
            Spec::new("2018-12-10", "2019-01-08").dns("www._a.example.com"),
            &["name.underscore error www._a.example.com"],
        ),
        case(U, "pass-2019-03-31", Spec::new("2019-03-31 23:59:59", "2019-04-20").dns("www.a_b.example.com"), &[]),
        case(
            U,
            "fail-2019-04-01",
            Spec::new("2019-04-01", "2019-04-20").dns("www.a_b.example.com"),
            &["name.underscore error www.a_b.example.com"],
        ),
        case(U, "fail-today", Spec::summer("a_b.example.com"), &["name.underscore error a_b.example.com"]),
    ]
}

fn wildcards() -> Vec<Case> {
    const R: &str = "wc.form";
    vec![
        case(R, "pass-one-label", Spec::summer("*.example.com"), &[]),
        case(R, "fail-part-of-a-label", Spec::summer("w*.example.com"), &["wc.form error w*.example.com"]),
        case(R, "fail-two-asterisks", Spec::summer("**.example.com"), &["wc.form error **.example.com"]),
        case(R, "fail-not-left-most", Spec::summer("a.*.example.com"), &["wc.form error a.*.example.com"]),
        case(R, "fail-twice", Spec::summer("*.*.example.com"), &["wc.form error *.*.example.com"]),
        case(R, "fail-alone", Spec::summer("*"), &["name.internal error *", "wc.form error *"]),
        case(R, "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2013-06-30").dns("w*.example.com"), &[]),
        case(
            R,
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2013-06-30").dns("w*.example.com"),
            &["wc.form error w*.example.com"],
        ),
        case("wc.suffix", "fail-co-uk", Spec::summer("*.co.uk"), &["wc.suffix review *.co.uk"]),
        case("wc.suffix", "fail-wildcard-rule", Spec::summer("*.foo.ck"), &["wc.suffix review *.foo.ck"]),
        case("wc.suffix", "pass-exception-rule", Spec::summer("*.www.ck"), &[]),
        case("wc.suffix", "pass-private-section", Spec::summer("*.github.io"), &[]),
        case("wc.suffix", "pass-below", Spec::summer("*.example.co.uk").dns("co.uk"), &[]),
        case("wc.suffix", "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2013-06-30").dns("*.co.uk"), &[]),
        case(
            "wc.suffix",
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2013-06-30").dns("*.co.uk"),
            &["wc.suffix review *.co.uk"],
        ),
    ]
}

fn addresses() -> Vec<Case> {
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

fn alternative_names() -> Vec<Case> {
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
            &["name.internal error x.corp", "san.der error subjectAltName"],
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

fn common_names() -> Vec<Case> {
    const R: &str = "cn.from_san";
    let summer = || Spec::summer("www.example.com");
    let at = |day: &str| Spec::new(day, "2022-01-01").dns("www.example.com").ip("2001:4860:4860::8888");
    let (before, after) = ("2021-08-24 23:59:59", "2021-08-25");
    vec![
        case(R, "pass-copy", summer().cn("www.example.com"), &[]),
        case(R, "pass-no-cn", summer(), &[]),
        case(R, "fail-not-in-san", summer().cn("example.com"), &["cn.from_san error example.com"]),
        case(R, "pass-other-case-2021-08-24", at(before).cn("WWW.example.com"), &[]),
        case(R, "fail-other-case-2021-08-25", at(after).cn("WWW.example.com"), &["cn.from_san error WWW.example.com"]),
        case(R, "pass-two-2021-08-24", at(before).cn("www.example.com").cn("WWW.example.com"), &[]),
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
            &["cn.from_san error \\x00w\\x00w\\x00", "name.internal_cn error \\x00w\\x00w\\x00"],
        ),
        case(R, "pass-bmp-string", Spec::summer("a.eu").cn_octets(30, b"\0a\0.\0e\0u"), &[]),
        case(R, "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2013-01-01").dns("a.com").cn("b.com"), &[]),
        case(
            R,
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2013-01-01").dns("a.com").cn("b.com"),
            &["cn.from_san error b.com"],
        ),
    ]
}

fn validity() -> Vec<Case> {
    const R: &str = "val.max";
    let from = |not_before: &str, not_after: &str| Spec::new(not_before, not_after).dns("www.example.com");
    let bad: &[&str] = &["val.max error validity"];
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
        case(R, "pass-2020-08-31-825-days", from("2020-08-31", "2022-12-03 23:59:59"), &[]),
        case(R, "pass-2020-09-01-398-days", from("2020-09-01", "2021-10-03 23:59:59"), &[]),
        case(R, "fail-2020-09-01-398-days-and-a-second", from("2020-09-01", "2021-10-04"), bad),
        case(R, "pass-2026-03-14-398-days", from("2026-03-14", "2027-04-15 23:59:59"), &[]),
        case(R, "pass-2026-03-15-200-days", from("2026-03-15", "2026-09-30 23:59:59"), &[]),
        case(R, "fail-2026-03-15-200-days-and-a-second", from("2026-03-15", "2026-10-01"), bad),
        issued(
            case(R, "fail-backdated-over-the-step", from("2026-03-14", "2027-04-15 23:59:59"), bad),
            "2026-03-15T00:00:00Z",
        ),
        case(R, "pass-2027-03-14-200-days", from("2027-03-14", "2027-09-29 23:59:59"), &[]),
        case(R, "pass-2027-03-15-100-days", from("2027-03-15", "2027-06-22 23:59:59"), &[]),
        case(R, "fail-2027-03-15-100-days-and-a-second", from("2027-03-15", "2027-06-23"), bad),
        case(R, "pass-2029-03-14-100-days", from("2029-03-14", "2029-06-21 23:59:59"), &[]),
        case(R, "pass-2029-03-15-47-days", from("2029-03-15", "2029-04-30 23:59:59"), &[]),
        case(R, "fail-2029-03-15-47-days-and-a-second", from("2029-03-15", "2029-05-01"), bad),
        case(R, "fail-no-well-defined-end", from("2026-06-01", "9999-12-31 23:59:59"), bad),
        case(
            R,
            "fail-unreadable-end",
            from("2026-06-01", "2026-06-02").not_after_der(&tlv(23, b"261301000000Z")),
            &["cert.unparsable error certificate", "val.max error validity"],
        ),
    ]
}

fn usages() -> Vec<Case> {
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

fn encoding() -> Vec<Case> {
    const R: &str = "cert.unparsable";
    let summer = || Spec::summer("www.example.com");
    let bad: &[&str] = &["cert.unparsable error certificate"];
    vec![
        case(R, "pass-well-formed", summer(), &[]),
        case(R, "pass-well-formed-ca", Spec::new("2020-01-01", "2040-01-01").no_san().no_eku().ca(), &[]),
        case(R, "fail-trailing-octets", summer().trailing(&[0]), bad),
        case(R, "fail-serial-with-context-tag", summer().serial(&[0x82, 1, 7]), bad),
        case(R, "fail-serial-not-minimal", summer().serial(&[2, 2, 0, 7]), bad),
        case(R, "fail-version-2", summer().version(&[0xa0, 3, 2, 1, 1]), bad),
        case(R, "fail-time-without-seconds", summer().not_after_der(&tlv(23, b"2607152359Z")), bad),
        case(R, "fail-generalized-time-before-2050", summer().not_after_der(&tlv(24, b"20260715235959Z")), bad),
        case(R, "fail-key-usage-is-not-der", summer().extension(&[0x55, 0x1d, 15], true, &[3, 9, 1]), bad),
        case(
            R,
            "fail-critical-is-encoded-false",
            summer().extension(&[0x55, 0x1d, 54], false, &[4, 0]).extension(&[0x55, 0x1d, 55], false, &[0x30, 0x81, 0]),
            bad,
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
