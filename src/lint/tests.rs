//! How the rules are run: intervals, dates, panics, scope; and real precertificates.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::certgen::Spec;
use super::*;
use crate::clock::{Span, date};
use crate::finding::{Needs, RevocationClock, br};

fn parsed(spec: &Spec) -> Certificate {
    Certificate::parse(&spec.der()).expect("generated")
}

fn judged(spec: &Spec, earliest: Timestamp, latest: Timestamp) -> Vec<Finding> {
    findings(&parsed(spec), Issued { earliest, latest }, &Tables::embedded())
}

#[test]
fn what_holds_at_both_ends_is_certain() {
    let spec = Spec::summer("www.barakaldo.bizkaia.euskalsarea");
    let found = judged(&spec, date(2026, 6, 1), date(2026, 6, 3));
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((finding.rule.as_ref(), finding.severity), ("name.internal", Severity::Error));
    assert_eq!((finding.citation.as_ref(), finding.clock), ("BR 4.2.2", RevocationClock::Day(5)));
    assert_eq!(
        finding.detail,
        "its last label `euskalsarea` is not a TLD of the IANA root zone (by the TLD list of 2026-08-02)"
    );
    assert!(finding.evidence[0].text.contains("2026-08-02"));
}

#[test]
fn what_holds_at_one_end_is_for_review_and_names_the_date() {
    let spec = Spec::new("2026-04-16", "2026-06-01").dns("www.merck");
    let found = judged(&spec, date(2026, 4, 16), date(2026, 4, 18));
    assert_eq!((found.len(), found[0].severity), (1, Severity::Review));
    assert!(found[0].detail.contains("only if issued before 2026-04-17"), "{}", found[0].detail);

    let spec = Spec::new("2026-03-14", "2026-12-31").dns("www.example.com");
    let found = judged(&spec, date(2026, 3, 14), date(2026, 3, 16));
    assert_eq!((found.len(), found[0].rule.as_ref(), found[0].severity), (1, "val.max", Severity::Review));
    assert!(found[0].detail.contains("only if issued on or after 2026-03-15"), "{}", found[0].detail);
    assert_eq!(judged(&spec, date(2026, 3, 13), date(2026, 3, 14)), vec![]);
    assert_eq!(judged(&spec, date(2026, 3, 16), date(2026, 3, 14)), found, "an interval the wrong way round");
}

#[test]
fn a_late_log_entry_alone_proves_no_backdating() {
    let spec = Spec::summer("www.example.com");
    let start = date(2026, 6, 1);
    let late = start.plus(Span::from_days(2)).plus(Span::from_seconds(1));
    let found = judged(&spec, start, late);
    assert_eq!((found.len(), found[0].rule.as_ref(), found[0].severity), (1, "val.notbefore", Severity::Review));
    assert!(found[0].detail.contains("only if issued 2026-06-03T00:00:01Z rather than"), "{}", found[0].detail);
    assert_eq!(judged(&spec, late, late)[0].severity, Severity::Error);
    let early = start.minus(Span::from_days(2));
    assert_eq!(judged(&spec, early, early), vec![]);
}

#[test]
fn what_is_an_error_at_one_end_and_a_warning_at_the_other_is_a_warning() {
    let spec = Spec::new("2026-10-03", "2026-12-01").dns("www.example.com").without(certgen::AIA);
    let severity = |from, to| judged(&spec, from, to)[0].severity;
    let (before, after) = (date(2026, 10, 3), date(2026, 10, 4));
    assert_eq!((severity(before, before), severity(after, after)), (Severity::Error, Severity::Warning));
    assert_eq!(severity(before, after), Severity::Warning);
}

#[test]
fn near_a_date_the_detail_says_so() {
    let spec = Spec::new("2026-03-16", "2026-12-31").dns("www.example.com");
    let near = judged(&spec, date(2026, 3, 17), date(2026, 3, 17));
    assert!(near[0].detail.ends_with("issued within 48 h of 2026-03-15, a date of this rule"), "{}", near[0].detail);
    assert_eq!(near[0].severity, Severity::Error);
    let far = date(2026, 3, 17).plus(Span::from_seconds(1));
    assert!(!judged(&spec, far, far)[0].detail.contains("48 h"));
}

#[test]
fn a_table_older_than_the_certificate_is_named() {
    let spec = Spec::new("2026-11-20", "2026-12-31").dns("www.example.newtld");
    let at = date(2026, 11, 20);
    let detail = &judged(&spec, at, at)[0].detail;
    assert!(detail.contains("(by the TLD list of 2026-08-02, 110 days older than the certificate)"), "{detail}");
}

#[test]
fn ldh_was_a_matter_of_the_rfc_before_it_was_one_of_the_br() {
    let spec = Spec::new("2021-08-24", "2022-01-01").dns("-a.example.com");
    let citation = |at: Timestamp| judged(&spec, at, at)[0].citation.to_string();
    assert_eq!(citation(date(2021, 8, 24)), "RFC 5280 4.2.1.6");
    assert_eq!(citation(date(2021, 8, 25)), "BR 7.1.2.7.12");
}

#[test]
fn a_rule_that_panics_is_a_critical_finding_of_its_own() {
    static BROKEN: Rule = Rule {
        info: RuleInfo {
            id: "test.broken",
            summary: "panics",
            severity: Severity::Warning,
            citation: br("1"),
            clock: RevocationClock::None,
            since: None,
            until: None,
            needs: Needs::Certificate,
        },
        scope: Scope::Every,
        check: |_| panic!("this panic belongs to the test"),
        dates: Some(|_, _| panic!("this panic too")),
    };
    let cert = parsed(&Spec::summer("a.com"));
    let at = Issued { earliest: date(2026, 6, 1), latest: date(2026, 6, 9) };
    let Verdict::Fail(found) = judge(&BROKEN, &Decoded::new(&cert), at, &Tables::embedded(), None) else {
        panic!("it passed")
    };
    assert_eq!((found.len(), found[0].severity, found[0].rule.as_ref()), (1, Severity::Critical, "test.broken"));
}

#[test]
fn a_name_of_its_own_for_every_rule() {
    let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.info.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    let cert = parsed(&Spec::summer("www.example.com").poison());
    let verdicts = run(&cert, Issued::at(date(2026, 6, 1)), &Tables::embedded());
    assert!(verdicts.len() == RULES.len() && verdicts.iter().all(|(_, v)| *v == Verdict::Pass), "{verdicts:?}");
}

#[test]
fn a_logged_tbs_is_judged_like_its_certificate() {
    let spec = Spec::summer("x.corp").ip("10.0.0.1").dns("a_b.example.com");
    let (at, tables) = (Issued::at(date(2026, 6, 1)), Tables::embedded());
    let tbs = Certificate::parse_tbs(&spec.tbs()).expect("generated");
    let found = findings(&tbs, at, &tables);
    assert_eq!(found, findings(&parsed(&spec), at, &tables));
    assert_eq!(found.len(), 3);
}

#[test]
fn bytes_that_are_no_certificate_are_a_finding() {
    let error = Certificate::parse(b"hello").expect_err("no certificate");
    let finding = unparsable(&error);
    assert_eq!((finding.rule.as_ref(), finding.severity), ("cert.unparsable", Severity::Error));
    assert!(finding.detail.starts_with("not a certificate"));
}

#[test]
fn a_thousand_bad_names_are_counted_and_not_all_listed() {
    let spec = (0..1000).fold(Spec::summer("www.example.com"), |spec, n| spec.dns(&format!("x{n}.corp")));
    let found = judged(&spec, date(2026, 6, 1), date(2026, 6, 2));
    assert_eq!(found.len(), MAX_FINDINGS + 1);
    assert!(found.iter().any(|f| f.detail == "breaks the rule in 800 more places"));
}

#[test]
fn what_is_too_large_to_be_judged_is_a_finding() {
    let names = |count: usize, name: fn(usize) -> String| {
        let spec = (0..count).fold(Spec::summer("www.example.com"), |spec, n| spec.dns(&name(n)));
        judged(&spec, date(2026, 6, 1), date(2026, 6, 2))
    };
    let [found] = &names(3000, |n| format!("{n}.{}.com", ["x"; 90].join(".")))[..] else { panic!("one finding") };
    assert_eq!((found.rule.as_ref(), found.severity), ("cert.unparsable", Severity::Error));
    assert!(found.detail.contains("is not read: judge it by hand"), "{}", found.detail);
    let found = names(crate::cert::MAX_NAMES, |n| format!("{n}.example.com"));
    assert!(found.iter().any(|f| f.rule == "san.der" && f.detail.contains("more than 10000 names")), "{found:?}");
    let found = names(2000, |n| format!("xn--mnchen{n}-3ya.example.com"));
    let beyond = found.iter().filter(|f| f.rule == "name.plabel" && f.subject == "subjectAltName");
    assert_eq!(
        beyond.map(|f| f.detail.as_str()).collect::<Vec<_>>(),
        ["has 1000 XN-Labels or more: these were decoded, judge the others by hand"]
    );
}

proptest! {
    /// A name that is plain breaks no rule about how names are written, whatever it is made of.
    #[test]
    fn plain_names_are_not_odd_to_any_rule(name in "(\\*\\.)?[a-zA-Z0-9_.*:\\-]{1,30}(\\.(com|onion|arpa|1|X|ip6\\.arpa))?\\.?") {
        thread_local!(static TABLES: Tables = Tables::embedded());
        let cert = parsed(&Spec::new("2026-06-01", "2026-08-29").dns(&name));
        let broken = TABLES.with(|tables| findings(&cert, Issued::at(date(2026, 6, 1)), tables));
        let form = ["name.ascii", "name.ldh", "name.length", "name.plabel", "name.reserved_ldh", "name.root_dot",
            "name.underscore", "name.ip_as_dns", "name.reverse_zone", "onion.form", "wc.form"];
        let is_broken = broken.iter().any(|finding| form.contains(&finding.rule.as_ref()));
        let plain = crate::cert::DnsName::new(&name).is_plain();
        prop_assert!(!(plain && is_broken));
        // What is not plain and not broken has a label that is somebody's special case.
        let special = |text: &str| text.contains("xn--") || text.contains("onion") || text.contains("arpa");
        let numeric = name.trim_end_matches('.').rsplit('.').next().is_some_and(|top| top.bytes().any(|b| !b.is_ascii_alphabetic()));
        prop_assert!(plain || is_broken || special(&name.to_ascii_lowercase()) || numeric, "{name}");
    }

    #[test]
    fn no_damage_makes_a_rule_panic(rsa: bool, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        thread_local!(static TABLES: Tables = Tables::embedded());
        let spec = Spec::summer("*.xn--mnchen-3ya.example.com").dns("a_b.corp").ip("10.0.0.1").cn("a_b.corp");
        let spec = spec.poison().policy(certgen::EV).attr(6, "ES").attr(10, "Example");
        let mut der = if rsa { spec.spki(certgen::rsa(&certgen::number(2048))).der() } else { spec.der() };
        for (index, byte) in edits {
            let at = index.index(der.len());
            der[at] = byte;
        }
        if let Ok(cert) = Certificate::parse(&der) {
            let found = TABLES.with(|t| findings(&cert, Issued { earliest: date(2012, 1, 1), latest: date(2026, 6, 1) }, t));
            for finding in found {
                prop_assert!(finding.subject != "rule", "{:?}", finding);
                prop_assert!(finding.subject.is_ascii() && finding.detail.is_ascii(), "{:?}", finding);
            }
        }
    }
}

/// Every leaf of a static-ct data tile whose entries are all precertificates (c2sp.org/static-ct-api, Merkle Tree
/// Leaf and TileLeaf), as (timestamp, logged TBSCertificate, precertificate).
fn tile_entries(mut tile: &[u8]) -> Vec<(Timestamp, &[u8], &[u8])> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (head, tail) = rest.split_at(count);
        *rest = tail;
        head
    }
    fn sized<'a>(rest: &mut &'a [u8], octets: usize) -> &'a [u8] {
        let length = take(rest, octets).iter().fold(0, |n, b| n << 8 | usize::from(*b));
        take(rest, length)
    }
    let mut entries = Vec::new();
    while !tile.is_empty() {
        let millis = take(&mut tile, 8).iter().fold(0, |n, b| n << 8 | i64::from(*b));
        assert_eq!(take(&mut tile, 2), [0, 1], "a precert_entry");
        take(&mut tile, 32);
        let tbs = sized(&mut tile, 3);
        sized(&mut tile, 2);
        let precertificate = sized(&mut tile, 3);
        sized(&mut tile, 2);
        entries.push((Timestamp::from_millis(millis), tbs, precertificate));
    }
    entries
}

#[test]
fn a_thousand_real_precertificates_are_read_without_a_defect() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_string();
    let folder = std::env::var("CTWARDEN_SHARED").ok().filter(|_| !std::path::Path::new(&here).exists());
    let folder = format!("{}/ct/navigli2025h2/tile/data", folder.unwrap_or(here));
    if !std::path::Path::new(&folder).exists() {
        return println!("skipped: no ../shared/data");
    }
    let tables = Tables::embedded();
    let (mut seen, mut told) = (0, BTreeMap::<(String, String, &str), u32>::new());
    for file in ["000", "001", "002", "003"] {
        let tile = std::fs::read(format!("{folder}/{file}")).expect("a data tile");
        for (logged_at, tbs, der) in tile_entries(&tile) {
            let pre = Certificate::parse(der).expect("a real precertificate");
            let logged = Certificate::parse_tbs(tbs).expect("a real TBSCertificate");
            assert!(pre.is_precertificate() && pre.core_tbs() == tbs && logged.core_tbs() == tbs);
            assert_eq!(pre.defects(), &[] as &[String]);
            let issued = Issued { earliest: pre.not_before().expect("notBefore"), latest: logged_at };
            for finding in findings(&pre, issued, &tables) {
                assert!(finding.severity >= Severity::Warning, "entry {seen}: {finding:?}");
                *told.entry((finding.rule.to_string(), finding.subject, finding.severity.word())).or_insert(0) += 1;
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 1024);
    // Nearly every CA still put the subjectKeyIdentifier into its certificates in 2025, which the BR do not recommend.
    let ski = ("ext.ski".to_string(), "subjectKeyIdentifier".to_string(), "warning");
    // And three of four had a commonName.
    let cn = ("cn.present".to_string(), "commonName".to_string(), "notice");
    assert_eq!(told, BTreeMap::from([(ski, 1023), (cn, 752)]));
}
