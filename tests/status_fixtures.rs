//! The rules beside the certificates in the logs, each against its fixtures:
//! `tests/fixtures/status/<rule>[.<case>].{fail,pass}.json` holds the facts (of a row of the record, a revocation, a CRL,
//! a control, the counts) and the findings, as `rule severity subject`; a case that is a number is the bug of the public
//! incident. The files are made from the table below; `CTWARDEN_WRITE_FIXTURES=1 cargo test --test status_fixtures`
//! writes them again.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctwarden::cert::Certificate;
use ctwarden::cert::crl::{self, Crl};
use ctwarden::clock::{DAY, HOUR, Span, Timestamp, date};
use ctwarden::finding::{CaseKey, KeyHash, RevocationClock, Serial};
use ctwarden::record::{Control, Revocation, Signed};
use ctwarden::status::control::{self, Expected as Wanted};
use ctwarden::status::crls::{self, Before, Expected};
use ctwarden::status::revoked::{self, Facts, Listed};
use ctwarden::status::unlogged::{self, Reading, Seen};
use ctwarden::status::{Judged, counts, findings};
use rcgen::RevocationReason;
use serde_json::{Value, json};
use support::issuer::TestCa;

const NOW: Timestamp = date(2026, 11, 22);
const URL: &str = "http://crl.ca.example/1.crl";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/status")
}

fn days(days: i64) -> String {
    NOW.minus(Span::from_days(days)).to_string()
}

fn walk(state: &str, seen: &[&str], until: Option<String>, found: &[&str]) -> Value {
    json!({
        "kind": "walk", "serial": "4d151e", "signed_at": days(2), "not_after": "2027-01-01T00:00:00Z", "state": state,
        "seen": seen, "logs": [{"log": "log.example/2027h1", "until": until}], "findings": found,
    })
}

/// `record`: null where the record has the certificate and no revocation; `listed`: null where it is on no CRL.
fn revocation(record: Value, listed: Value, found: &[&str]) -> Value {
    json!({
        "kind": "revocation", "serial": "4d151e", "not_after": "2027-01-01T00:00:00Z", "record": record,
        "listed": listed, "findings": found,
    })
}

fn a_crl(issuer: &TestCa, der: &[u8], before: Option<&str>, found: &[&str]) -> Value {
    json!({
        "kind": "crl", "url": URL, "issuer": hex::encode(issuer.der()), "der": hex::encode(der), "number_before": before,
        "findings": found,
    })
}

fn a_control(expected: Value, observed: Value, source: Option<u64>, found: &[&str]) -> Value {
    json!({"kind": "control", "expected": expected, "observed": observed, "source": source, "findings": found})
}

fn count(recorded: &[u64], counted: &[u64], found: &[&str]) -> Value {
    json!({"kind": "counts", "issuance_database": recorded, "audit_log": counted, "findings": found})
}

fn about_certificates() -> Vec<(&'static str, Value)> {
    let read = || Some(days(0));
    let serial = |rule: &str, severity: &str| format!("{rule} {severity} serial 4d151e");
    let (unlogged, pre) = (serial("ct.unlogged", "review"), serial("pre.unfinalised", "notice"));
    let revoked = |days_ago: i64, reason: u64| json!({"revoked_at": days(days_ago), "reason": reason});
    let on = |days_ago: i64, reason: u64| json!({"at": days(days_ago), "reason": reason, "seen_at": days(days_ago)});
    let (missing, unknown) = (serial("status.crl", "error"), serial("status.record", "error"));
    let (late, reason) = (serial("status.late", "error"), serial("status.reason", "warning"));
    vec![
        ("ct.unlogged.fail", walk("issued", &[], read(), &[&unlogged])),
        ("ct.unlogged.pass", walk("issued", &["certificate"], read(), &[])),
        ("ct.unlogged.not-read.pass", walk("issued", &[], Some(days(2)), &[])),
        ("pre.unfinalised.fail", walk("precert_only", &["precertificate"], read(), &[&pre])),
        ("pre.unfinalised.pass", walk("precert_only", &["precertificate", "certificate"], read(), &[])),
        ("status.crl.fail", revocation(revoked(2, 4), Value::Null, &[&missing])),
        ("status.crl.pass", revocation(revoked(2, 4), on(2, 4), &[])),
        ("status.crl.within-a-day.pass", revocation(revoked(0, 4), Value::Null, &[])),
        ("status.record.fail", revocation(Value::Null, on(2, 4), &[&unknown])),
        ("status.record.pass", revocation(revoked(2, 4), on(2, 4), &[])),
        ("status.late.fail", revocation(json!({"aware_at": days(6), "reason": 4}), Value::Null, &[&late])),
        ("status.late.pass", revocation(json!({"aware_at": days(4), "reason": 4}), Value::Null, &[])),
        ("status.late.key.fail", revocation(json!({"aware_at": days(2), "reason": 1}), Value::Null, &[&late])),
        (
            "status.late.revoked.fail",
            revocation(json!({"aware_at": days(9), "revoked_at": days(1), "reason": 4}), on(1, 4), &[&late]),
        ),
        ("status.reason.fail", revocation(revoked(2, 1), on(2, 4), &[&reason])),
        ("status.reason.hold.fail", revocation(revoked(2, 6), on(2, 6), &[&reason])),
        ("status.reason.pass", revocation(revoked(2, 1), on(2, 1), &[])),
    ]
}

fn about_crls() -> Vec<(&'static str, Value)> {
    let (ca, other) = (TestCa::new("Tests CA"), TestCa::new("Tests CA"));
    let fails = |rule: &str| vec![format!("{rule} error {URL}")];
    let of = |ca: &TestCa, url: &str, at: Timestamp| ca.crl(url, 7, at, &[(16, RevocationReason::Superseded)]);
    let good = of(&ca, URL, NOW.minus(DAY));
    let case = |der: &[u8], before: Option<&str>, rule: Option<&str>| {
        let found = rule.map(fails).unwrap_or_default();
        a_crl(&ca, der, before, &found.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let fetched = |error: Option<&str>, rule: Option<&str>| {
        let found = rule.map(fails).unwrap_or_default();
        json!({"kind": "fetch", "url": URL, "error": error, "since": days(1), "findings": found})
    };
    vec![
        ("crl.available.fail", fetched(Some("HTTP 500"), Some("crl.available"))),
        ("crl.available.pass", fetched(None, None)),
        ("crl.form.fail", case(&good[..good.len() - 1], None, Some("crl.form"))),
        ("crl.form.pass", case(&good, None, None)),
        ("crl.signature.fail", case(&of(&other, URL, NOW.minus(DAY)), None, Some("crl.signature"))),
        ("crl.signature.pass", case(&good, None, None)),
        ("crl.scope.fail", case(&of(&ca, "http://crl.ca.example/2.crl", NOW.minus(DAY)), None, Some("crl.scope"))),
        ("crl.scope.pass", case(&good, None, None)),
        ("crl.fresh.fail", case(&of(&ca, URL, NOW.minus(Span::from_days(4))), None, Some("crl.fresh"))),
        ("crl.fresh.pass", case(&of(&ca, URL, NOW.minus(Span::from_days(2))), None, None)),
        ("crl.number.fail", case(&good, Some("08"), Some("crl.number"))),
        ("crl.number.same.fail", case(&good, Some("07"), Some("crl.number"))),
        ("crl.number.pass", case(&good, Some("06"), None)),
    ]
}

fn about_controls() -> Vec<(&'static str, Value)> {
    let observed = |days_ago: i64, enabled: bool| {
        let at = days(days_ago);
        json!({"observed_at": at, "enabled": enabled, "version": "7.1", "value": "ca.example", "entries": 1000})
    };
    let nothing = json!({});
    vec![
        ("control.off.fail", a_control(nothing.clone(), observed(0, false), None, &["control.off error a-control"])),
        ("control.off.pass", a_control(nothing, observed(0, true), None, &[])),
        (
            "control.silent.fail",
            a_control(json!({"max_age_hours": 24}), observed(2, true), None, &["control.silent warning a-control"]),
        ),
        ("control.silent.pass", a_control(json!({"max_age_hours": 24}), observed(1, true), None, &[])),
        (
            "control.drift.1914911.fail",
            a_control(
                json!({"value": "ca.example, old.example"}),
                observed(0, true),
                None,
                &["control.drift error a-control"],
            ),
        ),
        ("control.drift.1914911.pass", a_control(json!({"value": "ca.example"}), observed(0, true), None, &[])),
        (
            "control.drift.fail",
            a_control(json!({"version": "7.2"}), observed(0, true), None, &["control.drift error a-control"]),
        ),
        ("control.drift.pass", a_control(json!({"version": "7.1"}), observed(0, true), None, &[])),
        ("control.list.fail", a_control(json!({}), observed(0, true), Some(1003), &["control.list error a-control"])),
        ("control.list.pass", a_control(json!({}), observed(0, true), Some(1000), &[])),
        (
            "counts.differ.fail",
            count(&[500, 500, 500, 500], &[500, 380, 500, 500], &["counts.differ error Tests CA, audit_log"]),
        ),
        ("counts.differ.pass", count(&[500, 500, 500, 500], &[500, 499, 501, 500], &[])),
    ]
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| Timestamp::parse(text).expect("a time"))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_string)
}

fn walked(fixture: &Value) -> Vec<Judged> {
    let key = key(fixture);
    let state = text(&fixture["state"]).expect("a state");
    let signed_at = time(&fixture["signed_at"]).expect("a time");
    let (hierarchy, not_after) = ("public".to_string(), time(&fixture["not_after"]));
    let signed = Signed { cert_id: 1, key, signed_at, not_after, hierarchy, state };
    let is_seen = |form: &str| fixture["seen"].as_array().expect("forms").iter().any(|seen| seen == form);
    let seen = Seen { precertificate: is_seen("precertificate"), certificate: is_seen("certificate") };
    let logs = fixture["logs"].as_array().expect("logs").iter().map(|log| {
        let name = text(&log["log"]).expect("a name");
        Reading { log: name, from: Timestamp::EPOCH, until: time(&log["until"]), takes: None }
    });
    unlogged::judge(&signed, seen, &logs.collect::<Vec<_>>(), DAY, NOW).judged
}

fn key(fixture: &Value) -> CaseKey {
    let serial = Serial::from_hex(fixture["serial"].as_str().expect("a serial")).expect("hexadecimal");
    CaseKey { issuer_key_hash: KeyHash([7; 32]), serial }
}

fn compared(fixture: &Value) -> Vec<Judged> {
    let key = key(fixture);
    let (record, listed) = (&fixture["record"], &fixture["listed"]);
    let (aware_at, revoked_at) = (time(&record["aware_at"]), time(&record["revoked_at"]));
    let row = Revocation { aware_at, revoked_at, reason: record["reason"].as_u64(), crl_seen_at: None };
    let listed = match listed.is_null() {
        true => Listed::Off { seen_at: None },
        false => Listed::On {
            at: time(&listed["at"]),
            reason: listed["reason"].as_u64().expect("a reason") as u8,
            url: URL.to_string(),
            seen_at: time(&listed["seen_at"]).expect("a time"),
        },
    };
    let facts = Facts {
        key: &key,
        not_after: time(&fixture["not_after"]),
        short_lived: false,
        record: Ok((!record.is_null()).then_some(row)),
        listed,
        case: None::<(Timestamp, RevocationClock)>,
        grace: HOUR,
        recorded_until: NOW,
        now: NOW,
    };
    revoked::judge(&facts)
}

fn crl_judged(fixture: &Value) -> Vec<Judged> {
    let bytes = |name: &str| hex::decode(fixture[name].as_str().expect("hexadecimal")).expect("hexadecimal");
    let (issuer, der) = (Certificate::parse(&bytes("issuer")).expect("a certificate"), bytes("der"));
    let number = fixture["number_before"].as_str().map(|number| hex::decode(number).expect("hexadecimal"));
    let before = number.map(|number| {
        let number = crl::magnitude(&number).to_vec();
        Before { number, this_update: NOW.minus(Span::from_days(2)), sha256: [0; 32] }
    });
    let expected = Expected {
        url: fixture["url"].as_str().expect("a URL"),
        name_der: issuer.subject_der(),
        spki_der: issuer.spki_der(),
        before: before.as_ref(),
    };
    crls::judge(&Crl::parse(&der), [1; 32], &expected, NOW)
}

fn control_judged(fixture: &Value) -> Vec<Judged> {
    let (expected, observed) = (&fixture["expected"], &fixture["observed"]);
    let source = fixture["source"].as_u64().map(Ok);
    let wanted = Wanted {
        name: "a-control".to_string(),
        max_age: expected["max_age_hours"].as_i64().map(|hours| Span::from_seconds(hours * 3600)),
        enabled: true,
        version: text(&expected["version"]),
        value: text(&expected["value"]),
        has_source: source.is_some(),
        within: 0,
    };
    let control = Control {
        name: "a-control".to_string(),
        observed_at: time(&observed["observed_at"]).expect("a time"),
        enabled: observed["enabled"] == true,
        version: text(&observed["version"]),
        value: text(&observed["value"]),
        entries: observed["entries"].as_u64(),
    };
    control::judge(&wanted, Some(&control), source.as_ref(), NOW)
}

/// `rule severity subject` of every finding.
fn found(fixture: &Value) -> Vec<String> {
    let found = match fixture["kind"].as_str() {
        Some("walk") => findings(&walked(fixture)),
        Some("revocation") => findings(&compared(fixture)),
        Some("crl") => findings(&crl_judged(fixture)),
        Some("control") => findings(&control_judged(fixture)),
        Some("fetch") => match fixture["error"].as_str() {
            Some(error) => {
                let since = time(&fixture["since"]).expect("a time");
                findings(&[crls::unavailable(URL, since, error)])
            }
            None => findings(&[crls::available()]),
        },
        Some("counts") => {
            let hours = |name: &str| -> BTreeMap<Timestamp, u64> {
                let counts = fixture[name].as_array().expect("counts").iter();
                let at = |hour: i64| NOW.minus(DAY).plus(Span::from_seconds(hour * 3600));
                (0..).zip(counts).map(|(hour, count)| (at(hour), count.as_u64().expect("a count"))).collect()
            };
            let difference = counts::compare(&hours("issuance_database"), &hours("audit_log"), NOW);
            counts::finding("Tests CA", "audit_log", &difference).into_iter().collect()
        }
        other => panic!("no kind {other:?}"),
    };
    found.iter().map(|finding| format!("{} {} {}", finding.rule, finding.severity, finding.subject)).collect()
}

#[test]
fn every_rule_finds_what_its_fixtures_say_and_nothing_else() {
    if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(folder()).expect("a folder");
        for (name, value) in about_certificates().into_iter().chain(about_crls()).chain(about_controls()) {
            let mut text = serde_json::to_string_pretty(&value).expect("JSON");
            text.push('\n');
            std::fs::write(folder().join(format!("{name}.json")), text).expect("write");
        }
    }
    let mut count = 0;
    for file in std::fs::read_dir(folder()).expect("fixtures") {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let fixture: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        let expected: Vec<&str> =
            fixture["findings"].as_array().expect("findings").iter().map(|f| f.as_str().expect("text")).collect();
        assert_eq!(found(&fixture), expected, "{name}");
        assert_eq!(name.ends_with(".fail"), !expected.is_empty(), "{name}");
        let rule = name.split('.').take(2).collect::<Vec<_>>().join(".");
        assert!(expected.iter().all(|found| found.starts_with(&format!("{rule} "))), "{name}");
        count += 1;
    }
    assert!(count >= 40, "only {count} fixtures");
}
