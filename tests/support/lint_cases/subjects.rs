//! Fixtures of the rules about the subject.

use super::{Case, case, eve};
use crate::certgen::{DV, EV, IV, OV, POLICIES, Spec, attribute, policies};

/// First day of the profile of BR 7.1.2.7.
const PROFILE: &str = "2023-09-15";
const JURISDICTION: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3];
const DOMAIN_COMPONENT: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
// The last number of the attribute types under 2.5.4.
const SN: u8 = 4;
const SERIAL: u8 = 5;
const C: u8 = 6;
const L: u8 = 7;
const ST: u8 = 8;
const STREET: u8 = 9;
const O: u8 = 10;
const OU: u8 = 11;
const CATEGORY: u8 = 15;
const GN: u8 = 42;
const ORGANIZATION_ID: u8 = 97;

fn summer() -> Spec {
    Spec::summer("www.example.com")
}

/// The same certificate a second before the profile and at its first second.
fn around(rule: &'static str, build: impl Fn(Spec) -> Spec, expected: &[&str]) -> Vec<Case> {
    let on = |day: &str| build(Spec::new(day, "2024-01-01").dns("www.example.com"));
    vec![case(rule, "pass-2023-09-14", on(&eve(PROFILE)), &[]), case(rule, "fail-2023-09-15", on(PROFILE), expected)]
}

/// An OV certificate that breaks no rule: `C=ES, L=Bilbao, O=Example`.
fn ov() -> Spec {
    summer().policy(OV).attr(C, "ES").attr(L, "Bilbao").attr(O, "Example")
}

/// An EV certificate that breaks no rule.
pub fn ev() -> Spec {
    ev_for(summer())
}

fn ev_for(spec: Spec) -> Spec {
    incorporated(spec, "ES")
}

fn ev_in(jurisdiction: &str) -> Spec {
    incorporated(summer(), jurisdiction)
}

fn incorporated(spec: Spec, jurisdiction: &str) -> Spec {
    let organization = spec.policy(EV).attr(C, "ES").attr(L, "Bilbao").attr(O, "Example");
    let organization = organization.attr(CATEGORY, "Private Organization").attr_of(JURISDICTION, 19, jurisdiction);
    organization.attr(SERIAL, "A12345678")
}

pub fn validations() -> Vec<Case> {
    let two = || policies(&[DV, OV]);
    let mut cases = vec![
        case("subj.dv", "pass-empty", summer(), &[]),
        case("subj.dv", "pass-country", summer().attr(C, "ES"), &[]),
        case("subj.dv", "fail-organization", summer().attr(C, "ES").attr(O, "Example"), &["subj.dv error O=Example"]),
        case(
            "subj.dv",
            "pass-two-policies",
            summer().attr(O, "Example").with(POLICIES, false, &two()),
            &["ext.cp error certificatePolicies"],
        ),
        case("subj.ov", "pass-locality", ov(), &[]),
        case("subj.ov", "pass-state", summer().policy(OV).attr(C, "ES").attr(ST, "Bizkaia").attr(O, "Example"), &[]),
        case(
            "subj.ov",
            "fail-empty",
            summer().policy(OV),
            &["subj.ov error C", "subj.ov error L or ST", "subj.ov error O"],
        ),
        case("subj.ov", "fail-given-name", ov().attr(GN, "Ane"), &["subj.ov error GN=Ane"]),
        case("subj.ov", "pass-organization-identifier", ov().attr(ORGANIZATION_ID, "VATES-A12345678"), &[]),
        case(
            "subj.iv",
            "pass-person",
            summer().policy(IV).attr(C, "ES").attr(L, "Bilbao").attr(SN, "Etxeberria").attr(GN, "Ane"),
            &[],
        ),
        case(
            "subj.iv",
            "fail-no-person",
            summer().policy(IV).attr(C, "ES").attr(L, "Bilbao"),
            &["subj.iv error GN", "subj.iv error SN"],
        ),
        case("subj.ev", "pass-organization", ev(), &[]),
        case(
            "subj.ev",
            "fail-like-ov",
            ov().policy(EV),
            &["subj.ev error businessCategory", "subj.ev error jurisdictionC", "subj.ev error serialNumber"],
        ),
        case(
            "subj.ev",
            "fail-another-category",
            summer()
                .policy(EV)
                .attr(C, "ES")
                .attr(L, "Bilbao")
                .attr(O, "Example")
                .attr(CATEGORY, "V1.0, Clause 5.(b)")
                .attr_of(JURISDICTION, 19, "ES")
                .attr(SERIAL, "A12345678"),
            &["subj.ev error businessCategory=V1.0, Clause 5.(b)"],
        ),
        case("subj.ev", "fail-title", ev().attr(12, "Director"), &["subj.ev error 2.5.4.12=Director"]),
        case("subj.ou", "pass-none", ov(), &[]),
        case("subj.ou", "fail-present", ov().attr(OU, "Sales"), &["subj.ou error OU=Sales"]),
        case("subj.ou", "fail-in-dv", summer().attr(OU, "Sales"), &["subj.ou error OU=Sales"]),
        case("subj.ou", "pass-2022-08-31", units("2022-08-31 23:59:59"), &[]),
        case("subj.ou", "fail-2022-09-01", units("2022-09-01"), &["subj.ou error OU=Sales"]),
    ];
    cases.extend(around("subj.dv", |spec| spec.attr(SERIAL, "A1"), &["subj.dv error serialNumber=A1"]));
    let dv = |day: &str| Spec::new(day, "2013-06-01").dns("www.example.com").attr(C, "ES").attr(SERIAL, "A1");
    let organized = |day: &str| dv(day).attr(O, "Example").attr(L, "Bilbao");
    cases.push(case("subj.dv", "pass-2012-06-30", organized("2012-06-30 23:59:59"), &[]));
    cases.push(case(
        "subj.dv",
        "fail-2012-07-01",
        organized("2012-07-01"),
        &["subj.dv error L=Bilbao", "subj.dv error O=Example"],
    ));
    let incomplete = |spec: Spec| spec.policy(OV).attr(C, "ES").attr(L, "Bilbao");
    cases.extend(around("subj.ov", incomplete, &["subj.ov error O"]));
    let nameless = |spec: Spec| spec.policy(IV).attr(C, "ES").attr(L, "Bilbao").attr(SN, "Etxeberria");
    cases.extend(around("subj.iv", nameless, &["subj.iv error GN"]));
    cases.extend(around("subj.ev", |spec| ev_for(spec).attr(12, "Director"), &["subj.ev error 2.5.4.12=Director"]));
    cases
}

fn units(day: &str) -> Spec {
    Spec::new(day, "2023-09-01").dns("www.example.com").policy(OV).attr(O, "Example").attr(OU, "Sales")
}

pub fn forms() -> Vec<Case> {
    let place = || summer().policy(OV).attr(C, "ES").attr(L, "Bilbao");
    let long = |characters: usize| "ñ".repeat(characters);
    let shown = |characters: usize| format!("subj.len error O={}", "\\xc3\\xb1".repeat(characters));
    let backwards = |spec: Spec| spec.policy(OV).attr(O, "Example").attr(L, "Bilbao").attr(C, "ES");
    let mut cases = vec![
        case("subj.order", "pass-as-in-the-table", ov(), &[]),
        case("subj.order", "fail-backwards", backwards(summer()), &["subj.order error subject"]),
        case(
            "subj.order",
            "fail-two-in-one-rdn",
            place().rdn_of(&[attribute(O, 12, b"Example"), attribute(ORGANIZATION_ID, 12, b"VATES-A1")]),
            &["subj.order error organizationIdentifier=VATES-A1"],
        ),
        case(
            "subj.order",
            "pass-untabled-first",
            summer().policy(OV).attr(ORGANIZATION_ID, "VATES-A1").attr(C, "ES").attr(L, "Bilbao").attr(O, "Example"),
            &[],
        ),
        case(
            "subj.dup",
            "pass-two-streets",
            place().attr(STREET, "Kale Nagusia").attr(STREET, "1").attr(O, "Example"),
            &[],
        ),
        case(
            "subj.dup",
            "pass-two-domain-components",
            summer()
                .policy(OV)
                .attr_of(DOMAIN_COMPONENT, 22, "com")
                .attr_of(DOMAIN_COMPONENT, 22, "example")
                .attr(C, "ES")
                .attr(L, "Bilbao")
                .attr(O, "Example"),
            &[],
        ),
        case("subj.dup", "fail-two-organizations", ov().attr(O, "Example"), &["subj.dup error O"]),
        case("subj.enc", "pass-utf8", place().attr(O, "Exámple"), &[]),
        case("subj.enc", "pass-printable", place().attr_octets(O, 19, b"Example (ES)"), &[]),
        case(
            "subj.enc",
            "fail-teletex",
            place().attr_octets(O, 20, b"Ex\xe1mple"),
            &["subj.enc error O=Ex\\xc3\\xa1mple"],
        ),
        case("subj.enc", "fail-utf8-country", ov_with_country(12, b"ES"), &["subj.enc error C=ES"]),
        case("subj.enc", "fail-small-country", ov_with_country(19, b"es"), &["subj.enc error C=es"]),
        case("subj.enc", "pass-country-xx", ov_with_country(19, b"XX"), &[]),
        case(
            "subj.enc",
            "fail-long-country",
            ov_with_country(19, b"ESP"),
            &["subj.enc error C=ESP", "subj.len error C=ESP"],
        ),
        case(
            "subj.enc",
            "fail-at-sign-in-printable",
            place().attr_octets(O, 19, b"a@example.com"),
            &["subj.enc error O=a@example.com"],
        ),
        case(
            "subj.enc",
            "fail-latin1-as-utf8",
            place().attr_octets(O, 12, b"Ex\xe1mple"),
            &["subj.enc error O=Ex\\xe1mple"],
        ),
        case("subj.len", "pass-64-characters-of-two-octets", place().attr(O, &long(64)), &[]),
        case("subj.len", "fail-65-characters", place().attr(O, &long(65)), &[&shown(65)]),
        case("subj.country", "pass-assigned", ov_with_country(19, b"SX"), &[]),
        case("subj.country", "pass-xx", ov_with_country(19, b"XX"), &[]),
        case("subj.country", "fail-reserved", ov_with_country(19, b"UK"), &["subj.country error C=UK"]),
        case("subj.country", "fail-never-assigned", ov_with_country(19, b"ZZ"), &["subj.country error C=ZZ"]),
        case("subj.country", "fail-withdrawn", ov_with_country(19, b"AN"), &["subj.country error C=AN"]),
        case("subj.country", "pass-small-letters", ov_with_country(19, b"es"), &["subj.enc error C=es"]),
        case("subj.country", "review-jurisdiction-xx", ev_in("XX"), &["subj.country review jurisdictionC=XX"]),
        case("subj.country", "fail-jurisdiction", ev_in("YY"), &["subj.country error jurisdictionC=YY"]),
        case("subj.country", "pass-2012-06-30", abroad("2012-06-30 23:59:59"), &[]),
        case("subj.country", "fail-2012-07-01", abroad("2012-07-01"), &["subj.country error C=UK"]),
        case("subj.meta", "pass-a-value", ov(), &[]),
        case(
            "subj.meta",
            "pass-a-town-called-none",
            summer().policy(OV).attr(C, "IT").attr(L, "None").attr(O, "Example"),
            &[],
        ),
        case(
            "subj.meta",
            "fail-hyphen",
            summer().policy(OV).attr(C, "ES").attr(ST, "-").attr(L, "Bilbao").attr(O, "Example"),
            &["subj.meta error ST=-"],
        ),
        case("subj.meta", "fail-space", place().attr(O, " "), &["subj.meta error O= "]),
        case("subj.meta", "fail-empty", place().attr(O, ""), &["subj.meta error O="]),
        case("subj.meta", "fail-not-applicable", place().attr(O, "N/A"), &["subj.meta error O=N/A"]),
    ];
    cases.extend(around("subj.order", backwards, &["subj.order error subject"]));
    let place_on = |spec: Spec| spec.policy(OV).attr(C, "ES").attr(L, "Bilbao");
    cases.extend(around("subj.dup", |s| place_on(s).attr(O, "A1").attr(O, "A2"), &["subj.dup error O"]));
    cases.extend(around("subj.enc", |s| place_on(s).attr_octets(O, 20, b"Ab"), &["subj.enc error O=Ab"]));
    cases.extend(around("subj.len", |s| place_on(s).attr(O, &long(65)), &[&shown(65)]));
    cases.extend(around("subj.meta", |s| place_on(s).attr(O, "."), &["subj.meta error O=."]));
    cases
}

fn abroad(day: &str) -> Spec {
    Spec::new(day, "2013-06-01").dns("www.example.com").policy(OV).attr(C, "UK").attr(O, "Example")
}

fn ov_with_country(string_tag: u8, code: &[u8]) -> Spec {
    summer().policy(OV).attr_octets(C, string_tag, code).attr(L, "Bilbao").attr(O, "Example")
}

pub fn extended() -> Vec<Case> {
    vec![
        case("wc.ev", "pass-no-wildcard", ev(), &[]),
        case("wc.ev", "pass-wildcard-in-dv", summer().dns("*.example.com"), &[]),
        case("wc.ev", "fail-wildcard", ev().dns("*.example.com"), &["wc.ev error *.example.com"]),
        case("wc.ev", "pass-onion", ev().dns(&format!("*.{ONION}")), &[]),
        case("ev.ip", "pass-no-address", ev(), &[]),
        case("ev.ip", "pass-address-in-dv", summer().ip("8.8.8.8"), &[]),
        case("ev.ip", "fail-address", ev().ip("8.8.8.8"), &["ev.ip error 8.8.8.8"]),
    ]
}

/// The first example address of the Tor Rendezvous Specification - Version 3, section 6.
const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";

pub fn onions() -> Vec<Case> {
    const F: &str = "onion.form";
    const E: &str = "onion.ev";
    const OWN: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0x4d, 1];
    let bad = |name: &str| format!("onion.form error {name}");
    let on = |day: &str, to: &str, name: &str| Spec::new(day, to).dns(name);
    let checksum = ONION.replace("ryd.", "rid.");
    let version = ONION.replace("d.onion", "e.onion");
    let digit = ONION.replace("pg6", "pg1");
    let v2 = "expyuzz4wqqyqhjn.onion";
    vec![
        case(F, "pass-address", Spec::summer(ONION), &[]),
        case(
            F,
            "pass-second-example",
            Spec::summer("sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion"),
            &[],
        ),
        case(F, "pass-below-in-capitals", Spec::summer(&format!("WWW.{}", ONION.to_uppercase())), &[]),
        case(F, "fail-checksum", Spec::summer(&checksum), &[&bad(&checksum)]),
        case(F, "fail-version", Spec::summer(&version), &[&bad(&version)]),
        case(F, "fail-not-base32", Spec::summer(&digit), &[&bad(&digit)]),
        case(F, "fail-version-2-address", Spec::summer(v2), &[&bad(v2)]),
        case(F, "fail-version-2-address-in-ev", ev().dns(v2), &[&bad(v2)]),
        case(F, "pass-version-2-2020-03-26", ev_for(on(&eve("2020-03-27"), "2021-03-01", v2)), &[]),
        case(F, "fail-version-2-2020-03-27", ev_for(on("2020-03-27", "2021-03-01", v2)), &[&bad(v2)]),
        case(E, "pass-2015-02-17", on(&eve("2015-02-18"), "2015-03-01", v2), &[]),
        case(E, "fail-2015-02-18", on("2015-02-18", "2015-11-02", v2), &["onion.ev error expyuzz4wqqyqhjn.onion"]),
        case(
            E,
            "review-own-policy",
            on("2016-02-18", "2017-01-01", v2).with(POLICIES, false, &policies(&[OWN])),
            &["onion.ev review expyuzz4wqqyqhjn.onion"],
        ),
        case(E, "pass-ev", ev_for(on("2016-02-18", "2017-01-01", v2)), &[]),
        case(E, "fail-2020-03-26", on(&eve("2020-03-27"), "2021-03-01", ONION), &[&format!("onion.ev error {ONION}")]),
        case(E, "pass-2020-03-27", on("2020-03-27", "2021-03-01", ONION), &[]),
    ]
}
