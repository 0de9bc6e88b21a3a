//! Agreement with an independent judge: pkilint over all of our lint fixtures. What it calls an error and we do not, and
//! what we call an error and it does not although it has such a rule, stands in `tests/fixtures/lint/differences.md`
//! with a section and the reason, or the test fails; a row that explains nothing any more fails it too.

#[path = "support/judges/pkilint.rs"]
mod pkilint;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ctwarden::cert::{Certificate, pem};
use ctwarden::clock::Timestamp;
use ctwarden::finding::{Issued, Severity};
use ctwarden::judges::mapping;
use ctwarden::lint::{Tables, findings};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lint")
}

/// (name, PEM, time of issuance if it is given) of every fixture.
fn fixtures() -> Vec<(String, String, Option<Timestamp>)> {
    let mut all = Vec::new();
    let folders = fs::read_dir(folder()).expect("fixtures").map(|entry| entry.expect("an entry").path());
    for file in folders.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).expect("a folder")) {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("text");
        let at = text.lines().find_map(|line| line.strip_prefix("# issued-at:"));
        let at = at.map(|at| Timestamp::parse(at.trim()).expect("a time"));
        let begin = text.find("-----BEGIN").expect("PEM");
        let name = path.strip_prefix(folder()).expect("below").with_extension("").to_string_lossy().into_owned();
        all.push((name, text[begin..].split("\n\n").next().expect("PEM").to_string(), at));
    }
    all.sort();
    all
}

/// Our rules that find something in a certificate: errors, and what counts as saying so at all.
fn ours(pem_text: &str, at: Option<Timestamp>, tables: &Tables) -> (BTreeSet<String>, BTreeSet<String>) {
    let der = pem::certificates(pem_text.as_bytes()).remove(0).expect("PEM");
    let Ok(cert) = Certificate::parse(&der) else {
        let unparsable = BTreeSet::from(["cert.unparsable".to_string()]);
        return (unparsable.clone(), unparsable);
    };
    let at = at.or(cert.not_before()).expect("a time of issuance");
    let found = findings(&cert, Issued::at(at), tables);
    let rules = |worst: &[Severity]| {
        found.iter().filter(|finding| worst.contains(&finding.severity)).map(|f| f.rule.to_string()).collect()
    };
    let errors = rules(&[Severity::Critical, Severity::Error]);
    (errors, rules(&[Severity::Critical, Severity::Error, Severity::Review]))
}

/// The codes of pkilint's errors.
fn theirs(answer: &Value) -> BTreeSet<String> {
    if answer["unreadable"].is_string() {
        return BTreeSet::from([mapping::UNREADABLE.to_string()]);
    }
    let results = answer["results"].as_array().expect("results").iter();
    let found = results.flat_map(|result| result["finding_descriptions"].as_array().expect("descriptions"));
    let errors = found.filter(|found| ["ERROR", "FATAL"].contains(&found["severity"].as_str().expect("a severity")));
    errors.map(|found| found["code"].as_str().expect("a code").to_string()).collect()
}

/// A row of differences.md: the finding of one side that the other lacks, the fixtures in which it may, who is right.
struct Row {
    line: usize,
    finding: String,
    fixtures: Vec<String>,
    right: String,
    section: String,
    reason: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("differences.md")).expect("tests/fixtures/lint/differences.md");
    let tables = text.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let rows = tables.map(|(at, line)| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [finding, fixtures, right, section, reason] =
            <[String; 5]>::try_from(cells).unwrap_or_else(|c| panic!("differences.md:{}: {} cells", at + 1, c.len()));
        let fixtures = fixtures.split_whitespace().map(str::to_string).collect();
        Row { line: at + 1, finding, fixtures, right, section, reason }
    });
    rows.collect()
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            rest.is_empty() || tail.char_indices().map(|(at, _)| &tail[at..]).chain([""]).any(|tail| fits(rest, tail))
        }),
    }
}

#[test]
fn patterns() {
    assert!(fits("a/*", "a/b") && fits("*-2023", "x-2023") && fits("a*c*e", "abcde") && fits("a", "a"));
    assert!(!fits("a/*", "b/a") && !fits("a*c", "abcd") && !fits("a", "ab") && !fits("*x", ""));
}

#[test]
fn every_difference_between_pkilint_and_us_is_explained() {
    let Some(python) = pkilint::python("every_difference_between_pkilint_and_us_is_explained") else { return };
    let (fixtures, tables) = (fixtures(), Tables::embedded());
    let asked = fixtures
        .iter()
        .map(|(name, pem, at)| json!({"name": name, "pem": pem, "issued_at": at.map(|at| at.to_string())}));
    let mut answers = pkilint::batch(&python, asked.collect()).into_iter();
    let head = answers.next().expect("a first line");
    assert_eq!(head["version"], pkilint::VERSION, "tests/run pins another version");
    let known: BTreeSet<&str> = head["codes"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
    for pair in mapping::pairs().iter().filter(|pair| pair.linter == "pkilint" && pair.code != mapping::UNREADABLE) {
        assert!(known.contains(pair.code), "mapping.csv: pkilint has no code {}", pair.code);
    }
    // Finding of one side that the other lacks -> fixtures.
    let mut differences: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut judged = 0;
    for ((name, pem, at), answer) in fixtures.iter().zip(answers) {
        assert_eq!(answer["name"], **name);
        judged += 1;
        let ((errors, said), theirs) = (ours(pem, *at, &tables), theirs(&answer));
        for code in &theirs {
            if !mapping::rules("pkilint", code).any(|rule| said.contains(rule)) {
                differences.entry(format!("pkilint:{code}")).or_default().insert(name);
            }
        }
        for rule in &errors {
            let codes: Vec<&str> = mapping::codes(rule, "pkilint").collect();
            if !codes.is_empty() && !codes.iter().any(|code| theirs.contains(*code)) {
                differences.entry(rule.clone()).or_default().insert(name);
            }
        }
    }
    assert!(judged == fixtures.len() && judged > 500, "{judged} of {} fixtures were judged", fixtures.len());
    let (rows, mut problems) = (rows(), Vec::new());
    for (finding, names) in &differences {
        let of_finding: Vec<&Row> = rows.iter().filter(|row| fits(&row.finding, finding)).collect();
        let explained = |name: &str| of_finding.iter().any(|row| row.fixtures.iter().any(|p| fits(p, name)));
        problems.extend(names.iter().filter(|name| !explained(name)).map(|name| format!("{finding}: {name}: no row")));
    }
    for row in &rows {
        let at = format!("differences.md:{}: {}", row.line, row.finding);
        for pattern in &row.fixtures {
            let fitting = differences.iter().filter(|(finding, _)| fits(&row.finding, finding));
            if !fitting.flat_map(|(_, names)| names).any(|name| fits(pattern, name)) {
                problems.push(format!("{at}: {pattern} is no difference any more"));
            }
        }
        let document = ["BR ", "EVG ", "RFC ", "Microsoft "].iter().any(|document| row.section.starts_with(document));
        if !document || row.reason.len() < 20 || !["ours", "pkilint", "both"].contains(&&*row.right) {
            problems.push(format!("{at}: who is right, by which section of which document, and why?"));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
