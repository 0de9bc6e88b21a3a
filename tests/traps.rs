//! Every case in which the public linters are wrong has a fixture in which this program is right: `tests/fixtures/traps.md`.

use std::fs;
use std::path::{Path, PathBuf};

use ctwarden::exam;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The severities with which a fixture expects findings of a rule. That the rules find just these is what
/// `lint_fixtures.rs`, `exam_fixtures.rs` and `sct_fixtures.rs` hold.
fn expected(path: &Path, rule: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<String> = match path.extension().is_some_and(|kind| kind == "json") {
        true => {
            let fixture: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            // Fixtures of one rule alone do not name it again.
            let (list, prefix) = match fixture["findings"].as_array() {
                Some(list) => (list, String::new()),
                None => (fixture["expected"].as_array().expect("findings"), format!("{rule} ")),
            };
            list.iter().map(|line| prefix.clone() + line.as_str().expect("text")).collect()
        }
        false => text.split_once("\n\n").map_or("", |(_, lines)| lines).lines().map(str::to_string).collect(),
    };
    let of_rule = lines.iter().filter_map(|line| line.strip_prefix(rule)?.strip_prefix(' '));
    of_rule.map(|rest| rest.split(' ').next().unwrap_or_default().to_string()).collect()
}

#[test]
fn every_trap_has_a_fixture_in_which_the_rule_is_right() {
    let table = fs::read_to_string(fixtures().join("traps.md")).expect("the table");
    let (mut rows, mut problems) = (0, Vec::new());
    for (number, line) in table.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, who, rule, ours, named] = cells.as_slice() else { panic!("line {}: {line}", number + 1) };
        if *what == "what" {
            continue;
        }
        rows += 1;
        assert!(exam::rules().iter().any(|info| info.id == *rule), "line {}: {rule} is no rule", number + 1);
        assert!(who.contains("FN") || who.contains("FP"), "line {}: {who}", number + 1);
        let fixtures_named: Vec<&str> = named.split('`').filter(|name| !name.trim().is_empty()).collect();
        assert!(!fixtures_named.is_empty(), "line {}: no fixture", number + 1);
        for name in fixtures_named {
            let path = match name.ends_with(".json") {
                true => fixtures().join(name),
                false => fixtures().join("lint").join(format!("{name}.case")),
            };
            let found = expected(&path, rule);
            let right = match *ours {
                "silent" => found.is_empty(),
                "reported" => !found.is_empty() && found.iter().all(|severity| severity == "error"),
                severity => !found.is_empty() && found.iter().all(|word| word == severity),
            };
            if !right {
                problems.push(format!("line {}: {name} expects {found:?} of {rule}, the row says {ours}", number + 1));
            }
        }
    }
    assert!(rows >= 50, "only {rows} rows were read");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
