//! The contract of `ctwarden lint`: what programs may rely on.

#[path = "support/certgen.rs"]
mod certgen;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use certgen::Spec;
use sha2::{Digest, Sha256};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("write");
        path
    }
}

fn lint(options: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.arg("lint").args(options).args(files).env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command.output().expect("start the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn pem(der: &[u8]) -> String {
    ctwarden::cert::pem::encode(der)
}

/// The line that the contract promises, written out by hand.
fn line(file: &Path, index: usize, der: &[u8], findings: &str, error: &str) -> String {
    let (file, sha256) = (file.display(), hex::encode(Sha256::digest(der)));
    format!(
        "{{\"file\":\"{file}\",\"index\":{index},\"sha256\":\"{sha256}\",\"findings\":[{findings}],\"error\":{error}}}\n"
    )
}

/// A finding of a line, up to its detail.
fn finding(rule: &str, severity: &str, citation: &str, clock: &str, subject: &str) -> String {
    format!(
        "{{\"rule\":\"{rule}\",\"severity\":\"{severity}\",\"citation\":\"{citation}\",\"clock\":\"{clock}\",\
         \"subject\":\"{subject}\",\"detail\":\""
    )
}

#[test]
fn a_certificate_without_findings_is_a_line_and_exit_code_0() {
    let files = Files::new();
    let der = Spec::summer("www.barakaldo.eus").der();
    let (bare, armoured) = (files.write("a.der", &der), files.write("a.pem", pem(&der).as_bytes()));
    let done = lint(&["--format", "json"], &[&bare, &armoured]);
    assert_eq!(text(&done.stdout), line(&bare, 0, &der, "", "null") + &line(&armoured, 0, &der, "", "null"));
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(0), ""));
}

#[test]
fn one_line_for_each_certificate_in_the_order_of_the_input() {
    let files = Files::new();
    let good = Spec::summer("www.barakaldo.eus").der();
    let internal = Spec::summer("www.barakaldo.bizkaia.euskalsarea").der();
    let long = Spec::new("2026-06-01", "2027-06-01").dns("www.barakaldo.eus").der();
    let bundle =
        files.write("bundle.pem", format!("text\n{}{}\r\n{}", pem(&internal), pem(&good), pem(&long)).as_bytes());
    let single = files.write("single.der", &internal);
    let done = lint(&["--format", "json"], &[&single, &bundle, &single]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    let out = text(&done.stdout);
    let lines: Vec<&str> = out.lines().collect();
    let expected = [
        (&single, 0, &internal, "name.internal"),
        (&bundle, 0, &internal, "name.internal"),
        (&bundle, 1, &good, ""),
        (&bundle, 2, &long, "val.max"),
        (&single, 0, &internal, "name.internal"),
    ];
    assert_eq!(lines.len(), expected.len(), "{out}");
    for (line_given, (file, index, der, rule)) in lines.iter().zip(expected) {
        let start = line(file, index, der, "", "null");
        let start = &start[..start.find("]").expect("findings")];
        assert!(line_given.starts_with(start) && line_given.ends_with("],\"error\":null}"), "{line_given}");
        let object: serde_json::Value = serde_json::from_str(line_given).expect("JSON");
        let rules: Vec<&str> =
            object["findings"].as_array().expect("a list").iter().filter_map(|f| f["rule"].as_str()).collect();
        assert_eq!(rules.contains(&rule), !rule.is_empty(), "{line_given}");
        assert_eq!(rules.is_empty(), rule.is_empty(), "{line_given}");
    }
    let name = finding("name.internal", "error", "BR 4.2.2", "24h", "www.barakaldo.bizkaia.euskalsarea");
    assert!(lines[0].contains(&name), "{}", lines[0]);
    assert!(lines[3].contains(&finding("val.max", "error", "BR 6.3.2", "5d", "validity")), "{}", lines[3]);
}

#[test]
fn what_is_no_certificate_is_an_error_and_a_finding() {
    let files = Files::new();
    let good = Spec::summer("www.barakaldo.eus").der();
    let block = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let inputs: Vec<(Vec<u8>, usize)> = vec![
        (b"\x00\x01\x02garbage".to_vec(), 1),
        (Vec::new(), 1),
        (b"<html>".to_vec(), 1),
        (good[..good.len() / 2].to_vec(), 1),
        ([0x30, 0x84, 0xff, 0xff, 0xff, 0xff].to_vec(), 1),
        (vec![0x30; 100_000], 1),
        (block("MAA=").into_bytes(), 1),
        (block("not base64!").into_bytes(), 1),
        (format!("{}{}", block("MAMCAQE="), block("")).into_bytes(), 2),
        (b"-----BEGIN CERTIFICATE-----\nMII".to_vec(), 1),
        (b"-----BEGIN ".to_vec(), 1),
    ];
    for (number, (content, objects)) in inputs.into_iter().enumerate() {
        let file = files.write(&format!("input{number}"), &content);
        let done = lint(&["--format", "json"], &[&file]);
        assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(1), ""), "input {number}");
        let out = text(&done.stdout);
        assert_eq!(out.lines().count(), objects, "input {number}: {out}");
        for (index, given) in out.lines().enumerate() {
            let object: serde_json::Value = serde_json::from_str(given).expect("JSON");
            assert_eq!((&object["index"], object["findings"].as_array().map(Vec::len)), (&index.into(), Some(1)));
            assert!(object["error"].as_str().is_some_and(|error| !error.is_empty()), "{given}");
            assert_eq!(object["findings"][0]["detail"], object["error"]);
            assert!(
                given.contains(&finding("cert.unparsable", "error", "RFC 5280 4.1", "5d", "certificate")),
                "{given}"
            );
        }
        let readable = lint(&[], &[&file]);
        assert_eq!(readable.status.code(), Some(1));
        assert!(text(&readable.stdout).contains("cert.unparsable"));
    }
}

#[test]
fn the_time_of_issuance_is_not_before_unless_it_is_given() {
    let files = Files::new();
    // 398 days were the limit (397 the advice) until 2026-03-14; from 2026-03-15 it is 200 days.
    let der = Spec::new("2026-03-14", "2027-04-14").dns("www.barakaldo.eus").der();
    let file = files.write("a.der", &der);
    let code = |options: &[&str]| lint(options, &[&file]).status.code();
    assert_eq!(code(&[]), Some(0));
    assert_eq!(code(&["--issued-at", "2026-03-14T23:59:59Z"]), Some(0));
    assert_eq!(code(&["--issued-at", "2026-03-15"]), Some(1));
    assert_eq!(code(&["--issued-at=2026-03-15T00:00:00Z", "--format=json"]), Some(1));
}

#[test]
fn usage_is_2_and_an_unreadable_file_is_3_after_the_others_were_judged() {
    let files = Files::new();
    let der = Spec::summer("x.corp").der();
    let file = files.write("a.der", &der);
    for options in [&["--issued-at", "yesterday"][..], &["--format", "xml"], &["--fast"]] {
        let done = lint(options, &[&file]);
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(2), ""), "{options:?}");
        assert!(text(&done.stderr).starts_with("error: "), "{}", text(&done.stderr));
    }
    assert_eq!(lint(&[], &[]).status.code(), Some(2));
    let absent = files.0.path().join("absent");
    let done = lint(&["--format", "json"], &[&absent, files.0.path(), &file]);
    assert_eq!(done.status.code(), Some(3));
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains("name.internal"), "{out}");
    assert!(err.contains("absent: No such file or directory") && err.contains("Is a directory"), "{err}");
    assert!(!err.contains("backtrace"), "{err}");
}
