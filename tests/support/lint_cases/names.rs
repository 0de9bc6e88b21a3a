//! Fixtures of the rules about dNSNames.

use super::{CN, Case, case, issued};
use crate::certgen::{CLIENT_AUTH, EV, OV, POLICIES, Spec};

pub fn names() -> Vec<Case> {
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
            &[CN, "name.internal error www.barakaldo.bizkaia.euskalsarea"],
        ),
        case(
            R,
            "fail-seed-jaso-2016",
            Spec::new("2016-05-10", "2018-05-09").dns("www.example.jaso"),
            &["name.internal error www.example.jaso"],
        ),
        case(R, "pass-seed-barakaldo-eus", Spec::summer("www.barakaldo.eus").cn("www.barakaldo.eus"), &[CN]),
        case(R, "pass-seed-test-ssl-com", Spec::summer("test.ssl.com"), &[]),
        case(R, "pass-upper-case", Spec::summer("WWW.EXAMPLE.COM"), &[]),
        case(R, "fail-single-label", Spec::summer("intranet"), &["name.internal error intranet"]),
        case(R, "fail-wildcard", Spec::summer("*.corp"), &["name.internal error *.corp"]),
        case(
            R,
            "fail-each-name-alone",
            Spec::summer("co.uk").dns("a-.example.com").dns("x.local").dns("y.local"),
            &[
                "name.bare_suffix review co.uk",
                "name.internal error x.local",
                "name.internal error y.local",
                "name.ldh error a-.example.com",
            ],
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
        case(R, "pass-onion-at-ballot-144", Spec::new("2015-02-18", "2016-02-17").dns(ONION).policy(EV), &[]),
        case(
            R,
            "fail-bare-tld-day-before-delegation",
            Spec::new("2026-04-16 23:59:59", "2026-06-01").dns("merck"),
            &["name.bare_suffix review merck", "name.internal error merck"],
        ),
        case(R, "fail-onion-alone", Spec::summer("onion"), &["name.internal error onion"]),
        case(
            "name.internal_cn",
            "fail-cn-only",
            Spec::summer("www.example.com").cn("intranet"),
            &["cn.from_san error intranet", CN, "name.internal_cn error intranet"],
        ),
        case("name.internal_cn", "pass-cn-is-a-san", Spec::summer("www.example.com").cn("www.example.com"), &[CN]),
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
            &["name.bare_suffix review IP6.arpa", "name.reverse_zone error IP6.arpa"],
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

pub fn syntax() -> Vec<Case> {
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
            "fail-2021-09-30",
            Spec::new("2021-09-30 23:59:59", "2022-08-24").dns("xn--99999999.example.com"),
            &["name.plabel warning xn--99999999.example.com"],
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

pub fn wildcards() -> Vec<Case> {
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
        case(
            "wc.suffix",
            "pass-below",
            Spec::summer("*.example.co.uk").dns("co.uk"),
            &["name.bare_suffix review co.uk"],
        ),
        case("wc.suffix", "pass-before-2012-07-01", Spec::new("2012-06-30 23:59:59", "2013-06-30").dns("*.co.uk"), &[]),
        case(
            "wc.suffix",
            "fail-2012-07-01",
            Spec::new("2012-07-01", "2013-06-30").dns("*.co.uk"),
            &["wc.suffix review *.co.uk"],
        ),
    ]
}

/// What the scope of a public linter would leave out.
pub fn out_of_scope_elsewhere() -> Vec<Case> {
    const R: &str = "name.internal";
    // Issuer and subject are the same bytes.
    let self_signed = Spec::new("2022-01-01", "2022-06-01").attr(6, "ES").attr(10, "ctwarden test CA");
    let self_signed = self_signed.dns("x.corp").policy(OV);
    let other_purpose = Spec::summer("x.corp").eku(false, &[CLIENT_AUTH]).without(POLICIES);
    vec![
        case(R, "fail-self-signed", self_signed, &["name.internal error x.corp"]),
        case(
            R,
            "fail-no-purpose-of-a-server",
            other_purpose,
            &["ext.cp error certificatePolicies", "ext.eku error id-kp-serverAuth", "name.internal error x.corp"],
        ),
    ]
}

pub fn oddities() -> Vec<Case> {
    const S: &str = "name.bare_suffix";
    const N: &str = "name.plabel_nfc";
    vec![
        case(S, "pass-one-label-more", Spec::summer("example.co.uk"), &[]),
        case(S, "review-suffix", Spec::summer("Co.Uk"), &["name.bare_suffix review Co.Uk"]),
        case(S, "review-tld", Spec::summer("google"), &["name.bare_suffix review google"]),
        case(S, "review-wildcard-rule", Spec::summer("foo.ck"), &["name.bare_suffix review foo.ck"]),
        case(S, "pass-exception-rule", Spec::summer("www.ck"), &[]),
        case(S, "pass-private-section", Spec::summer("github.io"), &[]),
        case(
            S,
            "review-masks-no-other-name",
            Spec::summer("co.uk").dns("a.-b.example.com"),
            &["name.bare_suffix review co.uk", "name.ldh error a.-b.example.com"],
        ),
        case(N, "pass-composed", Spec::summer("xn--caf-dma.example.com"), &[]),
        case(
            N,
            "fail-decomposed",
            Spec::summer("xn--cafe-yvc.example.com"),
            &["name.plabel_nfc warning xn--cafe-yvc.example.com"],
        ),
        case(N, "pass-idna-2008-but-not-2003", Spec::summer("xn--strae-oqa.example.com"), &[]),
        case(
            N,
            "pass-other-scripts",
            Spec::summer("xn--wgv71a119e.example.com").dns("xn--lododh2atk.example.com"),
            &[],
        ),
        case(
            N,
            "fail-symbol",
            Spec::summer("xn--iny-zx5a.example.com"),
            &["name.plabel_nfc warning xn--iny-zx5a.example.com"],
        ),
        case(
            N,
            "fail-upper-case",
            Spec::summer("xn--caf-mia7n.example.com"),
            &["name.plabel_nfc warning xn--caf-mia7n.example.com"],
        ),
    ]
}
