//! The rules that need the whole hit, each against its fixtures: `tests/fixtures/exam/<rule>[.<case>].{fail,pass}.json`
//! holds a hit (how it came to be one, what was odd about its entry, the forms in which it was seen, DER in
//! hexadecimal) and the findings of these rules, as `rule severity subject`. The files are made from the table below;
//! `CTWARDEN_WRITE_FIXTURES=1 cargo test --test exam_fixtures` writes them again.

#[path = "support/certgen.rs"]
mod certgen;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use certgen::{Spec, tlv};
use ctwarden::cert::Certificate;
use ctwarden::clock::{Span, Timestamp, date};
use ctwarden::evidence;
use ctwarden::exam::{Examinee, Policy, examine, outcome, parse};
use ctwarden::finding::KeyHash;
use ctwarden::lint::{self, Tables};
use ctwarden::promise::KnownLogs;
use ctwarden::record::Lookup;
use ctwarden::watch::{self, Form, Issuer, Standing, Watchlist};
use serde_json::{Value, json};

const AT: Timestamp = date(2026, 6, 2);
const RULES: [&str; 8] = [
    "watch.imposter",
    "serial.unique",
    "entry.chain",
    "pre.match",
    "pre.signing_ca",
    "cert.issuer_bytes",
    "cert.signature",
    "ext.aki",
];
/// The algorithm of Ed25519, whose signatures are always the same ones.
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
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

/// A precertificate of the hit, and a certificate of its serial number that is another hit.
fn pair(pre: &Spec, fin: &Spec, findings: &[&str]) -> Value {
    let mut value = hit(Standing::Ours, "", Some(2), &[(Form::Certificate, pre.clone().poison().der())], findings);
    value["others"] = json!([{"form": "certificate", "der": hex::encode(fin.der())}]);
    value
}

/// A certificate of an issuer whose certificate is known.
fn issued_by(issuer: &[u8], der: Vec<u8>, findings: &[&str]) -> Value {
    let mut value = hit(Standing::Ours, "", Some(1), &[(Form::Certificate, der)], findings);
    value["issuer"] = json!(hex::encode(issuer));
    value
}

fn name(organization: &str) -> Vec<u8> {
    let rdn = |kind, tag, value: &[u8]| tlv(0x31, &certgen::attribute(kind, tag, value));
    tlv(0x30, &[rdn(6, 19, b"ES"), rdn(10, 12, organization.as_bytes())].concat())
}

/// The rules about a pair and about the issuer.
fn about_two() -> Vec<(&'static str, Value)> {
    let on = |day: &str| Spec::new(day, "2026-09-01").dns("www.example.com");
    let key_id = |octet: u8| tlv(0x30, &tlv(0x80, &[octet; 20]));
    let summer = on("2026-06-01");
    let scts = |spec: Spec| spec.extension(SCT_LIST, false, &tlv(4, &[0, 0]));
    let differs = ["pre.match error tbsCertificate", SERIAL];
    let old = |day: &str| Spec::new(day, "2020-06-01").dns("www.example.com");
    let swapped = Spec::new("2026-06-01", "2026-09-01").dns("www.example.com");
    let policies = certgen::policies(&[certgen::DV]);
    let swapped = swapped.without(certgen::POLICIES).with(certgen::POLICIES, false, &policies);
    let delegate = |spec: Spec| spec.issuer(&name("Precertificate Signing")).with(certgen::AKI, false, &key_id(9));
    let ca = |ski: u8| {
        let spec = Spec::new("2020-01-01", "2040-01-01").no_san().ca().attr(6, "ES").attr(10, "ctwarden test CA");
        spec.extension(&[0x55, 0x1d, 14], false, &tlv(4, &[ski; 20]))
    };
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
    let spki = tlv(0x30, &[ED25519, &tlv(3, &[&[0][..], key.public_key().as_ref()].concat())].concat());
    let signing = ca(7).spki(spki).der();
    let signed = on("2026-06-01").algorithms(ED25519, ED25519);
    let true_signature = signed.signed(key.sign(&signed.tbs()).as_ref());
    let delegated = |pre: &Spec, findings: &[&str]| {
        hit(Standing::Ours, watch::DELEGATED, Some(1), &[(Form::Tbs, pre.tbs())], findings)
    };
    vec![
        ("pre.match.pass", {
            let mut value = pair(&summer, &scts(summer.clone()), &[]);
            value["siblings"] = json!(1);
            value
        }),
        ("pre.match.fail", pair(&summer, &summer.clone().attr(6, "ES"), &differs)),
        ("pre.match.extension.fail", pair(&summer, &summer.clone().without(certgen::CRL_DP), &differs)),
        ("pre.match.order.fail", pair(&summer, &swapped, &differs)),
        (
            "pre.match.2019-12-18.pass",
            pair(&old("2019-12-18 23:59:59"), &old("2019-12-18 23:59:59").attr(6, "ES"), &[SERIAL]),
        ),
        ("pre.match.2019-12-19.fail", pair(&old("2019-12-19"), &old("2019-12-19").attr(6, "ES"), &differs)),
        // Until 2026-03-14 a Precertificate Signing CA may have made the difference.
        (
            "pre.match.delegate-2026-03-14.fail",
            pair(
                &delegate(on("2026-03-14 23:59:59")),
                &on("2026-03-14 23:59:59"),
                &["pre.match review tbsCertificate", SERIAL],
            ),
        ),
        ("pre.match.delegate-2026-03-15.fail", pair(&delegate(on("2026-03-15")), &on("2026-03-15"), &differs)),
        ("pre.signing_ca.fail", delegated(&on("2026-03-15"), &["pre.signing_ca error precertificate"])),
        ("pre.signing_ca.pass", delegated(&on("2026-03-14 23:59:59"), &[])),
        ("cert.issuer_bytes.pass", issued_by(&ca(7).der(), summer.der(), &[])),
        (
            "cert.issuer_bytes.fail",
            issued_by(
                &ca(7).der(),
                summer.clone().issuer(&name("ctwarden Test CA")).der(),
                &["cert.issuer_bytes error C=ES, O=ctwarden Test CA"],
            ),
        ),
        (
            "cert.issuer_bytes.2023-09-14.pass",
            issued_by(
                &ca(7).der(),
                Spec::new("2023-09-14 23:59:59", "2024-01-01").dns("a.com").issuer(&name("b")).der(),
                &[],
            ),
        ),
        (
            "cert.issuer_bytes.2023-09-15.fail",
            issued_by(
                &ca(7).der(),
                Spec::new("2023-09-15", "2024-01-01").dns("a.com").issuer(&name("b")).der(),
                &["cert.issuer_bytes error C=ES, O=b"],
            ),
        ),
        ("ext.aki.of-the-issuer.pass", issued_by(&ca(7).der(), summer.der(), &[])),
        ("ext.aki.of-another.fail", issued_by(&ca(8).der(), summer.der(), &["ext.aki error keyIdentifier"])),
        ("cert.signature.pass", issued_by(&signing, true_signature, &[])),
        ("cert.signature.fail", issued_by(&signing, signed.signed(&[7; 64]), &["cert.signature error signatureValue"])),
    ]
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
        (
            "entry.chain.delegated.pass",
            hit(ours, watch::DELEGATED, Some(1), &[tbs], &["pre.signing_ca error precertificate"]),
        ),
    ]
    .into_iter()
    .chain(about_two())
    .collect()
}

fn forms(list: &Value) -> Vec<(Form, Vec<u8>)> {
    let form = |form: &Value| {
        let kind = if form["form"] == "tbs" { Form::Tbs } else { Form::Certificate };
        (kind, hex::decode(form["der"].as_str().expect("hexadecimal")).expect("hexadecimal"))
    };
    list.as_array().into_iter().flatten().map(form).collect()
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
        let (forms, others) = (forms(&fixture["forms"]), forms(&fixture["others"]));
        let issuer = fixture["issuer"].as_str().map(|der| hex::decode(der).expect("hexadecimal"));
        let issuer = issuer.map(|der| Issuer::from_certificate("Tests CA", &der).expect("a certificate"));
        // The moment of issuance is notBefore: the rules about two certificates mark the days of theirs.
        let first = parse(forms[0].0, &forms[0].1).ok();
        let first_logged_at = first.as_ref().and_then(Certificate::not_before).unwrap_or(AT);
        let examinee = Examinee {
            issuer_key_hash: issuer.as_ref().map_or(KeyHash::default(), |issuer| issuer.key_hash),
            standing: Standing::parse(fixture["standing"].as_str().expect("a word")).expect("a standing"),
            remark: fixture["remark"].as_str().expect("text"),
            ders: &forms,
            first_logged_at,
            siblings: fixture["siblings"].as_u64(),
            others: &others,
            lookup: &Lookup::NoSource,
        };
        let (watchlist, tables) = (Watchlist::new(issuer.clone().into_iter().collect(), false), Tables::embedded());
        let (terms, logs) = (evidence::Policy::default(), KnownLogs::new([]));
        let grace = Span::default();
        let policy = Policy { watchlist: &watchlist, tables: &tables, terms: &terms, logs: &logs, grace };
        let mut verdicts = examine(&examinee, policy, AT.plus(Span::from_days(1)));
        // The monitor knows whose signature it is before it examines; `ctwarden lint --issuer` asks.
        if let (Some(Issuer { certificate: Some(issuer), .. }), Some(certificate)) = (&issuer, &first)
            && name.starts_with("cert.signature")
        {
            verdicts.push(lint::issuer::signature(certificate, issuer));
        }
        let (found, _) = outcome(&verdicts);
        let found = found.iter().filter(|finding| RULES.contains(&finding.rule.as_ref()));
        let found: Vec<Value> = found.map(|f| json!(format!("{} {} {}", f.rule, f.severity, f.subject))).collect();
        let (found, expected) = (sorted(found), sorted(fixture["findings"].as_array().expect("a list").clone()));
        assert_eq!(found, expected, "{name}");
        let rule = RULES.iter().find(|rule| name.starts_with(**rule)).expect("a fixture of a rule");
        assert_eq!(name.ends_with(".fail"), fixture["findings"].to_string().contains(rule), "{name}");
    }
}

fn sorted(mut list: Vec<Value>) -> Vec<Value> {
    list.sort_by_key(Value::to_string);
    list
}
