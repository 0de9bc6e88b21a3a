//! The rules about many certificates, each against its fixtures: `tests/fixtures/statistics/<rule>[.<case>].{fail,pass}.json`
//! holds the serial numbers of an issuer in the order in which they came, or the registrable domains of a certificate and
//! of the others that hold its key, and the findings as `rule severity subject`.

use std::fs;
use std::path::Path;

use ctwarden::clock::Timestamp;
use ctwarden::exam::{KeyUse, SerialStatistics};
use ctwarden::finding::{KeyHash, Serial, Verdict};
use serde_json::Value;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_string()).collect()
}

fn key_use(domains: &Value) -> KeyUse {
    KeyUse { spki_sha256: KeyHash([1; 32]), serial: Serial(vec![1]), domains: texts(domains) }
}

fn verdicts(fixture: &Value) -> Vec<Verdict> {
    if fixture["serials"].is_null() {
        let others: Vec<KeyUse> = fixture["others"].as_array().expect("a list").iter().map(key_use).collect();
        return vec![key_use(&fixture["domains"]).judge(&others)];
    }
    let issued = Timestamp::parse(fixture["issued"].as_str().expect("a day")).expect("a day");
    let mut statistics = SerialStatistics::default();
    let serials = texts(&fixture["serials"]);
    let serials = serials.iter().map(|serial| Serial::from_hex(serial).expect("hexadecimal"));
    serials.filter_map(|serial| statistics.take(&serial, issued)).collect()
}

#[test]
fn every_fixture_has_the_findings_it_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("fixtures") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let fixture: Value = serde_json::from_str(&fs::read_to_string(&path).expect("text")).expect("JSON");
        let found: Vec<String> = verdicts(&fixture)
            .into_iter()
            .flat_map(|verdict| if let Verdict::Fail(found) = verdict { found } else { vec![] })
            .map(|f| format!("{} {} {}", f.rule, f.severity, f.subject))
            .collect();
        assert_eq!(found, texts(&fixture["findings"]), "{name}");
        assert_eq!(name.ends_with(".fail.json"), !found.is_empty(), "{name}");
        count += 1;
    }
    assert!(count >= 7, "only {count} fixtures");
}
