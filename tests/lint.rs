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
    let done = lint(&["--format", "json"], &[&absent, Path::new("/dev/null"), &file]);
    assert_eq!(done.status.code(), Some(3));
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains("name.internal"), "{out}");
    assert!(err.contains("absent: No such file or directory"), "{err}");
    assert!(err.contains("/dev/null: it is neither a file nor a folder"), "{err}");
    assert!(!err.contains("backtrace"), "{err}");
}

/// The files and rules of each line of the output.
fn lines(done: &Output) -> Vec<(String, Vec<String>)> {
    let rules = |object: &serde_json::Value| -> Vec<String> {
        let findings = object["findings"].as_array().expect("a list").iter();
        findings.map(|f| f["rule"].as_str().expect("a rule").to_string()).collect()
    };
    let out = text(&done.stdout);
    let objects = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    objects.map(|object| (object["file"].as_str().expect("a name").to_string(), rules(&object))).collect()
}

#[test]
fn a_folder_is_judged_with_all_that_is_in_it_in_the_order_of_its_names() {
    let files = Files::new();
    let folder = files.0.path().join("folder");
    std::fs::create_dir_all(folder.join("b/deeper")).expect("folders");
    let good = Spec::summer("www.barakaldo.eus").der();
    for (name, content) in [
        ("c.der", Spec::summer("x.corp").der()),
        ("a.pem", pem(&good).into_bytes()),
        ("b/deeper/d.der", Spec::summer("y.corp").der()),
        ("b/empty", Vec::new()),
    ] {
        std::fs::write(folder.join(name), content).expect("write");
    }
    // A loop of links has no end; a link to a file is followed.
    std::os::unix::fs::symlink(&folder, folder.join("b/loop")).expect("a link");
    std::os::unix::fs::symlink(folder.join("c.der"), folder.join("e.der")).expect("a link");
    let done = lint(&["--format", "json"], &[&folder]);
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(1), ""));
    let found = lines(&done);
    let names: Vec<&str> =
        found.iter().map(|(file, _)| file.strip_prefix(folder.to_str().expect("text")).expect("within")).collect();
    assert_eq!(names, ["/a.pem", "/b/deeper/d.der", "/b/empty", "/c.der", "/e.der"]);
    let rules: Vec<&str> = found.iter().map(|(_, rules)| rules.first().map_or("", String::as_str)).collect();
    assert_eq!(rules, ["", "name.internal", "cert.unparsable", "name.internal", "name.internal"]);
}

#[test]
fn many_certificates_of_standard_input_come_out_in_their_order() {
    let ders: Vec<Vec<u8>> = (0..1500).map(|n| Spec::summer(&format!("x{n}.corp")).der()).collect();
    let input: String = ders.iter().map(|der| pem(der)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.args(["lint", "--format", "json", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("start the program");
    let mut stdin = child.stdin.take().expect("piped");
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
    let done = child.wait_with_output().expect("ends");
    writing.join().expect("no panic").expect("written");
    assert_eq!(done.status.code(), Some(1));
    let out = text(&done.stdout);
    assert_eq!(out.lines().count(), ders.len());
    for (index, (given, der)) in out.lines().zip(&ders).enumerate() {
        let start = line(Path::new("-"), index, der, "", "null");
        assert!(given.starts_with(&start[..start.find("]").expect("findings")]), "{given}");
        assert!(given.contains(&format!("\"x{index}.corp\"")), "{given}");
    }
}

#[test]
fn a_pair_is_compared_byte_for_byte() {
    let files = Files::new();
    let spec = Spec::summer("www.barakaldo.eus");
    let pre = files.write("pre.der", &spec.clone().poison().der());
    let scts = |spec: Spec| spec.extension(certgen::SCT_LIST, false, &certgen::sct_list());
    let fin = files.write("fin.der", &scts(spec.clone()).der());
    let other =
        files.write("other.der", &scts(spec.without(certgen::CRL_DP).with(certgen::CRL_DP, false, &[0x30, 0])).der());
    let pair = |before: &Path, after: &Path| {
        lint(&["--format", "json", "--pair", before.to_str().expect("text"), after.to_str().expect("text")], &[])
    };
    let same = pair(&pre, &fin);
    assert_eq!((same.status.code(), lines(&same).len()), (Some(0), 2), "{}", text(&same.stdout));
    let differs = pair(&pre, &other);
    assert_eq!(differs.status.code(), Some(1));
    assert!(text(&differs.stdout).contains("differs from its precertificate in the extension 2.5.29.31"));
    let swapped = lines(&pair(&fin, &pre));
    assert_eq!(
        (swapped[0].1.as_slice(), swapped[1].1.as_slice()),
        (&["pre.poison".to_string()][..], &["pre.match".to_string()][..])
    );
    let several = files.write("two.pem", (pem(&[0x30, 0]) + &pem(&[0x30, 0])).as_bytes());
    let refused = pair(&pre, &several);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("holds more than one certificate"), "{}", text(&refused.stderr));
}

#[test]
fn an_issuer_and_its_logs_are_held_against_the_certificate() {
    let files = Files::new();
    let read = |name: &str| {
        let path = format!("{}/tests/fixtures/hits/sct.belongs.{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
    };
    let bytes = |value: &serde_json::Value| ctwarden::ct::from_base64(value.as_str().expect("text")).expect("base64");
    let pass = read("pass");
    let list = serde_json::json!({ "operators": [{ "name": "Fixture", "logs": pass["logs"] }] });
    let list = files.write("list.json", list.to_string().as_bytes());
    let stranger = files.write("stranger.der", &Spec::new("2020-01-01", "2040-01-01").no_san().ca().der());
    for (name, rule) in [("pass", None), ("fail", Some("sct.belongs"))] {
        let fixture = read(name);
        let cert = files.write("cert.der", &bytes(&fixture["certificate"]));
        let issuer = files.write("issuer.pem", pem(&bytes(&fixture["issuers"][0])).as_bytes());
        let judge = |options: &[&Path]| {
            let options: Vec<&str> = options.iter().map(|path| path.to_str().expect("text")).collect();
            lint(&[&["--format", "json"], &options[..]].concat(), &[&cert])
        };
        let with_logs = lines(&judge(&[Path::new("--issuer"), &issuer, Path::new("--log-list"), &list]));
        let serious: Vec<&String> = with_logs[0].1.iter().filter(|rule| *rule != "cn.present").collect();
        assert_eq!(serious, rule.iter().collect::<Vec<_>>(), "{name}");
        let by_stranger = lines(&judge(&[Path::new("--issuer"), &stranger]));
        for rule in ["cert.signature", "cert.issuer_bytes"] {
            assert!(by_stranger[0].1.iter().any(|found| found == rule), "{by_stranger:?}");
        }
    }
    let cert = files.write("cert.der", &bytes(&pass["certificate"]));
    assert_eq!(lint(&["--log-list", list.to_str().expect("text")], &[&cert]).status.code(), Some(2));
    let broken = lint(&["--issuer", list.to_str().expect("text")], &[&cert]);
    assert_eq!((broken.status.code(), text(&broken.stdout).as_str()), (Some(3), ""));
    assert!(text(&broken.stderr).contains("list.json: neither PEM nor DER"), "{}", text(&broken.stderr));
}

#[test]
fn lists_of_keys_can_be_given() {
    let files = Files::new();
    let cert = files.write("cert.der", &Spec::summer("www.barakaldo.eus").der());
    let hash = ctwarden::cert::Certificate::parse(&std::fs::read(&cert).expect("read")).expect("parsed").spki_sha256();
    let weak = files.write("weak", hash.to_string().as_bytes());
    let own = files.write("own", format!("{hash} found in a firmware image\n").as_bytes());
    let (weak, own) = (weak.to_str().expect("text"), own.to_str().expect("text"));
    let done = lint(&["--weak-keys", weak, "--compromised-keys", own], &[&cert]);
    let out = text(&done.stdout);
    assert!(out.contains("key.weak.debian") && out.contains("found in a firmware image"), "{out}");
    let refused = lint(&["--compromised-keys", weak], &[&cert]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("weak: line 1: gives no reason"), "{}", text(&refused.stderr));
}
