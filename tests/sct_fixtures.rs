//! The rule about embedded SCTs, which needs the keys of logs, against its fixtures: `fixtures/hits/<rule>.{fail,pass}.json` holds a log
//! entry, our issuers, the log list, and the findings of that rule which the examination must have, no more and no
//! fewer. `CTWARDEN_WRITE_FIXTURES=1 cargo test --test sct_fixtures` makes them again, with new keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctwarden::cert::Certificate;
use ctwarden::clock::{Span, Timestamp, date};
use ctwarden::ct::leaf::LeafEntry;
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::{from_base64, log_list, to_base64};
use ctwarden::demo::ca::Ca;
use ctwarden::exam::{self, Examinee, Policy};
use ctwarden::finding::KeyHash;
use ctwarden::lint::Tables;
use ctwarden::promise::KnownLogs;
use ctwarden::record::Lookup;
use ctwarden::watch::{Candidate, ChainHead, Issuer, OwnedEntry, Watchlist};
use serde_json::{Value, json};

const NOW: Timestamp = date(2026, 11, 22);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hits")
}

fn bytes(value: &Value) -> Vec<u8> {
    from_base64(value.as_str().expect("text")).expect("base64")
}

/// The findings of one rule about the entry of a fixture, as `severity subject`.
fn found(rule: &str, fixture: &Value) -> BTreeSet<String> {
    let ours = fixture["issuers"].as_array().expect("issuers").iter();
    let ours = ours.map(|der| Issuer::from_certificate("Fixture CA", &bytes(der)).expect("an issuer"));
    let watchlist = Watchlist::new(ours.collect(), false);
    let list = json!({ "operators": [{ "name": "Fixture", "logs": fixture["logs"] }] });
    let list = log_list::parse(list.to_string().as_bytes()).expect("a log list");
    let logs = KnownLogs::new(list.logs.into_iter().map(Arc::new));
    let logged_at = Timestamp::parse(fixture["logged_at"].as_str().expect("text")).expect("a time");
    let entry = match &fixture["certificate"] {
        Value::Null => OwnedEntry::Precert {
            issuer_key_hash: KeyHash::from_hex(fixture["issuer_key_hash"].as_str().expect("text")).expect("a hash"),
            tbs: bytes(&fixture["tbs"]),
        },
        certificate => OwnedEntry::X509(bytes(certificate)),
    };
    let precertificate = fixture["precertificate"].as_str().map(|text| from_base64(text).expect("base64"));
    let (extensions, issuer) = (Vec::new(), ChainHead::Absent);
    let candidate = Candidate { index: 0, logged_at, entry, extensions, precertificate, issuer, garbled: None };
    let hit = watchlist.judge(&candidate, None).expect("a hit");
    let ders = [(hit.form, hit.der)];
    let examinee = Examinee {
        standing: hit.standing,
        issuer_key_hash: hit.key.issuer_key_hash,
        remark: &hit.remark,
        ders: &ders,
        first_logged_at: logged_at,
        others: &[],
        siblings: Some(fixture["siblings"].as_u64().expect("a number")),
        lookup: &Lookup::NoSource,
    };
    let tables = Tables::embedded();
    let terms = ctwarden::evidence::Policy::default();
    let policy =
        Policy { watchlist: &watchlist, tables: &tables, terms: &terms, logs: &logs, grace: Span::from_seconds(60) };
    let (findings, _) = exam::outcome(&exam::examine(&examinee, policy, logged_at.plus(Span::from_seconds(60))));
    findings.iter().filter(|f| f.rule == rule).map(|f| format!("{} {}", f.severity, f.subject)).collect()
}

#[test]
fn every_fixture_has_the_findings_it_names() {
    if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
        write();
    }
    let mut seen = 0;
    for file in fs::read_dir(folder()).expect("fixtures").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let (rule, fails) = match (name.strip_suffix(".fail.json"), name.strip_suffix(".pass.json")) {
            (Some(rule), _) => (rule, true),
            (_, Some(rule)) => (rule, false),
            _ => panic!("{name}: neither .fail.json nor .pass.json"),
        };
        assert!(exam::rules().iter().any(|known| known.id == rule), "{name}: there is no rule {rule}");
        let fixture: Value = serde_json::from_str(&fs::read_to_string(file.path()).expect("text")).expect("JSON");
        let expected = fixture["expected"].as_array().expect("findings").iter();
        let expected: BTreeSet<String> = expected.map(|line| line.as_str().expect("text").to_string()).collect();
        assert_eq!(found(rule, &fixture), expected, "{name}");
        assert_eq!(expected.is_empty(), !fails, "{name} is named for what it is not");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

fn write() {
    let ca = Ca::generate(NOW).expect("CA");
    let signer = LogSigner::generate();
    let log = json!({
        "description": "Fixture log", "log_id": signer.log_id(), "key": to_base64(&signer.spki_der()), "mmd": 86400,
        "url": "https://log.fixture.eus/", "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    });
    let draft = ca.draft(&["www.fixture.eus"], NOW).expect("draft");
    let precertificate = draft.precertificate().expect("signed");
    let tbs = Certificate::parse(&precertificate).expect("our own").core_tbs();
    let issuer_key_hash = ca.issuer_key_hash();
    let sct = |tbs: &[u8]| signer.sign_sct(NOW, &LeafEntry::Precert { issuer_key_hash, tbs }, b"");
    let of = |der: &[u8], expected: &[&str]| {
        json!({
            "issuers": [to_base64(ca.issuing_der())], "logs": [log], "logged_at": NOW.to_string(), "siblings": 1,
            "certificate": to_base64(der), "expected": expected,
        })
    };
    let good = of(&draft.certificate(&[sct(&tbs)]).expect("signed"), &[]);
    let mixed = draft.certificate(&[sct(b"another TBSCertificate"), sct(&tbs)]).expect("signed");
    let fixtures =
        [("sct.belongs.fail", of(&mixed, &["error SCT of log log.fixture.eus"])), ("sct.belongs.pass", good)];
    fs::create_dir_all(folder()).expect("a folder");
    for (name, fixture) in fixtures {
        let text = serde_json::to_string_pretty(&fixture).expect("JSON") + "\n";
        fs::write(folder().join(format!("{name}.json")), text).expect("a fixture");
    }
}
