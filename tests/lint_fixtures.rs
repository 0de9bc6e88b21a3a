//! Every rule against its fixtures: `tests/fixtures/lint/<rule>/<case>.case` holds one certificate in PEM, an empty
//! line, and one expected finding per line (`rule severity subject`); comment lines at the head may say
//! `# issued-at: TIME`. The files are made from the table in `support/lint_cases/`;
//! `CTWARDEN_WRITE_FIXTURES=1 cargo test --test lint_fixtures` writes them again.

#[path = "support/certgen.rs"]
mod certgen;
#[path = "support/lint_cases/mod.rs"]
mod lint_cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctwarden::cert::{Certificate, pem};
use ctwarden::clock::Timestamp;
use ctwarden::finding::Issued;
use ctwarden::lint::{KeyLists, RULES, Tables, findings};
use lint_cases::{Case, all};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lint")
}

fn text(case: &Case) -> String {
    let head = case.issued_at.map_or(String::new(), |at| format!("# issued-at: {at}\n"));
    let expected: String = case.expected.iter().map(|line| format!("{line}\n")).collect();
    format!("{head}{}\n{expected}", pem::encode(&case.der))
}

/// What a fixture file says: the certificate, its time of issuance if given, the findings.
fn read(text: &str) -> (Vec<u8>, Option<Timestamp>, BTreeSet<String>) {
    let (head, expected) = text.split_once("\n\n").unwrap_or((text, ""));
    let at = head.lines().find_map(|line| line.strip_prefix("# issued-at:"));
    let at = at.map(|at| Timestamp::parse(at.trim()).expect("a time in the head of the fixture"));
    let der = pem::certificates(head.as_bytes()).remove(0).expect("one certificate in PEM");
    (der, at, expected.lines().map(str::to_string).collect())
}

/// The lists of keys that are fed to the rules: `tests/fixtures/keys/`.
fn key_lists() -> KeyLists {
    let read = |name: &str| fs::read_to_string(folder().join("../keys").join(name)).expect("a list of keys");
    let mut lists = KeyLists::default();
    read("weak.txt").lines().for_each(|line| lists.weak_line(line.as_bytes()).expect("a line"));
    read("compromised.txt").lines().for_each(|line| lists.compromised_line(line.as_bytes()).expect("a line"));
    lists.finish(None)
}

#[test]
fn the_files_are_what_the_table_makes() {
    let cases = all();
    if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
        for case in &cases {
            fs::create_dir_all(folder().join(case.rule)).expect("a folder");
            let path = folder().join(case.rule).join(format!("{}.case", case.name));
            fs::write(path, text(case)).expect("a fixture");
        }
    }
    let mut expected = BTreeMap::new();
    for case in &cases {
        let path = folder().join(case.rule).join(format!("{}.case", case.name));
        assert!(expected.insert(path, text(case)).is_none(), "{}/{} twice", case.rule, case.name);
    }
    let mut on_disk = BTreeMap::new();
    let rules = fs::read_dir(folder()).expect("fixtures").map(|rule| rule.expect("an entry").path());
    // Beside the folders stands differences.md, which tests/agreement.rs reads.
    for rule in rules.filter(|path| path.is_dir()) {
        for file in fs::read_dir(rule).expect("a folder per rule") {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("text");
            on_disk.insert(path, text);
        }
    }
    for (path, text) in &expected {
        assert_eq!(on_disk.get(path), Some(text), "{}: write the fixtures again", path.display());
    }
    for path in on_disk.keys() {
        assert!(expected.contains_key(path), "{} is not in the table: remove it", path.display());
    }
}

#[test]
fn every_fixture_has_the_findings_it_names() {
    let tables = Tables { keys: Arc::new(key_lists()), ..Tables::embedded() };
    let mut wrong = Vec::new();
    for case in all() {
        let (der, at, expected) = read(&text(&case));
        let cert = Certificate::parse(&der).expect("every fixture can be read");
        let at = at.or(cert.not_before()).expect("a time of issuance");
        let found: BTreeSet<String> = findings(&cert, Issued::at(at), &tables)
            .iter()
            .map(|f| format!("{} {} {}", f.rule, f.severity, f.subject))
            .collect();
        if found != expected {
            wrong.push(format!("{}/{}: expected {expected:#?}, found {found:#?}", case.rule, case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_fails_in_one_fixture_and_passes_in_another_of_its_own() {
    let cases = all();
    for rule in RULES {
        let id = rule.info.id;
        let breaks = |case: &&Case| case.expected.iter().any(|line| line.starts_with(&format!("{id} ")));
        let own = || cases.iter().filter(|case| case.rule == id);
        assert!(own().any(|case| breaks(&case)), "{id} has no failing fixture");
        assert!(own().any(|case| !breaks(&case)), "{id} has no passing fixture");
        if let Some(since) = rule.info.since {
            let cert = |case: &Case| Certificate::parse(&case.der).ok().and_then(|cert| cert.not_before());
            let day = since.day();
            let marks = own().any(|case| cert(case).is_some_and(|at| at < since && since.since(at).days() < 1));
            assert!(marks, "{id} has no fixture of the day before {day}");
        }
    }
    for case in &cases {
        assert!(RULES.iter().any(|rule| rule.info.id == case.rule), "{} is no rule", case.rule);
        let named_failing = case.name.starts_with("fail-") || case.name.starts_with("review-");
        let fails = case.expected.iter().any(|line| line.starts_with(&format!("{} ", case.rule)));
        assert_eq!(named_failing, fails, "{}/{} is named for what it is not", case.rule, case.name);
    }
}
