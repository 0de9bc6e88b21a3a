//! The rules that need the whole hit, each against its fixtures: `tests/fixtures/exam/<rule>[.<case>].{fail,pass}.json`
//! holds a hit (how it came to be one, what was odd about its entry, the forms in which it was seen, DER in
//! hexadecimal) and the findings of these rules, as `rule severity subject`. The files are made from the table below;
//! `CTWARDEN_WRITE_FIXTURES=1 cargo test --test exam_fixtures` writes them again.

#[path = "support/certgen.rs"]
mod certgen;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use certgen::{Spec, tlv};
use ctwarden::clock::{Span, Timestamp, date};
use ctwarden::evidence;
use ctwarden::exam::{Examinee, Policy, examine, outcome};
use ctwarden::finding::KeyHash;
use ctwarden::lint::Tables;
use ctwarden::promise::KnownLogs;
use ctwarden::record::Lookup;
use ctwarden::watch::{Form, Standing, Watchlist};
use serde_json::{Value, json};

const AT: Timestamp = date(2026, 6, 2);
const RULES: [&str; 3] = ["watch.imposter", "serial.unique", "entry.chain"];
const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
const SERIAL: &str = "serial.unique error serial 4d151e";
const CHAIN: &str = "entry.chain notice precertificate";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exam")
}

/// A certificate whose SCT list has one SCT of the log with this octet for an identifier.
fn with_sct(log: u8) -> Vec<u8> {
    let sct =
        [&[0][..], &[log; 32], &AT.millis().to_be_bytes(), &[0, 0, 4, 3, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1]].concat();
    let length = sct.len() as u8;
    let list = [&[0, length + 2, 0, length][..], &sct].concat();
    Spec::summer("www.example.com").extension(SCT_LIST, false, &tlv(4, &list)).der()
}

fn hit(standing: Standing, remark: &str, siblings: Option<u64>, forms: &[(Form, Vec<u8>)], findings: &[&str]) -> Value {
    let forms = forms.iter().map(
        |(form, der)| json!({"form": if *form == Form::Tbs { "tbs" } else { "certificate" }, "der": hex::encode(der)}),
    );
    json!({
        "standing": standing.word(), "remark": remark, "siblings": siblings,
        "forms": forms.collect::<Vec<_>>(), "findings": findings,
    })
}

/// Every fixture: name, content.
fn all() -> Vec<(&'static str, Value)> {
    let certificate = |der: Vec<u8>| (Form::Certificate, der);
    let (fin, other) = (certificate(with_sct(1)), certificate(with_sct(2)));
    let pre = certificate(Spec::summer("www.example.com").poison().der());
    let tbs = (Form::Tbs, Spec::summer("www.example.com").tbs());
    let subject = certificate(Spec::summer("www.example.com").cn("www.example.com").der());
    let (ours, odd) = (Standing::Ours, "the precertificate that the log sent does not belong to this entry");
    let claims = "names Tests CA as its issuer, but no key of that issuer signed it";
    let imposter = ["watch.imposter review CN=www.example.com"];
    let both = [fin.clone(), other];
    vec![
        ("watch.imposter.fail", hit(Standing::Imposter, claims, Some(1), std::slice::from_ref(&subject), &imposter)),
        // An imposter is no misissuance of ours: its serial is no matter either.
        (
            "watch.imposter.alone.fail",
            hit(Standing::Imposter, claims, Some(2), std::slice::from_ref(&subject), &imposter),
        ),
        ("watch.imposter.pass", hit(ours, "", Some(1), &[subject], &[])),
        ("serial.unique.fail", hit(ours, "", Some(2), std::slice::from_ref(&fin), &[SERIAL])),
        ("serial.unique.scts.fail", hit(ours, "", Some(1), &both, &[SERIAL])),
        ("serial.unique.pass", hit(ours, "", Some(1), &[fin.clone(), pre.clone()], &[])),
        ("serial.unique.unknown-key.pass", hit(Standing::Trial, "", None, &both, &[])),
        ("entry.chain.fail", hit(ours, odd, Some(1), std::slice::from_ref(&tbs), &[CHAIN])),
        // Another log sent the precertificate that belongs to the entry.
        ("entry.chain.pass", hit(ours, odd, Some(1), &[pre, tbs.clone()], &[])),
        ("entry.chain.delegated.pass", hit(ours, "", Some(1), &[tbs], &[])),
    ]
}

#[test]
fn the_files_are_what_the_table_makes() {
    let text = |value: &Value| format!("{value:#}\n");
    let path = |name: &str| folder().join(format!("{name}.json"));
    if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(folder()).expect("a folder");
        all().iter().for_each(|(name, value)| fs::write(path(name), text(value)).expect("a fixture"));
    }
    let expected: BTreeMap<PathBuf, String> = all().iter().map(|(name, value)| (path(name), text(value))).collect();
    let files = fs::read_dir(folder()).expect("fixtures").map(|file| file.expect("a file").path());
    let on_disk: BTreeMap<PathBuf, String> =
        files.map(|path| (path.clone(), fs::read_to_string(path).expect("text"))).collect();
    assert!(on_disk == expected, "the files and the table differ: write the fixtures again, remove what is too much");
}

#[test]
fn every_fixture_has_the_findings_it_names() {
    for (name, fixture) in all() {
        let forms = fixture["forms"].as_array().expect("forms").iter().map(|form| {
            let kind = if form["form"] == "tbs" { Form::Tbs } else { Form::Certificate };
            (kind, hex::decode(form["der"].as_str().expect("hexadecimal")).expect("hexadecimal"))
        });
        let forms: Vec<(Form, Vec<u8>)> = forms.collect();
        let examinee = Examinee {
            issuer_key_hash: KeyHash::default(),
            standing: Standing::parse(fixture["standing"].as_str().expect("a word")).expect("a standing"),
            remark: fixture["remark"].as_str().expect("text"),
            ders: &forms,
            first_logged_at: AT,
            siblings: fixture["siblings"].as_u64(),
            lookup: &Lookup::NoSource,
        };
        let (watchlist, tables) = (Watchlist::new(vec![], false), Tables::embedded());
        let (terms, logs) = (evidence::Policy::default(), KnownLogs::new([]));
        let grace = Span::default();
        let policy = Policy { watchlist: &watchlist, tables: &tables, terms: &terms, logs: &logs, grace };
        let (found, _) = outcome(&examine(&examinee, policy, AT.plus(Span::from_days(1))));
        let found = found.iter().filter(|finding| RULES.contains(&finding.rule.as_ref()));
        let found: Vec<Value> = found.map(|f| json!(format!("{} {} {}", f.rule, f.severity, f.subject))).collect();
        assert_eq!(Value::from(found), fixture["findings"], "{name}");
        let rule = RULES.iter().find(|rule| name.starts_with(**rule)).expect("a fixture of a rule");
        assert_eq!(name.ends_with(".fail"), fixture["findings"].to_string().contains(rule), "{name}");
    }
}
